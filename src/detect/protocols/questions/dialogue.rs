//! What one host asks another, and what comes back. Pure: questions, answers and times go in.
//!
//! ```text
//!   asked      q1 q2 q3       q4 q5 q6                       . answered
//!   answered      .  .                                       a question is missing once it waited for its patience
//!              └ passed: a later one was answered            a row is missing questions with no answer in between
//!                             └──┴──┴─ the row: q4 to q6
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::detect::protocols::heard::{Heard, parties};
use crate::finding::Party;
use crate::frame::Direction;
use crate::time::{Mono, Stamp};
use crate::wire::link::Vlans;

/// Questions that wait at a time. Of those beyond nothing is concluded, so a flood of them costs nothing.
const WAITING: usize = 64;
/// Answers kept whose question was not heard yet: of several interfaces one is heard after the other.
const EARLY: usize = 16;
/// An answer is early by less than this: more than the detectors are behind.
const EARLY_WITHIN: Duration = Duration::from_secs(2);
/// The same question again within this is the same packet, seen on its way through this host; nobody
/// asks again so soon (RFC 1035 §4.2.1 wants seconds).
const COPY: Duration = Duration::from_millis(100);
/// A question whose answer is still of interest after a later one was answered: as long as any client
/// waits (resolv.conf(5): five seconds).
const LATE: Duration = Duration::from_secs(10);
/// Whoever has not asked for so long begins a new row: the first loss of a week ago is no onset.
const PAUSE: Duration = Duration::from_secs(600);
/// Topics known to have been answered.
const KNOWN: usize = 32;
/// Who asks for the same so soon after asks for more of it (A and AAAA), not anew.
const ANEW: Duration = Duration::from_millis(500);
/// A question may wait so many times as long as the slowest of the latest answers took.
const SLOWEST: u32 = 4;

/// One question: sent again it is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::detect::protocols) struct Question {
    /// What the answer must bear.
    pub(in crate::detect::protocols) key: u32,
    /// What it is about: the same when it is asked anew.
    pub(in crate::detect::protocols) topic: u64,
}

/// A question that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::detect::protocols) struct Answered {
    pub(in crate::detect::protocols) topic: u64,
    /// When it was asked first.
    pub(in crate::detect::protocols) asked: Stamp,
    /// From then until the answer.
    pub(in crate::detect::protocols) took: Duration,
}

/// Questions that are missing their answers, with no answer in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Streak {
    pub(super) first: Stamp,
    pub(super) last: Stamp,
    pub(super) count: u64,
    /// Topics that they are about, and whether one of them was answered before: that one topic finds no
    /// answer may be its own trouble.
    pub(super) topics: u64,
    pub(super) known: bool,
}

/// Who said that a question cannot be delivered, and in which words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::detect::protocols) struct Complaint {
    pub(in crate::detect::protocols) by: IpAddr,
    pub(in crate::detect::protocols) said: &'static str,
}

/// Where questions were seen.
#[derive(Debug, Clone)]
pub(super) struct SeenAt {
    pub(super) interface: Arc<str>,
    pub(super) direction: Direction,
    pub(super) vlans: Vlans,
    pub(super) parties: Vec<Party>,
}

/// What one host asks another.
#[derive(Debug)]
pub(super) struct Dialogue {
    pub(super) place: SeenAt,
    waiting: VecDeque<Asked>,
    early: VecDeque<(u32, Stamp)>,
    /// Questions answered so far.
    pub(super) answered: u64,
    /// When it was asked, and answered, last.
    pub(super) last_asked: Stamp,
    pub(super) last_answer: Option<Stamp>,
    /// Questions asked anew while they waited.
    pub(super) again: u32,
    /// What the network said of the row.
    pub(super) complaint: Option<Complaint>,
    slowest: Duration,
    known: VecDeque<u64>,
    /// It is part of a finding.
    pub(super) told: bool,
    /// Of the latest question.
    pub(super) hop_limit: u8,
    /// Questions are seen on another interface, too, with another hop limit: this host routes them.
    pub(super) routed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    question: Question,
    at: Stamp,
    /// One asked later was answered: it is lost alone, and no part of a row.
    passed: bool,
    /// The network says that it cannot be delivered.
    refused: bool,
}

impl SeenAt {
    pub(super) fn of(heard: &Heard<'_>, interface: &Arc<str>) -> Self {
        Self {
            interface: Arc::clone(interface),
            direction: heard.direction(),
            vlans: heard.vlans(),
            parties: parties(heard.reading),
        }
    }
}

