//! What TCP complains about: resets, segments sent again, windows that are closed; and which segments the
//! detectors must see to judge conversations.
//!
//! ```text
//!   places   flow      ─── how far its sender had come ──► speaks for the first time, sends again
//!   recent   segment   ─── its bytes, when ──────────────► a copy of it, or sent again
//!   pairs    two hosts ─── segments, those sent again ───► what share that is
//!   closed   flow      ─── its window is closed ─────────► open again
//! ```
//!
//! The tables are small so that they stay in the processor's cache, and whoever has a place keeps it until
//! it pauses: with more connections than places, some are followed without a gap and the others not at all,
//! and the share of segments sent again is right for those followed.
//!
//! A capture with two taps, a mirror of both ports, a loop between switches bring the same packet again. That
//! is a *copy*: sequence, acknowledgement, window, checksum and IPv4 identification are those of one
//! that came moments ago. A sender that sends again numbers the packet anew, or stamps it anew (RFC 7323 §3).
//! Copies are counted, and are no complaint.

use std::time::Duration;

use super::packet::{K, Segment, TappedPacket};
use crate::time::Mono;

/// Counts since the tap was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpCounts {
    /// Segments.
    pub segments: u64,
    /// That ask for a connection: SYN without ACK.
    pub syns: u64,
    /// With the RST flag, where there was a connection: answers to a SYN are left out.
    pub resets: u64,
    /// That say the receiver's window is closed: 0, and none of SYN, FIN, RST.
    pub zero_windows: u64,
    /// With data or FIN, of connections that were followed.
    pub followed: u64,
    /// Of those, segments that bring nothing new and are no copies: seen before, or 3 ms or more late.
    /// Keep-alives do not count.
    pub retransmissions: u64,
    /// Of those, the same packet again.
    pub copies: u64,
}

/// What makes a segment worth showing, beside that a connection begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noticed {
    /// A SYN whose sender is followed from here: its first data will be noticed.
    Followed,
    /// The first data that its sender sends on this connection.
    Speaks,
    /// It was sent before.
    Again(Again),
    /// The receiver's window is closed.
    Closed,
    /// The receiver's window is open again.
    Opened,
}

/// How it stands with a sender that sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// Since the sender sent something new, to a millisecond.
    pub since: Duration,
    /// New segments that it sent before on this connection, as far as it was followed.
    pub sent: u32,
    /// Of the two hosts together, all their connections, while they are followed: segments with data.
    pub pair_segments: u32,
    /// Of those, sent again; zero if the two are not followed.
    pub pair_again: u32,
}

/// The tables, and the counts.
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) counts: TcpCounts,
    places: Box<[SenderProgress; Tcp::PLACES]>,
    recent: Box<[Recent; Tcp::RECENT]>,
    pairs: Box<[Pair; Tcp::PAIRS]>,
    closed: [ClosedWindow; Tcp::CLOSED],
    /// Places of `closed` that are taken: nearly always none.
    closed_now: usize,
    /// Segments sent again or with a closed window that may still be shown until the next summary.
    allowance: u32,
}

/// How far the sender of one direction of a connection had come.
#[derive(Debug, Clone, Copy, Default)]
struct SenderProgress {
    /// Upper half of the flow's number; the lower half chose the place.
    tag: u32,
    /// The sequence number expected next.
    next: u32,
    /// When it last moved, in units of [`UNIT_SHIFT`].
    moved: u32,
    /// Segments with data that moved it. Zero only after a SYN: the first of them is noticed.
    sent: u32,
}

/// A segment that moved a place.
#[derive(Debug, Clone, Copy, Default)]
struct Recent {
    /// Of flow and sequence number.
    key: u32,
    /// Of everything else, see [`TappedPacket::digest`], with the identification.
    content: u32,
    at: u32,
}

/// Two hosts.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    tag: u32,
    seen: u32,
    segments: u32,
    again: u32,
}

/// A flow whose window is closed.
#[derive(Debug, Clone, Copy, Default)]
struct ClosedWindow {
    flow: u64,
    /// When it was said last, and when that was shown.
    said: u32,
    shown: u32,
}

/// A unit of time: 2^20 ns, about a millisecond; a shift instead of a division.
const UNIT_SHIFT: u32 = 20;

