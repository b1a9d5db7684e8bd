//! Real answers, in network namespaces.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use pnet::packet::icmp::{IcmpPacket, checksum};

use super::*;
use crate::lab::{Namespace, wait_for};
use crate::observation::Observation;
use crate::time::Clock;
use crate::watch::{RunningWatcher, spawn};
use crate::wire::icmp::behind_ipv4;

mod kinds;
mod server;

#[test]
fn f14_a_name_without_an_address_keeps_no_recording_from_beginning() {
    // RFC 6761 §6.4: "invalid" never resolves.
    let probe = Probe::open(Options::new("nobody.invalid")).unwrap();
    assert_eq!(probe.address(), None);
    let (outbox, inbox) = bounded(crate::watch::CHANNEL);
    let watch = spawn(probe, Clock::system(), outbox).unwrap();
    let is_told = |seen: &Observation| matches!(seen.fact, Fact::Missed { .. });
    let (told, _) = wait_for(&inbox, "what is not asked", is_told);
    assert!(told.fact.to_string().contains("nobody.invalid is not asked"), "{}", told.fact);
    watch.join();
}

#[test]
fn f14_an_address_is_asked_at_once_and_a_name_once_it_is_found() {
    let mut seeker = Seeker::new(&"192.0.2.1".parse().unwrap(), &Options::new("192.0.2.1"));
    assert_eq!(seeker.found().unwrap().unwrap().to_string(), "192.0.2.1");
    let seeker = Seeker::new(&"localhost".parse().unwrap(), &Options::new("localhost"));
    assert!(seeker.wait(crate::lab::BOUND).unwrap().is_loopback());
}

#[test]
fn answers_are_told_from_other_bytes() {
    let dns = b"\0\x01\x81\x80\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
    let echo = [&[129, 0, 0, 0, 0, 0, 0, 1][..], &[0; 8]].concat();
    for (host, heard, expected) in [
        ("dns:[::1]/a", &dns[..], true),
        ("dns:[::1]/b", dns, false),
        ("::1", &echo, true),
        ("::1", dns, false),
        ("http://[::1]/", b"HTTP/1.1 204 No Content\r\n\r\n", true),
        ("http://[::1]/", b"HTTP/1.1 503 Busy\r\n\r\n", false),
        ("http://[::1]/", b"HTTP/1.1 2", false),
        ("tcp:[::1]:1", b"", true),
    ] {
        let told = is_answer(&Options::new(host), [0_u16; 8].into(), heard).unwrap();
        assert_eq!(told, expected, "{host} {heard:x?}");
    }
}

fn fast(host: &str) -> Options {
    let (interval, timeout) = (Duration::from_millis(50), Duration::from_millis(40));
    Options { interval, timeout, ..Options::new(host) }
}

fn start(ns: &Namespace, host: &str) -> (RunningWatcher, Receiver<Observation>) {
    begin(ns, fast(host))
}

fn begin(ns: &Namespace, options: Options) -> (RunningWatcher, Receiver<Observation>) {
    let (outbox, inbox) = bounded(crate::watch::CHANNEL);
    let probe = || spawn(Probe::open(options).unwrap(), Clock::system(), outbox).unwrap();
    (ns.inside(probe), inbox)
}

fn answered(seen: &Observation) -> bool {
    matches!(seen.fact, Fact::ProbeAnswered { .. })
}

fn lost(seen: &Observation) -> Option<(u32, &str)> {
    match &seen.fact {
        Fact::ProbeLost { in_a_row, reason, .. } => Some((*in_a_row, reason)),
        _ => None,
    }
}

/// Two namespaces, a wire between, addresses of both families on its ends.
fn pair() -> Option<(Namespace, Namespace)> {
    let (near, far) = (Namespace::new()?, Namespace::new()?);
    near.ip(&format!("link add q0 type veth peer name q1 netns {}", far.name()));
    for (side, end, host) in [(&near, "q0", 1), (&far, "q1", 2)] {
        side.ip(&format!("addr add 10.9.8.{host}/24 dev {end}"));
        side.ip(&format!("addr add fd00::{host}/64 dev {end} nodad"));
        side.ip(&format!("link set {end} up"));
    }
    Some((near, far))
}

#[test]
fn both_families_answer_on_loopback() {
    let Some(ns) = Namespace::new() else { return };
    ns.ip("link set lo up");
    for host in ["127.0.0.1", "::1"] {
        let (watch, inbox) = start(&ns, host);
        for _ in 0..3 {
            let (seen, before) = wait_for(&inbox, host, answered);
            assert!(!before.iter().any(|seen| lost(seen).is_some()), "{before:?}");
            let Fact::ProbeAnswered { probe, address, round_trip } = seen.fact else { panic!() };
            assert_eq!((probe.as_str(), address.to_string().as_str()), (host, host));
            assert!(!round_trip.is_zero());
        }
        watch.join();
    }
}

