//! What an observation amounts to, whoever may be interested: the one table from facts to kinds of
//! triggers.
//!
//! A new watcher needs three things: a row in the table of `kind.rs`, an arm in [`happenings`], and
//! where it should be armed without being named, a line in `Rule::defaults`.

mod network;

use std::borrow::Cow;
use std::time::Duration;

use super::TriggerKind;
use crate::finding::{Finding, Severity};
use crate::observation::Fact;
use crate::observation::attribute::{AttributeChange, Condition};
use crate::observation::counter::CounterGrowth;
use crate::observation::link::LinkState;
use crate::observation::log_line::LogLine;

/// A fact as rules see it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Happening<'a> {
    /// Of which kind.
    pub(super) kind: TriggerKind,
    /// The interface, probe, matcher, file or command it is about.
    pub(super) object: Option<Cow<'a, str>>,
    /// Whether it begins, ends, or only happens.
    pub(super) turn: Turn,
    /// What exactly, where one object can have several: the frame of a storm, an address.
    pub(super) what: Option<Cow<'a, str>>,
    /// How bad, where the watcher says so.
    pub(super) severity: Option<Severity>,
    /// The number that comes with it, for rules that compare.
    pub(super) value: Option<f64>,
    /// How long it had lasted when it was seen: the window reaches back further by that.
    pub(super) lasted: Duration,
}

/// Where in its course a happening is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It begins, and lasts until it ends.
    Begins,
    /// It is over.
    Ends,
    /// It happened, and is over already.
    Passes,
}

impl Turn {
    /// Ends if it is over, else begins.
    fn over(over: bool) -> Self {
        if over { Self::Ends } else { Self::Begins }
    }

    /// The edge between two states, of which one is trouble; none if there is no edge.
    fn edge(before: bool, now: bool) -> Option<Self> {
        match (before, now) {
            (false, true) => Some(Self::Begins),
            (true, false) => Some(Self::Ends),
            _ => None,
        }
    }
}

impl<'a> Happening<'a> {
    fn new(kind: TriggerKind, object: Option<&'a str>, turn: Turn) -> Self {
        let object = object.map(Cow::Borrowed);
        let (what, severity, value, lasted) = (None, None, None, Duration::ZERO);
        Self { kind, object, turn, what, severity, value, lasted }
    }

    fn begins(kind: TriggerKind, object: &'a str) -> Self {
        Self::new(kind, Some(object), Turn::Begins)
    }

    fn ends(kind: TriggerKind, object: &'a str) -> Self {
        Self::new(kind, Some(object), Turn::Ends)
    }

    fn with(self, what: impl Into<Cow<'a, str>>) -> Self {
        Self { what: Some(what.into()), ..self }
    }
}

/// What `fact` amounts to: nothing, one thing, or the end of one and the beginning of another.
pub(super) fn happenings(fact: &Fact) -> Vec<Happening<'_>> {
    use TriggerKind::{CommandFailed, ProbeLossy, ProbeLost, ProbeSlow, Signal};
    match fact {
        Fact::Link { before, now } => link(before.as_ref(), now),
        Fact::LinkGone { last } => gone(last),
        Fact::Address(change) => network::address(change),
        Fact::Route(change) => network::route(change),
        Fact::Neighbour(change) => network::neighbour(change),
        Fact::Attribute(change) => vec![attribute(change)],
        Fact::Counter(growth) => vec![counter(growth)],
        Fact::ProbeDown(down) => {
            let begins = Happening::begins(ProbeLost, &down.probe);
            vec![Happening { lasted: down.lasting, ..begins }]
        }
        Fact::ProbeUp(up) => vec![Happening::ends(ProbeLost, &up.probe)],
        Fact::ProbeSlow(slow) => {
            vec![Happening::new(ProbeSlow, Some(&slow.probe), Turn::over(slow.over))]
        }
        Fact::ProbeLossy(lossy) => {
            vec![Happening::new(ProbeLossy, Some(&lossy.probe), Turn::over(lossy.over))]
        }
        Fact::SnapshotSignal => vec![Happening::new(Signal, None, Turn::Passes)],
        Fact::CommandEnded { command, success: false, ran, .. } => {
            let failed = Happening::new(CommandFailed, Some(command), Turn::Passes);
            vec![Happening { lasted: *ran, ..failed }]
        }
        Fact::Finding(finding) => vec![of_finding(finding)],
        Fact::Log(line) if line.elsewhere.is_none() => vec![log(line)],
        _ => Vec::new(),
    }
}

