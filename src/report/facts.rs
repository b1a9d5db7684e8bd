//! What a fact of `events.jsonl` means for a report: how bad it is, when it began, whom it is about, and of what it is
//! the state.
//!
//! Read by field names and whichever version wrote them: what is not known says nothing.

use serde_json::Value;

use crate::finding::{Party, Severity};
use crate::frame::Direction;
use crate::time::Wall;

/// How bad a fact is by itself, and what findings call it.
pub(super) fn judged<'a>(fact: &'a str, what: &Value) -> (&'a str, Severity) {
    let is_up = |state: &Value| {
        let up = matches!(state["operstate"].as_str(), Some("up" | "unknown"));
        up && state["carrier"].as_bool() != Some(false)
    };
    let over = what["over"].as_bool() == Some(true);
    match fact {
        "link" if what["before"].is_null() => ("link", Severity::Info),
        "link" => match (is_up(&what["before"]), is_up(&what["now"])) {
            (true, false) => ("link_down", Severity::Critical),
            (false, true) => ("link_up", Severity::Info),
            _ => ("link", Severity::Info),
        },
        "link_gone" => ("link_gone", Severity::Critical),
        // It answers, too late to count.
        "probe_down" if what["late_ns"].is_u64() => ("probe_late", Severity::Warning),
        "probe_down" => ("probe_down", Severity::Warning),
        "probe_slow" | "probe_lossy" if !over => (fact, Severity::Notice),
        "log" | "attribute" | "counter" | "address" | "route" | "neighbour" => {
            (fact, Severity::Notice)
        }
        "capture" => match what["event"]["event"].as_str() {
            Some("gap" | "failed" | "dropping") => ("capture_gap", Severity::Warning),
            _ => ("capture", Severity::Info),
        },
        "missed" => ("missed", Severity::Notice),
        "command_ended" if what["success"].as_bool() == Some(false) => {
            ("command_failed", Severity::Critical)
        }
        other => (other, Severity::Info),
    }
}

/// When it began, where that was before it was told: a probe is down since the first request that was lost.
pub(super) fn begun(told: Wall, what: &Value) -> Wall {
    moment(&what["first_lost"]).filter(|first| *first < told).unwrap_or(told)
}

/// What a fact is the state of, if it is of one: the next such fact ends it.
pub(super) fn subject(fact: &str, what: &Value) -> Option<String> {
    let either = |key: &str| string(&what["now"][key]).or_else(|| string(&what["before"][key]));
    Some(match fact {
        "link" => format!("link {}", either("name")?),
        "probe_down" | "probe_up" => format!("probe {}", string(&what["probe"])?),
        "route" => format!("route {} {} {}", what["ipv6"], what["table"], what["metric"]),
        "address" | "neighbour" => format!("{fact} {} {}", what["interface"], what["address"]),
        _ => return None,
    })
}

/// True for a state that is as it should not be as long as it lasts.
pub(super) fn is_wrong(fact: &str, what: &Value) -> bool {
    match fact {
        "link" => judged(fact, what).0 == "link_down",
        "probe_down" => true,
        "route" | "address" => what["now"].is_null(),
        "neighbour" => what["now"]["answers"] == "no",
        _ => false,
    }
}

/// The interface that a route leads through, or led.
pub(super) fn way(what: &Value) -> Option<String> {
    let through = |route: &Value| string(&route["hops"][0]["interface"]);
    through(&what["now"]).or_else(|| through(&what["before"]))
}

/// True if an interface is down because somebody said so: `IFF_UP` is gone.
pub(super) fn is_set_down(what: &Value) -> bool {
    let up = |state: &Value| state["flags"].as_u64().map(|flags| flags & 1 != 0);
    up(&what["before"]) == Some(true) && up(&what["now"]) == Some(false)
}

/// Whom a fact is about, where its sentence names them: a probe's host, a neighbour and its station, the next
/// hops of a route.
pub(super) fn parties(fact: &str, what: &Value) -> Vec<Party> {
    let hosts = match fact {
        "link" | "link_gone" => Vec::new(),
        "route" => [&what["before"], &what["now"]]
            .into_iter()
            .flat_map(|route| array(&route["hops"]))
            .map(|hop| &hop["gateway"])
            .collect(),
        _ => vec![&what["address"], &what["before"]["address"], &what["now"]["address"]],
    };
    let mut parties = Vec::new();
    for party in hosts.into_iter().filter_map(|host| host.as_str()?.parse().ok()) {
        if !parties.contains(&party) {
            parties.push(party);
        }
    }
    parties
}

/// A severity by its word.
pub(super) fn word(value: &Value) -> Option<Severity> {
    serde_json::from_value(value.clone()).ok()
}

pub(super) fn direction(value: &Value) -> Direction {
    match value.as_str() {
        Some("inbound") => Direction::Inbound,
        Some("outbound") => Direction::Outbound,
        _ => Direction::Unknown,
    }
}

pub(super) fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(super) fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn moment(value: &Value) -> Option<Wall> {
    value.as_str()?.parse().ok()
}
