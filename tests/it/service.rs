//! dashcap under a service manager, whose part this test plays: a socket that listens.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::lab::{BINARY, BOUND, Dashcap, Lab, until};

/// Listens to one dashcap.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    /// What was heard and not asked for yet.
    words: VecDeque<String>,
    directory: TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = TempDir::new().expect("a directory can be made");
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be made");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("it is no zero");
        Self { socket, path, words: VecDeque::new(), directory }
    }

    /// `dashcap run` with its watchdog, as the manager would start it.
    fn start(&self, lab: &Lab, watchdog: Duration, options: &[&str]) -> Dashcap {
        let output = lab.output().to_str().expect("text");
        let modest = ["--memory", "16MiB", "--control", "off", "--log", "off", "--output", output];
        let mut command =
            lab.on_near(&[&[BINARY, "run", "-i", "eth0"], &modest[..], options].concat());
        command.env("NOTIFY_SOCKET", &self.path);
        command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        Dashcap::start(command)
    }

    fn listen(&mut self) {
        let mut bytes = [0; 4_096];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            self.words.extend(text.lines().map(str::to_owned));
        }
    }

    /// Waits for a word that begins so, and gives it; what was said before it is forgotten.
    fn hears(&mut self, wanted: &str) -> String {
        until(wanted, || {
            self.listen();
            while let Some(word) = self.words.pop_front() {
                if word.starts_with(wanted) {
                    return Some(word);
                }
            }
            None
        })
    }
}

#[test]
fn it_says_ready_status_reloading_and_stopping() {
    let Some(lab) = Lab::new() else { return };
    let mut manager = Manager::new();
    let file = manager.directory.path().join("dashcap.toml");
    fs::write(&file, "post = \"1s\"\n").expect("it can be written");
    let config = file.to_str().expect("text");
    let dashcap = manager.start(&lab, Duration::from_secs(2), &["-c", config]);
    manager.hears("READY=1");
    assert!(dashcap.has_said("armed: "), "frames are recorded by then");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    assert!(manager.hears("STATUS=").contains("frames/s"));

    dashcap.signal(Signal::SIGHUP);
    manager.hears("RELOADING=1");
    let since = manager.hears("MONOTONIC_USEC=");
    assert!(since["MONOTONIC_USEC=".len()..].parse::<u64>().expect("a number") > 0);
    manager.hears("READY=1");
    dashcap.wait_for("read again, changed: nothing");

    fs::write(&file, "pots = \"1s\"\n").expect("it can be written");
    manager.hears("RELOADING=1");
    manager.hears("READY=1");
    dashcap.wait_for("read again and refused");

    dashcap.snapshot();
    manager.hears("STATUS=");
    dashcap.finish_well();
    manager.hears("STOPPING=1");
    manager.hears("EXTEND_TIMEOUT_USEC=30000000");
    lab.bundle();
}

#[test]
fn a_start_that_fails_tells_why() {
    let Some(lab) = Lab::new() else { return };
    let mut manager = Manager::new();
    let dashcap = manager.start(&lab, Duration::from_secs(2), &["-i", "eth7"]);
    assert_eq!(dashcap.end().code(), 2);
    assert!(manager.hears("STATUS=").contains("eth7"));
    assert!(manager.words.is_empty(), "and is never ready: {:?}", manager.words);
}

/// One thread stands still, as in a driver that does not return; all others go on.
struct Stuck(Pid);

impl Stuck {
    fn capture_of(dashcap: &Dashcap, interface: &str) -> Self {
        let tasks = fs::read_dir(format!("/proc/{}/task", dashcap.process())).expect("it runs");
        let is_it = |task: &PathBuf| {
            fs::read_to_string(task.join("comm"))
                .is_ok_and(|name| name.trim() == format!("cap/{interface}"))
        };
        let task = tasks.map(|task| task.expect("it can be listed").path()).find(is_it);
        let name = task.expect("a thread captures it");
        let id = name.file_name().and_then(|id| id.to_str()?.parse().ok());
        let thread = Pid::from_raw(id.expect("a number"));
        ptrace::seize(thread, ptrace::Options::empty()).expect("root may trace its children");
        ptrace::interrupt(thread).expect("it is traced");
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stops");
        Self(thread)
    }

    fn release(self) {
        ptrace::detach(self.0, None).expect("it is traced");
    }
}

#[test]
fn a_capture_that_stands_still_starves_the_watchdog() {
    const WATCHDOG: Duration = Duration::from_secs(2);
    let Some(lab) = Lab::new() else { return };
    let mut manager = Manager::new();
    let dashcap = manager.start(&lab, WATCHDOG, &[]);
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    // Tracing belongs to a thread: this one stops it and lets it go.
    let stuck = Stuck::capture_of(&dashcap, "eth0");
    dashcap.wait_for("the capture of eth0 has stood still for ");
    dashcap.wait_for("unless it moves, it is restarted within 2 s");
    manager.listen();
    manager.words.clear();
    assert!(manager.hears("STATUS=").contains("STANDS STILL: the capture of eth0"));
    // The recorder lives, and says so; the watchdog is not fed for longer than it would have waited.
    let silent_since = Instant::now();
    while silent_since.elapsed() < WATCHDOG * 2 {
        manager.listen();
        assert!(!manager.words.iter().any(|word| word == "WATCHDOG=1"), "{:?}", manager.words);
    }
    stuck.release();
    dashcap.wait_for("the capture of eth0 moves again");
    let moved = Instant::now();
    manager.hears("WATCHDOG=1");
    assert!(moved.elapsed() < BOUND);
    dashcap.finish_well();
}
