//! How long bundles stay: which of them a limit asks to go.
//!
//! Of the kind of trigger that has most bundles the oldest goes first, and the first bundle of each kind
//! goes last: whoever can make one kind of trigger fire again and again pushes out his own bundles, not
//! the one that shows how it began.
//!
//! ```text
//!   link-down  1       4        8      in this order: 3 and 5, of the kind that has five, then 4, 6 and 7;
//!   log-match    2 3     5 6 7         1 and 2 only when nothing else is left, and 8, the newest, never
//! ```
//!
//! Without a limit nothing ever goes. Marked bundles stay and do not count; the newest one stays whatever
//! the limits of number, size and space say, because it is what the operator was waited for, and goes
//! only by age. Pure: told what there is, what time it is and how much room the disk has.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use super::listing::Stored;
use crate::error::{Error, Result};
use crate::time::Wall;
use crate::words::{rough, size};

/// What may stay. Each limit holds by itself; whichever is reached first removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// So many bundles.
    pub count: Option<u64>,
    /// So many bytes of them together.
    pub bytes: Option<u64>,
    /// So long after their trigger.
    pub age: Option<Duration>,
    /// While so many bytes of the disk are free.
    pub free: Option<u64>,
}

/// Why a bundle goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalReason {
    /// More than that many.
    Count(u64),
    /// More than that many bytes.
    Bytes(u64),
    /// Older than that.
    Age(Duration),
    /// Less than that many bytes are free.
    Free(u64),
    /// A new one does not fit, and does without it.
    Full,
}

impl fmt::Display for RemovalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "keep_count is {count}"),
            Self::Bytes(bytes) => write!(f, "keep_bytes is {bytes}"),
            Self::Age(age) => write!(f, "keep_age is {}", rough(*age)),
            Self::Free(bytes) => write!(f, "keep_free is {bytes}"),
            Self::Full => f.write_str("the disk is full, and a new bundle is worth more"),
        }
    }
}

/// `at most 200 bundles, none older than 90 d`.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [
            self.count.map(|count| format!("at most {count} bundles")),
            self.bytes.map(|bytes| format!("at most {} of them", size(bytes))),
            self.age.map(|age| format!("none older than {}", rough(age))),
            self.free.map(|bytes| format!("while {} of the disk are free", size(bytes))),
        ];
        let limits: Vec<_> = limits.into_iter().flatten().collect();
        f.write_str(&if limits.is_empty() { "all of them".to_owned() } else { limits.join(", ") })
    }
}

impl Options {
    /// Refuses what would keep nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] for a limit of zero.
    pub fn check(&self) -> Result<()> {
        let zero = |limit: Option<u64>| limit == Some(0);
        let age = self.age.map(|age| u64::from(!age.is_zero()));
        for (key, limit, accepted) in [
            ("--keep-count", self.count, "1 or more, such as 100"),
            ("--keep-bytes", self.bytes, "a size such as 20GiB"),
            ("--keep-age", age, "an age such as 30d"),
            ("--keep-free", self.free, "a size such as 1GiB"),
        ] {
            if zero(limit) {
                let accepted = format!("{accepted}; without it there is no such limit");
                return Err(Error::usage(
                    key,
                    "0",
                    "the limit is more than 0, with which no bundle would be kept",
                    accepted,
                ));
            }
        }
        Ok(())
    }

    /// True if bundles may be removed at all.
    pub fn has_limits(&self) -> bool {
        *self != Self::default()
    }

