//! The phase machine: when an incident opens, how long it collects, when and why it closes.
//!
//! ```text
//!            trigger                     deadline, limit or cut
//!   Armed ──────────────► Collecting ─────────────────────────────► Armed
//!                          ▲      │ another trigger: deadline = its time + post, never beyond the limit
//!                          └──────┘
//!
//!   ────┬──────────────────────────┬───────────────┬───────────────┬────────► monotonic time
//!       from = first trigger - pre  first trigger   another         deadline
//! ```
//!
//! Pure: it is told the time, so a silent interface or a stepped wall clock cannot keep it waiting.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::incident::Ending;
use crate::time::{Mono, Window};
use crate::trigger::{Tally, Terms, Trigger};

/// How long a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// Kept from before the first trigger.
    pub pre: Duration,
    /// Kept from after the last trigger.
    pub post: Duration,
    /// However many triggers follow, an incident collects no longer than this after the first.
    pub limit: Duration,
}

impl WindowOptions {
    /// Kept from before: a slow LACP failure takes up to 93 s from cause to symptom (IEEE 802.1AX: 3 × 30 s,
    /// then 3 s).
    pub const PRE: Duration = Duration::from_secs(120);
    /// Kept from after: what the host does about it.
    pub const POST: Duration = Duration::from_secs(10);
    /// An incident longer than this is a capture, not an incident.
    const MAX: Duration = Duration::from_secs(24 * 3600);
    /// Post-trigger windows in a row, unless the operator sets another limit.
    const EXTENSIONS: u32 = 6;

    /// The window for `pre` and `post`, with a limit that leaves room for extensions.
    pub fn new(pre: Duration, post: Duration) -> Self {
        let limit = post.saturating_mul(Self::EXTENSIONS).clamp(post, Self::MAX.max(post));
        Self { pre, post, limit }
    }

    /// Accepts only windows that can be meant.
    ///
    /// # Errors
    /// When a part is longer than a day, or the limit is shorter than the post-trigger window.
    pub fn check(&self) -> Result<()> {
        for (option, given) in [("--pre", self.pre), ("--post", self.post), ("--limit", self.limit)]
        {
            if given > Self::MAX {
                let given = format!("{given:?}");
                return Err(Error::usage(
                    option,
                    given,
                    "the time is at most a day",
                    "up to 24h, such as 90s",
                ));
            }
        }
        if self.limit < self.post {
            return Err(Error::usage(
                "--limit",
                format!("{:?}", self.limit),
                format!("the limit is at least the time after a trigger, which is {:?}", self.post),
                "--post or more",
            ));
        }
        Ok(())
    }
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self::new(Self::PRE, Self::POST)
    }
}

/// Whether an incident is being collected.
#[derive(Debug)]
pub(super) struct Phase {
    limit: Duration,
    open: Option<Collecting>,
}

/// An incident that is still open.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Collecting {
    opened_by: Trigger,
    extended_by: Vec<Trigger>,
    /// Triggers beyond [`Phase::MAX_TRIGGERS`], which extend but are not kept one by one.
    further: u64,
    counts: Vec<TriggerCount>,
    from: Mono,
    /// Where the window would have ended without a further trigger.
    asked_until: Mono,
    limit: Mono,
    deadline: Mono,
}

/// How often something triggered, and how long it rests afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TriggerCount {
    pub(super) tally: Tally,
    /// When the recorder was told first.
    pub(super) told: Mono,
    /// None where every window was over when it was asked for: what is going on now has not been kept, and may
    /// open an incident at once.
    pub(super) cool_down: Option<Duration>,
}

/// What a trigger led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// An incident was opened: hold everything since.
    Opened {
        /// Beginning of the pre-trigger window.
        from: Mono,
    },
    /// The open incident goes on until then.
    Extended {
        /// The new deadline.
        until: Mono,
        /// Beginning of the pre-trigger window, where this trigger reaches further back.
        from: Option<Mono>,
        /// Triggers in this incident by now.
        triggers: u64,
    },
}

/// A closed incident, still without frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClosedIncident {
    /// The trigger that opened it.
    pub(super) opened_by: Trigger,
    /// Those that came while it was open.
    pub(super) extended_by: Vec<Trigger>,
    /// Triggers beyond [`Phase::MAX_TRIGGERS`] that came, too.
    pub(super) further_triggers: u64,
    /// All of them, by kind and object.
    pub(super) counts: Vec<TriggerCount>,
    /// As asked for by the trigger that opened it.
    pub(super) asked: Window,
    /// From the beginning of the pre-trigger window to where it was closed.
    pub(super) window: Window,
    /// Why it was closed.
    pub(super) ending: Ending,
}

impl Phase {
    /// Extending triggers kept one by one in an incident; a storm of them is counted beyond that. A
    /// thousand a second would fill timeline and manifest with what a reader skips.
    pub(super) const MAX_TRIGGERS: usize = 100;
    /// Kinds and objects counted apart in an incident; triggers of further ones are only counted in all.
    const MAX_COUNTS: usize = 256;

