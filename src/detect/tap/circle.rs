//! Packets that go in a circle: the same packet again and again, each time with less time to live.
//!
//! ```text
//!   places   digest, time to live ─── the same, and lower ───► again, a few times: candidate
//!   circles  all bytes            ─── equal but for what routers change ───► counted: proven
//! ```
//!
//! What it promises: nothing is called a circle on a digest alone. From the candidate on, every byte of
//! each copy is compared, from the first of the link header to the last captured, together with lengths
//! and direction; only time to live (hop limit), IPv4 header checksum and IPv4 identification may differ,
//! and the time to live must have fallen every time. Nothing is folded. The tables are bounded: a digest
//! keeps its place for some milliseconds and others that would need the place are not looked at
//! meanwhile, so under load a sample is watched; where packets circle, they are most of the traffic.

use super::packet::TappedPacket;
use crate::frame::{Frame, FrameHeader};
use crate::time::Mono;

/// Counts since the tap was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CircleCounts {
    /// Packets that were proven to go in a circle.
    pub packets: u64,
    /// Copies of them that were compared.
    pub copies: u64,
    /// The last one that was proven.
    pub last: Option<Circle>,
}

/// A packet that went in a circle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circle {
    /// Of its newest copy.
    pub header: FrameHeader,
    /// Its bytes, with zero where routers change them.
    pub bytes: Vec<u8>,
    /// When it was noticed.
    pub first: Mono,
    /// Its newest copy.
    pub last: Mono,
    /// Time to live when it was noticed.
    pub ttl_first: u8,
    /// The lowest so far.
    pub ttl_last: u8,
    /// Copies that were compared so far.
    pub copies: u64,
}

/// Both tables.
#[derive(Debug)]
pub(super) struct Circles {
    packets: u64,
    copies: u64,
    newest: Option<usize>,
    places: Box<[Slot; Circles::PLACES]>,
    circles: Box<[Watched]>,
    scratch: Vec<u8>,
}

/// A digest that was seen.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Upper half of the digest; the lower half chose the place.
    tag: u32,
    /// When it last came, in units of [`UNIT_SHIFT`].
    seen: u16,
    ttl: u8,
    /// How often in a row it came with less time to live.
    falls: u8,
}

/// A packet whose bytes are compared.
#[derive(Debug)]
struct Watched {
    digest: u64,
    circle: Circle,
}

/// A unit of time: 2^24 ns, about 17 ms.
const UNIT_SHIFT: u32 = 24;

impl Circles {
    /// Places, a power of two: 8 KiB.
    const PLACES: usize = 1_024;
    /// A digest keeps its place for so many units, 50 ms: longer than a packet takes once around between
    /// routers of a site.
    const KEPT: u16 = 3;
    /// Falls in a row after which bytes are compared.
    const CANDIDATE: u8 = 3;
    /// Compared copies that prove a circle; with the falls before them eight in all. Ways of different
    /// length bring the same packet twice or thrice, not eight times.
    const PROOF: u64 = 5;
    /// Packets whose bytes are compared at a time: one proves the circle.
    const WATCHED: usize = 8;
    /// A packet that did not come for this long, in nanoseconds, makes room: it left the circle, its
    /// time to live is over.
    const OVER: u64 = 250_000_000;
    /// Longer frames are not compared, so that the table is bounded.
    const LONGEST: usize = 2_048;

    pub(super) fn new() -> Self {
        let watched = || Watched {
            digest: 0,
            circle: Circle {
                header: FrameHeader::default(),
                bytes: Vec::with_capacity(Self::LONGEST),
                first: Mono(0),
                last: Mono(0),
                ttl_first: 0,
                ttl_last: 0,
                copies: 0,
            },
        };
        Self {
            packets: 0,
            copies: 0,
            newest: None,
            places: Box::new([Slot::default(); Self::PLACES]),
            circles: (0..Self::WATCHED).map(|_| watched()).collect(),
            scratch: Vec::with_capacity(Self::LONGEST),
        }
    }

    pub(super) fn counts(&self) -> CircleCounts {
        let last = self.newest.map(|newest| self.circles[newest].circle.clone());
        CircleCounts { packets: self.packets, copies: self.copies, last }
    }

    /// Looks at a packet.
    #[inline(always)]
    pub(super) fn packet(&mut self, packet: &TappedPacket<'_>, frame: &Frame<'_>, arrival: Mono) {
        let now = (arrival.0 >> UNIT_SHIFT) as u16;
        let tag = (packet.digest >> 32) as u32;
        let place = &mut self.places[packet.digest as usize & (Self::PLACES - 1)];
        if place.tag == tag {
            self.again(*packet, frame, arrival, now);
        } else if now.wrapping_sub(place.seen) > Self::KEPT {
            *place = Slot { tag, seen: now, ttl: packet.ttl(), falls: 0 };
        }
    }

    /// A digest that was seen lately.
    #[cold]
    fn again(&mut self, packet: TappedPacket<'_>, frame: &Frame<'_>, arrival: Mono, now: u16) {
        let place = &mut self.places[packet.digest as usize & (Self::PLACES - 1)];
        let late = now.wrapping_sub(place.seen) > Self::KEPT;
        place.seen = now;
        if late || packet.ttl() >= place.ttl {
            let repeated = !late && packet.ttl() == place.ttl;
            place.falls = if repeated { place.falls } else { 0 };
            place.ttl = packet.ttl();
            return;
        }
        place.ttl = packet.ttl();
        place.falls = place.falls.saturating_add(1);
        if place.falls < Self::CANDIDATE || frame.captured_len() > Self::LONGEST {
            return;
        }
        self.mask(&packet, frame);
        match self.circles.iter().position(|watched| watched.digest == packet.digest) {
            Some(at) => self.compare(at, &packet, frame, arrival),
            None => self.watch(&packet, frame, arrival),
        }
    }

