//! Stories of connections, from frames through the tap to what is told; and those that only look alike.

use std::sync::Arc;

use super::super::tests::frames::tagged;
use super::super::{Options, Protocols, Together};
use crate::detect::tap::{CONTROL, Health, Tap};
use crate::detect::{Detectors, Subject, traffic};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::{Direction, Frame, FrameHeader, LinkType};
use crate::sys::wakeup::Wakeup;
use crate::time::{Mono, Offset, Stamp, Wall};
use crate::wire::control::is_control;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
/// Stations: who asks, who serves.
const CLIENT: u8 = 10;
const SERVER: u8 = 20;
const HTTP: u16 = 80;
/// Stories begin an hour after boot.
const BOOT: u64 = 3_600_000_000_000;

/// A segment between two stations.
#[derive(Debug, Clone, Copy)]
struct Line {
    from: (u8, u16),
    to: (u8, u16),
    sequence: u32,
    acknowledgement: u32,
    flags: u8,
    window: u16,
    length: u16,
    number: u16,
}

impl Line {
    fn of(from: (u8, u16), to: (u8, u16), flags: u8) -> Self {
        let (sequence, acknowledgement) = (1_000, 0);
        Self { from, to, sequence, acknowledgement, flags, window: 500, length: 0, number: 0 }
    }

    fn at(self, sequence: u32, length: u16) -> Self {
        Self { sequence, length, ..self }
    }

    fn header(&self) -> Vec<u8> {
        let mut bytes = [self.from.1.to_be_bytes(), self.to.1.to_be_bytes()].concat();
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgement.to_be_bytes());
        bytes.extend([0x50, self.flags]);
        bytes.extend(self.window.to_be_bytes());
        // The checksum, which covers a timestamp.
        bytes.extend(self.number.to_be_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    fn v4(&self) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, self.to.0, 2, 0, 0, 0, 0, self.from.0, 8, 0, 0x45, 0];
        bytes.extend((40 + self.length).to_be_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend([0x40, 0, 64, 6, 0, 0, 10, 0, 0, self.from.0, 10, 0, 0, self.to.0]);
        bytes.extend(self.header());
        bytes.resize(54 + usize::from(self.length), 7);
        bytes
    }

    fn v6(&self) -> Vec<u8> {
        let address = |host: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host];
        let mut bytes = vec![2, 0, 0, 0, 0, self.to.0, 2, 0, 0, 0, 0, self.from.0, 0x86, 0xdd];
        bytes.extend([0x60, 0, 0, 0]);
        bytes.extend((20 + self.length).to_be_bytes());
        bytes.extend([6, 64]);
        bytes.extend(address(self.from.0));
        bytes.extend(address(self.to.0));
        bytes.extend(self.header());
        bytes.resize(74 + usize::from(self.length), 7);
        bytes
    }
}

/// How frames look on this stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// At the client, IPv4.
    AtClient,
    /// In a file: IPv6, no directions.
    File,
    /// IPv4 in a VLAN, at the server.
    InVlan,
}

struct Stage {
    wire: Wire,
    tap: Tap,
    detectors: Detectors,
    now: f64,
    /// Summaries made so far, of [`Stage::TICK`] seconds each.
    ticks: u32,
    number: u16,
    findings: Vec<(f64, Finding)>,
}

impl Stage {
    const TICK: f64 = 0.1;

    fn new(wire: Wire) -> Self {
        let classes = vec![Arc::from("control"), Arc::from("data")];
        let subject = Subject { interface: "eth0".into(), classes, filters: Vec::new() };
        let protocols = Protocols::new("eth0", &Options::default(), &Together::default());
        let options = traffic::Options::default();
        let wakeup = Wakeup::new().unwrap();
        let (mut tap, detectors) =
            Detectors::new(subject, &options, vec![Box::new(protocols)], wakeup).unwrap();
        tap.begin(LinkType::ETHERNET);
        Self { wire, tap, detectors, now: 0.0, ticks: 0, number: 0, findings: Vec::new() }
    }

    fn stamp(&self) -> Stamp {
        let nanos = BOOT + (self.now * 1e9) as u64;
        Stamp { mono: Mono(nanos), wall: Wall(nanos) }
    }

