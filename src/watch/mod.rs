//! Watchers of the host: each watcher runs on a thread of its own, sees one kind of thing and sends
//! [`Observation`]s. A watcher judges nothing and knows neither ring nor incident.
//!
//! ```text
//!   kernel, /sys, a host, a signal ──► watcher at its Desk ──► bounded channel ──► recorder
//!                                         ▲ stop: a flag and a wakeup, heard in every wait
//! ```
//!
//! What every watcher promises, because its [`WatcherContext`] does it:
//!
//! * It never blocks on the channel. What does not fit is dropped and counted under the watcher's
//!   name, and the count is told in a [`Fact::Missed`] as soon as there is room ([`RunningWatcher::missed`]
//!   has the total, also when it is zero).
//! * It stops within milliseconds, wherever it waits.
//! * It opens what it needs before its thread starts, so what is refused is refused at the start;
//!   and it does not die in silence: an error or a panic ends as a [`Fact::WatcherEnded`].

use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};

use crate::error::{Error, Result};
use crate::sys::poll;
use crate::sys::wakeup::Wakeup;
use crate::time::{Clock, Mono, Stamp};

pub mod attribute;
pub mod capacity;
pub mod clock;
pub mod config;
pub mod counters;
pub mod fdb;
pub mod ip;
pub mod link;
pub mod logs;
mod netlink;
pub mod probe;
pub mod routes;
pub mod signal;
pub mod sysfs;
pub mod table;
pub mod ticks;

use crate::observation::{Fact, Observation, WatcherEnd};

/// Observations the channel to the recorder should hold: a thousand VLANs going down with their bond
/// make two messages each, and the recorder may be busy freezing meanwhile.
pub const CHANNEL: usize = 4_096;

/// How soon a watcher tries again to send what the full channel refused.
const RETRY: Duration = Duration::from_millis(100);

/// Somebody who sees one kind of thing.
pub trait Watcher: Send + 'static {
    /// In thread names, in [`Fact::Missed`] and in the manifest; at most nine bytes, because Linux
    /// cuts thread names at 15 (pthread_setname_np(3)) and `watch/` comes first.
    const NAME: &'static str;

    /// Watches until [`WatcherContext::wait`] says [`Wake::Stop`].
    ///
    /// # Errors
    /// When it cannot see any more and there is no way to recover.
    fn run(self, context: &mut WatcherContext) -> Result<()>;
}

/// Why [`WatcherContext::wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The watcher is to return.
    Stop,
    /// The moment waited for has come; a flood of input never postpones it.
    Due,
    /// A descriptor is readable.
    Ready,
}

/// Puts `watcher` to work on the thread `watch/NAME`; observations go to `outbox`.
///
/// # Errors
/// When the process is out of file descriptors or threads.
pub fn spawn<W: Watcher>(
    watcher: W,
    clock: Clock,
    outbox: Sender<Observation>,
) -> Result<RunningWatcher> {
    let failed = |reason: std::io::Error| Error::operation("start watcher", W::NAME, reason);
    let stop = Stop { told: Arc::default(), wakeup: Wakeup::new().map_err(failed)? };
    let missed = Arc::new(AtomicU64::new(0));
    let mut context = WatcherContext {
        name: W::NAME,
        clock,
        outbox,
        stop: stop.clone(),
        untold: 0,
        missed: Arc::clone(&missed),
    };
    let thread = thread::Builder::new()
        .name(format!("watch/{}", W::NAME))
        .spawn(move || context.serve(watcher))
        .map_err(failed)?;
    Ok(RunningWatcher { name: W::NAME, stop, missed, thread })
}

