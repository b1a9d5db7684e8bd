//! Pauses between tries of what fails: each twice the one before, up to a longest.

use std::time::Duration;

/// The pauses to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// The first pause: what fails for a moment works again by then.
    pub const FIRST: Duration = Duration::from_secs(1);

    /// Pauses from [`Backoff::FIRST`] to `longest`.
    pub fn up_to(longest: Duration) -> Self {
        Self { next: Self::FIRST.min(longest), longest }
    }

    /// How long the next pause will be.
    pub fn next(&self) -> Duration {
        self.next
    }

    /// The next pause; the one after it is longer.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        pause
    }

    /// It worked: the next pause is the first one again.
    pub fn reset(&mut self) {
        *self = Self::up_to(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_until_it_works() {
        let mut backoff = Backoff::up_to(Duration::from_secs(6));
        let mut pauses = || backoff.pause().as_secs();
        assert_eq!([pauses(), pauses(), pauses(), pauses(), pauses()], [1, 2, 4, 6, 6]);
        backoff.reset();
        assert_eq!(backoff.pause(), Backoff::FIRST);
    }
}
