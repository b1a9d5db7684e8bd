//! The configuration file as a watcher: SIGHUP asks to read it again, and so does a change of it.
//!
//! Editors write a new file and rename it over the old one, or truncate and write in pieces; orchestrators
//! swap a symbolic link. So the directories are watched rather than the file, a burst of changes is
//! waited for, and what counts is whether the content is another:
//!
//! ```text
//!   changes     x x  x                            x x x x x x x x x x ...
//!   ────────────┴─┴──┴── 200 ms ──┬───────────────┴──────── 2 s ──────┬─────────► monotonic
//!                                 read, if it is another              read anyway
//! ```
//!
//! The watcher itself understands nothing of the file: it calls what [`ConfigWatcher::calling`] was
//! given, on its own thread, where reading and resolving may take their time. What is refused is told as
//! [`Fact::ReloadRefused`]; what is accepted is told by whoever takes it up.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use signal_hook::SigId;
use signal_hook::consts::SIGHUP;
use signal_hook::low_level::{pipe, unregister};

use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::sys::signal::ignore_hangup;
use crate::sys::wakeup::Wakeup;
use crate::time::Mono;
use crate::watch::{Wake, Watcher, WatcherContext};

/// A writer that pauses for longer is done: an editor takes milliseconds.
const QUIET: Duration = Duration::from_millis(200);
/// A file that never rests is read that often all the same.
const PATIENCE: Duration = Duration::from_secs(2);
/// As much of the file is compared: more than whoever reads it accepts.
const COMPARED: u64 = 2 << 20;

/// The watcher of one configuration file.
#[derive(Debug)]
pub struct ConfigWatcher {
    file: PathBuf,
    /// The content that was read last; none if it could not be.
    content: Option<Vec<u8>>,
    /// The signal handler writes a byte into the other end.
    hangups: UnixStream,
    registration: SigId,
    /// Rung when something changed in a directory.
    changes: Wakeup,
    /// None where the system refuses; then there is SIGHUP only.
    directories: Option<RecommendedWatcher>,
}

impl ConfigWatcher {
    /// Takes SIGHUP over, also where it was ignored before, as under nohup(1): it no longer ends
    /// anything. To be opened after the watcher of the signals that stop, and before the file is read,
    /// so that no change is missed.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn open(file: &Path) -> Result<Self> {
        let name = file.display().to_string();
        let failed = |e: io::Error| Error::operation("watch", &*name, e);
        let changes = Wakeup::new().map_err(failed)?;
        let directories = directories(file, changes.clone());
        if let Err(reason) = &directories {
            tracing::warn!("changes of {name} are not noticed, SIGHUP reads it again: {reason}");
        }
        // What was registered before would be called as well, and it stops the recording.
        ignore_hangup();
        let (hangups, outlet) = UnixStream::pair().map_err(failed)?;
        hangups.set_nonblocking(true).map_err(failed)?;
        let registration = pipe::register(SIGHUP, outlet).map_err(failed)?;
        let (content, directories) = (content(file), directories.ok());
        Ok(Self { file: file.to_owned(), content, hangups, registration, changes, directories })
    }

    /// What is in `file` now, for [`ConfigWatcher::since`].
    pub fn content(file: &Path) -> Option<Vec<u8>> {
        content(file)
    }

    /// The file was read before, when `content` was in it: if there is something else by now, it is read
    /// again at once.
    #[must_use]
    pub fn since(mut self, content: Option<Vec<u8>>) -> Self {
        self.content = content;
        self
    }

    /// The watcher that calls `read` when the file is to be read again.
    pub fn calling<F: FnMut() -> Result<()>>(self, read: F) -> ConfigReader<F> {
        ConfigReader { watcher: self, read }
    }

    /// True if SIGHUP came since.
    fn hung_up(&mut self) -> Result<bool> {
        let (mut bytes, mut any) = ([0; 64], false);
        loop {
            match self.hangups.read(&mut bytes) {
                Ok(0) => return Ok(any),
                Ok(_) => any = true,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(any),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::operation("listen for", "SIGHUP", e)),
            }
        }
    }

    /// True if the content is another than the last time.
    fn is_another(&mut self) -> bool {
        let now = content(&self.file);
        let another = now != self.content;
        self.content = now;
        another
    }
}

