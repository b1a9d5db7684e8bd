//! How long the memory is: so long as wanted where it fits into what the operator allows, else shorter.

use std::fmt;
use std::time::Duration;

use super::rows::slot_bytes;
use crate::error::{Error, Result};
use crate::words::rough;

/// Rows of a second that are kept: an hour.
const SECONDS: usize = 3_600;
/// Rows of a minute that are kept: a week.
const MINUTES: usize = 7 * 24 * 60;
/// Rows of a minute below which there is nothing to compare with: an hour. Less memory than that makes none.
const FEWEST_MINUTES: usize = 60;
/// Interfaces that may come beside those of the start; when there are more, one that is gone makes room.
const LATER: usize = 2;

/// How much memory there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// At most so many bytes; zero for no long memory.
    pub memory: u64,
}

impl Default for Options {
    /// Two interfaces with two classes, and two that come later, for the whole hour and week.
    fn default() -> Self {
        Self { memory: 8 << 20 }
    }
}

impl Options {
    /// Largest memory in bytes: some five hundred interfaces for the whole week.
    const MOST: u64 = 1 << 30;

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is more than anybody needs.
    pub fn check(&self) -> Result<()> {
        if self.memory <= Self::MOST {
            return Ok(());
        }
        Err(Error::usage(
            "--traffic-memory",
            self.memory.to_string(),
            "the long memory of traffic is obtained at the start and fixed",
            "0 (none) to 1GiB",
        ))
    }
}

/// How many columns, and how many rows of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Columns: interfaces times classes.
    pub(super) columns: usize,
    /// Rows of a second.
    pub(super) seconds: usize,
    /// Rows of a minute.
    pub(super) minutes: usize,
}

impl Shape {
    /// For so many interfaces of so many classes; none where the memory is too small to be of use.
    pub fn within(options: Options, interfaces: usize, classes: usize) -> Option<Self> {
        let columns = (interfaces + LATER) * classes;
        let fits = usize::try_from(options.memory).unwrap_or(usize::MAX) / slot_bytes(columns);
        let all = SECONDS + MINUTES;
        let part = |rows: usize| if fits >= all { rows } else { rows * fits / all };
        let shape = Self { columns, seconds: part(SECONDS), minutes: part(MINUTES) };
        (shape.minutes >= FEWEST_MINUTES).then_some(shape)
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> u64 {
        ((self.seconds + self.minutes) * slot_bytes(self.columns)) as u64
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [seconds, minutes] = [self.seconds, self.minutes * 60]
            .map(|seconds| rough(Duration::from_secs(seconds as u64)));
        write!(f, "a row a second for {seconds} and a row a minute for {minutes}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_long_as_wanted_or_as_fits_and_never_larger_than_allowed() {
        let usual = Options::default();
        let two = Shape::within(usual, 2, 2).unwrap();
        assert_eq!((two.seconds, two.minutes, two.columns), (3_600, 10_080, 8));
        assert_eq!(two.to_string(), "a row a second for 60 min and a row a minute for 7 d");
        let one = Shape::within(usual, 1, 2).unwrap();
        assert!(one.bytes() < two.bytes(), "no more than is asked for");
        let many = Shape::within(usual, 20, 3).unwrap();
        assert_eq!(many.to_string(), "a row a second for 8 min and a row a minute for 22 h");
        for interfaces in 0..300 {
            if let Some(shape) = Shape::within(usual, interfaces, 4) {
                assert!(shape.bytes() <= usual.memory, "{interfaces}: {shape:?}");
            }
        }
        assert_eq!(Shape::within(Options { memory: 0 }, 2, 2), None);
        assert_eq!(Shape::within(usual, 1_000, 4), None, "nothing to compare with");
        assert!(Options { memory: 2 << 30 }.check().is_err() && usual.check().is_ok());
    }
}
