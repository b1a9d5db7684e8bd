//! What TCP complains about: resets, segments sent again, windows that are closed.
//!
//! Segments sent again are found by remembering, for each connection and direction, how far the sender
//! had come. The table is small so that it stays in the processor's cache, and a connection keeps its
//! place until it pauses: with more connections than places, some are followed without a gap and the
//! others not at all, and the share of segments sent again is right for those followed.

use super::packet::Segment;
use crate::time::Mono;

/// Counts since the tap was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpCounts {
    /// Segments.
    pub segments: u64,
    /// With the RST flag.
    pub resets: u64,
    /// That say the receiver's window is closed: 0, and none of SYN, FIN, RST.
    pub zero_windows: u64,
    /// With data, SYN or FIN, of connections that were followed.
    pub followed: u64,
    /// Of those, segments that bring nothing new, 3 ms or more after what they repeat.
    /// Keep-alives do not count.
    pub retransmissions: u64,
}

/// The table, and the counts.
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) counts: TcpCounts,
    places: Box<[Place]>,
}

/// How far the sender of one direction of a connection had come.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Upper half of the flow's number; the lower half chose the place.
    tag: u32,
    /// The sequence number expected next.
    next: u32,
    /// When it last moved, in units of [`UNIT_SHIFT`].
    moved: u32,
}

/// A unit of time: 2^20 ns, about a millisecond; a shift instead of a division.
const UNIT_SHIFT: u32 = 20;

impl Tcp {
    /// Places, a power of two: 12 KiB.
    const PLACES: usize = 1_024;
    /// A segment that is late by less, in units, took another way or another processor: Wireshark calls
    /// it out of order up to 3 ms (packet-tcp.c, `tcp_analyze_sequence_number`).
    const REORDERED: u32 = 3;
    /// A connection that paused this long, in units, gives its place away: about a second.
    const PAUSE: u32 = 1_000;

    pub(super) fn new() -> Self {
        Self {
            counts: TcpCounts::default(),
            places: vec![Place::default(); Self::PLACES].into_boxed_slice(),
        }
    }

    /// Looks at a segment of `flow`.
    #[inline]
    pub(super) fn segment(&mut self, segment: &Segment, flow: u64, arrival: Mono) {
        self.counts.segments += 1;
        let opens_or_ends = segment.has(Segment::SYN | Segment::FIN);
        if segment.has(Segment::RST) {
            self.counts.resets += 1;
        } else if segment.window == 0 && !opens_or_ends {
            self.counts.zero_windows += 1;
        }
        if segment.length > 0 || opens_or_ends {
            self.follow(segment, flow, arrival);
        }
    }

    #[inline]
    fn follow(&mut self, segment: &Segment, flow: u64, arrival: Mono) {
        let now = (arrival.0 >> UNIT_SHIFT) as u32;
        let tag = (flow >> 32) as u32;
        let counted = u32::from(segment.has(Segment::SYN)) + u32::from(segment.has(Segment::FIN));
        let next = segment.sequence.wrapping_add(segment.length).wrapping_add(counted);
        let place = &mut self.places[flow as usize & (Self::PLACES - 1)];
        let since = now.wrapping_sub(place.moved);
        if place.tag != tag {
            if since > Self::PAUSE {
                *place = Place { tag, next, moved: now };
            }
            return;
        }
        self.counts.followed += 1;
        let ahead = next.wrapping_sub(place.next).cast_signed();
        // A SYN with another number than the last one begins a new connection on the same ports.
        if ahead > 0 || segment.has(Segment::SYN) && ahead != 0 {
            (place.next, place.moved) = (next, now);
        } else if since >= Self::REORDERED && (segment.length > 1 || counted > 0) {
            self.counts.retransmissions += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1 << UNIT_SHIFT;
    const ACK: u8 = 0x10;

    fn segment(sequence: u32, length: u32, flags: u8) -> Segment {
        Segment { sequence, length, flags, window: 1 }
    }

    #[test]
    fn what_is_sent_again_is_told_from_what_is_late_and_what_keeps_alive() {
        // name, [(ms, sequence, length, flags)], sent again
        for (name, story, expected) in [
            ("in order", vec![(0, 0, 100, ACK), (5, 100, 100, ACK), (9, 200, 100, ACK)], 0),
            ("sent again", vec![(0, 0, 100, ACK), (5, 100, 100, ACK), (250, 100, 100, ACK)], 1),
            ("late by a moment", vec![(0, 0, 100, ACK), (1, 200, 100, ACK), (2, 100, 100, ACK)], 0),
            ("keep-alive", vec![(0, 0, 100, ACK), (900, 99, 1, ACK), (950, 99, 0, ACK)], 0),
            ("across zero", vec![(0, u32::MAX - 9, 10, ACK), (5, 0, 10, ACK), (9, 10, 10, ACK)], 0),
            ("SYN again", vec![(0, 7, 0, Segment::SYN), (900, 7, 0, Segment::SYN)], 1),
            ("ports again", vec![(0, 900, 0, Segment::SYN), (900, 7, 0, Segment::SYN)], 0),
            ("FIN again", vec![(0, 7, 5, ACK), (5, 12, 0, Segment::FIN), (300, 12, 0, 1)], 1),
        ] {
            let mut tcp = Tcp::new();
            for (at, sequence, length, flags) in story {
                let at = Mono((5_000 + at) * MS);
                tcp.segment(&segment(sequence, length, flags), 7 << 32 | 3, at);
            }
            assert_eq!(tcp.counts.retransmissions, expected, "{name}");
        }
    }

    #[test]
    fn resets_and_closed_windows_are_counted() {
        let mut tcp = Tcp::new();
        for (flags, window) in [(ACK, 0), (ACK, 5), (Segment::RST, 0), (Segment::SYN, 0)] {
            tcp.segment(&Segment { window, ..segment(1, 0, flags) }, 1, Mono(0));
        }
        let TcpCounts { segments, resets, zero_windows, .. } = tcp.counts;
        assert_eq!((segments, resets, zero_windows), (4, 1, 1));
    }

    #[test]
    fn a_connection_keeps_its_place_until_it_pauses() {
        let mut tcp = Tcp::new();
        let (one, other) = (1 << 32 | 5, 2 << 32 | 5);
        tcp.segment(&segment(0, 100, ACK), one, Mono(2_000 * MS));
        tcp.segment(&segment(0, 100, ACK), other, Mono(2_100 * MS));
        tcp.segment(&segment(0, 100, ACK), one, Mono(2_200 * MS));
        assert_eq!(tcp.counts.retransmissions, 1, "the first one is still followed");
        tcp.segment(&segment(0, 100, ACK), other, Mono(4_000 * MS));
        tcp.segment(&segment(0, 100, ACK), other, Mono(4_100 * MS));
        assert_eq!(tcp.counts.retransmissions, 2, "then the other");
    }
}
