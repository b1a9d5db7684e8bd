//! How the lanes of an interface get their segments packed.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::ring::{Lane, LaneId, Outcome, PackRequest, Packer, Pool};
use crate::time::Mono;

/// The memory of a recording, and the thread that packs it.
#[derive(Debug, Clone)]
pub struct Memory {
    /// The pages.
    pub pool: Pool,
    /// Where the thread `pack` hears requests.
    pub requests: Sender<PackRequest>,
}

/// Who packs the segments of an interface's lanes.
pub(super) enum Packing {
    /// The thread, when it comes to it.
    Thread(Box<Counter>),
    /// Whoever asks, at once: where frames can wait.
    Here(Box<Packer>),
}

/// The way to the thread and back.
pub(super) struct Counter {
    requests: Sender<PackRequest>,
    reply: Sender<Outcome>,
    outcomes: Receiver<Outcome>,
}

impl Packing {
    /// By the thread that hears `requests`, for so many lanes.
    pub(super) fn by_thread(requests: Sender<PackRequest>, lanes: usize) -> Self {
        let (reply, outcomes) = bounded(lanes * Counter::OUTCOMES);
        Self::Thread(Box::new(Counter { requests, reply, outcomes }))
    }

    /// Gives the lanes, whose numbers begin with `first`, what was made for them, and asks for what is
    /// to be done next.
    pub(super) fn tick(&mut self, lanes: &mut [Lane], first: LaneId, now: Mono) {
        match self {
            Self::Thread(counter) => counter.tick(lanes, first, now),
            Self::Here(packer) => {
                for lane in lanes {
                    while let Some(job) = lane.next_job(now) {
                        lane.take(packer.work(&job));
                    }
                }
            }
        }
    }
}

impl Counter {
    /// Room for outcomes: a lane has three jobs under way at most.
    const OUTCOMES: usize = 3;

    /// Waits for nobody.
    fn tick(&self, lanes: &mut [Lane], first: LaneId, now: Mono) {
        for outcome in self.outcomes.try_iter() {
            let lane = usize::from(outcome.lane().0.wrapping_sub(first.0));
            if let Some(lane) = lanes.get_mut(lane) {
                lane.take(outcome);
            }
        }
        for lane in lanes {
            while !self.requests.is_full()
                && let Some(job) = lane.next_job(now)
            {
                let request = PackRequest { job, reply: self.reply.clone() };
                if let Err(TrySendError::Full(request) | TrySendError::Disconnected(request)) =
                    self.requests.try_send(request)
                {
                    lane.decline(request.job);
                    break;
                }
            }
        }
    }
}
