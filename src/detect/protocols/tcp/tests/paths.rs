//! The way between two hosts: losses, holes, silence, closed windows, late answers.

use super::*;

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