    fn wait(&mut self, seconds: f64) {
        while f64::from(self.ticks + 1) * Self::TICK <= seconds {
            self.ticks += 1;
            self.now = self.now.max(f64::from(self.ticks) * Self::TICK);
            let health = Health { recording: true, ..Health::default() };
            self.tap.summary(self.stamp(), health, Vec::new());
            let mut told = Vec::new();
            while self.detectors.hear(&mut told).more {}
            self.findings.extend(told.into_iter().map(|finding| (self.now, finding)));
        }
        self.now = self.now.max(seconds);
    }

    fn bytes(&mut self, seconds: f64, direction: Direction, bytes: &[u8]) {
        self.wait(seconds);
        let direction = if self.wire == Wire::File { Direction::Unknown } else { direction };
        let original_len = bytes.len() as u32;
        let wall = self.stamp().wall;
        let header = FrameHeader { wall, original_len, direction, ..FrameHeader::default() };
        let frame = Frame::whole(header, bytes);
        let class = if is_control(LinkType::ETHERNET, &frame) { CONTROL } else { 1 };
        self.tap.frame(&frame, class, false, Offset(0));
    }

    fn line(&mut self, seconds: f64, line: Line) {
        self.number = self.number.wrapping_add(1);
        let line = Line { number: self.number, ..line };
        let home = if self.wire == Wire::InVlan { SERVER } else { CLIENT };
        let direction = if line.from.0 == home { Direction::Outbound } else { Direction::Inbound };
        let bytes = match self.wire {
            Wire::AtClient => line.v4(),
            Wire::File => line.v6(),
            Wire::InVlan => tagged(7, &line.v4()),
        };
        self.bytes(seconds, direction, &bytes);
    }

    /// A connection of `client`, from the SYN to the end of its answer `wait` later.
    fn served(&mut self, at: f64, client: (u8, u16), wait: f64) {
        let service = (SERVER, HTTP);
        self.accepted(at, client);
        let ask = Line { acknowledgement: 5_001, ..Line::of(client, service, ACK) };
        let answer = Line { acknowledgement: 1_101, ..Line::of(service, client, ACK) };
        self.line(at + 0.002, ask.at(1_001, 100));
        self.line(at + 0.002 + wait, answer.at(5_001, 300));
        self.line(at + 0.003 + wait, Line { flags: ACK | FIN, ..answer }.at(5_301, 0));
        self.line(at + 0.003 + wait, Line { flags: ACK | FIN, ..ask }.at(1_101, 0));
    }

    fn accepted(&mut self, at: f64, client: (u8, u16)) {
        let service = (SERVER, HTTP);
        self.line(at, Line::of(client, service, SYN));
        let syn_ack = Line { acknowledgement: 1_001, ..Line::of(service, client, SYN | ACK) };
        self.line(at + 0.001, syn_ack.at(5_000, 0));
    }

    fn refused(&mut self, at: f64, client: (u8, u16)) {
        let service = (SERVER, HTTP);
        self.line(at, Line::of(client, service, SYN));
        let reset = Line { acknowledgement: 1_001, ..Line::of(service, client, RST | ACK) };
        self.line(at + 0.001, Line { window: 0, ..reset }.at(0, 0));
    }

    /// Five connections a second until then.
    fn usual(&mut self, until: f64) {
        for n in 0..(until * 5.0) as u16 {
            self.served(f64::from(n) / 5.0, (CLIENT, 30_000 + n), 0.002);
        }
    }

    /// Severity and kind of what was told, `over` where it ended.
    fn told(&self) -> Vec<String> {
        let said = |(_, finding): &(f64, Finding)| {
            let severity = format!("{:?}", finding.severity).to_lowercase();
            let over = if finding.over { " over" } else { "" };
            format!("{severity} {}{over}", finding.kind)
        };
        self.findings.iter().map(said).collect()
    }

    /// When the first of this kind was told, and when it says that it began.
    fn first(&self, kind: FindingKind) -> (f64, f64) {
        let found = self.findings.iter().find(|(_, finding)| finding.kind == kind);
        let (at, finding) = found.unwrap_or_else(|| panic!("no {kind}: {:?}", self.told()));
        (*at, (finding.first.mono.0 - BOOT) as f64 / 1e9)
    }

    fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|(_, finding)| finding.severity).max()
    }
}

/// What somebody does to a service at second 20, where five connections a second were served until then.
type Fault = fn(&mut Stage);

fn ask(stage: &mut Stage, at: f64, n: u16) -> (u8, u16) {
    let client = (CLIENT, 40_000 + n);
    stage.line(at, Line::of(client, (SERVER, HTTP), SYN));
    client
}

fn killed(stage: &mut Stage) {
    (0..40).for_each(|n| stage.refused(20.0 + f64::from(n) / 5.0, (CLIENT, 40_000 + n)));
}

fn dropped(stage: &mut Stage) {
    for n in 0..40 {
        let at = 20.0 + f64::from(n) / 5.0;
        ask(stage, at, n);
    }
}

fn rejected(stage: &mut Stage) {
    for n in 0..40 {
        let at = 20.0 + f64::from(n) / 5.0;
        let client = (CLIENT, 40_000 + n);
        let quoted = Line::of(client, (SERVER, HTTP), SYN).v4();
        ask(stage, at, n);
        // Port unreachable, from a router.
        let mut bytes = Line::of((1, 0), client, 0).v4();
        bytes[23] = 1;
        bytes.truncate(34);
        bytes[16..18].copy_from_slice(&56_u16.to_be_bytes());
        bytes.extend([3, 3, 0, 0, 0, 0, 0, 0]);
        bytes.extend(&quoted[14..42]);
        stage.bytes(at + 0.001, Direction::Inbound, &bytes);
    }
}

fn stopped(stage: &mut Stage) {
    for n in 0..40 {
        let (at, client) = (20.0 + f64::from(n) / 5.0, (CLIENT, 40_000 + n));
        stage.accepted(at, client);
        let ask = Line { acknowledgement: 5_001, ..Line::of(client, (SERVER, HTTP), ACK) };
        stage.line(at + 0.002, ask.at(1_001, 100));
    }
}

#[test]
fn services_that_fail_are_told_with_their_first_failure_and_when_they_serve_again() {
    use FindingKind::{ServiceRefused, ServiceStalled, ServiceUnanswered};
    let cases: [(&str, Fault, FindingKind, f64); 4] = [
        ("killed", killed, ServiceRefused, 21.3),
        ("dropped", dropped, ServiceUnanswered, 22.4),
        ("rejected", rejected, ServiceRefused, 21.3),
        ("stopped", stopped, ServiceStalled, 24.3),
    ];
    for (name, fault, kind, soon) in cases {
        for wire in [Wire::AtClient, Wire::File, Wire::InVlan] {
            if name == "rejected" && wire != Wire::AtClient {
                continue;
            }
            let mut stage = Stage::new(wire);
            stage.usual(20.0);
            assert_eq!(stage.told(), [""; 0], "{name} {wire:?}");
            fault(&mut stage);
            let (told, began) = stage.first(kind);
            assert!(told <= soon && (began - 20.0).abs() < 0.01, "{name} {wire:?}: {told} {began}");
            stage.wait(33.0);
            for n in 0..10 {
                stage.served(33.0 + f64::from(n), (CLIENT, 50_000 + n), 0.002);
            }
            stage.wait(45.0);
            let expected = [format!("critical {kind}"), format!("critical {kind} over")];
            let told: Vec<_> =
                stage.told().into_iter().filter(|told| told.contains("service")).collect();
            assert_eq!(told, expected, "{name} {wire:?}");
        }
    }
}

#[test]
fn the_sentence_says_what_works() {
    let mut stage = Stage::new(Wire::AtClient);
    stage.usual(20.0);
    killed(&mut stage);
    stage.wait(30.0);
    let (_, finding) = &stage.findings[0];
    assert_eq!(
        finding.sentence,
        "10.0.0.20:80 refuses connections (RST): all 6 in 1.0 s; before, it answered every one of \
         100. Nobody listens there any longer, host and path are alive"
    );
    assert_eq!(finding.parties.len(), 2);
}

