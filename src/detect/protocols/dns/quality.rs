//! How one server answers one client, compared with how it did before. Pure: outcomes go in one after
//! another, what changed comes out.
//!
//! ```text
//!   outcomes  . . . . . . . . . . . . . . . . . x . x x x x    . in order   x failed, or slow
//!             └─ before, at most 64 ──────────┘ └─ latest ─┘
//!                few of them may be x             half of them are: it begins
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::finding::Severity;
use crate::time::{Mono, Stamp};
use crate::wire::dns::Dns;
use crate::words;

/// Answers that are looked at together.
const LATEST: usize = 10;
/// As many of them begin it, and fewer than so many end it.
const HALF: usize = LATEST / 2;
/// Answers before them: enough to know what is usual, and the most that are kept.
const FEWEST_BEFORE: u32 = 20;
/// One in so many may fail, or be slow, where it is not usual.
const SELDOM: u32 = 20;
/// Bad ones come within this: a page that looks up many names at once is over sooner.
const LONG_ENOUGH: Duration = Duration::from_secs(1);
/// Until it has lasted for so long it is not clear whether bad is usual from now on.
const UNDECIDED: Duration = Duration::from_secs(10);
/// Ten answers that took longer to come say nothing of now.
const RECENT: Duration = Duration::from_secs(60);
/// Round trips of which the median is usual.
const ROUND_TRIPS: usize = 32;
/// Slow is so many times the usual, and what people notice.
const TIMES_USUAL: u32 = 10;
const NOTICED: Duration = Duration::from_millis(200);
/// Names known to have been found.
const NAMES: usize = 32;
/// Zones that fail together are not one zone's trouble.
const ZONES: usize = 3;
/// NXDOMAIN a second that no person and no host asks for: random names (RFC 8198 §1 calls it an attack).
const NXDOMAINS: u32 = 50;

/// What an answer was like.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerQuality {
    pub(super) asked: Stamp,
    pub(super) at: Mono,
    /// From the question to the answer.
    pub(super) took: Duration,
    pub(super) code: u8,
    /// The name, and the zone it is of.
    pub(super) name: u64,
    pub(super) zone: u64,
}

/// Of what a server, or its client, is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aspect {
    Failing,
    Slow,
    Flood,
}

/// What an outcome changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Turn {
    Begins(Begin),
    Lasts,
    Ends,
}

/// It begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Begin {
    pub(super) severity: Severity,
    /// The question of the first bad answer.
    pub(super) first: Stamp,
    pub(super) count: u64,
    /// In words, from "answers CLIENT" on.
    pub(super) said: String,
}

/// How one server answers one client.
#[derive(Debug)]
pub(super) struct Quality {
    latest: VecDeque<AnswerQuality>,
    failed: Before,
    slow: Before,
    round_trips: VecDeque<Duration>,
    found: VecDeque<u64>,
    flood: RecentAnswers,
    /// Bad answers since then, few good ones in between: the question of the first.
    failing_since: Option<Stamp>,
    slow_since: Option<Stamp>,
    /// By aspect: what was told and is not over.
    told: [bool; 3],
    pub(super) last: Mono,
}

/// Answers before the latest: a bit each, set for a bad one.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    bits: u64,
    length: u32,
}

/// Answers of the last seconds.
#[derive(Debug, Clone, Copy)]
struct RecentAnswers {
    begin: Mono,
    missing: u32,
    answers: u32,
    /// The question of the first that was missing; of the window before if many were.
    first: Option<Stamp>,
    /// So many were missing in the two windows before, the older one first; none if nothing is known of it.
    before: [Option<u32>; 2],
}

impl Quality {
    /// Of an NXDOMAIN flood so much is looked at together.
    pub(super) const WINDOW: Duration = Duration::from_secs(2);
    /// Without an answer for so long it is over, whatever it was.
    pub(super) const GIVEN_UP: Duration = Duration::from_secs(300);

    /// `known` says that its client was not there before, and would have been heard.
    pub(super) fn new(at: Stamp, known: bool) -> Self {
        let before = [known.then_some(0); 2];
        Self {
            latest: VecDeque::with_capacity(LATEST),
            failed: Before::default(),
            slow: Before::default(),
            round_trips: VecDeque::new(),
            found: VecDeque::new(),
            flood: RecentAnswers { begin: at.mono, missing: 0, answers: 0, first: None, before },
            failing_since: None,
            slow_since: None,
            told: [false; 3],
            last: at.mono,
        }
    }

