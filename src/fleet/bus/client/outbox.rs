//! What this host has to say until somebody has it: the way to the bus may be what failed.
//!
//! Pure, told the time. The client of the bus drops without a word what it had taken before a connection broke, so
//! nothing is given away here before the server's stream has acknowledged it, or, where there is no stream, before it
//! was said [`UNACKNOWLEDGED`] times.
//!
//! ```text
//!   push ─► due at once ─► sent ─ 2 s ─► sent ─ 10 s ─► sent ─ 60 s ─► sent ─ 60 s ─► ...   too old: given up
//!                            └ acknowledged: done         └ connected again: due at once
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::fleet::notice::Notice;
use crate::fleet::token::token;
use crate::time::Mono;

/// Notices that wait. Beyond it the oldest goes: it is the nearest to being too late.
pub(super) const MOST: usize = 64;
/// Pauses before something is said again; the last one goes on.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60)];
/// How often something is said that nobody will acknowledge.
pub(super) const UNACKNOWLEDGED: usize = 4;

/// Notices that nobody has yet.
#[derive(Debug)]
pub(super) struct Outbox {
    late: Duration,
    letters: VecDeque<Letter>,
    next: u64,
    /// Notices that nobody may have heard.
    pub(super) lost: u64,
}

/// A notice for one addressee.
#[derive(Debug)]
struct Letter {
    number: u64,
    notice: Notice,
    event: Mono,
    subject: String,
    sent: usize,
    due: Mono,
}

/// What is to be said now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) number: u64,
    pub(super) subject: String,
    /// What tells it from others, the same each time: a hold and what confirms it share an identifier.
    pub(super) key: String,
    /// The message, as old as it is now.
    pub(super) line: String,
}

impl Outbox {
    /// Empty; what is older than `late` is of no use to anybody.
    pub(super) fn new(late: Duration) -> Self {
        Self { late, letters: VecDeque::new(), next: 0, lost: 0 }
    }

    /// Takes a notice of what happened at `event`, to be said under `subject`.
    pub(super) fn push(&mut self, notice: Notice, event: Mono, subject: String, now: Mono) {
        if self.letters.len() >= MOST {
            self.letters.pop_front();
            self.lost += 1;
        }
        let number = self.next;
        self.next += 1;
        self.letters.push_back(Letter { number, notice, event, subject, sent: 0, due: now });
    }

    /// What is to be said now, and when it will be said again.
    pub(super) fn due(&mut self, now: Mono) -> Vec<Due> {
        self.give_up(now);
        let mut due = Vec::new();
        for letter in self.letters.iter_mut().filter(|letter| letter.due <= now) {
            let Ok(aged) = letter.notice.aged(now.since(letter.event)) else { continue };
            letter.due = now.plus(PAUSES[letter.sent.min(PAUSES.len() - 1)]);
            letter.sent += 1;
            due.push(Due {
                number: letter.number,
                subject: letter.subject.clone(),
                key: key(&aged),
                line: aged.line(),
            });
        }
        due
    }

    /// When something is due again.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.letters.iter().map(|letter| letter.due).min()
    }

    /// The stream has it.
    pub(super) fn acknowledged(&mut self, number: u64) {
        self.letters.retain(|letter| letter.number != number);
    }

    /// There is no stream, so nobody will acknowledge anything: what was said often enough is done. Returns how
    /// many were.
    pub(super) fn without_stream(&mut self) -> usize {
        let before = self.letters.len();
        self.letters.retain(|letter| letter.sent < UNACKNOWLEDGED);
        before - self.letters.len()
    }

    /// A connection is there again: whatever was said into the old one may be gone.
    pub(super) fn connected(&mut self, now: Mono) {
        for letter in &mut self.letters {
            letter.due = now;
        }
    }

    /// Notices that wait.
    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    fn give_up(&mut self, now: Mono) {
        let before = self.letters.len();
        self.letters.retain(|letter| now.since(letter.event) <= self.late);
        self.lost += (before - self.letters.len()) as u64;
    }
}

/// What tells a notice from others.
pub(super) fn key(notice: &Notice) -> String {
    format!("{}.{}.{:?}", token(&notice.from), notice.id, notice.mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::lab::notice;

    const LATE: Duration = Duration::from_secs(900);

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    fn age(due: &Due) -> u64 {
        Notice::read(due.line.as_bytes()).unwrap().age.as_secs()
    }

    #[test]
    fn a_notice_is_said_again_with_its_age_until_it_is_acknowledged() {
        let mut outbox = Outbox::new(LATE);
        outbox.push(notice("a", "1"), at(10), "s".into(), at(11));
        let mut said = Vec::new();
        for second in 11..150 {
            for due in outbox.due(at(second)) {
                assert_eq!(age(&due), second - 10, "anew each time");
                said.push(second);
            }
        }
        assert_eq!(said, [11, 13, 23, 83, 143]);
        assert_eq!(outbox.next_due(), Some(at(203)));
        outbox.connected(at(150));
        let again = outbox.due(at(150));
        assert_eq!(again.len(), 1);
        outbox.acknowledged(again[0].number);
        assert_eq!((outbox.len(), outbox.next_due(), outbox.lost), (0, None, 0));
    }

    #[test]
    fn what_is_too_old_or_too_much_is_counted() {
        let mut outbox = Outbox::new(LATE);
        for number in 0..=MOST as u64 {
            outbox.push(notice("a", &number.to_string()), at(number), "s".into(), at(100));
        }
        assert_eq!((outbox.len(), outbox.lost), (MOST, 1));
        assert_eq!(outbox.due(at(100))[0].key, key(&notice("a", "1")), "the oldest went");
        assert_eq!(outbox.due(at(902)).len(), MOST - 1, "one is older than 15 minutes");
        assert_eq!(outbox.lost, 2);
    }

    #[test]
    fn without_a_stream_it_is_said_four_times() {
        let mut outbox = Outbox::new(LATE);
        outbox.push(notice("a", "1"), at(0), "s".into(), at(0));
        let mut said = 0;
        for second in 0..200 {
            said += outbox.due(at(second)).len();
            outbox.without_stream();
        }
        assert_eq!((said, outbox.lost), (UNACKNOWLEDGED, 0));
    }
}