    /// What must go of `bundles`, which are in order, oldest first. `now` is none while the clock cannot be
    /// believed: then nothing is too old. `free` are the bytes that the disk has left, none where that is
    /// not known.
    pub fn excess<'a>(
        &self,
        bundles: &'a [Stored],
        now: Option<Wall>,
        free: Option<u64>,
    ) -> Vec<(&'a Stored, RemovalReason)> {
        let mut excess = Vec::new();
        let mut queue = Queue::of(bundles);
        if let Some((age, now)) = self.age.zip(now) {
            let old = queue.loose.extract_if(.., |bundle| age_of(bundle, now) > age);
            excess.extend(old.map(|bundle| (bundle, RemovalReason::Age(age))));
        }
        let newest = bundles.last().map(|bundle| &*bundle.name);
        let mut freed: u64 = excess.iter().map(|(bundle, _)| bundle.bytes).sum();
        while let Some(why) = self.broken(&queue, free.map(|free| free.saturating_add(freed))) {
            let Some(bundle) = queue.next(newest) else { break };
            freed = freed.saturating_add(bundle.bytes);
            excess.push((bundle, why));
        }
        excess
    }

    /// The limit that what is left breaks.
    fn broken(&self, left: &Queue<'_>, free: Option<u64>) -> Option<RemovalReason> {
        let count = left.loose.len() as u64;
        let bytes = left.loose.iter().map(|bundle| bundle.bytes).fold(0, u64::saturating_add);
        let broken = [
            self.count.filter(|limit| count > *limit).map(RemovalReason::Count),
            self.bytes.filter(|limit| bytes > *limit).map(RemovalReason::Bytes),
            self.free
                .filter(|limit| free.is_some_and(|free| free < *limit))
                .map(RemovalReason::Free),
        ];
        broken.into_iter().flatten().next()
    }

    /// What goes so that a new bundle has `bytes` more room; nothing where all that may go has not as much,
    /// for then it would go in vain. Nothing without any limit either, because then the operator has not
    /// said that anything may go.
    pub fn room<'a>(&self, bundles: &'a [Stored], bytes: u64) -> Vec<&'a Stored> {
        let (mut going, mut queue, mut room) = (Vec::new(), Queue::of(bundles), 0_u64);
        while room < bytes {
            let Some(next) = queue.next(None).filter(|_| self.has_limits()) else {
                return Vec::new();
            };
            room = room.saturating_add(next.bytes);
            going.push(next);
        }
        going
    }
}

/// Bundles that may go.
struct Queue<'a> {
    /// Those that are not marked, oldest first.
    loose: Vec<&'a Stored>,
    /// Names of those that are the first of their kind, also of a marked one.
    firsts: HashSet<&'a str>,
}

impl<'a> Queue<'a> {
    fn of(bundles: &'a [Stored]) -> Self {
        let mut kinds = HashSet::new();
        let firsts = bundles.iter().filter(|bundle| kinds.insert(&*bundle.kind));
        Self {
            firsts: firsts.map(|bundle| &*bundle.name).collect(),
            loose: bundles.iter().filter(|bundle| !bundle.kept).collect(),
        }
    }

    /// Takes out what goes next; never the one called `stays`.
    fn next(&mut self, stays: Option<&str>) -> Option<&'a Stored> {
        let mut number: HashMap<&str, usize> = HashMap::new();
        self.loose.iter().for_each(|bundle| *number.entry(&bundle.kind).or_default() += 1);
        let rank = |bundle: &Stored| {
            let is_first = self.firsts.contains(&*bundle.name);
            (is_first, if is_first { 0 } else { usize::MAX - number[&*bundle.kind] })
        };
        let may = self.loose.iter().enumerate().filter(|(_, bundle)| Some(&*bundle.name) != stays);
        let (next, _) = may.min_by_key(|(place, bundle)| (rank(bundle), *place))?;
        Some(self.loose.remove(next))
    }
}

