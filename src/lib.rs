//! dashcap: a dashcam for network interfaces.
//!
//! It records every frame into a fixed amount of memory, all the time, and keeps nothing on disk, until
//! something fails. Then it freezes the seconds before and after into a small directory that explains
//! itself. Two roads meet in the recorder:
//!
//! ```text
//!  wire ─► capture ─► ring (a lane per class, fixed memory) ────────── slice (pins, copies nothing) ─┐
//!          cap/IF │    fold, open ─► sealed ─► packed ─► faded ─► evicted                            ▼
//!                 └─ tap ─► detect ─► finding ─┐                         recorder ─► incident ─► bundle
//!  host ─► watch ─────────► observation ───────┴─► trigger (rule, gate) ─▲  (phase)    writer      on disk
//!          link, ip, sysfs, logs, probes, signal, config   api: control socket, HTTP, trigger directory
//! ```
//!
//! A capture file takes the same road (`replay`): its frames and what its host saw pass the same lanes,
//! detectors, rules and phases, in their own time.
//!
//! Beside the ring lies a long memory of what passed (`traffic`): counts a second and a minute, not frames.
//!
//! Beside the roads: `frames` sends what memory has to whoever asks; `report`, `cut` and `thin` read what was recorded, by anybody; `export` tells other
//! hosts and `hook` runs the operator's programs; `privilege` gives up what is not needed, `service` speaks
//! to the service manager; `doctor` looks at a machine, `top` at a running dashcap.
//!
//! | thread | does | waits for |
//! |---|---|---|
//! | `cap/IF` | reads kernel blocks, appends to its lanes, taps them, answers hold and slice | frames, never anybody |
//! | `cap/waiting` | answers for interfaces that are gone, opens them when they are back | their wake-ups, a tick |
//! | `pack` | packs sealed segments, fades old ones | lanes that ask |
//! | `watch/NAME` | sees one kind of thing, sends observations | its descriptor or its interval |
//! | `watch/detect` | judges what the taps say, sends findings | a wakeup, once a block |
//! | main (recorder) | judges, opens and closes incidents | observations, deadlines |
//! | `frames` | sends a client frames out of memory, up to four of them | captures, its client |
//! | `notify-rs…` | inotify for the trigger directory (crate `notify`) | files |
//! | `api` | serves the control socket, HTTP, metrics and the live page, exports, asks the recorder | clients, far hosts, the recorder's answers |
//! | `system` | asks the host at a trigger | programs, seconds at most |
//! | `spool` | brings frames of the open incident to the disk | captures, the disk |
//! | `writer` | turns incidents into bundles | incidents, the disk |
//! | `notify` | at the end, asks the service manager for time to write | the writer |
//! | `hook/ask` | hands requests to the runner, another process that runs the operator's programs | the runner |
//!
//! What always holds:
//!
//! 1. Capture never waits: not for the disk, a reader, or a lock somebody else holds. Lanes belong to
//!    their capture thread; whoever wants something of it asks.
//! 2. Memory is fixed: obtained and touched at the start; pinned evidence is never overwritten before it is
//!    safe on the disk, new frames are dropped and counted instead.
//! 3. Every way to lose something has a name and a count ([`stats::CaptureStats`]), shown also when it
//!    is zero.
//! 4. Decisions are pure and are told the time; only [`time`] reads clocks, and only `sys` is unsafe.
//! 5. Bundles appear by rename, whole or not at all.
//! 6. Threads are made after privileges were given up ([`privilege`]); none has more than it needs.

// What unit tests and stories share calls us by our name.
#[cfg(test)]
extern crate self as dashcap;

pub mod api;
pub mod backoff;
pub mod capture;
pub mod capture_file;
pub mod cli;
pub mod cut;
pub mod detect;
pub mod doctor;
pub mod error;
pub mod export;
pub mod feature;
pub mod finding;
pub mod fleet;
pub mod frame;
pub mod frames;
pub mod hook;
#[cfg(test)]
mod house;
pub mod incident;
#[cfg(test)]
mod lab;
pub mod memory;
pub mod observation;
pub mod privilege;
pub mod recorder;
pub mod report;
pub mod ring;
pub mod secret;
pub mod service;
pub mod stats;
pub mod sys;
pub mod thin;
pub mod time;
#[cfg(feature = "top")]
pub mod top;
pub mod traffic;
pub mod trigger;
pub mod visible;
pub mod watch;
pub mod wire;
pub mod words;

/// Name and version, as files and other programs are told.
pub const APPLICATION: &str = concat!("dashcap ", env!("CARGO_PKG_VERSION"));
