//! A network namespace with a veth pair of its own, and threads inside it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use pnet::datalink::{self, Channel, Config, DataLinkSender};

use crate::capture::{FrameSink, FrameSource, Interface, Ready};
use crate::frame::{Frame, FrameHeader};
use crate::time::Clock;

/// How long anything may take before a test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The namespace; removed when dropped, with all that is in it.
pub(super) struct Net(String);

impl Net {
    /// `a` and `b` are the ends of a veth pair, up, with an MTU of 9000 and no traffic of their own;
    /// none, with the reason printed, where that is not allowed.
    pub(super) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
            assert!(
                std::env::var_os("DASHCAP_TESTS_MUST_RUN").is_none(),
                "must run, and needs root"
            );
            eprintln!("skipped: network namespaces need root");
            return None;
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let net = Self(format!("dashcap-capture-{}-{count}", std::process::id()));
        run("ip", &["netns", "add", &net.0]);
        net.ip("link add name a address 02:00:00:00:00:0a type veth peer name b");
        for end in ["a", "b"] {
            net.ip(&format!("link set dev {end} addrgenmode none mtu 9000"));
            net.ip(&format!("link set dev {end} up"));
        }
        Some(net)
    }

    /// Runs `ip` with these words inside.
    pub(super) fn ip(&self, words: &str) {
        let all: Vec<&str> = ["-n", &self.0].into_iter().chain(words.split(' ')).collect();
        run("ip", &all);
    }

    /// Waits until the kernel lets `name` send: a while after its other end came up, and what is sent
    /// before is dropped.
    pub(super) fn wait_until_sending(&self, name: &str) {
        let started = Instant::now();
        loop {
            let told =
                Command::new("ip").args(["-n", &self.0, "link", "show", "dev", name]).output();
            let told = String::from_utf8(told.unwrap().stdout).unwrap();
            if told.contains("state UP") && !told.contains("qdisc noop ") {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{name} does not come up: {told}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs `body` on a thread inside; tests in parallel do not see it.
    pub(super) fn inside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let namespace = File::open(format!("/run/netns/{}", self.0)).unwrap();
                setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
                body()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        run("ip", &["netns", "del", &self.0]);
    }
}

fn run(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status().unwrap();
    assert!(status.success() || std::thread::panicking(), "{program} {words:?}: {status}");
}

/// The interface of this name in the thread's namespace.
pub(super) fn interface(name: &str) -> Interface {
    let found = found(name);
    let hardware_type =
        if found.is_loopback() { libc::ARPHRD_LOOPBACK } else { libc::ARPHRD_ETHER };
    Interface { name: name.to_owned(), index: found.index, hardware_type }
}

fn found(name: &str) -> datalink::NetworkInterface {
    datalink::interfaces().into_iter().find(|found| found.name == name).unwrap()
}

/// Sends raw frames out of an interface.
pub(super) struct Sender(Box<dyn DataLinkSender>);

impl Sender {
    pub(super) fn on(name: &str) -> Self {
        match datalink::channel(&found(name), Config { promiscuous: false, ..Config::default() }) {
            Ok(Channel::Ethernet(sender, _)) => Self(sender),
            Ok(_) => panic!("no Ethernet channel"),
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) fn send(&mut self, frame: &[u8]) {
        self.0.send_to(frame, None).unwrap().unwrap();
    }
}

/// Keeps what it is given.
#[derive(Default)]
pub(super) struct Kept(pub(super) Vec<(FrameHeader, Vec<u8>)>);

impl FrameSink for Kept {
    fn batch(&mut self) {}

    fn frame(&mut self, frame: &Frame<'_>) {
        self.0.push((frame.header, frame.to_vec()));
    }
}

impl Kept {
    /// Only the bytes.
    pub(super) fn bytes(self) -> Vec<Vec<u8>> {
        self.0.into_iter().map(|(_, bytes)| bytes).collect()
    }
}

/// Reads until `done`, or fails after [`PATIENCE`].
pub(super) fn read_until<S: FrameSink>(
    source: &mut impl FrameSource,
    sink: &mut S,
    mut done: impl FnMut(&S, Ready) -> bool,
) {
    let clock = Clock::system();
    let deadline = clock.now().mono.plus(PATIENCE);
    loop {
        let ready = source.read(Duration::from_millis(20), sink).unwrap();
        if done(sink, ready) {
            return;
        }
        assert!(clock.now().mono < deadline, "not in time");
    }
}

/// Reads until `count` frames came, and then until the kernel has nothing left, so that frames too
/// many are seen too.
pub(super) fn collect(source: &mut impl FrameSource, count: usize) -> Kept {
    let mut kept = Kept::default();
    read_until(source, &mut kept, |kept, _| kept.0.len() >= count);
    drain(source, &mut kept);
    kept
}

/// Reads until everything that arrived before now was handed over.
pub(super) fn drain(source: &mut impl FrameSource, sink: &mut impl FrameSink) {
    let clock = Clock::system();
    let settled = clock.now().mono.plus(crate::capture::SETTLED);
    read_until(source, sink, |_, ready| ready != Ready::Frames && clock.now().mono > settled);
}