impl Drop for ConfigWatcher {
    fn drop(&mut self) {
        // The handler stays and does nothing, so SIGHUP goes on to end nothing.
        unregister(self.registration);
        self.directories = None;
    }
}

/// A [`ConfigWatcher`] that knows whom to call.
pub struct ConfigReader<F> {
    watcher: ConfigWatcher,
    read: F,
}

impl<F> fmt::Debug for ConfigReader<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigReader").field("watcher", &self.watcher).finish_non_exhaustive()
    }
}

impl<F: FnMut() -> Result<()> + Send + 'static> Watcher for ConfigReader<F> {
    const NAME: &'static str = "config";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        let mut burst = Burst::default();
        if self.watcher.is_another() {
            self.read(context);
        }
        loop {
            let (hangups, changes) = (&self.watcher.hangups, &self.watcher.changes);
            match context.wait(&[hangups.as_fd(), changes.as_fd()], burst.due())? {
                Wake::Stop => return Ok(()),
                Wake::Ready => {
                    if self.watcher.hung_up()? {
                        self.watcher.is_another();
                        self.read(context);
                    }
                    // Heard last: what rings from now on wakes us again.
                    if changes_heard(&self.watcher.changes) {
                        burst.goes_on(context.now().mono);
                    }
                }
                Wake::Due => {
                    burst = Burst::default();
                    if self.watcher.is_another() {
                        self.read(context);
                    }
                }
            }
        }
    }
}

impl<F: FnMut() -> Result<()>> ConfigReader<F> {
    fn read(&mut self, context: &mut WatcherContext) {
        if let Err(error) = (self.read)() {
            let file = self.watcher.file.display().to_string();
            context.send(Fact::ReloadRefused { file, reason: error.to_string() });
        }
    }
}

/// Changes that follow each other.
#[derive(Debug, Default, Clone, Copy)]
struct Burst(Option<(Mono, Mono)>);

impl Burst {
    fn goes_on(&mut self, now: Mono) {
        let first = self.0.map_or(now, |(first, _)| first);
        self.0 = Some((first, now));
    }

    /// When it counts as over.
    fn due(self) -> Option<Mono> {
        self.0.map(|(first, last)| last.plus(QUIET).min(first.plus(PATIENCE)))
    }
}

/// True if the wakeup rang; it is silent afterwards.
fn changes_heard(wakeup: &Wakeup) -> bool {
    let rang = crate::sys::poll::readable(&[wakeup.as_fd()], Some(Duration::ZERO)).unwrap_or(true);
    wakeup.clear();
    rang
}

fn content(file: &Path) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    File::open(file).ok()?.take(COMPARED).read_to_end(&mut content).ok().map(|_| content)
}

