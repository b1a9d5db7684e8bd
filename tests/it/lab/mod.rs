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

#[path = "../../lab/mod.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) use self::bundle::{Bundle, assert_contiguous, epoch};
pub(crate) use self::disk::SmallDisk;
pub(crate) use self::process::{BINARY, Dashcap};
pub(crate) use self::shared::{BOUND, Namespace, is_root, needs, skip};
pub(crate) use self::traffic::{Pace, Sender, Sent, frame, ipv4_udp};

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
        if !is_root("a network namespace") {
            return None;
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
        bundles_in(self.output()).into_iter().map(Bundle::open).collect()
    }

    /// The only bundle.
    pub(crate) fn bundle(&self) -> Bundle {
        let mut bundles = self.bundles();
        assert_eq!(bundles.len(), 1, "bundles: {bundles:?}");
        bundles.remove(0)
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

/// What lies in an output directory, by name, beside the record of manifests.
pub(crate) fn bundles_in(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut paths: Vec<_> = paths.filter(|path| !path.ends_with("manifests.sha256")).collect();
    paths.sort();
    paths
}

/// The bundles in `place` that are whole: others are being built, or are copies of what memory holds.
pub(crate) fn whole_bundles_in(place: &Path) -> Vec<PathBuf> {
    let mut paths = bundles_in(place);
    paths.retain(|path| {
        !["partial", "spool"].iter().any(|it| path.extension() == Some(it.as_ref()))
    });
    paths
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
