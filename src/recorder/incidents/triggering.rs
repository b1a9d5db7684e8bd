//! From an observation to a frozen window: the recorder's decisions, one after the other.
//!
//! First the evidence, then everything else: nothing here waits for the disk, and a storm of triggers
//! costs a count each.

use std::time::Duration;

use super::holds::Held;
use super::phase::Effect;
use super::{Announced, Incidents, OpenedIncident, Spooling};
use crate::api::question::Verdict;
use crate::finding::FindingKind;
use crate::fleet::keep::announce::OwnIncident;
use crate::incident::clock_reading::ClockReading;
use crate::incident::name::name_of;
use crate::incident::progress::IncidentProgress;
use crate::incident::system::Collection;
use crate::observation::{Fact, Observation};
use crate::recorder::audience::Audience;
use crate::recorder::audience::log::short;
use crate::recorder::frame_store::{FrameStore, Held as Pinned};
use crate::recorder::ring_file;
use crate::ring::HoldId;
use crate::ring::metadata::{IncidentMetadata, MetadataMoment, RecordingMetadata};
use crate::time::{Mono, Window, nanos};
use crate::trigger::{Announce, Circumstances, Fired, Hold, Terms, Trigger, TriggerKind};

/// Of what repeats itself in a storm, so many are logged one by one, then the 2^n-th.
const LOGGED: u64 = 16;

impl Incidents {
    /// The verdict is for whoever asked with the observation.
    pub(in crate::recorder) fn judge<K: FrameStore>(
        &mut self,
        seen: &Observation,
        captures: &mut K,
        audience: &mut Audience,
    ) -> Verdict {
        let when = Circumstances { watched: &self.watched };
        for fired in self.rules.judge(seen, when) {
            self.fire(fired, captures, audience);
        }
        match &seen.fact {
            Fact::Asked(wish) => self.ask(wish, seen.at, captures, audience),
            Fact::Sample(_) => {
                self.clock_steps.note(seen.at);
                Verdict::Noted
            }
            _ => Verdict::Noted,
        }
    }

    /// What happens by itself when its time has come.
    pub(in crate::recorder) fn judge_time<K: FrameStore>(
        &mut self,
        captures: &mut K,
        audience: &mut Audience,
    ) {
        let now = self.clock.now().mono;
        for fired in self.rules.due(now) {
            self.fire(fired, captures, audience);
        }
        for held in self.holds.expired(now) {
            self.release(&held, "nothing confirmed it", captures);
        }
        audience.clients.tell_pulled(None);
    }

    /// Releases every window that is still waiting to be confirmed.
    pub(in crate::recorder) fn release_holds<K: FrameStore>(
        &mut self,
        why: &str,
        captures: &mut K,
    ) {
        for held in self.holds.all() {
            self.release(&held, why, captures);
        }
    }

    pub(super) fn fire<K: FrameStore>(
        &mut self,
        fired: Fired,
        captures: &mut K,
        audience: &mut Audience,
    ) -> Verdict {
        let collecting = self.phase.is_collecting() && !self.is_apart(&fired);
        if self.ending && !collecting {
            return Verdict::Ignored { why: "dashcap is ending".to_owned() };
        }
        if let Some(why) = audience.clients.refuses(&fired.trigger) {
            return self.refuse(&fired.trigger, why, audience);
        }
        let opens = !collecting || fired.hold.is_some();
        if opens && !self.gate.admits(&fired.trigger) {
            self.summary.cooling += 1;
            let why = "cooling down after the last incident".to_owned();
            return self.refuse(&fired.trigger, why, audience);
        }
        if opens && let Some(why) = self.over_budget::<K>(&fired.trigger) {
            self.summary.over_budget += 1;
            return self.refuse(&fired.trigger, why, audience);
        }
        match fired.hold.clone() {
            Some(hold) => {
                self.hold(fired, &hold, captures, audience);
                Verdict::Noted
            }
            None => self.keep(fired, captures, audience),
        }
    }

    /// Why it opens nothing, if the hour has brought enough that nobody asked for. What was captured long ago
    /// comes at the pace of a file: there is no hour to count.
    fn over_budget<K: FrameStore>(&mut self, trigger: &Trigger) -> Option<String> {
        if !K::LIVE || trigger.kind.is_asked_for() {
            return None;
        }
        let spent = self.budget.spent(self.clock.now().mono)?;
        Some(format!("{spent}; what is asked for still opens one"))
    }

