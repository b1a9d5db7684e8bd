//! From an observation to a frozen window: the recorder's decisions, one after the other.
//!
//! First the evidence, then everything else: nothing here waits for the disk, and a storm of triggers
//! costs a count each.

use std::time::Duration;

use super::frame_store::{Held as Pinned, Keeper};
use super::holds::Held;
use super::phase::Effect;
use super::{Open, Recorder, clients};
use crate::api::question::Verdict;
use crate::incident::system::Collection;
use crate::observation::Observation;
use crate::ring::HoldId;
use crate::time::{Mono, Window, nanos};
use crate::trigger::{Circumstances, Fired, Hold, Trigger};

/// Of what repeats itself in a storm, so many are logged one by one, then the 2^n-th.
const LOGGED: u64 = 16;

impl<K: Keeper> Recorder<K> {
    /// The verdict is for whoever asked with the observation.
    pub(super) fn judge(&mut self, seen: &Observation) -> Verdict {
        let when = Circumstances { watched: &self.watched };
        for fired in self.rules.judge(seen, when) {
            self.fire(fired);
        }
        match Trigger::asked(seen) {
            Some(trigger) => self.fire(clients::fired(trigger, &seen.fact, self.options.usual())),
            None => Verdict::Noted,
        }
    }

    /// What happens by itself when its time has come.
    pub(super) fn judge_time(&mut self) {
        let now = self.clock.now().mono;
        for fired in self.rules.due(now) {
            self.fire(fired);
        }
        for held in self.holds.expired(now) {
            self.release(&held, "nothing confirmed it");
        }
        self.doors.tell_pulled(None);
    }

    /// When the next of these is due.
    pub(super) fn next_judgement(&self) -> Option<Mono> {
        self.rules.next_due().into_iter().chain(self.holds.next_expiry()).min()
    }

    /// Releases every window that is still waiting to be confirmed.
    pub(super) fn release_holds(&mut self, why: &str) {
        for held in self.holds.all() {
            self.release(&held, why);
        }
    }

    fn fire(&mut self, fired: Fired) -> Verdict {
        let collecting = self.phase.is_collecting();
        if self.leaving && !collecting {
            return Verdict::Ignored { why: "dashcap is ending".to_owned() };
        }
        if let Some(why) = self.doors.refuses(&fired.trigger) {
            return self.refuse(&fired.trigger, why);
        }
        let opens = !collecting || fired.hold.is_some();
        if opens && !self.gate.admits(&fired.trigger) {
            self.summary.cooling += 1;
            let why = "cooling down after the last incident".to_owned();
            return self.refuse(&fired.trigger, why);
        }
        match fired.hold.clone() {
            Some(hold) => {
                self.hold(fired, &hold);
                Verdict::Noted
            }
            None => self.keep(fired),
        }
    }

    fn refuse(&mut self, trigger: &Trigger, why: String) -> Verdict {
        self.refused += 1;
        if is_told(self.refused) {
            let Trigger { kind, sentence, .. } = trigger;
            tracing::info!("{kind}: not frozen, {why}: {sentence}");
            self.log.told_as_trigger();
        }
        Verdict::Ignored { why }
    }

