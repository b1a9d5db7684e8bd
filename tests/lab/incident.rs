//! Incidents for tests, told in a few words.
//!
//! Time begins at [`MONO`], which is 2026-11-22T14:14:20.811089123Z: the moment the incident of the
//! design page was noticed. Unit tests and stories share them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use dashcap::frame::{
    Direction, Frame, FrameHeader, LinkType, Origin, Reception, StampClock, StoredFrame,
};
use dashcap::incident::{ClassTrack, Ending, Host, Incident, SystemFile, Track};
use dashcap::observation::kept::{Kept, KeptBytes};
use dashcap::observation::link::{LinkSample, LinkState, OperState};
use dashcap::observation::{Fact, Observation};
use dashcap::ring::{Lane, LaneCounters, LaneId, LaneOptions, Pool, PoolOptions, Slice};
use dashcap::stats::CaptureStats;
use dashcap::time::{Mono, Offset, Stamp, Wall, Window};
use dashcap::trigger::{Trigger, TriggerKind};

/// Where monotonic time begins, in nanoseconds.
pub(crate) const MONO: u64 = 1_000_000_000_000;
/// The wall clock at [`MONO`].
pub(crate) const WALL: u64 = 1_795_356_860_811_089_123;
/// One second in nanoseconds.
pub(crate) const S: u64 = 1_000_000_000;

/// `seconds` after the beginning.
pub(crate) fn at(seconds: u64) -> Stamp {
    Stamp { mono: Mono(MONO + seconds * S), wall: Wall(WALL + seconds * S) }
}

/// An Ethernet interface.
pub(crate) fn origin(interface: &str, index: u32) -> Origin {
    Origin {
        interface: interface.to_owned(),
        index,
        link_type: LinkType::ETHERNET,
        snaplen: 262_144,
        clock: StampClock::Software,
    }
}

/// A received frame at `mono`, stamped while the clocks had their first distance.
pub(crate) fn frame(origin: &Arc<Origin>, mono: Mono, bytes: &[u8]) -> StoredFrame {
    let header = FrameHeader {
        wall: at(0).offset().wall(mono),
        original_len: u32::try_from(bytes.len()).unwrap(),
        direction: Direction::Inbound,
        reception: Reception::Unicast,
    };
    let bytes = Bytes::copy_from_slice(bytes);
    StoredFrame { origin: Arc::clone(origin), header, mono, bytes, tally: None, faded: false }
}

fn state(interface: &str, (carrier, operstate): (bool, &str)) -> LinkState {
    LinkState {
        index: 7,
        name: interface.to_owned(),
        carrier: Some(carrier),
        operstate: if operstate == "up" { OperState::Up } else { OperState::Down },
        flags: LinkState::IFF_UP,
        ..LinkState::default()
    }
}

pub(crate) fn link(
    s: u64,
    interface: &str,
    before: (bool, &str),
    now: (bool, &str),
) -> Observation {
    let (before, now) = (Some(state(interface, before)), state(interface, now));
    Observation { at: at(s), fact: Fact::Link { before, now } }
}

pub(crate) fn sample(
    s: u64,
    interface: &str,
    carrier: Option<bool>,
    operstate: &str,
    age_ms: u64,
    changes: u64,
) -> Observation {
    let fact = Fact::Sample(LinkSample {
        interface: interface.to_owned(),
        carrier,
        operstate: operstate.to_owned(),
        age: Duration::from_millis(age_ms),
        changes,
    });
    Observation { at: at(s), fact }
}

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

pub(crate) fn answered(s: u64, probe: &str, micros: u64) -> Observation {
    let round_trip = Duration::from_micros(micros);
    let fact = Fact::ProbeAnswered { probe: probe.to_owned(), address: ADDRESS, round_trip };
    Observation { at: at(s), fact }
}

pub(crate) fn lost(s: u64, probe: &str, in_a_row: u32) -> Observation {
    let reason = "no answer in 1 s".to_owned();
    let (probe, waited) = (probe.to_owned(), Duration::from_secs(1));
    let fact = Fact::ProbeLost { probe, address: ADDRESS, in_a_row, waited, reason };
    Observation { at: at(s), fact }
}

