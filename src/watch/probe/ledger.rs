//! Which requests are on their way, and which one an answer is for. Pure: time is an argument.
//!
//! It promises one verdict for each request at most, and memory of a fixed number of lost ones.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Mono;

/// Lost requests whose late answers are still recognised. At the default interval a minute, which is
/// the longest an IP packet is meant to live (RFC 1122 §3.3.2).
const REMEMBERED: usize = 60;

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerVerdict {
    /// In time: when it was sent, and the time from then to the answer.
    Answered(Mono, Duration),
    /// After the request was told lost: when it was sent, and the time from then to the answer.
    Late(Mono, Duration),
}

/// The requests of one probe.
#[derive(Debug)]
pub(super) struct Ledger {
    sequence: u16,
    /// The request that may still be answered in time, and when it was sent.
    waiting: Option<(u16, Mono)>,
    /// Requests that were told lost, the latest last.
    lost: VecDeque<(u16, Mono)>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { sequence: 0, waiting: None, lost: VecDeque::with_capacity(REMEMBERED) }
    }

    /// When the request that may still be answered in time was sent.
    pub(super) fn waiting(&self) -> Option<Mono> {
        self.waiting.map(|(_, sent)| sent)
    }

    /// True if this request may still be answered in time.
    pub(super) fn is_waiting_for(&self, sequence: u16) -> bool {
        self.waiting.is_some_and(|(waiting, _)| waiting == sequence)
    }

    /// The sequence of the request that is sent at `now`.
    pub(super) fn ask(&mut self, now: Mono) -> u16 {
        self.sequence = self.sequence.wrapping_add(1);
        self.waiting = Some((self.sequence, now));
        self.sequence
    }

    /// The request that is waited for is lost; tells when it was sent.
    pub(super) fn give_up(&mut self) -> Option<Mono> {
        let request = self.waiting.take()?;
        if self.lost.len() == REMEMBERED {
            self.lost.pop_front();
        }
        self.lost.push_back(request);
        Some(request.1)
    }

    /// What the answer to this request that came at `at` means; none for a stranger's and for a
    /// duplicate.
    pub(super) fn judge(&mut self, sequence: u16, at: Mono) -> Option<AnswerVerdict> {
        if let Some((_, sent)) = self.waiting.take_if(|(waiting, _)| *waiting == sequence) {
            return Some(AnswerVerdict::Answered(sent, at.since(sent)));
        }
        let place = self.lost.iter().position(|(lost, _)| *lost == sequence)?;
        let (_, sent) = self.lost.remove(place)?;
        Some(AnswerVerdict::Late(sent, at.since(sent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_our_request_is_one() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.judge(1, Mono(5)), None, "nothing was asked");
        assert_eq!(ledger.ask(Mono(10)), 1);
        assert!(ledger.is_waiting_for(1) && !ledger.is_waiting_for(2));
        assert_eq!(ledger.judge(2, Mono(11)), None, "another sequence");
        let answered = Some(AnswerVerdict::Answered(Mono(10), Duration::from_nanos(32)));
        assert_eq!(ledger.judge(1, Mono(42)), answered);
        assert_eq!(ledger.judge(1, Mono(43)), None, "a duplicate");
        assert_eq!(ledger.give_up(), None, "nothing is waited for");
    }

    #[test]
    fn late_answers_are_told_once() {
        let mut ledger = Ledger::new();
        for lost in 1..=3 {
            ledger.ask(Mono(lost * 100));
            assert_eq!(ledger.give_up(), Some(Mono(lost * 100)));
        }
        assert_eq!(
            ledger.judge(2, Mono(450)),
            Some(AnswerVerdict::Late(Mono(200), Duration::from_nanos(250)))
        );
        assert_eq!(ledger.judge(2, Mono(451)), None, "once");
    }

    #[test]
    fn the_memory_of_losses_is_bounded_and_sequences_wrap() {
        let mut ledger = Ledger::new();
        ledger.sequence = u16::MAX - 2;
        let first = ledger.ask(Mono(0));
        ledger.give_up();
        for _ in 0..REMEMBERED {
            ledger.ask(Mono(1));
            ledger.give_up();
        }
        assert_eq!(ledger.lost.len(), REMEMBERED);
        assert_eq!(ledger.judge(first, Mono(2)), None, "forgotten");
        assert!(ledger.judge(0, Mono(2)).is_some(), "zero follows 65535");
    }
}