#[test]
fn services_that_only_seem_to_fail_are_no_failures() {
    let stories: [(&str, Fault, Option<Severity>); 10] = [
        (
            "a restart",
            |stage| {
                (0..15)
                    .for_each(|n| stage.refused(20.0 + f64::from(n) / 20.0, (CLIENT, 40_000 + n)));
                stage.served(20.9, (CLIENT, 41_000), 0.002);
            },
            None,
        ),
        (
            "a server that is slow",
            |stage| {
                for n in 0..20 {
                    stage.served(20.0 + f64::from(n) * 3.0, (CLIENT, 40_000 + n), 2.5);
                }
            },
            None,
        ),
        (
            "a scan of closed ports",
            |stage| {
                for port in 1..300 {
                    let (client, service) = ((CLIENT, 45_000), (SERVER, 1_000 + port));
                    let at = 20.0 + f64::from(port) / 100.0;
                    stage.line(at, Line::of(client, service, SYN));
                    let reset =
                        Line { acknowledgement: 1_001, ..Line::of(service, client, RST | ACK) };
                    stage.line(at + 0.001, reset.at(0, 0));
                }
            },
            Some(Severity::Notice),
        ),
        (
            "somebody whom a firewall turns away",
            |stage| {
                (0..60).for_each(|n| stage.refused(20.0 + f64::from(n) / 10.0, (99, 40_000 + n)));
            },
            None,
        ),
        (
            "checks that connect and close",
            |stage| {
                for n in 0..60 {
                    let (at, client) = (20.0 + f64::from(n) / 5.0, (CLIENT, 40_000 + n));
                    stage.accepted(at, client);
                    let reset = Line {
                        acknowledgement: 5_001,
                        ..Line::of(client, (SERVER, HTTP), RST | ACK)
                    };
                    stage.line(at + 0.002, reset.at(1_001, 0));
                }
            },
            None,
        ),
        (
            "clients that give up at once",
            |stage| {
                for n in 0..60 {
                    let at = 20.0 + f64::from(n) / 5.0;
                    let client = ask(stage, at, n);
                    stage.served(at + 0.1, (CLIENT, 50_000 + n), 0.002);
                    stage.line(at + 0.5, Line::of(client, (SERVER, HTTP), RST).at(1_001, 0));
                }
            },
            None,
        ),
        (
            "connections that stay idle",
            |stage| {
                (0..60)
                    .for_each(|n| stage.accepted(20.0 + f64::from(n) / 5.0, (CLIENT, 40_000 + n)));
            },
            None,
        ),
        (
            "resets after the end",
            |stage| {
                for n in 0..60 {
                    let (at, client) = (20.0 + f64::from(n) / 5.0, (CLIENT, 40_000 + n));
                    stage.served(at, client, 0.002);
                    stage.line(at + 0.01, Line::of((SERVER, HTTP), client, RST).at(5_302, 0));
                }
            },
            None,
        ),
        (
            "a host that was never asked before",
            |stage| {
                for n in 0..8 {
                    let (client, service) = ((CLIENT, 40_000 + n), (77, HTTP));
                    stage.line(20.0 + f64::from(n), Line::of(client, service, SYN));
                }
            },
            Some(Severity::Notice),
        ),
        (
            "a service that never was",
            |stage| {
                for n in 0..8 {
                    let (client, service) = ((CLIENT, 40_000 + n), (SERVER, 81));
                    stage.line(20.0 + f64::from(n), Line::of(client, service, SYN));
                    let reset =
                        Line { acknowledgement: 1_001, ..Line::of(service, client, RST | ACK) };
                    stage.line(20.001 + f64::from(n), reset.at(0, 0));
                }
            },
            Some(Severity::Notice),
        ),
    ];
    for (name, story, expected) in stories {
        for wire in [Wire::AtClient, Wire::File] {
            let mut stage = Stage::new(wire);
            stage.usual(20.0);
            story(&mut stage);
            stage.wait(100.0);
            assert_eq!(stage.worst(), expected, "{name} {wire:?}: {:?}", stage.told());
            assert!(stage.told().len() <= 6, "{name}: {:?}", stage.told());
        }
    }
}

#[test]
fn what_found_no_room_is_not_judged() {
    let mut stage = Stage::new(Wire::AtClient);
    stage.usual(20.0);
    // More than the way to the detectors takes between two summaries: answers are not seen.
    for n in 0..60_u16 {
        let at = 20.05 + f64::from(n) / 10.0;
        for port in 0..1_200 {
            stage.line(at, Line::of((30, 1_000 + port), (31, 9), SYN).at(u32::from(n), 0));
        }
        stage.served(at + 0.01, (CLIENT, 40_000 + n), 0.002);
    }
    let told = stage.told();
    assert!(
        !told.iter().any(|told| told.contains("service") && !told.contains("notice")),
        "{told:?}"
    );
}