    fn refuse(&mut self, trigger: &Trigger, why: String, audience: &mut Audience) -> Verdict {
        self.refused += 1;
        if is_told(self.refused) {
            let Trigger { kind, sentence, .. } = trigger;
            tracing::info!("{kind}: not frozen, {why}: {}", short(sentence));
            audience.log.told_as_trigger();
        }
        Verdict::Ignored { why }
    }

    /// Freezes, and waits for somebody to confirm.
    fn hold<K: FrameStore>(
        &mut self,
        fired: Fired,
        hold: &Hold,
        captures: &mut K,
        audience: &mut Audience,
    ) {
        if self.ending || self.holds.has(&fired) {
            return;
        }
        let kind = fired.trigger.kind;
        if self.holds.is_full() {
            self.summary.holds_refused += 1;
            if is_told(self.summary.holds_refused) {
                tracing::warn!("{kind}: not held, too many windows wait to be confirmed");
            }
            return;
        }
        let (id, at) = (self.next_hold(), fired.trigger.at.mono);
        let sentence = fired.trigger.sentence.clone();
        let mut held = Held::new(id, fired, hold, Duration::ZERO);
        pin(captures, id, held.from, at, yields(&held.fired.trigger));
        held.pinned_after = self.clock.now().mono.since(at);
        tracing::info!("{kind}: {}; held, {hold}", short(&sentence));
        self.announce_hold(&held, hold);
        audience.log.told_as_trigger();
        self.holds.add(held);
    }

    /// True if its window is over, and none of it belongs to the open incident.
    fn is_apart(&self, fired: &Fired) -> bool {
        self.phase.is_apart(fired.window(), self.clock.now().mono)
    }

    /// Takes a sure trigger in, and what it confirms.
    fn keep<K: FrameStore>(
        &mut self,
        fired: Fired,
        captures: &mut K,
        audience: &mut Audience,
    ) -> Verdict {
        if self.is_apart(&fired) {
            return self.keep_apart(fired, captures, audience);
        }
        let Fired { trigger, rules, terms, lasted, announce, .. } = fired;
        audience.clients.pulled(trigger.clone());
        let at = trigger.at.mono;
        let confirmed = self.holds.confirmed(&rules, at);
        let effect = self.phase.trigger(trigger.clone(), terms, lasted);
        let mut preceded = None;
        for Held { fired, from, .. } in &confirmed {
            let (held, cool_down) = (fired.trigger.clone(), fired.terms.cool_down);
            preceded = self.phase.precede(held, *from, cool_down);
        }
        let verdict = match effect {
            Effect::Opened { from } => {
                let from = preceded.unwrap_or(from);
                let planned = Window { from, to: self.phase.deadline().unwrap_or(at) };
                let first_pinned = confirmed.last().map(|held| held.pinned_after);
                let (open, verdict) =
                    self.begin(&trigger, planned, first_pinned, captures, audience);
                self.open = Some(open);
                verdict
            }
            Effect::Extended { until, from, triggers } => {
                self.extend_hold(preceded.or(from), &trigger, captures);
                let left = until.since(self.clock.now().mono);
                if is_told(triggers) {
                    let Trigger { kind, sentence, .. } = &trigger;
                    tracing::warn!(
                        "{kind}: {}; the open incident goes on for {left:.1?}",
                        short(sentence)
                    );
                    audience.log.told_as_trigger();
                }
                let incident = self.phase.opened_by().map(|(opened_by, _)| name_of(opened_by));
                let (left_ns, incident) = (nanos(left), incident.unwrap_or_default());
                Verdict::Extended { left_ns, incident, coverage: None }
            }
        };
        let sure = (&trigger, terms, lasted, announce.as_ref());
        self.announce(&confirmed, sure);
        let held = confirmed.iter().map(|held| &held.fired.trigger);
        self.ask_programs(held.chain([&trigger]), audience);
        for held in confirmed {
            tracing::warn!("{}: confirmed by {}", held.fired.trigger.kind, trigger.kind);
            self.unpin(held.id, captures);
        }
        verdict
    }

