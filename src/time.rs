//! The only place that asks the clock: everything else takes a [`Stamp`] as an argument.
//!
//! Two clocks, never mixed up: [`Mono`] (CLOCK_MONOTONIC) decides *when something is due* and cuts
//! windows, because nobody can set it; [`Wall`] (CLOCK_REALTIME) is what people and capture files
//! read. Between two steps of the wall clock their distance is constant (NTP slews both alike), so
//! one [`Offset`] translates any frame's wall stamp into monotonic time, see [`Offset::of`].

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nanoseconds of CLOCK_MONOTONIC: since boot, not counting suspend.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Mono(pub u64);

/// Nanoseconds since 1970-01-01T00:00:00Z; good until the year 2554.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(pub u64);

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp {
    /// When it happened, for decisions.
    pub mono: Mono,
    /// When it happened, for people.
    pub wall: Wall,
}

impl Mono {
    /// This time and `later` more; stops at the end of time.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(nanos(later)))
    }

    /// This time less `earlier`; stops at boot.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(earlier)))
    }

    /// Time passed since `earlier`; zero when `earlier` is in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Wall {
    /// Later by `span`, at most at the end of time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// Earlier by `span`, at least at the beginning.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }

    fn timestamp(self) -> jiff::Timestamp {
        // 2^64 ns end in 2554, within jiff's range, so this never takes the default.
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or_default()
    }

    /// RFC 3339, UTC, three digits, for tables people read: `2026-11-22T14:14:20.811Z`.
    pub fn milliseconds(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    }

    /// UTC with milliseconds, without the day: `14:14:20.811`.
    pub fn time_of_day(self) -> String {
        self.timestamp().strftime("%H:%M:%S.%3f").to_string()
    }

    /// UTC with milliseconds and no colon, for file names: `2026-11-22T14-14-20.811Z`.
    pub fn file_name(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H-%M-%S.%3fZ").to_string()
    }
}

/// RFC 3339, UTC, nine digits: `2026-11-22T14:14:20.811089123Z`.
impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.timestamp().strftime("%Y-%m-%dT%H:%M:%S.%9fZ"))
    }
}

/// Reads RFC 3339, from 1970 to 2554.
impl FromStr for Wall {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment: jiff::Timestamp = text.parse()?;
        u64::try_from(moment.as_nanosecond())
            .map(Self)
            .map_err(|_| jiff::Error::from_args(format_args!("{text} is before 1970")))
    }
}

impl<'de> Deserialize<'de> for Wall {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse()
            .map_err(|e| D::Error::custom(format!("{text:?} is no time as in RFC 3339: {e}")))
    }
}

impl Serialize for Wall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Stamp {
    /// The same moment's distance between the clocks.
    pub fn offset(self) -> Offset {
        Offset::of(self)
    }
}

/// Wall clock minus monotonic clock, in nanoseconds: constant until somebody steps the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Offset(pub i64);

impl Offset {
    /// Two readings that differ by less than this belong to the same offset: reading two clocks one
    /// after the other takes tens of nanoseconds, or a scheduling slice when interrupted in between.
    pub const STEP: Duration = Duration::from_millis(5);

    /// The offset at `stamp`. Two clocks with 64-bit nanoseconds: the difference fits 64 bits.
    pub fn of(stamp: Stamp) -> Self {
        Self(stamp.wall.0.wrapping_sub(stamp.mono.0).cast_signed())
    }

    /// The monotonic time of a wall stamp taken while this offset held.
    pub fn mono(self, wall: Wall) -> Mono {
        Mono(wall.0.saturating_add_signed(self.0.saturating_neg()))
    }

    /// The wall time of a monotonic time while this offset held.
    pub fn wall(self, mono: Mono) -> Wall {
        Wall(mono.0.saturating_add_signed(self.0))
    }

    /// True if the wall clock was stepped between the two readings.
    pub fn stepped_from(self, before: Self) -> bool {
        self.0.abs_diff(before.0) > nanos(Self::STEP)
    }
}

/// Finds the monotonic time of arriving frames, whose stamps are on a clock that may step (or, stamped
/// by hardware, on one that has nothing to do with the host's).
///
/// ```text
///        floor: what was read before                    read.mono
///   ───────┬───────────────────────────────────────────────┬──────► monotonic
///          └── a frame read now arrived in between: an offset that puts it outside is the wrong one
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ArrivalClock {
    read: Stamp,
    current: Offset,
    floor: Mono,
}

impl ArrivalClock {
    /// Begins with nothing read; `now` is when the source was opened.
    pub fn new(now: Stamp) -> Self {
        Self { read: now, current: now.offset(), floor: now.mono }
    }

    /// Frames are about to be handed over; they arrived before `now`.
    pub fn read(&mut self, now: Stamp) {
        self.read = now;
    }

    /// Nothing that arrived before `moment` is still to come.
    pub fn drained(&mut self, moment: Mono) {
        self.floor = self.floor.max(moment);
    }

