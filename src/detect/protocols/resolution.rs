//! Questions for a neighbour's link address, and whether they are answered: what ARP and ND have in
//! common.
//!
//! The next hop that stops answering is the first sign that nothing gets out, or that nobody is there.
//! But on a switched port others' questions are heard and the answers to them are not. So a question
//! counts only where its answer would come by:
//!
//! | the question | its answer comes by here |
//! |---|---|
//! | sent by this host | always |
//! | to one station, seen here | the way back is the same |
//! | of somebody whose answers came by before | yes |
//! | broadcast, of somebody else | cannot be told: ignored inbound, a notice where directions are unknown |
//!
//! And it is a warning only if the one asked for was alive: it answered before, or it is asked alone,
//! which is done only with a link address that was learned.

use std::net::IpAddr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::{FORGET, Lasting};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::{Mono, Stamp};
use crate::wire::Mac;
use crate::wire::link::Vlans;

/// Questions open at a time. Answered ones leave at once; a scan of a whole network fills the table.
const QUESTIONS: usize = 512;
/// Neighbours remembered to have answered, and stations whose answers came by.
const STATIONS: usize = 4_096;
/// Notices told at a time: where every station's questions are heard and no answers, they are many and
/// say little.
const NOTICES: usize = 16;
/// A question not asked again for so long is given up. Hosts ask each second (RFC 4861 §10; Linux,
/// neigh/default/retrans_time_ms), some routers only now and then.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// VLANs, who asks, for whom.
type Name = (Vlans, IpAddr, IpAddr);

/// What makes a question one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// Who asks.
    pub(super) asker: IpAddr,
    /// For whom.
    pub(super) target: IpAddr,
    /// To one station, not to a group.
    pub(super) alone: bool,
}

/// Follows the questions on one interface.
#[derive(Debug)]
pub(super) struct Resolution {
    kind: FindingKind,
    /// How questions are called: "ARP requests".
    questions: &'static str,
    tries: u32,
    patience: Duration,
    open: Bounded<Name, Open>,
    alive: Bounded<(Vlans, IpAddr), Mono>,
    near: Bounded<Mac, Mono>,
    /// Notices that were not told because so many were open.
    untold: u64,
}

#[derive(Debug)]
struct Open {
    asked: Asked,
    /// Times it was asked, those within the patience of one counted as one.
    tries: u32,
    last_try: Mono,
    /// It was a notice beyond the bound.
    untold: bool,
    unanswered: Lasting,
}

/// The finding that it may become.
#[derive(Debug)]
struct Asked {
    first: Stamp,
    last: Stamp,
    count: u64,
    direction: Direction,
    severity: Severity,
    what: String,
}

impl Resolution {
    pub(super) fn new(
        kind: FindingKind,
        questions: &'static str,
        tries: u32,
        patience: Duration,
    ) -> Self {
        Self {
            kind,
            questions,
            tries,
            patience,
            open: Bounded::new(QUESTIONS),
            alive: Bounded::new(STATIONS),
            near: Bounded::new(STATIONS),
            untold: 0,
        }
    }

    pub(super) fn asked(&mut self, heard: &Heard<'_>, question: Question) {
        let at = heard.at();
        let own = heard.direction() == Direction::Outbound;
        let is_near = || heard.reading.link.source.is_some_and(|mac| self.near.get(&mac).is_some());
        let comes_by = own || question.alone || is_near();
        if !comes_by && heard.direction() == Direction::Inbound {
            return;
        }
        let was_alive =
            question.alone || self.alive.get(&(heard.vlans(), question.target)).is_some();
        let certain = comes_by && was_alive;
        let severity = if certain { Severity::Warning } else { Severity::Notice };
        let make = || Open {
            asked: Asked {
                first: at,
                last: at,
                count: 0,
                direction: heard.direction(),
                severity,
                what: heard.reading.to_string(),
            },
            tries: 1,
            last_try: at.mono,
            untold: false,
            unanswered: Lasting::default(),
        };
        let name = (heard.vlans(), question.asker, question.target);
        let Some(open) = self.open.entry(name, make) else { return };
        open.asked.last = at;
        open.asked.count += 1;
        open.asked.severity = open.asked.severity.max(severity);
        open.unanswered.more(at);
        if at.mono.since(open.last_try) >= self.patience {
            open.tries = open.tries.saturating_add(1);
            open.last_try = at.mono;
        }
    }

