//! Brings the frames of the open incident to the disk while its window is still open, so that their memory can be
//! used again: an incident may be longer than memory, and what it has survives a crash.
//!
//! ```text
//!   cap/IF ◄─ safe: copies of 5, 6 │ what else is held? ─ spool thread ─► NAME.spool (written, synced)
//!          └─ references to 7, 8, 9 ────────────────────►     │
//!                                                             └ nothing new: again in a moment
//! ```
//!
//! Capture waits for nobody: it answers with references between two kernel blocks. Where the disk refuses, frames
//! stay held in memory, as they would without this, and it is tried again. The thread does not step back as the
//! writer does: memory that comes back too late costs frames.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::capture::{Follower, Unspooled};
use crate::error::{Error, Result};
use crate::incident::spool::Spool;
use crate::recorder::ring_file;
use crate::ring::metadata::{InterfaceMetadata, RecordingMetadata};
use crate::ring::{HoldId, Lane, Pinned, Segment};
use crate::time::{Clock, Mono};

/// Incidents that wait for the thread at most: one is open at a time, and those before it are closing.
const JOBS: usize = 16;
/// A capture that had nothing is asked again after so long: at 10 Gbit/s that is 64 MB.
const POLL: Duration = Duration::from_millis(50);
/// Less than this of an interface waits for more, but no longer than a lane takes to seal what it has: a disk takes
/// few large pieces better than many small ones.
const ENOUGH: usize = 1 << 20;
/// So often the spool is told how the interfaces stand.
const NOTED: Duration = Duration::from_secs(1);
/// Bytes of a class that are written together and then made safe: enough that the disk is busy and not waiting
/// for us, little enough that memory comes back before it is short.
const ROOM: usize = 16 << 20;
/// A capture that does not answer for so long is busy, or stuck, and others are served.
const ANSWER: Duration = Duration::from_secs(2);

/// The recorder's hand on the thread `spool`.
#[derive(Debug)]
pub(super) struct Spooler {
    directory: PathBuf,
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

/// An incident that is being spooled, until this is dropped.
#[derive(Debug)]
pub(super) struct Spooling {
    spool: Spool,
    course: Arc<SpoolCourse>,
}

/// What the recorder and the thread tell each other of an incident.
#[derive(Debug, Default)]
struct SpoolCourse {
    /// Its window is over: little is written as well.
    closing: AtomicBool,
    /// Nothing is left to be written, or the disk refuses it.
    done: AtomicBool,
    /// Nobody wants more.
    over: AtomicBool,
}

impl Spooler {
    /// Starts the thread, which writes to `directory`.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn start(directory: PathBuf, clock: Clock) -> Result<Self> {
        let (jobs, arriving) = bounded(JOBS);
        let thread = thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || SpoolThread { clock, arriving, jobs: Vec::new() }.work())
            .map_err(|e| Error::operation("start thread", "spool", e))?;
        Ok(Self { directory, jobs, thread })
    }

    /// Begins with what `hold` keeps in the lanes of `captures`, for the incident called `name`. None if the thread
    /// is stuck: then frames stay in memory.
    pub(super) fn begin(
        &self,
        hold: HoldId,
        name: String,
        captures: Vec<Follower>,
        standing: RecordingMetadata,
    ) -> Option<Spooling> {
        let lanes = captures.iter().flat_map(Follower::lanes).collect();
        let spool = Spool::new(&self.directory, name, RecordingMetadata { lanes, ..standing });
        let course = Arc::<SpoolCourse>::default();
        let captures = captures.into_iter().map(SpooledCapture::new).collect();
        let spooling = Spooling { spool: spool.clone(), course: Arc::clone(&course) };
        let job = Job { hold, spool, captures, course, noted: Mono(0), refused: false };
        self.jobs.try_send(job).ok().map(|()| spooling)
    }

    /// Ends the thread once what it writes is written.
    pub(super) fn stop(self) {
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("spooling ended in a panic; frames stayed in memory");
        }
    }
}

impl Spooling {
    /// True if something is on the disk: then the rest is worth it, too.
    pub(super) fn is_begun(&self) -> bool {
        self.spool.path().is_some()
    }

    /// The window is over: the rest is written at once.
    pub(super) fn close(&self) {
        self.course.closing.store(true, Ordering::Release);
    }

    /// True once the rest is written, or the disk refuses it.
    pub(super) fn is_done(&self) -> bool {
        self.course.done.load(Ordering::Acquire)
    }

    /// What it wrote, and will no longer.
    pub(super) fn finish(self) -> Spool {
        self.spool.clone()
    }
}