    /// The offset between the clock that stamped a frame with `wall` and the monotonic clock: the
    /// host's own where that is possible, else the last one that was, else the one that makes the
    /// frame arrive now. Stays the same until one of the clocks steps.
    pub fn offset(&mut self, wall: Wall) -> Offset {
        let host = self.read.offset();
        if host.stepped_from(self.current) && self.possible(host, wall) {
            self.current = host;
        } else if !self.possible(self.current, wall) {
            self.current = Offset::of(Stamp { mono: self.read.mono, wall });
        }
        self.floor = self.floor.max(self.current.mono(wall));
        self.current
    }

    /// Everything that arrived until then was handed over.
    pub fn done_until(&self) -> Mono {
        self.floor
    }

    fn possible(&self, offset: Offset, wall: Wall) -> bool {
        let mono = offset.mono(wall);
        mono.plus(Offset::STEP) >= self.floor && mono <= self.read.mono.plus(Offset::STEP)
    }
}

/// A duration in nanoseconds, as far as 64 bits reach: 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Durations as their nanoseconds in JSON: `#[serde(with = "as_nanos")]`.
pub mod as_nanos {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// # Errors
    /// When the serialiser refuses a number.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(super::nanos(*duration))
    }

    /// # Errors
    /// When there is no such number.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_nanos)
    }
}

/// The same of durations that need not be there: then null.
pub mod as_nanos_if_any {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// # Errors
    /// When the serialiser refuses a number.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.map(super::nanos).serialize(serializer)
    }

    /// # Errors
    /// When it is neither a number nor null.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_nanos))
    }
}

/// Where stamps come from. Cloning gives a second hand on the same clock.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Added to the system's wall clock; only [`WallStep`] ever changes it from zero.
    shift: Option<Arc<AtomicI64>>,
    /// What a [`ClockHand`] says it is; none where the system is asked.
    set: Option<Arc<Mutex<Stamp>>>,
}

/// What a clock of the kernel shows, in nanoseconds (clock_gettime(2); no system call, thanks to the vDSO).
fn asked(clock: ClockId) -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    tv_sec.cast_unsigned() * 1_000_000_000 + tv_nsec.cast_unsigned()
}

/// Sets one [`Clock`] that shows no time of its own: what happened long ago is told as if it happened
/// now.
#[derive(Debug)]
pub struct ClockHand(Arc<Mutex<Stamp>>);

/// Steps the wall clock of one [`Clock`] as an operator or NTP would, without touching the system's.
#[derive(Debug, Clone)]
pub struct WallStep(Arc<AtomicI64>);

impl Clock {
    /// The system's clocks.
    pub fn system() -> Self {
        Self::default()
    }

    /// The system's clocks, with a hand to step the wall clock in a test.
    pub fn stepping() -> (Self, WallStep) {
        let shift = Arc::new(AtomicI64::new(0));
        (Self { shift: Some(Arc::clone(&shift)), set: None }, WallStep(shift))
    }

    /// A clock that stands at `begin` until its hand is moved.
    pub fn by_hand(begin: Stamp) -> (Self, ClockHand) {
        let set = Arc::new(Mutex::new(begin));
        (Self { shift: None, set: Some(Arc::clone(&set)) }, ClockHand(set))
    }

    /// Now, on both clocks.
    pub fn now(&self) -> Stamp {
        if let Some(set) = &self.set {
            return *set.lock().unwrap_or_else(PoisonError::into_inner);
        }
        let shift = self.shift.as_ref().map_or(0, |s| s.load(Ordering::Relaxed));
        let stamp =
            Stamp { mono: Mono(asked(ClockId::Monotonic)), wall: Wall(asked(ClockId::Realtime)) };
        Stamp { mono: stamp.mono, wall: Wall(stamp.wall.0.saturating_add_signed(shift)) }
    }

    /// How long the machine slept since it was started, which the monotonic clock does not count.
    pub fn asleep(&self) -> Duration {
        let monotonic = asked(ClockId::Monotonic);
        Duration::from_nanos(asked(ClockId::Boottime).saturating_sub(monotonic))
    }
}

impl ClockHand {
    /// It is `now` from now on.
    pub fn set(&self, now: Stamp) {
        // A stamp is set as a whole, so a poisoned one is whole.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl WallStep {
    /// Moves the wall clock by `seconds` (negative: back).
    pub fn by(&self, seconds: i64) {
        self.0.fetch_add(seconds.saturating_mul(1_000_000_000), Ordering::Relaxed);
    }
}

/// A span of monotonic time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// First moment that belongs to it.
    pub from: Mono,
    /// Last moment that belongs to it.
    pub to: Mono,
}

impl Window {
    /// True if `moment` lies in the window.
    pub fn contains(&self, moment: Mono) -> bool {
        self.from <= moment && moment <= self.to
    }

    /// True if the window and the span from `first` to `last` share a moment.
    pub fn overlaps(&self, first: Mono, last: Mono) -> bool {
        first <= self.to && self.from <= last
    }

