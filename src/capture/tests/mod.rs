//! Sources on a real kernel: interfaces and frames of their own, inside a network namespace.

mod detect;
mod net;
mod panic;

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

use self::net::{Kept, Net, Sender, collect, drain, interface, read_until};
use super::afpacket::{Options, PacketRing, Refusal};
use super::filter::Filter;
use super::pnet::{self, PnetSource};
use super::{FrameSink, FrameSource, Interface, Ready};
use crate::error::Error;
use crate::frame::{Direction, Frame, LinkType, Reception, StampClock};
use crate::lab::BOUND;
use crate::sys::wakeup::Wakeup;
use crate::time::Clock;

const TO_A: [u8; 6] = [2, 0, 0, 0, 0, 0x0a];
const FROM_B: [u8; 6] = [2, 0, 0, 0, 0, 0x0b];
/// IEEE 802 local experimental EtherType 1: the kernel answers nothing to it.
const EXPERIMENTAL: [u8; 2] = [0x88, 0xb5];

fn small() -> Options {
    Options { blocks: 8, block_size: 1 << 18, ..Options::default() }
}

fn open(name: &str, options: &Options) -> PacketRing {
    PacketRing::open(&interface(name), options, Wakeup::new().unwrap())
        .map_err(Error::from)
        .unwrap()
}

fn filtered(expression: &str) -> Options {
    Options { filter: Some(Filter::parse(expression).unwrap()), ..small() }
}

/// A frame to `a` with these tags and a payload that repeats `fill`.
fn frame(tags: &[[u8; 4]], len: usize, fill: u8) -> Vec<u8> {
    let mut frame = [&TO_A[..], &FROM_B, &tags.concat(), &EXPERIMENTAL].concat();
    frame.resize(len, fill);
    frame
}