impl Tcp {
    /// Places, a power of two: 16 KiB.
    const PLACES: usize = 1_024;
    /// Segments remembered, a power of two: 12 KiB; at 10,000 segments a second those of 100 ms.
    const RECENT: usize = 1_024;
    /// Pairs of hosts, a power of two: 4 KiB.
    const PAIRS: usize = 256;
    /// Closed windows: each is compared with every segment while there are any.
    const CLOSED: usize = 8;
    /// A segment that is late by less, in units, took another way or another processor: Wireshark calls
    /// it out of order up to 3 ms (packet-tcp.c, `tcp_analyze_sequence_number`).
    const REORDERED: u32 = 3;
    /// A copy comes within this time, in units: half of what separates a sender's tries, 200 ms at least
    /// (Linux, TCP_RTO_MIN), and a few times the longest way between two taps of a site.
    const COPY: u32 = 100;
    /// A connection that paused this long, in units, gives its place away: about a second.
    const PAUSE: u32 = 1_000;
    /// One that waits for an answer keeps it longer: tries that double from 200 ms on are 13 s apart then.
    const WAITING: u32 = 30_000;
    /// Two hosts that paused this long give their place away: their usual share is worth keeping.
    const PAIR_PAUSE: u32 = 10_000;
    /// A closed window that was not repeated for so long, in units, makes room for another.
    const CLOSED_OLD: u32 = 10_000;
    /// One closed window is shown so often, in units.
    const CLOSED_SHOWN: u32 = 200;
    /// Segments shown between two summaries because they are sent again or close a window: 640 a second
    /// tell enough, and leave room for connections. Counts go on.
    const SHOWN: u32 = 64;

    pub(super) fn new() -> Self {
        Self {
            counts: TcpCounts::default(),
            places: Box::new([SenderProgress::default(); Self::PLACES]),
            recent: Box::new([Recent::default(); Self::RECENT]),
            pairs: Box::new([Pair::default(); Self::PAIRS]),
            closed: [ClosedWindow::default(); Self::CLOSED],
            closed_now: 0,
            allowance: Self::SHOWN,
        }
    }

    /// A summary was made: more may be shown.
    pub(super) fn turn(&mut self) {
        self.allowance = Self::SHOWN;
    }

    /// Looks at a segment, and tells if the detectors must see it.
    #[inline(always)]
    pub(super) fn segment(
        &mut self,
        segment: &Segment,
        packet: &TappedPacket<'_>,
        arrival: Mono,
    ) -> Option<Noticed> {
        self.counts.segments += 1;
        let now = (arrival.0 >> UNIT_SHIFT) as u32;
        if segment.has(Segment::SYN | Segment::FIN | Segment::RST) {
            return self.opens_or_ends(*segment, *packet, now);
        }
        let mut noticed = None;
        if segment.window == 0 || self.closed_now > 0 {
            noticed = self.window(*segment, packet.flow, now);
        }
        if segment.length > 0 { noticed.or(self.follow(segment, packet, now)) } else { noticed }
    }

    #[inline(never)]
    fn opens_or_ends(
        &mut self,
        segment: Segment,
        packet: TappedPacket<'_>,
        now: u32,
    ) -> Option<Noticed> {
        self.forget_window(packet.flow);
        if segment.has(Segment::RST) {
            self.counts.resets += u64::from(!segment.refuses());
            return None;
        }
        if !segment.has(Segment::SYN) {
            return self.follow(&segment, &packet, now);
        }
        self.counts.syns += u64::from(!segment.has(Segment::ACK));
        self.begins(&segment, &packet, now)
    }

    /// A SYN. It is followed if there is a place; one that is sent again changes nothing.
    fn begins(
        &mut self,
        segment: &Segment,
        packet: &TappedPacket<'_>,
        now: u32,
    ) -> Option<Noticed> {
        let tag = tag_of(packet.flow);
        let place = &mut self.places[packet.flow as usize & (Self::PLACES - 1)];
        if place.tag != tag && !place.is_free(now) {
            return None;
        }
        let next = segment.next();
        if place.tag != tag || place.next != next {
            *place = SenderProgress { tag, next, moved: now, sent: 0 };
        }
        Some(Noticed::Followed)
    }

