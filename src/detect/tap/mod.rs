//! What looks at every frame on its way into the ring, on the capture thread, for the detectors, which
//! run elsewhere.
//!
//! ```text
//!   cap/IF  frame ─► Tap ── counts by class, TCP, circles, stations ─────── summary, every 100 ms ─┐
//!                     ├──── control frames, first 512 bytes ── channel ──┐                         │
//!                     └──── questions and answers of services ─ channel ─┤                         │
//!                                                                        ▼      wakeup, once a block ▼
//!   watch/detect                                                   Detectors ─► findings
//! ```
//!
//! Per frame it allocates nothing, takes no lock, logs nothing and calls nobody in the kernel; a control
//! frame is copied once. Capture never waits: where a channel is full, frames are counted as
//! [`Summary::unseen`] instead, which the detectors tell. Services have a channel of their own, so that
//! no flood of connections takes the room of control frames. Counts are cumulative, so a summary that finds
//! no room loses nothing but time.

mod circle;
mod ends;
mod packet;
mod repeated;
mod stations;
mod tcp;

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use self::circle::Circles;
pub use self::circle::{Circle, CircleCounts};
use self::ends::Ends;
use self::packet::TappedPacket;
use self::repeated::Repeated;
pub use self::stations::{Hearing, Open, Station, StationCounts, Vlan};
use self::stations::{Passing, Stations};
use self::tcp::Tcp;
pub use self::tcp::{Again, Noticed, TcpCounts};
use crate::frame::{Direction, Frame, FrameHeader, LinkType};
use crate::sys::wakeup::Wakeup;
use crate::time::{Mono, Offset, Stamp};

/// Number of the class `control` among the classes of an interface: always the first.
pub const CONTROL: usize = 0;

/// A frame on its way to the detectors.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Why it is shown.
    pub why: Why,
    /// What makes its segment remarkable, if it is one of TCP.
    pub noticed: Option<Noticed>,
    /// What its bytes begin with.
    pub link_type: LinkType,
    /// Original length, direction.
    pub header: FrameHeader,
    /// When it arrived.
    pub at: Stamp,
    len: u16,
    bytes: [u8; Shown::LONGEST],
}

/// Why a frame is shown to the detectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is control traffic.
    Control,
    /// It is data by which services are judged: the beginning or end of a TCP connection, its first data,
    /// what is sent again, windows that are closed; a DNS message.
    Exchange,
    /// It matches the operator's filter of this number.
    Match(u16),
}

impl Shown {
    /// Bytes of a frame that are shown: more than any control protocol needs to be understood, but for
    /// long lists (OSPF hellos with over 100 neighbours, long BGP updates), whose end is missing then.
    pub const LONGEST: usize = 512;

    /// The first bytes of the frame.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }

    fn new(
        (why, noticed): (Why, Option<Noticed>),
        link_type: LinkType,
        frame: &Frame<'_>,
        at: Stamp,
    ) -> Self {
        let mut bytes = [0; Self::LONGEST];
        let mut len = 0;
        for part in frame.parts {
            let taken = part.len().min(Self::LONGEST - len);
            bytes[len..len + taken].copy_from_slice(&part[..taken]);
            len += taken;
        }
        // At most `LONGEST`.
        Self { why, noticed, link_type, header: frame.header, at, len: len as u16, bytes }
    }
}

/// Frames of one class and direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrafficCount {
    /// Frames, copies that were folded included.
    pub frames: u64,
    /// Their original length in bytes.
    pub bytes: u64,
    /// Of the frames, those to one station: no multicast, no broadcast.
    pub addressed: u64,
}

/// One class: a count for each [`Direction`], in the order of their numbers.
pub type ClassCount = [TrafficCount; 3];

/// How the capture of the interface stands, which the capture thread knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Frames are being recorded: there is an open source.
    pub recording: bool,
    /// Times that was not so.
    pub gaps: u64,
    /// Frames that the kernel dropped because its ring was full.
    pub kernel_dropped: u64,
    /// Frames that were dropped because incidents had all the memory.
    pub lane_dropped: u64,
}

/// A frame that is being folded because it comes so fast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storm {
    /// Number of its class.
    pub class: usize,
    /// Of the copy by which it was noticed.
    pub header: FrameHeader,
    /// Its first [`Shown::LONGEST`] bytes.
    pub bytes: Vec<u8>,
    /// When it began to come fast.
    pub first: Mono,
    /// The newest copy.
    pub last: Mono,
    /// Copies since `first`.
    pub copies: u64,
}

