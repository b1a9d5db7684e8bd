//! Signals as watchers: SIGUSR1 asks for a snapshot, SIGINT and SIGTERM (and SIGHUP, when the
//! terminal goes away) ask to stop. Where there is a configuration file, SIGHUP is [`super::config`]'s.
//!
//! What was asked for arrives: neither observation is dropped for want of room. Signals of one kind
//! that come faster than they are read are one, as everywhere in Unix (signal(7)).
//!
//! Stopping is patient, because the open incident is worth finishing. An operator who is not signals
//! again: from [`PATIENCE`] after the first on, each further signal calls what [`StopWatcher::open`]
//! was given, on a thread that waits for nobody. Ending the process there is safe: bundles appear by
//! rename, so what is unfinished stays `*.partial`.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use signal_hook::SigId;
use signal_hook::consts::SIGUSR1;
use signal_hook::low_level::{pipe, unregister};

use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::sys::signal::{hangup_ignored, ignore_hangup};
use crate::sys::wakeup::Wakeup;
use crate::time::{Clock, Mono};
use crate::watch::{Wake, Watcher, WatcherContext};

/// One wish to stop may come as two signals: timeout(1) signals its child and then the whole group,
/// a terminal the group of a shell that passes it on. A person needs longer to lose patience.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// The watcher of SIGUSR1.
#[derive(Debug)]
pub struct SnapshotWatcher {
    /// The signal handler writes a byte into the other end.
    inlet: UnixStream,
    registration: SigId,
}

impl SnapshotWatcher {
    /// Takes SIGUSR1 over: from now on it no longer ends the process, not even once the watcher is
    /// gone, when it is ignored.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn open() -> Result<Self> {
        let open = || -> io::Result<Self> {
            let (inlet, outlet) = UnixStream::pair()?;
            inlet.set_nonblocking(true)?;
            Ok(Self { inlet, registration: pipe::register(SIGUSR1, outlet)? })
        };
        open().map_err(|reason| Error::operation("listen for", "SIGUSR1", reason))
    }

    /// Reads all that was written; true if anything was.
    fn heard(&mut self) -> Result<bool> {
        let (mut bytes, mut any) = ([0; 64], false);
        loop {
            match self.inlet.read(&mut bytes) {
                Ok(0) => return Ok(any),
                Ok(_) => any = true,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(any),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::operation("listen for", "SIGUSR1", e)),
            }
        }
    }
}

impl Watcher for SnapshotWatcher {
    const NAME: &'static str = "signal";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        while context.wait(&[self.inlet.as_fd()], None)? != Wake::Stop {
            let at = context.now();
            if self.heard()? {
                context.send_until_taken(at, &Fact::SnapshotSignal)?;
            }
        }
        Ok(())
    }
}

impl Drop for SnapshotWatcher {
    fn drop(&mut self) {
        unregister(self.registration);
    }
}

/// The watcher of the signals that ask to stop.
pub struct StopWatcher {
    wakeup: Wakeup,
}

impl StopWatcher {
    /// Takes SIGINT, SIGTERM and SIGHUP over, for the rest of the process's life, which is why there
    /// can be only one of these. A hang-up that is ignored at the start, as under nohup(1), stays so.
    /// `impatient` is called for every further signal after [`PATIENCE`]: from a thread of its own, in
    /// no signal handler, so it may do anything.
    ///
    /// # Errors
    /// When there was one before, or the process is out of threads or file descriptors.
    pub fn open(clock: Clock, mut impatient: impl FnMut() + Send + 'static) -> Result<Self> {
        let failed = |reason: &dyn fmt::Display| {
            Error::operation("listen for", "SIGINT and SIGTERM", reason)
        };
        let wakeup = Wakeup::new().map_err(|e| failed(&e))?;
        let (ring, mut wish) = (wakeup.clone(), Wish::default());
        let nohup = hangup_ignored();
        let handler = move || {
            if wish.is_impatient(clock.now().mono) {
                impatient();
            } else {
                ring.notify();
            }
        };
        ctrlc::set_handler(handler).map_err(|e| failed(&e))?;
        if nohup {
            ignore_hangup();
        }
        Ok(Self { wakeup })
    }
}

impl fmt::Debug for StopWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopWatcher").finish_non_exhaustive()
    }
}

impl Watcher for StopWatcher {
    const NAME: &'static str = "stop";

    fn run(self, context: &mut WatcherContext) -> Result<()> {
        while context.wait(&[self.wakeup.as_fd()], None)? != Wake::Stop {
            let at = context.now();
            self.wakeup.clear();
            context.send_until_taken(at, &Fact::StopSignal)?;
        }
        Ok(())
    }
}

/// The wish to stop, and since when it has been known.
#[derive(Debug, Default)]
struct Wish(Option<Mono>);

impl Wish {
    fn is_impatient(&mut self, now: Mono) -> bool {
        let first = *self.0.get_or_insert(now);
        now.since(first) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;
    use crate::lab::wait_for;
    use crate::watch::spawn;

    /// Both watchers share the process's signals with every other test here: one test for each.
    fn raise(signal: Signal) {
        kill(Pid::this(), signal).unwrap();
    }

    #[test]
    fn every_usr1_that_can_be_told_apart_is_a_snapshot() {
        let (outbox, inbox) = bounded(1);
        let watch = spawn(SnapshotWatcher::open().unwrap(), Clock::system(), outbox).unwrap();
        for _ in 0..3 {
            raise(Signal::SIGUSR1);
            let (seen, before) = wait_for(&inbox, "a snapshot", |_| true);
            assert_eq!((seen.fact, before.len()), (Fact::SnapshotSignal, 0));
        }
        assert_eq!(watch.join(), 0);
        raise(Signal::SIGUSR1); // and we live on
    }

    #[test]
    fn stop_signals_are_told_and_there_is_one_listener() {
        let (outbox, inbox) = bounded(1);
        let (impatience, _) = bounded(1);
        let watcher = StopWatcher::open(Clock::system(), move || {
            let _ = impatience.try_send(());
        });
        let watch = spawn(watcher.unwrap(), Clock::system(), outbox).unwrap();
        raise(Signal::SIGTERM);
        let (seen, _) = wait_for(&inbox, "the wish to stop", |_| true);
        assert_eq!(seen.fact, Fact::StopSignal);
        assert_eq!(watch.join(), 0);
        let again = StopWatcher::open(Clock::system(), || ()).unwrap_err().to_string();
        assert!(again.starts_with("cannot listen for SIGINT and SIGTERM: "), "{again}");
    }

    #[test]
    fn impatience_takes_a_second() {
        const SECOND: u64 = 1_000_000_000;
        let mut wish = Wish::default();
        for (at, impatient) in [
            (5 * SECOND, false),
            (5 * SECOND + 1, false),
            (6 * SECOND - 1, false),
            (6 * SECOND, true),
            (9 * SECOND, true),
        ] {
            assert_eq!(wish.is_impatient(Mono(at)), impatient, "{at}");
        }
    }
}
