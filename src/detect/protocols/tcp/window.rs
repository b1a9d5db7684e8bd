//! Receivers that do not read: the window stays closed, and the sender asks in vain whether it is open
//! (RFC 9293 §3.8.6.1). A window that closes for a moment is how TCP slows a sender down.

use std::time::Duration;

use super::super::bounded::Bounded;
use super::super::heard::{Heard, Now, place};
use super::super::lasting::Lasting;
use super::{Flow, in_vlan, now};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::frame::Direction;
use crate::time::Stamp;

/// Closed windows at a time; the tap watches no more at once.
const MOST: usize = 64;
/// Closed for so long, and said so at least twice, is a receiver that does not read.
const PATIENCE: Duration = Duration::from_secs(2);
const SAID: u64 = 2;
/// Nobody asks less often than every two minutes (Linux, TCP_RTO_MAX).
const GIVEN_UP: Duration = Duration::from_secs(130);

/// Judges the windows of one interface.
#[derive(Debug)]
pub(super) struct Windows {
    closed: Bounded<Flow, Closed>,
}

/// One that is closed, by the flow of those who say so.
#[derive(Debug)]
struct Closed {
    first: Stamp,
    last: Stamp,
    said: u64,
    direction: Direction,
    told: Lasting,
}

impl Windows {
    pub(super) fn new() -> Self {
        Self { closed: Bounded::new(MOST) }
    }

    pub(super) fn closed(&mut self, heard: &Heard<'_>, flow: Flow) {
        let (at, direction) = (heard.at(), heard.direction());
        let make = || Closed { first: at, last: at, said: 0, direction, told: Lasting::default() };
        if let Some(closed) = self.closed.entry(flow, make) {
            (closed.last, closed.said) = (at, closed.said + 1);
            closed.told.more(at);
        }
    }

    pub(super) fn opened(&mut self, heard: &Heard<'_>, flow: Flow, findings: &mut Vec<Finding>) {
        self.end(&now(heard), flow, "reads again", findings);
    }

    /// The connection ends, whoever says so.
    pub(super) fn ended(&mut self, heard: &Heard<'_>, flow: Flow, findings: &mut Vec<Finding>) {
        for flow in [flow, flow.back()] {
            self.end(&now(heard), flow, "did not read until the connection ended", findings);
        }
    }

    fn end(&mut self, now: &Now<'_>, flow: Flow, how: &str, findings: &mut Vec<Finding>) {
        if let Some(mut closed) = self.closed.remove(&flow) {
            let seconds = now.at.mono.since(closed.first.mono).as_secs_f64();
            let sentence = || format!("{} {how}, after {seconds:.1} s", flow.from);
            closed.told.end(now.at, sentence, findings);
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let mut over = Vec::new();
        self.closed.retain(|flow, closed| {
            let lasts = now.at.mono.since(closed.first.mono);
            if lasts >= PATIENCE && closed.said >= SAID && !closed.told.is_open() {
                closed.told.begin(finding(now, *flow, closed, lasts), findings);
            }
            let keep = now.at.mono.since(closed.last.mono) < GIVEN_UP;
            if !keep {
                over.push(*flow);
            }
            true
        });
        for flow in over {
            self.end(now, flow, "is not asked any longer whether it reads", findings);
        }
    }

    pub(super) fn refused(&self) -> u64 {
        self.closed.refused()
    }
}

fn finding(now: &Now<'_>, flow: Flow, closed: &Closed, lasts: Duration) -> Finding {
    let Flow { vlans, from, to } = flow;
    let seconds = lasts.as_secs_f64();
    let sentence = format!(
        "{from}{} does not read what {to} sends: its window has been closed for {seconds:.1} s, and \
         the connection waits",
        place(vlans)
    );
    let what = format!("TCP {from} → {to} zero window");
    let kind = FindingKind::TcpZeroWindow;
    let finding = in_vlan(now, vlans, kind, Severity::Warning, what, sentence);
    let Closed { first, last, said: count, direction, .. } = *closed;
    Finding { first, last, count, direction, ..finding }
        .about(Party::Host(from.ip()))
        .about(Party::Host(to.ip()))
}
