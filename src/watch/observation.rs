//! What a watcher saw: one moment, one fact. Triggers judge observations, bundles show them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use pnet::util::MacAddr;
use serde::Serialize;

use super::ask::{Ask, Door};
use crate::finding::Finding;
use crate::time::Stamp;
use crate::watch::attribute::AttributeChange;
use crate::watch::counters::CounterGrowth;
use crate::watch::ip::{address::AddressChange, neighbour::NeighbourChange, route::RouteChange};
use crate::watch::link::{difference, role};
use crate::watch::logs::LogLine;
use crate::watch::probe::{ProbeDown, ProbeLossy, ProbeSlow, ProbeUp};
use crate::watch::program::ProgramNote;

/// One fact, and when its watcher learned it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When the watcher saw it.
    pub at: Stamp,
    /// What it saw.
    pub fact: Fact,
}

/// What can be seen. Displayed, a fact is one sentence for a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
        #[serde(rename = "round_trip_ns", serialize_with = "as_nanos")]
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
        #[serde(rename = "round_trip_ns", serialize_with = "as_nanos")]
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
        #[serde(rename = "ran_ns", serialize_with = "as_nanos")]
        ran: Duration,
    },
    /// Somebody asked for a snapshot through one of the doors.
    Asked(Box<Ask>),
    /// Somebody told through one of the doors what opens no incident: that an alert is over.
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
    /// A watcher knows that it missed something.
    Missed {
        /// The watcher's name.
        watcher: String,
        /// How much and why: "the netlink socket overflowed, state read anew".
        what: String,
    },
}

/// What can happen to the capture of one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CaptureEvent {
    /// Frames are recorded from now on.
    Started {
        /// Interface index bound to.
        index: u32,
        /// "packet ring" or "pnet", and what it cannot know.
        source: String,
    },
    /// The interface is administratively down; the socket stays and carries on when it is up.
    Down,
    /// The interface is up again.
    Up,
    /// The interface was removed: nothing is recorded until it is created again.
    Gap,
    /// The capture failed and is tried again.
    Failed {
        /// Why.
        reason: String,
    },
    /// Memory was exhausted by pinned incidents: frames are dropped and counted. Told again while that
    /// goes on.
    Dropping,
    /// Frames are stored again.
    Storing {
        /// Frames dropped since [`CaptureEvent::Dropping`].
        dropped: u64,
    },
}

impl CaptureEvent {
    /// How the reason of a [`Self::Failed`] begins that is our own fault.
    pub const PANICKED: &str = "dashcap panicked there, which is a bug; what was recorded stays, and it is \
                                opened anew";
}

/// `IF_OPER_*` of RFC 2863 as the kernel numbers them (linux/if.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OperState {
    /// Not told by the driver, which for many virtual interfaces means up.
    #[default]
    Unknown,
    /// A component is missing.
    NotPresent,
    /// Down.
    Down,
    /// Down because what it lies upon is down.
    LowerLayerDown,
    /// In a test mode.
    Testing,
    /// Waiting for an external event.
    Dormant,
    /// Up.
    Up,
}

/// What rtnetlink tells of one interface (`RTM_NEWLINK`, linux/if_link.h).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LinkState {
    /// Interface index; a re-created interface has a new one.
    pub index: u32,
    /// Name.
    pub name: String,
    /// `ARPHRD_*` of linux/if_arp.h.
    pub hardware: u16,
    /// `IFLA_INFO_KIND`: "bond", "team", "vlan", "veth"; none for most physical ones.
    pub kind: Option<String>,
    /// Index of the bond, team or bridge it belongs to.
    pub master: Option<u32>,
    /// Index of the interface it lies upon (the parent of a VLAN, the peer of a veth).
    pub lower: Option<u32>,
    /// True if a bus device stands behind it (`IFLA_PARENT_DEV_NAME`).
    pub physical: bool,
    /// Carrier; none while it is administratively down, where the kernel does not tell.
    pub carrier: Option<bool>,
    /// Operational state.
    pub operstate: OperState,
    /// `IFF_*` flags (linux/if.h).
    pub flags: u32,
    /// MTU in bytes.
    pub mtu: u32,
    /// Times the carrier came.
    pub carrier_up_count: Option<u32>,
    /// Times the carrier went.
    pub carrier_down_count: Option<u32>,
    /// Its Ethernet address; none for what has another kind.
    #[serde(serialize_with = "role::as_text_or_null")]
    pub address: Option<MacAddr>,
    /// What it tells as a bond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond: Option<Box<role::Bond>>,
    /// What its master tells of it as a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Box<role::Port>>,
}