/// A slice of a lane that records since `since` and has these frames, whatever their origins.
fn slice(origin: &Arc<Origin>, since: Mono, frames: Vec<StoredFrame>) -> Slice {
    let bytes: usize = frames.iter().map(|frame| 2 * frame.bytes.len() + 100).sum();
    let memory = PoolOptions::MIN_MEMORY + bytes as u64;
    let pool = Pool::new(&PoolOptions { memory, lock: false }).unwrap();
    let mut current = Arc::clone(frames.first().map_or(origin, |frame| &frame.origin));
    let mut lane = Lane::new(LaneId(0), pool, LaneOptions::AS_IS, Arc::clone(&current), since);
    for StoredFrame { origin, header, mono, bytes, .. } in frames {
        if current != origin {
            lane.begin(Arc::clone(&origin));
            current = origin;
        }
        lane.append(&Frame::whole(header, &bytes), Offset::of(Stamp { mono, wall: header.wall }));
    }
    lane.slice(Story::window(), None)
}

/// An incident in the making: a bond went down at second 0, window from -10 to +20 s.
pub(crate) struct Story {
    pub(crate) covered_from: Mono,
    pub(crate) observations: Vec<Observation>,
    tracks: Vec<Track>,
}

impl Story {
    pub(crate) fn new() -> Self {
        let covered_from = Self::window().from;
        Self { covered_from, observations: Vec::new(), tracks: Vec::new() }
    }

    pub(crate) fn window() -> Window {
        Window { from: Mono(MONO - 10 * S), to: Mono(MONO + 20 * S) }
    }

    /// Adds an interface with these frames, whose origin need not be this one.
    pub(crate) fn track(self, interface: &str, index: u32, frames: Vec<StoredFrame>) -> Self {
        self.track_of(Arc::new(origin(interface, index)), frames)
    }

    pub(crate) fn track_of(mut self, origin: Arc<Origin>, frames: Vec<StoredFrame>) -> Self {
        let stored = frames.len() as u64;
        let slice = slice(&origin, self.covered_from, frames);
        let stats = CaptureStats {
            kernel_received: Some(stored + 5),
            kernel_dropped: Some(2),
            waiting_in_kernel: Some(0),
            lane_dropped: 3,
            stored,
            ..CaptureStats::default()
        };
        self.tracks.push(Track {
            origin,
            since: Stamp { mono: Mono(MONO - 100 * S), wall: Wall(WALL - 100 * S) },
            classes: vec![ClassTrack {
                name: "data".into(),
                slice,
                counters: LaneCounters { stored, ..LaneCounters::default() },
                quota: 1 << 20,
            }],
            stats,
            source: "packet ring".to_owned(),
            unknowns: Vec::new(),
            filter: None,
            relatives: None,
        });
        self
    }

    pub(crate) fn seen(mut self, observations: Vec<Observation>) -> Self {
        self.observations = observations;
        self
    }

    pub(crate) fn incident(self) -> Incident {
        Incident {
            opened_by: Trigger {
                kind: TriggerKind::LinkDown,
                object: Some("dp0bond0".to_owned()),
                at: at(0),
                told_after: Duration::ZERO,
                sentence: "dp0bond0: DOWN, operstate up -> down".to_owned(),
            },
            extended_by: Vec::new(),
            further_triggers: 0,
            trigger_counts: Vec::new(),
            window_asked: Self::window(),
            window: Self::window(),
            ending: Ending::OnTime,
            pinned_after: Duration::from_micros(120),
            closed: at(20),
            tracks: self.tracks,
            observations: keep(self.observations),
            observations_missed: 0,
            limitations: Vec::new(),
            probes: vec!["192.0.2.1".to_owned()],
            system: vec![SystemFile { name: "uname.txt".into(), content: b"Linux\n".to_vec() }],
            host: Host {
                name: "router".to_owned(),
                kernel: "6.18.0".to_owned(),
                architecture: "x86_64".to_owned(),
                boot_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            },
            clock: Vec::new(),
            settings: serde_json::json!({"memory": "256MiB"}),
            traffic: None,
            recovered: None,
            earlier: None,
            fleet: Vec::new(),
            spool: None,
        }
    }
}

/// As history keeps them.
fn keep(observations: Vec<Observation>) -> Vec<Kept> {
    observations.into_iter().map(|seen| Kept::new(seen, &KeptBytes::default())).collect()
}