    /// One more answer.
    pub(super) fn add(&mut self, outcome: AnswerQuality) -> [(Aspect, Option<Turn>); 3] {
        self.last = outcome.at;
        if self.latest.len() >= LATEST
            && let Some(oldest) = self.latest.pop_front()
        {
            self.age(oldest);
        }
        self.latest.push_back(outcome);
        let turns = [
            (Aspect::Failing, self.failing(outcome)),
            (Aspect::Slow, self.slow(outcome)),
            (Aspect::Flood, self.flood(outcome)),
        ];
        if outcome.failure().is_none() && !self.found.contains(&outcome.name) {
            push(&mut self.found, outcome.name, NAMES);
        }
        turns
    }

    /// There was no room to tell it.
    pub(super) fn untold(&mut self, aspect: Aspect) {
        self.told[aspect as usize] = false;
    }

    /// What is over because time passes.
    pub(super) fn tick(&mut self, now: Mono) -> Vec<Aspect> {
        let idle = now.since(self.last);
        let limit = |aspect| match aspect {
            Aspect::Flood => Self::WINDOW,
            Aspect::Failing | Aspect::Slow => Self::GIVEN_UP,
        };
        let mut over = vec![Aspect::Failing, Aspect::Slow, Aspect::Flood];
        over.retain(|&aspect| idle > limit(aspect) && self.close(aspect));
        over
    }

    /// It is over; true if it was told.
    fn close(&mut self, aspect: Aspect) -> bool {
        match aspect {
            Aspect::Failing => self.failing_since = None,
            Aspect::Slow => self.slow_since = None,
            Aspect::Flood => {}
        }
        std::mem::take(&mut self.told[aspect as usize])
    }

    /// The oldest of the latest becomes part of what was before; while it lasts, bad is not usual.
    fn age(&mut self, outcome: AnswerQuality) {
        let undecided = |since: Option<Stamp>| {
            since.is_some_and(|since| self.last.since(since.mono) < UNDECIDED)
        };
        let holds = [undecided(self.failing_since), undecided(self.slow_since)];
        if !self.told[Aspect::Failing as usize] && !holds[0] {
            self.failed.push(outcome.failure().is_some());
        }
        if !self.told[Aspect::Slow as usize] && !holds[1] {
            self.slow.push(outcome.took >= NOTICED);
            push(&mut self.round_trips, outcome.took, ROUND_TRIPS);
        }
    }

    fn failing(&mut self, outcome: AnswerQuality) -> Option<Turn> {
        let bad = self.bad(outcome.at, |outcome| outcome.failure().is_some());
        let is_bad = outcome.failure().is_some();
        if self.told[Aspect::Failing as usize] {
            return self.goes_on(Aspect::Failing, is_bad, bad.len());
        }
        let first = since(&mut self.failing_since, is_bad.then_some(outcome.asked), bad.len())?;
        let zones: BTreeSet<u64> = bad.iter().map(|outcome| outcome.zone).collect();
        let known = bad.iter().any(|outcome| self.found.contains(&outcome.name));
        let lasts = outcome.at.since(first.mono) >= LONG_ENOUGH;
        if !is_bad || !lasts || !(known || zones.len() >= ZONES) {
            return None;
        }
        let severity = match self.failed.is_seldom() {
            Some(true) if bad.len() >= HALF => Severity::Warning,
            None if bad.len() >= LATEST => Severity::Notice,
            _ => return None,
        };
        let before = match self.failed.length {
            0 => "nothing is known of before".to_owned(),
            length => format!("before, {} of {length} did", self.failed.bits.count_ones()),
        };
        let (count, of) = (bad.len(), self.latest.len());
        let code = Dns::code_name(outcome.code);
        let said = format!("with {code}: {count} of the latest {of} queries failed; {before}");
        self.told[Aspect::Failing as usize] = true;
        Some(Turn::Begins(Begin { severity, first, count: count as u64, said }))
    }

    fn slow(&mut self, outcome: AnswerQuality) -> Option<Turn> {
        let is_noticed = outcome.took >= NOTICED;
        if !is_noticed && !self.told[Aspect::Slow as usize] && self.slow_since.is_none() {
            return None;
        }
        let usual = median(self.round_trips.iter().copied())?;
        let is_slow = |outcome: &AnswerQuality| outcome.took >= NOTICED.max(usual * TIMES_USUAL);
        let bad = self.bad(outcome.at, is_slow);
        if self.told[Aspect::Slow as usize] {
            return self.goes_on(Aspect::Slow, is_slow(&outcome), bad.len());
        }
        let is_bad = is_slow(&outcome);
        let first = since(&mut self.slow_since, is_bad.then_some(outcome.asked), bad.len())?;
        let lasts = outcome.asked.mono.since(first.mono) >= LONG_ENOUGH;
        if self.slow.is_seldom() != Some(true) || bad.len() <= HALF || !lasts || !is_bad {
            return None;
        }
        let count = bad.len();
        let took = median(bad.iter().map(|outcome| outcome.took))?;
        let said = format!(
            "slowly: {count} of the latest {} answers are late, after {}; usual is {}",
            self.latest.len(),
            words::duration(took),
            words::duration(usual)
        );
        self.told[Aspect::Slow as usize] = true;
        Some(Turn::Begins(Begin { severity: Severity::Warning, first, count: count as u64, said }))
    }