impl LinkState {
    /// `IFF_UP`: administratively up (linux/if.h).
    pub const IFF_UP: u32 = 1;
    /// `IFF_LOOPBACK` (linux/if.h).
    pub const IFF_LOOPBACK: u32 = 1 << 3;

    /// Administratively up.
    pub fn admin_up(&self) -> bool {
        self.flags & Self::IFF_UP != 0
    }

    /// Able to carry frames: administratively up, carrier, and an operational state that allows it.
    pub fn is_up(&self) -> bool {
        self.admin_up()
            && self.carrier != Some(false)
            && matches!(self.operstate, OperState::Up | OperState::Unknown)
    }

    /// The VRRP group whose virtual MAC address it has, as the macvlan of a master does.
    pub fn virtual_router(&self) -> Option<u8> {
        role::virtual_router(self.address?)
    }

    /// Carrier changes in both directions, as sysfs' `carrier_changes` counts them.
    pub fn carrier_changes(&self) -> Option<u32> {
        Some(self.carrier_up_count?.wrapping_add(self.carrier_down_count?))
    }
}

/// One row of the operator's table for one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkSample {
    /// The interface.
    pub interface: String,
    /// `carrier`; none while it is administratively down (the kernel answers EINVAL) or gone.
    pub carrier: Option<bool>,
    /// `operstate` as sysfs words it; "gone" where the interface does not exist.
    pub operstate: String,
    /// Time in this operational state (`opstate_age`): the kernel's own where it has the attribute,
    /// else since we saw it change, or since we began to look.
    #[serde(rename = "age_ns", serialize_with = "as_nanos")]
    pub age: Duration,
    /// Operational state changes (`opstate_changes`): the kernel's own count, else those we saw.
    pub changes: u64,
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
            Self::Finding(_) => "detect",
            Self::Program(_) => "hook",
            Self::Log(_) => "log",
            Self::Capture { .. } => "capture",
            Self::Reloaded { .. } | Self::ReloadRefused { .. } => "config",
            Self::Missed { watcher, .. } => watcher,
        }
    }
}

impl fmt::Display for OperState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::NotPresent => "notpresent",
            Self::Down => "down",
            Self::LowerLayerDown => "lowerlayerdown",
            Self::Testing => "testing",
            Self::Dormant => "dormant",
            Self::Up => "up",
        })
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { before: None, now } => {
                write!(f, "{} appeared (index {}, {})", now.name, now.index, in_words(now))
            }
            Self::Link { before: Some(before), now } => write_change(f, before, now),
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
            Self::Missed { watcher, what } => write!(f, "{watcher} missed something: {what}"),
        }
    }
}

impl fmt::Display for CaptureEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { index, source } => write!(f, "started, index {index}, {source}"),
            Self::Down => f.write_str("interface is down, waiting"),
            Self::Up => f.write_str("interface is up, recording"),
            Self::Gap => f.write_str("gap: interface removed, waiting for it to come back"),
            Self::Failed { reason } => write!(f, "failed, will be tried again: {reason}"),
            Self::Dropping => f.write_str("all memory is pinned, dropping frames"),
            Self::Storing { dropped } => write!(f, "storing again after {dropped} dropped frames"),
        }
    }
}

