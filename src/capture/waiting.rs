//! Where recordings are: each that has a source on a thread of its own, `cap/IF`, and all that have none in the
//! waiting room, because their interface is gone or cannot be opened now.
//!
//! ```text
//!   cap/eth0 ── its source is closed ──► cap/waiting: answers, ages, opens it when it is there again
//!       ▲                                    │
//!       └────────────── read on ─────────────┘
//! ```
//!
//! So an interface that is gone takes no thread. And a thread that reads frames opens nothing: it can be left with
//! the few system calls that reading takes.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::recording::Recording;
use crate::error::{Error, Result};
use crate::sys::poll;
use crate::sys::wakeup::Wakeup;

/// What the thread is called.
const NAME: &str = "cap/waiting";
/// Recordings on their way into the room; a thread with one more waits, with nothing else to do.
const ARRIVALS: usize = 64;
/// Looks around this often, to let recordings age and to open what is due.
const TICK: Duration = Duration::from_millis(100);

/// What a thread gives up for good before it reads a frame; the reason where it cannot.
pub type Confine = fn() -> Result<(), String>;

/// The thread at work.
#[derive(Debug)]
pub struct WaitingRoom {
    threads: CaptureThreads,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Where recordings get a thread. Cloning gives a second hand on the same place.
#[derive(Debug, Clone)]
pub struct CaptureThreads {
    arrivals: Sender<Box<Recording>>,
    bell: Wakeup,
    confine: Confine,
}

/// The thread's side.
struct Room {
    threads: CaptureThreads,
    arriving: Receiver<Box<Recording>>,
    over: Arc<AtomicBool>,
    #[expect(
        clippy::vec_box,
        reason = "they come and go as boxes; a recording is too large to be moved"
    )]
    waiting: Vec<Box<Recording>>,
}

impl WaitingRoom {
    /// Opens it; each thread that reads frames does `confine` first.
    ///
    /// # Errors
    /// When the process is out of threads or descriptors.
    pub fn open(confine: Confine) -> Result<Self> {
        let failed = |e: io::Error| Error::operation("start thread", NAME, e);
        let (arrivals, arriving) = bounded(ARRIVALS);
        let threads = CaptureThreads { arrivals, bell: Wakeup::new().map_err(failed)?, confine };
        let over = Arc::<AtomicBool>::default();
        let waiting = Vec::new();
        let room = Room { threads: threads.clone(), arriving, over: Arc::clone(&over), waiting };
        let thread = Builder::new().name(NAME.to_owned()).spawn(|| room.serve()).map_err(failed)?;
        Ok(Self { threads, over, thread })
    }

    /// Where recordings get their threads.
    pub fn threads(&self) -> CaptureThreads {
        self.threads.clone()
    }

    /// Closes it, once nobody waits.
    pub fn close(self) {
        self.over.store(true, Ordering::Release);
        self.threads.bell.notify();
        if self.thread.join().is_err() {
            tracing::error!("the waiting room had ended with a panic; what waited there is lost");
        }
    }
}

impl CaptureThreads {
    /// Gives a recording that has a source a thread of its own; it comes back where there is none to be had.
    pub(super) fn begin(
        &self,
        recording: Box<Recording>,
    ) -> Result<(), (Box<Recording>, io::Error)> {
        let threads = self.clone();
        let (hand_over, taken) = bounded(1);
        let begun = Builder::new().name(format!("cap/{}", recording.name())).spawn(move || {
            // Nothing comes only if nobody has begun it.
            if let Ok(recording) = taken.recv() {
                threads.run(recording);
            }
        });
        match begun {
            Ok(_) => {
                hand_over.send(recording).map_err(|unsent| (unsent.0, io::ErrorKind::Other.into()))
            }
            Err(error) => Err((recording, error)),
        }
    }

    /// Runs it until it ends, or has to wait.
    fn run(&self, recording: Box<Recording>) {
        if let Err(reason) = (self.confine)() {
            tracing::warn!("capture on {} may do more than it needs: {reason}", recording.name());
        }
        let Some(waiting) = recording.run() else { return };
        if self.arrivals.send(waiting).is_err() {
            tracing::error!("nothing waits any more, which is a bug; what was recorded is lost");
        }
        self.bell.notify();
    }
}

impl Room {
    /// Until the room is closed and nobody is in it.
    fn serve(mut self) {
        loop {
            self.nap();
            self.threads.bell.clear();
            let over = self.over.load(Ordering::Acquire);
            self.waiting.extend(self.arriving.try_iter());
            if over && self.waiting.is_empty() {
                return;
            }
            let all = std::mem::take(&mut self.waiting);
            self.waiting = all.into_iter().filter_map(|one| self.attend(one)).collect();
        }
    }

    /// Until somebody comes, or asks one who waits.
    fn nap(&self) {
        let asked = self.waiting.iter().map(|waiting| waiting.wakeup().as_fd());
        let bells: Vec<_> = std::iter::once(self.threads.bell.as_fd()).chain(asked).collect();
        // Out of kernel memory this returns at once, and the next round sleeps again.
        let _ = poll::readable(&bells, (!self.waiting.is_empty()).then_some(TICK));
    }

    /// None if it waits no longer.
    fn attend(&self, waiting: Box<Recording>) -> Option<Box<Recording>> {
        let waiting = waiting.wait()?;
        if !waiting.has_source() {
            return Some(waiting);
        }
        let (mut refused, error) = self.threads.begin(waiting).err()?;
        let error = Error::operation("start the capture thread of", refused.name(), error);
        refused.failed(&error);
        Some(refused)
    }
}