/// A watcher at work. Dropping it lets the watcher work on, until the receiver of its observations is
/// dropped.
#[derive(Debug)]
pub struct RunningWatcher {
    name: &'static str,
    stop: Stop,
    missed: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl RunningWatcher {
    /// The watcher's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Observations that did not fit into the channel since the start.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// True while it watches; false once it has ended or died.
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Asks the watcher to stop; returns at once.
    pub fn stop(&self) {
        self.stop.tell();
    }

    /// Stops the watcher, waits for its thread and returns the final [`RunningWatcher::missed`].
    pub fn join(self) -> u64 {
        self.stop();
        // A panic inside was caught and told by the context; there is nothing left to learn here.
        let _ = self.thread.join();
        self.missed.load(Ordering::Relaxed)
    }
}

/// The stop flag, and the wakeup that wakes a waiting watcher to look at it.
#[derive(Debug, Clone)]
struct Stop {
    told: Arc<AtomicBool>,
    wakeup: Wakeup,
}

impl Stop {
    fn tell(&self) {
        self.told.store(true, Ordering::Release);
        self.wakeup.notify();
    }
}

/// Where a watcher sits: it has the clock, the way out, and the ear for the stop wakeup.
#[derive(Debug)]
pub struct WatcherContext {
    name: &'static str,
    clock: Clock,
    outbox: Sender<Observation>,
    stop: Stop,
    /// Dropped for want of room, and not yet told.
    untold: u64,
    missed: Arc<AtomicU64>,
}

impl WatcherContext {
    /// Now.
    pub fn now(&self) -> Stamp {
        self.clock.now()
    }

    /// How long the machine slept since it was started.
    pub fn asleep(&self) -> Duration {
        self.clock.asleep()
    }

    /// True once the watcher is to return.
    pub fn stopping(&self) -> bool {
        self.stop.told.load(Ordering::Acquire)
    }

    /// Sends a fact seen just now; false if there was no room, which was counted.
    pub fn send(&mut self, fact: Fact) -> bool {
        self.send_at(self.now(), fact)
    }

