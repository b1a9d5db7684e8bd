//! Services: attempts, refusals, silence, floods; and what only looks like trouble.

use super::*;

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