/// What the tap counted until `at`, since it was made.
#[derive(Debug, Clone)]
pub struct Summary {
    /// When it was made: frames that arrived before were counted, but for those that wait in the kernel.
    pub at: Stamp,
    /// What the bytes of frames begin with.
    pub link_type: LinkType,
    /// Each class.
    pub classes: Box<[ClassCount]>,
    /// TCP, all classes together.
    pub tcp: TcpCounts,
    /// Packets that go in a circle, all classes together.
    pub circles: CircleCounts,
    /// Who is heard, and who is not.
    pub stations: StationCounts,
    /// Frames that come so fast that they are folded.
    pub storms: Vec<Storm>,
    /// Frames that match the operator's filters, in their order.
    pub matches: Box<[u64]>,
    /// Control frames and matches that found no room on the way to the detectors.
    pub unseen: u64,
    /// Questions and answers of services that found no room: what is judged by them is not certain.
    pub unseen_exchanges: u64,
    /// How the capture stands.
    pub health: Health,
}

/// The end of a tap where the detectors sit.
#[derive(Debug)]
pub struct Outlet {
    pub(super) frames: Receiver<Shown>,
    pub(super) exchanges: Receiver<Shown>,
    pub(super) summaries: Receiver<Summary>,
}

/// Looks at the frames of one interface; owned by its capture thread.
#[derive(Debug)]
pub struct Tap {
    link_type: LinkType,
    classes: Box<[ClassCount]>,
    tcp: Tcp,
    circles: Circles,
    stations: Stations,
    repeated: Repeated,
    matches: Box<[Matched]>,
    unseen: u64,
    unseen_exchanges: u64,
    frames: Sender<Shown>,
    exchanges: Sender<Shown>,
    summaries: Sender<Summary>,
    wakeup: Wakeup,
    /// Something was sent and the wakeup not rung.
    news: bool,
    due: Mono,
}

/// Frames that match one filter.
#[derive(Debug, Clone, Copy, Default)]
struct Matched {
    count: u64,
    /// One was shown since the last summary.
    shown: bool,
}

impl Tap {
    /// Time between two summaries.
    pub const INTERVAL: Duration = Duration::from_millis(100);
    /// Frames on their way to the detectors, 600 KiB: ten thousand control frames a second for 100 ms in
    /// which the detectors do not run. What finds no room is counted.
    const FRAMES: usize = 1_024;
    /// Questions and answers on their way, as much memory again.
    const EXCHANGES: usize = 1_024;
    /// Summaries on their way; one that finds no room is left out, and the next says all it would have.
    const SUMMARIES: usize = 8;

    /// A tap for an interface with so many classes, of which [`CONTROL`] is the first, and filters. `wakeup`
    /// wakes who has the outlet.
    pub fn new(classes: usize, filters: usize, wakeup: Wakeup) -> (Self, Outlet) {
        let (frames, seen) = bounded(Self::FRAMES);
        let (exchanges, exchanged) = bounded(Self::EXCHANGES);
        let (summaries, told) = bounded(Self::SUMMARIES);
        let tap = Self {
            link_type: LinkType::ETHERNET,
            classes: vec![ClassCount::default(); classes].into(),
            tcp: Tcp::new(),
            circles: Circles::new(),
            stations: Stations::new(),
            repeated: Repeated::new(),
            matches: vec![Matched::default(); filters].into(),
            unseen: 0,
            unseen_exchanges: 0,
            frames,
            exchanges,
            summaries,
            wakeup,
            news: false,
            due: Mono(0),
        };
        (tap, Outlet { frames: seen, exchanges: exchanged, summaries: told })
    }

    /// Each class: frames and bytes by direction, since the tap was made.
    pub fn counts(&self) -> &[ClassCount] {
        &self.classes
    }

    /// Who is heard, and who is not.
    pub fn stations(&self) -> StationCounts {
        self.stations.counts()
    }

    /// Packets that were not judged because a capture of all interfaces has them several times.
    pub fn repeated(&self) -> u64 {
        self.repeated.count()
    }

    /// Frames begin with `link_type` from now on.
    pub fn begin(&mut self, link_type: LinkType) {
        self.link_type = link_type;
    }

    /// Looks at a frame of a class; true if it is on its way to the detectors. One that was `folded` is
    /// only counted: its storm is in the summary.
    #[inline]
    pub fn frame(&mut self, frame: &Frame<'_>, class: usize, folded: bool, offset: Offset) -> bool {
        let header = &frame.header;
        let (ends, network) = ends::read(self.link_type, frame);
        self.count(ends, header, class, 1);
        let (direction, at) = (header.direction, offset.mono(header.wall));
        if folded {
            return self.folded(ends, frame, at);
        }
        let is_control = class == CONTROL;
        let packet = network.and_then(|network| TappedPacket::usual(network, direction));
        match (ends, packet) {
            (Some(ends), Some(packet)) => {
                let passing = Passing { frame, ends: Some(ends), is_control, at };
                self.judge(passing, Some(&packet), offset)
            }
            _ => self.judge_unusual(frame, is_control, at, offset),
        }
    }