impl Dialogue {
    pub(super) fn new(place: SeenAt, at: Stamp) -> Self {
        Self {
            place,
            waiting: VecDeque::new(),
            early: VecDeque::new(),
            answered: 0,
            last_asked: at,
            last_answer: None,
            again: 0,
            complaint: None,
            slowest: Duration::ZERO,
            known: VecDeque::new(),
            told: false,
            hop_limit: 0,
            routed: false,
        }
    }

    /// A question is asked; the answer if that was heard before it. False if it is a copy of one that waits.
    pub(super) fn ask(&mut self, question: Question, at: Stamp) -> (bool, Option<Answered>) {
        let same = |asked: &&Asked| asked.question.key == question.key;
        if self.waiting.iter().rev().find(same).is_some_and(|asked| apart(asked.at, at) < COPY) {
            return (false, None);
        }
        if at.mono.since(self.last_asked.mono) > PAUSE {
            self.forgive();
        }
        self.last_asked = at;
        self.waiting.retain(|asked| !asked.passed || at.mono.since(asked.at.mono) < LATE);
        let is_before = |asked: &Asked| at.mono.since(asked.at.mono) >= ANEW;
        let is_same = |asked: &Asked| asked.question.topic == question.topic;
        let anew = self.waiting.iter().any(|asked| is_same(asked) && is_before(asked));
        self.again = self.again.saturating_add(anew.into());
        let early = self.early.iter().position(|(key, _)| *key == question.key);
        if self.waiting.len() < WAITING {
            self.waiting.push_back(Asked { question, at, passed: false, refused: false });
        }
        let early = early.and_then(|place| self.early.remove(place));
        let answer = early.filter(|(_, answer)| apart(*answer, at) < EARLY_WITHIN);
        (true, answer.and_then(|(key, answer)| self.answer(key, answer)))
    }

    /// An answer comes; none if nobody asked for it, or not yet.
    pub(super) fn answer(&mut self, key: u32, at: Stamp) -> Option<Answered> {
        self.last_answer = Some(at);
        self.again = 0;
        self.complaint = None;
        let Some(first) = self.waiting.iter().find(|asked| asked.question.key == key).copied()
        else {
            if self.early.len() >= EARLY {
                self.early.pop_front();
            }
            self.early.push_back((key, at));
            self.pass(at.mono);
            return None;
        };
        self.waiting.retain(|asked| asked.question.key != key);
        self.pass(first.at.mono);
        self.answered += 1;
        self.know(first.question.topic);
        let took = at.mono.since(first.at.mono);
        // Forgets slow ones over the next dozens of answers.
        self.slowest = took.max(self.slowest - self.slowest / 16);
        Some(Answered { topic: first.question.topic, asked: first.at, took })
    }

    /// The network says that the questions that `is_it` names cannot be delivered; true if one waits.
    pub(super) fn refuse(&mut self, is_it: impl Fn(u32) -> bool, complaint: Complaint) -> bool {
        let Some(asked) = self.waiting.iter_mut().rev().find(|asked| is_it(asked.question.key))
        else {
            return false;
        };
        asked.refused = true;
        self.complaint = Some(complaint);
        true
    }

    /// Answers were not seen: what waits is not missing for certain.
    pub(super) fn forgive(&mut self) {
        self.waiting.clear();
        self.again = 0;
        self.complaint = None;
    }

    /// Questions without an answer, whether they are enough to speak of or not.
    pub(super) fn row(&self, now: Mono, patience: Duration) -> Option<Streak> {
        let patience = self.patience(patience);
        let is_missing = |asked: &&Asked| {
            !asked.passed && (asked.refused || now.since(asked.at.mono) >= patience)
        };
        let missing: Vec<&Asked> = self.waiting.iter().filter(is_missing).collect();
        let topics: BTreeSet<u64> = missing.iter().map(|asked| asked.question.topic).collect();
        Some(Streak {
            first: missing.first()?.at,
            last: missing.last()?.at,
            count: missing.len() as u64,
            topics: topics.len() as u64,
            known: topics.iter().any(|topic| self.known.contains(topic)),
        })
    }

    fn know(&mut self, topic: u64) {
        if !self.known.contains(&topic) {
            if self.known.len() >= KNOWN {
                self.known.pop_front();
            }
            self.known.push_back(topic);
        }
    }

    /// How long a question may wait: slow servers are not silent.
    pub(super) fn patience(&self, least: Duration) -> Duration {
        least.max((self.slowest * SLOWEST).min(LATE))
    }

    /// Questions asked until then are no part of a row.
    fn pass(&mut self, until: Mono) {
        for asked in &mut self.waiting {
            asked.passed |= asked.at.mono <= until;
        }
    }
}

