//! The thread that turns incidents into bundles, one after the other.
//!
//! ```text
//!   recorder ── submit ──► queue ──► writer ──► bundle on disk
//!            ◄─ outcomes ───────────────┤
//!                            ▲          │ failed: back on the queue, tried again after a pause
//!                            └──────────┘
//! ```
//!
//! It promises that an incident is written, or waits, or is told lost with the reason; that one which
//! cannot be written does not hold up the next; and that neither capture nor the recorder ever waits for
//! the disk: the queue's lock is held for a push or a pop, never while writing. While an incident waits,
//! its memory stays pinned; [`Writer::abandon`] gives the oldest one up when the recorder needs it.
//!
//! Evidence first: the reports of bundles, whose evidence is on the disk by then, wait until nothing is
//! left on the queue. Where a bundle does not fit the disk, old ones go as the store's limits allow, if it
//! fits then, and it is tried again at once.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::Incident;
use super::bundle::{self, Bundle};
use super::pcapng::Level;
use super::secured::{Evidence, Refused, Reporter, Secured};
use super::spool::Spool;
use super::store::{Removed, Store, is_kept_right, retention};
use crate::error::{Error, Result};
use crate::sys::priority;
use crate::time::{Clock, Mono, Window};
use crate::trigger::Trigger;

/// Pause before a failed incident is tried again: long enough not to fill the log, short enough that
/// space freed by the operator is used at once.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Incidents on the queue at most. Each pins memory, so more than a few never fit; beyond it
/// [`Writer::submit`] gives the incident back.
const SHELF: usize = 16;
/// Outcomes nobody has taken at most. Then the writer waits with the next written or lost incident;
/// word of retries is dropped, the next one says the same.
const OUTCOMES: usize = 64;
/// Bundles whose report waits at most; then the oldest one is made before the next incident is written.
const REPORTS: usize = 16;
/// Longest time for the report of one bundle; it then tells how far it came. A frame takes half a
/// microsecond where a core is fast, so this is enough for millions on a slow one.
const REPORT_TIME: Duration = Duration::from_secs(30);
/// The same once the recording ends: who stops a service waits for it (90 s, `DefaultTimeoutStopSec=` of
/// systemd-system.conf(5)).
const LAST_REPORT_TIME: Duration = Duration::from_secs(10);
/// Nice value of the writer: compressing takes a whole core for seconds, which capture may need.
const NICE: i32 = 10;

/// The fastest level offered. zstd has negative ones: -1 is 7 to 18 % faster, and lower ones lose half
/// of what small frames give (`benches/bundle.rs`).
const FASTEST: i32 = 1;

/// How to write.
#[derive(Debug, Clone)]
pub struct Options {
    /// zstd compression level.
    pub level: Level,
    /// Pause before a failed incident is tried again.
    pub retry_pause: Duration,
    /// Who makes the reports; nobody, where there shall be none.
    pub report: Option<Reporter>,
    /// How long bundles stay.
    pub retention: retention::Options,
}

impl Default for Options {
    fn default() -> Self {
        let retention = retention::Options::default();
        Self { level: Level::default(), retry_pause: RETRY_PAUSE, report: None, retention }
    }
}

impl Options {
    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] when zstd has no such level, or nothing could be kept.
    pub fn check(&self) -> Result<()> {
        self.retention.check()?;
        let levels = FASTEST..=*zstd::compression_level_range().end();
        if levels.contains(&self.level.0) {
            return Ok(());
        }
        let accepted = format!("{FASTEST} (fastest) to {} (smallest)", levels.end());
        Err(Error::usage(
            "--compression",
            self.level.0.to_string(),
            "zstd has no such level",
            accepted,
        ))
    }
}

/// What became of an incident.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is a bundle on the disk.
    Written {
        /// The bundle.
        bundle: Bundle,
        /// Time from the beginning of the attempt that succeeded.
        took: Duration,
        /// Of that, the time for the report and for letting the bundle appear; none where no report is wanted.
        reported: Option<Duration>,
    },
    /// It could not be written, waits, and will be tried again.
    Retrying {
        /// The bundle's name.
        name: String,
        /// Attempts so far.
        attempts: u32,
        /// Why the last one failed.
        reason: Error,
    },
    /// It is gone.
    Lost(Lost),
    /// An old bundle went, because the limits of the store say so.
    Removed(Removed),
}

