//! When it happened, on the clock of whoever was told.
//!
//! ```text
//!   sender    event ───── age ─────► sent
//!   server                             ├── waited (in the stream) ──┤
//!   receiver  event ◄──────────── age + waited ──────────────────── arrived
//! ```
//!
//! Age and waiting are read on one monotonic clock each, so that a wall clock that is wrong by an hour moves nothing.
//! What they do not know is the way: a message that a stalled connection delivers late looks younger than it is. The
//! wall clocks tell that, where they are in order: so far apart as only a stalled connection explains, both moments
//! are kept; further apart, a clock is wrong, and that is told.

use std::time::Duration;

use crate::fleet::notice::NoticeFields;
use crate::time::{Mono, Stamp, Window, nanos};

/// Clocks that differ by less agree: hosts that ask NTP do, and the way takes milliseconds.
pub const AGREES: Duration = Duration::from_secs(2);
/// A connection that stalls for longer is dropped: TCP gives up, and the bus asks every 5 s whether it is there.
pub const STALLED: Duration = Duration::from_secs(60);

/// When something happened elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// By its age.
    pub at: Stamp,
    /// It was not before that.
    pub earliest: Mono,
    /// It was not after that.
    pub latest: Mono,
    /// So far the clock there is ahead of ours (or behind, below zero), in nanoseconds; none while they agree.
    pub ahead: Option<i64>,
}

impl EventTime {
    /// Of what `notice` tells, which arrived at `arrived` after it had `waited` in the server's stream, and may have
    /// happened longer ago by `error`.
    pub fn of(notice: &NoticeFields, arrived: Stamp, waited: Duration, error: Duration) -> Self {
        let by_age = arrived.mono.minus(notice.age).minus(waited);
        let by_wall = arrived.offset().mono(notice.at).min(arrived.mono);
        let at = Stamp { mono: by_age, wall: arrived.offset().wall(by_age) };
        let apart = Duration::from_nanos(notice.at.0.abs_diff(at.wall.0));
        let (error, of_sender) = (error.min(AGREES), notice.error.min(AGREES));
        let earliest = by_age.minus(error).minus(of_sender);
        let latest = by_age.plus(of_sender).min(arrived.mono);
        if apart <= AGREES {
            return Self { at, earliest, latest, ahead: None };
        }
        if apart <= STALLED {
            let (earliest, latest) = (earliest.min(by_wall), latest.max(by_wall));
            return Self { at, earliest, latest, ahead: None };
        }
        let apart = i64::try_from(nanos(apart)).unwrap_or(i64::MAX);
        let ahead = if notice.at > at.wall { apart } else { -apart };
        Self { at, earliest, latest, ahead: Some(ahead) }
    }

    /// The window around it.
    pub fn window(&self, pre: Duration, post: Duration) -> Window {
        Window { from: self.earliest.minus(pre), to: self.latest.plus(post) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fleet::keep::receive::fixture::notice;
    use crate::time::Wall;

    const S: u64 = 1_000_000_000;
    /// Seconds of our monotonic clock when we are told, and the distance of our clocks.
    const NOW: u64 = 10_000;
    const OFFSET: u64 = 1_795_000_000;

    fn arrived() -> Stamp {
        Stamp { mono: Mono(NOW * S), wall: Wall((OFFSET + NOW) * S) }
    }

    /// Earliest, moment, latest before arrival, and how far ahead, in seconds.
    fn told(age: u64, waited: u64, error: u64, clock: i64) -> (u64, u64, u64, Option<i64>) {
        let truly = (OFFSET + NOW) * S - (age + waited) * S;
        let fields = NoticeFields {
            age: Duration::from_secs(age),
            at: Wall(truly.saturating_add_signed(clock * S.cast_signed())),
            ..(*notice("a-b-1")).clone()
        };
        let [waited, error] = [waited, error].map(Duration::from_secs);
        let event = EventTime::of(&fields, arrived(), waited, error);
        let before = |mono: Mono| (NOW * S - mono.0) / S;
        let ahead = event.ahead.map(|ahead| ahead / S.cast_signed());
        (before(event.earliest), before(event.at.mono), before(event.latest), ahead)
    }

    #[test]
    fn age_decides_and_the_wall_clock_only_doubts() {
        for (age, waited, error, clock, expected) in [
            (0, 0, 0, 0, (0, 0, 0, None)),
            (47, 0, 0, 0, (47, 47, 47, None)),
            (2, 58, 0, 0, (60, 60, 60, None)),
            (2, 58, 1, 0, (61, 60, 60, None)),
            (2, 58, 500, 0, (62, 60, 60, None)), // an error is at most what agrees
            (10, 0, 0, 2, (10, 10, 10, None)),
            (10, 0, 0, -2, (10, 10, 10, None)),
            (10, 0, 0, -30, (40, 10, 10, None)), // a stalled connection: both
            (40, 0, 0, 30, (40, 40, 10, None)),
            (10, 0, 0, 30, (10, 10, 0, None)), // nothing happens after it is told
            (10, 0, 0, 3_600, (10, 10, 10, Some(3_600))),
            (10, 0, 0, -3_600, (10, 10, 10, Some(-3_600))),
        ] {
            let found = told(age, waited, error, clock);
            assert_eq!(found, expected, "age {age}, waited {waited}, error {error}, clock {clock}");
        }
    }

    proptest! {
        #[test]
        fn whatever_clocks_say_the_moment_by_age_is_inside(
            age in 0_u64..86_400 * S,
            waited in 0_u64..3_600 * S,
            error in 0_u64..100 * S,
            of_sender in 0_u64..100 * S,
            wall in any::<u64>(),
            mono in 0_u64..1_000_000 * S,
            offset in 0_u64..2_000_000_000 * S,
            pre in 0_u64..86_400 * S,
            post in 0_u64..86_400 * S,
        ) {
            let ns = Duration::from_nanos;
            let fields = NoticeFields {
                age: ns(age),
                at: Wall(wall),
                error: ns(of_sender),
                ..(*notice("a-b-1")).clone()
            };
            let arrived = Stamp { mono: Mono(mono), wall: Wall(mono + offset) };
            let event = EventTime::of(&fields, arrived, ns(waited), ns(error));
            prop_assert!(event.earliest <= event.at.mono);
            prop_assert!(event.at.mono <= event.latest && event.latest <= arrived.mono);
            let span = event.latest.since(event.earliest);
            prop_assert!(span <= STALLED + 3 * AGREES, "{:?}", span);
            let window = event.window(ns(pre), ns(post));
            prop_assert!(window.from <= event.at.mono && event.at.mono <= window.to);
            prop_assert!(window.to.since(window.from) <= ns(pre) + ns(post) + STALLED + 3 * AGREES);
        }
    }
}
