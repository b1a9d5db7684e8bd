//! Two hosts on a switch that record the same link, simulated: clocks apart and drifting, frames lost and
//! duplicated, offloads that cut and join segments, tags that hardware strips, recorders that drop. The truth is
//! known, so what a report of both says can be judged.

use dashcap::fleet::report::Compared;
use dashcap::fleet::report::gather::{ObservationPoint, SeenFrame, Sightings};
use dashcap::frame::{Direction, LinkType};

const S: i64 = 1_000_000_000;
const MICRO: i64 = 1_000;
/// Bytes of a segment on the wire, beside headers.
const SEGMENT: u32 = 1_448;
const HOSTS: [&str; 2] = ["a", "b"];

/// Numbers by a seed (SplitMix64, Steele, Lea and Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 1) as i64 % bound.max(1)
    }

    fn once_in(&mut self, often: i64) -> bool {
        often > 0 && self.below(often) == 0
    }
}

/// What happens to frames and clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    pub(crate) seconds: i64,
    /// Frames and segments each way in a second.
    pub(crate) rate: i64,
    /// B's clock less A's at the beginning, and how much more each second.
    pub(crate) offset: i64,
    pub(crate) drift: i64,
    /// B's clock is set by so much halfway, and its host tells.
    pub(crate) step: i64,
    /// The network loses, or sends twice, one frame in so many.
    pub(crate) lost_in: i64,
    pub(crate) twice_in: i64,
    /// B's recorder drops one in so many.
    pub(crate) dropped_in: i64,
    /// Hosts join and cut segments.
    pub(crate) offloads: bool,
    /// From that second on nothing of A arrives.
    pub(crate) dead_from: Option<i64>,
}

/// A world by its number.
pub(crate) fn world(random: &mut Random) -> World {
    World {
        seconds: 6,
        rate: 60,
        offset: random.below(7_200 * S) - 3_600 * S,
        drift: random.below(200 * MICRO) - 100 * MICRO,
        step: if random.once_in(4) { random.below(60 * S) - 30 * S } else { 0 },
        lost_in: if random.once_in(2) { 20 } else { 0 },
        twice_in: if random.once_in(3) { 15 } else { 0 },
        dropped_in: if random.once_in(3) { 10 } else { 0 },
        offloads: random.once_in(2),
        dead_from: random.once_in(4).then_some(4),
    }
}

/// What both recorded, and the truth.
pub(crate) struct Pair {
    world: World,
    random: Random,
    pub(crate) sightings: Sightings,
    points: [u16; 2],
    number: u32,
    sequence: [u32; 2],
    /// Frames of either host that the network lost, as it sent them.
    pub(crate) lost: [u64; 2],
    /// Frames that B's recorder dropped, and says so.
    pub(crate) dropped: u64,
}

impl Pair {
    pub(crate) fn play(world: World, seed: u64) -> Self {
        let mut sightings = Sightings::default();
        let spans = [vec![(0, world.seconds * S)], Vec::new()];
        let points = [0, 1].map(|host| {
            let (interface, spans) = (format!("eth{host}"), spans[host].clone());
            let point = ObservationPoint { host, interface, spans, ..ObservationPoint::default() };
            sightings.point(point).expect("there is room")
        });
        let (number, sequence) = (0, [1, u32::MAX - 5_000]);
        let (random, lost, dropped) = (Random(seed), [0; 2], 0);
        let mut pair = Self { world, random, sightings, points, number, sequence, lost, dropped };
        for turn in 0..world.seconds * world.rate {
            let at = turn * S / world.rate + pair.random.below(S / world.rate / 2);
            for host in [0, 1] {
                match pair.random.below(4) {
                    0 => pair.stream(host, at),
                    1 if host == 0 => pair.send_elsewhere(at),
                    _ => pair.datagram(host, at),
                }
            }
        }
        pair.tell();
        pair
    }

    /// What B's recorder says of itself.
    fn tell(&mut self) {
        let (from, to) = (self.clock(1, 0).0, self.clock(1, self.world.seconds * S).0);
        let dropped = (self.dropped > 0).then(|| format!("the kernel dropped {}", self.dropped));
        self.sightings.recorded(self.points[1], vec![(from, to)], dropped);
    }

    /// B's clock, as if it had not been set, at a moment of A's; and how often it was set before.
    fn clock(&self, host: usize, at: i64) -> (i64, u8) {
        if host == 0 {
            return (at, 0);
        }
        let time = at + self.world.offset + self.world.drift * (at / MICRO) / (S / MICRO);
        let is_set = self.world.step != 0 && at >= self.world.seconds * S / 2;
        // What the host tells of the setting is off by the time between two readings.
        (time + if is_set { 3 * MICRO } else { 0 }, u8::from(is_set))
    }

    /// B's clock less A's, in truth.
    pub(crate) fn truth(&self, at: i64) -> i64 {
        self.clock(1, at).0 - at
    }

    fn see(&mut self, host: usize, at: i64, direction: Direction, original: u32, bytes: &[u8]) {
        let (time, epoch) = self.clock(host, at);
        let point = self.points[host];
        self.sightings.add(&SeenFrame {
            point,
            time,
            epoch: Some(epoch),
            direction,
            folded: false,
            link_type: LinkType::ETHERNET,
            original_len: original,
            bytes,
        });
    }

