//! What somebody asks for, perhaps for a moment that is over.
//!
//! ```text
//!        at - pre             at: the event         at + post          told: it came
//!   ────────┬──────────────────────┬────────────────────┬──────────────────┬───────► monotonic
//!           └─ a bundle has it: covered · nothing is left of it: late · else frozen, as far as memory reaches
//! ```
//!
//! What is measured, rests and is counted begins when it came; what the window is about is the event.

use super::Incidents;
use super::clock_steps::ClockMoment;
use super::reach::Reach;
use crate::api::question::{Fate, Reply, Verdict};
use crate::capture::CaptureReport;
use crate::incident::coverage::Coverage;
use crate::incident::earlier::Earlier;
use crate::incident::name::name_of;
use crate::observation::request::Ask;
use crate::recorder::audience::Audience;
use crate::recorder::audience::log::short;
use crate::recorder::frame_store::FrameStore;
use crate::time::{Mono, Offset, Stamp, Window, nanos};
use crate::trigger::{Fired, Terms, Trigger};

impl Incidents {
    /// The verdict is for whoever asked; it came at `came`.
    pub(super) fn ask<K: FrameStore>(
        &mut self,
        ask: &Ask,
        came: Stamp,
        captures: &mut K,
        audience: &mut Audience,
    ) -> Verdict {
        let ClockMoment { at, doubt } = self.meant(ask, came);
        let mut trigger = Trigger::asked(ask, at, came.mono);
        if let Some(doubt) = doubt {
            trigger.sentence.push_str(&format!(" ({doubt})"));
        }
        let fired = Fired::asked(trigger, self.wanted(ask));
        let window = fired.window();
        if ask.names_a_moment()
            && let Some(answer) = self.past(ask, &fired, came, captures)
        {
            tracing::info!("{}: {}: {answer}", fired.trigger.kind, short(&ask.to_string()));
            return answer;
        }
        let told_after = fired.trigger.told_after;
        let verdict = self.fire(fired, captures, audience);
        let Some(pinned) = verdict.incident().and_then(|incident| self.pinned(incident)) else {
            return verdict;
        };
        let reports = captures.reports();
        let reach = self.reach(window, at.offset(), &reports);
        let (held_from, closed) = pinned;
        let unseen = self.history.gap(window);
        let asked_after_ns = nanos(told_after);
        let coverage = reach.coverage(held_from, closed, unseen);
        verdict.covering(Coverage { asked_after_ns, ..coverage })
    }

    /// The moment that is meant.
    fn meant(&self, ask: &Ask, came: Stamp) -> ClockMoment {
        match (ask.at, ask.ago) {
            (Some(wall), _) => self.clock_steps.moment(wall, came),
            (None, Some(ago)) => {
                let mono = came.mono.minus(ago);
                let at = Stamp { mono, wall: came.offset().wall(mono) };
                ClockMoment { at, doubt: None }
            }
            (None, None) => ClockMoment { at: came, doubt: None },
        }
    }

    /// The window that is wanted; the usual one where nothing is said.
    fn wanted(&self, ask: &Ask) -> Terms {
        let Terms { pre, post, .. } = self.usual;
        Terms { pre: ask.pre.unwrap_or(pre), post: ask.post.unwrap_or(post), ..self.usual }
    }

    /// The answer to who asks for a moment that is over, where nothing is to be frozen.
    fn past<K: FrameStore>(
        &self,
        ask: &Ask,
        fired: &Fired,
        came: Stamp,
        captures: &mut K,
    ) -> Option<Verdict> {
        let (window, at) = (fired.window(), fired.trigger.at);
        if let Some(known) = self.recent.covers(window).filter(|_| !ask.again) {
            let [from, to] =
                [known.window.from, known.window.to].map(|edge| known.offset.wall(edge));
            return Some(Verdict::Covered { incident: known.incident.clone(), from, to });
        }
        let reports = captures.reports();
        let oldest = self.reach(window, at.offset(), &reports).is_after()?;
        // By the wall clock alone: a moment before boot has no other.
        let (from, to) = (at.wall.minus(fired.terms.pre), at.wall.plus(fired.terms.post));
        Some(Verdict::Late { from, to, oldest: came.offset().wall(oldest) })
    }

    pub(super) fn reach<'a>(
        &self,
        window: Window,
        offset: Offset,
        reports: &'a [CaptureReport],
    ) -> Reach<'a> {
        let earlier = self.earlier.as_ref().map(Earlier::frames);
        Reach { window, offset, reports, earlier }
    }

    /// Since when all frames of an incident are pinned, and the window that it has so far.
    pub(super) fn pinned(&self, incident: &str) -> Option<(Mono, Window)> {
        if let Some(closing) = self.closing.iter().rev().find(|one| one.name() == incident) {
            return Some((closing.complete_from(), closing.window()));
        }
        let open = self.open.as_ref()?;
        Some((open.complete_from, self.phase.window()?))
    }

    /// Tells what becomes of an incident, once that is known.
    pub(in crate::recorder) fn tell_fate(
        &mut self,
        incident: &str,
        fate: Reply<Fate>,
        audience: &mut Audience,
    ) {
        if let Some(closing) = self.closing.iter_mut().rev().find(|one| one.name() == incident) {
            return closing.wait(fate);
        }
        if self.phase.opened_by().is_some_and(|(trigger, _)| name_of(trigger) == incident) {
            return self.wait_for_open(fate);
        }
        match self.recent.named(incident).and_then(|known| known.written.as_ref()) {
            // Whoever asked may be gone.
            Some(written) => drop(fate.send(written.clone())),
            None => audience.clients.wait(incident, fate),
        }
    }
}
