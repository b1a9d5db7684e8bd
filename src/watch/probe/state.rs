//! What answers and losses amount to: down and up, slow and fast, lossy and not. Pure: the outcomes of
//! requests go in one after another, changes come out, each once.
//!
//! ```text
//!   outcomes   . . . x x x x . x . . .        . answered   x lost
//!   state      up ─────┤ down ────────┤ up    fall 3, rise 2
//!                      └ ProbeDown    └ ProbeUp, after = from the first x of the three
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use super::options::{Loss, Options, Slow};
use crate::time::Mono;

/// One change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Down {
        in_a_row: u32,
        first: Mono,
        last_answered: Option<Mono>,
        late: Option<Duration>,
        reason: String,
    },
    Up {
        in_a_row: u32,
        after: Duration,
    },
    Slow {
        limit: Slow,
        round_trip: Duration,
        over: bool,
    },
    Lossy {
        limit: Loss,
        lost: u32,
        of: u32,
        over: bool,
    },
}

/// The state of one probe; up, fast and without loss at first.
#[derive(Debug)]
pub(super) struct State {
    fall: u32,
    rise: u32,
    lost: Row,
    answered: Row,
    /// When the last request was sent that was answered in time.
    last_answered: Option<Mono>,
    /// How long the latest answer took that came to a lost request of the row.
    late: Option<Duration>,
    /// Since when it is down.
    down: Option<Mono>,
    pace: Option<Pace>,
    window: Option<LossWindow>,
}

/// Outcomes of one kind without another in between.
#[derive(Debug, Default)]
struct Row {
    length: u32,
    /// When the request of its first outcome was sent.
    first: Mono,
}

impl State {
    /// An answer that comes later helps nobody any longer: resolvers and ping(8) wait so long
    /// (resolv.conf(5)).
    const LATE: Duration = Duration::from_secs(5);

    pub(super) fn new(options: &Options) -> Self {
        Self {
            fall: options.fall,
            rise: options.rise,
            lost: Row::default(),
            answered: Row::default(),
            last_answered: None,
            late: None,
            down: None,
            pace: options.slow.map(Pace::new),
            window: options.loss.map(LossWindow::new),
        }
    }

    /// How many were lost in a row.
    pub(super) fn lost_in_a_row(&self) -> u32 {
        self.lost.length
    }

    /// The request that was sent at `sent` is lost, for this reason.
    pub(super) fn lose(&mut self, sent: Mono, reason: &str) -> Vec<Change> {
        self.answered.end();
        let in_a_row = self.lost.add(sent);
        let mut changes = Vec::new();
        if self.down.is_none() && in_a_row >= self.fall {
            self.down = Some(self.lost.first);
            changes.push(Change::Down {
                in_a_row,
                first: self.lost.first,
                last_answered: self.last_answered,
                late: self.late,
                reason: reason.to_owned(),
            });
        }
        changes.extend(self.window.as_mut().and_then(|window| window.add(true)));
        changes
    }

    /// A lost request, sent at `sent`, was answered after all: whoever answers late is not down.
    pub(super) fn late(&mut self, sent: Mono, round_trip: Duration) {
        if self.lost.length > 0 && sent >= self.lost.first && round_trip <= Self::LATE {
            self.late = Some(round_trip);
        }
    }

    /// The request that was sent at `sent` was answered after `round_trip`.
    pub(super) fn answer(&mut self, sent: Mono, round_trip: Duration) -> Vec<Change> {
        self.lost.end();
        self.late = None;
        self.last_answered = Some(sent);
        let in_a_row = self.answered.add(sent);
        let mut changes = Vec::new();
        if in_a_row >= self.rise
            && let Some(since) = self.down.take()
        {
            let after = sent.plus(round_trip).since(since);
            changes.push(Change::Up { in_a_row, after });
        }
        changes.extend(self.pace.as_mut().and_then(|pace| pace.add(round_trip)));
        changes.extend(self.window.as_mut().and_then(|window| window.add(false)));
        changes
    }
}

impl Row {
    fn add(&mut self, sent: Mono) -> u32 {
        if self.length == 0 {
            self.first = sent;
        }
        self.length = self.length.saturating_add(1);
        self.length
    }

    fn end(&mut self) {
        self.length = 0;
    }
}

/// Slow or fast. A lost request has no round trip and changes nothing here.
#[derive(Debug)]
struct Pace {
    limit: Slow,
    slow: bool,
    /// Round trips in a row that speak against what it is now.
    against: u32,
}

impl Pace {
    fn new(limit: Slow) -> Self {
        Self { limit, slow: false, against: 0 }
    }

    fn add(&mut self, round_trip: Duration) -> Option<Change> {
        if (round_trip > self.limit.above) == self.slow {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if self.against < self.limit.in_a_row {
            return None;
        }
        self.slow = !self.slow;
        self.against = 0;
        Some(Change::Slow { limit: self.limit, round_trip, over: !self.slow })
    }
}

/// The outcomes of the latest requests. Right after the start the missing ones count as answered, so
/// that one early loss is not a loss of 100 %.
#[derive(Debug)]
struct LossWindow {
    limit: Loss,
    /// True for lost, the latest last.
    outcomes: VecDeque<bool>,
    lost: u32,
    lossy: bool,
}

impl LossWindow {
    fn new(limit: Loss) -> Self {
        Self { limit, outcomes: VecDeque::new(), lost: 0, lossy: false }
    }

