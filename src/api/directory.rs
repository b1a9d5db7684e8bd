//! The trigger directory: a file that appears there asks for a snapshot, its content is the reason.
//!
//! ```text
//!   echo "disk is full" > DIR/disk        close after writing ─┐
//!   mv made-elsewhere DIR/                rename ──────────────┴► read, removed, told
//! ```
//!
//! For whatever can only make a file: cron, a container, a script in a language without sockets. Names
//! that begin with a dot are left alone, so that a file can be made there and renamed when it is whole.
//! Anything that is no regular file is left alone, too. What was there before dashcap started asks for
//! nothing: its moment has passed, and the log says that it is there.
//!
//! Whoever can write into the directory can trigger: its permissions are the operator's choice.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::observation::request::{Ask, Door, REASON};
use crate::sys::wakeup::Wakeup;
use crate::time::{Clock, Wall};
use crate::watch::{Wake, Watcher, WatcherContext};

/// Files that appeared and were not looked at yet. Beyond it the whole directory is looked through.
const APPEARED: usize = 1_024;
/// Of a file's content this many bytes are read: enough for the longest reason in any script.
const READ: u64 = 4 * REASON as u64;
/// The directory, if it has to be made.
const MODE: u32 = 0o750;

/// Where files appear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The directory; made if it is missing.
    pub path: PathBuf,
}

impl Options {
    /// Refuses what cannot be a directory.
    ///
    /// # Errors
    /// [`Error::Usage`] when the path is empty.
    pub fn check(&self) -> Result<()> {
        if self.path.as_os_str().is_empty() {
            let accepted = "a directory, such as /run/dashcap/trigger";
            return Err(Error::usage(
                "--trigger-directory",
                "",
                "a path is needed, and this one is empty",
                accepted,
            ));
        }
        Ok(())
    }
}

/// The watcher of the trigger directory.
pub struct DirectoryWatcher {
    path: PathBuf,
    /// Files that changed before then were there at the start.
    since: Wall,
    told: Receiver<DirectoryEvent>,
    /// Something found no room, here or in the kernel's queue.
    overflowed: Arc<AtomicBool>,
    wakeup: Wakeup,
    /// Watches as long as it lives.
    _watcher: RecommendedWatcher,
}

/// What notify's thread tells.
#[derive(Debug)]
enum DirectoryEvent {
    Appeared(PathBuf),
    /// The directory is gone, or can no longer be watched.
    Over(String),
}

impl DirectoryWatcher {
    /// Watches the directory from now on.
    ///
    /// # Errors
    /// When it cannot be made, read or watched.
    pub fn open(options: &Options, clock: &Clock) -> Result<Self> {
        options.check()?;
        let path = options.path.clone();
        let failed = |reason: &dyn std::fmt::Display| {
            Error::operation("watch trigger directory", path.display().to_string(), reason)
        };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(MODE).create(&path).map_err(|e| failed(&e))?;
        let (tell, told) = bounded(APPEARED);
        let wakeup = Wakeup::new().map_err(|e| failed(&e))?;
        let overflowed = Arc::new(AtomicBool::new(false));
        let (ring, home, lost) = (wakeup.clone(), path.clone(), Arc::clone(&overflowed));
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if !report(event, &home, &tell) {
                lost.store(true, Ordering::Release);
            }
            ring.notify();
        })
        .map_err(|e| failed(&e))?;
        let since = clock.now().wall;
        watcher.watch(&path, RecursiveMode::NonRecursive).map_err(|e| failed(&e))?;
        let old = listing(&path).map_err(|e| failed(&e))?.len();
        tracing::info!("trigger directory {}", path.display());
        if old > 0 {
            tracing::warn!(
                "{old} files were in {} before; they ask for nothing and are left alone",
                path.display()
            );
        }
        Ok(Self { path, since, told, overflowed, wakeup, _watcher: watcher })
    }

    /// Takes the file at `path`, if it asks for something.
    fn take(&self, path: &Path, context: &mut WatcherContext) -> Result<()> {
        let at = context.now();
        match read(path) {
            Ok(Some(text)) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let ask = Ask::new(Door::File, &format!("file {name}"), &text);
                context.send_until_taken(at, &Fact::Asked(ask.into()))?;
                if let Err(error) = fs::remove_file(path) {
                    tracing::warn!("cannot remove {}: {error}", path.display());
                }
            }
            Ok(None) => {}
            // Two events of one file: the first took it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => context.report_missed(format!("{}: {error}", path.display())),
        }
        Ok(())
    }

    /// Takes every file that appeared since the start: events were lost.
    fn look_through(&self, context: &mut WatcherContext) -> Result<()> {
        let found = listing(&self.path).map_err(|e| self.gone(&e))?;
        let new = |path: &PathBuf| {
            // A file renamed into the directory changes its ctime there and then (inode(7)).
            fs::symlink_metadata(path).is_ok_and(|there| changed(&there) >= self.since)
        };
        found.iter().filter(|path| new(path)).try_for_each(|path| self.take(path, context))
    }

    fn gone(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::operation("watch trigger directory", self.path.display().to_string(), reason)
    }
}

