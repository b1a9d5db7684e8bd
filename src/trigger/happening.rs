//! What an observation amounts to, whoever may be interested: the one table from facts to kinds of
//! triggers.
//!
//! A new witness needs three things: a row in the table of `kind.rs`, an arm in [`happenings`], and
//! where it should be armed without being named, a line in `Rule::defaults`.

use std::time::Duration;

use super::TriggerKind;
use crate::finding::{Finding, Severity};
use crate::watch::{Fact, LinkState};

/// A fact as rules see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Happening<'a> {
    /// Of which kind.
    pub(super) kind: TriggerKind,
    /// The interface, probe or command it is about.
    pub(super) object: Option<&'a str>,
    /// Whether it begins, ends, or only happens.
    pub(super) turn: Turn,
    /// What exactly, where one object can have several: the frame of a storm, a neighbour.
    pub(super) what: Option<&'a str>,
    /// How bad, where the witness says so.
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

impl<'a> Happening<'a> {
    fn new(kind: TriggerKind, object: Option<&'a str>, turn: Turn) -> Self {
        let (what, severity, value, lasted) = (None, None, None, Duration::ZERO);
        Self { kind, object, turn, what, severity, value, lasted }
    }

    fn begins(kind: TriggerKind, object: &'a str) -> Self {
        Self::new(kind, Some(object), Turn::Begins)
    }

    fn ends(kind: TriggerKind, object: &'a str) -> Self {
        Self::new(kind, Some(object), Turn::Ends)
    }
}

/// What `fact` amounts to: nothing, one thing, or the end of one and the beginning of another.
pub(super) fn happenings(fact: &Fact, probe_fall: u32) -> Vec<Happening<'_>> {
    use TriggerKind::{CommandFailed, LinkDown, LinkUp, ProbeLost, Signal};
    match fact {
        Fact::Link { before, now } => link(before.as_ref(), now),
        Fact::LinkGone { last } if last.is_up() => {
            vec![Happening::ends(LinkUp, &last.name), Happening::begins(LinkDown, &last.name)]
        }
        // Exactly at the threshold: a probe that stays lost is one happening, not one a second.
        Fact::ProbeLost { probe, in_a_row, .. } if *in_a_row == probe_fall => {
            vec![Happening::begins(ProbeLost, probe)]
        }
        Fact::ProbeAnswered { probe, .. } => vec![Happening::ends(ProbeLost, probe)],
        Fact::SnapshotSignal => vec![Happening::new(Signal, None, Turn::Passes)],
        Fact::CommandEnded { command, success: false, ran, .. } => {
            let failed = Happening::new(CommandFailed, Some(command), Turn::Passes);
            vec![Happening { lasted: *ran, ..failed }]
        }
        Fact::Finding(finding) => vec![of_finding(finding)],
        _ => Vec::new(),
    }
}

fn link<'a>(before: Option<&LinkState>, now: &'a LinkState) -> Vec<Happening<'a>> {
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

/// A bounce too short for two messages shows only in the carrier counter.
fn went_down_between(before: &LinkState, now: &LinkState) -> bool {
    matches!((before.carrier_down_count, now.carrier_down_count), (Some(b), Some(n)) if b != n)
}

fn of_finding(finding: &Finding) -> Happening<'_> {
    let turn = if finding.over { Turn::Ends } else { Turn::Begins };
    Happening {
        what: Some(&finding.what),
        severity: Some(finding.severity),
        value: finding.rate,
        ..Happening::new(TriggerKind::Finding(finding.kind), finding.interface.as_deref(), turn)
    }
}