    /// Armed; however many triggers follow, an incident collects no longer than `limit` after the first.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, open: None }
    }

    /// From the next incident on another limit holds.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// True while an incident is open.
    pub(super) fn is_collecting(&self) -> bool {
        self.open.is_some()
    }

    /// Takes a trigger in; it opens an incident or extends the open one. Its window reaches back from
    /// where it began, `lasted` before it was told.
    pub(super) fn trigger(&mut self, trigger: Trigger, terms: Terms, lasted: Duration) -> Effect {
        let at = trigger.at.mono;
        let (from, until) = (at.minus(terms.pre).minus(lasted), at.plus(terms.post));
        let goes_on = until >= trigger.told_at();
        let count = TriggerCount::first(&trigger, goes_on.then_some(terms.cool_down));
        let Some(open) = &mut self.open else {
            self.open = Some(Collecting {
                opened_by: trigger,
                extended_by: Vec::new(),
                further: 0,
                counts: vec![count],
                from,
                asked_until: until,
                limit: at.plus(self.limit.max(terms.post)),
                deadline: until,
            });
            return Effect::Opened { from };
        };
        open.deadline = open.deadline.max(until.min(open.limit));
        let further_back = (from < open.from).then_some(from);
        open.from = open.from.min(from);
        open.count(count);
        if open.extended_by.len() < Self::MAX_TRIGGERS {
            open.extended_by.push(trigger);
        } else {
            open.further += 1;
        }
        let triggers = 1 + open.extended_by.len() as u64 + open.further;
        Effect::Extended { until: open.deadline, from: further_back, triggers }
    }

    /// A trigger that was held, and is confirmed now: it came before, so it stands before the others,
    /// and the window begins at `from` at the latest. Returns where it begins.
    pub(super) fn precede(
        &mut self,
        held: Trigger,
        from: Mono,
        cool_down: Duration,
    ) -> Option<Mono> {
        let open = self.open.as_mut()?;
        open.from = open.from.min(from);
        open.count(TriggerCount::first(&held, Some(cool_down)));
        let second = if held.at.mono < open.opened_by.at.mono {
            std::mem::replace(&mut open.opened_by, held)
        } else {
            held
        };
        open.extended_by.insert(0, second);
        Some(open.from)
    }

    /// The trigger that opened the open incident, and how many came since.
    pub(super) fn opened_by(&self) -> Option<(&Trigger, u64)> {
        let open = self.open.as_ref()?;
        Some((&open.opened_by, open.extended_by.len() as u64 + open.further))
    }

    /// Where the window of the open incident begins.
    pub(super) fn from(&self) -> Option<Mono> {
        self.open.as_ref().map(|open| open.from)
    }

    /// True if a window has nothing of the open incident's, and is over: it is an incident of its own, so that
    /// neither has what lies between them.
    pub(super) fn is_apart(&self, window: Window, now: Mono) -> bool {
        let apart = |open: &Collecting| window.to < open.from || open.deadline < window.from;
        window.to <= now && self.open.as_ref().is_some_and(apart)
    }

    /// The same limit, with nothing open.
    pub(super) fn beside(&self) -> Self {
        Self::new(self.limit)
    }

    /// The window of the open incident so far.
    pub(super) fn window(&self) -> Option<Window> {
        self.open.as_ref().map(|open| Window { from: open.from, to: open.deadline })
    }

    /// When the open incident is due to be closed.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.open.as_ref().map(|open| open.deadline)
    }

    /// Closes the open incident if its time has come.
    pub(super) fn close_if_due(&mut self, now: Mono) -> Option<ClosedIncident> {
        let open = self.open.take_if(|open| open.deadline <= now)?;
        let at_limit = open.deadline == open.limit && open.limit > open.asked_until;
        let ending = if at_limit { Ending::Limit } else { Ending::OnTime };
        Some(closed(open, ending, None))
    }

    /// Closes the open incident now, whatever its deadline.
    pub(super) fn cut(&mut self, now: Mono, by: &str) -> Option<ClosedIncident> {
        let open = self.open.take()?;
        Some(closed(open, Ending::Cut { by: by.to_owned() }, Some(now)))
    }
}

impl Collecting {
    fn count(&mut self, count: TriggerCount) {
        let same = |other: &&mut TriggerCount| {
            (other.tally.kind, &other.tally.object) == (count.tally.kind, &count.tally.object)
        };
        if let Some(TriggerCount { tally, told, cool_down }) = self.counts.iter_mut().find(same) {
            tally.count += 1;
            tally.first = tally.first.min(count.tally.first);
            tally.last = tally.last.max(count.tally.last);
            *told = (*told).min(count.told);
            *cool_down = count.cool_down.or(*cool_down);
        } else if self.counts.len() < Phase::MAX_COUNTS {
            self.counts.push(count);
        }
    }
}

impl TriggerCount {
    fn first(trigger: &Trigger, cool_down: Option<Duration>) -> Self {
        let (kind, object, at) = (trigger.kind, trigger.object.clone(), trigger.at);
        let tally = Tally { kind, object, count: 1, first: at, last: at };
        Self { tally, told: trigger.told_at(), cool_down }
    }
}

fn closed(open: Collecting, ending: Ending, at: Option<Mono>) -> ClosedIncident {
    let to = at.map_or(open.deadline, |at| at.min(open.deadline));
    ClosedIncident {
        opened_by: open.opened_by,
        extended_by: open.extended_by,
        further_triggers: open.further,
        counts: open.counts,
        asked: Window { from: open.from, to: open.asked_until },
        window: Window { from: open.from, to },
        ending,
    }
}

#[cfg(test)]
mod tests;
