//! What unit tests and stories share: network namespaces of their own, and honest skips.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

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

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// Says why a test is skipped; where every test must run, that is a failure.
pub(crate) fn skip(why: &str) {
    let must_run = std::env::var_os("DASHCAP_TESTS_MUST_RUN").is_some();
    assert!(!must_run, "would be skipped, and DASHCAP_TESTS_MUST_RUN is set: {why}");
    lacks(why);
}

/// Says why a test is skipped that not every machine can run, though all others must. `scripts/test.sh` lists
/// these lines at its end.
pub(crate) fn lacks(why: &str) {
    // Past the test harness, which shows what `eprintln!` says of failed tests only.
    let _ = writeln!(io::stderr(), "skipped: {}", why.trim());
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
