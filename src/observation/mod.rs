//! What was seen: one moment, one fact. The words that watchers, triggers, incidents, exports and reports
//! share; nobody here watches anything.
//!
//! [`Fact`] has a variant for each kind; what a kind tells stands in a file of its name. Serialised, the
//! names of facts and their fields are what `events.jsonl` and the control socket promise, so they never
//! change.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::address::AddressChange;
use self::attribute::AttributeChange;
use self::capture::CaptureEvent;
use self::counter::CounterGrowth;
use self::fetch::Fetch;
use self::link::{LinkSample, LinkState};
use self::log_line::LogLine;
use self::neighbour::NeighbourChange;
use self::probe::{ProbeDown, ProbeLossy, ProbeSlow, ProbeUp};
use self::program::ProgramNote;
use self::request::{Ask, Door};
use self::route::RouteChange;
use crate::finding::Finding;
use crate::time::{Stamp, as_nanos};

pub mod address;
pub mod attribute;
pub mod capture;
pub mod counter;
pub mod fetch;
pub mod kept;
pub mod link;
mod link_change;
pub mod link_role;
pub mod log_line;
pub mod neighbour;
pub mod probe;
pub mod program;
pub mod request;
pub mod route;
mod severity;
pub mod shown;

/// One fact, and when its watcher learned it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When the watcher saw it.
    pub at: Stamp,
    /// What it saw.
    pub fact: Fact,
}

/// What can be seen. Displayed, a fact is one sentence for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// An interface appeared, or something about it changed (rtnetlink).
    Link {
        /// Its state before; none when it has just appeared.
        before: Option<LinkState>,
        /// Its state now.
        now: LinkState,
    },
    /// An interface was removed (`RTM_DELLINK`).
    LinkGone {
        /// Its last known state.
        last: LinkState,
    },
    /// An address of ours was added or removed, or its state changed (rtnetlink).
    Address(Box<AddressChange>),
    /// A default route came or went, or leads elsewhere (rtnetlink).
    Route(Box<RouteChange>),
    /// A watched neighbour answers, or no longer does (rtnetlink).
    Neighbour(Box<NeighbourChange>),
    /// An attribute in /sys or /proc changed, or went beyond its threshold or back.
    Attribute(Box<AttributeChange>),
    /// A counter of trouble grew (rtnetlink).
    Counter(Box<CounterGrowth>),
    /// One row of the operator's table (sysfs, or computed from rtnetlink).
    Sample(LinkSample),
    /// A probe was answered.
    ProbeAnswered {
        /// The probe as configured: a host name or address.
        probe: String,
        /// The address it was resolved to at the start.
        address: IpAddr,
        /// Time from request to answer.
        #[serde(rename = "round_trip_ns", with = "as_nanos")]
        round_trip: Duration,
    },
    /// A probe was not answered in time, or could not be sent.
    ProbeLost {
        /// The probe as configured.
        probe: String,
        /// The address it was resolved to at the start.
        address: IpAddr,
        /// How many in a row are lost by now, this one included.
        in_a_row: u32,
        /// Since it was sent.
        #[serde(rename = "waited_ns", with = "as_nanos")]
        waited: Duration,
        /// "no answer in 1 s", or the reason why it could not be sent.
        reason: String,
    },
    /// A probe that was told lost was answered after all: the way is slow rather than broken.
    ProbeLate {
        /// The probe as configured.
        probe: String,
        /// The address it was resolved to at the start.
        address: IpAddr,
        /// Time from request to answer, longer than the probe's timeout.
        #[serde(rename = "round_trip_ns", with = "as_nanos")]
        round_trip: Duration,
    },
    /// A probe went down.
    ProbeDown(ProbeDown),
    /// A probe that was down is up again.
    ProbeUp(ProbeUp),
    /// A probe became slow, or fast again.
    ProbeSlow(ProbeSlow),
    /// A probe began to lose too much, or no longer does.
    ProbeLossy(ProbeLossy),
    /// The operator asked for a snapshot (SIGUSR1).
    SnapshotSignal,
    /// The operator asked to stop (SIGINT, SIGTERM, or SIGHUP unless it is ignored).
    StopSignal,
    /// The command under `dashcap exec` ended.
    CommandEnded {
        /// The command line.
        command: String,
        /// How it ended: "exit status: 3", "signal: 11".
        ending: String,
        /// True if that counts as success.
        success: bool,
        /// How long it ran.
        #[serde(rename = "ran_ns", with = "as_nanos")]
        ran: Duration,
    },
    /// Somebody asked for a snapshot through one of the endpoints.
    Asked(Box<Ask>),
    /// Somebody told through one of the endpoints what opens no incident: that an alert is over.
    Told {
        /// Through which door.
        door: Door,
        /// Who.
        who: String,
        /// What.
        what: String,
    },
    /// The operator made triggers count again, or no longer.
    Arming {
        /// True if they count from now on.
        armed: bool,
        /// Who.
        who: String,
    },
    /// Somebody of the fleet fetches a bundle, or may not.
    Fetched(Box<Fetch>),
    /// A detector concluded something from the frames.
    Finding(Box<Finding>),
    /// A hook or a collector began, ended, or did not run.
    Program(Box<ProgramNote>),
    /// Somebody logged a line that matches.
    Log(Box<LogLine>),
    /// Something happened to the capture of an interface itself.
    Capture {
        /// The interface.
        interface: String,
        /// What happened.
        event: CaptureEvent,
    },
    /// The configuration was read again, and holds from now on.
    Reloaded {
        /// The file.
        file: String,
        /// Keys that changed, as in the file.
        changed: Vec<String>,
        /// Keys that changed and hold only after a restart.
        needs_restart: Vec<String>,
    },
    /// The configuration was read again and means nothing; the one before goes on.
    ReloadRefused {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// A watcher sees nothing any more, or nothing of one interface.
    WatcherEnded {
        /// The watcher's name.
        watcher: String,
        /// The interface, if it is about one only.
        #[serde(skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
        /// Why.
        why: WatcherEnd,
    },
    /// A watcher knows that it missed something.
    Missed {
        /// The watcher's name.
        watcher: String,
        /// How much and why: "the netlink socket overflowed, state read anew".
        what: String,
    },
}