impl Drop for Spooling {
    fn drop(&mut self) {
        self.course.over.store(true, Ordering::Release);
    }
}

/// The thread's side.
struct SpoolThread {
    clock: Clock,
    arriving: Receiver<Job>,
    jobs: Vec<Job>,
}

/// One incident.
struct Job {
    hold: HoldId,
    spool: Spool,
    captures: Vec<SpooledCapture>,
    course: Arc<SpoolCourse>,
    /// When the spool was last told how the interfaces stand.
    noted: Mono,
    /// The disk refused, which was told.
    refused: bool,
}

/// One interface of it.
struct SpooledCapture {
    follower: Follower,
    /// Copies that are safe, and that the capture was not told of.
    safe: Vec<Vec<Arc<Segment>>>,
    /// How it stood when it was last asked.
    stood: Option<InterfaceMetadata>,
    /// When also little is written.
    due: Mono,
    ended: bool,
}

impl SpoolThread {
    fn work(&mut self) {
        loop {
            self.jobs.retain(|job| !job.course.over.load(Ordering::Acquire));
            let now = self.clock.now();
            let busy = self.jobs.iter_mut().fold(false, |busy, job| {
                let wrote = job.round(now.mono);
                if wrote && now.mono.since(job.noted) >= NOTED {
                    job.noted = now.mono;
                    let stood = job.captures.iter().filter_map(|capture| capture.stood.clone());
                    job.spool.note(now, stood.collect());
                }
                busy | wrote
            });
            let pause = match (busy, self.jobs.is_empty()) {
                (true, _) => Duration::ZERO,
                (false, true) => Duration::MAX,
                (false, false) => POLL,
            };
            match self.wait(pause) {
                Ok(job) => self.jobs.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn wait(&self, pause: Duration) -> Result<Job, RecvTimeoutError> {
        match pause {
            Duration::MAX => self.arriving.recv().map_err(|_| RecvTimeoutError::Disconnected),
            pause => self.arriving.recv_timeout(pause),
        }
    }
}

impl Job {
    /// Some of each interface; true if there may be more at once.
    fn round(&mut self, now: Mono) -> bool {
        let Self { hold, spool, captures, course, refused, .. } = self;
        let closing = course.closing.load(Ordering::Acquire);
        let (mut wrote, mut nothing) = (false, true);
        for capture in captures.iter_mut().filter(|capture| !capture.ended) {
            match capture.write(*hold, spool, now, closing) {
                Ok(written) => {
                    wrote |= written == SpoolStep::Some;
                    nothing &= written == SpoolStep::Nothing;
                }
                Err(error) => {
                    if !std::mem::replace(refused, true) {
                        tracing::warn!("frames of the open incident stay in memory: {error}");
                    }
                    course.done.store(closing, Ordering::Release);
                    return false;
                }
            }
        }
        *refused &= !wrote;
        course.done.store(closing && nothing, Ordering::Release);
        wrote
    }
}

/// What became of what a capture holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpoolStep {
    /// Some of it is safe.
    Some,
    /// It waits for more, or was not told.
    Later,
    /// There is nothing that is not safe, and the capture knows.
    Nothing,
}

impl SpooledCapture {
    fn new(follower: Follower) -> Self {
        Self { follower, safe: Vec::new(), stood: None, due: Mono(0), ended: false }
    }

    /// Writes some of what it holds; also little of it where the window is `closing`.
    fn write(
        &mut self,
        hold: HoldId,
        spool: &Spool,
        now: Mono,
        closing: bool,
    ) -> Result<SpoolStep> {
        let safe = std::mem::take(&mut self.safe);
        let answer = self.follower.spool(hold, safe, ROOM).recv_timeout(ANSWER);
        self.ended = matches!(answer, Err(RecvTimeoutError::Disconnected));
        let Ok(Unspooled { classes, report }) = answer else { return Ok(SpoolStep::Later) };
        self.stood = Some(ring_file::interface(&report));
        let counts: Vec<usize> = classes.iter().map(Vec::len).collect();
        let segments: Vec<Pinned> = classes.into_iter().flatten().collect();
        let bytes: usize = segments.iter().map(Pinned::bytes).sum();
        if segments.is_empty() {
            return Ok(SpoolStep::Nothing);
        }
        if bytes < ENOUGH && now < self.due && !closing {
            return Ok(SpoolStep::Later);
        }
        self.due = now.plus(Lane::SEAL_AGE);
        let mut copies = spool.write(&segments)?.into_iter();
        self.safe = counts.iter().map(|count| copies.by_ref().take(*count).collect()).collect();
        Ok(SpoolStep::Some)
    }
}
