//! The rules at work: observations in, triggers out, told the time.
//!
//! ```text
//!   for = 10s     begins                    begins     ends        begins
//!   ────────────────┬─────────10 s───────┬────┬──────────┬────4 s────┬──────► monotonic
//!                   waits                fires  (still)  over        waits again
//! ```
//!
//! What is told to begin again while it goes on fires once, too, until it has ended.
//!
//! Pure, and bounded: what a rule remembers of an object is forgotten when it ends, and the oldest when
//! there are too many.

use std::mem;
use std::time::Duration;

use super::happening::{Happening, Turn, happenings};
use super::rule::Circumstances;
use super::{Announce, Hold, Rule, Trigger};
use crate::observation::Observation;
use crate::time::{Mono, Stamp, Window};

/// What a trigger asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Kept from before it.
    pub pre: Duration,
    /// Kept from after it.
    pub post: Duration,
    /// After an incident, time during which it opens no other.
    pub cool_down: Duration,
}

/// A trigger, and the rules that pulled it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// What happened.
    pub trigger: Trigger,
    /// The names of the rules: the first is the one that was written first.
    pub rules: Vec<String>,
    /// What it asks for: of several rules the longest window and the shortest cool-down.
    pub terms: Terms,
    /// How long it had lasted: the window reaches back further by that.
    pub lasted: Duration,
    /// What must confirm it; none if it is sure.
    pub hold: Option<Hold>,
    /// Other hosts that are to freeze the same seconds.
    pub announce: Option<Announce>,
}

impl Fired {
    /// What somebody asks for needs no rule.
    pub fn asked(trigger: Trigger, terms: Terms) -> Self {
        Self {
            trigger,
            rules: Vec::new(),
            terms,
            lasted: Duration::ZERO,
            hold: None,
            announce: None,
        }
    }

    /// The window it asks for.
    pub fn window(&self) -> Window {
        let at = self.trigger.at.mono;
        let from = at.minus(self.terms.pre).minus(self.lasted);
        Window { from, to: at.plus(self.terms.post) }
    }
}

/// Every armed rule, and what it remembers.
#[derive(Debug)]
pub struct Rules {
    armed: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    rule: Rule,
    called: String,
    terms: Terms,
    courses: Vec<ObjectState>,
}

/// What a rule that waits or compares remembers of one object.
#[derive(Debug)]
struct ObjectState {
    object: Option<String>,
    what: Option<String>,
    /// Its number is beyond the threshold.
    beyond: bool,
    wait: Wait,
}

#[derive(Debug, PartialEq)]
enum Wait {
    /// It has not begun.
    No,
    /// It fires then, unless it ends before.
    Until { due: Mono, trigger: Trigger, lasted: Duration },
    /// It fired, and fires again only after it has ended.
    Over,
}

impl Rules {
    /// Objects that a rule remembers at a time: a thousand VLANs that go down with their bond. Beyond
    /// that the oldest is forgotten, as if it had ended.
    const MOST_COURSES: usize = 1_024;

    /// Arms `rules`; what they leave open is as in `usual`.
    pub fn new(rules: Vec<Rule>, usual: Terms) -> Self {
        let mut armed = Self { armed: Vec::new() };
        armed.replace(rules, usual);
        armed
    }

    /// Arms other rules instead. One that was armed before goes on where it was.
    pub fn replace(&mut self, rules: Vec<Rule>, usual: Terms) {
        let mut before = mem::take(&mut self.armed);
        for rule in rules {
            let terms = Terms {
                pre: rule.pre.unwrap_or(usual.pre),
                post: rule.post.unwrap_or(usual.post),
                cool_down: rule.cool_down.unwrap_or(usual.cool_down),
            };
            let same = before.iter().position(|armed| armed.rule == rule);
            let courses = same.map(|at| before.swap_remove(at).courses).unwrap_or_default();
            self.armed.push(Armed { called: rule.called(), rule, terms, courses });
        }
    }

    /// The rules themselves.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.armed.iter().map(|armed| &armed.rule)
    }

    /// How far back any of them may reach from when it fires.
    pub fn reach(&self) -> Duration {
        let reach = |armed: &Armed| {
            let hold = armed.rule.hold.as_ref().map_or(Duration::ZERO, |hold| hold.within);
            armed.terms.pre + armed.rule.lasting + hold
        };
        self.armed.iter().map(reach).max().unwrap_or_default()
    }

    /// The triggers that an observation amounts to: of one kind and object one that is sure, and one for
    /// each rule that holds.
    pub fn judge(&mut self, seen: &Observation, when: Circumstances<'_>) -> Vec<Fired> {
        let mut fired = Vec::new();
        for happening in happenings(&seen.fact) {
            for armed in &mut self.armed {
                if armed.rule.is_about(&happening, when.watched) {
                    fired.extend(armed.take(&happening, seen));
                }
            }
        }
        merged(fired)
    }

    /// The triggers whose time has come.
    pub fn due(&mut self, now: Mono) -> Vec<Fired> {
        merged(self.armed.iter_mut().flat_map(|armed| armed.due(now)).collect())
    }

    /// When the next one is due, if nothing ends before.
    pub fn next_due(&self) -> Option<Mono> {
        let courses = self.armed.iter().flat_map(|armed| &armed.courses);
        let due = |course: &ObjectState| match course.wait {
            Wait::Until { due, .. } => Some(due),
            _ => None,
        };
        courses.filter_map(due).min()
    }
}