/// A frame to `a` with these tags, then IPv4 and UDP to `port`.
fn udp(tags: &[[u8; 4]], port: u16) -> Vec<u8> {
    let mut frame = [&TO_A[..], &FROM_B, &tags.concat(), &[8, 0]].concat();
    frame.extend([0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0x66, 0xc9, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([4, 0, port.to_be_bytes()[0], port.to_be_bytes()[1], 0, 12, 0, 0, 1, 2, 3, 4]);
    frame
}

const VID_956: [u8; 4] = [0x81, 0, 3, 0xbc];
const S_TAG_100: [u8; 4] = [0x88, 0xa8, 0, 100];
const C_TAG_200: [u8; 4] = [0x81, 0, 0, 200];

#[test]
fn tags_come_back_byte_for_byte_received_and_sent() {
    let Some(net) = Net::new() else { return };
    let sent = vec![
        frame(&[], 60, 1),
        frame(&[VID_956], 64, 2),
        frame(&[S_TAG_100], 64, 3),
        frame(&[S_TAG_100, C_TAG_200], 68, 4),
        frame(&[C_TAG_200, VID_956], 68, 5),
        frame(&[[0x81, 0, 0, 0]], 64, 6),
        frame(&[[0x81, 0, 0xb3, 0xbc]], 64, 7),
        frame(&[[0x88, 0xa8, 0xff, 0xfe], [0x81, 0, 0x10, 1]], 1522, 8),
    ];
    net.inside(|| {
        let (mut received, mut outgoing) = (open("a", &small()), open("b", &small()));
        let mut sender = Sender::on("b");
        sent.iter().for_each(|frame| sender.send(frame));
        for (source, direction) in
            [(&mut received, Direction::Inbound), (&mut outgoing, Direction::Outbound)]
        {
            let kept = collect(source, sent.len());
            for ((header, bytes), expected) in kept.0.iter().zip(&sent) {
                assert_eq!(bytes, expected, "{direction:?}");
                assert_eq!(header.original_len as usize, expected.len());
                assert_eq!(header.direction, direction);
            }
            assert_eq!(kept.0.len(), sent.len());
            assert_eq!(source.counters().kernel_received, Some(sent.len() as u64));
        }
    });
}

#[test]
fn direction_reception_and_stamps_are_the_kernels() {
    let Some(net) = Net::new() else { return };
    net.inside(|| {
        let before = Clock::system().now().wall;
        let mut source = open("a", &Options { promiscuous: true, ..small() });
        assert_eq!(source.origin().link_type, LinkType::ETHERNET);
        assert_eq!(source.origin().clock, StampClock::Software);
        assert!(source.unknowns().is_empty());
        let mut sender = Sender::on("b");
        for first in [[2, 0, 0, 0, 0, 0x0a], [0xff; 6], [1, 0, 0x5e, 0, 0, 1], [2, 9, 9, 9, 9, 9]] {
            let mut frame = frame(&[], 60, 0);
            frame[..6].copy_from_slice(&first);
            sender.send(&frame);
        }
        Sender::on("a").send(&frame(&[], 60, 9));
        let kept = collect(&mut source, 5);
        let after = Clock::system().now().wall;
        let seen: Vec<_> = kept.0.iter().map(|(h, _)| (h.direction, h.reception)).collect();
        assert_eq!(
            seen,
            [
                (Direction::Inbound, Reception::Unicast),
                (Direction::Inbound, Reception::Broadcast),
                (Direction::Inbound, Reception::Multicast),
                (Direction::Inbound, Reception::Promiscuous),
                (Direction::Outbound, Reception::Unspecified),
            ]
        );
        let walls: Vec<_> = kept.0.iter().map(|(header, _)| header.wall).collect();
        assert!(walls.is_sorted() && before <= walls[0] && walls[4] <= after, "{walls:?}");
    });
}

#[test]
fn snaplen_cuts_and_the_original_length_survives_up_to_jumbo_frames() {
    let Some(net) = Net::new() else { return };
    net.inside(|| {
        let mut whole = open("a", &small());
        let mut cut = open("a", &Options { snaplen: 96, ..small() });
        let sent = [frame(&[], 9014, 1), frame(&[VID_956], 9018, 2), frame(&[VID_956], 98, 3)];
        let mut sender = Sender::on("b");
        sent.iter().for_each(|frame| sender.send(frame));
        assert_eq!(collect(&mut whole, sent.len()).bytes(), sent);
        for ((header, bytes), frame) in collect(&mut cut, sent.len()).0.iter().zip(&sent) {
            assert_eq!(bytes, &frame[..96]);
            assert_eq!(header.original_len as usize, frame.len());
        }
    });
}

/// Frames that a filter is tried on; where each came from is in its last byte.
fn mixed() -> [Vec<u8>; 6] {
    let mut frames = [
        udp(&[VID_956], 1434),
        udp(&[VID_956], 53),
        udp(&[C_TAG_200], 1434),
        udp(&[], 1434),
        udp(&[S_TAG_100, C_TAG_200], 1434),
        udp(&[S_TAG_100, VID_956], 53),
    ];
    for (i, frame) in (0..).zip(&mut frames) {
        *frame.last_mut().unwrap() = i;
    }
    frames
}

/// Expression, what it keeps with the outer tag in place, what it keeps where the kernel took it out.
const FILTERS: [(&str, &[u8], &[u8]); 5] = [
    ("vlan 956 and port 1434", &[0], &[0]),
    ("vlan 100 and vlan 200", &[4], &[4]),
    ("udp port 1434", &[3], &[0, 2, 3]),
    ("vlan", &[0, 1, 2, 4, 5], &[0, 1, 2, 4, 5]),
    ("vlan 100 and vlan and port 53", &[5], &[5]),
];

fn marks(kept: Kept) -> Vec<u8> {
    kept.bytes().iter().filter_map(|bytes| bytes.last().copied()).collect()
}

#[test]
fn the_kernel_judges_tags_that_it_stripped() {
    let Some(net) = Net::new() else { return };
    net.inside(|| {
        for (expression, in_place, stripped) in FILTERS {
            let mut received = open("a", &filtered(expression));
            let mut sent = open("b", &filtered(expression));
            let mut sender = Sender::on("b");
            mixed().iter().for_each(|frame| sender.send(frame));
            for (source, expected) in [(&mut received, stripped), (&mut sent, in_place)] {
                assert_eq!(marks(collect(source, expected.len())), expected, "{expression}");
                let counters = source.counters();
                assert_eq!(counters.kernel_received, Some(expected.len() as u64), "{expression}");
                assert_eq!(counters.filtered, 0, "{expression}: in the kernel");
            }
        }
    });
}

#[test]
fn an_interface_that_is_down_is_filtered_in_user_space_and_says_so() {
    let Some(net) = Net::new() else { return };
    for (expression, expected, _) in FILTERS {
        net.ip("link set dev a down");
        net.ip("link set dev b down");
        let mut source = net.inside(|| open("a", &filtered(expression)));
        net.ip("link set dev a up");
        net.ip("link set dev b up");
        net.wait_until_sending("b");
        net.inside(|| {
            let mut sender = Sender::on("b");
            mixed().iter().for_each(|frame| sender.send(frame));
            assert_eq!(marks(collect(&mut source, expected.len())), expected, "{expression}");
            let counters = source.counters();
            assert_eq!(counters.kernel_received, Some(6), "{expression}");
            assert_eq!(counters.filtered, 6 - expected.len() as u64, "{expression}");
        });
    }
    net.ip("link set dev a down");
    net.ip("link set dev b down");
    let refused = net
        .inside(|| PacketRing::open(&interface("a"), &filtered("inbound"), Wakeup::new().unwrap()));
    let error = Error::from(refused.unwrap_err());
    assert!(error.to_string().contains("only the kernel knows"), "{error}");
}

#[test]
fn a_filter_of_an_interface_that_is_down_is_made_on_another_that_is_up() {
    let Some(net) = Net::new() else { return };
    net.ip("link set dev lo up");
    net.ip("link set dev a down");
    let mut source = net.inside(|| open("a", &filtered("vlan 956 and port 1434")));
    net.ip("link set dev a up");
    net.inside(|| {
        let mut sender = Sender::on("b");
        mixed().iter().for_each(|frame| sender.send(frame));
        assert_eq!(marks(collect(&mut source, 1)), [0]);
        assert_eq!(source.counters().filtered, 0, "in the kernel");
    });
}

#[test]
fn user_space_filters_see_the_length_before_snaplen() {
    let Some(net) = Net::new() else { return };
    net.ip("link set dev a down");
    net.ip("link set dev b down");
    let options = Options { snaplen: 64, ..filtered("greater 500") };
    let mut source = net.inside(|| open("a", &options));
    net.ip("link set dev a up");
    net.ip("link set dev b up");
    net.inside(|| {
        let mut sender = Sender::on("b");
        [100, 600].into_iter().for_each(|len| sender.send(&frame(&[VID_956], len, 0)));
        let kept = collect(&mut source, 1);
        assert_eq!(kept.0.len(), 1);
        assert_eq!((kept.0[0].0.original_len, kept.0[0].1.len()), (600, 64));
    });
}

/// Reads for a while and returns what they found and how much the thread computed, in nanoseconds.
fn quiet(source: &mut impl FrameSource) -> (Vec<Ready>, u64) {
    let computed = || -> u64 {
        // scheduler statistics of this thread: first field, time on a CPU in ns (proc(5)).
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        told.split(' ').next().unwrap().parse().unwrap()
    };
    let before = computed();
    let found = (0..5)
        .map(|_| source.read(Duration::from_millis(100), &mut Kept::default()).unwrap())
        .collect();
    (found, computed() - before)
}

/// The kernel lets the other end of a link that came up send again when it comes to it, and drops what is
/// sent before.
fn send_until_heard(net: &Net, source: &mut (impl FrameSource + Send), frame: &[u8]) -> Kept {
    let mut kept = Kept::default();
    read_until(source, &mut kept, |kept, _| {
        net.inside(|| Sender::on("b").send(frame));
        !kept.0.is_empty()
    });
    drain(source, &mut kept);
    kept
}

fn goes_down_and_comes_up(net: &Net, source: &mut (impl FrameSource + Send)) {
    let numbered = |number| frame(&[VID_956], 64, number);
    net.inside(|| Sender::on("b").send(&numbered(1)));
    assert_eq!(collect(source, 1).bytes().len(), 1);
    for round in 0..2 {
        net.ip("link set dev a down");
        read_until(source, &mut Kept::default(), |_, ready| ready == Ready::Down);
        let (found, computed) = quiet(source);
        assert_eq!(found, [Ready::Idle; 5], "round {round}: told once");
        assert!(computed < 20_000_000, "{computed} ns in 500 ms");
        net.ip("link set dev a up");
        send_until_heard(net, source, &numbered(2));
    }
    net.ip("link del dev a");
    read_until(source, &mut Kept::default(), |_, ready| ready == Ready::Down);
    let (found, computed) = quiet(source);
    assert_eq!(found, [Ready::Idle; 5], "gone");
    assert!(computed < 20_000_000, "{computed} ns in 500 ms");
}

#[test]
fn an_interface_goes_down_and_comes_up_on_the_same_ring() {
    let Some(net) = Net::new() else { return };
    let mut source = net.inside(|| open("a", &small()));
    goes_down_and_comes_up(&net, &mut source);
}

#[test]
fn an_interface_that_is_down_can_be_opened() {
    let Some(net) = Net::new() else { return };
    net.ip("link set dev a down");
    let mut source = net.inside(|| open("a", &small()));
    read_until(&mut source, &mut Kept::default(), |_, ready| ready == Ready::Down);
    assert_eq!(quiet(&mut source).0, [Ready::Idle; 5]);
    net.ip("link set dev a up");
    let heard = send_until_heard(&net, &mut source, &frame(&[], 60, 1)).bytes();
    assert!(heard.iter().all(|heard| *heard == frame(&[], 60, 1)), "{heard:?}");
}

#[test]
fn a_ring_of_the_wake_up_ends_the_wait_and_the_next_until_it_is_heard() {
    let Some(net) = Net::new() else { return };
    net.inside(|| {
        let wakeup = Wakeup::new().unwrap();
        let mut ring = PacketRing::open(&interface("a"), &small(), wakeup.clone())
            .map_err(Error::from)
            .unwrap();
        let options = pnet::Options::default();
        let clock = Clock::system();
        let mut fallback =
            PnetSource::open(&interface("b"), &options, wakeup.clone(), clock.clone()).unwrap();
        wakeup.notify();
        let before = clock.now().mono;
        assert_eq!(ring.read(BOUND, &mut Kept::default()).unwrap(), Ready::Idle);
        assert_eq!(ring.read(BOUND, &mut Kept::default()).unwrap(), Ready::Idle);
        assert_eq!(fallback.read(BOUND, &mut Kept::default()).unwrap(), Ready::Idle);
        assert!(clock.now().mono.since(before) < BOUND / 4);
        wakeup.clear();
        let before = clock.now().mono;
        assert_eq!(
            ring.read(Duration::from_millis(50), &mut Kept::default()).unwrap(),
            Ready::Idle
        );
        assert!(clock.now().mono.since(before) >= Duration::from_millis(50));
    });
}

/// Looking at a block that was not ready used to give it away, and the reader lost its place.
#[test]
fn idle_reads_keep_the_place_in_the_ring() {
    let Some(net) = Net::new() else { return };
    net.inside(|| {
        let mut source = open("a", &small());
        let mut sender = Sender::on("b");
        for number in 0..20 {
            for _ in 0..number {
                let found = source.read(Duration::ZERO, &mut Kept::default()).unwrap();
                assert_eq!(found, Ready::Idle);
            }
            let sent = frame(&[], 60, number);
            sender.send(&sent);
            let mut kept = Kept::default();
            assert_eq!(source.read(BOUND, &mut kept).unwrap(), Ready::Frames);
            assert_eq!(kept.bytes(), [sent]);
        }
    });
}

/// Notes sequence numbers.
#[derive(Default)]
struct Sequence {
    numbers: Vec<u64>,
}

impl FrameSink for Sequence {
    fn batch(&mut self) {}

    fn frame(&mut self, frame: &Frame<'_>) {
        let bytes = frame.to_vec();
        self.numbers.push(u64::from_be_bytes(bytes[14..22].try_into().unwrap()));
    }
}

/// Sends numbered frames as fast as it can until told to stop. On one CPU: each has its own queue of
/// frames to receive, and a sender that moves overtakes itself.
fn flood(stop: &AtomicBool) {
    let mut here = CpuSet::new();
    here.set(sched_getcpu().unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(0), &here).unwrap();
    let mut sender = Sender::on("b");
    let mut frame = frame(&[], 60, 0);
    for number in 1_u64.. {
        frame[14..22].copy_from_slice(&number.to_be_bytes());
        sender.send(&frame);
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Floods `a`, reads (or first does not, until the ring overflowed), stops in full flight and drains.
fn stopped_under_load(net: &Net, options: &Options, overflow: bool) -> (Vec<u64>, [u64; 2]) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut source = net.inside(|| open("a", options));
        scope.spawn(|| net.inside(|| flood(&stop)));
        let mut sink = Sequence::default();
        let clock = Clock::system();
        let deadline = clock.now().mono.plus(BOUND);
        while overflow && source.counters().kernel_dropped == Some(0) {
            assert!(clock.now().mono < deadline, "no overflow");
            std::thread::yield_now();
        }
        read_until(&mut source, &mut sink, |sink, _| sink.numbers.len() > 20_000);
        source.stop().unwrap();
        drain(&mut source, &mut sink);
        let counters = source.counters();
        let before = sink.numbers.len();
        drain(&mut source, &mut sink);
        assert_eq!(sink.numbers.len(), before, "nothing new after the drain");
        assert_eq!(source.counters(), counters);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(counters.damaged, 0);
        let totals = [counters.kernel_received.unwrap(), counters.kernel_dropped.unwrap()];
        (sink.numbers, totals)
    })
}

#[test]
fn stopped_under_load_the_identity_is_exact_without_drops() {
    let Some(net) = Net::new() else { return };
    let (numbers, [received, dropped]) = stopped_under_load(&net, &Options::default(), false);
    assert_eq!(dropped, 0);
    assert_eq!(numbers.len() as u64, received);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "none missing, none twice");
}

