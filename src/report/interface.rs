//! One interface of the files: what its detectors conclude, and what is counted of it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::detect::protocols::{self, Protocols, Together};
use crate::detect::tap::{CONTROL, Health, StationCounts, Tap};
use crate::detect::{Detectors, Subject, traffic};
use crate::error::{Error, Result};
use crate::finding::{Finding, FindingKind};
use crate::frame::{Direction, Frame, FrameHeader, LinkType, Origin};
use crate::sys::wakeup::Wakeup;
use crate::time::{Mono, Offset, Stamp, Wall};
use crate::wire::control::is_control;
use crate::wire::{Flow, Reading};
use crate::words;

use super::copies::{Copies, FastFrame, Gathered};
use super::findings::{Findings, Settled, first_since};
use super::model::Count;
use super::questions::Questions;
use super::relations::Relations;
use super::series::{self, Columns, Series};
use super::states::Tracks;
use super::talkers::Talkers;

/// Numbers of the classes of an interface: control is the first by definition of the tap.
const DATA: usize = 1;
const CLASSES: [&str; 2] = ["control", "data"];
/// Of what is read from a file nothing is lost on the way.
const HEALTHY: Health = Health { recording: true, gaps: 0, kernel_dropped: 0, lane_dropped: 0 };

/// One interface.
pub(super) struct Judged {
    pub(super) name: Arc<str>,
    pub(super) link_type: LinkType,
    /// First and last frame.
    pub(super) span: Option<(Wall, Wall)>,
    /// By the numbers of [`Direction`].
    pub(super) counts: [Count; 3],
    /// When the last frame went each way.
    pub(super) heard: [Option<Wall>; 3],
    pub(super) frames: [Series; 3],
    pub(super) bytes: [Series; 3],
    tap: Tap,
    detectors: Detectors,
    copies: Copies,
    /// Frames whose link header is not understood, or cut: their content is not known.
    pub(super) unread: u64,
    /// Control frames that did not reach the detectors.
    pub(super) unseen: u64,
    /// Copies that a bundle counted, on their way.
    spread: Vec<Spread>,
    /// Frames shown since the detectors listened.
    shown: usize,
    /// The column of the copies that were gathered.
    column: usize,
    /// Control frames that came in lately, in one line each.
    received: VecDeque<(Wall, String)>,
    told: Vec<Finding>,
    clock: Offset,
}

/// Copies that arrived between now and then.
struct Spread {
    bytes: Box<[u8]>,
    header: FrameHeader,
    class: usize,
    flow: Flow,
    left: u64,
    from: Mono,
    to: Mono,
}

/// What all interfaces share.
pub(super) struct Shared {
    pub(super) columns: Columns,
    /// Between the wall clock of the files and the time of the interface that is being judged.
    pub(super) offset: Offset,
    pub(super) talkers: Talkers,
    pub(super) tracks: Tracks,
    pub(super) ledger: Findings,
    pub(super) questions: Questions,
    pub(super) relations: Relations,
}

impl Judged {
    /// Listen after so many control frames: the tap has room for four times as many.
    const LISTEN: usize = 256;
    /// Lines kept of control frames that came in, at most one a second of each protocol: what proves that
    /// receiving works while a detector waits a minute to be sure that sending does not.
    const RECEIVED: usize = 512;
    const RECEIVED_EVERY: u64 = 1_000_000_000;
    /// Runs of a bundle at the same time; those beyond are counted where they begin.
    const SPREADS: usize = 1_024;