    /// Other hosts are told of the open incident, once; of what they hold, that it is wanted.
    fn announce(
        &mut self,
        confirmed: &[Held],
        (trigger, terms, lasted, announce): (&Trigger, Terms, Duration, Option<&Announce>),
    ) {
        for held in confirmed {
            let Fired { trigger, terms, lasted, announce, .. } = &held.fired;
            match announce {
                Some(to) if to.hold => self.tell_others(Announced::Confirmed(held.id)),
                Some(to) => self.announce_open(trigger, *terms, *lasted, to),
                None => {}
            }
        }
        if let Some(to) = announce {
            self.announce_open(trigger, terms, lasted, to);
        }
    }

    fn announce_open(&mut self, trigger: &Trigger, terms: Terms, lasted: Duration, to: &Announce) {
        let Some(open) = &mut self.open else { return };
        if !std::mem::replace(&mut open.is_announced, true) {
            let (incident, to, event) = (own(trigger, terms, lasted), to.clone(), trigger.at.mono);
            self.tell_others(Announced::Opened { incident, to, event });
        }
    }

    /// Other hosts hold the same window.
    fn announce_hold(&mut self, held: &Held, hold: &Hold) {
        let Fired { trigger, terms, lasted, announce, .. } = &held.fired;
        if let Some(to) = announce.clone().filter(|announce| announce.hold) {
            let within = Some(hold.within);
            let incident = OwnIncident { within, ..own(trigger, *terms, *lasted) };
            let (hold, event) = (held.id, trigger.at.mono);
            self.tell_others(Announced::Held { hold, incident, to, event });
        }
    }

    /// A window that is over, beside an incident that is open and has nothing of it: it opens and closes at once.
    fn keep_apart<K: FrameStore>(
        &mut self,
        fired: Fired,
        captures: &mut K,
        audience: &mut Audience,
    ) -> Verdict {
        let window = fired.window();
        let Fired { trigger, terms, lasted, .. } = fired;
        audience.clients.pulled(trigger.clone());
        let mut phase = self.phase.beside();
        phase.trigger(trigger.clone(), terms, lasted);
        let (mut open, verdict) = self.begin(&trigger, window, None, captures, audience);
        let seen = audience.ask_programs(&mut open.programs, &trigger, std::iter::once(&trigger));
        seen.into_iter().for_each(|seen| self.history.add(seen));
        if let Some(closed) = phase.close_if_due(self.clock.now().mono) {
            self.end(closed, open, captures);
        }
        verdict
    }

    /// Begins an incident: its frames are pinned before anything else is done.
    fn begin<K: FrameStore>(
        &mut self,
        trigger: &Trigger,
        planned: Window,
        first_pinned: Option<Duration>,
        captures: &mut K,
        audience: &mut Audience,
    ) -> (OpenedIncident, Verdict) {
        let (hold, at, told) = (self.next_hold(), trigger.at.mono, trigger.told_at());
        let Window { from, to } = planned;
        let yields = yields(trigger);
        let complete_from = pin(captures, hold, from, at, yields);
        let took = self.clock.now().mono.since(told);
        let pinned_after = first_pinned.unwrap_or(took);
        // What this host says now says nothing about what happened elsewhere and long ago.
        let system = K::LIVE.then(|| Collection::begin(&captures.names())).transpose();
        let system = system.inspect_err(|e| tracing::warn!("cannot ask the system: {e}"));
        let system = system.ok().flatten();
        let spooling = self.spool(hold, trigger, pinned_after, planned, captures);
        let (programs, waiting, fleet, is_announced) = (None, Vec::new(), Vec::new(), false);
        let open = OpenedIncident {
            hold,
            yields,
            complete_from,
            pinned_after,
            clock: K::LIVE.then(|| ClockReading::read(self.clock.now())).flatten(),
            spooling,
            system,
            programs,
            fleet,
            is_announced,
            waiting,
        };
        self.refused = 0;
        if !trigger.kind.is_asked_for() {
            self.budget.opened(self.clock.now().mono);
        }
        let offset = trigger.at.offset();
        let (first, last) = (offset.wall(from), offset.wall(to));
        audience.clients.frozen(IncidentProgress::frozen(trigger, pinned_after, first, last));
        let Trigger { kind, sentence, .. } = trigger;
        tracing::warn!("{kind}: {}; window frozen after {took:?}", short(sentence));
        audience.log.told_as_trigger();
        let verdict = Verdict::Frozen {
            pinned_after_ns: nanos(took),
            before_wanted_ns: nanos(at.since(from)),
            before_held_ns: nanos(at.since(complete_from.max(from))),
            left_ns: nanos(to.since(told)),
            incident: name_of(trigger),
            coverage: None,
        };
        (open, verdict)
    }

