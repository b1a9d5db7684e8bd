//! What was asked of the operator's programs and is still to come, and where their output goes.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::incident::layout::{AFTER, DIRECTORY_MODE, FILE_MODE};
use crate::observation::program::{ProgramEvent, ProgramNote, Role};

/// Outputs of one incident on their way: every hook and every collector, twice over.
const ITEMS: usize = 256;

/// What one program said, as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// Its name, without directory.
    pub name: String,
    /// Its content.
    pub content: String,
}

impl OutputFile {
    pub(super) fn of(role: Role, name: &str, content: String) -> Self {
        Self { name: Self::name(role, name), content }
    }

    pub(super) fn name(role: Role, name: &str) -> String {
        match role {
            Role::Hook => format!("hook-{name}.txt"),
            Role::Collector => format!("{name}.txt"),
        }
    }
}

/// What an incident hears of its programs.
#[derive(Debug)]
pub(super) enum ProgramNews {
    /// These files will come.
    Expect(Vec<String>),
    /// One came.
    File(OutputFile),
}

/// Outputs that an open incident waits for.
#[derive(Debug)]
pub struct Pending {
    pub(super) incident: String,
    pub(super) sender: Sender<ProgramNews>,
    items: Receiver<ProgramNews>,
    /// True until the runner told which collectors there are.
    pub(super) unknown: bool,
    pub(super) expected: Vec<String>,
    pub(super) came: Vec<OutputFile>,
    /// Hooks that were asked for: each runs once for an incident.
    pub(super) asked: Vec<String>,
}

impl Pending {
    pub(super) fn new(incident: String) -> Self {
        let (sender, items) = bounded(ITEMS);
        let (expected, came, asked) = (Vec::new(), Vec::new(), Vec::new());
        Self { incident, sender, items, unknown: false, expected, came, asked }
    }

    fn hear(&mut self) {
        for item in self.items.try_iter() {
            match item {
                ProgramNews::Expect(names) => {
                    self.unknown = false;
                    self.expected.extend(names);
                }
                ProgramNews::File(file) => self.came.push(file),
            }
        }
    }

    /// True once everything is there that was asked for.
    pub fn is_complete(&mut self) -> bool {
        self.hear();
        !self.unknown && self.came.len() >= self.expected.len()
    }

    /// The files; each that did not come says so.
    pub fn take(mut self) -> Vec<OutputFile> {
        self.hear();
        let came = |name: &String| self.came.iter().any(|file| file.name == *name);
        let missing = self.expected.iter().filter(|name| !came(name)).map(|name| OutputFile {
            name: name.clone(),
            content: "[it was still running when the incident was closed; the log has its end]\n"
                .to_owned(),
        });
        let missing: Vec<_> = missing.collect();
        self.came.extend(missing);
        self.came
    }
}

/// What was asked and is not answered, and what becomes of the answer.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: Mutex<Book>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Book {
    entries: BTreeMap<u64, PendingRequest>,
    /// True once nobody answers any more.
    closed: bool,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct PendingRequest {
    pub(super) role: Role,
    pub(super) incident: String,
    /// Who is still to be heard of; of collectors, known once the runner told.
    pub(super) names: Vec<String>,
    pub(super) place: OutputDestination,
}

/// Where output goes.
#[derive(Debug, Clone)]
pub(super) enum OutputDestination {
    /// Into the incident that is still collected.
    Incident(Sender<ProgramNews>),
    /// Beside the files of this bundle.
    Bundle(PathBuf),
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        // Entries are added and removed as a whole: a poisoned book is in order.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; false if nobody would answer it.
    pub(super) fn add(&self, id: u64, entry: PendingRequest) -> bool {
        let mut book = self.book();
        if !book.closed {
            book.entries.insert(id, entry);
        }
        !book.closed
    }

    /// Forgets a request that was not made after all.
    pub(super) fn remove(&self, id: u64) -> Option<PendingRequest> {
        let removed = self.book().entries.remove(&id);
        self.changed.notify_all();
        removed
    }

