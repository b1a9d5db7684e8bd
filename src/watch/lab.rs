//! Network namespaces for tests: made, used and removed by the test that needs them. Nothing outside
//! them is touched.

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
pub(super) const BOUND: Duration = Duration::from_secs(20);

/// A network namespace of this test alone, removed when dropped.
pub(super) struct Namespace(String);

impl Namespace {
    /// A fresh one; none, with the reason printed, where this process may not make one.
    pub(super) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dashcap-watch-{}-{count}", id());
        match Command::new("ip").args(["netns", "add", &name]).output() {
            Ok(done) if done.status.success() => Some(Self(name)),
            Ok(done) => skip(&format!("no namespace: {}", String::from_utf8_lossy(&done.stderr))),
            Err(error) => skip(&format!("cannot run ip(8): {error}")),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// Runs `ip` inside; its arguments are words separated by blanks.
    pub(super) fn ip(&self, arguments: &str) {
        let done = Command::new("ip")
            .args(["-n", &self.0])
            .args(arguments.split_whitespace())
            .output()
            .expect("ip(8) ran before");
        assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Runs `story` on a thread inside; threads it makes are inside too.
    pub(super) fn inside<T: Send>(&self, story: impl FnOnce() -> T + Send) -> T {
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
fn skip(why: &str) -> Option<Namespace> {
    assert!(
        std::env::var_os("DASHCAP_TESTS_MUST_RUN").is_none(),
        "would be skipped, and DASHCAP_TESTS_MUST_RUN is set: {why}"
    );
    eprintln!("skipped: {why}");
    None
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// Reads until an observation is what `wanted` says; returns it and all that came before it.
pub(super) fn wait_for(
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