/// An incident that was never written.
#[derive(Debug, Clone)]
pub struct Lost {
    /// The name its bundle would have had.
    pub name: String,
    /// What had opened it.
    pub opened_by: Trigger,
    /// The window it had covered.
    pub window: Window,
    /// Attempts made.
    pub attempts: u32,
    /// Why the last one failed.
    pub reason: Error,
    /// Its spool, if that has frames: the next start makes a bundle of it.
    pub spool: Option<PathBuf>,
}

/// The recorder's side of the writer.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Mutex<Queue>>,
    bell: Sender<()>,
    outcomes: Receiver<Outcome>,
    thread: JoinHandle<()>,
}

/// Incidents in the order they came; the one being written is not among them.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    came: u64,
    writing: bool,
    /// Bundles whose evidence is on the disk, and whose report is not.
    secured: usize,
    stopping: bool,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    incident: Box<Incident>,
    /// Not before then; zero when new.
    due: Mono,
    attempts: u32,
    /// Why the last attempt failed; none when new.
    failed: Option<Error>,
    /// What its bundle takes on the disk, once that had to be known.
    size: Option<u64>,
    /// Bundles went for it already. That they did not help shows that somebody else fills the disk, and he
    /// would fill it again.
    favoured: bool,
}

impl Writer {
    /// Starts the thread `writer`, which writes to `store`.
    ///
    /// # Errors
    /// When the options have no meaning or no thread can be made.
    pub fn start(mut store: Store, clock: Clock, options: Options) -> Result<Self> {
        options.check()?;
        let queue = Arc::new(Mutex::new(Queue::default()));
        // One ring is enough: the writer looks at the whole queue when it hears it.
        let (bell, rings) = bounded(1);
        let (told, outcomes) = bounded(OUTCOMES);
        let (removed, queue_there) = (store.take_removed(), Arc::clone(&queue));
        let mut thread =
            WriterThread { store, removed, clock, options, queue: queue_there, rings, told };
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || thread.work())
            .map_err(|e| Error::operation("start thread", "writer", e))?;
        Ok(Self { queue, bell, outcomes, thread })
    }

    /// Hands an incident over; never waits.
    ///
    /// # Errors
    /// Gives it back when the queue is full: [`Writer::abandon`] one, or count this one as lost.
    pub fn submit(&self, incident: Box<Incident>) -> Result<(), Box<Incident>> {
        let mut queue = open(&self.queue);
        if queue.waiting.len() >= SHELF {
            return Err(incident);
        }
        let number = queue.came;
        queue.came += 1;
        let due = Mono::default();
        queue.waiting.push_back(Waiting {
            number,
            incident,
            due,
            attempts: 0,
            failed: None,
            size: None,
            favoured: false,
        });
        drop(queue);
        self.notify();
        Ok(())
    }

    /// What became of incidents, as it happens. Must be read: see the module's bounds.
    pub fn outcomes(&self) -> &Receiver<Outcome> {
        &self.outcomes
    }

    /// Incidents whose bundle has not appeared yet, the one being written included.
    pub fn pending(&self) -> usize {
        let queue = open(&self.queue);
        queue.waiting.len() + usize::from(queue.writing) + queue.secured
    }

    /// Gives up the oldest incident that could not be written, so that its memory is free, and tells
    /// which. None if there is none: one that was not tried yet, is being written, or whose frames are all
    /// on the disk, is not given up.
    /// Told only here, not among the outcomes.
    pub fn abandon(&self) -> Option<Lost> {
        let mut queue = open(&self.queue);
        let pins =
            |waiting: &Waiting| waiting.incident.spool.is_none() || waiting.incident.is_in_memory();
        let gains = |waiting: &Waiting| waiting.failed.is_some() && pins(waiting);
        let oldest = queue.waiting.iter().position(gains)?;
        let Waiting { incident, attempts, failed, .. } = queue.waiting.remove(oldest)?;
        drop(queue);
        Some(Lost::of(&incident, attempts, failed?))
    }

    /// Tries every incident that is still waiting once more, at once, ends the thread, and tells the
    /// outcomes that were not taken yet. Takes as long as writing takes.
    pub fn stop(self) -> Vec<Outcome> {
        open(&self.queue).stopping = true;
        self.notify();
        // Until the thread drops its end: it might be waiting for room in the channel.
        let outcomes = self.outcomes.iter().collect();
        if self.thread.join().is_err() {
            tracing::error!("the writer ended in a panic; what it was writing is lost");
        }
        outcomes
    }

    fn notify(&self) {
        // Full: it has rung already and was not heard yet.
        let _ = self.bell.try_send(());
    }
}

impl Lost {
    fn of(incident: &Incident, attempts: u32, reason: Error) -> Self {
        Self {
            name: incident.name(),
            opened_by: incident.opened_by.clone(),
            window: incident.window,
            attempts,
            reason,
            spool: incident.spool.as_ref().and_then(Spool::path),
        }
    }
}

