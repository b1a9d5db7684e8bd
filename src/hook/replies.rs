//! What the runner answers: into observations, and into the bundle it belongs to.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;

use super::hooks::{Item, OutputFile};
use super::message::{Answer, End, LONGEST_LINE};
use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::observation::program::{ProgramEvent, ProgramNote, Role};
use crate::observation::request::one_line;
use crate::sys::poll;
use crate::watch::{Desk, Wake, Watcher};

/// Directory in a bundle for what hooks said when it was whole; the manifest does not list it.
const AFTER: &str = "after";
/// Modes of what is put there, as of the bundle itself.
const DIRECTORY_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;
/// Read at once, in bytes: what a pipe holds (pipe(7)).
const CHUNK: usize = 65_536;
/// Longest last line of a program in an observation, in characters.
const LONGEST_LAST: usize = 200;
/// Once the watcher is to stop, the runner's last words are waited for so long; by then it has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What was asked and is not answered, and what becomes of the answer.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: Mutex<Book>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Book {
    entries: BTreeMap<u64, Entry>,
    /// True once nobody answers any more.
    closed: bool,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) role: Role,
    pub(super) incident: String,
    /// Who is still to be heard of; of collectors, known once the runner told.
    pub(super) names: Vec<String>,
    pub(super) place: Place,
}