/// Why a watcher sees nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatcherEnd {
    /// It cannot see, for this reason.
    Failed(String),
    /// It panicked: a defect of dashcap.
    Panicked,
}

impl Fact {
    /// The interface this is about, if any.
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::Link { now: state, .. } | Self::LinkGone { last: state } => Some(&state.name),
            Self::Address(change) => Some(&change.interface),
            Self::Route(change) => change.interface(),
            Self::Neighbour(change) => Some(&change.interface),
            Self::Attribute(change) => change.interface.as_deref(),
            Self::Counter(growth) => Some(&growth.interface),
            Self::Sample(sample) => Some(&sample.interface),
            Self::Capture { interface, .. } => Some(interface),
            Self::Finding(finding) => finding.interface.as_deref(),
            Self::WatcherEnded { interface, .. } => interface.as_deref(),
            Self::Log(line) => line.interface(),
            _ => None,
        }
    }

    /// The watcher that sees facts of this kind.
    pub fn watcher(&self) -> &str {
        match self {
            Self::Link { .. } | Self::LinkGone { .. } => "link",
            Self::Address(_) | Self::Route(_) | Self::Neighbour(_) => "ip",
            Self::Attribute(_) => "attribute",
            Self::Counter(_) => "counters",
            Self::Sample(_) => "sysfs",
            Self::ProbeAnswered { .. } | Self::ProbeLost { .. } | Self::ProbeLate { .. } => "probe",
            Self::ProbeDown(_) | Self::ProbeUp(_) | Self::ProbeSlow(_) | Self::ProbeLossy(_) => {
                "probe"
            }
            Self::SnapshotSignal | Self::StopSignal => "signal",
            Self::CommandEnded { .. } => "command",
            Self::Asked(ask) => ask.door.name(),
            Self::Told { door, .. } => door.name(),
            Self::Arming { .. } => Door::Control.name(),
            Self::Fetched(_) => "fleet",
            Self::Finding(finding) => finding.watcher(),
            Self::Program(_) => "hook",
            Self::Log(_) => "log",
            Self::Capture { .. } => "capture",
            Self::Reloaded { .. } | Self::ReloadRefused { .. } => "config",
            Self::WatcherEnded { watcher, .. } | Self::Missed { watcher, .. } => watcher,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { before: None, now } => {
                write!(f, "{} appeared (index {}, {})", now.name, now.index, now.in_words())
            }
            Self::Link { before: Some(before), now } => link_change::write(f, before, now),
            Self::LinkGone { last } => write!(f, "{} removed (index {})", last.name, last.index),
            Self::Address(change) => write!(f, "{change}"),
            Self::Route(change) => write!(f, "{change}"),
            Self::Neighbour(change) => write!(f, "{change}"),
            Self::Attribute(change) => write!(f, "{change}"),
            Self::Counter(growth) => write!(f, "{growth}"),
            Self::Sample(sample) => write!(
                f,
                "{}: carrier {}, {} for {:.1} s, {} changes",
                sample.interface,
                sample.carrier.map_or("unknown", |on| if on { "1" } else { "0" }),
                sample.operstate,
                sample.age.as_secs_f64(),
                sample.changes
            ),
            Self::ProbeAnswered { probe, round_trip, .. } => {
                write!(f, "probe {probe} answered after {:.3} ms", round_trip.as_secs_f64() * 1e3)
            }
            Self::ProbeLost { probe, in_a_row, reason, .. } => {
                write!(f, "probe {probe} lost ({reason}), {in_a_row} in a row")
            }
            Self::ProbeLate { probe, round_trip, .. } => write!(
                f,
                "probe {probe} answered late, after {:.3} ms",
                round_trip.as_secs_f64() * 1e3
            ),
            Self::ProbeDown(down) => write!(f, "{down}"),
            Self::ProbeUp(up) => write!(f, "{up}"),
            Self::ProbeSlow(slow) => write!(f, "{slow}"),
            Self::ProbeLossy(lossy) => write!(f, "{lossy}"),
            Self::SnapshotSignal => f.write_str("snapshot asked for by SIGUSR1"),
            Self::StopSignal => f.write_str("stop asked for by signal"),
            Self::CommandEnded { command, ending, success, ran } => {
                let how = if *success { "succeeded" } else { "failed" };
                write!(f, "{command:?} {how} after {:.1} s: {ending}", ran.as_secs_f64())
            }
            Self::Asked(ask) => write!(f, "{ask}"),
            Self::Told { door, who, what } => write!(f, "{who} ({door}) says: {what}"),
            Self::Arming { armed: true, who } => write!(f, "armed again by {who}"),
            Self::Arming { armed: false, who } => {
                write!(f, "disarmed by {who}: only snapshots asked for open incidents")
            }
            Self::Fetched(fetch) => write!(f, "{fetch}"),
            Self::Finding(finding) => write!(f, "{finding}"),
            Self::Program(note) => write!(f, "{note}"),
            Self::Log(line) => write!(f, "{line}"),
            Self::Capture { interface, event } => write!(f, "capture on {interface}: {event}"),
            Self::Reloaded { file, changed, needs_restart } => {
                write!(f, "{file} read again, changed: {}", listed(changed))?;
                if needs_restart.is_empty() {
                    return Ok(());
                }
                write!(f, "; needs a restart to hold: {}", listed(needs_restart))
            }
            Self::ReloadRefused { file, reason } => {
                write!(f, "{file} read again and refused, nothing changes: {reason}")
            }
            Self::WatcherEnded { watcher, interface, why } => {
                write!(f, "{watcher} sees nothing from now on")?;
                if let Some(interface) = interface {
                    write!(f, " of {interface}, whose frames are recorded")?;
                }
                match why {
                    WatcherEnd::Failed(reason) => write!(f, ": {reason}"),
                    WatcherEnd::Panicked => f.write_str(": it panicked, which is a bug"),
                }
            }
            Self::Missed { watcher, what } => write!(f, "{watcher} missed something: {what}"),
        }
    }
}