    /// Freezes, and waits for somebody to confirm.
    fn hold(&mut self, fired: Fired, hold: &Hold) {
        if self.leaving || self.holds.has(&fired) {
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
        self.pin(id, held.from, at);
        held.pinned_after = self.clock.now().mono.since(at);
        tracing::info!("{kind}: {sentence}; held, {hold}");
        self.log.told_as_trigger();
        self.holds.add(held);
    }

    /// Takes a sure trigger in, and what it confirms.
    fn keep(&mut self, fired: Fired) -> Verdict {
        let Fired { trigger, rules, terms, lasted, .. } = fired;
        self.doors.pulled(trigger.clone());
        let (kind, sentence, at) = (trigger.kind, trigger.sentence.clone(), trigger.at.mono);
        let confirmed = self.holds.confirmed(&rules, at);
        let pulled = trigger.clone();
        let effect = self.phase.trigger(trigger, terms, lasted);
        let mut preceded = None;
        for Held { fired, from, .. } in &confirmed {
            let (held, cool_down) = (fired.trigger.clone(), fired.terms.cool_down);
            preceded = self.phase.precede(held, *from, cool_down);
        }
        let verdict = match effect {
            Effect::Opened { from } => {
                let hold = self.next_hold();
                let from = preceded.unwrap_or(from);
                let complete_from = self.pin(hold, from, at);
                let pinned_after = self.clock.now().mono.since(at);
                let first_pinned = confirmed.last().map_or(pinned_after, |held| held.pinned_after);
                // What this host says now says nothing about what happened elsewhere and long ago.
                let system = K::LIVE.then(|| Collection::begin(&self.captures.names()));
                let system = system.transpose();
                let system = system.inspect_err(|e| tracing::warn!("cannot ask the system: {e}"));
                let system = system.ok().flatten();
                let waiting = Vec::new();
                let pinned_after = first_pinned;
                self.open = Some(Open { hold, pinned_after, system, programs: None, waiting });
                self.refused = 0;
                self.tell_frozen(first_pinned, from);
                tracing::warn!("{kind}: {sentence}; window frozen after {pinned_after:?}");
                self.log.told_as_trigger();
                let left = self.phase.deadline().map(|deadline| deadline.since(at));
                Verdict::Frozen {
                    pinned_after_ns: nanos(pinned_after),
                    before_wanted_ns: nanos(at.since(from)),
                    before_held_ns: nanos(at.since(complete_from.max(from))),
                    left_ns: nanos(left.unwrap_or_default()),
                }
            }
            Effect::Extended { until, from, triggers } => {
                let held = self.open.as_ref().map(|open| open.hold);
                if let (Some(from), Some(hold)) = (preceded.or(from), held) {
                    self.pin(hold, from, at);
                }
                let left = until.since(self.clock.now().mono);
                if is_told(triggers) {
                    tracing::warn!("{kind}: {sentence}; the open incident goes on for {left:.1?}");
                    self.log.told_as_trigger();
                }
                Verdict::Extended { left_ns: nanos(left) }
            }
        };
        let held = confirmed.iter().map(|held| &held.fired.trigger);
        self.ask_programs(held.chain([&pulled]));
        for held in confirmed {
            tracing::warn!("{}: confirmed by {kind}", held.fired.trigger.kind);
            self.unpin(held.id);
        }
        verdict
    }

    fn release(&mut self, held: &Held, why: &str) {
        self.unpin(held.id);
        self.summary.holds_released += 1;
        let Trigger { kind, sentence, .. } = &held.fired.trigger;
        tracing::info!("{kind}: released, {why}: {sentence}");
    }

    fn next_hold(&mut self) -> HoldId {
        self.holds_made += 1;
        HoldId(self.holds_made)
    }

    /// Pins everything since `from`, for a trigger at `at`; returns from when on everything is there.
    fn pin(&mut self, hold: HoldId, from: Mono, at: Mono) -> Mono {
        let Pinned { complete_from, silent } = self.captures.hold(hold, from);
        if silent > 0 {
            tracing::error!("{silent} captures did not answer; their frames may be missing");
        }
        if complete_from > from {
            let (asked, there) = (at.since(from), at.since(complete_from));
            tracing::warn!("of the {asked:.1?} before it {there:.1?} are there");
        }
        complete_from
    }

    /// Gives a hold up: a slice of a moment, which nobody waits for.
    fn unpin(&mut self, hold: HoldId) {
        let now = self.clock.now().mono;
        drop(self.captures.slice(Window { from: now, to: now }, hold));
    }
}

fn is_told(count: u64) -> bool {
    count <= LOGGED || count.is_power_of_two()
}
