//! A reader's hand on a capture thread: asks what comes next in its lanes, or what of a hold is not on the disk.
//! Unlike the recorder's, it does not keep the thread alive.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::order::{FollowOrder, NextFrames, ReaderOrder, SpoolOrder, Unspooled};
use crate::ring::metadata::LaneName;
use crate::ring::{HoldId, LaneId, Position, Segment};
use crate::sys::wakeup::Wakeup;

/// Questions of readers that a capture thread takes in a round: each reader has one under way.
pub(super) const READERS: usize = 8;
/// A thread that takes no question for this long is stuck or gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads the lanes of one interface.
#[derive(Debug, Clone)]
pub struct Follower {
    interface: String,
    /// Number of its first class's lane.
    first: LaneId,
    classes: Vec<Arc<str>>,
    questions: Sender<ReaderOrder>,
    wakeup: Wakeup,
}

impl Follower {
    pub(super) fn new(
        interface: String,
        first: LaneId,
        classes: Vec<Arc<str>>,
        questions: Sender<ReaderOrder>,
        wakeup: Wakeup,
    ) -> Self {
        Self { interface, first, classes, questions, wakeup }
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Names of its classes, in the order of their numbers.
    pub fn classes(&self) -> &[Arc<str>] {
        &self.classes
    }

    /// Which of its lanes is which.
    pub fn lanes(&self) -> impl Iterator<Item = LaneName> + '_ {
        (self.first.0..).zip(&self.classes).map(|(lane, class)| LaneName {
            lane,
            interface: self.interface.clone(),
            class: class.to_string(),
        })
    }

    /// Asks what comes next in these classes for a reader who stands there. The answer comes within a kernel
    /// block's time; never if the thread has ended.
    pub fn ask(&self, classes: Vec<(usize, Position)>) -> Receiver<NextFrames> {
        let (reply, answer) = bounded(1);
        self.order(ReaderOrder::Follow(FollowOrder { classes, reply }));
        answer
    }

    /// Says which copies of what is held are safe on the disk, class by class, and asks for `room` bytes of each
    /// class that are not. The answer comes as soon.
    pub fn spool(
        &self,
        hold: HoldId,
        spooled: Vec<Vec<Arc<Segment>>>,
        room: usize,
    ) -> Receiver<Unspooled> {
        let (reply, answer) = bounded(1);
        self.order(ReaderOrder::Spool(SpoolOrder { hold, spooled, room, reply }));
        answer
    }

    fn order(&self, order: ReaderOrder) {
        // Refused only by a thread that has ended or is stuck; then the answer's channel is closed.
        let _ = self.questions.send_timeout(order, PATIENCE);
        self.wakeup.notify();
    }
}