    /// Copies of a frame that is folded, all at once: so many, the first and the last of which came then.
    pub fn copies(&mut self, frame: &Frame<'_>, class: usize, count: u64, span: (Mono, Mono)) {
        let (ends, _) = ends::read(self.link_type, frame);
        self.count(ends, &frame.header, class, count);
        self.stations.copies(ends, frame.header.direction, count, span);
    }

    /// True if one frame may be there several times, of which each must be looked at: see [`Tap::repeated`].
    pub fn repeats(&self) -> bool {
        Repeated::applies(self.link_type)
    }

    #[inline(always)]
    fn count(&mut self, ends: Option<Ends>, header: &FrameHeader, class: usize, frames: u64) {
        let Some(counts) = self.classes.get_mut(class) else { return };
        let count = &mut counts[header.direction as usize];
        count.frames += frames;
        count.bytes += u64::from(header.original_len) * frames;
        count.addressed += u64::from(ends.is_none_or(Ends::is_to_one)) * frames;
    }

    /// A copy that is only counted.
    #[inline(never)]
    fn folded(&mut self, ends: Option<Ends>, frame: &Frame<'_>, at: Mono) -> bool {
        if !self.repeated.is_again(self.link_type, frame, at) {
            self.stations.copies(ends, frame.header.direction, 1, (at, at));
        }
        false
    }

    /// What is no plain packet behind link addresses; its headers are read once more, so that those of the usual
    /// frame need not be kept for here.
    #[inline(never)]
    fn judge_unusual(
        &mut self,
        frame: &Frame<'_>,
        is_control: bool,
        at: Mono,
        offset: Offset,
    ) -> bool {
        if self.repeated.is_again(self.link_type, frame, at) {
            return false;
        }
        let (ends, network) = ends::read(self.link_type, frame);
        let direction = frame.header.direction;
        let packet = network.and_then(|network| TappedPacket::any(network, direction));
        self.judge(Passing { frame, ends, is_control, at }, packet.as_ref(), offset)
    }

    /// Shows a frame to all judges that sit here; true if it is on its way to those that do not.
    #[inline(always)]
    fn judge(
        &mut self,
        passing: Passing<'_>,
        packet: Option<&TappedPacket<'_>>,
        offset: Offset,
    ) -> bool {
        let Passing { frame, is_control, at, .. } = passing;
        self.stations.frame(passing, packet);
        let noticed = packet.and_then(|packet| {
            self.circles.packet(packet, frame, at);
            self.tcp.segment(&packet.segment()?, packet, at)
        });
        let is_exchange = noticed.is_some() || packet.is_some_and(TappedPacket::is_exchange);
        let why = if is_control { Why::Control } else { Why::Exchange };
        (is_control || is_exchange) && self.show((why, noticed), frame, offset)
    }

    /// A frame matches the filter of this number. The first of each [`Tap::INTERVAL`] is shown, all are
    /// counted.
    pub fn matched(&mut self, filter: usize, frame: &Frame<'_>, offset: Offset) {
        let Some(matched) = self.matches.get_mut(filter) else { return };
        matched.count += 1;
        if !std::mem::replace(&mut matched.shown, true) {
            // There are fewer filters than a u16 counts.
            self.show((Why::Match(filter as u16), None), frame, offset);
        }
    }

    /// A block of frames is done: wakes the detectors if there is something new.
    #[inline]
    pub fn block(&mut self) {
        if std::mem::take(&mut self.news) {
            self.wakeup.notify();
        }
    }

    /// True, once, if the detectors have something to hear: for whoever hears without a wakeup.
    pub fn has_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// True if a summary is due.
    pub fn is_due(&self, now: Mono) -> bool {
        now >= self.due
    }

    /// Sends a summary.
    pub fn summary(&mut self, now: Stamp, health: Health, storms: Vec<Storm>) {
        self.due = now.mono.plus(Self::INTERVAL);
        self.tcp.turn();
        let summary = Summary {
            at: now,
            link_type: self.link_type,
            classes: self.classes.clone(),
            tcp: self.tcp.counts,
            circles: self.circles.counts(),
            stations: self.stations.counts(),
            storms,
            matches: self.matches.iter().map(|matched| matched.count).collect(),
            unseen: self.unseen,
            unseen_exchanges: self.unseen_exchanges,
            health,
        };
        self.matches.iter_mut().for_each(|matched| matched.shown = false);
        // Without room the next one tells all of it; without a receiver nobody wants to know.
        let _ = self.summaries.try_send(summary);
        self.news = true;
    }

    #[inline(never)]
    fn show(&mut self, why: (Why, Option<Noticed>), frame: &Frame<'_>, offset: Offset) -> bool {
        let wall = frame.header.wall;
        let at = Stamp { mono: offset.mono(wall), wall };
        let (way, unseen) = match why.0 {
            Why::Control | Why::Match(_) => (&self.frames, &mut self.unseen),
            Why::Exchange => (&self.exchanges, &mut self.unseen_exchanges),
        };
        let shown = way.try_send(Shown::new(why, self.link_type, frame, at)).is_ok();
        self.news |= shown;
        *unseen += u64::from(!shown);
        shown
    }
}