    /// Detectors for the interface that `origin` describes, `together` with those of the others.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub(super) fn new(
        origin: &Origin,
        traffic: &traffic::Options,
        together: &Together,
    ) -> Result<Self> {
        let name: Arc<str> = origin.interface.as_str().into();
        let classes = CLASSES.map(Arc::from).to_vec();
        let subject = Subject { interface: Arc::clone(&name), classes, filters: Vec::new() };
        let protocols = Protocols::new(&name, &protocols::Options::default(), together);
        let wakeup = Wakeup::new().map_err(|e| Error::operation("judge", &*name, e))?;
        let (mut tap, detectors) =
            Detectors::new(subject, traffic, vec![Box::new(protocols)], wakeup)?;
        tap.begin(origin.link_type);
        Ok(Self {
            name,
            link_type: origin.link_type,
            span: None,
            counts: [Count::default(); 3],
            heard: [None; 3],
            frames: Default::default(),
            bytes: Default::default(),
            tap,
            detectors,
            copies: Copies::new(),
            unread: 0,
            unseen: 0,
            spread: Vec::new(),
            shown: 0,
            column: 0,
            received: VecDeque::new(),
            told: Vec::new(),
            clock: Offset::default(),
        })
    }

    /// A frame arrived at `at`, in `column`; `copies` and their last arrival where it stands for others.
    pub(super) fn frame(
        &mut self,
        frame: &Frame<'_>,
        at: Stamp,
        copies: Option<(u64, Mono)>,
        column: usize,
        shared: &mut Shared,
    ) {
        if column != self.column {
            self.tell_gathered();
            self.column = column;
        }
        // In a capture of all interfaces each copy is looked at: by its time it may be the same packet once more.
        if copies.is_none() && !self.tap.repeats() && self.copies.gather(frame, at) {
            return;
        }
        self.tell_gathered();
        let class = if is_control(self.link_type, frame) { CONTROL } else { DATA };
        if self.span.is_none() {
            // What detectors count from: else the first moments would not be news.
            self.tap.summary(at, HEALTHY, Vec::new());
        }
        let (first, last) = self.span.unwrap_or((at.wall, at.wall));
        self.span = Some((first.min(at.wall), last.max(at.wall)));
        let (count, last) = copies.unwrap_or((1, at.mono));
        let heard = &mut self.heard[frame.header.direction as usize];
        *heard = (*heard).max(Some(shared.offset.wall(last)));
        let flow = || Flow::of(self.link_type, frame.parts[0]);
        let (flow, fast) = match self.copies.frame(frame, class, (at.mono, last), count) {
            Some(run) => {
                // Of storms, talkers hear ten times a second.
                run.untold += u64::from(copies.is_none());
                (*run.flow.get_or_insert_with(flow), true)
            }
            None => (flow(), false),
        };
        if copies.is_some() && self.spread.len() < Self::SPREADS {
            self.spread.push(Spread {
                bytes: frame.parts[0].into(),
                header: frame.header,
                class,
                flow,
                left: count,
                from: at.mono,
                to: last,
            });
            return;
        }
        self.unread += if flow.is_read() { 0 } else { count };
        let told = (!fast).then_some(&flow);
        let shown = self.count(frame, class, fast, (told, count), column, shared);
        if shown && !fast {
            self.read(frame, class, at, shared);
        }
    }

    /// Tells of the copies that were gathered, before anything else is told.
    fn tell_gathered(&mut self) {
        let Self { copies, tap, span, counts, heard, frames, bytes, unread, column, .. } = self;
        copies.gathered(|frame, class, flow, gathered| {
            let Gathered { count, walls: (first, last), monos } = gathered;
            let (direction, length) = (frame.header.direction as usize, frame.header.original_len);
            let length = u64::from(length) * count;
            *span = span.map(|(begin, end)| (begin.min(first), end.max(last)));
            heard[direction] = heard[direction].max(Some(last));
            *unread += if flow.is_read() { 0 } else { count };
            counts[direction].frames += count;
            counts[direction].bytes += length;
            series::add(&mut frames[direction], *column, count);
            series::add(&mut bytes[direction], *column, length);
            tap.copies(&frame, class, count, monos);
        });
    }

    /// Counts `count` copies of a frame; talkers are told of them if `flow` is. True if it was shown to the
    /// detectors: control traffic, or the questions and answers of services.
    #[inline]
    fn count(
        &mut self,
        frame: &Frame<'_>,
        class: usize,
        folded: bool,
        (flow, count): (Option<&Flow>, u64),
        column: usize,
        shared: &mut Shared,
    ) -> bool {
        let (direction, length) = (frame.header.direction as usize, frame.header.original_len);
        let bytes = u64::from(length) * count;
        self.counts[direction].frames += count;
        self.counts[direction].bytes += bytes;
        series::add(&mut self.frames[direction], column, count);
        series::add(&mut self.bytes[direction], column, bytes);
        if let Some(flow) = flow {
            shared.talkers.add(flow, length, count, column);
        }
        // Time is that of the frame: the tap asks for nothing but its distance to the wall's.
        let offset = shared.offset;
        let mut shown = false;
        for _ in 0..count {
            shown = self.tap.frame(frame, class, folded || count > 1, offset);
            self.shown += usize::from(shown);
        }
        if self.shown >= Self::LISTEN {
            self.listen(shared);
        }
        shown
    }

    fn read(&mut self, frame: &Frame<'_>, class: usize, at: Stamp, shared: &mut Shared) {
        let Some(reading) = Reading::of(self.link_type, frame.parts[0]) else { return };
        shared.questions.frame(at.wall, &reading);
        shared.relations.frame(&self.name, frame.header.direction, &reading);
        if class != CONTROL {
            return;
        }
        shared.tracks.frame(&self.name, at.wall, &reading);
        if frame.header.direction == Direction::Inbound {
            let protocol = reading.message.protocol();
            let since = at.wall.0.saturating_sub(Self::RECEIVED_EVERY);
            let mut lately = self.received.iter().rev().take_while(|(time, _)| time.0 > since);
            if !lately.any(|(_, line)| line.contains(protocol)) {
                if self.received.len() >= Self::RECEIVED {
                    self.received.pop_front();
                }
                self.received.push_back((at.wall, reading.to_string()));
            }
        }
    }

    /// Detectors hear what was shown.
    fn listen(&mut self, shared: &mut Shared) {
        self.shown = 0;
        loop {
            let heard = self.detectors.hear(&mut self.told);
            self.unseen += heard.unseen;
            if !heard.more {
                break;
            }
        }
        let received = &self.received;
        for finding in self.told.drain(..) {
            shared.ledger.add(finding, |finding| {
                let sends_only =
                    finding.kind == FindingKind::OneWay && finding.direction == Direction::Outbound;
                sends_only.then(|| first_since(received, finding.first.wall)).flatten()
            });
        }
    }

    /// It is `now`: what has passed since the last time is judged.
    pub(super) fn tick(&mut self, now: Stamp, column: usize, shared: &mut Shared) {
        self.tell_gathered();
        let talkers = &mut shared.talkers;
        self.copies.tell(|flow, length, count| talkers.add(flow, length, count, column));
        self.spread_until(now.mono, column, shared);
        self.listen(shared);
        self.tap.summary(now, HEALTHY, self.copies.storms());
        self.listen(shared);
        for run in self.copies.over(now.mono) {
            self.settle(&run, shared);
        }
    }

    /// Copies that a bundle counted are spread evenly over the time in which they came.
    fn spread_until(&mut self, now: Mono, column: usize, shared: &mut Shared) {
        let mut spread = std::mem::take(&mut self.spread);
        spread.retain_mut(|run| {
            let left = run.to.since(run.from).as_secs_f64();
            let passed = now.since(run.from).as_secs_f64();
            let share = if passed >= left { 1.0 } else { passed / left };
            let count = (run.left as f64 * share).round() as u64;
            let frame = Frame::whole(run.header, &run.bytes);
            if count > 0 {
                self.count(&frame, run.class, true, (Some(&run.flow), count), column, shared);
            }
            run.left -= count.min(run.left);
            run.from = run.from.max(now);
            run.left > 0
        });
        self.spread = spread;
    }

    fn settle(&self, run: &FastFrame, shared: &mut Shared) {
        let wall = |mono: Mono| Stamp { mono, wall: run.offset.wall(mono) };
        let line = words::frame(self.link_type, &run.header, &run.bytes);
        shared.ledger.settle(Settled {
            interface: &self.name,
            first: wall(run.first),
            last: wall(run.last),
            copies: run.copies,
            direction: run.header.direction,
            circulates: run.circulates(),
            line,
        });
    }

    /// The end of the files: what has not ended by then lasts.
    pub(super) fn finish(&mut self, now: Stamp, column: usize, shared: &mut Shared) {
        self.tell_gathered();
        self.clock = Offset::of(now);
        self.spread_until(Mono(u64::MAX), column, shared);
        self.tick(now, column, shared);
        self.detectors.standing(now, &mut self.told);
        self.told.drain(..).for_each(|told| shared.ledger.lasts(&told));
        for run in self.copies.rest() {
            self.settle(run, shared);
        }
    }

    /// Whom it heard last, by the time of the interface.
    pub(super) fn stations(&self) -> StationCounts {
        self.tap.stations()
    }

    /// What its frames said of addresses.
    pub(super) fn detectors(&self) -> &Detectors {
        &self.detectors
    }

    /// Between the wall clock of the files and the time of the interface, at its end.
    pub(super) fn clock(&self) -> Offset {
        self.clock
    }

    /// Copies of packets that were not judged.
    pub(super) fn repeated(&self) -> u64 {
        self.tap.repeated()
    }

    /// Columns are twice as wide.
    pub(super) fn halve(&mut self) {
        self.tell_gathered();
        self.column /= 2;
        self.frames.iter_mut().chain(&mut self.bytes).for_each(series::halve);
    }

    /// Frames that came fast while there was no room to count their copies.
    pub(super) fn refused(&self) -> u64 {
        self.copies.refused()
    }
}
