//! The kinds of findings about TCP, as [`kinds`](super::kinds) has the others: services, floods, paths.

use super::kinds::{Case, judge};
use super::*;
use crate::finding::FindingKind::{
    MtuHole, PacketTooBig, ServiceRefused, ServiceStalled, ServiceUnanswered, SynFlood, TcpLoss,
    TcpRoundTrip, TcpUnacknowledged,
};
use crate::finding::Severity::{Critical, Warning};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// Stations, with their ports: who asks, what serves, what takes streams.
const CLIENT: u8 = 1;
const HTTP: (u8, u16) = (2, 80);
const SINK: (u8, u16) = (2, 5_001);
/// Full-sized payload.
const FULL: u16 = 1_448;
/// Until then all is well.
const FAULT: f64 = 20.0;

/// Of a connection: from, to, flags, sequence, acknowledgement, length; `number` is the packet's.
fn segment(
    (from, to): ((u8, u16), (u8, u16)),
    flags: u8,
    (sequence, acknowledgement): (u32, u32),
    length: u16,
    number: u16,
) -> Vec<u8> {
    let mut bytes = udp(to.0, from.0, 0);
    bytes.truncate(34);
    bytes[16..18].copy_from_slice(&(40 + length).to_be_bytes());
    bytes[18..20].copy_from_slice(&number.to_be_bytes());
    bytes[23] = 6;
    bytes.extend([from.1.to_be_bytes(), to.1.to_be_bytes()].concat());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(acknowledgement.to_be_bytes());
    bytes.extend([0x50, flags, 2, 0]);
    bytes.extend(number.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.resize(54 + usize::from(length), 7);
    bytes
}

/// What becomes of a connection that is asked for.
type Course = fn(&mut Tape, f64, (u8, u16));

fn asked(tape: &mut Tape, at: f64, client: (u8, u16)) {
    tape.at(at, &segment((client, HTTP), SYN, (1_000, 0), 0, 1));
}

fn refused(tape: &mut Tape, at: f64, client: (u8, u16)) {
    asked(tape, at, client);
    tape.at(at + 0.001, &segment((HTTP, client), RST | ACK, (0, 1_001), 0, 2));
}

fn accepted(tape: &mut Tape, at: f64, client: (u8, u16)) {
    asked(tape, at, client);
    tape.at(at + 0.001, &segment((HTTP, client), SYN | ACK, (5_000, 1_001), 0, 2));
}

fn accepted_late(tape: &mut Tape, at: f64, client: (u8, u16)) {
    asked(tape, at, client);
    tape.at(at + 0.15, &segment((HTTP, client), SYN | ACK, (5_000, 1_001), 0, 2));
}

fn requested(tape: &mut Tape, at: f64, client: (u8, u16)) {
    accepted(tape, at, client);
    tape.at(at + 0.002, &segment((client, HTTP), ACK, (1_001, 5_001), 100, 3));
}

fn served(tape: &mut Tape, at: f64, client: (u8, u16)) {
    requested(tape, at, client);
    tape.at(at + 0.004, &segment((HTTP, client), ACK, (5_001, 1_101), 300, 4));
    tape.at(at + 0.005, &segment((HTTP, client), ACK | FIN, (5_301, 1_101), 0, 5));
    tape.at(at + 0.005, &segment((client, HTTP), ACK | FIN, (1_101, 5_302), 0, 6));
}

fn reset_at_the_end(tape: &mut Tape, at: f64, client: (u8, u16)) {
    served(tape, at, client);
    tape.at(at + 0.01, &segment((HTTP, client), RST, (5_302, 0), 0, 7));
}

/// Five connections a second, each with this course.
fn connections(tape: &mut Tape, (from, to): (f64, f64), course: Course) {
    for n in (from * 5.0).round() as u16..(to * 5.0).round() as u16 {
        course(tape, f64::from(n) / 5.0, (CLIENT, 30_000 + n));
    }
}

/// It serves, then connections have this course, for ten seconds.
fn then(tape: &mut Tape, course: Course) {
    connections(tape, (0.0, FAULT), served);
    connections(tape, (FAULT, FAULT + 10.0), course);
    tape.until(FAULT + 15.0);
}

/// SYNs of one host, 2,000 a second, from the fault on.
fn many(tape: &mut Tape, goes_on: bool) {
    connections(tape, (0.0, FAULT), served);
    for n in 0..6_000_u32 {
        let (at, client) = (FAULT + f64::from(n) / 2_000.0, (9, 1_024 + n as u16));
        tape.at(at, &segment((client, HTTP), SYN, (n, 0), 0, 1));
        if goes_on {
            tape.at(at + 1e-4, &segment((HTTP, client), SYN | ACK, (5_000, n + 1), 0, 2));
            tape.at(at + 2e-4, &segment((client, HTTP), ACK, (n + 1, 5_001), 100, 3));
            tape.at(at + 3e-4, &segment((HTTP, client), ACK, (5_001, n + 101), 300, 4));
        }
    }
}

/// Full segments of two connections, a hundred a second each; `lost` says which are sent again 50 ms later.
fn streams(tape: &mut Tape, (from, to): (f64, f64), lost: fn(u32) -> bool) {
    let full = |port, n: u32, number: u32| {
        let flow = ((CLIENT, port), SINK);
        segment(flow, ACK, (n * u32::from(FULL), 1), FULL, number as u16)
    };
    for n in (from * 100.0) as u32..(to * 100.0) as u32 {
        for port in [40_000, 40_001] {
            let at = f64::from(n) / 100.0;
            if n >= 5 && lost(n - 5) {
                tape.at(at, &full(port, n - 5, n * 2 + 1));
            }
            tape.at(at, &full(port, n, n * 2));
        }
    }
}

/// The next segments of both connections, sent again and again as Linux does it, while others are served.
fn stuck(tape: &mut Tape, length: u16) {
    streams(tape, (FAULT - 1.0, FAULT), |_| false);
    let mut number = 0_u16;
    for wait in [0.0, 0.2, 0.6, 1.4, 3.0, 6.2] {
        for port in [40_000, 40_001] {
            let sequence = FAULT as u32 * 100 * u32::from(FULL);
            number += 1;
            let flow = ((CLIENT, port), SINK);
            tape.at(FAULT + wait, &segment(flow, ACK, (sequence, 1), length, number));
        }
        connections(tape, (FAULT + wait + 0.2, FAULT + 2.0 * wait + 0.2), served);
    }
}

/// A router says of a segment that the way takes 1,300 bytes.
fn too_big(number: u32) -> Vec<u8> {
    let refused = segment(((CLIENT, 40_000), HTTP), ACK, (number, 1), FULL, 9);
    let mut bytes = udp(CLIENT, 7, 0);
    bytes[23] = 1;
    bytes.truncate(34);
    bytes[16..18].copy_from_slice(&56_u16.to_be_bytes());
    bytes.extend([3, 4, 0, 0, 0, 0, 0x05, 0x14]);
    bytes.extend(&refused[14..42]);
    bytes
}

const CASES: &[Case] = &[
    Case {
        kind: ServiceRefused,
        severity: Critical,
        first: (FAULT, 0.0),
        story: |tape| then(tape, refused),
        twin: |tape| then(tape, reset_at_the_end),
    },
    Case {
        kind: ServiceUnanswered,
        severity: Critical,
        first: (FAULT, 0.0),
        story: |tape| then(tape, asked),
        twin: |tape| then(tape, served),
    },
    Case {
        kind: ServiceStalled,
        severity: Critical,
        first: (FAULT, 0.0),
        story: |tape| then(tape, requested),
        // Connections that stay idle.
        twin: |tape| then(tape, accepted),
    },
    Case {
        kind: SynFlood,
        severity: Warning,
        first: (FAULT - 0.5, 0.5),
        story: |tape| many(tape, false),
        // A crowd.
        twin: |tape| many(tape, true),
    },
    Case {
        kind: TcpRoundTrip,
        severity: Warning,
        first: (FAULT, 0.0),
        story: |tape| then(tape, accepted_late),
        // As slow as ever.
        twin: |tape| connections(tape, (0.0, 30.0), accepted_late),
    },
    Case {
        kind: TcpLoss,
        severity: Warning,
        first: (FAULT, 0.6),
        story: |tape| streams(tape, (0.0, 40.0), |n| n >= 2_000 && n % 20 == 3),
        // As many as ever.
        twin: |tape| streams(tape, (0.0, 40.0), |n| n % 20 == 3),
    },
    Case {
        kind: MtuHole,
        severity: Critical,
        first: (FAULT - 0.05, 0.1),
        story: |tape| stuck(tape, FULL),
        twin: |tape| streams(tape, (0.0, 30.0), |_| false),
    },
    Case {
        kind: TcpUnacknowledged,
        severity: Warning,
        first: (FAULT - 0.05, 0.1),
        story: |tape| {
            streams(tape, (FAULT - 1.0, FAULT), |_| false);
            let sequence = FAULT as u32 * 100 * u32::from(FULL);
            for (n, wait) in [0.0, 0.2, 0.8, 2.0, 4.4, 9.2].into_iter().enumerate() {
                let flow = ((CLIENT, 40_000), SINK);
                tape.at(FAULT + wait, &segment(flow, ACK, (sequence, 1), 648, n as u16));
            }
        },
        twin: |tape| streams(tape, (FAULT - 1.0, FAULT + 9.0), |_| false),
    },
    Case {
        kind: PacketTooBig,
        severity: Warning,
        first: (FAULT, 0.0),
        story: |tape| tape.each(FAULT, 0.5, 6, |_| too_big(9)),
        // Each was heeded, and is of another segment.
        twin: |tape| tape.each(FAULT, 5.0, 3, |n| too_big(n * u32::from(FULL))),
    },
];

#[test]
fn each_kind_of_tcp_is_told_where_it_is_and_not_where_it_only_looks_alike() {
    judge(CASES);
}