    #[inline(always)]
    fn follow(
        &mut self,
        segment: &Segment,
        packet: &TappedPacket<'_>,
        now: u32,
    ) -> Option<Noticed> {
        let tag = tag_of(packet.flow);
        let next = segment.next();
        let (key, content) = (key_of(packet.flow, segment.sequence), content_of(packet));
        let recent = &mut self.recent[key as usize & (Self::RECENT - 1)];
        let place = &mut self.places[packet.flow as usize & (Self::PLACES - 1)];
        let since = now.wrapping_sub(place.moved);
        if place.tag != tag {
            if place.is_free(now) {
                *place = SenderProgress { tag, next, moved: now, sent: 1 };
                *recent = Recent { key, content, at: now };
            }
            return None;
        }
        self.counts.followed += 1;
        let pair = packet.pair();
        self.pairs[pair as usize & (Self::PAIRS - 1)].count(pair, now);
        let ahead = next.wrapping_sub(place.next).cast_signed();
        if ahead > 0 {
            *recent = Recent { key, content, at: now };
            (place.next, place.moved) = (next, now);
            let first = place.sent == 0 && segment.length > 0;
            place.sent = (place.sent & !WAITS).wrapping_add(1) & !WAITS;
            return first.then_some(Noticed::Speaks);
        }
        if segment.length <= 1 && !segment.has(Segment::FIN) {
            return None;
        }
        self.repeated(*packet, (key, content), since, now)
    }

    /// It brings nothing new: late, a copy, or sent again.
    #[cold]
    fn repeated(
        &mut self,
        packet: TappedPacket<'_>,
        (key, content): (u32, u32),
        since: u32,
        now: u32,
    ) -> Option<Noticed> {
        let recent = &mut self.recent[key as usize & (Self::RECENT - 1)];
        let seen = recent.key == key;
        if seen && recent.content == content && now.wrapping_sub(recent.at) < Self::COPY {
            self.counts.copies += 1;
            return None;
        }
        if !seen && since < Self::REORDERED {
            return None;
        }
        *recent = Recent { key, content, at: now };
        self.counts.retransmissions += 1;
        let number = packet.pair();
        let pair = &mut self.pairs[number as usize & (Self::PAIRS - 1)];
        let followed = pair.tag == tag_of(number);
        pair.again = pair.again.wrapping_add(u32::from(followed));
        let place = &mut self.places[packet.flow as usize & (Self::PLACES - 1)];
        let sent = place.sent & !WAITS;
        place.sent |= if sent > 0 { WAITS } else { 0 };
        self.allowance = self.allowance.checked_sub(1)?;
        Some(Noticed::Again(Again {
            since: Duration::from_nanos(u64::from(since) << UNIT_SHIFT),
            sent,
            pair_segments: if followed { pair.segments } else { 0 },
            pair_again: if followed { pair.again } else { 0 },
        }))
    }

    /// A segment says that the window is closed, or others did.
    #[cold]
    fn window(&mut self, segment: Segment, flow: u64, now: u32) -> Option<Noticed> {
        let closes = segment.window == 0;
        self.counts.zero_windows += u64::from(closes);
        let known = self.closed[..self.closed_now].iter_mut().find(|closed| closed.flow == flow);
        match known {
            Some(_) if !closes => {
                self.forget_window(flow);
                Some(Noticed::Opened)
            }
            Some(closed) => {
                closed.said = now;
                if now.wrapping_sub(closed.shown) < Self::CLOSED_SHOWN {
                    return None;
                }
                self.allowance = self.allowance.checked_sub(1)?;
                closed.shown = now;
                Some(Noticed::Closed)
            }
            None if closes => self.close_window(flow, now),
            None => None,
        }
    }

    /// Remembers a closed window, if there is room.
    fn close_window(&mut self, flow: u64, now: u32) -> Option<Noticed> {
        if self.closed_now == Self::CLOSED {
            let is_old = |closed: &&ClosedWindow| now.wrapping_sub(closed.said) > Self::CLOSED_OLD;
            let old = self.closed.iter().find(is_old)?.flow;
            self.forget_window(old);
        }
        self.closed[self.closed_now] = ClosedWindow { flow, said: now, shown: now };
        self.closed_now += 1;
        Some(Noticed::Closed)
    }

    fn forget_window(&mut self, flow: u64) {
        let taken = &mut self.closed[..self.closed_now];
        if let Some(at) = taken.iter().position(|closed| closed.flow == flow) {
            let last = taken.len() - 1;
            taken.swap(at, last);
            self.closed_now = last;
        }
    }
}

/// The bit of [`SenderProgress::sent`] that says: its sender sends again since it last moved.
const WAITS: u32 = 1 << 31;

impl SenderProgress {
    /// Its connection paused for so long that another may have it.
    #[inline(always)]
    fn is_free(&self, now: u32) -> bool {
        let since = now.wrapping_sub(self.moved);
        since > Tcp::PAUSE && (self.sent & WAITS == 0 || since > Tcp::WAITING)
    }
}