fn link<'a>(before: Option<&'a LinkState>, now: &'a LinkState) -> Vec<Happening<'a>> {
    let mut all = carrier(before, now);
    if let Some(before) = before {
        all.extend(network::bond_port(before, now));
        all.extend(network::bond_change(before, now));
        all.extend(network::bridge_port(before, now));
    }
    all
}

fn carrier<'a>(before: Option<&LinkState>, now: &'a LinkState) -> Vec<Happening<'a>> {
    use TriggerKind::{LinkDown, LinkUp};
    match (before.map(LinkState::is_up), now.is_up()) {
        (Some(true), false) => {
            vec![Happening::ends(LinkUp, &now.name), Happening::begins(LinkDown, &now.name)]
        }
        (Some(false) | None, true) => {
            vec![Happening::ends(LinkDown, &now.name), Happening::begins(LinkUp, &now.name)]
        }
        (Some(true), true) if before.is_some_and(|before| went_down_between(before, now)) => {
            vec![Happening::new(LinkDown, Some(&now.name), Turn::Passes)]
        }
        _ => Vec::new(),
    }
}

/// What is removed is down, and no port of anything.
fn gone(last: &LinkState) -> Vec<Happening<'_>> {
    use TriggerKind::{BondPort, LinkDown, LinkUp, StpPort};
    let mut all = vec![Happening::ends(BondPort, &last.name), Happening::ends(StpPort, &last.name)];
    if last.is_up() {
        all.push(Happening::ends(LinkUp, &last.name));
        all.push(Happening::begins(LinkDown, &last.name));
    }
    all
}

/// A bounce too short for two messages shows only in the carrier counter.
fn went_down_between(before: &LinkState, now: &LinkState) -> bool {
    matches!((before.carrier_down_count, now.carrier_down_count), (Some(b), Some(n)) if b != n)
}

/// One watched for changes passes, and a rule may compare its number; one watched for a threshold of its
/// own begins and ends with it.
fn attribute(change: &AttributeChange) -> Happening<'_> {
    let now = change.now.as_deref();
    let turn = match change.condition {
        Condition::Changes => Turn::Passes,
        Condition::Above(_) | Condition::Below(_) => Turn::over(!change.condition.is_met(now)),
    };
    Happening {
        what: change.item.as_deref().map(Cow::Borrowed),
        value: now.and_then(|now| now.parse().ok()),
        ..Happening::new(TriggerKind::Attribute, Some(&change.path), turn)
    }
}

fn counter(growth: &CounterGrowth) -> Happening<'_> {
    let grew = Happening::new(TriggerKind::Counter, Some(&growth.interface), Turn::Passes);
    Happening { value: Some(growth.per_second), ..grew.with(growth.counter.name()) }
}

fn log(line: &LogLine) -> Happening<'_> {
    Happening::new(TriggerKind::Log, Some(&line.matcher), Turn::Passes).with(&*line.text)
}

fn of_finding(finding: &Finding) -> Happening<'_> {
    let turn = Turn::over(finding.over);
    let kind = TriggerKind::Finding(finding.kind);
    Happening {
        severity: Some(finding.severity),
        value: finding.rate,
        ..Happening::new(kind, finding.interface.as_deref(), turn).with(&*finding.what)
    }
}

#[cfg(test)]
mod tests;
