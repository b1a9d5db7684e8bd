//! `events.jsonl`, as [`crate::incident::events`] writes it.
//!
//! Facts are only ever written elsewhere, so the few that a replay needs have a reading form here. A
//! field that an older version did not write has its default.

use std::io::BufRead;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{HostEvents, lines, moment, refused};
use crate::error::Result;
use crate::observation::Fact;
use crate::observation::link::{LinkState, OperState};

const ACCEPTED: &str = "lines of events.jsonl, see docs/bundle.md";

#[derive(Deserialize)]
struct EventLine {
    time: String,
    kind: String,
    #[serde(default)]
    trigger: Option<String>,
    #[serde(default)]
    object: Option<String>,
    #[serde(default)]
    sentence: String,
    #[serde(default)]
    what: Value,
}

#[derive(Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
enum StoredFact {
    Link {
        before: Option<State>,
        now: State,
    },
    LinkGone {
        last: State,
    },
    ProbeAnswered {
        probe: String,
        address: Option<IpAddr>,
        round_trip_ns: u64,
    },
    ProbeLost {
        probe: String,
        address: Option<IpAddr>,
        in_a_row: u32,
        #[serde(default)]
        waited_ns: u64,
        reason: String,
    },
    ProbeLate {
        probe: String,
        address: Option<IpAddr>,
        round_trip_ns: u64,
    },
    SnapshotSignal,
    WatcherEnded {
        watcher: String,
    },
    Missed {
        watcher: String,
        what: String,
    },
    Capture {
        event: CaptureEventName,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct CaptureEventName {
    event: String,
}

#[derive(Deserialize)]
struct State {
    name: String,
    #[serde(default)]
    index: u32,
    #[serde(default)]
    hardware: u16,
    kind: Option<String>,
    master: Option<u32>,
    lower: Option<u32>,
    #[serde(default)]
    physical: bool,
    carrier: Option<bool>,
    operstate: String,
    #[serde(default)]
    flags: u32,
    #[serde(default)]
    mtu: u32,
    carrier_up_count: Option<u32>,
    carrier_down_count: Option<u32>,
}

/// Adds what the file tells.
pub(super) fn read(path: &Path, file: impl BufRead, events: &mut HostEvents) -> Result<()> {
    for line in lines(path, file) {
        let (number, text) = line?;
        if text.is_empty() {
            continue;
        }
        let refuse = |reason: String| refused(path, number, reason, ACCEPTED);
        let line: EventLine = serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))?;
        let wall =
            moment(&line.time).ok_or_else(|| refuse(format!("{:?} is no time", line.time)))?;
        if line.kind != "observation" {
            // A rule about interfaces in general was about this one.
            let about_a_link = line.trigger.is_some_and(|kind| kind.starts_with("link-"));
            events.watched.extend(line.object.filter(|_| about_a_link));
            events.pass_over(&line.kind);
            continue;
        }
        let kind = line.what["fact"].as_str().unwrap_or("unknown").to_owned();
        let told = serde_json::from_value(line.what).map_err(|e| refuse(e.to_string()))?;
        match fact(told, &line.sentence) {
            Some(fact) => events.add(path, wall, fact)?,
            None => events.pass_over(&kind),
        }
    }
    Ok(())
}

fn fact(told: StoredFact, sentence: &str) -> Option<Fact> {
    let known = |address: Option<IpAddr>| address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    Some(match told {
        StoredFact::Link { before, now } => {
            Fact::Link { before: before.map(State::into), now: now.into() }
        }
        StoredFact::LinkGone { last } => Fact::LinkGone { last: last.into() },
        StoredFact::ProbeAnswered { probe, address, round_trip_ns } => Fact::ProbeAnswered {
            probe,
            address: known(address),
            round_trip: Duration::from_nanos(round_trip_ns),
        },
        StoredFact::ProbeLost { probe, address, in_a_row, waited_ns, reason } => Fact::ProbeLost {
            probe,
            address: known(address),
            in_a_row,
            waited: Duration::from_nanos(waited_ns),
            reason,
        },
        StoredFact::ProbeLate { probe, address, round_trip_ns } => Fact::ProbeLate {
            probe,
            address: known(address),
            round_trip: Duration::from_nanos(round_trip_ns),
        },
        StoredFact::SnapshotSignal => Fact::SnapshotSignal,
        // What a watcher did not see then is missing now, whatever ended it.
        StoredFact::WatcherEnded { watcher } => Fact::Missed { watcher, what: sentence.to_owned() },
        StoredFact::Missed { watcher, what } => Fact::Missed { watcher, what },
        StoredFact::Capture { event } if ["gap", "failed", "dropping"].contains(&&*event.event) => {
            Fact::Missed { watcher: "capture".to_owned(), what: sentence.to_owned() }
        }
        StoredFact::Capture { .. } | StoredFact::Other => return None,
    })
}

impl From<State> for LinkState {
    fn from(state: State) -> Self {
        Self {
            index: state.index,
            name: state.name,
            hardware: state.hardware,
            kind: state.kind,
            master: state.master,
            lower: state.lower,
            physical: state.physical,
            carrier: state.carrier,
            operstate: operstate(&state.operstate),
            flags: state.flags,
            mtu: state.mtu,
            carrier_up_count: state.carrier_up_count,
            carrier_down_count: state.carrier_down_count,
            // What a bond tells of itself speaks to rules through findings of the replayed frames.
            ..Self::default()
        }
    }
}

/// As sysfs words it, or as the events do, with underscores.
pub(super) fn operstate(text: &str) -> OperState {
    match text.replace('_', "").as_str() {
        "notpresent" => OperState::NotPresent,
        "down" => OperState::Down,
        "lowerlayerdown" => OperState::LowerLayerDown,
        "testing" => OperState::Testing,
        "dormant" => OperState::Dormant,
        "up" => OperState::Up,
        _ => OperState::Unknown,
    }
}