    /// Its length; zero when it ends before it begins.
    pub fn length(&self) -> Duration {
        self.to.since(self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_prints_rfc3339_with_nine_digits() {
        let wall = Wall(1_795_356_860_811_089_123);
        assert_eq!(wall.to_string(), "2026-11-22T14:14:20.811089123Z");
        assert_eq!(wall.file_name(), "2026-11-22T14-14-20.811Z");
        assert_eq!(wall.milliseconds(), "2026-11-22T14:14:20.811Z");
        assert_eq!(wall.time_of_day(), "14:14:20.811");
        assert_eq!(Wall(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(Wall(u64::MAX).to_string(), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn wall_reads_what_it_prints_and_nothing_before_1970() {
        for nanos in [0, 1, 1_795_356_860_811_089_123, u64::MAX] {
            assert_eq!(Wall(nanos).to_string().parse::<Wall>().unwrap(), Wall(nanos));
        }
        assert_eq!(
            "2026-11-22T15:14:20+01:00".parse::<Wall>().unwrap(),
            Wall(1_795_356_860_000_000_000)
        );
        for wrong in ["1969-12-31T23:59:59Z", "noon", ""] {
            assert!(wrong.parse::<Wall>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_offset_translates_both_ways_until_the_clock_steps() {
        let stamp = Stamp { mono: Mono(1_000), wall: Wall(1_795_356_860_000_000_000) };
        let offset = stamp.offset();
        assert_eq!(offset.mono(stamp.wall), stamp.mono);
        assert_eq!(offset.wall(stamp.mono), stamp.wall);
        let back = Stamp { mono: Mono(2_000), wall: Wall(5) };
        assert_eq!(back.offset().mono(Wall(6)), Mono(2_001));
        assert!(back.offset().stepped_from(offset));
        assert!(!offset.stepped_from(Offset(offset.0 + 4_000_000)));
    }

    #[test]
    fn only_the_wall_clock_steps() {
        let (clock, step) = Clock::stepping();
        let before = clock.now();
        step.by(-3_600);
        let after = clock.now();
        assert!(after.mono >= before.mono);
        assert!(after.offset().stepped_from(before.offset()));
        assert!(after.wall < before.wall);
    }

    #[test]
    fn a_clock_by_hand_stands_still() {
        let at = |n| Stamp { mono: Mono(n), wall: Wall(2 * n) };
        let (clock, hand) = Clock::by_hand(at(1));
        let second = clock.clone();
        assert_eq!(clock.now(), at(1));
        hand.set(at(5));
        assert_eq!((clock.now(), second.now()), (at(5), at(5)));
    }

    #[test]
    fn arrivals_keep_their_monotonic_time_across_steps() {
        const EPOCH: u64 = 1_795_356_860_000_000_000;
        const S: u64 = 1_000_000_000;
        // name, [(read mono s, wall shift s at reading, true mono s of a frame, its wall shift s)]
        let hour = 3_600_i64;
        for (name, story) in [
            ("steady", vec![(10, 0, 9, 0), (12, 0, 11, 0)]),
            ("forward between blocks", vec![(10, 0, 9, 0), (20, hour, 15, hour)]),
            ("back between blocks", vec![(10, 0, 9, 0), (20, -hour, 15, -hour)]),
            (
                "forward inside a block",
                vec![(10, 0, 9, 0), (20, hour, 12, 0), (20, hour, 15, hour)],
            ),
            (
                "back inside a block",
                vec![(10, 0, 9, 0), (20, -hour, 12, 0), (20, -hour, 15, -hour)],
            ),
            ("our clock steps, the stamps do not", vec![(10, 0, 9, 0), (20, hour, 15, 0)]),
            ("and back", vec![(10, 0, 9, 0), (20, -hour, 15, 0), (30, -hour, 25, 0)]),
        ] {
            let at = |mono_s: u64, shift_s: i64| Stamp {
                mono: Mono(mono_s * S),
                wall: Wall((EPOCH + mono_s * S).saturating_add_signed(shift_s * S.cast_signed())),
            };
            let mut clock = ArrivalClock::new(at(1, 0));
            for (read_s, read_shift, frame_s, frame_shift) in story {
                clock.read(at(read_s, read_shift));
                let wall = at(frame_s, frame_shift).wall;
                assert_eq!(clock.offset(wall).mono(wall), Mono(frame_s * S), "{name} {frame_s}");
            }
        }
    }

    #[test]
    fn a_foreign_clock_is_tied_to_the_reading() {
        let now = Stamp { mono: Mono(10_000_000_000), wall: Wall(1_795_356_860_000_000_000) };
        let mut clock = ArrivalClock::new(now);
        let offset = clock.offset(Wall(37));
        assert_eq!(offset.mono(Wall(37)), now.mono);
        assert_eq!(clock.offset(Wall(38)), offset, "and stays");
    }

    #[test]
    fn windows_include_both_ends() {
        let window = Window { from: Mono(10), to: Mono(20) };
        assert!(window.contains(Mono(10)) && window.contains(Mono(20)));
        assert!(!window.contains(Mono(9)) && !window.contains(Mono(21)));
        assert!(window.overlaps(Mono(0), Mono(10)) && window.overlaps(Mono(20), Mono(30)));
        assert!(window.overlaps(Mono(0), Mono(30)) && !window.overlaps(Mono(21), Mono(30)));
        assert_eq!(Window { from: Mono(2), to: Mono(1) }.length(), Duration::ZERO);
    }
}