    fn flood(&mut self, outcome: AnswerQuality) -> Option<Turn> {
        let window = &mut self.flood;
        let told = self.told[Aspect::Flood as usize];
        let mut turn = None;
        let age = outcome.at.since(window.begin);
        if age >= Self::WINDOW {
            let least = NXDOMAINS * Self::WINDOW.as_secs() as u32;
            let RecentAnswers { missing, answers, first, before: [older, old], .. } = *window;
            // Answers that come late belong to no window.
            let is_full = age < Self::WINDOW * 2;
            let is_flood = is_full && missing >= least && missing * 5 >= answers * 4;
            let is_news = older.is_some_and(|older| older * 5 < missing) && old.is_some();
            if is_flood && is_news && !told {
                let first = first.unwrap_or(outcome.asked);
                let said = format!(
                    "for names that do not exist: {} of {} answers in {} s are NXDOMAIN",
                    words::count(missing.into()),
                    words::count(answers.into()),
                    Self::WINDOW.as_secs()
                );
                let (severity, count) = (Severity::Warning, missing.into());
                turn = Some(Turn::Begins(Begin { severity, first, count, said }));
                self.told[Aspect::Flood as usize] = true;
            } else if told && !is_flood {
                turn = Some(Turn::Ends);
                self.told[Aspect::Flood as usize] = false;
            }
            let last = if is_full { missing } else { 0 };
            let first = first.filter(|_| last * 2 >= least);
            // Hardly an answer came: then all was quiet.
            let before = if is_full { [old, Some(last)] } else { [Some(0); 2] };
            *window = RecentAnswers { begin: outcome.at, missing: 0, answers: 0, first, before };
        }
        let is_missing = outcome.code == Dns::NXDOMAIN;
        if is_missing {
            window.first.get_or_insert(outcome.asked);
        }
        window.answers += 1;
        window.missing += u32::from(is_missing);
        turn.or((told && is_missing).then_some(Turn::Lasts))
    }

    /// It was told: does it last?
    fn goes_on(&mut self, aspect: Aspect, is_bad: bool, bad: usize) -> Option<Turn> {
        if is_bad {
            return Some(Turn::Lasts);
        }
        let over = bad < HALF;
        if over {
            self.close(aspect);
        }
        over.then_some(Turn::Ends)
    }

    fn bad(&self, now: Mono, is_bad: impl Fn(&AnswerQuality) -> bool) -> Vec<AnswerQuality> {
        let recent = |outcome: &&AnswerQuality| now.since(outcome.at) < RECENT;
        self.latest.iter().filter(recent).filter(|outcome| is_bad(outcome)).copied().collect()
    }
}

impl AnswerQuality {
    /// The code of a server that could not or would not find out.
    fn failure(&self) -> Option<u8> {
        matches!(self.code, Dns::SERVFAIL | Dns::REFUSED).then_some(self.code)
    }
}

impl Before {
    fn push(&mut self, bad: bool) {
        self.bits = self.bits << 1 | u64::from(bad);
        self.length = (self.length + 1).min(u64::BITS);
    }

    /// Bad ones were few; none while too little is known.
    fn is_seldom(self) -> Option<bool> {
        (self.length >= FEWEST_BEFORE).then_some(self.bits.count_ones() * SELDOM <= self.length)
    }
}

/// Since when answers are bad: from the first bad one until hardly one of the latest is. `bad` is the question
/// of the newest answer if that is bad, `of_latest` how many are.
fn since(since: &mut Option<Stamp>, bad: Option<Stamp>, of_latest: usize) -> Option<Stamp> {
    /// One or two of ten are no row.
    const HARDLY: usize = 2;
    match bad {
        Some(asked) => Some(*since.get_or_insert(asked)),
        None => {
            if of_latest <= HARDLY {
                *since = None;
            }
            *since
        }
    }
}

fn push<T>(latest: &mut VecDeque<T>, new: T, most: usize) {
    if latest.len() >= most {
        latest.pop_front();
    }
    latest.push_back(new);
}