    /// Copies the frame, without what routers change, to where it is compared.
    fn mask(&mut self, packet: &TappedPacket<'_>, frame: &Frame<'_>) {
        self.scratch.clear();
        frame.parts.iter().for_each(|part| self.scratch.extend_from_slice(part));
        for place in packet.changeable() {
            if let Some(byte) = self.scratch.get_mut(place) {
                *byte = 0;
            }
        }
    }

    fn compare(&mut self, at: usize, packet: &TappedPacket<'_>, frame: &Frame<'_>, arrival: Mono) {
        let circle = &mut self.circles[at].circle;
        let same = circle.header.direction == frame.header.direction
            && circle.header.original_len == frame.header.original_len
            && circle.bytes == self.scratch;
        if !same {
            return;
        }
        circle.copies += 1;
        circle.header = frame.header;
        circle.last = arrival;
        circle.ttl_last = packet.ttl();
        if circle.copies == Self::PROOF {
            self.packets += 1;
            self.copies += Self::PROOF;
            self.newest = Some(at);
        } else if circle.copies > Self::PROOF {
            self.copies += 1;
        }
    }

    /// Remembers the packet, if there is room.
    fn watch(&mut self, packet: &TappedPacket<'_>, frame: &Frame<'_>, arrival: Mono) {
        let over = |watched: &Watched| arrival.0.saturating_sub(watched.circle.last.0) > Self::OVER;
        let Some(at) = self.circles.iter().position(over) else { return };
        if self.newest == Some(at) {
            self.newest = None;
        }
        let watched = &mut self.circles[at];
        watched.digest = packet.digest;
        let circle = &mut watched.circle;
        circle.header = frame.header;
        circle.bytes.clear();
        circle.bytes.extend_from_slice(&self.scratch);
        (circle.first, circle.last) = (arrival, arrival);
        (circle.ttl_first, circle.ttl_last) = (packet.ttl(), packet.ttl());
        circle.copies = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::{packet_of, tcp};
    use super::*;
    use crate::frame::LinkType;

    const MS: u64 = 1_000_000;
    const START: u64 = 10_000 * MS;

    fn show(circles: &mut Circles, bytes: &[u8], at: u64) {
        let frame = Frame::whole(FrameHeader::default(), bytes);
        let packet = packet_of(LinkType::ETHERNET, &frame).unwrap();
        circles.packet(&packet, &frame, Mono(START + at));
    }

    #[test]
    fn a_packet_whose_time_to_live_falls_goes_in_a_circle() {
        let mut circles = Circles::new();
        for (n, ttl) in (2..=64).rev().step_by(2).enumerate() {
            let mut copy = tcp(ttl, 7, 0x10, 512, b"around and around");
            copy[14 + 4] = ttl; // renumbered
            copy[14 + 10] = !ttl; // checksum
            show(&mut circles, &copy, n as u64 * MS);
        }
        let counts = circles.counts();
        // 32 copies: the first is seen, three fall, the third of these is remembered.
        assert_eq!((counts.packets, counts.copies), (1, 28));
        let circle = counts.last.unwrap();
        assert_eq!((circle.ttl_first, circle.ttl_last, circle.copies), (58, 2, 28));
    }

    #[test]
    fn what_only_looks_alike_is_no_circle() {
        let payload = |n: u8| [&[7; 30][..], &[n], &[7; 30]].concat();
        let stories: [(&str, Vec<Vec<u8>>); 5] = [
            ("the same again", (0..40).map(|_| tcp(64, 7, 0x10, 512, b"a")).collect()),
            ("rising, as traceroute", (1..60).map(|n| tcp(n, 7, 0x10, 512, b"a")).collect()),
            ("other packets", (1..60).rev().map(|n| tcp(n, n.into(), 0x10, 512, b"a")).collect()),
            (
                "another byte where no digest looks",
                (1..60).rev().map(|n| tcp(n, 7, 0x10, 512, &payload(n))).collect(),
            ),
            (
                "ways of different length",
                (0..60).map(|n| tcp(60 + n % 3, 7, 0x10, 512, b"a")).collect(),
            ),
        ];
        for (name, copies) in stories {
            let mut circles = Circles::new();
            for (n, copy) in copies.iter().enumerate() {
                show(&mut circles, copy, n as u64 * MS);
            }
            assert_eq!(circles.counts(), CircleCounts::default(), "{name}");
        }
    }

    #[test]
    fn slower_than_any_circle_is_none() {
        let mut circles = Circles::new();
        for n in 0..60 {
            show(&mut circles, &tcp(100 - n, 7, 0x10, 512, b"a"), u64::from(n) * 200 * MS);
        }
        assert_eq!(circles.counts().packets, 0);
    }

    #[test]
    fn more_circles_than_places_are_bounded() {
        let mut circles = Circles::new();
        for ttl in (1..=64).rev() {
            for packet in 0..500 {
                show(&mut circles, &tcp(ttl, packet, 0x10, 512, b"a"), u64::from(64 - ttl) * MS);
            }
        }
        let counts = circles.counts();
        assert_eq!(counts.packets, Circles::WATCHED as u64);
        assert_eq!(counts.copies, Circles::WATCHED as u64 * 60);
    }
}
