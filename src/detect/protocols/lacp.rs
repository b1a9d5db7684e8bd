//! LACP: each end of a link says every second or every 30 s how it is and whether it hears the other.
//!
//! An LACPDU's actor is its sender: what comes in tells how the *switch* is, so "the switch says expired"
//! means that it does not hear *us*. In a file without directions both ends are told by their names.
//!
//! ```text
//!  up ──(not heard)──► expired ──(3 s)──► defaulted      each told with its own finding, over when the
//!   ▲                     │                   │          bit is gone; LacpRecovered when up again
//!   └─────────────────────┴───────────────────┘
//! ```
//!
//! What is told of an end that was never seen up is bringing-up, and only a notice.

use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now};
use super::lasting::{Lasting, Pulse, Rhythm};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::frame::Direction;
use crate::wire::Mac;
use crate::wire::lacp::{End, Lacp, State};

/// Ends on one interface: two, and some more where cables are changed or a hub is between.
const MOST: usize = 64;
/// Time between PDUs to an end that asks for short timeouts (IEEE 802.1AX 6.4.4, Fast_Periodic_Time).
const FAST: Duration = Duration::from_secs(1);
/// And for long ones (Slow_Periodic_Time).
const SLOW: Duration = Duration::from_secs(30);
/// PDUs do not leave exactly on time.
const JITTER: Duration = Duration::from_millis(500);
/// After so long without another change, a change of partners is over: the long timeout.
const SETTLED: Duration = Duration::from_secs(90);

/// System and port.
type Name = (Mac, u16);

/// Judges the LACPDUs of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    missed: u32,
    ends: Bounded<Name, Speaker>,
    /// Who spoke last to each port of ours, where directions are known: an interface of a capture may stand
    /// for several, as `any` does.
    partners: Bounded<Name, End>,
    changed: Lasting,
}

/// An end that was heard.
#[derive(Debug)]
struct Speaker {
    pdu: Lacp,
    direction: Direction,
    pulse: Pulse,
    was_up: bool,
    in_trouble: bool,
    expired: Lasting,
    defaulted: Lasting,
    out_of_sync: Lasting,
    /// Its partner by its own words, when it had one.
    other: Option<End>,
}