    /// Waits until everything is answered, at most for `patience`; false if something is not.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let unanswered = |book: &mut Book| !book.entries.is_empty();
        let waited = self.changed.wait_timeout_while(self.book(), patience, unanswered);
        let (book, _) = waited.unwrap_or_else(PoisonError::into_inner);
        book.entries.is_empty()
    }

    /// Nobody answers any more; what was unanswered.
    pub(super) fn close(&self) -> Vec<PendingRequest> {
        let mut book = self.book();
        book.closed = true;
        let left = std::mem::take(&mut book.entries).into_values().collect();
        drop(book);
        self.changed.notify_all();
        left
    }

    /// Collectors that will be told of.
    pub(super) fn expect(&self, id: u64, names: Vec<String>) -> Option<PendingRequest> {
        let mut book = self.book();
        let entry = book.entries.get_mut(&id)?;
        entry.names = names;
        let entry = entry.clone();
        drop(book);
        if entry.names.is_empty() {
            self.remove(id);
        }
        Some(entry)
    }

    /// Whose program `name` is.
    pub(super) fn asked_for(&self, id: u64, name: &str) -> Option<PendingRequest> {
        let book = self.book();
        book.entries.get(&id).filter(|entry| entry.names.iter().any(|n| n == name)).cloned()
    }

    /// `name` was heard of for the last time.
    pub(super) fn answered(&self, id: u64, name: &str) {
        let mut book = self.book();
        let Some(entry) = book.entries.get_mut(&id) else { return };
        entry.names.retain(|other| other != name);
        let done = entry.names.is_empty();
        drop(book);
        if done {
            self.remove(id);
        }
    }
}

impl PendingRequest {
    pub(super) fn note(&self, name: &str, event: ProgramEvent) -> ProgramNote {
        let incident = self.incident.clone();
        ProgramNote { role: self.role, name: name.to_owned(), incident, event }
    }

    /// Puts what `name` said where it belongs.
    pub(super) fn keep(&self, name: &str, content: String) {
        let file = OutputFile::of(self.role, name, content);
        match &self.place {
            // Full or gone: the incident was closed without it, and says so.
            OutputDestination::Incident(items) => drop(items.try_send(ProgramNews::File(file))),
            OutputDestination::Bundle(bundle) => match put(bundle, &file) {
                // A hook may take the bundle elsewhere.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!("cannot keep {} in {}: {error}", file.name, bundle.display());
                }
                Ok(()) => {}
            },
        }
    }
}

fn put(bundle: &Path, file: &OutputFile) -> io::Result<()> {
    let directory = bundle.join(AFTER);
    match DirBuilder::new().mode(DIRECTORY_MODE).create(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE);
    options.open(directory.join(&file.name))?.write_all(file.content.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hook_says_of_a_bundle_lies_beside_its_files() {
        let bundle = tempfile::tempdir().unwrap();
        for content in ["one", "two"] {
            let file = OutputFile::of(Role::Hook, "copy", content.to_owned());
            put(bundle.path(), &file).unwrap();
        }
        let kept = std::fs::read_to_string(bundle.path().join("after/hook-copy.txt")).unwrap();
        assert_eq!(kept, "two");
        let gone = bundle.path().join("gone");
        let refused = put(&gone, &OutputFile::of(Role::Hook, "copy", String::new())).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_ledger_is_settled_name_by_name() {
        let ledger = Ledger::default();
        let entry = PendingRequest {
            role: Role::Collector,
            incident: "i".to_owned(),
            names: Vec::new(),
            place: OutputDestination::Bundle(PathBuf::new()),
        };
        assert!(ledger.add(1, entry.clone()));
        assert!(ledger.asked_for(1, "a").is_none(), "not told of yet");
        ledger.expect(1, vec!["a".to_owned(), "b".to_owned()]).unwrap();
        ledger.answered(1, "a");
        assert!(ledger.asked_for(1, "a").is_none(), "told of twice");
        assert!(!ledger.wait(Duration::ZERO));
        ledger.answered(1, "b");
        assert!(ledger.wait(Duration::ZERO));
        assert!(ledger.add(2, entry.clone()));
        assert_eq!(ledger.close().len(), 1);
        assert!(!ledger.add(3, entry), "nobody answers any more");
    }
}