impl std::fmt::Debug for DirectoryWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectoryWatcher").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Watcher for DirectoryWatcher {
    const NAME: &'static str = "file";

    fn run(self, context: &mut WatcherContext) -> Result<()> {
        while context.wait(&[self.wakeup.as_fd()], None)? != Wake::Stop {
            self.wakeup.clear();
            for told in self.told.try_iter() {
                match told {
                    DirectoryEvent::Appeared(path) => self.take(&path, context)?,
                    DirectoryEvent::Over(reason) => return Err(self.gone(&reason)),
                }
                if context.stopping() {
                    return Ok(());
                }
            }
            if self.overflowed.swap(false, Ordering::Acquire) {
                self.look_through(context)?;
            }
        }
        Ok(())
    }
}

/// On notify's thread: passes on what matters; false if something found no room, or the kernel's queue
/// overflowed (IN_Q_OVERFLOW, inotify(7)).
fn report(event: notify::Result<Event>, home: &Path, tell: &Sender<DirectoryEvent>) -> bool {
    let event = match event {
        Ok(event) => event,
        Err(error) => return tell.try_send(DirectoryEvent::Over(error.to_string())).is_ok(),
    };
    let mut complete = !event.need_rescan();
    for path in event.paths {
        let told = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => DirectoryEvent::Appeared(path),
            EventKind::Remove(RemoveKind::Folder) if path == home => {
                DirectoryEvent::Over("it was removed".to_owned())
            }
            _ => continue,
        };
        complete &= tell.try_send(told).is_ok();
    }
    complete
}

