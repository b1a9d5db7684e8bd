//! What tests of several modules need: namespaces and file systems of their own, patience, and honest skips.
//! Nothing outside them is touched.

use std::fs::File;
use std::path::Path;
use std::process::{Command, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use nix::sched::{CloneFlags, setns};

use crate::observation::Observation;

/// Longer than anything tested here takes on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// A network namespace of this test alone, removed when dropped.
pub(crate) struct Namespace(String);

impl Namespace {
    /// A fresh one; none, with the reason printed, where this process may not make one.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dashcap-test-{}-{count}", id());
        match Command::new("ip").args(["netns", "add", &name]).output() {
            Ok(done) if done.status.success() => return Some(Self(name)),
            Ok(done) => skip(&format!("no namespace: {}", String::from_utf8_lossy(&done.stderr))),
            Err(error) => skip(&format!("cannot run ip(8): {error}")),
        }
        None
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Runs `ip` inside; its arguments are words separated by blanks.
    pub(crate) fn ip(&self, arguments: &str) {
        let done = Command::new("ip")
            .args(["-n", &self.0])
            .args(arguments.split_whitespace())
            .output()
            .expect("ip(8) ran before");
        assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Runs `story` on a thread inside; threads it makes are inside too.
    pub(crate) fn inside<T: Send>(&self, story: impl FnOnce() -> T + Send) -> T {
        let place = File::open(Path::new("/run/netns").join(&self.0)).expect("namespace is there");
        thread::scope(|scope| {
            let told = scope.spawn(move || {
                setns(place, CloneFlags::CLONE_NEWNET).expect("may enter it");
                story()
            });
            told.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// Says why a test is skipped; where every test must run, that is a failure.
pub(crate) fn skip(why: &str) {
    let must_run = std::env::var_os("DASHCAP_TESTS_MUST_RUN").is_some();
    assert!(!must_run, "would be skipped, and DASHCAP_TESTS_MUST_RUN is set: {why}");
    eprintln!("skipped: {why}");
}

/// True if root; else says that `what` needs it, and so is skipped.
pub(crate) fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(&format!("{what} needs root"));
    }
    root
}

/// True if the program is here; else says that it is needed, and the test is skipped.
pub(crate) fn needs(program: &str) -> bool {
    let here = Command::new(program).arg("--version").output().is_ok();
    if !here {
        skip(&format!("{program} is not here"));
    }
    here
}

/// Waits until it `is` so, or fails.
pub(crate) fn until(wanted: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !is() {
        assert!(Instant::now() < deadline, "not in time: {wanted}");
        thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// Reads until an observation is what `wanted` says; returns it and all that came before it.
pub(crate) fn wait_for(
    inbox: &Receiver<Observation>,
    what: &str,
    wanted: impl Fn(&Observation) -> bool,
) -> (Observation, Vec<Observation>) {
    let deadline = Instant::now() + BOUND;
    let mut before = Vec::new();
    while let Ok(observation) = inbox.recv_deadline(deadline) {
        if wanted(&observation) {
            return (observation, before);
        }
        before.push(observation);
    }
    panic!("{what} was never seen, only {before:#?}");
}

/// A small file system of its own, unmounted when dropped.
pub(crate) struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    pub(crate) fn mount(bytes: u64) -> Self {
        let tmpfs = Self(tempfile::tempdir().unwrap());
        run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={bytes}"), "dashcap-test"],
            tmpfs.path(),
        );
        tmpfs
    }

    pub(crate) fn remount(&self, option: &str) {
        run("mount", &["-o", &format!("remount,{option}")], self.path());
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        run("umount", &["--lazy"], self.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) {
    let status = Command::new(program).args(arguments).arg(path).status().unwrap();
    assert!(status.success(), "{program} {arguments:?} {}", path.display());
}
