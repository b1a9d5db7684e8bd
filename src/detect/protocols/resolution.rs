//! Questions for a neighbour's link address, and whether they are answered: what ARP and ND have in
//! common.
//!
//! The next hop that stops answering is the first sign that nothing gets out, or that nobody is there.
//! But on a switched port others' questions are heard and the answers to them are not. So a question
//! counts only where its answer would come by:
//!
//! | the question | its answer comes by here |
//! |---|---|
//! | sent by this host | always, if not here by another port of the bridge or bond ([`Local`](super::Local)) |
//! | to one station, seen here | the way back is the same |
//! | for one who answered the same asker here before | yes |
//! | for one who was last heard on the asker's side | no: ignored |
//! | any other to all | cannot be told: ignored, a notice where directions are unknown |
//!
//! And it is a warning only if the one asked for was alive: it answered before and did not give its address
//! back, or it is asked alone, which is done only with a link address that was learned.

use std::net::IpAddr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, parties, place};
use super::lasting::{FORGET, Lasting};
use super::local;
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::frame::Direction;
use crate::time::{Mono, Stamp};
use crate::wire::link::Vlans;

/// Questions open at a time. Answered ones leave at once; a scan of a whole network fills the table.
const QUESTIONS: usize = 512;
/// Neighbours remembered, and pairs of which one answered the other here.
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
    known: Bounded<(Vlans, IpAddr), Known>,
    /// Who was answered here by whom.
    pairs: Bounded<Name, Mono>,
    /// Notices that were not told because so many were open.
    untold: u64,
}

/// A neighbour that was heard.
#[derive(Debug)]
struct Known {
    /// It answered since it came, or was given its address.
    answers: bool,
    /// Which way its last message went here: the side that it is on.
    side: Direction,
    last: Mono,
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
    parties: Vec<Party>,
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
            known: Bounded::new(STATIONS),
            pairs: Bounded::new(STATIONS),
            untold: 0,
        }
    }

    /// A neighbour is heard; it `answers`, or says something else.
    pub(super) fn spoke(&mut self, heard: &Heard<'_>, neighbour: IpAddr, answers: bool) {
        let (side, last) = (heard.direction(), heard.at().mono);
        let make = || Known { answers: false, side, last };
        if let Some(known) = self.known.entry((heard.vlans(), neighbour), make) {
            (known.side, known.last) = (side, last);
            known.answers |= answers;
        }
    }

    /// True if the neighbour was heard since.
    pub(super) fn spoke_since(&self, heard: &Heard<'_>, neighbour: IpAddr, since: Mono) -> bool {
        self.known.get(&(heard.vlans(), neighbour)).is_some_and(|known| known.last > since)
    }

    /// A neighbour gave its address back.
    pub(super) fn released(&mut self, heard: &Heard<'_>, neighbour: IpAddr) {
        self.known.remove(&(heard.vlans(), neighbour));
    }

    pub(super) fn asked(&mut self, heard: &Heard<'_>, question: Question) {
        let Question { asker, target, alone } = question;
        let (at, name) = (heard.at(), (heard.vlans(), asker, target));
        let known = self.known.get(&(heard.vlans(), target));
        let is_known = heard.direction() != Direction::Unknown;
        let beside = known.is_some_and(|known| is_known && known.side == heard.direction());
        let comes_by = heard.sent_here || (!beside && (alone || self.pairs.get(&name).is_some()));
        if !comes_by && is_known {
            return;
        }
        let was_alive = alone || known.is_some_and(|known| known.answers);
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
                parties: parties(heard.reading),
            },
            tries: 1,
            last_try: at.mono,
            untold: false,
            unanswered: Lasting::default(),
        };
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
        self.spoke(heard, target, true);
        if let Some(asker) = asker {
            heard.local.answered(local::Asked::Neighbour(asker, target), at.mono);
            if let Some(last) = self.pairs.entry((vlans, asker, target), || at.mono) {
                *last = at.mono;
            }
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
            let asked = local::Asked::Neighbour(name.1, name.2);
            if now.local.was_answered(asked, open.asked.first.mono) {
                let sentence = || format!("{} answers again", name.2);
                open.unanswered.end(now.at, sentence, findings);
                return false;
            }
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
        self.known.retain(|_, known| at.since(known.last) < FORGET);
        self.pairs.retain(|_, last| at.since(*last) < FORGET);
    }

    /// Also notices that were not told.
    pub(super) fn refused(&self) -> u64 {
        self.open.refused() + self.known.refused() + self.pairs.refused() + self.untold
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
        let parties = self.asked.parties.clone();
        let finding = Finding { first, last, count, direction, parties, ..finding };
        self.unanswered.begin(finding, findings);
    }
}