/// Where output goes.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Into the incident that is still collected.
    Incident(Sender<Item>),
    /// Beside the files of this bundle.
    Bundle(PathBuf),
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        // Entries are added and removed as a whole: a poisoned book is in order.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; false if nobody would answer it.
    pub(super) fn add(&self, id: u64, entry: Entry) -> bool {
        let mut book = self.book();
        if !book.closed {
            book.entries.insert(id, entry);
        }
        !book.closed
    }

    /// Forgets a request that was not made after all.
    pub(super) fn remove(&self, id: u64) -> Option<Entry> {
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
    fn close(&self) -> Vec<Entry> {
        let mut book = self.book();
        book.closed = true;
        let left = std::mem::take(&mut book.entries).into_values().collect();
        drop(book);
        self.changed.notify_all();
        left
    }

    /// Collectors that will be told of.
    fn expect(&self, id: u64, names: Vec<String>) -> Option<Entry> {
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
    fn asked_for(&self, id: u64, name: &str) -> Option<Entry> {
        let book = self.book();
        book.entries.get(&id).filter(|entry| entry.names.iter().any(|n| n == name)).cloned()
    }

    /// `name` was heard of for the last time.
    fn answered(&self, id: u64, name: &str) {
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

impl Entry {
    pub(super) fn note(&self, name: &str, event: ProgramEvent) -> ProgramNote {
        let incident = self.incident.clone();
        ProgramNote { role: self.role, name: name.to_owned(), incident, event }
    }

    /// Puts what `name` said where it belongs.
    pub(super) fn keep(&self, name: &str, content: String) {
        let file = OutputFile::of(self.role, name, content);
        match &self.place {
            // Full or gone: the incident was closed without it, and says so.
            Place::Incident(items) => drop(items.try_send(Item::File(file))),
            Place::Bundle(bundle) => match put(bundle, &file) {
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

/// The witness of the operator's programs.
#[derive(Debug)]
pub struct AnswerWatcher {
    answers: ChildStdout,
    ledger: Arc<Ledger>,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl AnswerWatcher {
    pub(super) fn new(answers: ChildStdout, ledger: Arc<Ledger>) -> Self {
        Self { answers, ledger, rest: Vec::new() }
    }

    /// Takes what the runner said; false if it will say no more.
    fn hear(&mut self, desk: &mut Desk) -> Result<bool> {
        let failed = |reason: String| Error::operation("hear", "the runner of hooks", reason);
        let mut chunk = vec![0; CHUNK];
        let length = self.answers.read(&mut chunk).map_err(|e| failed(e.to_string()))?;
        self.rest.extend_from_slice(&chunk[..length]);
        let heard = std::mem::take(&mut self.rest);
        let mut lines = heard.split(|byte| *byte == b'\n');
        // What follows the last line end is the beginning of another line.
        self.rest = lines.next_back().unwrap_or_default().to_vec();
        for line in lines {
            let answer = serde_json::from_slice(line).map_err(|e| failed(e.to_string()))?;
            self.take(desk, answer);
        }
        if self.rest.len() as u64 > LONGEST_LINE {
            return Err(failed("an answer without an end".to_owned()));
        }
        Ok(length > 0)
    }

    fn take(&self, desk: &mut Desk, answer: Answer) {
        match answer {
            Answer::Expect { id, names } => {
                let Some(entry) = self.ledger.expect(id, names) else { return };
                if let Place::Incident(items) = &entry.place {
                    let names = entry.names.iter().map(|name| OutputFile::name(entry.role, name));
                    let _ = items.try_send(Item::Expect(names.collect()));
                }
            }
            Answer::Began { id, name } => {
                let Some(entry) = self.ledger.asked_for(id, &name) else { return };
                if entry.role == Role::Hook {
                    tell(desk, &entry, &name, ProgramEvent::Began);
                }
            }
            Answer::Ended { id, name, end } => {
                let Some(entry) = self.ledger.asked_for(id, &name) else { return };
                let event = event(&end);
                entry.keep(&name, content(end));
                tell(desk, &entry, &name, event);
                self.ledger.answered(id, &name);
            }
            Answer::NotRun { id, name, why } => {
                let Some(entry) = self.ledger.asked_for(id, &name) else { return };
                entry.keep(&name, format!("[did not run: {why}]\n"));
                tell(desk, &entry, &name, ProgramEvent::NotRun { why });
                self.ledger.answered(id, &name);
            }
        }
    }
}

impl Watcher for AnswerWatcher {
    const NAME: &'static str = "hook";

    fn run(mut self, desk: &mut Desk) -> Result<()> {
        let heard = loop {
            let wake = desk.wait(&[self.answers.as_fd()], None)?;
            let last = wake == Wake::Stop;
            let silent =
                || !poll::readable(&[self.answers.as_fd()], Some(LAST_WORDS)).unwrap_or(false);
            if last && silent() {
                break Ok(());
            }
            match self.hear(desk) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        for entry in self.ledger.close() {
            for name in &entry.names {
                let why = "the runner of hooks and collectors is gone".to_owned();
                entry.keep(name, format!("[its end is unknown: {why}]\n"));
                tell(desk, &entry, name, ProgramEvent::NotRun { why });
            }
        }
        if !desk.stopping() {
            desk.confess(
                "the runner of hooks and collectors ended; they run again after a restart",
            );
        }
        heard
    }
}

fn tell(desk: &mut Desk, entry: &Entry, name: &str, event: ProgramEvent) {
    desk.send(Fact::Program(Box::new(entry.note(name, event))));
}

fn event(end: &End) -> ProgramEvent {
    let last = end.output.lines().rev().find(|line| !line.trim().is_empty());
    ProgramEvent::Ended {
        ending: end.ending.clone(),
        success: end.success,
        ran: Duration::from_nanos(end.ran_ns),
        kept: end.output.len() as u64,
        beyond: end.beyond,
        last: last.map(|line| one_line(line, LONGEST_LAST)),
    }
}

/// What is kept: its output, and how it ended.
fn content(end: End) -> String {
    let End { ending, ran_ns, mut output, beyond, .. } = end;
    if !output.is_empty() && !output.ends_with('\n') {
        output.push('\n');
    }
    if beyond > 0 {
        output.push_str(&format!("[cut, {beyond} bytes more]\n"));
    }
    let ran = Duration::from_nanos(ran_ns).as_secs_f64();
    output + &format!("[ended after {ran:.3} s: {ending}]\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_says_how_it_ended() {
        let end = |output: &str, beyond| End {
            ending: "exit status: 1".to_owned(),
            success: false,
            ran_ns: 1_500_000_000,
            output: output.to_owned(),
            beyond,
        };
        for (output, beyond, kept) in [
            ("", 0, "[ended after 1.500 s: exit status: 1]\n"),
            ("a\n", 0, "a\n[ended after 1.500 s: exit status: 1]\n"),
            ("a", 7, "a\n[cut, 7 bytes more]\n[ended after 1.500 s: exit status: 1]\n"),
        ] {
            assert_eq!(content(end(output, beyond)), kept);
        }
        let long = "ü".repeat(LONGEST_LAST);
        for (output, last) in
            [("", None), ("a\n\u{1b}[31mb\n\n", Some("[31mb")), (&long, Some(long.as_str()))]
        {
            let ProgramEvent::Ended { last: told, .. } = event(&end(output, 0)) else { panic!() };
            assert_eq!(told.as_deref(), last);
        }
    }

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
        let entry = Entry {
            role: Role::Collector,
            incident: "i".to_owned(),
            names: Vec::new(),
            place: Place::Bundle(PathBuf::new()),
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