impl Pair {
    #[inline(always)]
    fn count(&mut self, pair: u64, now: u32) {
        let tag = tag_of(pair);
        if self.tag == tag {
            self.segments = self.segments.wrapping_add(1);
            self.seen = now;
        } else if now.wrapping_sub(self.seen) > Tcp::PAIR_PAUSE {
            *self = Self { tag, seen: now, segments: 1, again: 0 };
        }
    }
}

#[inline(always)]
fn tag_of(number: u64) -> u32 {
    (number >> 32) as u32
}

#[inline(always)]
fn key_of(flow: u64, sequence: u32) -> u32 {
    ((flow ^ u64::from(sequence)).wrapping_mul(K[0]) >> 32) as u32
}

#[inline(always)]
fn content_of(packet: &TappedPacket<'_>) -> u32 {
    tag_of(packet.digest) ^ u32::from(packet.identification())
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::packet;
    use super::*;

    const MS: u64 = 1 << UNIT_SHIFT;
    const ACK: u8 = Segment::ACK;
    const SYN: u8 = Segment::SYN;

    fn segment(sequence: u32, length: u32, flags: u8) -> Segment {
        Segment { sequence, length, flags, window: 1 }
    }

    /// Each segment with an identification of its own.
    struct Line {
        tcp: Tcp,
        identification: u16,
    }

    impl Line {
        fn new() -> Self {
            Self { tcp: Tcp::new(), identification: 0 }
        }

        fn show(&mut self, at: u64, flow: u64, segment: Segment) -> Option<Noticed> {
            self.identification += 1;
            let packet = packet(flow, self.identification);
            self.tcp.segment(&segment, &packet, Mono((50_000 + at) * MS))
        }
    }

    #[test]
    fn what_is_sent_again_is_told_from_what_is_late_and_what_keeps_alive() {
        // name, [(ms, sequence, length, flags)], sent again
        for (name, story, expected) in [
            ("in order", vec![(0, 0, 100, ACK), (5, 100, 100, ACK), (9, 200, 100, ACK)], 0),
            ("sent again", vec![(0, 0, 100, ACK), (5, 100, 100, ACK), (250, 100, 100, ACK)], 1),
            ("late by a moment", vec![(0, 0, 100, ACK), (1, 200, 100, ACK), (2, 100, 100, ACK)], 0),
            (
                "seen before, among new ones",
                vec![(0, 0, 9, ACK), (4, 9, 9, ACK), (5, 18, 9, ACK), (6, 9, 9, ACK)],
                1,
            ),
            ("keep-alive", vec![(0, 0, 100, ACK), (900, 99, 1, ACK), (950, 99, 0, ACK)], 0),
            ("across zero", vec![(0, u32::MAX - 9, 10, ACK), (5, 0, 10, ACK), (9, 10, 10, ACK)], 0),
            ("SYN again", vec![(0, 7, 0, SYN), (900, 7, 0, SYN)], 0),
            ("ports again", vec![(0, 900, 0, SYN), (900, 7, 0, SYN)], 0),
            ("FIN again", vec![(0, 7, 5, ACK), (5, 12, 0, Segment::FIN), (300, 12, 0, 1)], 1),
        ] {
            let mut line = Line::new();
            for (at, sequence, length, flags) in story {
                line.show(at, 7 << 32 | 3, segment(sequence, length, flags));
            }
            assert_eq!(line.tcp.counts.retransmissions, expected, "{name}");
        }
    }

    #[test]
    fn the_same_packet_again_is_a_copy() {
        for (name, apart, other, expected) in [
            ("two taps, one behind the other", 4, 0, (0, 4)),
            ("two taps, 40 ms apart", 40, 0, (0, 4)),
            ("sent again after its time", 210, 0, (4, 0)),
            ("numbered anew", 40, 1, (4, 0)),
        ] {
            let mut tcp = Tcp::new();
            let flow = 7 << 32 | 3;
            for round in 0..2_u64 {
                for n in 0..4_u16 {
                    let packet = packet(flow, n + 100 * other * round as u16);
                    let at = Mono((50_000 + u64::from(n) + round * apart) * MS);
                    tcp.segment(&segment(u32::from(n) * 100, 100, ACK), &packet, at);
                }
            }
            let TcpCounts { retransmissions, copies, .. } = tcp.counts;
            assert_eq!((retransmissions, copies), expected, "{name}");
        }
    }

    #[test]
    fn resets_and_closed_windows_are_counted() {
        let mut line = Line::new();
        let refusal = Segment { sequence: 0, ..segment(0, 0, Segment::RST | ACK) };
        for segment in [
            Segment { window: 0, ..segment(1, 0, ACK) },
            segment(1, 0, ACK),
            Segment { window: 0, ..segment(1, 0, Segment::RST) },
            Segment { window: 0, ..segment(1, 0, SYN) },
            refusal,
        ] {
            line.show(0, 1, segment);
        }
        let TcpCounts { segments, syns, resets, zero_windows, .. } = line.tcp.counts;
        assert_eq!((segments, syns, resets, zero_windows), (5, 1, 1, 1));
    }

    #[test]
    fn a_connection_keeps_its_place_until_it_pauses() {
        let mut line = Line::new();
        let (one, other) = (1 << 32 | 5, 2 << 32 | 5);
        line.show(0, one, segment(0, 100, ACK));
        line.show(100, other, segment(0, 100, ACK));
        line.show(200, one, segment(0, 100, ACK));
        assert_eq!(line.tcp.counts.retransmissions, 1, "the first one is still followed");
        line.show(2_000, other, segment(0, 100, ACK));
        line.show(2_400, one, segment(0, 100, ACK));
        assert_eq!(line.tcp.counts.retransmissions, 2, "also while it waits for an answer");
        line.show(40_000, other, segment(0, 100, ACK));
        line.show(40_100, other, segment(0, 100, ACK));
        assert_eq!(line.tcp.counts.retransmissions, 3, "then the other");
    }

    #[test]
    fn first_data_and_what_is_sent_again_are_noticed() {
        let mut line = Line::new();
        let mut show = |at, sequence, length, flags| {
            line.show(at, 7 << 32 | 3, segment(sequence, length, flags))
        };
        assert_eq!(show(0, 9, 0, SYN), Some(Noticed::Followed));
        assert_eq!(show(1, 10, 0, ACK), None);
        assert_eq!(show(2, 10, 50, ACK), Some(Noticed::Speaks));
        assert_eq!(show(3, 60, 50, ACK), None);
        let Some(Noticed::Again(again)) = show(203, 60, 50, ACK) else { panic!("not noticed") };
        assert_eq!((again.since, again.sent), (Duration::from_nanos(200 * MS), 2));
        assert_eq!((again.pair_segments, again.pair_again), (3, 1));
        assert_eq!(show(300, 110, 50, ACK), None);
        // The same ports once more.
        assert_eq!(show(400, 9_000, 0, SYN), Some(Noticed::Followed));
        assert_eq!(show(401, 9_001, 5, ACK), Some(Noticed::Speaks));
    }

    #[test]
    fn what_may_be_shown_is_bounded_and_counts_go_on() {
        let mut line = Line::new();
        line.show(0, 3, segment(0, 100, ACK));
        let shown = (0..100).filter(|n| line.show(300 + n, 3, segment(0, 100, ACK)).is_some());
        assert_eq!(shown.count(), Tcp::SHOWN as usize);
        assert_eq!(line.tcp.counts.retransmissions, 100);
        line.tcp.turn();
        assert!(line.show(500, 3, segment(0, 100, ACK)).is_some());
    }

    #[test]
    fn windows_are_noticed_when_they_close_and_when_they_open() {
        let mut line = Line::new();
        let closed = Segment { window: 0, ..segment(1, 0, ACK) };
        let open = segment(1, 0, ACK);
        for (at, flow, segment, expected) in [
            (0, 1, open, None),
            (1, 1, closed, Some(Noticed::Closed)),
            (2, 2, open, None),
            (50, 1, closed, None),
            (300, 1, closed, Some(Noticed::Closed)),
            (400, 1, open, Some(Noticed::Opened)),
            (401, 1, open, None),
            (500, 1, closed, Some(Noticed::Closed)),
        ] {
            assert_eq!(line.show(at, flow, segment), expected, "at {at}");
        }
        // It ended: nothing opens any more.
        line.show(600, 1, Segment { window: 0, ..segment(1, 0, Segment::RST) });
        assert_eq!(line.show(700, 1, open), None);
        for flow in 0..20 {
            line.show(800, flow, closed);
        }
        assert_eq!(line.tcp.closed_now, Tcp::CLOSED);
        assert_eq!(line.show(130_000, 30, closed), Some(Noticed::Closed));
    }
}