#[test]
fn stopped_under_load_the_identity_is_exact_with_drops() {
    let Some(net) = Net::new() else { return };
    let tiny = Options { blocks: 2, block_size: 1 << 16, ..Options::default() };
    let (numbers, [received, dropped]) = stopped_under_load(&net, &tiny, true);
    assert!(dropped > 0);
    assert_eq!(numbers.len() as u64 + dropped, received);
    assert!(numbers.windows(2).all(|pair| pair[1] > pair[0]), "in order, none twice");
    let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
    assert!(last - first < received, "every number missing in between was counted as dropped");
}

#[test]
fn loopback_shows_each_frame_once() {
    let Some(net) = Net::new() else { return };
    net.ip("link set dev lo up");
    net.inside(|| {
        let mut ring = open("lo", &small());
        let options = pnet::Options::default();
        let (wakeup, clock) = (Wakeup::new().unwrap(), Clock::system());
        let mut fallback = PnetSource::open(&interface("lo"), &options, wakeup, clock).unwrap();
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..100 {
            sender.send_to(&[number], receiver.local_addr().unwrap()).unwrap();
        }
        let kept = collect(&mut ring, 100);
        assert!(kept.0.iter().all(|(header, _)| header.direction == Direction::Inbound));
        let last: Vec<u8> = (0..100).collect();
        assert_eq!(marks(kept), last);
        assert_eq!(ring.counters().kernel_received, Some(100));
        assert_eq!(marks(collect(&mut fallback, 100)), last);
    });
}

