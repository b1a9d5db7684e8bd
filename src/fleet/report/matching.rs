//! The same frames at two hosts: sent at one observation point, received at another.
//!
//! Only what was seen once on each side is a match; what comes again (retransmissions, LACPDUs that repeat byte for
//! byte, copies that were folded) never is, because nobody knows which of them is which.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use super::gather::Sightings;
use super::member::MOST_HOSTS;
use super::sighting::Sighting;
use crate::frame::Direction;

/// Matches by which a pair of observation points is proven: chance and a replayed file make a few.
pub const PROVEN: usize = 20;
/// Places where one frame is looked for at most: a broadcast through a whole site.
const MOST_PLACES: usize = 256;

/// One frame at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchedFrame {
    /// When the sender's host saw it, by its clock.
    pub sent: i64,
    /// When the receiver's did, by that one.
    pub arrived: i64,
    /// Settings of both clocks before.
    pub epochs: (u8, u8),
    /// The station that it is for.
    pub to: u32,
    /// The one that it is from.
    pub from: u32,
    /// No router was in between: the stations are the same at both ends.
    pub same_link: bool,
}

/// All matches, by where they were sent and received.
#[derive(Debug, Default)]
pub struct Matches {
    pub(super) pairs: BTreeMap<(u16, u16), Vec<MatchedFrame>>,
    /// Of each point and host: how many of the frames that it sent were seen there at all.
    sent: Vec<u32>,
    /// Of each point and host: how many that it received were seen sent there at all.
    received: Vec<u32>,
}

/// The sightings of one frame at one point in one direction.
type Place<'a> = &'a [Sighting];

impl Matches {
    /// Finds them; the sightings are sorted.
    pub fn of(sightings: &Sightings) -> Self {
        let room = sightings.points.len() * MOST_HOSTS;
        let (sent, received) = (vec![0; room], vec![0; room]);
        let mut found = Finder {
            sightings,
            numbers: HashMap::default(),
            lists: Vec::new(),
            counts: Self { pairs: BTreeMap::new(), sent, received },
        };
        for same in sightings.all.chunk_by(|one, other| one.key == other.key) {
            if same.len() > 1 {
                found.same(same);
            }
        }
        let Finder { lists, mut counts, .. } = found;
        counts.pairs = lists.into_iter().collect();
        counts
    }

    /// Matches of both directions of two points.
    pub fn both_ways(&self, one: u16, other: u16) -> usize {
        let of = |pair: (u16, u16)| self.pairs.get(&pair).map_or(0, Vec::len);
        of((one, other)) + of((other, one))
    }

    /// True if whatever one of them sent to the other's host came by the other, and back: no other way leads there.
    pub(super) fn is_only_way(&self, sightings: &Sightings, one: u16, other: u16) -> bool {
        let host = |point: u16| sightings.points[usize::from(point)].host;
        let at = |point: u16, host: usize| usize::from(point) * MOST_HOSTS + host;
        [(one, other), (other, one)].into_iter().all(|(from, to)| {
            let here = self.pairs.get(&(from, to)).map_or(0, Vec::len) as u32;
            self.sent[at(from, host(to))] == here && self.received[at(to, host(from))] == here
        })
    }
}

struct Finder<'a> {
    sightings: &'a Sightings,
    numbers: HashMap<(u16, u16), usize, RandomState>,
    lists: Vec<((u16, u16), Vec<MatchedFrame>)>,
    counts: Matches,
}

impl Finder<'_> {
    /// All sightings of one key.
    fn same(&mut self, same: &[Sighting]) {
        let places = || same.chunk_by(|a, b| (a.point, a.direction) == (b.point, b.direction));
        let once = |way: Direction| {
            let is_once = move |place: &Place<'_>| place.len() == 1 && !place[0].folded;
            places()
                .take(MOST_PLACES)
                .filter(is_once)
                .map(|place| place[0])
                .filter(move |s| s.direction == way)
        };
        for sent in once(Direction::Outbound) {
            let mut hosts = 0_u64;
            for received in once(Direction::Inbound) {
                let (from, to) = (self.host(sent.point), self.host(received.point));
                if from != to {
                    self.add(&sent, &received);
                    hosts |= 1 << to;
                }
            }
            Self::count(&mut self.counts.sent, sent.point, hosts);
        }
        for received in once(Direction::Inbound) {
            let other = |sent: &Sighting| self.host(sent.point) != self.host(received.point);
            let hosts = once(Direction::Outbound).filter(other);
            let hosts = hosts.fold(0_u64, |hosts, sent| hosts | 1 << self.host(sent.point));
            Self::count(&mut self.counts.received, received.point, hosts);
        }
    }

    fn host(&self, point: u16) -> usize {
        self.sightings.points[usize::from(point)].host
    }

    fn add(&mut self, sent: &Sighting, received: &Sighting) {
        let pair = (sent.point, received.point);
        let lists = &mut self.lists;
        let number = *self.numbers.entry(pair).or_insert_with(|| {
            lists.push((pair, Vec::new()));
            lists.len() - 1
        });
        lists[number].1.push(MatchedFrame {
            sent: sent.time,
            arrived: received.time,
            epochs: (sent.epoch, received.epoch),
            to: sent.to,
            from: sent.from,
            same_link: (sent.to, sent.from) == (received.to, received.from),
        });
    }

    fn count(counts: &mut [u32], point: u16, mut hosts: u64) {
        while hosts != 0 {
            counts[usize::from(point) * MOST_HOSTS + hosts.trailing_zeros() as usize] += 1;
            hosts &= hosts - 1;
        }
    }
}