/// Zero for one from the future.
fn age_of(bundle: &Stored, now: Wall) -> Duration {
    Duration::from_nanos(now.0.saturating_sub(bundle.time.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000_000_000;
    const NOW: Wall = Wall(1_000 * DAY);

    /// A bundle called by its age in days, of so many bytes.
    fn bundle(days: u64, bytes: u64, kept: bool) -> Stored {
        Stored {
            name: days.to_string(),
            path: days.to_string().into(),
            time: Wall(NOW.0.saturating_sub(days * DAY)),
            kind: String::new(),
            object: None,
            sentence: String::new(),
            seconds: 1.0,
            covered_seconds: 1.0,
            interfaces: Vec::new(),
            frames: 0,
            folded: 0,
            bytes,
            kept,
            report: false,
        }
    }

    fn names(bundles: &[&Stored]) -> String {
        bundles.iter().map(|bundle| bundle.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_oldest_go_first_until_every_limit_holds() {
        let days = |n: u64| Duration::from_secs(n * 86_400);
        let none = Options::default();
        // name, limits, free, ages of those that go; six of 10 bytes each and one kind, 9 to 4 days old, the
        // second oldest is marked
        for (name, options, free, expected) in [
            ("no limit", none, Some(0), ""),
            ("enough", Options { count: Some(5), bytes: Some(50), ..none }, None, ""),
            ("the marked and the first stay", Options { count: Some(3), ..none }, None, "7 6"),
            ("bytes, too", Options { bytes: Some(29), ..none }, None, "7 6 5"),
            (
                "the newest stays, the first goes last",
                Options { count: Some(1), bytes: Some(1), ..none },
                None,
                "7 6 5 9",
            ),
            ("but not for ever", Options { age: Some(days(3)), ..none }, None, "9 7 6 5 4"),
            ("age", Options { age: Some(days(6)), ..none }, None, "9 7"),
            ("free space", Options { free: Some(100), ..none }, Some(85), "7 6"),
            ("room unknown", Options { free: Some(100), ..none }, None, ""),
            ("no room at all", Options { free: Some(u64::MAX), ..none }, Some(0), "7 6 5 9"),
            (
                "the strictest wins",
                Options { count: Some(4), bytes: Some(25), age: Some(days(5)), free: Some(1) },
                Some(1),
                "9 7 6",
            ),
        ] {
            let bundles: Vec<_> = (4..=9).rev().map(|age| bundle(age, 10, age == 8)).collect();
            let gone = options.excess(&bundles, Some(NOW), free);
            let gone: Vec<_> = gone.into_iter().map(|(bundle, _)| bundle).collect();
            assert_eq!(names(&gone), expected, "{name}");
        }
        let kept = [bundle(9, 10, true)];
        let all = Options { count: Some(1), age: Some(days(1)), ..none };
        assert!(all.excess(&kept, Some(NOW), None).is_empty() && all.room(&kept, 1).is_empty());
        let age = Options { age: Some(days(1)), ..none };
        let old = [bundle(9, 1, false)];
        assert!(age.excess(&old, Some(Wall(0)), None).is_empty(), "a clock behind");
        assert!(age.excess(&old, None, None).is_empty(), "a clock that cannot be believed");
    }

    /// M6 of the security review: a kind that comes again and again pushed the first, true one out.
    #[test]
    fn a_flood_of_one_kind_pushes_out_its_own_bundles() {
        let of = |days: u64, kind: &str| Stored { kind: kind.into(), ..bundle(days, 10, false) };
        let mut bundles = vec![of(30, "link-down"), of(29, "log-match"), of(28, "link-down")];
        bundles.extend((1..=20).rev().map(|days| of(days, "log-match")));
        let limits = Options { count: Some(4), ..Options::default() };
        let gone = limits.excess(&bundles, Some(NOW), None);
        let gone: Vec<_> = gone.into_iter().map(|(bundle, _)| bundle).collect();
        assert_eq!(gone.len(), 19);
        assert!(gone.iter().all(|bundle| bundle.kind == "log-match" || bundle.name == "28"));
        let stays = |days: u64| gone.iter().all(|bundle| bundle.name != days.to_string());
        assert!(stays(30) && stays(29) && stays(1), "{}", names(&gone));
    }

    /// F1 of the faults: a full disk emptied the store, and the new bundle did not fit either.
    #[test]
    fn nothing_goes_for_a_bundle_that_would_not_fit_even_then() {
        let bundles: Vec<_> = (4..=9).rev().map(|age| bundle(age, 10, age == 8)).collect();
        let some = Options { count: Some(100), ..Options::default() };
        for (needed, goes) in [(0, ""), (1, "7"), (10, "7"), (11, "7 6"), (50, "7 6 5 4 9")] {
            assert_eq!(names(&some.room(&bundles, needed)), goes, "{needed}");
        }
        assert_eq!(names(&some.room(&bundles, 51)), "", "it does not help");
        assert_eq!(names(&Options::default().room(&bundles, 1)), "", "nobody said that any may go");
    }

    #[test]
    fn a_limit_that_keeps_nothing_is_refused() {
        let refused = Options { age: Some(Duration::ZERO), ..Options::default() }.check();
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("--keep-age \"0\"") && refused.contains("30d"), "{refused}");
        let some =
            Options { count: Some(1), age: Some(Duration::from_secs(7_200)), ..Options::default() };
        some.check().unwrap();
        assert_eq!(some.to_string(), "at most 1 bundles, none older than 2 h");
        assert_eq!(Options::default().to_string(), "all of them");
    }
}