fn listed(keys: &[String]) -> String {
    if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{FindingKind, Severity};
    use crate::time::Stamp;

    #[test]
    fn a_fact_serialises_with_its_tag() {
        let fact = Fact::Capture { interface: "eth0".into(), event: CaptureEvent::Gap };
        let json = serde_json::to_string(&fact).unwrap();
        assert_eq!(json, r#"{"fact":"capture","interface":"eth0","event":{"event":"gap"}}"#);
    }

    /// Regression: what watchers of the host concluded was told as if frames had shown it.
    #[test]
    fn a_finding_is_of_the_watcher_that_concludes_it() {
        use FindingKind::{CaptureGap, ClockStep, LinkFlapping, RoutesGone, TableFull};
        let finding = |kind, interface: Option<&str>| {
            let (at, sentence) = (Stamp::default(), String::new());
            let finding = Finding::of_host(kind, Severity::Warning, at, "", sentence);
            let interface = interface.map(str::to_owned);
            Fact::Finding(Box::new(Finding { interface, ..finding }))
        };
        for (kind, interface, watcher) in [
            (LinkFlapping, Some("eth0"), "link"),
            (TableFull, None, "capacity"),
            (RoutesGone, Some("eth0"), "routes"),
            (ClockStep, None, "clock"),
            (CaptureGap, None, "clock"),
            (CaptureGap, Some("eth0"), "detect"),
            (FindingKind::BgpSilence, Some("eth0"), "detect"),
        ] {
            assert_eq!(finding(kind, interface).watcher(), watcher, "{kind}");
        }
    }
}