fn apart(a: Stamp, b: Stamp) -> Duration {
    a.mono.since(b.mono).max(b.mono.since(a.mono))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn at(seconds: f64) -> Stamp {
        Stamp { mono: Mono((seconds * 1e9) as u64), ..Stamp::default() }
    }

    fn dialogue() -> Dialogue {
        let place = SeenAt {
            interface: "eth0".into(),
            direction: Direction::Unknown,
            vlans: Vlans::default(),
            parties: Vec::new(),
        };
        Dialogue::new(place, at(0.0))
    }

    fn ask(dialogue: &mut Dialogue, key: u32, seconds: f64) {
        dialogue.ask(Question { key, topic: 0 }, at(seconds));
    }

    fn row(dialogue: &Dialogue, seconds: f64) -> Option<(f64, u64)> {
        let row = dialogue.row(at(seconds).mono, PATIENCE)?;
        Some((row.first.mono.since(Mono(0)).as_secs_f64(), row.count))
    }

    #[test]
    fn only_questions_with_no_answer_in_between_are_a_row() {
        let mut dialogue = dialogue();
        for key in 0..6 {
            ask(&mut dialogue, key, f64::from(key));
        }
        assert_eq!(row(&dialogue, 5.5), Some((0.0, 5)), "the last one has not waited yet");
        let answered = dialogue.answer(2, at(5.5)).unwrap();
        assert_eq!((answered.asked, answered.took), (at(2.0), Duration::from_millis(3_500)));
        assert_eq!(row(&dialogue, 5.6), None, "an answer that took so long makes patient");
        assert_eq!(row(&dialogue, 20.0), Some((3.0, 3)));
        assert_eq!(dialogue.answer(9, at(20.0)), None);
        assert_eq!(row(&dialogue, 30.0), None, "nobody asked for it, but it came");
    }

    #[test]
    fn copies_are_one_and_late_answers_are_answers() {
        let mut dialogue = dialogue();
        for seconds in [0.0, 0.000_1, 0.05, 1.0] {
            ask(&mut dialogue, 7, seconds);
        }
        assert_eq!(row(&dialogue, 2.0), Some((0.0, 2)), "asked, seen twice more, asked again");
        assert_eq!(dialogue.again, 1);
        assert_eq!(dialogue.answer(7, at(2.5)).unwrap().took, Duration::from_millis(2_500));
        assert_eq!((row(&dialogue, 9.0), dialogue.answered), (None, 1));
        ask(&mut dialogue, 8, 10.0);
        ask(&mut dialogue, 9, 10.1);
        assert!(dialogue.answer(9, at(10.2)).is_some());
        assert!(dialogue.answer(8, at(12.0)).is_some(), "passed, and answered after all");
    }

    #[test]
    fn an_answer_may_be_heard_before_its_question() {
        let mut dialogue = dialogue();
        assert_eq!(dialogue.answer(7, at(0.1)), None);
        let answered = dialogue.ask(Question { key: 7, topic: 0 }, at(0.05)).1.unwrap();
        assert_eq!((answered.took, dialogue.answered), (Duration::from_millis(50), 1));
        assert_eq!(dialogue.answer(8, at(0.2)), None);
        let (_, answered) = dialogue.ask(Question { key: 8, topic: 0 }, at(9.0));
        assert_eq!(answered, None, "that was another question of this key");
    }

    #[test]
    fn what_the_network_refuses_does_not_wait() {
        let mut dialogue = dialogue();
        let complaint = Complaint { by: [10, 0, 0, 1].into(), said: "Host unreachable" };
        assert!(!dialogue.refuse(|_| true, complaint), "nothing waits");
        ask(&mut dialogue, 7, 0.0);
        assert_eq!(row(&dialogue, 0.5), None);
        assert!(dialogue.refuse(|key| key == 7, complaint));
        assert_eq!((row(&dialogue, 0.5), dialogue.complaint), (Some((0.0, 1)), Some(complaint)));
        dialogue.forgive();
        assert_eq!(row(&dialogue, 9.0), None);
    }

    #[test]
    fn the_table_is_bounded_and_pauses_begin_anew() {
        let mut dialogue = dialogue();
        for key in 0..1_000 {
            ask(&mut dialogue, key, f64::from(key) / 1_000.0);
            dialogue.answer(key + 5_000, at(0.0));
        }
        assert_eq!((dialogue.waiting.len(), dialogue.early.len()), (WAITING, EARLY));
        ask(&mut dialogue, 1, 700.0);
        assert_eq!(row(&dialogue, 702.0), Some((700.0, 1)));
    }
}