/// What could ask for something: everything without a leading dot.
fn listing(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    paths.filter(|path| path.as_ref().map_or(true, |path| !is_hidden(path))).collect()
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The beginning of a regular file; none if it is anything else, or hidden. One with another name
/// elsewhere (a hard link) is not taken either: we may be allowed to read what its giver is not.
fn read(path: &Path) -> io::Result<Option<String>> {
    if is_hidden(path) || !fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    // It may be exchanged meanwhile: follow no link, and do not wait for a pipe's writer.
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let there = file.metadata()?;
    if !there.is_file() || there.nlink() > 1 {
        return Ok(None);
    }
    let mut content = Vec::new();
    file.take(READ).read_to_end(&mut content)?;
    Ok(Some(String::from_utf8_lossy(&content).into_owned()))
}

fn changed(there: &fs::Metadata) -> Wall {
    const SECOND: u64 = 1_000_000_000;
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    Wall(part(there.ctime()).saturating_mul(SECOND).saturating_add(part(there.ctime_nsec())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::observation::Observation;
    use crate::watch::{RunningWatcher, spawn};

    const BOUND: Duration = Duration::from_secs(20);

    fn watch(path: &Path) -> (RunningWatcher, Receiver<Observation>) {
        let (outbox, inbox) = bounded(64);
        let clock = Clock::system();
        let watcher = DirectoryWatcher::open(&Options { path: path.to_owned() }, &clock).unwrap();
        (spawn(watcher, clock, outbox).unwrap(), inbox)
    }

    fn asked(inbox: &Receiver<Observation>) -> (String, String) {
        match inbox.recv_timeout(BOUND).unwrap().fact {
            Fact::Asked(ask) => (ask.who, ask.reason),
            other => panic!("{other:?}"),
        }
    }

    fn is_empty(directory: &Path) -> bool {
        fs::read_dir(directory).unwrap().next().is_none()
    }

    #[test]
    fn files_that_appear_ask_and_are_gone() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("made");
        let (watch, inbox) = watch(&directory);
        fs::write(directory.join("disk"), "disk is full\n").unwrap();
        assert_eq!(asked(&inbox), ("file disk".into(), "disk is full".into()));
        let aside = place.path().join("aside");
        fs::write(&aside, b"caf\xe9").unwrap();
        fs::rename(&aside, directory.join("moved")).unwrap();
        assert_eq!(asked(&inbox), ("file moved".into(), "caf\u{fffd}".into()));
        let hidden = directory.join(".part");
        fs::write(&hidden, "whole").unwrap();
        fs::rename(&hidden, directory.join("whole")).unwrap();
        assert_eq!(asked(&inbox), ("file whole".into(), "whole".into()));
        fs::write(directory.join("long"), vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(asked(&inbox).1.chars().count(), REASON);
        fs::File::create(directory.join("empty")).unwrap();
        assert_eq!(asked(&inbox), ("file empty".into(), String::new()));
        assert_eq!(watch.join(), 0);
        assert!(is_empty(&directory));
        assert!(inbox.try_recv().is_err());
    }

    #[test]
    fn what_was_there_or_is_no_file_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let old = place.path().join("old");
        fs::write(&old, "yesterday").unwrap();
        let (watch, inbox) = watch(place.path());
        symlink("/etc/hostname", place.path().join("link")).unwrap();
        fs::create_dir(place.path().join("directory")).unwrap();
        let aside = tempfile::tempdir_in(place.path().parent().unwrap()).unwrap();
        symlink("/etc/hostname", aside.path().join("link")).unwrap();
        fs::rename(aside.path().join("link"), place.path().join("moved-link")).unwrap();
        let secret = aside.path().join("secret");
        fs::write(&secret, "hush").unwrap();
        fs::hard_link(&secret, aside.path().join("linked")).unwrap();
        fs::rename(aside.path().join("linked"), place.path().join("linked")).unwrap();
        fs::write(place.path().join("new"), "today").unwrap();
        assert_eq!(asked(&inbox), ("file new".into(), "today".into()));
        watch.join();
        assert!(old.exists() && inbox.try_recv().is_err());
    }

    #[test]
    fn more_than_finds_room_is_found_by_looking() {
        const FILES: usize = 3 * APPEARED;
        let place = tempfile::tempdir().unwrap();
        let (watch, inbox) = watch(place.path());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..FILES {
                    fs::write(place.path().join(n.to_string()), "x").unwrap();
                }
            });
            for _ in 0..FILES {
                asked(&inbox);
            }
        });
        assert_eq!(watch.join(), 0);
        assert!(inbox.try_recv().is_err() && is_empty(place.path()));
    }

    #[test]
    fn a_directory_that_is_removed_is_told() {
        let place = tempfile::tempdir().unwrap();
        let (watch, inbox) = watch(place.path());
        fs::remove_dir(place.path()).unwrap();
        let told = inbox.recv_timeout(BOUND).unwrap().fact.to_string();
        assert!(told.contains("it was removed"), "{told}");
        watch.join();
    }

    proptest! {
        #[test]
        fn any_content_gives_a_reason(content: Vec<u8>) {
            let file = tempfile::Builder::new().prefix("x").tempfile().unwrap();
            fs::write(&file, &content).unwrap();
            let text = read(file.path()).unwrap().unwrap();
            Ask::new(Door::File, "x", &text);
        }
    }
}
