//! What the tests of this room share.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
pub(super) const BOUND: Duration = Duration::from_secs(30);

/// Waits until it `is` so, or fails.
pub(super) fn until(wanted: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !is() {
        assert!(Instant::now() < deadline, "not in time: {wanted}");
        thread::sleep(Duration::from_millis(5));
    }
}
