//! A network namespace with a veth pair of its own, and threads inside it.

use std::process::Command;
use std::time::Duration;

use pnet::datalink::{self, Channel, Config, DataLinkSender};

use crate::capture::{FrameSink, FrameSource, Interface, Ready};
use crate::frame::{Frame, FrameHeader};
use crate::lab::{BOUND, Namespace, until};
use crate::time::Clock;

/// The namespace, with a veth pair.
pub(super) struct Net(Namespace);

impl Net {
    /// `a` and `b` are the ends of a veth pair, up, with an MTU of 9000 and no traffic of their own;
    /// none, with the reason printed, where that is not allowed.
    pub(super) fn new() -> Option<Self> {
        let net = Self(Namespace::new()?);
        net.ip("link add name a address 02:00:00:00:00:0a type veth peer name b");
        for end in ["a", "b"] {
            net.ip(&format!("link set dev {end} addrgenmode none mtu 9000"));
            net.ip(&format!("link set dev {end} up"));
        }
        Some(net)
    }

    /// Runs `ip` with these words inside.
    pub(super) fn ip(&self, words: &str) {
        self.0.ip(words);
    }

    /// Waits until the kernel lets `name` send: a while after its other end came up, and what is sent
    /// before is dropped.
    pub(super) fn wait_until_sending(&self, name: &str) {
        until(&format!("{name} is up"), || {
            let mut show = Command::new("ip");
            show.args(["-n", self.0.name(), "link", "show", "dev", name]);
            let told = String::from_utf8(show.output().unwrap().stdout).unwrap();
            told.contains("state UP") && !told.contains("qdisc noop ")
        });
    }

    /// Runs `body` on a thread inside; tests in parallel do not see it.
    pub(super) fn inside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        self.0.inside(body)
    }
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

/// Reads until `done`, or fails after [`BOUND`].
pub(super) fn read_until<S: FrameSink>(
    source: &mut impl FrameSource,
    sink: &mut S,
    mut done: impl FnMut(&S, Ready) -> bool,
) {
    let clock = Clock::system();
    let deadline = clock.now().mono.plus(BOUND);
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