#[test]
fn floods_are_told_from_crowds() {
    // SYNs a second, sources, how many of a hundred go on; told or not
    for (name, rate, sources, goes_on, expected) in [
        ("spoofed", 2_000_u32, 3_000, 0, true),
        ("one source", 2_000, 1, 0, true),
        ("few", 200, 200, 0, false),
        ("a crowd", 2_000, 3_000, 100, false),
    ] {
        let mut stage = Stage::new(Wire::InVlan);
        stage.usual(20.0);
        for n in 0..rate * 4 {
            let at = 20.0 + f64::from(n) / f64::from(rate);
            let host = if sources == 1 { 99 } else { 100 + (n % 100) as u8 };
            let port = 1_024 + (n % 60_000) as u16;
            let client = (host, port);
            stage.line(at, Line::of(client, (SERVER, HTTP), SYN).at(n, 0));
            if goes_on > 0 {
                let ask = Line::of(client, (SERVER, HTTP), ACK);
                stage.line(at, ask.at(n + 1, 100));
            }
        }
        stage.wait(40.0);
        let floods: Vec<_> =
            stage.told().into_iter().filter(|told| told.contains("syn_flood")).collect();
        let told = ["warning syn_flood", "warning syn_flood over"];
        assert_eq!(floods, told[..if expected { 2 } else { 0 }], "{name}");
        if expected {
            let (told, began) = stage.first(FindingKind::SynFlood);
            assert!(told < 21.7 && (19.5..20.3).contains(&began), "{name}: {told} {began}");
            assert_eq!(stage.worst(), Some(Severity::Warning), "{name}: {:?}", stage.told());
        }
    }
}

/// A stream of full segments, a hundred a second; `lost` says which are sent again 50 ms later.
fn stream(stage: &mut Stage, port: u16, span: (u32, u32), lost: impl Fn(u32) -> bool) {
    let flow = Line::of((CLIENT, port), (SERVER, 5_001), ACK);
    for n in span.0 * 100..span.1 * 100 {
        let at = f64::from(n) / 100.0;
        if n >= 5 && lost(n - 5) {
            stage.line(at, flow.at((n - 5) * 1_448, 1_448));
        }
        stage.line(at, flow.at(n * 1_448, 1_448));
    }
}

#[test]
fn losses_are_told_against_the_usual() {
    type Lost = fn(u32) -> bool;
    let cases: [(&str, Lost, bool); 5] = [
        ("5 % from second 20 on", |n| n % 500 == 7 || n >= 2_000 && n % 20 == 3, true),
        ("as few as ever", |n| n % 500 == 7, false),
        ("many, as ever", |n| n % 20 == 3, false),
        ("a queue that overflows once", |n| (2_000..2_060).contains(&n), false),
        ("too few to tell", |n| n >= 2_000 && n % 100 == 3, false),
    ];
    for (name, lost, expected) in cases {
        for wire in [Wire::AtClient, Wire::File] {
            let mut stage = Stage::new(wire);
            stream(&mut stage, 40_000, (0, 40), lost);
            stream(&mut stage, 40_000, (40, 60), |_| false);
            let told: &[&str] =
                if expected { &["warning tcp_loss", "warning tcp_loss over"] } else { &[] };
            assert_eq!(stage.told(), told, "{name} {wire:?}");
            if expected {
                let (told, began) = stage.first(FindingKind::TcpLoss);
                assert!(told < 25.0 && (20.0..20.6).contains(&began), "{name}: {told} {began}");
                let sentence = &stage.findings[0].1.sentence;
                assert!(sentence.starts_with("segments are lost: "), "{sentence}");
            }
        }
    }
}

