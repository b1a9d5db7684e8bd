//! The lanes of all captures as one row of frames, in order of arrival.
//!
//! ```text
//!   eth0/control  3 ── 9              heads: the next frame of each lane
//!   eth0/data     4 5 6 ─             the earliest leaves, as long as no lane may still have an earlier one:
//!   eth1/data     (nothing up to 8)   here 3 4 5 6, and 9 waits until eth1 was asked again
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::capture::{Follower, NextFrames};
use crate::frame::StoredFrame;
use crate::ring::Position;
use crate::time::Mono;

/// A lane that had nothing is asked again after so long: what a live reader sees is so old at most.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// A capture that does not answer for so long has ended, or is stuck.
const ANSWER: Duration = Duration::from_secs(2);

/// Frames that a reader came too late for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) interface: String,
    pub(super) class: String,
    pub(super) count: u64,
}

/// All lanes that are read.
pub(super) struct LanesReader {
    captures: Vec<Follower>,
    lanes: Vec<LaneReader>,
    /// The heads, by arrival.
    order: BinaryHeap<Reverse<(Mono, usize)>>,
    /// Frames before then can leave: no lane will have an earlier one.
    limit: Mono,
    /// A lane has nothing left, so the limit is not known.
    dry: bool,
    missed: Vec<Missed>,
}

/// One lane, and the frame it stands at.
struct LaneReader {
    capture: usize,
    class: usize,
    position: Position,
    frames: Option<Box<dyn Iterator<Item = StoredFrame> + Send>>,
    head: Option<StoredFrame>,
    /// It has nothing that arrived before then.
    done_until: Mono,
    /// To be asked not before then.
    due: Mono,
    /// Its capture has ended.
    over: bool,
}

impl LanesReader {
    /// Reads nothing yet.
    pub(super) fn new() -> Self {
        Self {
            captures: Vec::new(),
            lanes: Vec::new(),
            order: BinaryHeap::new(),
            limit: Mono(0),
            dry: false,
            missed: Vec::new(),
        }
    }

    /// Reads those of the captures that it does not know yet, from a moment on.
    pub(super) fn follow(&mut self, captures: Vec<Follower>, from: Mono) {
        for follower in captures {
            if self.captures.iter().any(|known| known.interface() == follower.interface()) {
                continue;
            }
            let capture = self.captures.len();
            self.lanes.extend((0..follower.classes().len()).map(|class| LaneReader {
                capture,
                class,
                position: Position::From(from),
                frames: None,
                head: None,
                done_until: from,
                due: Mono(0),
                over: false,
            }));
            self.captures.push(follower);
        }
    }

    /// Every frame that arrived before then has been handed out.
    pub(super) fn done_until(&self) -> Mono {
        self.order.peek().map_or(self.limit, |Reverse((head, _))| self.limit.min(*head))
    }

    /// True if no capture will ever have anything again.
    pub(super) fn is_over(&self) -> bool {
        self.order.is_empty() && self.lanes.iter().all(|lane| lane.over)
    }

    /// What it came too late for since it was last asked.
    pub(super) fn missed(&mut self) -> Vec<Missed> {
        std::mem::take(&mut self.missed)
    }

    /// The next frame; none while some lane may still have an earlier one.
    pub(super) fn next(&mut self, now: Mono) -> Option<StoredFrame> {
        if self.dry {
            self.ask(now);
        }
        let Reverse((mono, number)) = *self.order.peek()?;
        if mono >= self.limit {
            return None;
        }
        self.order.pop();
        let lane = &mut self.lanes[number];
        let frame = lane.head.take();
        lane.advance();
        match &lane.head {
            Some(head) => self.order.push(Reverse((head.mono, number))),
            None => self.dry = true,
        }
        frame
    }

    /// Asks for the lanes that have nothing left and are due, all of a capture at once.
    pub(super) fn ask(&mut self, now: Mono) {
        for capture in 0..self.captures.len() {
            let lanes = self.lanes.iter().enumerate();
            let due = lanes.filter(|(_, lane)| lane.capture == capture && lane.is_due(now));
            let asked: Vec<usize> = due.map(|(number, _)| number).collect();
            if asked.is_empty() {
                continue;
            }
            let question = asked.iter().map(|&number| &self.lanes[number]);
            let question = question.map(|lane| (lane.class, lane.position)).collect();
            let answer = self.captures[capture].ask(question).recv_timeout(ANSWER);
            self.take(&asked, answer.ok(), now);
        }
        let waiting = self.lanes.iter().filter(|lane| lane.head.is_none() && !lane.over);
        self.limit = waiting.map(|lane| lane.done_until).min().unwrap_or(Mono(u64::MAX));
        self.dry = false;
    }

    fn take(&mut self, asked: &[usize], answer: Option<NextFrames>, now: Mono) {
        let Some(NextFrames { classes, done_until }) = answer else {
            asked.iter().for_each(|&number| self.lanes[number].over = true);
            return;
        };
        for (&number, followed) in asked.iter().zip(classes) {
            let lane = &mut self.lanes[number];
            if followed.missed > 0 {
                let capture = &self.captures[lane.capture];
                self.missed.push(Missed {
                    interface: capture.interface().to_owned(),
                    class: capture.classes()[lane.class].to_string(),
                    count: followed.missed,
                });
            }
            lane.position = followed.position;
            lane.frames = followed.frames;
            lane.done_until = done_until;
            lane.due = now.plus(POLL);
            lane.advance();
            if let Some(head) = &lane.head {
                self.order.push(Reverse((head.mono, number)));
            }
        }
    }
}

impl LaneReader {
    /// To the next frame of its segment; at its end the next one is due at once.
    fn advance(&mut self) {
        let Some(frames) = &mut self.frames else { return };
        self.head = frames.next();
        if self.head.is_none() {
            self.frames = None;
            self.due = Mono(0);
        }
    }

    fn is_due(&self, now: Mono) -> bool {
        self.head.is_none() && !self.over && self.due <= now
    }
}
