//! Chance, so that ten thousand hosts do not knock at once: not for secrets.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// A time from zero to `most`.
pub(super) fn up_to(most: Duration) -> Duration {
    // Keys of the system, another each time.
    let chance = RandomState::new().build_hasher().finish();
    most.mul_f64(chance as f64 / u64::MAX as f64)
}

/// A word that nobody has used before.
pub(super) fn word() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lie_within_and_differ() {
        let most = Duration::from_secs(60);
        let times: Vec<_> = (0..100).map(|_| up_to(most)).collect();
        assert!(times.iter().all(|time| *time <= most));
        assert!(
            times.iter().any(|time| *time < most / 2) && times.iter().any(|time| *time > most / 2)
        );
        assert_ne!(word(), word());
    }
}
