//! Each kind of finding, told by a report on a capture that has it, with the moment it began; and beside it
//! ordinary traffic that looks alike and gives nothing at warning or above.

use super::*;
use crate::detect::protocols::tests::frames::*;
use crate::finding::FindingKind::{self, *};
use crate::finding::Severity::{Critical, Info, Notice, Warning};
use crate::wire::Mac;

/// The same one after the other, as a table is read.
pub(super) struct Case {
    pub(super) kind: FindingKind,
    pub(super) severity: Severity,
    /// Seconds from [`BEGIN`] to the first frame that belongs to it, and how much later may be told: of what
    /// is counted ten times a second, or concluded from what did not come.
    pub(super) first: (f64, f64),
    pub(super) story: fn(&mut Tape),
    pub(super) twin: fn(&mut Tape),
}

impl Tape {
    pub(super) fn at(&mut self, seconds: f64, bytes: &[u8]) {
        self.frame((seconds * 1e9).round() as u64, bytes);
    }

    /// `bytes(n)` at each of `count` moments from `begin` on.
    pub(super) fn each(
        &mut self,
        begin: f64,
        every: f64,
        count: u32,
        bytes: impl Fn(u32) -> Vec<u8>,
    ) {
        (0..count).for_each(|n| self.at(begin + every * f64::from(n), &bytes(n)));
    }

    /// Somebody else says something, so that time passes until then.
    pub(super) fn until(&mut self, seconds: f64) {
        self.at(seconds, &udp(8, 9, 7));
    }

    /// Station 1 talks with 2 and 3, so many times a second, both ways or only out.
    fn talk(&mut self, (from, to): (u32, u32), rate: u32, both: bool) {
        for n in from * rate..to * rate {
            let (at, peer) = (f64::from(n) / f64::from(rate), 2 + (n % 2) as u8);
            self.at(at, &udp(peer, 1, n));
            if both {
                self.at(at + 1e-6, &udp(1, peer, n));
            }
        }
    }
}

/// A TCP segment from station `from` to `to`.
fn tcp(from: u8, to: u8, (sequence, length): (u32, u16), flags: u8, window: u16) -> Vec<u8> {
    let mut bytes = udp(to, from, 0);
    bytes.truncate(34);
    bytes[16..18].copy_from_slice(&(40 + length).to_be_bytes());
    bytes[23] = 6;
    bytes.extend([0x9c, 0x40, 0, 80]);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0x50, flags]);
    bytes.extend(window.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.resize(54 + usize::from(length), 7);
    bytes
}

/// A packet with this time to live.
fn hop(ttl: u8) -> Vec<u8> {
    let mut bytes = udp(2, 1, 77);
    bytes[22] = ttl;
    bytes
}

const ACK: u8 = 0x10;
const RST: u8 = 0x04;
const UP: u8 = 0x3d;
const EXPIRED: u8 = 0x85;
const DEFAULTED: u8 = 0x45;

fn switch(state: u8) -> Vec<u8> {
    lacp((SWITCH, 27, state), (ROUTER, 9, UP))
}

/// LACPDUs of both ends every 30 s, as long as all is well; the router asks for slow ones.
fn aggregate(tape: &mut Tape, until: u32) {
    for n in 0..until / 30 {
        tape.at(f64::from(n) * 30.0, &switch(UP));
        tape.at(f64::from(n) * 30.0 + 5.0, &lacp((ROUTER, 9, UP), (SWITCH, 27, UP)));
    }
}

fn well(tape: &mut Tape) {
    aggregate(tape, 240);
}

fn ask(to: Mac) -> Vec<u8> {
    arp_request((ROUTER, 75), to, 65)
}

fn masters(tape: &mut Tape) {
    tape.each(0.0, 1.0, 30, |_| vrrp(2, 7, 120));
}

fn hellos(tape: &mut Tape) {
    tape.each(0.0, 3.0, 20, |_| hsrp(2, 0, 16, 120));
}

fn bridges(tape: &mut Tape) {
    tape.each(0.0, 2.0, 20, |_| rstp(1, 2, false));
}

fn sessions(tape: &mut Tape) {
    for n in 0..60 {
        tape.at(f64::from(n) * 0.3, &bfd(2, 3, 3, 0));
        tape.at(f64::from(n) * 0.3 + 0.1, &bfd(3, 2, 3, 0));
    }
}

