//! Memory that a recording takes beside what it obtains for frames: told at its start, and checked by `doctor`.

/// The program, its threads, a bundle and its report being written, in bytes: 50 MiB under every flood at once
/// (`tests/it/memory.rs`).
pub const BESIDE: u64 = 64 << 20;

/// Thread and tables of detectors of one interface, in bytes: 1.7 to 2.7 MiB each of two hundred. An interface
/// that is gone gives them back, within a minute.
pub const INTERFACE: u64 = 3 << 20;

/// The segment of each lane that is read while a bundle is written, as it was recorded and unpacked, in bytes: 1 to
/// 2 MiB.
pub const LANE: u64 = 2 << 20;

/// Interfaces that are gone, in bytes: the tables of the eight that left last, for a minute, and 82 KiB for each of
/// up to 256.
pub const GONE: u64 = 48 << 20;
