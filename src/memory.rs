//! Memory that a recording takes beside what it obtains for frames: told at its start, and checked by `doctor`.

/// The program, its threads, a bundle and its report being written, in bytes: 50 MiB under every flood at once
/// (`tests/it/memory.rs`).
pub const BESIDE: u64 = 64 << 20;

/// Thread and tables of detectors of one interface, in bytes: 1.7 to 2.7 MiB each of two hundred. An interface
/// that is gone keeps them until it comes back.
pub const INTERFACE: u64 = 3 << 20;
