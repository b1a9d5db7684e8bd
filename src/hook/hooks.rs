//! dashcap's side of the runner: asks, waits for nothing, and knows what is still to come.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::collectors;
use super::context::HookContext;
use super::message::{Request, line};
use super::options::{Hook, Options, When};
use super::pending::{Ledger, OutputDestination, OutputFile, Pending, PendingRequest};
use super::replies::AnswerWatcher;
use crate::error::{Error, Result};
use crate::observation::program::{ProgramEvent, ProgramNote, Role};
use crate::trigger::Trigger;

/// Requests on their way to the runner. It reads them at once; beyond this it is stuck, and what is
/// asked does not run, which is told.
const REQUESTS: usize = 64;
/// Incidents whose triggers are remembered until their bundle is whole: more than wait for the disk.
const STORIES: usize = 64;
/// When dashcap ends, hooks that are still running have so long, or what is left of their own time.
const FAREWELL: Duration = Duration::from_secs(30);
/// The runner ends its programs and itself within their grace of 3 s.
const RUNNER_ENDS: Duration = Duration::from_secs(5);
/// Between two looks whether the runner has ended.
const LOOK: Duration = Duration::from_millis(10);
/// The hidden command that becomes the runner.
const COMMAND: &str = "hook-runner";

/// The process that runs hooks and collectors; it was told what there is to run, and nothing more yet.
#[derive(Debug)]
pub struct Runner {
    options: Options,
    process: Child,
    requests: ChildStdin,
    answers: ChildStdout,
}

/// The runner, and what it may be asked.
#[derive(Debug)]
pub struct Hooks {
    options: Options,
    requests: Option<Sender<Request>>,
    asker: JoinHandle<()>,
    ledger: Arc<Ledger>,
    runner: Child,
    asked: u64,
    /// Triggers of incidents whose bundles are not whole yet.
    closed: Vec<(String, Vec<Trigger>)>,
}

impl Runner {
    /// Starts it, with the privileges of this process, tells it what there is to run, and makes no thread; none
    /// if there is nothing to run. What it was told holds: nothing that is read later can change it.
    ///
    /// # Errors
    /// When the options have no meaning, or no process can be made.
    pub fn start(options: &Options) -> Result<Option<Self>> {
        options.check()?;
        if options.is_idle() {
            return Ok(None);
        }
        if let Some(directory) = &options.collect {
            let found = collectors::list(directory);
            let object = || directory.display().to_string();
            found.map_err(|e| Error::operation("use collectors in", object(), e))?;
        }
        let mut process = Command::new(&options.program)
            .arg0("dashcap")
            .arg(COMMAND)
            .env_clear()
            // Signals of the terminal are dashcap's; the runner ends with it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(mut requests), Some(answers)) = (process.stdin.take(), process.stdout.take())
        else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        let Options { hooks, collect, output, .. } = options.clone();
        let output = std::path::absolute(&output).unwrap_or(output);
        let roster = line(&Request::Roster { hooks, collect, output });
        requests.write_all(roster.as_bytes()).map_err(failed)?;
        Ok(Some(Self { options: options.clone(), process, requests, answers }))
    }
}

fn failed(error: io::Error) -> Error {
    Error::operation("start", "the runner of hooks", error)
}

