//! What the benchmarks of the whole program share: a network of its own, the program under test as a
//! process, its processor time, its log, and the lines that `scripts/bench.sh` makes a table of.
//!
//! The network namespace has no name and ends with the benchmark, whatever happens; the process under
//! test is ended when its handle is dropped.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Whatever a benchmark may run into.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Longer than anything waited for here takes on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

/// The cores: one sends, the others are left to the program under test.
pub(crate) struct Cores {
    /// The last one we may use.
    pub(crate) sending: usize,
}

/// Moves this process into a new network namespace and away from the sending core; threads and
/// processes made from now on follow. None, with the reason printed, where that cannot be.
pub(crate) fn enter() -> Outcome<Option<Cores>> {
    if let Err(refused) = unshare(CloneFlags::CLONE_NEWNET) {
        let must_run = std::env::var_os("DASHCAP_TESTS_MUST_RUN").is_some();
        assert!(!must_run, "may not make a network namespace: {refused}");
        println!("skipped: may not make a network namespace ({refused}); run as root");
        return Ok(None);
    }
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let usable: Vec<usize> =
        (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).collect();
    let (sending, others) = usable.split_last().ok_or("no processor")?;
    if others.is_empty() {
        println!("skipped: sender and receiver need a processor each, and there is one only");
        return Ok(None);
    }
    let mut cores = CpuSet::new();
    for core in others {
        cores.set(*core)?;
    }
    sched_setaffinity(Pid::from_raw(0), &cores)?;
    Ok(Some(Cores { sending: *sending }))
}

/// A veth pair `NAME0`, `NAME1`, both up and silent: without addresses the stack sends nothing.
pub(crate) fn veth(name: &str) -> Outcome<()> {
    ip(&format!("link add {name}0 type veth peer name {name}1"))?;
    for end in 0..2 {
        ip(&format!("link set {name}{end} addrgenmode none up"))?;
    }
    Ok(())
}

/// Runs ip(8); its arguments are words separated by blanks.
pub(crate) fn ip(arguments: &str) -> Outcome<()> {
    let done = Command::new("ip").args(arguments.split_whitespace()).output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&done.stderr).trim()).into())
}

/// The index of an interface of this namespace.
pub(crate) fn index(interface: &str) -> Outcome<u32> {
    let links = dashcap::watch::link::links()?;
    let link = links.iter().find(|link| link.name == interface);
    Ok(link.ok_or_else(|| format!("no interface {interface}"))?.index)
}

/// A process under test.
pub(crate) struct Process {
    child: Child,
    log: Receiver<String>,
    /// Lines nobody waited for yet.
    unclaimed: Vec<String>,
}

impl Process {
    /// Starts it; what it says on standard output and error is its log.
    pub(crate) fn start(mut command: Command) -> Outcome<Self> {
        let (said, out) = std::io::pipe()?;
        let child = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).spawn()?;
        let (line, log) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(said).lines().map_while(Result::ok);
            // Nobody listens any more when the benchmark is through with it.
            lines.take_while(|said| line.send(said.clone()).is_ok()).for_each(drop);
        });
        Ok(Self { child, log, unclaimed: Vec::new() })
    }

    /// `dashcap run` with these options, once it records.
    pub(crate) fn dashcap(options: &str, output: &Path) -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dashcap"));
        command.arg("run").args(options.split_whitespace()).arg("--output").arg(output);
        let mut process = Self::start(command)?;
        process.wait_for("armed: ")?;
        Ok(process)
    }

    /// What follows `words` in the first line of its log that has them and was not asked for yet.
    pub(crate) fn wait_for(&mut self, words: &str) -> Outcome<String> {
        let until = Instant::now() + BOUND;
        let known = self.unclaimed.iter().position(|line| line.contains(words));
        let line = match known {
            Some(at) => self.unclaimed.remove(at),
            None => loop {
                let left = until.saturating_duration_since(Instant::now());
                match self.log.recv_timeout(left) {
                    Ok(line) if line.contains(words) => break line,
                    Ok(line) => self.unclaimed.push(line),
                    Err(_) => {
                        let said = self.unclaimed.join("\n");
                        return Err(format!("it never said {words:?}, but:\n{said}").into());
                    }
                }
            },
        };
        Ok(line.split_once(words).map(|(_, rest)| rest.to_owned()).unwrap_or_default())
    }

    /// The next bundle it writes.
    pub(crate) fn bundle(&mut self) -> Outcome<PathBuf> {
        let line = self.wait_for(" bundle ")?;
        let (path, _) = line.split_once(" (").ok_or_else(|| format!("no bundle in {line}"))?;
        Ok(path.into())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Outcome<()> {
        Ok(kill(self.pid(), signal)?)
    }

    /// Asks it to finish with `signal`, and returns what else it said.
    pub(crate) fn finish(mut self, signal: Signal) -> Outcome<Vec<String>> {
        self.signal(signal)?;
        self.child.wait()?;
        let rest = self.log.iter().collect::<Vec<_>>();
        Ok([std::mem::take(&mut self.unclaimed), rest].concat())
    }

    /// Its number.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A bundle's manifest.
pub(crate) fn manifest(bundle: &Path) -> Outcome<serde_json::Value> {
    Ok(serde_json::from_slice(&std::fs::read(bundle.join("manifest.json"))?)?)
}

/// Prints one figure and what it should be at most, as a row for `scripts/bench.sh`.
pub(crate) fn figure(name: &str, value: f64, unit: &str, most: f64) {
    let verdict = if value <= most { "reached" } else { "MISSED" };
    println!("figure\t{name}\t{value:.1} {unit}\t<= {most} {unit}\t{verdict}");
}