impl Watch {
    /// `missed` PDUs in a row are silence.
    pub(super) fn new(missed: u32) -> Self {
        Self {
            missed,
            ends: Bounded::new(MOST),
            partners: Bounded::new(MOST),
            changed: Lasting::default(),
        }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, pdu: &Lacp, findings: &mut Vec<Finding>) {
        self.note_partner(heard, pdu, findings);
        let rhythm = self.rhythm(pdu);
        let direction = heard.direction();
        let name = (pdu.actor.system, pdu.actor.port);
        let Some(speaker) = self.ends.entry(name, || Speaker::new(heard, pdu, rhythm)) else {
            return;
        };
        speaker.direction = direction;
        speaker.pulse.beat(heard, rhythm, || named(direction, &pdu.actor), findings);
        speaker.note_partner(heard, pdu, &mut self.changed, findings);
        speaker.judge(heard, pdu, findings);
        speaker.pdu = *pdu;
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        if self.changed.last().is_some_and(|last| now.at.mono.since(last.mono) > SETTLED) {
            self.changed.end(now.at, || "the LACP partner stays the same".to_owned(), findings);
        }
        self.ends.retain(|_, speaker| {
            speaker.check(now, findings);
            !speaker.pulse.is_forgotten(now, findings)
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.ends.refused()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        let ends = self.ends.iter().flat_map(|(_, end)| {
            [&end.pulse.silence, &end.expired, &end.defaulted, &end.out_of_sync]
        });
        ends.chain([&self.changed])
    }

    /// How long the sender of `pdu` may be silent. It speaks as often as its partner asks for; the
    /// partner may have asked for less since, so where both speak, both must agree on fast. Between two
    /// passive ends nobody speaks unasked.
    fn rhythm(&self, pdu: &Lacp) -> Rhythm {
        let asked = |end: &End| end.state.has(State::SHORT_TIMEOUT);
        let active = |end: &End| end.state.has(State::ACTIVE);
        if !active(&pdu.actor) && !active(&pdu.partner) {
            return Rhythm { interval: SLOW, patience: Duration::MAX };
        }
        let other = self.ends.get(&(pdu.partner.system, pdu.partner.port));
        let fast = asked(&pdu.partner) && other.is_none_or(|other| asked(&other.pdu.actor));
        let interval = if fast { FAST } else { SLOW };
        let patience = interval.saturating_mul(self.missed).saturating_add(JITTER);
        Rhythm { interval, patience }
    }

    /// Where directions are known: another one speaks to the same port of ours, which it names.
    fn note_partner(&mut self, heard: &Heard<'_>, pdu: &Lacp, findings: &mut Vec<Finding>) {
        let (own, actor) = ((pdu.partner.system, pdu.partner.port), pdu.actor);
        if heard.direction() != Direction::Inbound || own.0 == Mac::default() {
            return;
        }
        let Some(known) = self.partners.entry(own, || actor) else { return };
        let before = std::mem::replace(known, actor);
        if !is_same(&before, &actor) {
            self.changed.begin(changed(heard, &before, &actor), findings);
        }
    }
}

impl Speaker {
    fn new(heard: &Heard<'_>, pdu: &Lacp, rhythm: Rhythm) -> Self {
        Self {
            pdu: *pdu,
            direction: heard.direction(),
            pulse: Pulse::new(heard.at(), rhythm),
            was_up: false,
            in_trouble: false,
            expired: Lasting::default(),
            defaulted: Lasting::default(),
            out_of_sync: Lasting::default(),
            other: None,
        }
    }

    /// Where directions are not known: an end names another partner.
    fn note_partner(
        &mut self,
        heard: &Heard<'_>,
        pdu: &Lacp,
        told: &mut Lasting,
        findings: &mut Vec<Finding>,
    ) {
        let known = pdu.partner.system != Mac::default() && !pdu.actor.state.has(State::DEFAULTED);
        if !known {
            return;
        }
        if let Some(before) = self.other.replace(pdu.partner)
            && heard.direction() == Direction::Unknown
            && !is_same(&before, &pdu.partner)
        {
            told.begin(changed(heard, &before, &pdu.partner), findings);
        }
    }

    fn judge(&mut self, heard: &Heard<'_>, pdu: &Lacp, findings: &mut Vec<Finding>) {
        let state = pdu.actor.state;
        let who = named(heard.direction(), &pdu.actor);
        let outbound = heard.direction() == Direction::Outbound;
        let other = if outbound { "its partner" } else { "us" };
        let other = if heard.direction() == Direction::Unknown { "its partner" } else { other };
        let expired = state.has(State::EXPIRED);
        let defaulted = state.has(State::DEFAULTED);
        let in_sync = state.has(State::SYNCHRONIZATION);
        let severity = |when_up| if self.was_up { when_up } else { Severity::Notice };
        let cases = [
            (
                &mut self.expired,
                expired,
                FindingKind::LacpExpired,
                severity(Severity::Warning),
                format!("{who} says expired: it did not hear {other} in time"),
                "does not say expired any longer",
            ),
            (
                &mut self.defaulted,
                defaulted,
                FindingKind::LacpDefaulted,
                severity(Severity::Critical),
                format!("{who} says defaulted: it gave {other} up and uses its defaults"),
                "does not say defaulted any longer",
            ),
            (
                &mut self.out_of_sync,
                self.was_up && !in_sync && !expired && !defaulted,
                FindingKind::LacpOutOfSync,
                severity(Severity::Warning),
                format!("{who} says out of sync: it took the link out of its aggregate"),
                "does not say out of sync any longer",
            ),
        ];
        for (lasting, holds, kind, severity, sentence, end) in cases {
            if holds {
                self.in_trouble = true;
                lasting.begin(heard.finding(kind, severity, sentence), findings);
            } else {
                lasting.end(heard.at(), || format!("{who} {end}"), findings);
            }
        }
        if state.is_up() && pdu.partner.state.has(State::SYNCHRONIZATION) {
            if self.in_trouble {
                let sentence = format!("{who} is in its aggregate again, and passes traffic");
                let kind = FindingKind::LacpRecovered;
                findings.push(heard.finding(kind, Severity::Info, sentence));
            }
            (self.was_up, self.in_trouble) = (true, false);
        }
    }

    fn check(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let (actor, direction) = (self.pdu.actor, self.direction);
        let severity = if self.was_up { Severity::Warning } else { Severity::Notice };
        let silence = |silent: Duration| Finding {
            direction,
            ..now
                .finding(
                    FindingKind::LacpSilence,
                    severity,
                    self.pdu.to_string(),
                    format!(
                        "no LACPDU of {} for {:.1} s",
                        named(direction, &actor),
                        silent.as_secs_f64()
                    ),
                )
                .about(Party::Station(actor.system))
        };
        self.pulse.check(now, silence, findings);
        self.in_trouble |= self.pulse.silence.is_open();
    }
}

/// The same port of the same system, with the same key.
fn is_same(one: &End, other: &End) -> bool {
    (one.system, one.port, one.key) == (other.system, other.port, other.key)
}

fn changed(heard: &Heard<'_>, before: &End, now: &End) -> Finding {
    let sentence =
        format!("the LACP partner changed from {} to {}", identity(before), identity(now));
    heard.finding(FindingKind::LacpPartnerChanged, Severity::Warning, sentence)
}

fn identity(end: &End) -> String {
    format!("{} port {} key {}", end.system, end.port, end.key)
}

/// Who it is, from where we stand.
fn named(direction: Direction, end: &End) -> String {
    let whose = match direction {
        Direction::Inbound => "the LACP partner ",
        Direction::Outbound => "this host's own LACP end ",
        Direction::Unknown => "",
    };
    format!("{whose}{} port {}", end.system, end.port)
}
