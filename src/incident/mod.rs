//! The happening, from frozen memory to a directory that explains itself.
//!
//! An [`Incident`] is everything known about one happening when its window has closed: pinned frames,
//! observations, counts, what the host said. It promises to be complete: writing it asks nobody
//! anything any more. The rooms of this module turn it into a bundle:
//!
//! ```text
//!   Incident ─► writer (a thread: waiting incidents, retries, outcomes)
//!                 └► bundle ── store (the output directory: one partial directory, renamed when whole)
//!                      ├► capture.pcapng.zst  merge, journal ─► pcapng
//!                      ├► timeline.csv        timeline
//!                      ├► traffic.csv         the long memory (crate::traffic), while it is written
//!                      ├► events.jsonl        events
//!                      ├► system/             system (asked at the trigger)
//!                      ├► report.html, .txt   secured (made from the above, once that is safe)
//!                      └► manifest.json       manifest (last: it knows the others' sums)
//! ```
//!
//! Nothing here ever touches capture or the ring's writing side; frames are read through
//! [`Slice`], whose pages stay pinned until the incident is dropped.

pub mod bundle;
pub mod clock_reading;
pub mod coverage;
pub mod earlier;
pub mod events;
pub mod fetched;
#[cfg(test)]
#[path = "../../tests/lab/incident.rs"]
pub(crate) mod fixture;
pub mod fleet;
pub mod folder;
pub mod journal;
pub mod layout;
pub mod manifest;
pub mod merge;
pub mod moment;
pub mod name;
pub mod onset;
pub mod partial;
pub mod pcapng;
pub mod progress;
pub mod recovered;
pub mod runs;
pub mod secured;
pub mod spool;
pub mod store;
pub mod system;
pub mod timeline;
pub mod verify;
pub mod writer;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use self::clock_reading::ClockReading;
use crate::frame::Origin;
use crate::observation::kept::Kept;
use crate::ring::{LaneCounters, Slice};
use crate::stats::CaptureStats;
use crate::time::{Mono, Offset, Stamp, Wall, Window};
use crate::traffic::TrafficMemory;
use crate::trigger::{Tally, Trigger};

/// One happening, closed and ready to be written.
#[derive(Debug)]
pub struct Incident {
    /// What opened it; its moment separates pre from post.
    pub opened_by: Trigger,
    /// What happened again inside the open incident and extended it, in order.
    pub extended_by: Vec<Trigger>,
    /// Triggers that came as well, too many to keep each.
    pub further_triggers: u64,
    /// All of them, counted by kind and object in order of their first; of a storm of many objects the
    /// first ones only.
    pub trigger_counts: Vec<Tally>,
    /// The window that was asked for when it opened: the trigger less pre, the trigger and post.
    pub window_asked: Window,
    /// The window it was closed with: later at the end if extended, earlier if cut.
    pub window: Window,
    /// Why the window ends where it ends.
    pub ending: Ending,
    /// From the observation of the trigger until its slices were pinned.
    pub pinned_after: Duration,
    /// When the counts below were read, after the last slice was pinned.
    pub closed: Stamp,
    /// One per captured interface, also where nothing was captured.
    pub tracks: Vec<Track>,
    /// What watchers saw: inside the window in order of `at`, and before these the last known state of
    /// each interface and probe when the window opened.
    pub observations: Vec<Kept>,
    /// Observations that watchers or the recorder had to drop.
    pub observations_missed: u64,
    /// What watchers cannot tell here, a sentence each.
    pub limitations: Vec<String>,
    /// The probes as configured, in the operator's order: the timeline's columns.
    pub probes: Vec<String>,
    /// What the system said at the trigger.
    pub system: Vec<SystemFile>,
    /// The machine.
    pub host: Host,
    /// What its kernel knew of the wall clock, at the trigger and at the close; empty where nobody asked it.
    pub clock: Vec<ClockReading>,
    /// The settings in force, as the operator would write them.
    pub settings: serde_json::Value,
    /// What passed for an hour and for a week before; none where that is not known.
    pub traffic: Option<TrafficMemory>,
    /// Where it comes from if no recorder closed it.
    pub recovered: Option<recovered::Recovered>,
    /// The recording before this one, if the window reaches back to it.
    pub earlier: Option<earlier::EarlierRecording>,
    /// Why other hosts wanted it; empty where none did.
    pub fleet: Vec<fleet::FleetReason>,
    /// Its frames on the disk, if they were brought there before it was closed.
    pub spool: Option<spool::Spool>,
}

