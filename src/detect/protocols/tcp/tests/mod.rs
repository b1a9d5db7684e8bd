//! Stories of connections, from frames through the tap to what is told; and those that only look alike.

mod paths;
mod services;

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