#[test]
fn nothing_of_other_interfaces_leaks_in_early() {
    let Some(net) = Net::new() else { return };
    net.ip("link add name c type veth peer name d");
    for end in ["c", "d"] {
        net.ip(&format!("link set dev {end} addrgenmode none up"));
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| net.inside(|| flood(&stop)));
        net.inside(|| {
            for _ in 0..20 {
                let mut ring = open("c", &small());
                let (wakeup, clock) = (Wakeup::new().unwrap(), Clock::system());
                let options = pnet::Options::default();
                let mut fallback =
                    PnetSource::open(&interface("c"), &options, wakeup, clock).unwrap();
                let mut kept = Kept::default();
                drain(&mut ring, &mut kept);
                drain(&mut fallback, &mut kept);
                assert_eq!(kept.0.len(), 0);
                assert_eq!(ring.counters().kernel_received, Some(0));
            }
        });
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_cannot_be_opened_says_why() {
    let Some(net) = Net::new() else { return };
    net.inside(|| {
        let wakeup = Wakeup::new().unwrap();
        let nowhere = Interface { name: "eth9".to_owned(), index: 999, hardware_type: 1 };
        let refusal = PacketRing::open(&nowhere, &small(), wakeup.clone()).unwrap_err();
        assert!(matches!(refusal, Refusal::Capture(_)));
        let text = Error::from(refusal).to_string();
        assert!(text.starts_with("cannot open capture on eth9: no such interface; "), "{text}");
        let options = pnet::Options::default();
        let error = PnetSource::open(&nowhere, &options, wakeup, Clock::system()).err().unwrap();
        assert_eq!(error.to_string(), text);
    });
}

#[test]
fn hardware_stamps_that_are_not_to_be_had_fall_back_to_the_kernels() {
    let Some(net) = Net::new() else { return };
    net.inside(|| {
        let mut source = open("a", &Options { hardware_stamps: true, ..small() });
        assert_eq!(source.origin().clock, StampClock::Software);
        let before = Clock::system().now().wall;
        Sender::on("b").send(&frame(&[], 60, 1));
        assert!(collect(&mut source, 1).0[0].0.wall >= before);
    });
}

#[test]
fn the_fallback_reads_filters_stops_and_follows_its_interface() {
    let Some(net) = Net::new() else { return };
    let mut source = net.inside(|| {
        let filter = Some(Filter::parse("ether src 02:00:00:00:00:0b").unwrap());
        let options = pnet::Options { snaplen: 64, filter, ..Default::default() };
        let wakeup = Wakeup::new().unwrap();
        PnetSource::open(&interface("a"), &options, wakeup, Clock::system()).unwrap()
    });
    assert_eq!(source.unknowns().len(), 5);
    assert_eq!(source.origin().clock, StampClock::Reader);
    net.inside(|| {
        let mut sender = Sender::on("b");
        let mut other = frame(&[], 60, 0);
        other[11] = 0x0c;
        sender.send(&other);
        sender.send(&frame(&[], 1500, 7));
        let kept = collect(&mut source, 1);
        assert_eq!(kept.0.len(), 1);
        let (header, bytes) = &kept.0[0];
        assert_eq!((header.original_len, &bytes[..]), (1500, &frame(&[], 64, 7)[..]));
        assert_eq!(header.direction, Direction::Unknown);
        let counters = source.counters();
        assert_eq!((counters.kernel_received, counters.filtered), (None, 1));
    });
    goes_down_and_comes_up(&net, &mut source);
    source.stop().unwrap();
}