/// Why an incident's window ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ending {
    /// The post-trigger window was over.
    OnTime,
    /// Further triggers wanted more, but the limit of extension was reached.
    Limit,
    /// It was cut short.
    Cut {
        /// By what: "a stop signal".
        by: String,
    },
}

/// What was captured on one interface.
#[derive(Debug)]
pub struct Track {
    /// The binding in force at the end, or the last one. Frames carry their own: a re-created
    /// interface has several.
    pub origin: Arc<Origin>,
    /// When recording of this interface began; the counts start here.
    pub since: Stamp,
    /// The frames, class by class.
    pub classes: Vec<ClassTrack>,
    /// Counts since `since`, read when the incident was closed.
    pub stats: CaptureStats,
    /// How it was captured: "packet ring", "pnet".
    pub source: String,
    /// What this source cannot know, a sentence each.
    pub unknowns: Vec<String>,
    /// The filter in libpcap's syntax.
    pub filter: Option<String>,
    /// Interfaces that lie upon it, and upon which it lies: its bond or bridge, VLANs. None where nobody knows.
    pub relatives: Option<Vec<String>>,
}

/// What was captured of one class on one interface.
#[derive(Debug)]
pub struct ClassTrack {
    /// Name of the class.
    pub name: Arc<str>,
    /// Its frames.
    pub slice: Slice,
    /// Counts since recording began.
    pub counters: LaneCounters,
    /// Memory that no other class can take from it, in bytes.
    pub quota: u64,
}

impl Track {
    /// From here on everything that was stored is there, of every class.
    pub fn covered_from(&self) -> Option<Mono> {
        self.classes.iter().map(|class| class.slice.covered_from()).max()
    }
}

/// One file of a bundle's `system/` directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemFile {
    /// Its name, without directory.
    pub name: String,
    /// Its content, or one line that says why there is none.
    pub content: Vec<u8>,
}

/// The machine that was watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Host name (`/proc/sys/kernel/hostname`).
    pub name: String,
    /// Kernel release (`/proc/sys/kernel/osrelease`), as `uname -r` prints it.
    pub kernel: String,
    /// Processor architecture, as Rust names it: "x86_64".
    pub architecture: String,
    /// Changes with every boot (`/proc/sys/kernel/random/boot_id`); with it monotonic times of
    /// different bundles can be compared.
    pub boot_id: String,
}

impl Host {
    /// Asks the kernel; what it does not tell is empty.
    pub fn read() -> Self {
        let kernel = |name: &str| {
            fs::read_to_string(format!("/proc/sys/kernel/{name}"))
                .map(|text| text.trim().to_owned())
                .unwrap_or_default()
        };
        Self {
            name: kernel("hostname"),
            kernel: kernel("osrelease"),
            architecture: std::env::consts::ARCH.to_owned(),
            boot_id: kernel("random/boot_id"),
        }
    }
}

impl Incident {
    /// Every trigger in order, the opening one first.
    pub fn triggers(&self) -> impl Iterator<Item = &Trigger> {
        std::iter::once(&self.opened_by).chain(&self.extended_by)
    }

    /// The distance of the clocks when the trigger was observed: how window edges, which are
    /// monotonic, are told to people.
    pub fn offset(&self) -> Offset {
        self.opened_by.at.offset()
    }

    /// A monotonic moment on both clocks, by [`Incident::offset`].
    pub fn stamp(&self, mono: Mono) -> Stamp {
        Stamp { mono, wall: self.wall(mono) }
    }

    fn wall(&self, mono: Mono) -> Wall {
        self.offset().wall(mono)
    }

    /// The name its bundle gets: when, what and to whom, `2026-11-22T14-14-20.811Z_link-down_eth0`.
    /// Safe as a file name whatever the object is called.
    pub fn name(&self) -> String {
        name::name_of(&self.opened_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_named_by_time_kind_and_object() {
        let incident = fixture::Story::new().incident();
        assert_eq!(incident.name(), "2026-11-22T14-14-20.811Z_link-down_dp0bond0");
    }

    #[test]
    fn the_host_is_known() {
        let host = Host::read();
        assert!(!host.kernel.is_empty() && host.boot_id.len() == 36, "{host:?}");
    }
}
