//! Frames that can be told apart: each carries its number, and its sender remembers when it went.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dashcap::time::{Clock, Mono};
use pnet::datalink::{self, Channel, Config, DataLinkSender};

use super::{Namespace, until};

/// EtherType for experiments (IEEE 802, Local Experimental Ethertype 1): nobody answers it.
const EXPERIMENTAL: u16 = 0x88b5;
/// Locally administered addresses; the destination is nobody's, so nobody answers.
const HARDWARE: [u8; 12] = [2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 0xbb];

/// A frame of `len` bytes that carries `number`, behind VLAN tags (TPID, TCI).
pub(crate) fn frame(number: u64, tags: &[(u16, u16)], len: usize) -> Vec<u8> {
    let mut bytes = tagged(tags, EXPERIMENTAL);
    bytes.extend(number.to_be_bytes());
    bytes.resize(len.max(bytes.len()), 0);
    bytes
}

/// A UDP datagram over IPv4 to `port`, behind VLAN tags. The checksums are left out, which UDP allows
/// and no filter looks at.
pub(crate) fn ipv4_udp(port: u16, tags: &[(u16, u16)]) -> Vec<u8> {
    let mut bytes = tagged(tags, 0x0800);
    bytes.extend([0x45, 0, 0, 36, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 192, 0, 2, 8]);
    bytes.extend([0xc0, 0]);
    bytes.extend(port.to_be_bytes());
    bytes.extend([0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.resize(60, 0);
    bytes
}

fn tagged(tags: &[(u16, u16)], ether_type: u16) -> Vec<u8> {
    let mut bytes = HARDWARE.to_vec();
    for (tpid, tci) in tags {
        bytes.extend(tpid.to_be_bytes());
        bytes.extend(tci.to_be_bytes());
    }
    bytes.extend(ether_type.to_be_bytes());
    bytes
}

/// Sends raw frames out of an interface of the thread's namespace.
pub(crate) struct Sender(Box<dyn DataLinkSender>);

impl Sender {
    pub(crate) fn on(interface: &str) -> Self {
        let found = datalink::interfaces().into_iter().find(|found| found.name == interface);
        let found = found.unwrap_or_else(|| panic!("there is no {interface}"));
        match datalink::channel(&found, Config { promiscuous: false, ..Config::default() }) {
            Ok(Channel::Ethernet(sender, _)) => Self(sender),
            Ok(_) => panic!("{interface}: no Ethernet"),
            Err(error) => panic!("{interface}: {error}"),
        }
    }

    /// True if the kernel took it.
    fn offer(&mut self, frame: &[u8]) -> bool {
        self.0.send_to(frame, None).is_some_and(|sent| sent.is_ok())
    }

    pub(crate) fn send(&mut self, frame: &[u8]) {
        assert!(self.offer(frame), "not sent");
    }
}

/// How fast a talker talks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Frames sent one right after the other.
    pub(crate) burst: u64,
    /// Pause after them.
    pub(crate) pause: Duration,
    /// Length of each frame in bytes.
    pub(crate) len: usize,
    /// The first number.
    pub(crate) from: u64,
}

impl Pace {
    /// A frame every 5 ms, from number 0.
    pub(crate) const GENTLE: Self =
        Self { burst: 1, pause: Duration::from_millis(5), len: 64, from: 0 };
}

/// One frame that the kernel took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    /// Not sent before.
    pub(crate) before: Mono,
    /// Sent by then.
    pub(crate) after: Mono,
}

/// Sends numbered frames until stopped. A frame that the kernel refuses is offered again, so no number
/// is left out; stops when dropped.
pub(crate) struct Talker {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<Vec<Sent>>>,
}

impl Namespace {
    /// Starts a talker on an interface in here.
    pub(crate) fn talk(&self, interface: &str, pace: Pace) -> Talker {
        let mut sender = self.inside(|| Sender::on(interface));
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            let clock = Clock::system();
            let mut log = Vec::new();
            let mut bytes = frame(0, &[], pace.len);
            let place = HARDWARE.len() + 2;
            while !told.load(Ordering::Relaxed) {
                for _ in 0..pace.burst {
                    let number = pace.from + log.len() as u64;
                    bytes[place..place + 8].copy_from_slice(&number.to_be_bytes());
                    let before = clock.now().mono;
                    if sender.offer(&bytes) {
                        log.push(Sent { number, before, after: clock.now().mono });
                        count.store(log.len() as u64, Ordering::Release);
                    }
                }
                thread::sleep(pace.pause);
            }
            log
        });
        Talker { stop, sent, thread: Some(thread) }
    }
}

/// Sends a few frames over and over, as fast as it can, until stopped; stops when dropped.
pub(crate) struct Repeater {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<Vec<u64>>>,
}

impl Namespace {
    /// Starts to send the frames `of`, the one that `which` says for each number from 0 on.
    pub(crate) fn repeat(
        &self,
        interface: &str,
        of: Vec<Vec<u8>>,
        which: impl Fn(u64) -> usize + Send + 'static,
    ) -> Repeater {
        let mut sender = self.inside(|| Sender::on(interface));
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            let (mut counts, mut number) = (vec![0; of.len()], 0);
            while !told.load(Ordering::Relaxed) {
                let which = which(number);
                // What the kernel refuses is offered again.
                if sender.offer(&of[which]) {
                    counts[which] += 1;
                    number += 1;
                    count.store(number, Ordering::Release);
                }
            }
            counts
        });
        Repeater { stop, sent, thread: Some(thread) }
    }
}

impl Repeater {
    /// Waits until so many more frames were sent.
    pub(crate) fn wait_for_more(&self, count: u64) {
        let enough = self.sent.load(Ordering::Acquire) + count;
        until("copies were sent", || (self.sent.load(Ordering::Acquire) >= enough).then_some(()));
    }

    /// Stops; how often each was sent.
    pub(crate) fn stop(mut self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("stopped once");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Repeater {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Talker {
    /// Waits until so many frames were sent in all.
    pub(crate) fn wait_for(&self, count: u64) {
        until("frames were sent", || (self.count() >= count).then_some(()));
    }

    /// Waits until so many more frames were sent.
    pub(crate) fn wait_for_more(&self, count: u64) {
        self.wait_for(self.count() + count);
    }

    /// How many frames were sent.
    pub(crate) fn count(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Stops and tells what was sent.
    pub(crate) fn stop(mut self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("stopped once");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