#[test]
fn a_probe_is_lost_while_the_peer_is_and_answered_again() {
    let Some((near, far)) = pair() else { return };
    for host in ["10.9.8.2", "fd00::2"] {
        let (watch, inbox) = start(&near, host);
        wait_for(&inbox, "the first answer", answered);
        // Carrier stays; the host no longer answers to its address.
        let family = if host.contains(':') { "fd00::2/64" } else { "10.9.8.2/24" };
        far.ip(&format!("addr del {family} dev q1"));
        let (third, _) = wait_for(&inbox, "three losses", |seen| {
            lost(seen).is_some_and(|(in_a_row, _)| in_a_row == 3)
        });
        let (_, reason) = lost(&third).unwrap();
        assert!(
            reason.starts_with("no answer in 0.04 s") || reason.contains("unreachable"),
            "{reason}"
        );
        let nodad = if host.contains(':') { " nodad" } else { "" };
        far.ip(&format!("addr add {family} dev q1{nodad}"));
        wait_for(&inbox, "an answer again", answered);
        watch.join();
    }
}

#[test]
fn a_peer_that_goes_down_is_lost_without_delaying_others() {
    let Some((near, far)) = pair() else { return };
    near.ip("link set lo up");
    let (dead, of_dead) = start(&near, "10.9.8.2");
    let (alive, of_alive) = start(&near, "127.0.0.1");
    wait_for(&of_dead, "the first answer", answered);
    far.ip("link set q1 down");
    wait_for(&of_dead, "a loss", |seen| lost(seen).is_some_and(|(in_a_row, _)| in_a_row > 2));
    assert_eq!(of_alive.try_iter().filter(|seen| lost(seen).is_some()).count(), 0);
    wait_for(&of_alive, "an answer meanwhile", answered);
    dead.join();
    alive.join();
}

#[test]
fn what_cannot_be_sent_is_lost_with_its_reason_until_it_can() {
    let Some((near, _far)) = pair() else { return };
    let (watch, inbox) = start(&near, "192.0.2.7");
    let (sixth, before) = wait_for(&inbox, "six losses", |seen| {
        lost(seen).is_some_and(|(in_a_row, _)| in_a_row == 6)
    });
    let (_, reason) = lost(&sixth).unwrap();
    assert!(reason.starts_with("cannot send: Network is unreachable"), "{reason}");
    let pace = sixth.at.mono.since(before[0].at.mono);
    assert!(pace > Duration::from_millis(100), "at the interval's pace: {pace:?}");
    near.ip("addr add 192.0.2.7/32 dev q0");
    near.ip("link set lo up");
    wait_for(&inbox, "an answer once there is a way", answered);
    watch.join();
}

/// Answers in the kernel's stead: with replies that are not the one asked for at first, then rightly and
/// twice once `go` says so.
fn answer_late(address: SocketAddr, ready: &Sender<()>, go: &Receiver<()>) {
    let (mut socket, _) = Ping::socket(address).unwrap();
    ready.send(()).unwrap();
    let patience = Some(crate::lab::BOUND);
    assert!(crate::sys::poll::readable(&[socket.as_fd()], patience).unwrap());
    let mut datagram = [0; 256];
    let length = socket.read(&mut datagram).unwrap();
    let icmp = behind_ipv4(&datagram[..length]).unwrap();
    let reply = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = icmp.to_vec();
        bytes[0] = 0; // echo reply, RFC 792
        change(&mut bytes);
        let checksum = checksum(&IcmpPacket::new(&bytes).unwrap());
        bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
        socket.send_to(&bytes, &address.into()).unwrap();
    };
    reply(&|bytes| bytes[8] ^= 1); // another's cookie
    reply(&|bytes| bytes[4] ^= 1); // another's identifier
    reply(&|bytes| bytes[6] ^= 0x80); // a request never sent
    go.recv_timeout(crate::lab::BOUND).unwrap();
    reply(&|_| ());
    reply(&|_| ());
}

#[test]
fn a_late_answer_is_told_once_and_a_strangers_never() {
    let Some((near, far)) = pair() else { return };
    far.inside(|| std::fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1").unwrap());
    let ((ready, is_ready), (go, may_go)) = (bounded(1), bounded(1));
    std::thread::scope(|scope| {
        let asker = "10.9.8.1:0".parse().unwrap();
        let there = &far;
        scope.spawn(move || there.inside(|| answer_late(asker, &ready, &may_go)));
        is_ready.recv_timeout(crate::lab::BOUND).unwrap();
        let (watch, inbox) = start(&near, "10.9.8.2");
        wait_for(&inbox, "a loss", |seen| lost(seen).is_some());
        go.send(()).unwrap();
        let late = |seen: &Observation| matches!(seen.fact, Fact::ProbeLate { .. });
        let (seen, before) = wait_for(&inbox, "the late answer", late);
        let Fact::ProbeLate { round_trip, .. } = seen.fact else { panic!() };
        assert!(round_trip > Duration::from_millis(40), "{round_trip:?}");
        assert!(!before.iter().any(answered), "{before:#?}");
        let (_, between) = wait_for(&inbox, "more losses", |seen| {
            lost(seen).is_some_and(|(in_a_row, _)| in_a_row > 4)
        });
        assert!(!between.iter().any(|seen| late(seen) || answered(seen)), "{between:#?}");
        watch.join();
    });
}
