//! How long bundles stay: which of them a limit asks to go, oldest first.
//!
//! Without a limit nothing ever goes. Marked bundles stay and do not count; the newest one stays whatever
//! the limits of number, size and space say, because it is what the operator was waited for, and goes
//! only by age. Pure: told what there is, what time it is and how much room the disk has.

use std::fmt;
use std::time::Duration;

use super::listing::Stored;
use crate::error::{Error, Result};
use crate::time::Wall;

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
pub enum Why {
    /// More than that many.
    Count(u64),
    /// More than that many bytes.
    Bytes(u64),
    /// Older than that.
    Age(Duration),
    /// Less than that many bytes are free.
    Free(u64),
    /// A new one does not fit.
    Full,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "keep_count is {count}"),
            Self::Bytes(bytes) => write!(f, "keep_bytes is {bytes}"),
            Self::Age(age) => write!(f, "keep_age is {}", crate::time::rough(*age)),
            Self::Free(bytes) => write!(f, "keep_free is {bytes}"),
            Self::Full => f.write_str("the disk is full, and a new bundle is worth more"),
        }
    }
}

/// `at most 200 bundles, none older than 90 d`.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes| bytesize::ByteSize(bytes).display().iec();
        let limits = [
            self.count.map(|count| format!("at most {count} bundles")),
            self.bytes.map(|bytes| format!("at most {} of them", size(bytes))),
            self.age.map(|age| format!("none older than {}", crate::time::rough(age))),
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

    /// What must go of `bundles`, which are in order, oldest first; `free` are the bytes that the disk
    /// has left, none where that is not known.
    pub fn excess<'a>(
        &self,
        bundles: &'a [Stored],
        now: Wall,
        free: Option<u64>,
    ) -> Vec<(&'a Stored, Why)> {
        let newest = bundles.last().map(|bundle| &bundle.name);
        let loose = || bundles.iter().filter(|bundle| !bundle.kept);
        let mut count = loose().count() as u64;
        let mut bytes = loose().map(|bundle| bundle.bytes).fold(0, u64::saturating_add);
        let mut free = free;
        let mut excess = Vec::new();
        for bundle in loose() {
            let is_newest = Some(&bundle.name) == newest;
            let old = self.age.filter(|age| age_of(bundle, now) > *age).map(Why::Age);
            let much = [
                self.count.filter(|limit| count > *limit).map(Why::Count),
                self.bytes.filter(|limit| bytes > *limit).map(Why::Bytes),
                self.free.filter(|limit| free.is_some_and(|free| free < *limit)).map(Why::Free),
            ];
            let much = much.into_iter().flatten().find(|_| !is_newest);
            let Some(why) = old.or(much) else { continue };
            count -= 1;
            bytes = bytes.saturating_sub(bundle.bytes);
            free = free.map(|free| free.saturating_add(bundle.bytes));
            excess.push((bundle, why));
        }
        excess
    }

    /// What goes first when a new bundle does not fit: the oldest; nothing without any limit, because
    /// then the operator has not said that anything may go.
    pub fn first<'a>(&self, bundles: &'a [Stored]) -> Option<&'a Stored> {
        bundles.iter().find(|bundle| !bundle.kept).filter(|_| self.has_limits())
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

    #[test]
    fn the_oldest_go_first_until_every_limit_holds() {
        let days = |n: u64| Duration::from_secs(n * 86_400);
        let none = Options::default();
        // name, limits, free, ages of those that go; six of 10 bytes each, 9 to 4 days old, the second
        // oldest is marked
        for (name, options, free, expected) in [
            ("no limit", none, Some(0), ""),
            ("enough", Options { count: Some(5), bytes: Some(50), ..none }, None, ""),
            ("count passes the marked over", Options { count: Some(3), ..none }, None, "9 7"),
            ("bytes, too", Options { bytes: Some(29), ..none }, None, "9 7 6"),
            (
                "the newest stays",
                Options { count: Some(1), bytes: Some(1), ..none },
                None,
                "9 7 6 5",
            ),
            ("but not for ever", Options { age: Some(days(3)), ..none }, None, "9 7 6 5 4"),
            ("age", Options { age: Some(days(6)), ..none }, None, "9 7"),
            ("free space", Options { free: Some(100), ..none }, Some(85), "9 7"),
            ("room unknown", Options { free: Some(100), ..none }, None, ""),
            ("no room at all", Options { free: Some(u64::MAX), ..none }, Some(0), "9 7 6 5"),
            (
                "the strictest wins",
                Options { count: Some(4), bytes: Some(45), age: Some(days(5)), free: Some(1) },
                Some(1),
                "9 7 6",
            ),
        ] {
            let bundles: Vec<_> = (4..=9).rev().map(|age| bundle(age, 10, age == 8)).collect();
            let gone = options.excess(&bundles, NOW, free);
            let gone: Vec<_> = gone.iter().map(|(bundle, _)| bundle.name.as_str()).collect();
            assert_eq!(gone.join(" "), expected, "{name}");
            let first = options.first(&bundles).map(|bundle| bundle.name.as_str());
            assert_eq!(first, options.has_limits().then_some("9"), "{name}");
        }
        let kept = [bundle(9, 10, true)];
        let all = Options { count: Some(1), age: Some(days(1)), ..none };
        assert!(all.excess(&kept, NOW, None).is_empty() && all.first(&kept).is_none());
        let future = Options { age: Some(days(1)), ..none };
        assert!(future.excess(&[bundle(9, 1, false)], Wall(0), None).is_empty(), "a clock behind");
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
