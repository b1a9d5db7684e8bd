//! Detectors on real frames: what is sent through a veth pair becomes a finding.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::net::{Net, Sender, interface};
use super::small;
use crate::capture::filter::Filter;
use crate::capture::{
    Capture, Memory, Options, Surroundings, Tapping, WaitingRoom, Wanted, afpacket,
};
use crate::detect::tap::Tap;
use crate::detect::watcher::{self, DetectWatcher};
use crate::detect::{Detector, Roster, Seen, traffic};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::lab::BOUND;
use crate::observation::{Fact, Observation};
use crate::ring::{LaneId, PackThread, Pool, PoolOptions};
use crate::time::{Clock, Stamp};
use crate::watch::{RunningWatcher, spawn};

const ACK: u8 = 0x10;
const RST: u8 = 4;
/// Between two frames of a talker, so that it is talkative and no storm.
const PACE: Duration = Duration::from_millis(2);
/// Longer than it takes to know what is usual where a second is silence, on a machine so busy that there
/// are pauses of most of a second.
const TALK: Duration = Duration::from_secs(8);

/// Interface `a`, recorded and judged.
struct Judged {
    net: Net,
    capture: Capture,
    waiting: WaitingRoom,
    watch: RunningWatcher,
    inbox: Receiver<Observation>,
}

impl Judged {
    fn new(options: traffic::Options) -> Option<Self> {
        Self::with(options, Box::new(|_| Vec::new()), Vec::new())
    }

    fn with(traffic: traffic::Options, protocols: Roster, wanted: Vec<Wanted>) -> Option<Self> {
        let net = Net::new()?;
        let clock = Clock::system();
        let (outbox, inbox) = bounded(1_000);
        let watcher = DetectWatcher::open(
            watcher::Options { traffic, ..watcher::Options::default() },
            protocols,
        )
        .unwrap();
        let tapping = Tapping::new(watcher.taps(), wanted).unwrap();
        let pool = Pool::new(&PoolOptions { memory: 8 << 20, lock: false }).unwrap();
        let pack = PackThread::start(pool.clone()).unwrap();
        let memory = Memory { pool, requests: pack.requests() };
        // A block a retire time: enough of them that nothing is dropped where other tests keep the
        // processors busy.
        let ring = afpacket::Options { blocks: 64, ..small() };
        let options = Options { ring, ..Options::default() };
        let (waiting, capture) = net.inside(|| {
            // Its thread opens sources in the namespace in which it was made.
            let waiting = WaitingRoom::open(|| Ok(())).unwrap();
            let around = Surroundings {
                memory,
                threads: waiting.threads(),
                clock: clock.clone(),
                events: outbox.clone(),
                tapping,
            };
            (waiting, Capture::start(LaneId(0), interface("a"), options, &around).unwrap())
        });
        let watch = spawn(watcher, clock, outbox).unwrap();
        Some(Self { net, capture, waiting, watch, inbox })
    }

    /// The next finding; what capture says of itself is passed over.
    fn next(&self) -> (Stamp, Finding) {
        let deadline = Instant::now() + BOUND;
        loop {
            let seen = self.inbox.recv_deadline(deadline).expect("a finding in time");
            match seen.fact {
                Fact::Finding(finding) => return (seen.at, *finding),
                Fact::Capture { .. } => {}
                other => panic!("{other}"),
            }
        }
    }

    fn expect(&self, kind: FindingKind, direction: Direction, over: bool) -> Finding {
        let finding = self.next().1;
        assert_eq!(
            (finding.kind, finding.direction, finding.over),
            (kind, direction, over),
            "{finding:?}"
        );
        assert_eq!(finding.interface.as_deref(), Some("a"));
        finding
    }

