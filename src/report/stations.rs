//! Who sends: the direction of frames in files that do not tell it, as tcpdump's do not.
//!
//! A host sees, broadcasts aside, what it sends and what is sent to it. So the address that is in every
//! frame to a single station, with different stations at the other end, is the host's own. Where two
//! talk to each other only, or a whole network is seen (a mirror port), nobody can tell, and the
//! direction stays unknown. LACPDUs name the system they are of, which finds the ports of a bond.
//!
//! Told from the first [`SCANNED`] frames of each file, before the report reads it; a pipe cannot
//! be read twice, so there directions stay unknown.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use crate::capture_file::FileSource;
use crate::error::Result;
use crate::frame::{Direction, LinkType};
use crate::wire::lacp::Lacp;
use crate::wire::link::{Content, Link, ethertype};
use crate::wire::{Mac, Message, Reading};

/// Frames of each file that are looked at: a tenth of a second of reading.
const SCANNED: u64 = 100_000;
/// Stations remembered for each interface; with more there is no one host.
const MAX_STATIONS: usize = 1_024;
/// Fewest frames to single stations by which a host is told.
const LEAST: u64 = 16;
/// The host's part of them: a switch floods a few frames to others (IEEE 802.1Q 8.8).
const SHARE: f64 = 0.98;

/// The addresses of the host that recorded.
#[derive(Debug, Default)]
pub(crate) struct Stations {
    /// In order; a few, so they are looked through.
    own: Vec<Mac>,
}

#[derive(Debug, Default)]
struct Census {
    frames: u64,
    stations: HashMap<Mac, Known>,
}

#[derive(Debug, Default)]
struct Known {
    frames: u64,
    peer: Option<Mac>,
    /// There is more than one station at the other end.
    many: bool,
}

impl Stations {
    /// Looks at the beginnings of these files.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) fn scan(paths: &[PathBuf]) -> Result<Self> {
        let mut own = BTreeSet::new();
        // What is read from a pipe is gone.
        for path in paths.iter().filter(|path| path.is_file()) {
            let mut censuses: HashMap<usize, Census> = HashMap::new();
            let mut file = FileSource::open_of(path, paths.len())?;
            while file.frames() < SCANNED && file.advance().unwrap_or(false) {
                let Some(frame) = file.frame() else { break };
                let ethernet = file.origins()[frame.origin].link_type == LinkType::ETHERNET;
                if ethernet && frame.direction == Direction::Unknown {
                    censuses.entry(frame.origin).or_default().add(frame.bytes);
                }
            }
            own.extend(censuses.values().filter_map(Census::host));
        }
        Ok(Self { own: own.into_iter().collect() })
    }

    /// True if nobody was recognised.
    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// The host's addresses in words.
    pub(super) fn names(&self) -> String {
        self.own.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Which way a frame went.
    #[inline]
    pub(crate) fn direction(&self, link_type: LinkType, bytes: &[u8]) -> Direction {
        if self.own.is_empty() || link_type != LinkType::ETHERNET {
            return Direction::Unknown;
        }
        let Some((to, from)) = addresses(bytes) else { return Direction::Unknown };
        if self.own.contains(&from) || is_slow(bytes) && self.is_own_lacp(bytes) {
            return Direction::Outbound;
        }
        if self.own.contains(&to) || !to.is_unicast() {
            return Direction::Inbound;
        }
        Direction::Unknown
    }

    fn is_own_lacp(&self, bytes: &[u8]) -> bool {
        let reading = Reading::of(LinkType::ETHERNET, bytes);
        matches!(reading, Some(Reading { message: Message::Lacp(Lacp { actor, .. }), .. })
            if self.own.contains(&actor.system))
    }
}

impl Census {
    fn add(&mut self, bytes: &[u8]) {
        let Some((to, from)) = addresses(bytes) else { return };
        if !to.is_unicast() || to == from {
            return;
        }
        self.frames += 1;
        for (one, other) in [(from, to), (to, from)] {
            if self.stations.len() >= MAX_STATIONS && !self.stations.contains_key(&one) {
                continue;
            }
            let known = self.stations.entry(one).or_default();
            known.frames += 1;
            known.many |= known.peer.is_some_and(|peer| peer != other);
            known.peer = Some(other);
        }
    }

    fn host(&self) -> Option<Mac> {
        let is_host =
            |known: &Known| known.many && known.frames as f64 >= SHARE * self.frames as f64;
        let mut hosts = self.stations.iter().filter(|(_, known)| is_host(known));
        let host = *hosts.next()?.0;
        (self.frames >= LEAST && hosts.next().is_none()).then_some(host)
    }
}

/// Destination and source.
fn addresses(bytes: &[u8]) -> Option<(Mac, Mac)> {
    Some((Mac(*bytes.first_chunk()?), Mac(*bytes.get(6..)?.first_chunk()?)))
}

fn is_slow(bytes: &[u8]) -> bool {
    Link::walk(LinkType::ETHERNET, bytes)
        .is_some_and(|link| matches!(link.content, Content::Typed(ethertype::SLOW, _)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(to: u8, from: u8) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0];
        bytes.resize(60, 0);
        bytes
    }

    #[test]
    fn the_host_is_at_one_end_of_everything() {
        // name, pairs that talk, host
        for (name, pairs, host) in [
            ("two peers", vec![(1, 2), (2, 1), (1, 3), (3, 1)], Some(1)),
            ("nobody else", vec![(1, 2), (2, 1)], None),
            ("a mirror port", vec![(1, 2), (3, 4), (1, 3), (2, 4)], None),
        ] {
            let mut census = Census::default();
            (0..20).for_each(|_| pairs.iter().for_each(|(a, b)| census.add(&frame(*a, *b))));
            assert_eq!(census.host(), host.map(|n| Mac([2, 0, 0, 0, 0, n])), "{name}");
        }
    }

    #[test]
    fn directions_follow_from_addresses() {
        let stations = Stations { own: [Mac([2, 0, 0, 0, 0, 1])].into() };
        let mut group = frame(9, 7);
        group[0] = 1;
        for (bytes, direction) in [
            (frame(2, 1), Direction::Outbound),
            (frame(1, 2), Direction::Inbound),
            (group, Direction::Inbound),
            (frame(3, 2), Direction::Unknown),
            (vec![1, 2, 3], Direction::Unknown),
        ] {
            assert_eq!(stations.direction(LinkType::ETHERNET, &bytes), direction);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_direction(bytes in proptest::collection::vec(any::<u8>(), 0..140)) {
            let stations = Stations { own: [Mac::BROADCAST].into() };
            stations.direction(LinkType::ETHERNET, &bytes);
            Census::default().add(&bytes);
        }
    }
}