impl Armed {
    /// Follows what this rule is about; the trigger if it fires now.
    fn take(&mut self, happening: &Happening<'_>, seen: &Observation) -> Option<Fired> {
        match self.turn(happening)? {
            Turn::Ends => {
                self.forget(happening);
                None
            }
            Turn::Begins if self.rule.lasting.is_zero() && happening.kind.repeats() => {
                let wait = mem::replace(&mut self.course(happening).wait, Wait::Over);
                let fired = || self.fired(trigger(happening, seen), happening.lasted);
                (wait == Wait::No).then(fired)
            }
            Turn::Begins | Turn::Passes if self.rule.lasting.is_zero() => {
                Some(self.fired(trigger(happening, seen), happening.lasted))
            }
            Turn::Passes => None,
            Turn::Begins => {
                let due = seen.at.mono.plus(self.rule.lasting);
                let course = self.course(happening);
                if course.wait == Wait::No {
                    let (trigger, lasted) = (trigger(happening, seen), happening.lasted);
                    course.wait = Wait::Until { due, trigger, lasted };
                }
                None
            }
        }
    }

    /// Where in its course it is, for a rule that compares numbers; nothing if that did not change.
    fn turn(&mut self, happening: &Happening<'_>) -> Option<Turn> {
        let Some(threshold) = self.rule.threshold else { return Some(happening.turn) };
        if happening.turn == Turn::Ends {
            return Some(Turn::Ends);
        }
        let value = happening.value?;
        if !happening.kind.lasts() {
            // A rate that is told only while there is one: nobody says that it is zero again.
            return threshold.is_beyond(false, value).then_some(Turn::Passes);
        }
        let course = self.course(happening);
        let beyond = threshold.is_beyond(course.beyond, value);
        match (mem::replace(&mut course.beyond, beyond), beyond) {
            (false, true) => Some(Turn::Begins),
            (_, false) => Some(Turn::Ends),
            (true, true) => None,
        }
    }

    fn due(&mut self, now: Mono) -> Vec<Fired> {
        let is_due = |wait: &Wait| matches!(wait, Wait::Until { due, .. } if *due <= now);
        let mut fired = Vec::new();
        for at in 0..self.courses.len() {
            let wait = &mut self.courses[at].wait;
            if !is_due(wait) {
                continue;
            }
            if let Wait::Until { due, mut trigger, lasted } = mem::replace(wait, Wait::Over) {
                let wall = trigger.at.offset().wall(due);
                trigger.at = Stamp { mono: due, wall };
                trigger.sentence = format!("{}; so for {:?}", trigger.sentence, self.rule.lasting);
                fired.push(self.fired(trigger, lasted + self.rule.lasting));
            }
        }
        fired
    }

    fn fired(&self, trigger: Trigger, lasted: Duration) -> Fired {
        let (rules, hold) = (vec![self.called.clone()], self.rule.hold.clone());
        let announce = self.rule.announce.clone();
        Fired { trigger, rules, terms: self.terms, lasted, hold, announce }
    }

    fn course(&mut self, happening: &Happening<'_>) -> &mut ObjectState {
        let at = self.courses.iter().position(|course| course.is_of(happening));
        let at = at.unwrap_or_else(|| {
            if self.courses.len() >= Rules::MOST_COURSES {
                self.courses.remove(0);
            }
            let owned = |text: Option<&str>| text.map(str::to_owned);
            self.courses.push(ObjectState {
                object: owned(happening.object.as_deref()),
                what: owned(happening.what.as_deref()),
                beyond: false,
                wait: Wait::No,
            });
            self.courses.len() - 1
        });
        &mut self.courses[at]
    }

    fn forget(&mut self, happening: &Happening<'_>) {
        self.courses.retain(|course| !course.is_of(happening));
    }
}

impl ObjectState {
    fn is_of(&self, happening: &Happening<'_>) -> bool {
        self.object.as_deref() == happening.object.as_deref()
            && self.what.as_deref() == happening.what.as_deref()
    }
}

fn trigger(happening: &Happening<'_>, seen: &Observation) -> Trigger {
    Trigger {
        kind: happening.kind,
        object: happening.object.as_deref().map(str::to_owned),
        at: seen.at,
        told_after: Duration::ZERO,
        sentence: seen.fact.to_string(),
    }
}

/// Several rules that see the same are one trigger; one that holds stands for itself.
fn merged(fired: Vec<Fired>) -> Vec<Fired> {
    let mut merged: Vec<Fired> = Vec::with_capacity(fired.len());
    for next in fired {
        let same = |other: &&mut Fired| {
            let (a, b) = (&other.trigger, &next.trigger);
            other.hold.is_none()
                && next.hold.is_none()
                && (a.kind, &a.object) == (b.kind, &b.object)
        };
        match merged.iter_mut().find(same) {
            Some(first) => {
                first.rules.extend(next.rules);
                first.lasted = first.lasted.max(next.lasted);
                first.announce = merged_recipients(first.announce.take(), next.announce);
                first.terms = Terms {
                    pre: first.terms.pre.max(next.terms.pre),
                    post: first.terms.post.max(next.terms.post),
                    cool_down: first.terms.cool_down.min(next.terms.cool_down),
                };
            }
            None => merged.push(next),
        }
    }
    merged
}

/// Everybody that one of two rules names.
fn merged_recipients(one: Option<Announce>, other: Option<Announce>) -> Option<Announce> {
    let (Some(mut one), Some(other)) = (one.clone(), other.clone()) else { return one.or(other) };
    one.to.extend(other.to);
    one.to.sort();
    one.to.dedup();
    one.to.truncate(Announce::MOST);
    Some(one)
}

#[cfg(test)]
mod tests;
