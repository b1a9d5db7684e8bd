//! Which way frames went in files that do not tell it, where two hosts saw the same ones.
//!
//! `tcpdump -w` and `dumpcap` write no directions, and where only two stations talk, their addresses do not tell whose
//! is whose. The delays do: whichever station sends, its frames are seen at its own host first. Of two stations, only
//! one of both assignments lets the clocks differ by what all frames say ([`super::band`]); if both do, nobody knows.

use std::collections::{BTreeMap, HashMap};

use super::band::{Band, Bounds, OffsetBound};
use super::gather::Sightings;
use super::matching::PROVEN;
use super::sighting::Sighting;
use crate::frame::Direction;

/// The same frames at two points: what the second's clock showed less the first's.
type SeenBoth = HashMap<u32, Vec<OffsetBound>>;

/// Sets the directions that can be told; true if there were any. The sightings are sorted.
pub(super) fn orient(sightings: &mut Sightings) -> bool {
    if sightings.all.iter().all(|seen| seen.direction != Direction::Unknown) {
        return false;
    }
    let mut senders: BTreeMap<(u16, u32), Direction> = BTreeMap::new();
    for ((one, other), seen) in pairs(sightings) {
        let Some((near, far)) = told(seen) else { continue };
        for (point, station, direction) in [
            (one, near, Direction::Outbound),
            (one, far, Direction::Inbound),
            (other, near, Direction::Inbound),
            (other, far, Direction::Outbound),
        ] {
            senders.entry((point, station)).or_insert(direction);
        }
    }
    for seen in sightings.all.iter_mut().filter(|seen| seen.direction == Direction::Unknown) {
        if let Some(direction) = senders.get(&(seen.point, seen.from)) {
            seen.direction = *direction;
        }
    }
    !senders.is_empty()
}

/// By pairs of points of different hosts, of which one does not tell directions: frames seen once at each, by sender.
fn pairs(sightings: &Sightings) -> BTreeMap<(u16, u16), SeenBoth> {
    let host = |seen: &Sighting| sightings.points[usize::from(seen.point)].host;
    let mut pairs: BTreeMap<(u16, u16), SeenBoth> = BTreeMap::new();
    for same in sightings.all.chunk_by(|one, other| one.key == other.key) {
        let [one, other] = same else { continue };
        let unknown = [one, other].iter().any(|seen| seen.direction == Direction::Unknown);
        let same_link = (one.to, one.from) == (other.to, other.from);
        if !unknown || !same_link || host(one) == host(other) || one.folded || other.folded {
            continue;
        }
        let seen = pairs.entry((one.point, other.point)).or_default();
        let bound = OffsetBound { at: one.time, value: other.time - one.time };
        seen.entry(one.from).or_default().push(bound);
    }
    pairs
}

/// Of the two stations that sent most, the one beside the first point, and the one beside the second.
fn told(seen: SeenBoth) -> Option<(u32, u32)> {
    let mut most: Vec<(u32, Vec<OffsetBound>)> = seen.into_iter().collect();
    most.sort_by_key(|(station, frames)| (std::cmp::Reverse(frames.len()), *station));
    let mut most = most.into_iter();
    let ((one, forth), (other, back)) = (most.next()?, most.next()?);
    if forth.len() + back.len() < PROVEN {
        return None;
    }
    let fits = |upper: &[OffsetBound], lower: &[OffsetBound]| {
        let band = Band::of([Bounds { upper: upper.to_vec(), lower: lower.to_vec() }]);
        !band.senseless && band.strays == 0 && band.jumps().next().is_none()
    };
    match (fits(&forth, &back), fits(&back, &forth)) {
        (true, false) => Some((one, other)),
        (false, true) => Some((other, one)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_tell_whose_station_is_whose() {
        let bounds = |delay: i64| -> Vec<OffsetBound> {
            (0..30)
                .map(|n| OffsetBound { at: n * 1_000_000, value: 5_000 + delay * (1 + n % 7) })
                .collect()
        };
        // Frames of station 7 arrive later at the second point, those of 8 earlier.
        for (seven, eight, expected) in [
            (bounds(20_000), bounds(-20_000), Some((7, 8))),
            (bounds(-20_000), bounds(20_000), Some((8, 7))),
            (bounds(0), bounds(0), None),
            (bounds(20_000)[..5].to_vec(), bounds(-20_000)[..5].to_vec(), None),
        ] {
            assert_eq!(told(HashMap::from([(7, seven), (8, eight)])), expected);
        }
    }
}