#[test]
fn a_capture_of_two_taps_has_no_losses() {
    let mut stage = Stage::new(Wire::File);
    let flow = Line::of((CLIENT, 40_000), (SERVER, 5_001), ACK);
    let mut late = std::collections::VecDeque::new();
    for n in 0..4_000_u32 {
        let line = flow.at(n * 1_448, 1_448);
        stage.line(f64::from(n) / 100.0, line);
        late.push_back(Line { number: stage.number, ..line });
        // The other tap is 40 ms away, from second 20 on.
        if late.len() > 4 && n > 2_000 {
            let line = late.pop_front().unwrap();
            stage.bytes(f64::from(n) / 100.0, Direction::Unknown, &line.v6());
        } else if late.len() > 4 {
            late.pop_front();
        }
    }
    assert_eq!(stage.told(), [""; 0]);
}

/// A segment of the stream that is sent again as Linux does it, from 0.2 s on, each time twice as late.
fn again(stage: &mut Stage, lines: &[Line], begin: f64, times: u32) {
    for n in 0..=times {
        let at = begin + 0.2 * f64::from((1_u32 << n) - 1);
        lines.iter().for_each(|line| stage.line(at, *line));
        if n < times {
            // Others go on.
            let more = 0.2 * f64::from(1_u32 << n);
            for step in 1..((more * 5.0) as u32) {
                let port = 50_000 + (at * 10.0) as u16 + step as u16;
                stage.served(at + f64::from(step) / 5.0, (CLIENT, port), 0.002);
            }
        }
    }
}

#[test]
fn large_packets_that_do_not_arrive_are_a_hole() {
    let to_server = |port, length| {
        let sequence = 2_000 * 1_448;
        Line::of((CLIENT, port), (SERVER, 5_001), ACK).at(sequence, length)
    };
    // name, segments that are stuck, served beside, what is told first
    for (name, stuck, told) in [
        ("two", vec![to_server(40_000, 1_448), to_server(40_001, 1_448)], "critical mtu_hole"),
        ("one", vec![to_server(40_000, 1_448)], "warning mtu_hole"),
        ("a small one", vec![to_server(40_000, 200)], "notice tcp_unacknowledged"),
    ] {
        for wire in [Wire::AtClient, Wire::File] {
            let mut stage = Stage::new(wire);
            for port in [40_000, 40_001] {
                stream(&mut stage, port, (19, 20), |_| false);
            }
            again(&mut stage, &stuck, 20.0, 5);
            stage.wait(27.0);
            assert_eq!(stage.told()[0], told, "{name} {wire:?}: {:?}", stage.told());
            let kind = stage.findings[0].1.kind;
            let (when, began) = stage.first(kind);
            let soon = if kind == FindingKind::MtuHole { 21.6 } else { 26.4 };
            assert!(when < soon && (began - 20.0).abs() < 0.05, "{name} {wire:?}: {when} {began}");
        }
    }
}

#[test]
fn a_peer_that_is_silent_is_a_warning_and_a_client_that_is_gone_a_notice() {
    let flow = |from, to, length| Line::of(from, to, ACK).at(2_000 * 1_448, length);
    let (client, service) = ((CLIENT, 40_000), (SERVER, 5_001));
    for (name, line, history, told) in [
        ("the service", flow(client, service, 648), true, "warning tcp_unacknowledged"),
        ("never heard of", flow(client, service, 648), false, "notice tcp_unacknowledged"),
        ("a client", flow(service, client, 1_448), false, "notice tcp_unacknowledged"),
    ] {
        let mut stage = Stage::new(Wire::File);
        if history {
            stream(&mut stage, 40_000, (19, 20), |_| false);
        }
        for at in [0.0, 0.2, 0.8, 2.0, 4.4, 9.2] {
            stage.line(20.0 + at, line);
        }
        stage.wait(60.0);
        let expected = [told.to_owned(), format!("{told} over")];
        assert_eq!(stage.told(), expected, "{name}");
        let (when, began) = stage.first(FindingKind::TcpUnacknowledged);
        assert!((24.3..24.6).contains(&when) && (began - 20.0).abs() < 0.02, "{name}: {when}");
    }
}