    /// Begins to bring what is held to the disk.
    fn spool<K: FrameStore>(
        &self,
        hold: HoldId,
        trigger: &Trigger,
        pinned_after: Duration,
        planned: Window,
        captures: &K,
    ) -> Option<Spooling> {
        let spooler = self.spooler.as_ref()?;
        let Trigger { kind, object, sentence, at, told_after } = trigger;
        let incident = IncidentMetadata {
            kind: kind.to_string(),
            object: object.clone(),
            sentence: sentence.clone(),
            at: MetadataMoment::from(*at),
            told_after: nanos(*told_after),
            pinned_after: nanos(pinned_after),
            from: planned.from.0,
            to: planned.to.0,
        };
        let standing = ring_file::standing(self.clock.now());
        let (started, incident) = (MetadataMoment::from(self.started), Some(incident));
        let standing = RecordingMetadata { started, incident, ..standing };
        spooler.begin(hold, name_of(trigger), captures.followers(), standing)
    }

    /// The open incident reaches further back, or is about more than what new frames are worth.
    fn extend_hold<K: FrameStore>(&mut self, from: Option<Mono>, by: &Trigger, captures: &mut K) {
        let Some(open) = &mut self.open else { return };
        let firm = open.yields && !yields(by);
        open.yields &= !firm;
        if let Some(from) = from.or_else(|| firm.then(|| self.phase.from()).flatten()) {
            open.complete_from = pin(captures, open.hold, from, by.at.mono, open.yields);
        }
    }

    /// The frames of the open incident are safe, for these triggers: its programs begin.
    fn ask_programs<'a>(
        &mut self,
        triggers: impl Iterator<Item = &'a Trigger>,
        audience: &mut Audience,
    ) {
        let Some(open) = &mut self.open else { return };
        let Some((opened_by, _)) = self.phase.opened_by() else { return };
        for seen in audience.ask_programs(&mut open.programs, opened_by, triggers) {
            self.history.add(seen);
        }
    }

    fn release<K: FrameStore>(&mut self, held: &Held, why: &str, captures: &mut K) {
        self.unpin(held.id, captures);
        self.summary.holds_released += 1;
        if held.fired.announce.as_ref().is_some_and(|announce| announce.hold) {
            self.tell_others(Announced::Released(held.id));
        }
        let Trigger { kind, sentence, .. } = &held.fired.trigger;
        tracing::info!("{kind}: released, {why}: {}", short(sentence));
    }

    pub(super) fn next_hold(&mut self) -> HoldId {
        self.holds_made += 1;
        HoldId(self.holds_made)
    }

    /// Gives a hold up: a slice of a moment, which nobody waits for.
    pub(super) fn unpin<K: FrameStore>(&self, hold: HoldId, captures: &mut K) {
        let now = self.clock.now().mono;
        drop(captures.slice(Window { from: now, to: now }, hold));
    }
}

/// The same window is theirs: as far back, also where it had lasted.
fn own(trigger: &Trigger, terms: Terms, lasted: Duration) -> OwnIncident {
    OwnIncident {
        kind: trigger.kind.to_string(),
        object: trigger.object.clone(),
        sentence: trigger.sentence.clone(),
        severity: trigger.severity(),
        at: trigger.at.wall,
        pre: terms.pre + lasted,
        post: terms.post,
        within: None,
    }
}

/// True if it says that frames are dropped: keeping those from before must not drop more.
fn yields(trigger: &Trigger) -> bool {
    trigger.kind == TriggerKind::Finding(FindingKind::Drops)
}

/// Pins everything since `from`, for a trigger at `at`; returns from when on everything is there.
fn pin<K: FrameStore>(captures: &mut K, hold: HoldId, from: Mono, at: Mono, yields: bool) -> Mono {
    let Pinned { complete_from, silent } = captures.hold(hold, from, yields);
    if silent > 0 {
        tracing::error!("{silent} captures did not answer; their frames may be missing");
    }
    if complete_from > from {
        let (asked, there) = (at.since(from), at.since(complete_from));
        tracing::warn!("of the {asked:.1?} before it {there:.1?} are there");
    }
    complete_from
}

fn is_told(count: u64) -> bool {
    count <= LOGGED || count.is_power_of_two()
}
