//! The thread `pack`: does the packing and fading of all lanes, behind everybody else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::pack::{Job, Outcome, Packer};
use super::pool::Pool;
use crate::error::{Error, Result};
use crate::sys::priority;

/// A job, and where its outcome goes.
#[derive(Debug)]
pub struct PackRequest {
    /// What to do.
    pub job: Job,
    /// Must have room for the outcome: the thread waits for nobody.
    pub reply: Sender<Outcome>,
}

/// The thread at work. It ends when the last sender of requests is dropped.
#[derive(Debug)]
pub struct PackThread {
    requests: Sender<PackRequest>,
    thread: JoinHandle<()>,
    panics: Arc<AtomicU64>,
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
        let packer = Packer::new(pool.clone())?;
        let panics = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&panics);
        let (requests, inbox) = bounded(Self::REQUESTS);
        let thread = thread::Builder::new()
            .name("pack".to_owned())
            .spawn(move || serve(packer, &pool, &inbox, &counted))
            .map_err(|e| Error::operation("start thread", "pack", e))?;
        Ok(Self { requests, thread, panics })
    }

    /// Where requests go.
    pub fn requests(&self) -> Sender<PackRequest> {
        self.requests.clone()
    }

    /// Jobs that ended in a panic; what they were about stays as it was.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Waits until all other senders of requests are gone and the thread has ended.
    pub fn join(self) {
        drop(self.requests);
        if self.thread.join().is_err() {
            tracing::error!("packing had stopped with a panic; memory held less than it could");
        }
    }
}

fn serve(mut packer: Packer, pool: &Pool, inbox: &Receiver<PackRequest>, panics: &AtomicU64) {
    if let Err(error) = priority::step_back(PackThread::NICE) {
        tracing::debug!("cannot lower the priority of packing: {error}");
    }
    for PackRequest { job, reply } in inbox {
        // A lane that is gone needs no outcome.
        let _ = reply.try_send(work(&mut packer, pool, &job, panics));
    }
}

/// A panic costs one job: its segments stay as they are, and a new packer does the next one.
fn work(packer: &mut Packer, pool: &Pool, job: &Job, panics: &AtomicU64) -> Outcome {
    let working = AssertUnwindSafe(|| packer.work(job));
    catch_unwind(working).unwrap_or_else(|_| {
        panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!("packing panicked, which is a bug; the segments stay as they were");
        match Packer::new(pool.clone()) {
            Ok(new) => *packer = new,
            Err(error) => tracing::error!("{error}"),
        }
        job.done(None)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::summary::LaneId;
    use super::super::{PoolOptions, pack::Work};
    use super::*;
    use crate::sys::pages::PageCount;

    #[test]
    fn a_panic_costs_one_job_and_is_counted() {
        let pool = Pool::new(&PoolOptions { memory: 4 << 20, lock: false }).unwrap();
        let thread = PackThread::start(pool).unwrap();
        let (reply, outcomes) = bounded(2);
        for breaks in [true, false] {
            let job = Job {
                lane: LaneId(1),
                work: Work::Pack,
                account: PageCount::default(),
                span: (0, 0),
                segments: Vec::new(),
                breaks,
            };
            thread.requests().send(PackRequest { job, reply: reply.clone() }).unwrap();
        }
        for _ in 0..2 {
            let outcome = outcomes.recv_timeout(Duration::from_secs(60)).unwrap();
            assert!(outcome.made.is_none() && outcome.lane() == LaneId(1));
        }
        assert_eq!(thread.panics(), 1);
        thread.join();
    }
}
