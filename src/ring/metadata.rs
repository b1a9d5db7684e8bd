//! What a ring file says of the recording as a whole: who, since when, which lanes, how it stood.
//!
//! Frames explain themselves (see `chunk`); names of classes and counts do not. They are written
//! once a second, in turn into two places, so that one of them is whole whenever the process dies:
//!
//! ```text
//!   head  │ what file this is │ place 0: number 6 │ place 1: number 7, the newest │  then the pages
//! ```

use serde::{Deserialize, Serialize};

use super::counters::LaneCounters;
use crate::stats::CaptureStats;
use crate::time::{Mono, Stamp, Wall};

/// How a recording stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingMetadata {
    /// Program and version.
    pub program: String,
    /// Process id.
    pub process: u32,
    /// Its machine.
    pub machine: Machine,
    /// When the recording began.
    pub started: MetadataMoment,
    /// When this was written: the process lived then.
    pub at: MetadataMoment,
    /// True if the recording ended as it should, with every incident on the disk.
    pub stopped: bool,
    /// Which lane is which.
    pub lanes: Vec<LaneName>,
    /// How each interface stood.
    pub interfaces: Vec<InterfaceMetadata>,
    /// What a spool file is of; none of a ring file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentMetadata>,
}

/// An incident that was open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentMetadata {
    /// Kind of the trigger that opened it.
    pub kind: String,
    /// What that was about.
    pub object: Option<String>,
    /// What happened, for a person.
    pub sentence: String,
    /// When it was observed.
    pub at: MetadataMoment,
    /// How long after that the recorder was told, in nanoseconds.
    #[serde(default)]
    pub told_after: u64,
    /// From when it was told until its frames were pinned, in nanoseconds.
    pub pinned_after: u64,
    /// First moment of its window on CLOCK_MONOTONIC, in nanoseconds.
    pub from: u64,
    /// Last moment of its window as planned.
    pub to: u64,
}

/// The machine of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Host name.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// Processor architecture.
    pub architecture: String,
    /// Changes with every boot: monotonic times of different boots cannot be compared.
    pub boot_id: String,
}

/// A moment on both clocks, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MetadataMoment {
    /// CLOCK_MONOTONIC.
    pub mono: u64,
    /// CLOCK_REALTIME.
    pub wall: u64,
}

/// What a lane is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneName {
    /// Its number.
    pub lane: u16,
    /// Its interface.
    pub interface: String,
    /// Its class.
    pub class: String,
}

/// How an interface stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceMetadata {
    /// Its name.
    pub name: String,
    /// How it was captured.
    pub source: String,
    /// When its recording began.
    pub since: MetadataMoment,
    /// What was counted since then.
    pub stats: CaptureStats,
    /// Its classes.
    pub classes: Vec<ClassMetadata>,
}

/// How a class of an interface stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassMetadata {
    /// Its name.
    pub name: String,
    /// What was counted since the recording began.
    pub counters: LaneCounters,
    /// Memory it could hold when that was scarce, in bytes.
    pub quota: u64,
}

impl From<Stamp> for MetadataMoment {
    fn from(stamp: Stamp) -> Self {
        Self { mono: stamp.mono.0, wall: stamp.wall.0 }
    }
}

impl From<MetadataMoment> for Stamp {
    fn from(moment: MetadataMoment) -> Self {
        Self { mono: Mono(moment.mono), wall: Wall(moment.wall) }
    }
}

impl RecordingMetadata {
    /// Of a recording of which nothing is known.
    pub fn unknown() -> Self {
        Self {
            program: "dashcap".to_owned(),
            process: 0,
            machine: Machine::default(),
            started: MetadataMoment::default(),
            at: MetadataMoment::default(),
            stopped: false,
            lanes: Vec::new(),
            interfaces: Vec::new(),
            incident: None,
        }
    }

    /// What stands in a place: its head, then JSON. What does not fit into `room` is left out, counts
    /// first: about 1,500 interfaces do.
    pub(super) fn encode(&self, number: u64, room: usize) -> Vec<u8> {
        let room = room - MetadataSlot::HEAD;
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        if text.len() > room {
            text = serde_json::to_vec(&Self { interfaces: Vec::new(), ..self.clone() })
                .unwrap_or_default();
        }
        if text.len() > room {
            let bare = Self { interfaces: Vec::new(), lanes: Vec::new(), ..self.clone() };
            text = serde_json::to_vec(&bare).unwrap_or_default();
        }
        let mut place = Vec::with_capacity(MetadataSlot::HEAD + text.len());
        place.extend_from_slice(&MetadataSlot::MAGIC);
        place.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        place.extend_from_slice(&number.to_le_bytes());
        place.extend_from_slice(&MetadataSlot::sum(number, &text).to_le_bytes());
        place.extend_from_slice(&text);
        place
    }

    /// What stands in a place and its number, if it is whole.
    pub(super) fn decode(place: &[u8]) -> Option<(u64, Self)> {
        if place.get(..4)? != MetadataSlot::MAGIC {
            return None;
        }
        let length = u32::from_le_bytes(place.get(4..8)?.try_into().ok()?) as usize;
        let number = u64::from_le_bytes(place.get(8..16)?.try_into().ok()?);
        let sum = u32::from_le_bytes(place.get(16..20)?.try_into().ok()?);
        let text = place.get(MetadataSlot::HEAD..)?.get(..length)?;
        if sum != MetadataSlot::sum(number, text) {
            return None;
        }
        Some((number, serde_json::from_slice(text).ok()?))
    }
}

/// One of the two places.
struct MetadataSlot;

impl MetadataSlot {
    const MAGIC: [u8; 4] = *b"DCst";
    /// Magic 4, length of the JSON 4, number 8, CRC-32 of number and JSON 4.
    const HEAD: usize = 20;

    fn sum(number: u64, text: &[u8]) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&number.to_le_bytes());
        sum.update(text);
        sum.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(interfaces: usize) -> RecordingMetadata {
        let name = |n: usize| format!("eth{n}");
        let interface = |n| InterfaceMetadata {
            name: name(n),
            source: "packet ring".to_owned(),
            since: MetadataMoment { mono: 1, wall: 2 },
            stats: CaptureStats::default(),
            classes: Vec::new(),
        };
        let lane = |n: usize| LaneName {
            lane: u16::try_from(n).unwrap(),
            interface: name(n),
            class: "data".to_owned(),
        };
        RecordingMetadata {
            lanes: (0..interfaces).map(lane).collect(),
            interfaces: (0..interfaces).map(interface).collect(),
            ..RecordingMetadata::unknown()
        }
    }

    #[test]
    fn a_whole_place_reads_back_and_a_damaged_one_does_not() {
        let (before, room) = (standing(2), 1 << 20);
        let place = before.encode(7, room);
        assert_eq!(RecordingMetadata::decode(&place), Some((7, before)));
        for at in 0..place.len() {
            let mut damaged = place.clone();
            damaged[at] ^= 0x10;
            assert_eq!(RecordingMetadata::decode(&damaged), None, "{at}");
            assert_eq!(RecordingMetadata::decode(&place[..at]), None, "{at}");
        }
    }

    #[test]
    fn what_finds_no_room_is_left_out_counts_first() {
        let full = standing(2_000);
        let read = |room| RecordingMetadata::decode(&full.encode(1, room)).unwrap().1;
        assert_eq!(read(1 << 20), full);
        let named = read(150_000);
        assert_eq!((named.lanes.len(), named.interfaces.len()), (2_000, 0));
        assert_eq!(read(1_000).lanes.len(), 0);
    }
}