impl Hooks {
    /// Asks the runner from now on; the watcher hears what becomes of it.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn over(runner: Runner) -> Result<(Self, AnswerWatcher)> {
        let Runner { options, process, requests: stdin, answers } = runner;
        let (requests, told) = bounded(REQUESTS);
        let asker = thread::Builder::new()
            .name("hook/ask".to_owned())
            .spawn(move || pass_on(&told, stdin))
            .map_err(failed)?;
        let ledger = Arc::new(Ledger::default());
        let watcher = AnswerWatcher::new(answers, Arc::clone(&ledger));
        let hooks = Self {
            options,
            requests: Some(requests),
            asker,
            ledger,
            runner: process,
            asked: 0,
            closed: Vec::new(),
        };
        Ok((hooks, watcher))
    }

    /// An incident was opened by `trigger`, and its frames are safe: collectors begin.
    pub fn opened(&mut self, incident: &str, trigger: &Trigger) -> (Pending, Vec<ProgramNote>) {
        let mut pending = Pending::new(incident.to_owned());
        let mut refused = Vec::new();
        if self.options.collect.is_some() {
            let story = HookContext::of(trigger, incident);
            let entry = self.entry(Role::Collector, &pending, Vec::new());
            let refusal = self.ask("collectors", &entry, |id| Request::Collect { id, story });
            pending.unknown = refusal.is_none();
            refused.extend(refusal);
        }
        (pending, refused)
    }

    /// Something triggered in the open incident: its hooks begin, each once.
    pub fn frozen(&mut self, pending: &mut Pending, trigger: &Trigger) -> Vec<ProgramNote> {
        let due = |hook: &&Hook| {
            hook.when == When::Frozen && hook.is_for(trigger) && !pending.asked.contains(&hook.name)
        };
        let due: Vec<String> =
            self.options.hooks.iter().filter(due).map(|hook| hook.name.clone()).collect();
        let mut refused = Vec::new();
        for name in due {
            let story = HookContext::of(trigger, &pending.incident);
            let entry = self.entry(Role::Hook, pending, vec![name.clone()]);
            pending.asked.push(name.clone());
            pending.expected.push(OutputFile::name(Role::Hook, &name));
            let asked =
                self.ask(&name, &entry, |id| Request::Hook { id, name: name.clone(), story });
            refused.extend(asked);
        }
        refused
    }

    /// An incident was closed; these triggers are its own.
    pub fn closed<'a>(&mut self, incident: &str, triggers: impl Iterator<Item = &'a Trigger>) {
        if self.closed.len() >= STORIES {
            let (forgotten, _) = self.closed.remove(0);
            tracing::warn!("hooks will not run for {forgotten}: too many incidents wait");
        }
        self.closed.push((incident.to_owned(), triggers.cloned().collect()));
    }

    /// The bundle is whole: its hooks begin.
    pub fn written(&mut self, bundle: &Path) -> Vec<ProgramNote> {
        let file = bundle.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A name that was taken has a number behind it.
        let of = |(at, (name, _)): (usize, &(String, _))| {
            file.strip_prefix(name.as_str()).map(|rest| (rest.len(), at))
        };
        let Some((_, at)) = self.closed.iter().enumerate().filter_map(of).min() else {
            return Vec::new();
        };
        let (incident, triggers) = self.closed.remove(at);
        let whole = std::path::absolute(bundle).unwrap_or_else(|_| bundle.to_owned());
        let mut due = Vec::new();
        for hook in self.options.hooks.iter().filter(|hook| hook.when == When::Written) {
            if let Some(trigger) = triggers.iter().find(|trigger| hook.is_for(trigger)) {
                let story = HookContext {
                    bundle: Some(file.clone()),
                    ..HookContext::of(trigger, &incident)
                };
                due.push((hook.name.clone(), story));
            }
        }
        let mut refused = Vec::new();
        for (name, story) in due {
            let entry = PendingRequest {
                role: Role::Hook,
                incident: incident.clone(),
                names: vec![name.clone()],
                place: OutputDestination::Bundle(whole.clone()),
            };
            let asked =
                self.ask(&name, &entry, |id| Request::Hook { id, name: name.clone(), story });
            refused.extend(asked);
        }
        refused
    }

    /// The incident called `name` will have no bundle.
    pub fn lost(&mut self, name: &str) {
        self.closed.retain(|(incident, _)| incident != name);
    }

    /// Lets what runs have its time, then ends it, and the runner. Everything is told by the watcher
    /// when this returns; nothing more is asked.
    pub fn finish(mut self) {
        if !self.ledger.wait(FAREWELL) {
            tracing::warn!("hooks are still running after {FAREWELL:?} and are ended");
        }
        // The end of the runner's input is its end.
        drop(self.requests.take());
        let ended = wait_for(&mut self.runner, RUNNER_ENDS);
        if !ended {
            tracing::error!("the runner of hooks does not end and is killed");
            // Refused to a dashcap that gave up its privileges: then it is left to the service manager,
            // and neither it nor whoever asks it is waited for.
            if self.runner.kill().is_err() {
                return;
            }
            let _ = self.runner.wait();
        }
        if self.asker.join().is_err() {
            tracing::error!("the thread hook/ask ended in a panic, which is a bug");
        }
    }

    fn entry(&self, role: Role, pending: &Pending, names: Vec<String>) -> PendingRequest {
        let place = OutputDestination::Incident(pending.sender.clone());
        PendingRequest { role, incident: pending.incident.clone(), names, place }
    }

    /// Asks; if nobody can be asked, what is told of that.
    fn ask(
        &mut self,
        name: &str,
        entry: &PendingRequest,
        request: impl FnOnce(u64) -> Request,
    ) -> Option<ProgramNote> {
        self.asked += 1;
        let id = self.asked;
        let why = if !self.ledger.add(id, entry.clone()) {
            "the runner of hooks and collectors is gone"
        } else if self.send(request(id)) {
            return None;
        } else {
            self.ledger.remove(id);
            "the runner of hooks and collectors is stuck or gone"
        };
        entry.keep(name, format!("[did not run: {why}]\n"));
        Some(entry.note(name, ProgramEvent::NotRun { why: why.to_owned() }))
    }

    /// False if the runner does not take it at once.
    fn send(&self, request: Request) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.try_send(request).is_ok())
    }
}

