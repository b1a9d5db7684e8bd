//! What the runner answers: into observations, and into the bundle it belongs to.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::ChildStdout;
use std::sync::Arc;
use std::time::Duration;

use super::message::{Answer, LONGEST_LINE, ProgramEnd};
use super::pending::{Ledger, OutputDestination, OutputFile, PendingRequest, ProgramNews};
use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::observation::program::{ProgramEvent, Role};
use crate::observation::request::one_line;
use crate::sys::poll;
use crate::watch::{Wake, Watcher, WatcherContext};

/// Read at once, in bytes: what a pipe holds (pipe(7)).
const CHUNK: usize = 65_536;
/// Longest last line of a program in an observation, in characters.
const LONGEST_LAST: usize = 200;
/// Once the watcher is to stop, the runner's last words are waited for so long; by then it has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The watcher of the operator's programs.
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
    fn hear(&mut self, context: &mut WatcherContext) -> Result<bool> {
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
            self.take(context, answer);
        }
        if self.rest.len() as u64 > LONGEST_LINE {
            return Err(failed("an answer without an end".to_owned()));
        }
        Ok(length > 0)
    }

    fn take(&self, context: &mut WatcherContext, answer: Answer) {
        match answer {
            Answer::Expect { id, names } => {
                let Some(entry) = self.ledger.expect(id, names) else { return };
                if let OutputDestination::Incident(items) = &entry.place {
                    let names = entry.names.iter().map(|name| OutputFile::name(entry.role, name));
                    let _ = items.try_send(ProgramNews::Expect(names.collect()));
                }
            }
            Answer::Began { id, name } => {
                let Some(entry) = self.ledger.asked_for(id, &name) else { return };
                if entry.role == Role::Hook {
                    tell(context, &entry, &name, ProgramEvent::Began);
                }
            }
            Answer::Ended { id, name, end } => {
                let Some(entry) = self.ledger.asked_for(id, &name) else { return };
                let event = event(&end);
                entry.keep(&name, content(end));
                tell(context, &entry, &name, event);
                self.ledger.answered(id, &name);
            }
            Answer::NotRun { id, name, why } => {
                let Some(entry) = self.ledger.asked_for(id, &name) else { return };
                entry.keep(&name, format!("[did not run: {why}]\n"));
                tell(context, &entry, &name, ProgramEvent::NotRun { why });
                self.ledger.answered(id, &name);
            }
        }
    }
}

impl Watcher for AnswerWatcher {
    const NAME: &'static str = "hook";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        let heard = loop {
            let wake = context.wait(&[self.answers.as_fd()], None)?;
            let last = wake == Wake::Stop;
            let silent =
                || !poll::readable(&[self.answers.as_fd()], Some(LAST_WORDS)).unwrap_or(false);
            if last && silent() {
                break Ok(());
            }
            match self.hear(context) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        for entry in self.ledger.close() {
            for name in &entry.names {
                let why = "the runner of hooks and collectors is gone".to_owned();
                entry.keep(name, format!("[its end is unknown: {why}]\n"));
                tell(context, &entry, name, ProgramEvent::NotRun { why });
            }
        }
        if !context.stopping() {
            context.report_missed(
                "the runner of hooks and collectors ended; they run again after a restart",
            );
        }
        heard
    }
}

fn tell(context: &mut WatcherContext, entry: &PendingRequest, name: &str, event: ProgramEvent) {
    context.send(Fact::Program(Box::new(entry.note(name, event))));
}

fn event(end: &ProgramEnd) -> ProgramEvent {
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
fn content(end: ProgramEnd) -> String {
    let ProgramEnd { ending, ran_ns, mut output, beyond, .. } = end;
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
        let end = |output: &str, beyond| ProgramEnd {
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
}
