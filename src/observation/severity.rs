//! How bad a fact is by itself: the one judgement that events, exports, journal entries, reports and the log
//! show.
//!
//! Critical is what loses traffic, a warning what stopped working or was lost, a notice what works again, was
//! asked for, or is somebody's word or sum that means nothing alone (a log line, a counter); the rest is
//! information.

use super::Fact;
use super::address::{AddressChange, Validity};
use super::capture::CaptureEvent;
use super::link::LinkState;
use super::neighbour::NeighbourChange;
use super::route::RouteChange;
use crate::finding::Severity;

impl Fact {
    /// How bad it is by itself. Exhaustive, so that a new fact is judged here first.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Link { before, now } => of_link(before.as_ref(), now),
            Self::Address(change) => of_address(change),
            Self::Route(change) => of_route(change),
            Self::Neighbour(change) => of_neighbour(change),
            Self::Attribute(change) => bad_if(change.condition.is_met(change.now.as_deref())),
            Self::ProbeSlow(slow) => bad_if(!slow.over),
            Self::ProbeLossy(lossy) => bad_if(!lossy.over),
            Self::CommandEnded { success, .. } => info_if(*success),
            Self::Program(note) => info_if(note.is_well()),
            Self::Fetched(fetch) => fetch.severity(),
            Self::Finding(finding) => finding.severity,
            Self::Capture { event, .. } => of_capture(event),
            Self::LinkGone { .. }
            | Self::ProbeLost { .. }
            | Self::ProbeDown(_)
            | Self::ReloadRefused { .. }
            | Self::WatcherEnded { .. }
            | Self::Missed { .. } => Severity::Warning,
            Self::Counter(_)
            | Self::Log(_)
            | Self::ProbeUp(_)
            | Self::SnapshotSignal
            | Self::StopSignal
            | Self::Asked(_)
            | Self::Told { .. }
            | Self::Arming { .. }
            | Self::Reloaded { .. } => Severity::Notice,
            Self::Sample(_) | Self::ProbeAnswered { .. } | Self::ProbeLate { .. } => Severity::Info,
        }
    }
}

/// A link that somebody set down loses nothing that was not meant to be lost.
fn of_link(before: Option<&LinkState>, now: &LinkState) -> Severity {
    let Some(before) = before else { return Severity::Info };
    match (before.is_up(), now.is_up()) {
        (true, false) if now.admin_up() => Severity::Critical,
        (true, false) => Severity::Warning,
        (false, true) => Severity::Notice,
        _ => Severity::Info,
    }
}

fn of_address(change: &AddressChange) -> Severity {
    let duplicate = Some(Validity::Duplicate);
    match (change.before, change.now) {
        (_, now) if now == duplicate => Severity::Warning,
        (_, None) => Severity::Notice,
        (before, _) if before == duplicate => Severity::Notice,
        _ => Severity::Info,
    }
}

fn of_route(change: &RouteChange) -> Severity {
    bad_if(change.is_gone())
}

fn of_neighbour(change: &NeighbourChange) -> Severity {
    bad_if(change.is_silent())
}

fn of_capture(event: &CaptureEvent) -> Severity {
    match event {
        CaptureEvent::Gap | CaptureEvent::Failed { .. } | CaptureEvent::Dropping => {
            Severity::Warning
        }
        CaptureEvent::Up | CaptureEvent::Storing { .. } => Severity::Notice,
        CaptureEvent::Started { .. } | CaptureEvent::Down => Severity::Info,
    }
}

/// What is watched because it matters: a warning while it is bad, else a notice.
fn bad_if(bad: bool) -> Severity {
    if bad { Severity::Warning } else { Severity::Notice }
}

fn info_if(well: bool) -> Severity {
    if well { Severity::Info } else { Severity::Warning }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;
    use crate::observation::link::OperState;
    use crate::observation::neighbour::{Answers, Neighbour};
    use crate::observation::program::{ProgramEvent, ProgramNote, Role};
    use crate::observation::route::{NextHop, Route};

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn link(flags: u32, carrier: bool) -> LinkState {
        let operstate = if carrier { OperState::Up } else { OperState::Down };
        LinkState { flags, carrier: Some(carrier), operstate, ..LinkState::default() }
    }

    #[test]
    fn a_link_that_went_down_is_critical_unless_somebody_set_it_down() {
        let (up, down) = (link(LinkState::IFF_UP, true), link(LinkState::IFF_UP, false));
        let set_down = link(0, false);
        for (before, now, severity) in [
            (Some(&up), &down, Severity::Critical),
            (Some(&up), &set_down, Severity::Warning),
            (Some(&down), &up, Severity::Notice),
            (Some(&down), &set_down, Severity::Info),
            (None, &down, Severity::Info),
        ] {
            let fact = Fact::Link { before: before.cloned(), now: now.clone() };
            assert_eq!(fact.severity(), severity, "{fact}");
        }
    }

    #[test]
    fn a_lost_default_route_is_a_warning_and_one_that_came_is_a_notice() {
        let hop = NextHop { gateway: Some(ADDRESS), interface: Some("eth0".into()), usable: true };
        let route =
            || Some(Route { kind: "unicast".into(), hops: vec![hop.clone()], protocol: None });
        let change = |before, now| RouteChange { ipv6: false, table: 254, metric: 0, before, now };
        assert_eq!(Fact::Route(Box::new(change(route(), None))).severity(), Severity::Warning);
        assert_eq!(Fact::Route(Box::new(change(None, route()))).severity(), Severity::Notice);
    }

    #[test]
    fn a_failed_neighbour_is_a_warning() {
        for (answers, severity) in
            [(Answers::No, Severity::Warning), (Answers::NotYet, Severity::Notice)]
        {
            let now = Some(Neighbour { answers, address: None });
            let interface = "eth0".to_owned();
            let change = NeighbourChange { interface, address: ADDRESS, before: None, now };
            assert_eq!(Fact::Neighbour(Box::new(change)).severity(), severity);
        }
    }

    #[test]
    fn a_duplicate_address_is_a_warning() {
        for (before, now, severity) in [
            (Some(Validity::Tentative), Some(Validity::Duplicate), Severity::Warning),
            (Some(Validity::Duplicate), Some(Validity::Preferred), Severity::Notice),
            (None, Some(Validity::Preferred), Severity::Info),
            (Some(Validity::Preferred), None, Severity::Notice),
        ] {
            let (interface, prefix_len) = ("eth0".to_owned(), 24);
            let change = AddressChange { interface, address: ADDRESS, prefix_len, before, now };
            assert_eq!(Fact::Address(Box::new(change)).severity(), severity, "{before:?} {now:?}");
        }
    }

    #[test]
    fn a_failed_hook_and_a_failed_command_are_warnings() {
        let event = ProgramEvent::NotRun { why: "busy".to_owned() };
        let (role, name, incident) = (Role::Hook, "readd".to_owned(), "i".to_owned());
        let note = ProgramNote { role, name, incident, event };
        assert_eq!(Fact::Program(Box::new(note)).severity(), Severity::Warning);
        for (success, severity) in [(false, Severity::Warning), (true, Severity::Info)] {
            let (command, ending) = ("make".to_owned(), "exit status: 2".to_owned());
            let fact = Fact::CommandEnded { command, ending, success, ran: Duration::ZERO };
            assert_eq!(fact.severity(), severity);
        }
    }
}