/// Writes requests as they come, on a thread that may wait for the runner.
fn pass_on(requests: &Receiver<Request>, mut runner: ChildStdin) {
    for request in requests {
        if let Err(error) = runner.write_all(line(&request).as_bytes()) {
            tracing::error!("cannot ask the runner of hooks: {error}");
            return;
        }
    }
}

/// True if `child` ended within `patience`.
fn wait_for(child: &mut Child, patience: Duration) -> bool {
    let looks = patience.as_millis() / LOOK.as_millis();
    (0..looks).any(|_| {
        let ended = matches!(child.try_wait(), Ok(Some(_)));
        if !ended {
            thread::sleep(LOOK);
        }
        ended
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::hook::pending::ProgramNews;

    fn file(name: &str) -> OutputFile {
        OutputFile { name: name.to_owned(), content: "x".to_owned() }
    }

    #[test]
    fn an_incident_knows_what_is_still_to_come() {
        let mut pending = Pending::new("i".to_owned());
        assert!(pending.is_complete(), "nothing was asked");
        pending.unknown = true;
        assert!(!pending.is_complete());
        let names = ["a.txt", "b.txt"].map(str::to_owned).to_vec();
        pending.sender.send(ProgramNews::Expect(names)).unwrap();
        pending.sender.send(ProgramNews::File(file("b.txt"))).unwrap();
        assert!(!pending.is_complete());
        let files = pending.take();
        assert_eq!(files[0], file("b.txt"));
        assert!(files[1].name == "a.txt" && files[1].content.contains("still running"));
    }

    /// Security review M2: whoever subverted the process later would have named root's programs.
    #[test]
    fn m2_the_runner_knows_what_there_is_to_run_when_start_returns() {
        let place = tempfile::tempdir().unwrap();
        // It tells what it was told before anybody says anything else.
        let program = place.path().join("runner");
        std::fs::write(&program, "#!/bin/sh\nread -r roster\necho \"$roster\"\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let collect = Some(place.path().join("collect"));
        std::fs::create_dir(place.path().join("collect")).unwrap();
        let options = Options { collect: collect.clone(), program, ..Options::default() };
        let Runner { mut process, answers, .. } = Runner::start(&options).unwrap().unwrap();
        let told = io::read_to_string(answers).unwrap();
        let Ok(Request::Roster { collect: known, .. }) = serde_json::from_str(&told) else {
            panic!("{told}");
        };
        assert_eq!(known, collect);
        process.wait().unwrap();
    }

    #[test]
    fn nothing_to_run_needs_no_runner() {
        assert!(Runner::start(&Options::default()).unwrap().is_none());
    }
}