    /// Talks for [`TALK`], at which nobody finds anything.
    fn talk(&self, ends: &[&str]) {
        self.net.inside(|| {
            let mut senders: Vec<_> = ends.iter().map(|end| Sender::on(end)).collect();
            let begun = Instant::now();
            for number in 0.. {
                senders.iter_mut().for_each(|sender| sender.send(&tcp(64, number, ACK)));
                std::thread::sleep(PACE);
                if begun.elapsed() > TALK {
                    break;
                }
            }
        });
        let early = self.inbox.try_iter().find(|seen| matches!(seen.fact, Fact::Finding(_)));
        assert_eq!(early, None);
    }

    fn stop(self) {
        let report = self.capture.stop().recv().unwrap();
        self.waiting.close();
        assert_eq!(report.stats.dropped(), 0);
        assert_eq!(self.watch.join(), 0);
    }
}

/// TCP over IPv4 with four bytes, by time to live, number and flags.
fn tcp(ttl: u8, number: u32, flags: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0x0a, 2, 0, 0, 0, 0, 0x0b, 8, 0];
    frame.extend([0x45, 0, 0, 44, 0, 0, 0x40, 0, ttl, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]);
    frame.extend([0xc0, 0, 1, 0xbb]);
    frame.extend((4 * number).to_be_bytes());
    frame.extend([0, 0, 0, 9, 0x50, flags, 2, 0, 0, 0, 0, 0]);
    frame.resize(60, 0);
    frame
}

#[test]
fn a_storm_is_found_while_it_rages_and_when_it_is_over() {
    let Some(judged) = Judged::new(traffic::Options::default()) else { return };
    judged.net.inside(|| {
        let mut sender = Sender::on("b");
        (0..30_000).for_each(|_| sender.send(&tcp(64, 7, ACK)));
    });
    let began = judged.expect(FindingKind::DuplicateStorm, Direction::Inbound, false);
    assert!(began.what.contains("192.0.2.1 → 198.51.100.2 TCP 49152 → 443"), "{began:?}");
    assert!(began.rate.unwrap() > 1_000.0 && began.severity == Severity::Warning);
    let over = judged.expect(FindingKind::DuplicateStorm, Direction::Inbound, true);
    assert!((29_900..=30_000).contains(&over.count), "{over:?}");
    assert_eq!(over.first, began.first);
    judged.stop();
}

#[test]
fn a_packet_with_falling_time_to_live_is_found_as_a_loop() {
    let Some(judged) = Judged::new(traffic::Options::default()) else { return };
    judged.net.inside(|| {
        let mut sender = Sender::on("b");
        (2..=64).rev().step_by(2).for_each(|ttl| sender.send(&tcp(ttl, 7, ACK)));
    });
    let found = judged.expect(FindingKind::NearDuplicateLoop, Direction::Inbound, false);
    assert!(found.what.contains("time to live 58 down to"), "{found:?}");
    judged.stop();
}

#[test]
fn a_talker_that_falls_silent_is_found_and_so_is_its_return() {
    let silence = Duration::from_secs(1);
    let options = traffic::Options { silence, ..traffic::Options::default() };
    let Some(judged) = Judged::new(options) else { return };
    judged.talk(&["b"]);
    let began = judged.expect(FindingKind::Silence, Direction::Inbound, false);
    assert!(began.last.mono.since(began.first.mono) >= silence);
    judged.net.inside(|| Sender::on("b").send(&tcp(64, 1_000_000, ACK)));
    judged.expect(FindingKind::Silence, Direction::Inbound, true);
    judged.stop();
}

#[test]
fn a_transmitter_that_is_not_answered_any_more_is_found() {
    let one_way = Duration::from_secs(1);
    let options = traffic::Options { one_way, ..traffic::Options::default() };
    let Some(judged) = Judged::new(options) else { return };
    judged.talk(&["a", "b"]);
    let found = judged.net.inside(|| {
        let mut sender = Sender::on("a");
        let deadline = Instant::now() + BOUND;
        (1_000_000..)
            .find_map(|number| {
                assert!(Instant::now() < deadline);
                sender.send(&tcp(64, number, ACK));
                std::thread::sleep(PACE);
                judged.inbox.try_iter().find_map(|seen| match seen.fact {
                    Fact::Finding(finding) => Some(finding),
                    _ => None,
                })
            })
            .unwrap()
    });
    assert_eq!((found.kind, found.direction), (FindingKind::OneWay, Direction::Outbound));
    judged.stop();
}

