//! A reader's hand on a capture thread: asks what comes next in its lanes. Unlike the recorder's, it does not keep
//! the thread alive.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::order::{FollowOrder, NextFrames};
use crate::ring::Position;
use crate::sys::wakeup::Wakeup;

/// Questions of readers that a capture thread takes in a round: each reader has one under way.
pub(super) const FOLLOWERS: usize = 8;
/// A thread that takes no question for this long is stuck or gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads the lanes of one interface.
#[derive(Debug, Clone)]
pub struct Follower {
    interface: String,
    classes: Vec<Arc<str>>,
    questions: Sender<FollowOrder>,
    wakeup: Wakeup,
}

impl Follower {
    pub(super) fn new(
        interface: String,
        classes: Vec<Arc<str>>,
        questions: Sender<FollowOrder>,
        wakeup: Wakeup,
    ) -> Self {
        Self { interface, classes, questions, wakeup }
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Names of its classes, in the order of their numbers.
    pub fn classes(&self) -> &[Arc<str>] {
        &self.classes
    }

    /// Asks what comes next in these classes for a reader who stands there. The answer comes within a kernel
    /// block's time; never if the thread has ended.
    pub fn ask(&self, classes: Vec<(usize, Position)>) -> Receiver<NextFrames> {
        let (reply, answer) = bounded(1);
        // Refused only by a thread that has ended or is stuck; then the answer's channel is closed.
        let _ = self.questions.send_timeout(FollowOrder { classes, reply }, PATIENCE);
        self.wakeup.notify();
        answer
    }
}