    /// `target` answered; to one asker, or to everybody.
    pub(super) fn answered(
        &mut self,
        heard: &Heard<'_>,
        target: IpAddr,
        asker: Option<IpAddr>,
        findings: &mut Vec<Finding>,
    ) {
        let (vlans, at) = (heard.vlans(), heard.at());
        if let Some(last) = self.alive.entry((vlans, target), || at.mono) {
            *last = at.mono;
        }
        let to = heard.reading.link.destination.filter(|mac| mac.is_unicast());
        if let Some(last) = to.and_then(|mac| self.near.entry(mac, || at.mono)) {
            *last = at.mono;
        }
        let end = |open: &mut Open, findings: &mut Vec<Finding>| {
            open.unanswered.end(at, || format!("{target} answers again"), findings);
        };
        if let Some(asker) = asker {
            if let Some(mut open) = self.open.remove(&(vlans, asker, target)) {
                end(&mut open, findings);
            }
            return;
        }
        self.open.retain(|name, open| {
            let answered = (name.0, name.2) == (vlans, target);
            if answered {
                end(open, findings);
            }
            !answered
        });
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let at = now.at.mono;
        let is_notice = |open: &Open| open.asked.severity < Severity::Warning;
        let told = |(_, open): &(&Name, &Open)| open.unanswered.is_open() && is_notice(open);
        let mut notices = self.open.iter().filter(told).count();
        let (kind, questions, tries, patience) =
            (self.kind, self.questions, self.tries, self.patience);
        self.open.retain(|name, open| {
            // In a flood of questions the latest try is always fresh; those before it waited.
            let waited = open.tries - u32::from(at.since(open.last_try) < patience);
            if waited >= tries && !open.unanswered.is_open() {
                if is_notice(open) && notices >= NOTICES {
                    self.untold += u64::from(!open.untold);
                    open.untold = true;
                } else {
                    notices += usize::from(is_notice(open));
                    open.tell(now, name, (kind, questions), findings);
                }
            }
            let given_up = at.since(open.asked.last.mono) > GIVEN_UP;
            if given_up {
                let (vlans, asker, target) = name;
                let place = place(*vlans);
                let sentence = || format!("{asker} does not ask for {target}{place} any longer");
                open.unanswered.end(now.at, sentence, findings);
            }
            !given_up
        });
        self.alive.retain(|_, last| at.since(*last) < FORGET);
        self.near.retain(|_, last| at.since(*last) < FORGET);
    }

    /// Also notices that were not told.
    pub(super) fn refused(&self) -> u64 {
        self.open.refused() + self.alive.refused() + self.near.refused() + self.untold
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.open.iter().map(|(_, open)| &open.unanswered)
    }
}

impl Open {
    fn tell(
        &mut self,
        now: &Now<'_>,
        (vlans, asker, target): &Name,
        (kind, questions): (FindingKind, &str),
        findings: &mut Vec<Finding>,
    ) {
        let Asked { first, last, count, direction, severity, .. } = self.asked;
        let seconds = now.at.mono.since(first.mono).as_secs_f64();
        let sentence = format!(
            "{target}{} does not answer: {count} {questions} of {asker} in {seconds:.1} s",
            place(*vlans)
        );
        let finding = now.finding(kind, severity, self.asked.what.clone(), sentence);
        self.unanswered.begin(Finding { first, last, count, direction, ..finding }, findings);
    }
}