fn median(durations: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut sorted: Vec<_> = durations.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    /// Answers a tenth of a second apart, a letter each: `.` found in 1 ms, `x` NXDOMAIN, `s` SERVFAIL,
    /// `r` REFUSED of another zone each, `o` SERVFAIL of a name that was never found, `l` found after 1.5 s.
    /// What was told, with the number of the answer.
    fn story(outcomes: &str) -> Vec<String> {
        told(outcomes, Duration::from_millis(100))
    }

    fn told(outcomes: &str, apart: Duration) -> Vec<String> {
        let mut quality = Quality::new(Stamp::default(), true);
        let mut told = Vec::new();
        for (at, letter) in (0_u32..).zip(outcomes.chars()) {
            let (code, millis, name) = match letter {
                'x' => (Dns::NXDOMAIN, 1, 0),
                's' => (Dns::SERVFAIL, 1, 0),
                'r' => (Dns::REFUSED, 1, 100 + u64::from(at)),
                'o' => (Dns::SERVFAIL, 1, 99),
                'l' => (0, 1_500, 0),
                _ => (0, 1, 0),
            };
            let mono = Mono(0).plus(apart * at);
            let took = Duration::from_millis(millis);
            let asked = Stamp { mono, wall: Wall(mono.0) };
            let outcome =
                AnswerQuality { asked, at: mono.plus(took), took, code, name, zone: name };
            for (aspect, turn) in quality.add(outcome) {
                match turn {
                    Some(Turn::Begins(begin)) => {
                        let first = Duration::from_nanos(begin.first.wall.0).as_secs_f64();
                        told.push(format!(
                            "{at} {:?} from {first:.1}: {}",
                            begin.severity, begin.said
                        ));
                    }
                    Some(Turn::Ends) => told.push(format!("{at} {aspect:?} ends")),
                    Some(Turn::Lasts) | None => {}
                }
            }
        }
        told
    }

    const GOOD: &str = "................................";

    #[test]
    fn failures_of_known_names_or_of_many_zones_are_told_where_they_were_few() {
        let long = |more: &str| story(&format!("{GOOD}{more}"));
        assert_eq!(
            long("ssssssssssssss.........."),
            [
                "42 Warning from 3.2: with SERVFAIL: 10 of the latest 10 queries failed; before, 0 of 23 did",
                "51 Failing ends"
            ]
        );
        assert_eq!(long("rrrrrrrrrrr")[0][..22], *"42 Warning from 3.2: w");
        for (what, outcomes) in [
            ("one name that was never found", "oooooooooooooooooooo"),
            ("now and then", "s....s....s....s....s....s"),
            ("a hiccup", "sssss.........."),
            ("names that do not exist", "xxxxxxxxxxxxxxx"),
        ] {
            assert_eq!(long(outcomes), Vec::<String>::new(), "{what}");
        }
        let from_the_beginning = story("rrrrrrrrrrrrrr");
        assert_eq!(from_the_beginning[0][..21], *"10 Notice from 0.0: w");
        assert_eq!(from_the_beginning.len(), 1);
    }

    #[test]
    fn slow_answers_are_told_where_they_were_seldom() {
        let half_a_second = Duration::from_millis(500);
        let long = |more: &str| told(&format!("{GOOD}{more}"), half_a_second);
        assert_eq!(
            long("llllllll.........."),
            [
                "37 Warning from 16.0: slowly: 6 of the latest 10 answers are late, after 1.50 s; usual is \
                 1.0 ms",
                "45 Slow ends"
            ]
        );
        for (what, outcomes) in
            [("now and then", "l...l...l...l...l..."), ("a page with new names", "lllll")]
        {
            assert_eq!(long(outcomes), Vec::<String>::new(), "{what}");
        }
        let usual = format!("{}llllllllll", "l.".repeat(40));
        assert_eq!(told(&usual, half_a_second), Vec::<String>::new(), "half of them always were");
        assert_eq!(story(&format!("{GOOD}llllllll")), Vec::<String>::new(), "at once");
    }

    #[test]
    fn a_flood_of_names_that_do_not_exist_is_told() {
        let ten = Duration::from_millis(10);
        let quiet = ".".repeat(300);
        let flood = told(&format!("{quiet}{}{quiet}", "x".repeat(900)), ten);
        assert_eq!(flood.len(), 2, "{flood:?}");
        assert!(flood[0].contains("Warning from 3.0: for names that do not exist: 2"), "{flood:?}");
        assert!(flood[0].ends_with(" answers in 2 s are NXDOMAIN"), "{flood:?}");
        assert!(flood[1].ends_with("Flood ends"), "{flood:?}");
        let slower = told(&"x".repeat(400), Duration::from_millis(25));
        assert_eq!(slower, Vec::<String>::new(), "40 a second");
        let half = told(&"x.".repeat(600), Duration::from_millis(5));
        assert_eq!(half, Vec::<String>::new(), "half of them");
    }
}
