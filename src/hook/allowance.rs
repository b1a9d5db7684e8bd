//! How often a hook may run: pure, told the time.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Mono;

/// So many runs within so long, counted over any stretch of that length.
#[derive(Debug)]
pub(super) struct Allowance {
    at_most: usize,
    per: Duration,
    /// The last `at_most` runs.
    ran: VecDeque<Mono>,
}

impl Allowance {
    pub(super) fn new(at_most: u32, per: Duration) -> Self {
        let at_most = usize::try_from(at_most).unwrap_or(usize::MAX);
        Self { at_most, per, ran: VecDeque::new() }
    }

    /// Takes one run.
    ///
    /// # Errors
    /// How long until there is one again.
    pub(super) fn take(&mut self, now: Mono) -> Result<(), Duration> {
        while self.ran.front().is_some_and(|first| now.since(*first) >= self.per) {
            self.ran.pop_front();
        }
        match self.ran.front() {
            Some(first) if self.ran.len() >= self.at_most => Err(first.plus(self.per).since(now)),
            _ => {
                self.ran.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_within_so_long() {
        let second = |n: u64| Mono(n * 1_000_000_000);
        let mut allowance = Allowance::new(2, Duration::from_secs(60));
        for (at, waits) in [
            (0, None),
            (10, None),
            (20, Some(40)),
            (59, Some(1)),
            (60, None),
            (69, Some(1)),
            (70, None),
        ] {
            let waits = waits.map(Duration::from_secs);
            assert_eq!(allowance.take(second(at)).err(), waits, "at {at} s");
        }
        let mut free = Allowance::new(1, Duration::ZERO);
        assert!((0..5).all(|_| free.take(second(1)).is_ok()), "no time, no limit");
    }
}
