//! Every frame of every host that can be recognised elsewhere, in bounded memory.
//!
//! At the bound a host's later frames are left out: what it covers ends there, and that is told.

use std::collections::HashMap;
use std::thread;

use super::sighting::{Sighting, signature};
use crate::frame::{Direction, LinkType};
use crate::wire::Mac;

/// Frames at most, of all hosts together: 48 bytes each, 400 MB.
pub const MOST_SIGHTINGS: usize = 8 << 20;
/// Observation points at most: groups of one frame are looked through pair by pair.
pub const MOST_POINTS: usize = 1_024;
/// Stations at most, some MB; those beyond have no number, so nothing is expected of them.
const MOST_STATIONS: usize = 65_536;

/// Where frames were seen: an interface of a host (RFC 7011 §2).
#[derive(Debug, Clone, Default)]
pub struct ObservationPoint {
    /// Number of the host.
    pub host: usize,
    /// Name of the interface.
    pub interface: String,
    /// When everything was kept in full, in steady time; empty where only the frames tell.
    pub spans: Vec<(i64, i64)>,
    /// Why frames may be missing all the same, a sentence each.
    pub blind: Vec<String>,
    /// Stamped by another clock than the host's, or late: such stamps bound nothing.
    pub foreign_stamps: bool,
    /// Its host has several bundles, which may have the same frames.
    pub several: bool,
    /// Frames that were cut too short to be compared.
    pub cut: u64,
    /// First and last frame.
    pub seen: Option<(i64, i64)>,
}

/// A frame as it is handed in.
#[derive(Debug, Clone, Copy)]
pub struct SeenFrame<'a> {
    /// Number of the observation point.
    pub point: u16,
    /// In steady time.
    pub time: i64,
    /// Settings of the clock before; none while it was being set.
    pub epoch: Option<u8>,
    /// Which way.
    pub direction: Direction,
    /// It stands for copies.
    pub folded: bool,
    /// `LINKTYPE_*`.
    pub link_type: LinkType,
    /// On the wire, in bytes.
    pub original_len: u32,
    /// As captured.
    pub bytes: &'a [u8],
}

/// All of them.
#[derive(Debug, Default)]
pub struct Sightings {
    pub(super) all: Vec<Sighting>,
    pub(super) points: Vec<ObservationPoint>,
    stations: HashMap<Mac, u32>,
}

impl Sightings {
    /// Begins a point; none where there are too many.
    pub fn point(&mut self, point: ObservationPoint) -> Option<u16> {
        if self.points.len() >= MOST_POINTS {
            return None;
        }
        self.points.push(point);
        Some((self.points.len() - 1) as u16)
    }

    /// A host's later frames found no room: what it covers ends there.
    pub(super) fn ends(&mut self, host: usize, at: i64) {
        for point in self.points.iter_mut().filter(|point| point.host == host) {
            point.spans.retain(|(from, _)| *from < at);
            point.spans.iter_mut().for_each(|(_, to)| *to = at.min(*to));
        }
    }

    /// What a point's recorder says: when it kept everything, and why frames may be missing all the same.
    pub fn recorded(&mut self, point: u16, spans: Vec<(i64, i64)>, blind: Option<String>) {
        self.points[usize::from(point)].spans = spans;
        self.is_blind(point, blind);
    }

    /// Frames may be missing there, if there is a reason.
    pub(super) fn is_blind(&mut self, point: u16, reason: Option<String>) {
        let blind = &mut self.points[usize::from(point)].blind;
        blind.extend(reason.filter(|reason| !blind.contains(reason)));
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True if nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a frame.
    #[inline]
    pub fn add(&mut self, seen: &SeenFrame<'_>) {
        let point = &mut self.points[usize::from(seen.point)];
        let (first, last) = point.seen.unwrap_or((seen.time, seen.time));
        point.seen = Some((first.min(seen.time), last.max(seen.time)));
        let Some(epoch) = seen.epoch else { return };
        let Some(signature) = signature(seen.link_type, seen.original_len, seen.bytes) else {
            point.cut += 1;
            return;
        };
        let (to, from) = (self.station(signature.to), self.station(signature.from));
        self.all.push(Sighting {
            key: signature.key,
            flow: signature.flow,
            time: seen.time,
            sequence: signature.sequence,
            carried: signature.carried,
            to,
            from,
            point: seen.point,
            direction: seen.direction,
            epoch,
            folded: seen.folded,
        });
    }

    fn station(&mut self, address: Option<Mac>) -> u32 {
        let Some(address) = address else { return 0 };
        if let Some(number) = self.stations.get(&address) {
            return *number;
        }
        let number = self.stations.len() as u32 + 1;
        if self.stations.len() >= MOST_STATIONS {
            return 0;
        }
        self.stations.insert(address, number);
        number
    }

    /// By the number of each station whether it is a single one, or all together; groups are not.
    pub(super) fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.stations.len() + 1];
        for (address, number) in &self.stations {
            reached[*number as usize] = address.is_unicast() || *address == Mac::BROADCAST;
        }
        reached
    }

    /// Everything in the order of what it is recognised by; what overlapping bundles of a host have twice is one.
    pub fn sort(&mut self) {
        let of = |s: &Sighting| (s.key, s.point, s.direction as u8, s.time);
        let middle = self.all.len() / 2;
        if middle > 0 {
            // Sorting is what takes longest of all: a half on each of two processors.
            let (low, _, high) = self.all.select_nth_unstable_by_key(middle, of);
            thread::scope(|scope| {
                scope.spawn(|| low.sort_unstable_by_key(of));
                high.sort_unstable_by_key(of);
            });
        }
        let points = &self.points;
        self.all
            .dedup_by(|one, other| points[usize::from(one.point)].several && of(one) == of(other));
    }
}
