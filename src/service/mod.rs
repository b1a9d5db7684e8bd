//! What a service manager is told: that frames are recorded, how it stands, and that it lives, but only
//! while it does what it is there for.
//!
//! ```text
//!   cap/IF ── rounds ──► vitals ── all move ──► WATCHDOG=1 ──► systemd
//!                          └─ one stands still: logged, the watchdog starves, systemd restarts us
//! ```
//!
//! The recorder attends to this between two observations, so the watchdog is fed only while its own loop
//! goes round, too. Without a service manager nobody is told, and a capture that stands still is logged all
//! the same. What the manager has no room for is said again; nothing here waits for it.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

pub mod notify;
pub mod vitals;
mod watchdog;

use self::notify::{Environment, Notifier, Word};
use self::vitals::{Change, PATIENCE, Vitals};
use self::watchdog::Watchdog;
use crate::error::Result;
use crate::time::Mono;

/// Captures are looked at this often, however often the recorder asks.
const LOOK: Duration = Duration::from_millis(250);
/// A status that only differs in its figures is told this often: `systemctl status` shows the last one,
/// and each wakes the service manager.
const STATUS: Duration = Duration::from_secs(10);
/// While the last incidents are written, the manager is asked for so much more time,
const EXTENSION: Duration = Duration::from_secs(30);
/// so often,
const EXTEND: Duration = Duration::from_secs(10);
/// and that many times, ten minutes: a disk that is not done then hangs.
const EXTENSIONS: u32 = 60;

/// The service manager's view of a recording.
#[derive(Debug)]
pub struct Service {
    notifier: Option<Notifier>,
    watchdog: Option<Watchdog>,
    vitals: Vitals,
    looked: Option<Mono>,
    phase: Announced,
    /// What [`Word`] of the phase was not taken yet.
    owes: bool,
    status_at: Option<Mono>,
}

/// What the service manager knows, or is to know next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    /// Not every capture has read its interface yet.
    Starting,
    /// Frames are recorded.
    Ready,
    /// It ends.
    Stopping,
}

impl Service {
    /// As `environment` says; `now` the recording begins, in the process with this number.
    ///
    /// # Errors
    /// When the environment names a service manager and nobody is there, or has no meaning.
    pub fn open(environment: &Environment, process: u32, now: Mono) -> Result<Self> {
        let notifier = environment.socket.as_deref().map(Notifier::connect).transpose()?;
        let watchdog = environment.watchdog(process)?.filter(|_| notifier.is_some());
        let watchdog = watchdog.map(|within| Watchdog::new(within, now));
        // What stands still must be noticed before the next feeding.
        let patience = watchdog.as_ref().map_or(PATIENCE, |dog| PATIENCE.min(dog.every()));
        Ok(Self {
            notifier,
            watchdog,
            vitals: Vitals::new(patience, now),
            looked: None,
            phase: Announced::Starting,
            owes: true,
            status_at: None,
        })
    }

    /// A hand for those who tell of their own.
    pub fn notifier(&self) -> Option<Notifier> {
        self.notifier.clone()
    }

    /// True if the captures should be looked at.
    pub fn is_due(&self, now: Mono) -> bool {
        self.owes || self.looked.is_none_or(|looked| now.since(looked) >= LOOK)
    }

    /// Looks at the captures, by name with the rounds each has done, and tells what is to be told.
    pub fn attend<'a>(&mut self, now: Mono, captures: impl IntoIterator<Item = (&'a str, u64)>) {
        self.looked = Some(now);
        for change in self.vitals.look(now, captures) {
            self.tell(&change);
        }
        if self.phase == Announced::Starting && self.vitals.all_began() {
            self.phase = Announced::Ready;
        }
        self.pay();
        let is_well = self.phase != Announced::Starting && self.vitals.standing().next().is_none();
        let is_hungry = self.watchdog.as_ref().is_some_and(|dog| dog.is_hungry(now));
        if is_well && is_hungry && self.say(&[Word::Watchdog]) {
            self.watchdog.iter_mut().for_each(|dog| dog.fed(now));
        }
    }

    /// Tells how it stands: at once if `changed`, else now and then. A capture that stands still is what
    /// matters most.
    pub fn status(&mut self, now: Mono, changed: bool, line: &str) {
        if !changed && self.status_at.is_some_and(|at| now.since(at) < STATUS) {
            return;
        }
        let standing: Vec<_> = self.vitals.standing().collect();
        let told = match &standing[..] {
            [] => self.say(&[Word::Status(line)]),
            names => {
                let line = format!("STANDS STILL: the capture of {} · {line}", names.join(", "));
                self.say(&[Word::Status(&line)])
            }
        };
        self.status_at = told.then_some(now).or(self.status_at);
    }

    /// The configuration that was read again holds.
    pub fn reloaded(&mut self) {
        self.owes |= self.phase == Announced::Ready;
        self.pay();
    }

    /// The recording ends.
    pub fn stopping(&mut self) {
        if self.phase != Announced::Stopping {
            (self.phase, self.owes) = (Announced::Stopping, true);
        }
        self.pay();
    }

    /// From now on nobody attends, and what is left may take its time: as long as the answer lives, the
    /// manager is asked for more. Not if a capture stands still, because then the end may never come.
    pub fn leave(mut self) -> Option<Leaving> {
        self.stopping();
        let stands = self.vitals.standing().next().is_some();
        self.notifier.filter(|_| !stands).and_then(Leaving::begin)
    }

    /// Says what is owed; what was not taken stays owed.
    fn pay(&mut self) {
        let word = match self.phase {
            Announced::Starting => return,
            Announced::Ready => Word::Ready,
            Announced::Stopping => Word::Stopping,
        };
        if self.owes && self.say(&[word]) {
            self.owes = false;
        }
    }

    /// True if it was taken, or nobody is there to take it.
    fn say(&self, words: &[Word<'_>]) -> bool {
        self.notifier.as_ref().is_none_or(|notifier| notifier.say(words))
    }

    fn tell(&mut self, change: &Change) {
        self.status_at = None;
        match change {
            Change::Stands { part, stood } => {
                let what_follows = self.watchdog.as_ref().map_or_else(String::new, |dog| {
                    let left = dog.within().as_secs_f64();
                    format!("; unless it moves, it is restarted within {left:.0} s")
                });
                let stood = stood.as_secs_f64();
                tracing::error!(
                    "the capture of {part} has stood still for {stood:.1} s{what_follows}"
                );
            }
            Change::Moves { part, stood } => {
                let stood = stood.as_secs_f64();
                tracing::warn!("the capture of {part} moves again, after {stood:.1} s");
            }
        }
    }
}

/// Asks the manager for more time until it is dropped, on a thread of its own: the recorder's is busy.
#[derive(Debug)]
pub struct Leaving {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Leaving {
    fn begin(notifier: Notifier) -> Option<Self> {
        let (end, ended) = bounded::<()>(0);
        let extending = move || {
            for _ in 0..EXTENSIONS {
                // One that was not taken is followed by the next, in time.
                notifier.say(&[Word::Extend(EXTENSION), Word::Watchdog]);
                if ended.recv_timeout(EXTEND) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
            tracing::error!("stopping takes too long; no more time is asked for");
        };
        let thread = thread::Builder::new().name("notify".to_owned()).spawn(extending);
        let thread = thread.inspect_err(|e| tracing::warn!("no time is asked for: {e}")).ok()?;
        Some(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // Without a sender the thread's wait is over.
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, which the panic itself told.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
