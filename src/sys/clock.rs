//! Reads both clocks of the kernel; [`crate::time`] is the only caller.

use std::time::Duration;

use crate::time::{Mono, Stamp, Wall};

/// CLOCK_MONOTONIC and CLOCK_REALTIME, read one after the other (clock_gettime(2), no system call
/// thanks to the vDSO).
pub(crate) fn read() -> Stamp {
    Stamp { mono: Mono(nanos(libc::CLOCK_MONOTONIC)), wall: Wall(nanos(libc::CLOCK_REALTIME)) }
}

/// CLOCK_BOOTTIME beyond CLOCK_MONOTONIC: time in suspend (clock_gettime(2)).
pub(crate) fn asleep() -> Duration {
    let monotonic = nanos(libc::CLOCK_MONOTONIC);
    Duration::from_nanos(nanos(libc::CLOCK_BOOTTIME).saturating_sub(monotonic))
}

fn nanos(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that outlives the call, which writes nothing else. Both
    // clocks exist on every Linux, so the call cannot fail, and a failure would leave zero.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