#[test]
fn windows_that_stay_closed_are_told_and_those_that_pause_are_not() {
    let flow = Line::of((SERVER, 5_001), (CLIENT, 40_000), ACK);
    let closed = Line { window: 0, ..flow };
    // name, when it is closed, when open, when ended; what is told
    for (name, says, opens, ends, told) in [
        ("does not read", vec![0.0, 0.2, 0.6, 1.4, 3.0], Some(8.0), None, 2),
        ("reads after a moment", vec![0.0, 0.2, 0.6], Some(1.5), None, 0),
        ("nobody waits", vec![0.0], None, None, 0),
        ("until the end", vec![0.0, 0.3, 0.9, 2.1], None, Some(9.0), 2),
    ] {
        for wire in [Wire::AtClient, Wire::File, Wire::InVlan] {
            let mut stage = Stage::new(wire);
            stream(&mut stage, 40_000, (0, 20), |_| false);
            for at in &says {
                stage.line(20.0 + at, closed);
            }
            if let Some(at) = opens {
                stage.line(20.0 + at, flow);
            }
            if let Some(at) = ends {
                stage.line(20.0 + at, Line { flags: RST, ..flow });
            }
            stage.wait(50.0);
            let expected = ["warning tcp_zero_window", "warning tcp_zero_window over"];
            assert_eq!(stage.told(), expected[..told], "{name} {wire:?}");
            if told > 0 {
                let (when, began) = stage.first(FindingKind::TcpZeroWindow);
                assert!(when < 22.3 && (began - 20.0).abs() < 0.01, "{name}: {when} {began}");
            }
        }
    }
}

#[test]
fn answers_that_come_late_are_told() {
    for (name, wait, expected) in [("late", 0.3, true), ("a little", 0.02, false)] {
        let mut stage = Stage::new(Wire::File);
        stage.usual(20.0);
        for n in 0..40 {
            let (at, client) = (20.0 + f64::from(n) / 2.0, (CLIENT, 40_000 + n));
            let service = (SERVER, HTTP);
            stage.line(at, Line::of(client, service, SYN));
            let answer = Line { acknowledgement: 1_001, ..Line::of(service, client, SYN | ACK) };
            stage.line(at + wait, answer.at(5_000, 0));
        }
        stage.wait(41.0);
        let told: &[&str] = if expected { &["warning tcp_round_trip"] } else { &[] };
        assert_eq!(stage.told(), told, "{name}");
        if expected {
            assert!((stage.first(FindingKind::TcpRoundTrip).1 - 20.0).abs() < 0.01);
        }
    }
}

/// Packet too big for a segment of the client, or fragmentation needed.
fn too_big(number: u32) -> Vec<u8> {
    let segment = Line::of((CLIENT, 40_000), (SERVER, HTTP), ACK).at(number, 1_448).v4();
    let mut bytes = Line::of((1, 0), (CLIENT, 0), 0).v4();
    bytes[23] = 1;
    bytes.truncate(34);
    bytes[16..18].copy_from_slice(&56_u16.to_be_bytes());
    bytes.extend([3, 4, 0, 0, 0, 0, 0x05, 0x14]);
    bytes.extend(&segment[14..42]);
    bytes
}

#[test]
fn routers_that_say_too_big_are_a_notice_and_a_warning_where_nobody_heeds_it() {
    let mut stage = Stage::new(Wire::AtClient);
    for (n, at) in [0.0, 0.01, 0.02, 5.0].into_iter().enumerate() {
        stage.bytes(at, Direction::Inbound, &too_big(n as u32 * 1_448));
    }
    stage.wait(200.0);
    assert_eq!(stage.told(), ["notice packet_too_big", "notice packet_too_big over"]);
    assert_eq!(
        stage.findings[0].1.sentence,
        "10.0.0.1 says that packets of 10.0.0.10 to 10.0.0.20 are too big: they have 1488 bytes, \
         the way takes 1300"
    );
    let mut stage = Stage::new(Wire::AtClient);
    for at in [0.0, 0.3, 0.9, 2.1, 4.5] {
        stage.bytes(at, Direction::Inbound, &too_big(9));
    }
    stage.wait(200.0);
    assert_eq!(
        stage.told(),
        [
            "notice packet_too_big",
            "warning packet_too_big",
            "notice packet_too_big over",
            "warning packet_too_big over",
        ]
    );
    let (_, finding) = &stage.findings[1];
    assert!(finding.sentence.contains("it has no effect"), "{}", finding.sentence);
    assert_eq!(finding.first, stage.findings[0].1.first);
}