fn adjacency(tape: &mut Tape) {
    for n in 0..9 {
        tape.at(f64::from(n) * 10.0, &ospf(2, &[3]));
        tape.at(f64::from(n) * 10.0 + 1.0, &ospf(3, &[2]));
    }
}

fn peers(tape: &mut Tape) {
    tape.at(0.0, &bgp(2, 3, ACK, &KEEP_ALIVE));
    tape.at(0.1, &bgp(3, 2, ACK, &KEEP_ALIVE));
}

/// Segments of one connection, a hundred a second.
fn stream(tape: &mut Tape) {
    tape.each(0.0, 0.01, 800, |n| tcp(2, 1, (n * 100, 100), ACK, 9_000));
}

const CASES: &[Case] = &[
    Case {
        kind: NearDuplicateLoop,
        severity: Warning,
        first: (1.0, 0.1),
        story: |tape| tape.each(1.0, 0.002, 30, |n| hop(64 - 2 * n as u8)),
        // traceroute: each one hop further.
        twin: |tape| tape.each(1.0, 0.05, 30, |n| hop(1 + n as u8)),
    },
    Case {
        kind: ArpUnanswered,
        severity: Warning,
        first: (1.0, 0.0),
        story: |tape| {
            tape.at(0.0, &arp_reply((HSRP_MAC, 65), (ROUTER, 75)));
            tape.each(1.0, 1.0, 6, |_| ask(HSRP_MAC));
        },
        twin: |tape| {
            for n in 0..6 {
                tape.at(f64::from(n), &ask(Mac::BROADCAST));
                tape.at(f64::from(n) + 0.01, &arp_reply((HSRP_MAC, 65), (ROUTER, 75)));
            }
        },
    },
    Case {
        kind: NdUnanswered,
        severity: Warning,
        first: (0.0, 0.0),
        story: |tape| tape.each(0.0, 1.0, 6, |_| solicitation(1, 2)),
        twin: |tape| {
            for n in 0..6 {
                tape.at(f64::from(n), &solicitation(1, 2));
                tape.at(f64::from(n) + 0.01, &advertisement(2, OTHER, 1));
            }
        },
    },
    Case {
        kind: AddressConflict,
        severity: Warning,
        // The claim of the second one.
        first: (1.0, 0.0),
        story: |tape| {
            for (at, mac) in [(0.0, ROUTER), (1.0, OTHER), (2.0, ROUTER)] {
                tape.at(at, &arp_reply((mac, 65), (SWITCH, 3)));
            }
        },
        // A takeover.
        twin: |tape| {
            tape.at(0.0, &arp_reply((ROUTER, 65), (SWITCH, 3)));
            tape.each(1.0, 1.0, 3, |_| arp_reply((OTHER, 65), (SWITCH, 3)));
        },
    },
    Case {
        kind: AddressMoved,
        severity: Notice,
        first: (1.0, 0.0),
        story: |tape| {
            tape.at(0.0, &arp_reply((ROUTER, 65), (SWITCH, 3)));
            tape.at(1.0, &arp_reply((OTHER, 65), (SWITCH, 3)));
        },
        // VRRP's virtual router.
        twin: |tape| {
            tape.at(0.0, &arp_reply((ROUTER, 65), (SWITCH, 3)));
            tape.at(1.0, &arp_reply((HSRP_MAC, 65), (SWITCH, 3)));
        },
    },
    Case {
        kind: DhcpNak,
        severity: Notice,
        first: (1.0, 0.0),
        story: |tape| {
            tape.at(0.0, &lease((0, [255; 4]), OTHER, (3, 9), (0, 20, 0)));
            tape.at(1.0, &lease((2, [255; 4]), OTHER, (6, 9), (2, 0, 0)));
        },
        twin: |tape| {
            tape.at(0.0, &lease((0, [255; 4]), OTHER, (3, 9), (0, 20, 0)));
            tape.at(1.0, &lease((2, [255; 4]), OTHER, (5, 9), (2, 20, 1)));
        },
    },
    Case {
        kind: DhcpDeclined,
        severity: Warning,
        first: (2.0, 0.0),
        story: |tape| {
            tape.at(0.0, &lease((2, [255; 4]), OTHER, (5, 9), (2, 20, 1)));
            tape.at(1.0, &arp_reply((SWITCH, 20), (OTHER, 0)));
            tape.at(2.0, &lease((0, [255; 4]), OTHER, (4, 10), (2, 20, 0)));
        },
        twin: |tape| tape.at(0.0, &lease((2, [255; 4]), OTHER, (5, 9), (2, 20, 1))),
    },
    Case {
        kind: DhcpReleased,
        severity: Info,
        first: (1.0, 0.0),
        story: |tape| tape.at(1.0, &lease((20, [10, 0, 0, 2]), OTHER, (7, 9), (2, 20, 0))),
        twin: |tape| tape.at(1.0, &lease((20, [10, 0, 0, 2]), OTHER, (8, 9), (2, 20, 0))),
    },
    Case {
        kind: DhcpServersDiffer,
        severity: Warning,
        first: (1.0, 0.0),
        story: |tape| {
            tape.at(0.0, &lease((2, [255; 4]), OTHER, (2, 9), (2, 20, 1)));
            tape.at(1.0, &lease((66, [255; 4]), OTHER, (2, 9), (66, 80, 66)));
        },
        // A pair that shares the work.
        twin: |tape| {
            tape.at(0.0, &lease((2, [255; 4]), OTHER, (2, 9), (2, 20, 1)));
            tape.at(1.0, &lease((3, [255; 4]), OTHER, (2, 9), (3, 80, 1)));
        },
    },
    Case {
        kind: RaExpired,
        severity: Critical,
        // When the next one was due.
        first: (12.0, 0.0),
        story: |tape| {
            tape.each(0.0, 4.0, 3, |_| router(1, ROUTER, 12, &[(6, 60)]));
            tape.until(30.0);
        },
        twin: |tape| {
            tape.each(0.0, 10.0, 4, |_| router(1, ROUTER, 12, &[(6, 60)]));
        },
    },
    Case {
        kind: RaWithdrawn,
        severity: Warning,
        first: (8.0, 0.0),
        story: |tape| {
            tape.each(0.0, 4.0, 2, |_| router(1, ROUTER, 12, &[(6, 60)]));
            tape.at(8.0, &router(1, ROUTER, 0, &[(6, 60)]));
        },
        twin: |tape| tape.each(0.0, 4.0, 5, |_| router(1, ROUTER, 0, &[(6, 60)])),
    },
    Case {
        kind: RaRogue,
        severity: Warning,
        first: (20.5, 0.0),
        story: |tape| {
            for n in 0..16 {
                tape.at(f64::from(n) * 2.0, &router(1, ROUTER, 12, &[(6, 60)]));
                if n >= 10 {
                    tape.at(f64::from(n) * 2.0 + 0.5, &router(2, OTHER, 1800, &[(7, 60)]));
                }
            }
        },
        // Both were there from the beginning.
        twin: |tape| {
            for n in 0..16 {
                tape.at(f64::from(n) * 2.0, &router(1, ROUTER, 12, &[(6, 60)]));
                tape.at(f64::from(n) * 2.0 + 0.5, &router(2, OTHER, 1800, &[(7, 60)]));
            }
        },
    },
    Case {
        kind: RaChanged,
        severity: Warning,
        first: (8.0, 0.0),
        story: |tape| {
            tape.each(0.0, 4.0, 2, |_| router(1, ROUTER, 12, &[(6, 60)]));
            tape.each(8.0, 4.0, 2, |_| router(1, ROUTER, 12, &[(6, 0), (7, 60)]));
        },
        twin: |tape| {
            tape.each(0.0, 4.0, 2, |_| router(1, ROUTER, 12, &[(6, 60)]));
            tape.each(8.0, 4.0, 2, |_| router(1, ROUTER, 12, &[(6, 60), (7, 60)]));
        },
    },
    Case {
        kind: OneWay,
        severity: Warning,
        first: (119.99, 0.02),
        story: |tape| {
            tape.talk((0, 120), 20, true);
            tape.talk((120, 200), 20, false);
        },
        twin: |tape| tape.talk((0, 200), 20, true),
    },
    Case {
        kind: Silence,
        severity: Warning,
        first: (99.7, 0.3),
        story: |tape| {
            tape.talk((0, 100), 5, true);
            tape.talk((140, 141), 5, true);
        },
        twin: |tape| {
            tape.talk((0, 100), 5, true);
            tape.talk((120, 121), 5, true);
        },
    },
    Case {
        kind: RateChange,
        severity: Notice,
        first: (70.0, 10.0),
        story: |tape| {
            tape.talk((0, 75), 50, true);
            tape.talk((75, 100), 500, true);
        },
        twin: |tape| tape.talk((0, 100), 50, true),
    },
    Case {
        kind: LacpSilence,
        severity: Warning,
        first: (30.0, 95.0),
        story: |tape| {
            aggregate(tape, 60);
            tape.until(150.0);
        },
        twin: well,
    },
    Case {
        kind: LacpExpired,
        severity: Warning,
        first: (90.0, 0.0),
        story: |tape| {
            aggregate(tape, 90);
            tape.each(90.0, 1.0, 3, |_| switch(EXPIRED));
        },
        twin: well,
    },
    Case {
        kind: LacpDefaulted,
        severity: Critical,
        first: (93.0, 0.0),
        story: |tape| {
            aggregate(tape, 90);
            tape.at(90.0, &switch(EXPIRED));
            tape.at(93.0, &lacp((SWITCH, 27, DEFAULTED), (Mac([0; 6]), 0, 0)));
        },
        twin: well,
    },
    Case {
        kind: LacpPartnerChanged,
        severity: Warning,
        first: (90.0, 0.0),
        story: |tape| {
            aggregate(tape, 90);
            tape.at(90.0, &lacp((ROUTER, 9, UP), (OTHER, 1, UP)));
        },
        twin: well,
    },
    Case {
        kind: LacpRecovered,
        severity: Info,
        first: (120.0, 0.0),
        story: |tape| {
            aggregate(tape, 90);
            tape.at(90.0, &switch(EXPIRED));
            tape.at(120.0, &switch(UP));
        },
        twin: well,
    },
    Case {
        kind: VrrpSilence,
        severity: Warning,
        first: (29.0, 4.0),
        story: |tape| {
            masters(tape);
            tape.until(40.0);
        },
        twin: masters,
    },
    Case {
        kind: VrrpMasterChanged,
        severity: Warning,
        first: (34.0, 0.0),
        story: |tape| {
            masters(tape);
            tape.each(34.0, 1.0, 5, |_| vrrp(3, 7, 100));
        },
        // A better one takes over.
        twin: |tape| {
            masters(tape);
            tape.each(30.0, 1.0, 5, |_| vrrp(3, 7, 200));
        },
    },
    Case {
        kind: HsrpSilence,
        severity: Warning,
        first: (57.0, 10.5),
        story: |tape| {
            hellos(tape);
            tape.until(90.0);
        },
        twin: hellos,
    },
    Case {
        kind: HsrpStateChanged,
        severity: Warning,
        first: (70.0, 0.0),
        story: |tape| {
            hellos(tape);
            tape.each(70.0, 3.0, 3, |_| hsrp(3, 0, 16, 100));
        },
        twin: hellos,
    },
    Case {
        kind: StpTopologyChange,
        severity: Notice,
        first: (40.0, 0.0),
        story: |tape| {
            bridges(tape);
            tape.each(40.0, 2.0, 3, |_| rstp(1, 2, true));
        },
        twin: bridges,
    },
    Case {
        kind: StpRootChanged,
        severity: Warning,
        first: (40.0, 0.0),
        story: |tape| {
            bridges(tape);
            tape.each(40.0, 2.0, 3, |_| rstp(9, 2, false));
        },
        twin: bridges,
    },
    Case {
        kind: LldpNeighborChanged,
        severity: Notice,
        first: (60.0, 0.0),
        story: |tape| {
            tape.each(0.0, 30.0, 2, |_| lldp(2, "ge-0/0/1", 120));
            tape.each(60.0, 30.0, 4, |_| lldp(2, "ge-0/0/2", 120));
        },
        twin: |tape| tape.each(0.0, 30.0, 5, |_| lldp(2, "ge-0/0/1", 120)),
    },
    Case {
        kind: BfdDown,
        severity: Critical,
        first: (18.0, 0.0),
        story: |tape| {
            sessions(tape);
            tape.at(18.0, &bfd(2, 3, 1, 1));
        },
        twin: sessions,
    },
    Case {
        kind: OspfNeighborLost,
        severity: Warning,
        first: (81.0, 45.0),
        story: |tape| {
            adjacency(tape);
            tape.each(90.0, 10.0, 6, |_| ospf(2, &[3]));
        },
        twin: adjacency,
    },
    Case {
        kind: BgpNotification,
        severity: Critical,
        first: (30.0, 0.0),
        story: |tape| {
            peers(tape);
            tape.at(30.0, &bgp(2, 3, ACK, &notification(4, 0)));
        },
        twin: peers,
    },
    Case {
        kind: TcpResetBurst,
        severity: Warning,
        first: (2.89, 0.22),
        story: |tape| {
            tape.each(0.0, 0.01, 300, |n| tcp(2, 1, (n * 100, 100), ACK, 9_000));
            tape.each(3.0, 0.005, 600, |n| tcp(2, 1, (n, 0), RST, 0));
        },
        twin: stream,
    },
    Case {
        kind: TcpRetransmissionBurst,
        severity: Warning,
        first: (2.89, 0.22),
        story: |tape| {
            tape.each(0.0, 0.01, 300, |n| tcp(2, 1, (n * 100, 100), ACK, 9_000));
            tape.each(3.0, 0.01, 300, |n| tcp(2, 1, (n * 90, 100), ACK, 9_000 + n as u16));
        },
        twin: stream,
    },
    Case {
        kind: TcpZeroWindow,
        severity: Warning,
        first: (2.89, 0.22),
        story: |tape| {
            tape.each(0.0, 0.01, 300, |n| tcp(2, 1, (n * 100, 100), ACK, 9_000));
            tape.each(3.0, 0.01, 300, |n| tcp(2, 1, (n, 0), ACK, 0));
        },
        twin: stream,
    },
    Case {
        kind: IcmpUnreachableBurst,
        severity: Warning,
        first: (1.0, 3.0),
        story: |tape| tape.each(1.0, 0.01, 300, |n| unreachable(n as u8)),
        twin: |tape| tape.each(1.0, 0.3, 30, |n| unreachable(n as u8)),
    },
    Case {
        kind: DhcpNoAnswer,
        severity: Warning,
        first: (10.0, 0.0),
        story: |tape| {
            tape.at(0.0, &dhcp(OTHER, 1, 1));
            tape.at(0.1, &dhcp(OTHER, 2, 1));
            tape.each(10.0, 4.0, 5, |n| dhcp(ROUTER, 1, 2 + n as u8));
        },
        twin: |tape| {
            for n in 0..5 {
                tape.at(f64::from(n) * 4.0, &dhcp(ROUTER, 1, n as u8));
                tape.at(f64::from(n) * 4.0 + 0.2, &dhcp(ROUTER, 2, n as u8));
            }
        },
    },
    Case {
        kind: CaptureGap,
        severity: Notice,
        first: (99.0, 1.0),
        story: |tape| {
            tape.talk((0, 100), 10, true);
            tape.talk((110, 120), 10, true);
        },
        twin: |tape| tape.talk((0, 120), 10, true),
    },
];

