//! So many bytes a second, evenly: a fetch must never be what fills somebody's uplink.

use std::time::Duration;

use crate::time::Mono;

/// A rate. Pure, told the time.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes.
    per_second: u64,
    free: Mono,
}

impl Pace {
    /// So many bytes a second, from now on.
    pub fn of(per_second: u64) -> Self {
        Self { per_second: per_second.max(1), free: Mono(0) }
    }

    /// Takes so many bytes, and tells how long they have to wait: until those before them have had their time.
    pub fn take(&mut self, bytes: u64, now: Mono) -> Duration {
        let begin = self.free.max(now);
        self.free = begin.plus(Duration::from_secs_f64(bytes as f64 / self.per_second as f64));
        begin.since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_for_those_before_them() {
        let second = Duration::from_secs(1);
        let now = Mono(7_000_000_000);
        let mut pace = Pace::of(1_000);
        assert_eq!(pace.take(500, now), Duration::ZERO);
        assert_eq!(pace.take(2_000, now), second / 2);
        assert_eq!(pace.take(1, now.plus(second)), second * 3 / 2);
        assert_eq!(
            pace.take(1, now.plus(second * 60)),
            Duration::ZERO,
            "what was not used is gone"
        );
        assert_eq!(Pace::of(0).take(1, now), Duration::ZERO);
    }
}
