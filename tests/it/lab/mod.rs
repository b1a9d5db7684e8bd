//! Where stories happen: two hosts, a cable between them, and dashcap on the near one.
//!
//! ```text
//!   namespace near                    namespace far
//!   dashcap ─ eth0 ◄── veth pair ──► far0 ─ talkers
//!             eth1 ◄──── cable ────► far1
//! ```
//!
//! Nothing outside is touched, and nothing is left: namespaces, processes and file systems are removed
//! when their owners are dropped, also when a story fails.

mod bundle;
mod disk;
mod process;
mod traffic;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use tempfile::TempDir;

pub(crate) use self::bundle::{Bundle, assert_contiguous};
pub(crate) use self::disk::SmallDisk;
pub(crate) use self::process::{BINARY, Dashcap};
pub(crate) use self::traffic::{Pace, Sender, Sent, frame, ipv4_udp};

/// Longer than anything here takes on a busy machine; what takes longer has failed.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);

/// Addresses for documentation (RFC 5737); they exist only inside.
pub(crate) const NEAR_ADDRESS: &str = "192.0.2.1";
pub(crate) const FAR_ADDRESS: &str = "192.0.2.2";

/// Two hosts and a directory for bundles.
pub(crate) struct Lab {
    pub(crate) near: Namespace,
    pub(crate) far: Namespace,
    output: TempDir,
}

impl Lab {
    /// Both hosts, joined by a cable from `eth0` to `far0`; none, with the reason printed, where this
    /// process may not make them.
    pub(crate) fn new() -> Option<Self> {
        if !is_root() {
            return skipped("network namespaces need root");
        }
        let lab = Self {
            near: Namespace::new()?,
            far: Namespace::new()?,
            output: TempDir::new().expect("a directory can be made"),
        };
        lab.cable("eth0", "far0");
        Some(lab)
    }

    /// A cable; its ends are up, may carry jumbo frames and say nothing of their own.
    pub(crate) fn cable(&self, near: &str, far: &str) {
        let other = self.far.name();
        self.near.ip(&format!("link add {near} type veth peer name {far} netns {other}"));
        for (host, end) in [(&self.near, near), (&self.far, far)] {
            host.ip(&format!("link set dev {end} addrgenmode none mtu 9000"));
            host.ip(&format!("link set dev {end} up"));
        }
    }

    /// Gives the ends of the first cable addresses, so that they can be pinged.
    pub(crate) fn address(&self) {
        self.near.ip(&format!("addr add {NEAR_ADDRESS}/24 dev eth0"));
        self.far.ip(&format!("addr add {FAR_ADDRESS}/24 dev far0"));
    }

    /// Where bundles appear.
    pub(crate) fn output(&self) -> &Path {
        self.output.path()
    }

    /// Every bundle, oldest first, each found in order; nothing half-built beside them.
    pub(crate) fn bundles(&self) -> Vec<Bundle> {
        let mut entries: Vec<_> = std::fs::read_dir(self.output())
            .expect("the directory is there")
            .map(|entry| entry.expect("it can be listed").path())
            .collect();
        entries.sort();
        entries.into_iter().map(Bundle::open).collect()
    }

    /// The only bundle.
    pub(crate) fn bundle(&self) -> Bundle {
        let mut bundles = self.bundles();
        assert_eq!(bundles.len(), 1, "bundles: {bundles:?}");
        bundles.remove(0)
    }
}

/// A network namespace of one story, removed when dropped.
pub(crate) struct Namespace(String);

impl Namespace {
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dashcap-it-{}-{count}", std::process::id());
        match Command::new("ip").args(["netns", "add", &name]).output() {
            Ok(made) if made.status.success() => Some(Self(name)),
            Ok(made) => skipped(&String::from_utf8_lossy(&made.stderr)),
            Err(error) => skipped(&format!("cannot run ip(8): {error}")),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Runs `ip` inside; its arguments are words separated by blanks.
    pub(crate) fn ip(&self, words: &str) {
        let arguments: Vec<&str> = ["-n", &self.0].into_iter().chain(words.split(' ')).collect();
        output("ip", &arguments);
    }

    /// Runs `story` on a thread inside; threads it makes are inside, too.
    pub(crate) fn inside<T: Send>(&self, story: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                story()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Brings the calling thread inside, for good.
    fn enter(&self) {
        let place = File::open(Path::new("/run/netns").join(&self.0)).expect("it is there");
        setns(place, CloneFlags::CLONE_NEWNET).expect("root may enter it");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Waits until `found` finds something, or fails with what was `wanted`.
pub(crate) fn until<T>(wanted: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + BOUND;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {wanted}");
        thread::sleep(LOOK);
    }
}

/// What a program prints; it must succeed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("TZ", "UTC")
        .output()
        .unwrap_or_else(|e| panic!("{program} is needed by this test: {e}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Says why a story is not told here, which is a failure where it must be told.
pub(crate) fn skipped<T>(why: &str) -> Option<T> {
    assert!(
        std::env::var_os("DASHCAP_TESTS_MUST_RUN").is_none(),
        "would be skipped, and DASHCAP_TESTS_MUST_RUN is set: {why}"
    );
    eprintln!("skipped: {why}");
    None
}