/// A panic while the lock is held leaves a queue that is still in order: it is pushed to, popped from.
fn open(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread's side.
struct WriterThread {
    store: Store,
    /// What went when the store was opened.
    removed: Vec<Removed>,
    clock: Clock,
    options: Options,
    queue: Arc<Mutex<Queue>>,
    rings: Receiver<()>,
    told: Sender<Outcome>,
}

/// A bundle whose evidence is on the disk.
struct Finishing {
    secured: Secured,
    /// When the attempt began that succeeded.
    begun: Mono,
    attempts: u32,
    /// Not before then; zero when new.
    due: Mono,
    /// What the first attempt at its report and name took, which makes the report.
    reported: Option<Duration>,
}

/// What is to be done next.
enum Next {
    Write { waiting: Waiting, last: bool },
    Wait(Option<Duration>),
    End,
}

impl Queue {
    /// The first that is due, else how long until one is. When stopping, all are due, for the last
    /// time.
    fn next(&mut self, now: Mono) -> Next {
        let last = self.stopping;
        if let Some(due) = self.waiting.iter().position(|waiting| last || waiting.due <= now)
            && let Some(waiting) = self.waiting.remove(due)
        {
            self.writing = true;
            return Next::Write { waiting, last };
        }
        if last {
            return Next::End;
        }
        Next::Wait(self.waiting.iter().map(|waiting| waiting.due.since(now)).min())
    }

    fn put_back(&mut self, waiting: Waiting) {
        let place = self.waiting.partition_point(|other| other.number < waiting.number);
        self.waiting.insert(place, waiting);
    }

    /// The disk takes bundles again: whoever waits is due.
    fn hurry(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| waiting.due = Mono::default());
    }
}

impl WriterThread {
    fn work(&mut self) {
        if let Err(error) = priority::step_back(NICE) {
            tracing::warn!("the writer keeps its priority: {error}");
        }
        let mut secured: VecDeque<Finishing> = VecDeque::new();
        self.removed.iter().for_each(|removed| self.tell(Outcome::Removed(removed.clone())));
        loop {
            let now = self.clock.now().mono;
            let next = open(&self.queue).next(now);
            let due = match next {
                Next::Write { waiting, last } => {
                    secured.extend(self.write(waiting, last));
                    if secured.len() > REPORTS { secured.pop_front() } else { None }
                }
                Next::Wait(pause) => {
                    let due = secured.iter().position(|finishing| finishing.due <= now);
                    if due.is_none() {
                        let dues = secured.iter().map(|finishing| finishing.due.since(now));
                        self.wait(pause.into_iter().chain(dues).min());
                    }
                    due.and_then(|due| secured.remove(due))
                }
                Next::End if secured.is_empty() => return,
                Next::End => secured.pop_front(),
            };
            secured.extend(due.and_then(|finishing| self.finish(finishing)));
        }
    }

