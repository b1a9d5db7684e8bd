//! Lines of `events.jsonl` read back, whichever version wrote them: what this one does not know is called by its
//! name, and a field that is missing has its default.
//!
//! Strings control nothing once they are read: names of interfaces and lines of logs are somebody's words.

use serde::Deserialize;
use serde_json::Value;

use crate::finding::Severity;
use crate::observation::Fact;
use crate::time::{Mono, Wall};
use crate::visible;

/// Longest line in bytes: a log line has 8 KiB (`watch::logs`), a link change 1 KiB.
pub const LONGEST_LINE: u64 = 64 << 10;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct EventLine {
    /// When.
    pub time: Wall,
    /// The same by the other clock.
    pub mono: Option<Mono>,
    /// How bad, as its writer judged.
    pub severity: Option<Severity>,
    /// The interface it is about.
    pub interface: Option<String>,
    /// The whole of it for a person.
    pub sentence: String,
    /// What it is.
    pub event: StoredEvent,
}

/// What a line is.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredEvent {
    /// Something was seen.
    Observation {
        /// The fact's name.
        name: String,
        /// The fact; none where this version cannot read it.
        fact: Option<Box<Fact>>,
    },
    /// Something triggered.
    Trigger {
        /// The kind of the trigger.
        kind: Option<String>,
        /// What it is about.
        object: Option<String>,
    },
    /// Anything else, by the name of its kind: `run`.
    Other(String),
}

#[derive(Deserialize)]
struct Fields {
    time: Wall,
    mono_ns: Option<Mono>,
    kind: String,
    severity: Option<Severity>,
    interface: Option<String>,
    #[serde(default)]
    sentence: String,
    trigger: Option<String>,
    object: Option<String>,
    what: Option<Value>,
}

impl EventLine {
    /// Reads one line, with or without its end.
    ///
    /// # Errors
    /// Why it has no meaning: it is no JSON, has no time or no kind, or a field of another type.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let value = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let fields: Fields =
            serde_json::from_value(visible::plain_value(value)).map_err(|e| e.to_string())?;
        let event = match fields.kind.as_str() {
            "observation" => observation(fields.what.unwrap_or_default()),
            "trigger" => StoredEvent::Trigger { kind: fields.trigger, object: fields.object },
            _ => StoredEvent::Other(fields.kind),
        };
        let Fields { time, mono_ns: mono, severity, interface, sentence, .. } = fields;
        Ok(Self { time, mono, severity, interface, sentence, event })
    }
}