impl Summary {
    /// All classes together, one direction.
    pub fn total(&self, direction: Direction) -> TrafficCount {
        self.classes.iter().fold(TrafficCount::default(), |sum, class| {
            let count = class[direction as usize];
            TrafficCount {
                frames: sum.frames + count.frames,
                bytes: sum.bytes + count.bytes,
                addressed: sum.addressed + count.addressed,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::packet::tests::tcp;
    use super::*;
    use crate::time::Wall;

    fn frame(bytes: &[u8], direction: Direction) -> Frame<'_> {
        let original_len = u32::try_from(bytes.len()).unwrap();
        let header =
            FrameHeader { wall: Wall(5), original_len, direction, ..FrameHeader::default() };
        Frame::whole(header, bytes)
    }

    fn tap() -> (Tap, Outlet) {
        Tap::new(2, 1, Wakeup::new().unwrap())
    }

    fn summary(tap: &mut Tap, outlet: &Outlet) -> Summary {
        tap.summary(Stamp::default(), Health::default(), Vec::new());
        outlet.summaries.try_recv().unwrap()
    }

    #[test]
    fn frames_are_counted_by_class_and_direction_and_control_is_shown() {
        let (mut tap, outlet) = tap();
        let (data, mut group) = (tcp(64, 1, 4, 0, b"abc"), vec![1_u8; 700]);
        group[12] = 0x88;
        tap.frame(&frame(&data, Direction::Inbound), 1, false, Offset(0));
        tap.frame(&frame(&data, Direction::Inbound), 1, true, Offset(0));
        tap.frame(&frame(&group, Direction::Outbound), 0, false, Offset(2));
        let seen = summary(&mut tap, &outlet);
        let count = |frames, bytes, addressed| TrafficCount { frames, bytes, addressed };
        assert_eq!(seen.classes[1][1], count(2, 2 * data.len() as u64, 2));
        assert_eq!(seen.classes[0][2], count(1, 700, 0));
        assert_eq!(seen.total(Direction::Inbound), seen.classes[1][1]);
        assert_eq!((seen.tcp.segments, seen.tcp.resets), (1, 1), "a copy is only counted");
        let shown: Vec<_> = outlet.frames.try_iter().collect();
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].bytes(), &group[..Shown::LONGEST]);
        assert_eq!(shown[0].at, Stamp { mono: Mono(3), wall: Wall(5) });
        assert_eq!(shown[0].header.original_len, 700);
    }

    #[test]
    fn copies_at_once_count_as_one_by_one() {
        let data = tcp(64, 1, 16, 9, b"abc");
        for direction in [Direction::Unknown, Direction::Inbound, Direction::Outbound] {
            let ((mut single, one), (mut together, other)) = (tap(), tap());
            let known = frame(&data, direction);
            for tap in [&mut single, &mut together] {
                tap.frame(&known, 1, false, Offset(0));
            }
            for wall in [7, 8, 9] {
                let header = FrameHeader { wall: Wall(wall), ..known.header };
                single.frame(&Frame { header, ..known }, 1, true, Offset(0));
            }
            together.copies(&known, 1, 3, (Mono(7), Mono(9)));
            let (one, other) = (summary(&mut single, &one), summary(&mut together, &other));
            assert_eq!((one.classes, one.stations), (other.classes, other.stations));
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nothing_waits() {
        let (mut tap, outlet) = tap();
        let bytes = [2; 60];
        for _ in 0..Tap::FRAMES + 7 {
            tap.frame(&frame(&bytes, Direction::Inbound), CONTROL, false, Offset(0));
        }
        let seen = summary(&mut tap, &outlet);
        assert_eq!(seen.unseen, 7);
        assert_eq!(seen.classes[0][1].frames, Tap::FRAMES as u64 + 7);
        drop(outlet);
        tap.frame(&frame(&bytes, Direction::Inbound), CONTROL, false, Offset(0));
        tap.summary(Stamp::default(), Health::default(), Vec::new());
    }

    #[test]
    fn a_match_is_shown_once_an_interval_and_counted_each_time() {
        let (mut tap, outlet) = tap();
        for _ in 0..2 {
            for _ in 0..10 {
                tap.matched(0, &frame(&[1; 60], Direction::Inbound), Offset(0));
            }
            summary(&mut tap, &outlet);
        }
        assert_eq!(outlet.frames.try_iter().filter(|shown| shown.why == Why::Match(0)).count(), 2);
        assert_eq!(summary(&mut tap, &outlet).matches[..], [20]);
    }
}