    /// When a frame arrives that is sent now; not at all if the network loses it.
    fn way(&mut self, host: usize, at: i64) -> Option<i64> {
        let dead = host == 0 && self.world.dead_from.is_some_and(|from| at >= from * S);
        let lost = dead || self.random.once_in(self.world.lost_in);
        let queue = if self.random.once_in(3) { self.random.below(900 * MICRO) } else { 0 };
        (!lost).then(|| at + 20 * MICRO + self.random.below(10 * MICRO) + queue)
    }

    fn receives(&mut self, host: usize, at: i64, original: u32, bytes: &[u8]) {
        if host == 1 && self.random.once_in(self.world.dropped_in) {
            self.dropped += 1;
            return;
        }
        self.see(host, at, Direction::Inbound, original, bytes);
    }

    /// A datagram, with a tag that the receiver's hardware strips and a checksum that the sender's fills in.
    fn datagram(&mut self, host: usize, at: i64) {
        self.number += 1;
        let sent = udp(host, 1 - host, self.number, true);
        self.see(host, at, Direction::Outbound, sent.len() as u32, &sent);
        let came = udp(host, 1 - host, self.number, false);
        match self.way(host, at) {
            None => self.lost[host] += 1,
            Some(arrives) => {
                self.receives(1 - host, arrives, came.len() as u32, &came);
                if self.random.once_in(self.world.twice_in) {
                    self.receives(1 - host, arrives + 5 * MICRO, came.len() as u32, &came);
                }
            }
        }
    }

    /// What a switch sends elsewhere.
    fn send_elsewhere(&mut self, at: i64) {
        self.number += 1;
        let frame = udp(0, 7, self.number, true);
        self.see(0, at, Direction::Outbound, frame.len() as u32, &frame);
    }

    /// Up to 20 segments of a stream, as one frame of the sender where it has offloads; the last one may be sent
    /// again for nothing.
    fn stream(&mut self, host: usize, at: i64) {
        let segments = 1 + self.random.below(20) as u32;
        let first = self.sequence[host];
        self.sequence[host] = first.wrapping_add(segments * SEGMENT);
        if self.world.offloads {
            self.segment(host, at, Direction::Outbound, first, segments * SEGMENT);
        }
        let (mut joined, mut any_lost) = (None::<(u32, u32)>, false);
        let mut last = at;
        for n in 0..segments {
            let (sequence, sent) =
                (first.wrapping_add(n * SEGMENT), at + i64::from(n) * 12 * MICRO);
            if !self.world.offloads {
                self.segment(host, sent, Direction::Outbound, sequence, SEGMENT);
            }
            let Some(arrives) = self.way(host, sent) else {
                any_lost = true;
                self.lost[host] += u64::from(!self.world.offloads);
                continue;
            };
            last = last.max(arrives);
            match &mut joined {
                Some((begin, length))
                    if self.world.offloads && begin.wrapping_add(*length) == sequence =>
                {
                    *length += SEGMENT;
                }
                _ => {
                    if let Some((begin, length)) = joined.replace((sequence, SEGMENT)) {
                        self.gets(1 - host, last, begin, length);
                    }
                }
            }
        }
        if let Some((begin, length)) = joined {
            self.gets(1 - host, last, begin, length);
        }
        self.lost[host] += u64::from(self.world.offloads && any_lost);
    }

    fn gets(&mut self, host: usize, at: i64, sequence: u32, length: u32) {
        if host == 1 && self.random.once_in(self.world.dropped_in) {
            self.dropped += 1;
            return;
        }
        self.segment(host, at, Direction::Inbound, sequence, length);
    }

    fn segment(&mut self, host: usize, at: i64, way: Direction, sequence: u32, length: u32) {
        let sender = if way == Direction::Outbound { host } else { 1 - host };
        let (bytes, original) = tcp(sender, sequence, length);
        self.see(host, at, way, original, &bytes);
    }

    /// What a report makes of both.
    pub(crate) fn compared(&mut self) -> Compared {
        let spans =
            [0, 1].map(|host| (self.clock(host, 0).0, self.clock(host, self.world.seconds * S).0));
        Compared::of(&HOSTS, &mut self.sightings, &[Vec::new(), Vec::new()], None, &spans)
    }
}

fn headers(from: usize, to: usize, tag: bool) -> Vec<u8> {
    let station = |host: usize| [2, 0, 0, 0, 0, host as u8];
    let tag: &[u8] = if tag { &[0x81, 0, 0x03, 0xbc] } else { &[] };
    [&station(to)[..], &station(from), tag, &[8, 0]].concat()
}

fn ip(from: usize, to: usize, protocol: u8, length: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend([192, 0, 2, from as u8, 192, 0, 2, to as u8]);
    packet
}

fn udp(from: usize, to: usize, number: u32, sender: bool) -> Vec<u8> {
    let mut frame = headers(from, to, sender);
    frame.extend(ip(from, to, 17, 40));
    let checksum = if sender { [0, 0] } else { [0xab, 0xcd] };
    frame.extend([0x10, 0, 0x20, 0, 0, 20, checksum[0], checksum[1]]);
    frame.extend(number.to_be_bytes());
    frame.extend([0; 8]);
    frame
}

fn tcp(from: usize, sequence: u32, length: u32) -> (Vec<u8>, u32) {
    let mut frame = headers(from, 1 - from, false);
    frame.extend(ip(from, 1 - from, 6, (40 + length) as u16));
    frame.extend([0x15, 0xb3, 0x00, 0x50]);
    frame.extend(sequence.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    let original = frame.len() as u32 + length;
    frame.extend([0x55; 20]);
    (frame, original)
}