    fn add(&mut self, lost: bool) -> Option<Change> {
        let room = usize::try_from(self.limit.of).unwrap_or(usize::MAX);
        if self.outcomes.len() >= room && self.outcomes.pop_front() == Some(true) {
            self.lost -= 1;
        }
        self.outcomes.push_back(lost);
        self.lost += u32::from(lost);
        let part = u64::from(self.lost) * 100;
        let limit = u64::from(self.limit.percent) * u64::from(self.limit.of);
        // Over at half of the limit: a factor of two on the left keeps it whole numbers.
        let now = if self.lossy { part * 2 > limit } else { part >= limit };
        if now == self.lossy {
            return None;
        }
        self.lossy = now;
        let of = u32::try_from(self.outcomes.len()).unwrap_or(u32::MAX);
        Some(Change::Lossy { limit: self.limit, lost: self.lost, of, over: !now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outcomes one second apart: `x` lost after 1 s, a digit answered after so many milliseconds.
    /// Returns the changes as "when what".
    fn story(options: &Options, outcomes: &str) -> Vec<String> {
        let mut state = State::new(options);
        let second = Duration::from_secs(1);
        let mut told = Vec::new();
        for (at, outcome) in outcomes.chars().enumerate() {
            let sent = Mono(0).plus(second * u32::try_from(at).unwrap());
            let changes = match outcome.to_digit(10) {
                Some(ms) => state.answer(sent, Duration::from_millis(ms.into())),
                None if outcome == 'l' => {
                    let changes = state.lose(sent, "dark");
                    state.late(sent, second + second / 2);
                    changes
                }
                None => state.lose(sent, "dark"),
            };
            told.extend(changes.iter().map(|change| format!("{at} {}", words(change))));
        }
        told
    }

    fn words(change: &Change) -> String {
        match change {
            Change::Down { in_a_row, first, last_answered, late, .. } => {
                let seconds = |mono: &Mono| mono.since(Mono(0)).as_secs();
                let answered =
                    last_answered.as_ref().map_or("never".into(), |m| seconds(m).to_string());
                let late = late.map_or(String::new(), |late| format!(" late {late:?}"));
                format!("down {in_a_row} from {}, answered {answered}{late}", seconds(first))
            }
            Change::Up { in_a_row, after } => format!("up {in_a_row} {after:?}"),
            Change::Slow { over, .. } => if *over { "fast" } else { "slow" }.to_owned(),
            Change::Lossy { lost, of, over, .. } => {
                format!("{} {lost}/{of}", if *over { "healed" } else { "lossy" })
            }
        }
    }

    #[test]
    fn outcomes_become_changes() {
        let plain = Options { fall: 3, rise: 2, ..Options::new("h") };
        let hasty = Options { fall: 1, rise: 1, ..plain.clone() };
        let slow = Slow { above: Duration::from_millis(5), in_a_row: 2 };
        let paced = Options { slow: Some(slow), ..plain.clone() };
        let few = Options { fall: 99, ..plain.clone() };
        let lossy = |percent, of| Options { loss: Some(Loss { percent, of }), ..few.clone() };
        for (what, options, outcomes, changes) in [
            ("all is well", &plain, "1111", vec![]),
            ("two losses are none", &plain, "xx1xx1", vec![]),
            ("three are, once", &plain, "1xxxxx", vec!["3 down 3 from 1, answered 0"]),
            ("one answer is not up", &plain, "xxx1xx1x", vec!["2 down 3 from 0, answered never"]),
            (
                "late answers are late",
                &plain,
                "11lllx",
                vec!["4 down 3 from 2, answered 1 late 1.5s"],
            ),
            ("an answer in time ends that", &plain, "l1xxx", vec!["4 down 3 from 2, answered 1"]),
            (
                "two are",
                &plain,
                "xxx1x11",
                vec!["2 down 3 from 0, answered never", "6 up 2 6.001s"],
            ),
            (
                "and down again",
                &plain,
                "xxx11xxx",
                vec![
                    "2 down 3 from 0, answered never",
                    "4 up 2 4.001s",
                    "7 down 3 from 5, answered 4",
                ],
            ),
            (
                "hasty",
                &hasty,
                "x1x",
                vec![
                    "0 down 1 from 0, answered never",
                    "1 up 1 1.001s",
                    "2 down 1 from 2, answered 1",
                ],
            ),
            ("exactly the limit is not above it", &paced, "5555", vec![]),
            ("slow and fast again", &paced, "6669111", vec!["1 slow", "5 fast"]),
            ("a loss is not a round trip", &paced, "6x61x1", vec!["2 slow", "5 fast"]),
            ("now and then", &paced, "616161", vec![]),
            ("one of two early ones is not half of four", &lossy(50, 4), "x1", vec![]),
            ("two of four", &lossy(50, 4), "x1x", vec!["2 lossy 2/3"]),
            (
                "over at a quarter",
                &lossy(50, 4),
                "11xx1x1111xx",
                vec!["3 lossy 2/4", "7 healed 1/4", "11 lossy 2/4"],
            ),
            ("all", &lossy(100, 2), "1xx11", vec!["2 lossy 2/2", "3 healed 1/2"]),
        ] {
            assert_eq!(story(options, outcomes), changes, "{what}");
        }
    }
}