fn told(story: fn(&mut Tape)) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let mut tape = Tape::new();
    story(&mut tape);
    reported(vec![tape.save(folder.path())])
}

#[test]
fn whom_an_interface_heard_last_is_told() {
    let report = told(|tape| {
        tape.talk((0, 20), 20, true);
        tape.talk((20, 30), 20, false);
    });
    let anybody = &report.last_heard[0];
    assert_eq!(anybody.who, "anybody");
    assert!((9.8..10.2).contains(&anybody.before_end_s), "{anybody:?}");
    let look = Look { width: 80, color: false, offset_minutes: None };
    assert!(text(&report, look).contains("Last heard"));
}

#[test]
fn each_kind_is_told_where_it_is_and_not_where_it_only_looks_alike() {
    judge(CASES);
}

/// Tells each story and its twin.
pub(super) fn judge(cases: &[Case]) {
    let mut wrong = Vec::new();
    for &Case { kind, severity, first: (at, late), story, twin } in cases {
        let report = told(story);
        let of_kind = |entry: &&model::Entry| entry.kind == kind.name();
        let exactly = |entry: &&model::Entry| of_kind(entry) && entry.severity == severity;
        let entry = report.findings.iter().find(exactly);
        let entry = entry.or_else(|| report.findings.iter().find(of_kind));
        let seconds = |wall: Wall| (wall.0 as f64 - BEGIN as f64) / 1e9;
        match entry {
            Some(entry)
                if entry.severity == severity
                    && (at - 1e-6..=at + late + 1e-6).contains(&seconds(entry.first)) => {}
            Some(entry) => wrong.push(format!("{kind}: {:.6} {entry:?}", seconds(entry.first))),
            None => wrong.push(format!("{kind}: only {:?}", sentences(&report))),
        }
        let ordinary = told(twin);
        if ordinary.worst() >= Some(Warning) {
            wrong.push(format!("beside {kind}: {:?}", sentences(&ordinary)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub(super) fn sentences(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|entry| entry.sentence.as_str()).collect()
}
