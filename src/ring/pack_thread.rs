//! The thread `pack`: does the packing and fading of all lanes, behind everybody else.

use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::pack::{Job, Outcome, Packer};
use super::pool::Pool;
use crate::error::{Error, Result};
use crate::sys::priority;

/// A job, and where its outcome goes.
#[derive(Debug)]
pub struct Request {
    /// What to do.
    pub job: Job,
    /// Must have room for the outcome: the thread waits for nobody.
    pub reply: Sender<Outcome>,
}

/// The thread at work. It ends when the last sender of requests is dropped.
#[derive(Debug)]
pub struct PackThread {
    requests: Sender<Request>,
    thread: JoinHandle<()>,
}

impl PackThread {
    /// Requests that may wait. When the channel is full a lane asks again at its next tick.
    const REQUESTS: usize = 32;
    /// Behind everybody: memory is saved as long as nobody needs the processor, and where one is shared
    /// with capture, frames come first.
    const NICE: i32 = 19;

    /// Starts it.
    ///
    /// # Errors
    /// When the process is out of threads or memory.
    pub fn start(pool: Pool) -> Result<Self> {
        let packer = Packer::new(pool)?;
        let (requests, inbox) = bounded(Self::REQUESTS);
        let thread = thread::Builder::new()
            .name("pack".to_owned())
            .spawn(move || serve(packer, &inbox))
            .map_err(|e| Error::operation("start thread", "pack", e))?;
        Ok(Self { requests, thread })
    }

    /// Where requests go.
    pub fn requests(&self) -> Sender<Request> {
        self.requests.clone()
    }

    /// Waits until all other senders of requests are gone and the thread has ended.
    pub fn join(self) {
        drop(self.requests);
        if self.thread.join().is_err() {
            tracing::error!("packing had stopped with a panic; memory held less than it could");
        }
    }
}

fn serve(mut packer: Packer, inbox: &Receiver<Request>) {
    if let Err(error) = priority::step_back(PackThread::NICE) {
        tracing::debug!("cannot lower the priority of packing: {error}");
    }
    for Request { job, reply } in inbox {
        // A lane that is gone needs no outcome.
        let _ = reply.try_send(packer.work(&job));
    }
}