    fn wait(&self, pause: Option<Duration>) {
        let heard = match pause {
            Some(pause) => self.rings.recv_timeout(pause),
            None => self.rings.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if heard == Err(RecvTimeoutError::Disconnected) {
            // The recorder is gone without a word: write what there is and end.
            open(&self.queue).stopping = true;
        }
    }

    /// Brings an incident's evidence to the disk; what is left to do then is returned.
    fn write(&self, mut waiting: Waiting, last: bool) -> Option<Finishing> {
        let begun = self.clock.now().mono;
        self.spool(&mut waiting.incident);
        let written = self.insist(&mut waiting);
        let now = self.clock.now().mono;
        waiting.attempts += 1;
        match written {
            Ok(evidence) => {
                let (attempts, secured) = (waiting.attempts, evidence.secured(waiting.incident));
                let mut queue = open(&self.queue);
                queue.hurry();
                queue.writing = false;
                queue.secured += 1;
                let due = Mono::default();
                return Some(Finishing { secured, begun, attempts, due, reported: None });
            }
            Err(reason) if last => {
                open(&self.queue).writing = false;
                let lost = Lost::of(&waiting.incident, waiting.attempts, reason);
                drop(waiting);
                self.tell(Outcome::Lost(lost));
            }
            Err(reason) => self.keep(waiting, reason, now),
        }
        None
    }

    /// Frees what the incident has of memory, as far as the disk takes it: a bundle takes a processor's time as
    /// well.
    fn spool(&self, incident: &mut Incident) {
        match catch_unwind(AssertUnwindSafe(|| incident.spool())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("frames stay in memory: {error}"),
            Err(_) => {
                tracing::error!("frames of {} stay in memory: dashcap panicked", incident.name());
            }
        }
    }

    /// Attempts it, and again if the disk is full and old bundles may go for it that are enough: how many
    /// bytes fitted is known, and how many it has is counted.
    fn insist(&self, waiting: &mut Waiting) -> Result<Evidence> {
        let Refused { error, fitted } = match self.attempt(&waiting.incident) {
            Ok(evidence) => return Ok(evidence),
            Err(refused) if refused.error.is_disk_full() && self.may_go_for(waiting) => refused,
            Err(refused) => return Err(refused.error),
        };
        if waiting.size.is_none() {
            waiting.size = self.size(&waiting.incident);
        }
        let Some(size) = waiting.size else { return Err(error) };
        let removed = self.store.make_room(size.saturating_sub(fitted));
        if removed.is_empty() {
            return Err(error);
        }
        waiting.favoured = true;
        removed.into_iter().for_each(|removed| self.tell(Outcome::Removed(removed)));
        self.attempt(&waiting.incident).map_err(|refused| refused.error)
    }

    /// True if a bundle may go for it.
    fn may_go_for(&self, waiting: &Waiting) -> bool {
        self.options.retention.has_limits() && !waiting.favoured
    }

    /// A panic is a failure like others: a defect in writing one incident must not take the rest with
    /// it. Nothing is left half-changed, for the incident is only read and the partial bundle removed.
    fn attempt(&self, incident: &Incident) -> Result<Evidence, Refused> {
        let write = || Evidence::write(&self.store, incident, self.options.level);
        catch_unwind(AssertUnwindSafe(write)).unwrap_or_else(|_| {
            let error = Error::operation("write bundle", incident.name(), "dashcap panicked")
                .hint("this is a defect in dashcap, please report it");
            Err(Refused { error, fitted: 0 })
        })
    }

    /// What its bundle takes on the disk, in bytes; none where that cannot be told.
    fn size(&self, incident: &Incident) -> Option<u64> {
        let measure = || bundle::size(incident, self.options.level);
        catch_unwind(AssertUnwindSafe(measure)).ok()?.ok()
    }

    /// Makes the report, lets the bundle appear, and lets old ones go for it; what is to be tried again is
    /// returned.
    fn finish(&mut self, mut finishing: Finishing) -> Option<Finishing> {
        let reporting = self.clock.now().mono;
        let stopping = || open(&self.queue).stopping;
        let in_time = || {
            let time = if stopping() { LAST_REPORT_TIME } else { REPORT_TIME };
            self.clock.now().mono.since(reporting) < time
        };
        let last = stopping();
        let finished = finishing.secured.finish(self.options.report, &in_time, last);
        let now = self.clock.now();
        let took = self.options.report.map(|_| now.mono.since(reporting));
        let reported = finishing.reported.or(took);
        let bundle = match finished {
            Ok(bundle) => bundle,
            Err(reason) if last => {
                open(&self.queue).secured -= 1;
                let incident = finishing.secured.incident();
                self.tell(Outcome::Lost(Lost::of(incident, finishing.attempts, reason)));
                return None;
            }
            Err(reason) => {
                finishing.attempts += 1;
                finishing.reported = reported;
                finishing.due = now.mono.plus(self.options.retry_pause);
                let (name, attempts) = (finishing.secured.incident().name(), finishing.attempts);
                // Word of a retry may be dropped, the next one says the same.
                let _ = self.told.try_send(Outcome::Retrying { name, attempts, reason });
                return Some(finishing);
            }
        };
        open(&self.queue).secured -= 1;
        let took = now.mono.since(finishing.begun);
        self.tell(Outcome::Written { bundle, took, reported });
        for removed in self.store.sweep(now, is_kept_right()) {
            self.tell(Outcome::Removed(removed));
        }
        None
    }

    fn keep(&self, mut waiting: Waiting, reason: Error, now: Mono) {
        let (name, attempts) = (waiting.incident.name(), waiting.attempts);
        waiting.due = now.plus(self.options.retry_pause);
        waiting.failed = Some(reason.clone());
        let mut queue = open(&self.queue);
        queue.put_back(waiting);
        queue.writing = false;
        drop(queue);
        // Word of a retry may be dropped, the next one says the same.
        let _ = self.told.try_send(Outcome::Retrying { name, attempts, reason });
    }

    fn tell(&self, outcome: Outcome) {
        // Fails only when the recorder is gone.
        let _ = self.told.send(outcome);
    }
}

#[cfg(test)]
mod tests;