fn listed(keys: &[String]) -> String {
    if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
}

fn in_words(state: &LinkState) -> String {
    let carrier = match state.carrier {
        _ if !state.admin_up() => "administratively down",
        Some(true) => "carrier",
        Some(false) => "no carrier",
        None => "carrier unknown",
    };
    format!("{carrier}, operstate {}", state.operstate)
}

/// Only what differs, so that a reader sees at once what happened.
fn write_change(f: &mut fmt::Formatter<'_>, before: &LinkState, now: &LinkState) -> fmt::Result {
    let shown = |value: Option<u32>| value.map_or("none".to_owned(), |v| v.to_string());
    let mut changes = Vec::new();
    if before.name != now.name {
        changes.push(format!("renamed from {}", before.name));
    }
    if before.is_up() != now.is_up() {
        changes.push(if now.is_up() { "UP".to_owned() } else { "DOWN".to_owned() });
    }
    if before.admin_up() != now.admin_up() {
        let to = if now.admin_up() { "up" } else { "down" };
        changes.push(format!("set {to} by the administrator"));
    }
    if before.carrier != now.carrier {
        let word = |c: Option<bool>| c.map_or("unknown", |on| if on { "on" } else { "off" });
        changes.push(format!("carrier {} -> {}", word(before.carrier), word(now.carrier)));
    }
    if before.operstate != now.operstate {
        changes.push(format!("operstate {} -> {}", before.operstate, now.operstate));
    }
    if before.master != now.master {
        changes.push(format!("master {} -> {}", shown(before.master), shown(now.master)));
    }
    if before.mtu != now.mtu {
        changes.push(format!("mtu {} -> {}", before.mtu, now.mtu));
    }
    if before.carrier_changes() != now.carrier_changes() {
        changes.push(format!(
            "carrier changes {} -> {}",
            shown(before.carrier_changes()),
            shown(now.carrier_changes())
        ));
    }
    changes.extend(difference::changes(before, now));
    if changes.is_empty() {
        changes.push(format!("flags {:#x} -> {:#x}", before.flags, now.flags));
    }
    write!(f, "{}: {}", now.name, changes.join(", "))
}

pub(super) fn as_nanos<S: serde::Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up() -> LinkState {
        LinkState {
            index: 7,
            name: "dp0bond0".to_owned(),
            carrier: Some(true),
            operstate: OperState::Up,
            flags: LinkState::IFF_UP,
            carrier_up_count: Some(1),
            carrier_down_count: Some(0),
            ..LinkState::default()
        }
    }

    #[test]
    fn a_change_names_only_what_differs() {
        let down = LinkState {
            carrier: Some(false),
            operstate: OperState::Down,
            carrier_down_count: Some(1),
            ..up()
        };
        let fact = Fact::Link { before: Some(up()), now: down };
        assert_eq!(
            fact.to_string(),
            "dp0bond0: DOWN, carrier on -> off, operstate up -> down, carrier changes 1 -> 2"
        );
        assert_eq!(fact.interface(), Some("dp0bond0"));
    }

    #[test]
    fn up_needs_the_administrator_the_carrier_and_the_state() {
        assert!(up().is_up());
        assert!(LinkState { operstate: OperState::Unknown, ..up() }.is_up());
        assert!(!LinkState { flags: 0, ..up() }.is_up());
        assert!(!LinkState { carrier: Some(false), ..up() }.is_up());
        assert!(!LinkState { operstate: OperState::LowerLayerDown, ..up() }.is_up());
    }

    #[test]
    fn a_fact_serialises_with_its_tag() {
        let fact = Fact::Capture { interface: "eth0".into(), event: CaptureEvent::Gap };
        let json = serde_json::to_string(&fact).unwrap();
        assert_eq!(json, r#"{"fact":"capture","interface":"eth0","event":{"event":"gap"}}"#);
    }
}