#[test]
fn a_burst_of_resets_is_found() {
    let Some(judged) = Judged::new(traffic::Options::default()) else { return };
    judged.net.inside(|| {
        let mut sender = Sender::on("b");
        (0..500).for_each(|number| sender.send(&tcp(64, number, RST)));
    });
    let found = judged.expect(FindingKind::TcpResetBurst, Direction::Unknown, false);
    assert!(found.count > 300, "{found:?}");
    judged.expect(FindingKind::TcpResetBurst, Direction::Unknown, true);
    judged.stop();
}

#[test]
fn a_gap_is_found_and_so_is_its_end() {
    let Some(mut judged) = Judged::new(traffic::Options::default()) else { return };
    judged.capture.unbind();
    judged.expect(FindingKind::CaptureGap, Direction::Unknown, false);
    let again = judged.net.inside(|| interface("a"));
    judged.capture.bind(again);
    judged.expect(FindingKind::CaptureGap, Direction::Unknown, true);
    judged.stop();
}

#[test]
fn a_frame_that_matches_is_found_at_once() {
    let filter = Filter::parse("vlan 956 and port 443").unwrap();
    let wanted = vec![Wanted { name: "web".into(), filter }];
    let options = traffic::Options::default();
    let judged = Judged::with(options, Box::new(|_| Vec::new()), wanted);
    let Some(judged) = judged else { return };
    judged.net.inside(|| {
        let mut sender = Sender::on("b");
        let plain = tcp(64, 1, ACK);
        sender.send(&plain);
        sender.send(&[&plain[..12], &super::VID_956, &plain[12..]].concat());
    });
    let found = judged.expect(FindingKind::FilterMatch, Direction::Inbound, false);
    assert!(found.what.starts_with("web: VLAN 956: 192.0.2.1"), "{found:?}");
    judged.stop();
}

/// Concludes something from every frame it is shown.
struct Echo;

impl Detector for Echo {
    fn frame(&mut self, seen: &Seen<'_>, findings: &mut Vec<Finding>) {
        findings.push(Finding {
            kind: FindingKind::ArpUnanswered,
            severity: Severity::Info,
            first: seen.at,
            last: seen.at,
            interface: Some(seen.interface.to_owned()),
            direction: seen.header.direction,
            count: 1,
            rate: None,
            what: String::new(),
            sentence: String::new(),
            parties: Vec::new(),
            over: false,
        });
    }

    fn tick(&mut self, _: Stamp, _: &mut Vec<Finding>) {}
}

#[test]
fn a_control_frame_is_judged_as_soon_as_the_kernel_hands_it_over() {
    let options = traffic::Options::default();
    let judged = Judged::with(options, Box::new(|_| vec![Box::new(Echo)]), Vec::new());
    let Some(judged) = judged else { return };
    let mut arp = vec![0xff; 6];
    arp.extend([2, 0, 0, 0, 0, 0x0b, 8, 6]);
    let mut latencies: Vec<Duration> = (0..50_u8)
        .map(|number| {
            arp.resize(60, number);
            let last = arp.len() - 1;
            arp[last] = number;
            judged.net.inside(|| Sender::on("b").send(&arp));
            let (seen, finding) = judged.next();
            assert_eq!(finding.direction, Direction::Inbound);
            seen.mono.since(finding.first.mono)
        })
        .collect();
    latencies.sort();
    let (median, worst) = (latencies[latencies.len() / 2], latencies[latencies.len() - 1]);
    eprintln!("from arrival to finding: median {median:?}, worst {worst:?}");
    // The kernel's retire time and a timer tick; a summary would take ten times that.
    assert!(median < Tap::INTERVAL / 2, "{median:?}");
    judged.stop();
}