    /// Sends a fact seen at `at`; false if there was no room, which was counted.
    pub fn send_at(&mut self, at: Stamp, fact: Fact) -> bool {
        self.tell_missed(at);
        let sent = self.offer(at, fact);
        if !sent {
            self.untold += 1;
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// Sends what an operator asked for: tried again until there is room, and counted as missed only
    /// if the watcher has to stop before.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn send_until_taken(&mut self, at: Stamp, fact: &Fact) -> Result<()> {
        while !self.offer(at, fact.clone()) {
            if self.wait(&[], Some(self.now().mono.plus(RETRY)))? == Wake::Stop {
                self.send_at(at, fact.clone());
                break;
            }
        }
        Ok(())
    }

    /// Says that something was missed which no count of unsent observations covers.
    pub fn report_missed(&mut self, what: impl Into<String>) {
        let watcher = self.name.to_owned();
        self.send(Fact::Missed { watcher, what: what.into() });
    }

    /// Sleeps until a descriptor of `fds` is readable, `until` has come, or the watcher is to stop.
    ///
    /// # Errors
    /// When the kernel is out of memory.
    pub fn wait(&mut self, fds: &[BorrowedFd<'_>], until: Option<Mono>) -> Result<Wake> {
        let wakeup = self.stop.wakeup.clone();
        let all: Vec<BorrowedFd<'_>> = fds.iter().copied().chain([wakeup.as_fd()]).collect();
        loop {
            let now = self.now();
            self.tell_missed(now);
            if self.stopping() {
                return Ok(Wake::Stop);
            }
            if until.is_some_and(|until| until <= now.mono) {
                return Ok(Wake::Due);
            }
            let retry = (self.untold > 0).then_some(RETRY);
            let timeout = until.map(|until| until.since(now.mono)).into_iter().chain(retry).min();
            let ready = poll::readable(&all, timeout)
                .map_err(|reason| Error::operation("wait as watcher", self.name, reason))?;
            if ready && !self.stopping() {
                return Ok(Wake::Ready);
            }
        }
    }

    /// True if the channel took it. Without a receiver there is nobody to watch for, so the watcher
    /// stops, and nothing is missed.
    fn offer(&mut self, at: Stamp, fact: Fact) -> bool {
        match self.outbox.try_send(Observation { at, fact }) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => false,
            Err(TrySendError::Disconnected(_)) => {
                self.stop.tell();
                true
            }
        }
    }

    fn tell_missed(&mut self, at: Stamp) {
        if self.untold == 0 {
            return;
        }
        let what = format!("{} observations found no room on the way to the recorder", self.untold);
        if self.offer(at, Fact::Missed { watcher: self.name.to_owned(), what }) {
            self.untold = 0;
        }
    }

    fn serve<W: Watcher>(&mut self, watcher: W) {
        // The watcher is consumed, and the context only counts: nothing half-changed is seen afterwards.
        let ended = catch_unwind(AssertUnwindSafe(|| watcher.run(self)));
        let why = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => WatcherEnd::Failed(error.to_string()),
            Err(_) => WatcherEnd::Panicked,
        };
        let ended = Fact::WatcherEnded { watcher: self.name.to_owned(), interface: None, why };
        tracing::error!("{ended}");
        self.send(ended);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crossbeam_channel::{Receiver, bounded};

    use super::*;

    /// More than any wait here should take, less than a person's patience.
    const BOUND: Duration = Duration::from_secs(10);

    /// Sends as many snapshot requests as it holds, then does as its second field says.
    struct Talker(usize, fn(&mut WatcherContext) -> Result<()>);

    impl Watcher for Talker {
        const NAME: &'static str = "talker";

        fn run(self, context: &mut WatcherContext) -> Result<()> {
            for _ in 0..self.0 {
                context.send(Fact::SnapshotSignal);
            }
            (self.1)(context)
        }
    }

    fn until_stopped(context: &mut WatcherContext) -> Result<()> {
        while context.wait(&[], None)? != Wake::Stop {}
        Ok(())
    }

    fn talk(room: usize, talker: Talker) -> (RunningWatcher, Receiver<Observation>) {
        let (outbox, inbox) = bounded(room);
        (spawn(talker, Clock::system(), outbox).unwrap(), inbox)
    }

    fn ended(why: WatcherEnd) -> Fact {
        Fact::WatcherEnded { watcher: "talker".to_owned(), interface: None, why }
    }

    fn missed(what: &str) -> Fact {
        Fact::Missed { watcher: "talker".to_owned(), what: what.to_owned() }
    }

    #[test]
    fn what_did_not_fit_is_told_when_there_is_room() {
        let (watch, inbox) = talk(3, Talker(5, until_stopped));
        let begun = Instant::now();
        while watch.missed() < 2 && begun.elapsed() < BOUND {
            thread::yield_now();
        }
        for _ in 0..3 {
            assert_eq!(inbox.recv_timeout(BOUND).unwrap().fact, Fact::SnapshotSignal);
        }
        let told = inbox.recv_timeout(BOUND).unwrap().fact;
        assert_eq!(told, missed("2 observations found no room on the way to the recorder"));
        assert_eq!(watch.join(), 2, "the count stays for the manifest");
        assert_eq!(inbox.try_iter().count(), 0, "told once");
    }

    #[test]
    fn what_is_insisted_on_arrives() {
        let (watch, inbox) = talk(
            1,
            Talker(1, |context| {
                let at = context.now();
                context.send_until_taken(at, &Fact::StopSignal)
            }),
        );
        assert_eq!(inbox.recv_timeout(BOUND).unwrap().fact, Fact::SnapshotSignal);
        assert_eq!(inbox.recv_timeout(BOUND).unwrap().fact, Fact::StopSignal);
        assert_eq!(watch.join(), 0);
    }

    #[test]
    fn a_watcher_does_not_die_in_silence() {
        let (watch, inbox) = talk(1, Talker(0, |_| Err(Error::operation("see", "it", "dark"))));
        let told = inbox.recv_timeout(BOUND).unwrap().fact;
        assert_eq!(told, ended(WatcherEnd::Failed("cannot see it: dark".to_owned())));
        watch.join();
        let (watch, inbox) = talk(1, Talker(0, |_| panic!("on purpose, for a test")));
        let told = inbox.recv_timeout(BOUND).unwrap().fact;
        assert_eq!(told, ended(WatcherEnd::Panicked));
        watch.join();
    }

    #[test]
    fn stopping_takes_milliseconds_even_in_an_endless_wait() {
        let (watch, inbox) = talk(1, Talker(1, until_stopped));
        inbox.recv_timeout(BOUND).unwrap();
        let begun = Instant::now();
        watch.join();
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_watcher_nobody_listens_to_stops_by_itself() {
        let (outbox, inbox) = bounded(1);
        drop(inbox);
        let watch = spawn(Talker(1, until_stopped), Clock::system(), outbox).unwrap();
        watch.thread.join().unwrap();
    }
}
