//! What tests of several modules need: patience, observations, file systems of their own; and what they share
//! with the stories. Nothing outside them is touched.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::observation::Observation;

#[path = "../tests/lab/mod.rs"]
mod shared;
pub(crate) use self::shared::{BOUND, Namespace, is_root, lacks, needs, skip};

/// Waits until it `is` so, or fails.
pub(crate) fn until(wanted: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !is() {
        assert!(Instant::now() < deadline, "not in time: {wanted}");
        thread::sleep(Duration::from_millis(5));
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