fn observation(what: Value) -> StoredEvent {
    let name = what["fact"].as_str().unwrap_or("unknown").to_owned();
    StoredEvent::Observation { name, fact: serde_json::from_value(what).ok().map(Box::new) }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::finding::{Finding, FindingKind, Party};
    use crate::incident::events;
    use crate::incident::fixture::{answered, at, link};
    use crate::observation::address::{AddressChange, Validity};
    use crate::observation::attribute::{AttributeChange, Condition};
    use crate::observation::capture::CaptureEvent;
    use crate::observation::counter::{Counter, CounterGrowth};
    use crate::observation::fetch::{Fetch, PacketShare};
    use crate::observation::link::{LinkState, OperState};
    use crate::observation::link_role::{Aggregator, Bond, BondPort, LacpState, Port};
    use crate::observation::log_line::{Header, LogLine, LogSource, Priority};
    use crate::observation::neighbour::{Answers, Neighbour, NeighbourChange};
    use crate::observation::probe::{ProbeDown, ProbeLossy, ProbeSlow, ProbeUp};
    use crate::observation::program::{ProgramEvent, ProgramNote, Role};
    use crate::observation::request::{Ask, Door};
    use crate::observation::route::{NextHop, Route, RouteChange};
    use crate::observation::{Observation, WatcherEnd};
    use crate::wire::Mac;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const SPAN: Duration = Duration::from_millis(1_412);

    fn name() -> String {
        "eth0".to_owned()
    }

    fn bond() -> LinkState {
        let station = Some("02:00:00:00:00:07".parse().unwrap());
        let actor = Some(LacpState(0x3d));
        let port = BondPort { state: "active".to_owned(), actor, ..BondPort::default() };
        let aggregator = Some(Aggregator { id: 2, ..Aggregator::default() });
        LinkState {
            name: name(),
            carrier: Some(true),
            operstate: OperState::LowerLayerDown,
            address: station,
            bond: Some(Box::new(Bond { aggregator, ..Bond::default() })),
            port: Some(Box::new(Port::Bond(port))),
            ..LinkState::default()
        }
    }

    fn network() -> Vec<Fact> {
        let neighbour = |answers| {
            Some(Neighbour { answers, address: Some("02:00:00:00:00:07".parse().unwrap()) })
        };
        let hop = NextHop { gateway: Some(ADDRESS), interface: Some(name()), usable: true };
        let protocol = Some("dhcp".to_owned());
        let route = Route { kind: "unicast".to_owned(), hops: vec![hop], protocol };
        vec![
            Fact::Link { before: None, now: bond() },
            Fact::LinkGone { last: bond() },
            link(3, "eth0", (true, "up"), (false, "down")).fact,
            Fact::Address(Box::new(AddressChange {
                interface: name(),
                address: ADDRESS,
                prefix_len: 24,
                before: Some(Validity::Tentative),
                now: Some(Validity::Duplicate),
            })),
            Fact::Route(Box::new(RouteChange {
                ipv6: false,
                table: 254,
                metric: 100,
                before: Some(route),
                now: None,
            })),
            Fact::Neighbour(Box::new(NeighbourChange {
                interface: name(),
                address: ADDRESS,
                before: neighbour(Answers::Yes),
                now: neighbour(Answers::No),
            })),
            Fact::Attribute(Box::new(AttributeChange {
                path: "/sys/class/net/eth0/speed".to_owned(),
                item: None,
                interface: Some(name()),
                condition: Condition::Below(1_000.0),
                before: Some("10000".to_owned()),
                now: Some("100".to_owned()),
            })),
            Fact::Counter(Box::new(CounterGrowth {
                interface: name(),
                counter: Counter::RxCrcErrors,
                before: 3,
                now: 7,
                per_second: 4.0,
            })),
        ]
    }

    fn probes() -> Vec<Fact> {
        let (probe, address, in_a_row) = ("gw".to_owned(), ADDRESS, 3);
        let reason = "no answer in 1 s".to_owned();
        vec![
            answered(1, "gw", 412).fact,
            Fact::ProbeLost {
                probe: probe.clone(),
                address,
                in_a_row,
                waited: SPAN,
                reason: reason.clone(),
            },
            Fact::ProbeLate { probe: probe.clone(), address, round_trip: SPAN },
            Fact::ProbeDown(ProbeDown {
                probe: probe.clone(),
                address,
                in_a_row,
                lasting: SPAN,
                first_lost: at(3).wall,
                last_answered: Some(at(2).wall),
                late: Some(SPAN),
                reason,
            }),
            Fact::ProbeUp(ProbeUp { probe: probe.clone(), address, in_a_row, after: SPAN }),
            Fact::ProbeSlow(ProbeSlow {
                probe: probe.clone(),
                address,
                round_trip: SPAN,
                above: SPAN,
                in_a_row,
                over: false,
            }),
            Fact::ProbeLossy(ProbeLossy {
                probe,
                address,
                lost: 3,
                of: 4,
                percent: 50,
                over: true,
            }),
        ]
    }

    fn requests() -> Vec<Fact> {
        let mut ask = Ask::new(Door::Http, "192.0.2.9", "before the reboot");
        ask.post = Some(SPAN);
        let who = "uid 0".to_owned();
        vec![
            Fact::SnapshotSignal,
            Fact::StopSignal,
            Fact::CommandEnded {
                command: "make".to_owned(),
                ending: "signal: 11".to_owned(),
                success: false,
                ran: SPAN,
            },
            Fact::Asked(Box::new(ask)),
            Fact::Told { door: Door::File, who: who.clone(), what: "over".to_owned() },
            Fact::Arming { armed: false, who },
            Fact::Fetched(Box::new(Fetch::allowed("noc", "x", PacketShare::Headers, 7))),
            Fact::Reloaded { file: "f".to_owned(), changed: vec![name()], needs_restart: vec![] },
            Fact::ReloadRefused { file: "f".to_owned(), reason: "no".to_owned() },
        ]
    }

    fn others() -> Vec<Fact> {
        let kind = FindingKind::DuplicateStorm;
        let sentence = "a storm".to_owned();
        let mut storm = Finding::of_host(kind, Severity::Critical, at(0), "ARP", sentence);
        storm = storm.about(Party::Vlan(7)).about(Party::Station(Mac([2, 0, 0, 0, 0, 7])));
        // Its moments are those of the line.
        (storm.first, storm.last) = Default::default();
        storm.rate = Some(372.5);
        let program = |event| {
            let (role, name, incident) = (Role::Hook, "readd".to_owned(), "i".to_owned());
            Fact::Program(Box::new(ProgramNote { role, name, incident, event }))
        };
        let capture = |event| Fact::Capture { interface: name(), event };
        let watcher = || "link".to_owned();
        vec![
            Fact::Finding(Box::new(storm)),
            program(ProgramEvent::Began),
            program(ProgramEvent::NotRun { why: "busy".to_owned() }),
            program(ProgramEvent::Ended {
                ending: "exit status: 1".to_owned(),
                success: false,
                ran: SPAN,
                kept: 7,
                beyond: 0,
                last: None,
            }),
            Fact::Log(Box::new(LogLine {
                source: LogSource::Syslog(ADDRESS),
                matcher: "vrrp-fault".to_owned(),
                text: "Entering FAULT STATE".to_owned(),
                fields: [("interface".to_owned(), name())].into(),
                header: Header { priority: Some(Priority::Err), ..Header::default() },
                elsewhere: None,
            })),
            capture(CaptureEvent::Started { index: 2, source: "packet ring".to_owned() }),
            capture(CaptureEvent::Gap),
            capture(CaptureEvent::Failed { reason: "no memory".to_owned(), defect: false }),
            capture(CaptureEvent::Storing { dropped: 7 }),
            Fact::WatcherEnded { watcher: watcher(), interface: None, why: WatcherEnd::Panicked },
            Fact::WatcherEnded {
                watcher: watcher(),
                interface: Some(name()),
                why: WatcherEnd::Failed("no socket".to_owned()),
            },
            Fact::Missed { watcher: watcher(), what: "all".to_owned() },
        ]
    }

    #[test]
    fn every_fact_is_read_as_it_was_written() {
        for fact in [network(), probes(), requests(), others()].into_iter().flatten() {
            let seen = Observation { at: at(5), fact };
            let text = serde_json::to_vec(&events::of_seen(&seen)).unwrap();
            let line = EventLine::read(&text).unwrap();
            assert_eq!((line.time, line.mono), (seen.at.wall, Some(seen.at.mono)));
            assert_eq!(line.severity, Some(seen.fact.severity()));
            assert_eq!(line.interface.as_deref(), seen.fact.interface());
            assert_eq!(line.sentence, seen.fact.to_string());
            let StoredEvent::Observation { fact: Some(fact), .. } = line.event else {
                panic!("{line:?}")
            };
            assert_eq!(*fact, seen.fact);
        }
    }

    #[test]
    fn what_is_not_known_has_its_name_and_what_controls_is_escaped() {
        let text = r#"{"time":"2026-11-22T14:14:28Z","kind":"observation","sentence":"a\u001b[31m","what":{"fact":"new"}}"#;
        let line = EventLine::read(text.as_bytes()).unwrap();
        assert_eq!(line.sentence, "a\\u{1b}[31m");
        assert_eq!(line.event, StoredEvent::Observation { name: "new".to_owned(), fact: None });
        for (text, reason) in [
            ("", "EOF"),
            ("[]", "invalid length"),
            (r#"{"kind":"run"}"#, "time"),
            (r#"{"time":"yesterday","kind":"run"}"#, "no time as in RFC 3339"),
            (r#"{"time":"2026-11-22T14:14:28Z"}"#, "kind"),
        ] {
            let told = EventLine::read(text.as_bytes()).unwrap_err();
            assert!(told.contains(reason), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, what in r#"\{"fact":"[a-z_]{1,20}"\}"#) {
            let _ = EventLine::read(&bytes);
            let line = format!(r#"{{"time":"2026-11-22T14:14:28Z","kind":"observation","what":{what}}}"#);
            prop_assert!(EventLine::read(line.as_bytes()).is_ok());
        }
    }
}