/// Watches where the file's name is, and where the file is, should that be elsewhere.
fn directories(file: &Path, wakeup: Wakeup) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error may stand for changes that were not told.
        if event.is_ok_and(|event| is_reading(event.kind)) {
            return;
        }
        wakeup.notify();
    })?;
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    for directory in BTreeSet::from([parent(file), parent(&real)]) {
        watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// True if somebody only reads, which we do, too.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use crossbeam_channel::{Receiver, bounded};

    use super::*;
    use crate::lab::wait_for;
    use crate::observation::Observation;
    use crate::time::Clock;
    use crate::watch::{RunningWatcher, spawn};

    const S: u64 = 1_000_000_000;

    /// What was read, each time; a content of "bad" is refused.
    fn watch(file: &Path) -> (RunningWatcher, Receiver<Observation>, Receiver<String>) {
        let (outbox, inbox) = bounded(16);
        let (told, read) = bounded(16);
        let path = file.to_owned();
        let reader = ConfigWatcher::open(file).unwrap().calling(move || {
            let content = fs::read_to_string(&path).unwrap_or_else(|e| e.kind().to_string());
            let bad = content == "bad";
            told.send(content).unwrap();
            if bad { Err(Error::usage("--config", "it", "no sense", "sense")) } else { Ok(()) }
        });
        (spawn(reader, Clock::system(), outbox).unwrap(), inbox, read)
    }

    const BOUND: Duration = Duration::from_secs(10);

    /// What was read next. On a busy machine a file may be seen that is emptied, and not written yet.
    fn text(read: &Receiver<String>) -> String {
        let mut each = std::iter::repeat_with(|| read.recv_timeout(BOUND).unwrap());
        each.find(|text| !text.is_empty()).unwrap()
    }

    /// One test, because every watcher here takes the process's SIGHUP.
    #[test]
    fn every_way_to_change_a_file_is_noticed_once() {
        let directory = tempfile::tempdir().unwrap();
        let (file, aside) = (directory.path().join("d.toml"), directory.path().join("d.new"));
        fs::write(&file, "one").unwrap();
        let (watching, inbox, read) = watch(&file);
        let next = || text(&read);
        fs::write(&file, "two").unwrap();
        assert_eq!(next(), "two", "written in place");
        fs::write(&aside, "three").unwrap();
        fs::rename(&aside, &file).unwrap();
        assert_eq!(next(), "three", "renamed over");
        fs::rename(&file, &aside).unwrap();
        fs::write(&file, "four").unwrap();
        // On a busy machine it may be seen that it is gone.
        let anew = Some(next()).filter(|text| text != "entity not found").unwrap_or_else(next);
        assert_eq!(anew, "four", "moved away and written anew");
        fs::write(directory.path().join("another"), "file").unwrap();
        fs::write(&file, "four").unwrap();
        fs::write(&file, "bad").unwrap();
        assert_eq!(next(), "bad", "and nothing was read for what did not change");
        let (refused, _) = wait_for(&inbox, "a refusal", |_| true);
        let expected = "d.toml read again and refused, nothing changes: --config \"it\": no sense";
        assert!(refused.fact.to_string().contains(expected), "{}", refused.fact);
        fs::remove_file(&file).unwrap();
        assert_eq!(next(), "entity not found");
        assert_eq!(watching.join(), 0);
        assert!(read.is_empty());

        // Over a symbolic link, to a file elsewhere.
        let elsewhere = tempfile::tempdir().unwrap();
        let real = elsewhere.path().join("real.toml");
        fs::write(&real, "five").unwrap();
        std::os::unix::fs::symlink(&real, &file).unwrap();
        let (watching, _inbox, read) = watch(&file);
        fs::write(&real, "six").unwrap();
        assert_eq!(text(&read), "six");
        watching.join();
    }

    #[test]
    fn a_burst_is_waited_for_but_not_for_ever() {
        let mut burst = Burst::default();
        assert_eq!(burst.due(), None);
        for (now, due) in [(0, 200), (100, 300), (250, 450), (1_900, 2_000), (5_000, 2_000)] {
            burst.goes_on(Mono(now * S / 1_000));
            assert_eq!(burst.due(), Some(Mono(due * S / 1_000)), "at {now} ms");
        }
    }

    #[test]
    fn our_own_reading_is_no_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("d.toml");
        fs::write(&file, "one").unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                told.lock().unwrap().push(event.unwrap().kind);
            })
            .unwrap();
        watcher.watch(directory.path(), RecursiveMode::NonRecursive).unwrap();
        content(&file).unwrap();
        fs::write(&file, "two").unwrap();
        let deadline = std::time::Instant::now() + BOUND;
        let is_change = |kind: &EventKind| !is_reading(*kind);
        while !seen.lock().unwrap().iter().any(is_change) {
            assert!(std::time::Instant::now() < deadline, "{seen:?}");
            std::thread::yield_now();
        }
        let first = seen.lock().unwrap().iter().position(is_change).unwrap();
        assert!(seen.lock().unwrap()[..first].iter().all(|kind| is_reading(*kind)), "{seen:?}");
    }
}
