//! dashcap itself: started as an operator would, followed by what it logs, stopped by signals.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::{fmt, fs};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Lab, until};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_dashcap");

/// What stories run with unless they say otherwise: little memory each, since many run at once. The
/// kernel hands a block over every 10 ms, however few frames it has, so 64 blocks of 1 MiB are what
/// outlasts a machine too busy to run the capture thread for half a second. The control socket and
/// the logs of the machine are not theirs.
const MODEST: [(&str, &str); 4] =
    [("--memory", "16MiB"), ("--kernel-memory", "64MiB"), ("--control", "off"), ("--log", "off")];

/// A running dashcap; killed when dropped.
pub(crate) struct Dashcap {
    child: Child,
    log: Log,
    reader: Option<JoinHandle<()>>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

/// Lines logged so far.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Lab {
    /// `dashcap run` on the near host, recording by the time this returns.
    pub(crate) fn record(&self, options: &[&str]) -> Dashcap {
        let dashcap = self.dashcap("run", options);
        dashcap.wait_for("armed: ");
        dashcap
    }

    /// The same, with the logs that the options or their file say.
    pub(crate) fn record_with_logs(&self, options: &[&str]) -> Dashcap {
        let output = self.output().to_str().expect("text");
        let modest =
            MODEST.iter().filter(|(option, _)| *option != "--log" && !options.contains(option));
        let modest: Vec<&str> = modest.flat_map(|(option, value)| [*option, *value]).collect();
        let words = [&[BINARY, "run", "--output", output], &modest[..], options].concat();
        let dashcap = Dashcap::start(self.on_near(&words));
        dashcap.wait_for("armed: ");
        dashcap
    }

    /// `dashcap COMMAND OPTIONS` on the near host, with modest memory and bundles in the lab's
    /// directory where the options say nothing of it.
    pub(crate) fn dashcap(&self, command: &str, options: &[&str]) -> Dashcap {
        let output = self.output().to_str().expect("text");
        let mut all = vec![BINARY, command];
        for (option, value) in MODEST.into_iter().chain([("--output", output)]) {
            if !options.contains(&option) {
                all.extend([option, value]);
            }
        }
        all.extend(options);
        Dashcap::start(self.on_near(&all))
    }

    /// A command on the near host. `ip netns exec` becomes what it runs, so it has its process id.
    pub(crate) fn on_near(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.near.name()]).args(words);
        command
    }
}

impl Dashcap {
    /// Starts `command`, which becomes dashcap.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let lines = BufReader::new(child.stderr.take().expect("asked for"));
        let log = Log::default();
        let told = log.clone();
        let reader = thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                told.0.lock().expect("nobody panics with it").push(line);
            }
        });
        Self { child, log, reader: Some(reader) }
    }

    /// Waits until a line of the log contains `text`; returns the line.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_for_nth(1, text)
    }

    /// Waits until `nth` lines of the log contain `text`; returns that line.
    pub(crate) fn wait_for_nth(&self, nth: usize, text: &str) -> String {
        let ended = || self.reader.as_ref().is_none_or(JoinHandle::is_finished);
        let told = until(text, || {
            // Looked at first, so that the last lines are not overlooked.
            let ended = ended();
            let line = self.log.lines().into_iter().filter(|l| l.contains(text)).nth(nth - 1);
            line.map(Some).or_else(|| ended.then_some(None))
        });
        told.unwrap_or_else(|| panic!("it ended without saying {text:?}:\n{}", self.log))
    }

    /// True if a line of the log contains `text` by now.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.log.lines().iter().any(|line| line.contains(text))
    }

    /// Its process id.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// A line of its /proc/PID/status, in KiB (proc_pid_status(5)).
    pub(crate) fn kib(&self, line: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process())).unwrap();
        let found = text.lines().find_map(|l| l.strip_prefix(line)?.strip_suffix("kB"));
        found.and_then(|number| number.trim().parse().ok()).expect("the kernel tells it")
    }

    /// Names of its threads that capture.
    pub(crate) fn captures(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process())).expect("it runs");
        // A thread may have ended meanwhile.
        let name = |task: io::Result<fs::DirEntry>| {
            fs::read_to_string(task.ok()?.path().join("comm"))
                .ok()
                .map(|name| name.trim().to_owned())
        };
        tasks.filter_map(name).filter(|name| name.starts_with("cap/")).collect()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it is our child");
    }

    /// Asks for a snapshot, and waits until its window is frozen.
    pub(crate) fn snapshot(&self) {
        let frozen = "signal: snapshot asked for by SIGUSR1; window frozen";
        let before = self.log.lines().iter().filter(|line| line.contains(frozen)).count();
        self.signal(Signal::SIGUSR1);
        self.wait_for_nth(before + 1, frozen);
    }

    /// Waits until it has ended, however; its files are as it left them.
    pub(crate) fn wait_until_killed(&self) {
        until("its end", || self.reader.as_ref().is_none_or(JoinHandle::is_finished).then_some(()));
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn finish(self) -> End {
        self.signal(Signal::SIGTERM);
        self.end()
    }

    /// Asks it to stop and expects that all went well.
    pub(crate) fn finish_well(self) -> End {
        let end = self.finish();
        assert!(end.status.success(), "{end:?}");
        end
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(mut self) -> End {
        let log = self.log.clone();
        let status = until(&format!("the end of dashcap, whose log is\n{log}"), || {
            self.child.try_wait().expect("it is our child")
        });
        if let Some(reader) = self.reader.take() {
            // A command it left behind may hold standard error open; the log is complete anyway.
            until("the last line of the log", || reader.is_finished().then_some(()));
        }
        End { status, log: log.to_string() }
    }
}

impl End {
    /// The exit status as a shell shows it.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("killed: {self:?}"))
    }

    /// The final counts of `interface`: received, and what they must add up to. Exact, since the
    /// kernel was drained.
    pub(crate) fn received(&self, interface: &str) -> (u64, u64) {
        let start = format!("{interface}: ");
        let counts = |line: &str| -> Option<Vec<u64>> {
            let (_, told) = line.split_once(&start)?;
            let (received, parts) = told.split_once(" received = ")?;
            let parts = parts.split(" + ").map(|part| part.split(' ').next()?.parse().ok());
            std::iter::once(received.parse().ok()).chain(parts).collect()
        };
        let counts = self.log.lines().find_map(counts);
        let counts = counts.unwrap_or_else(|| panic!("{interface} has no counts: {self:?}"));
        assert_eq!(counts.last(), Some(&0), "waiting: {self:?}");
        (counts[0], counts[1..].iter().sum())
    }
}

impl Drop for Dashcap {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("dashcap's log:\n{}", self.log);
        }
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}
