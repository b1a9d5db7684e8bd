//! Events of a capture on their way to the recorder.

use std::collections::VecDeque;

use crossbeam_channel::{Sender, TrySendError};

use crate::observation::capture::CaptureEvent;
use crate::observation::{Fact, Observation};
use crate::time::Stamp;

/// Events that wait for room in the recorder's channel; older ones are dropped and the number told.
const EVENTS: usize = 64;

/// Capture does not wait for room in the recorder's channel: events wait here.
pub(super) struct EventQueue {
    interface: String,
    outbox: Sender<Observation>,
    queue: VecDeque<Observation>,
    lost: u64,
}

impl EventQueue {
    pub(super) fn new(interface: String, outbox: Sender<Observation>) -> Self {
        Self { interface, outbox, queue: VecDeque::new(), lost: 0 }
    }

    /// What is told from now on is about the interface by this name.
    pub(super) fn rename(&mut self, interface: String) {
        self.interface = interface;
    }

    pub(super) fn push(&mut self, at: Stamp, event: CaptureEvent) {
        if self.queue.len() >= EVENTS {
            self.queue.pop_front();
            self.lost += 1;
        }
        let fact = Fact::Capture { interface: self.interface.clone(), event };
        self.queue.push_back(Observation { at, fact });
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            let at = event.at;
            match self.outbox.try_send(event) {
                Ok(()) => self.tell_lost(at),
                Err(TrySendError::Full(event)) => return self.queue.push_front(event),
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }

    fn tell_lost(&mut self, at: Stamp) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let watcher = format!("capture on {}", self.interface);
            let what = format!("{lost} events found no room on the way to the recorder");
            self.queue.push_front(Observation { at, fact: Fact::Missed { watcher, what } });
        }
    }
}
