//! Which requests are on their way, and what a reply means. Pure: time and bytes are arguments.
//!
//! It promises one verdict for each request at most, and memory of a fixed number of lost ones.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Mono;
use crate::wire::icmp::Echo;

/// Lost requests whose late answers are still recognised. At the default interval a minute, which is
/// the longest an IP packet is meant to live (RFC 1122 §3.3.2).
const REMEMBERED: usize = 60;

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// In time, after so long.
    Answered(Duration),
    /// After the request was told lost, after so long.
    Late(Duration),
}

/// The requests of one probe.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Random, so that no other process on this host or beyond has the same.
    cookie: u64,
    sequence: u16,
    /// The request that may still be answered in time, and when it was sent.
    waiting: Option<(u16, Mono)>,
    /// Requests that were told lost, the latest last.
    lost: VecDeque<(u16, Mono)>,
    in_a_row: u32,
}

impl Ledger {
    pub(super) fn new(cookie: u64) -> Self {
        Self {
            cookie,
            sequence: 0,
            waiting: None,
            lost: VecDeque::with_capacity(REMEMBERED),
            in_a_row: 0,
        }
    }

    /// What every request carries.
    pub(super) fn cookie(&self) -> [u8; 8] {
        self.cookie.to_be_bytes()
    }

    /// When the request that may still be answered in time was sent.
    pub(super) fn waiting(&self) -> Option<Mono> {
        self.waiting.map(|(_, sent)| sent)
    }

    /// Two bytes of the cookie serve as identifier.
    pub(super) fn identifier(&self) -> u16 {
        let [first, second, ..] = self.cookie();
        u16::from_be_bytes([first, second])
    }

    /// The sequence of the request that is sent at `now`.
    pub(super) fn ask(&mut self, now: Mono) -> u16 {
        self.sequence = self.sequence.wrapping_add(1);
        self.waiting = Some((self.sequence, now));
        self.sequence
    }

    /// The request is lost; returns how many are, in a row.
    pub(super) fn give_up(&mut self) -> u32 {
        if let Some(request) = self.waiting.take() {
            if self.lost.len() == REMEMBERED {
                self.lost.pop_front();
            }
            self.lost.push_back(request);
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.in_a_row
    }

    /// What the reply `echo` that came at `at` means; none for a stranger's and for a duplicate.
    pub(super) fn judge(
        &mut self,
        echo: &Echo<'_>,
        by_identifier: bool,
        at: Mono,
    ) -> Option<Verdict> {
        if echo.payload != self.cookie() || (by_identifier && echo.identifier != self.identifier())
        {
            return None;
        }
        if let Some((_, sent)) = self.waiting.take_if(|(sequence, _)| *sequence == echo.sequence) {
            self.in_a_row = 0;
            return Some(Verdict::Answered(at.since(sent)));
        }
        let place = self.lost.iter().position(|(sequence, _)| *sequence == echo.sequence)?;
        let (_, sent) = self.lost.remove(place)?;
        Some(Verdict::Late(at.since(sent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE: u64 = 0x1234_5678_9abc_def0;

    fn reply(sequence: u16, payload: &[u8]) -> Echo<'_> {
        Echo { identifier: 0x1234, sequence, payload }
    }

    #[test]
    fn only_the_answer_to_our_request_is_one() {
        let ours = COOKIE.to_be_bytes();
        let mut ledger = Ledger::new(COOKIE);
        assert_eq!(ledger.judge(&reply(1, &ours), true, Mono(5)), None, "nothing was asked");
        assert_eq!(ledger.ask(Mono(10)), 1);
        for (what, echo) in [
            ("another sequence", reply(2, &ours)),
            ("another cookie", reply(1, &[0; 8])),
            ("a longer payload", reply(1, &[&ours[..], &[0]].concat())),
            ("no payload", reply(1, &[])),
            ("another identifier", Echo { identifier: 1, ..reply(1, &ours) }),
        ] {
            assert_eq!(ledger.judge(&echo, true, Mono(11)), None, "{what}");
        }
        let answered = Some(Verdict::Answered(Duration::from_nanos(32)));
        assert_eq!(ledger.judge(&reply(1, &ours), true, Mono(42)), answered);
        assert_eq!(ledger.judge(&reply(1, &ours), true, Mono(43)), None, "a duplicate");
        assert_eq!(ledger.ask(Mono(50)), 2);
        let by_kernel = Echo { identifier: 9, ..reply(2, &ours) };
        assert!(ledger.judge(&by_kernel, false, Mono(51)).is_some(), "a ping socket's identifier");
    }

    #[test]
    fn losses_are_counted_and_late_answers_told_once() {
        let ours = COOKIE.to_be_bytes();
        let mut ledger = Ledger::new(COOKIE);
        for lost in 1..=3 {
            ledger.ask(Mono(u64::from(lost) * 100));
            assert_eq!(ledger.give_up(), lost);
        }
        let late = Some(Verdict::Late(Duration::from_nanos(250)));
        assert_eq!(ledger.judge(&reply(2, &ours), true, Mono(450)), late);
        assert_eq!(ledger.judge(&reply(2, &ours), true, Mono(451)), None, "once");
        assert_eq!(ledger.give_up(), 4, "a late answer ends no row, nor does a failed send");
        ledger.ask(Mono(500));
        assert!(ledger.judge(&reply(4, &ours), true, Mono(501)).is_some());
        ledger.ask(Mono(600));
        assert_eq!(ledger.give_up(), 1, "an answer in time does");
    }

    #[test]
    fn the_memory_of_losses_is_bounded_and_sequences_wrap() {
        let ours = COOKIE.to_be_bytes();
        let mut ledger = Ledger::new(COOKIE);
        ledger.sequence = u16::MAX - 2;
        let first = ledger.ask(Mono(0));
        ledger.give_up();
        for _ in 0..REMEMBERED {
            ledger.ask(Mono(1));
            ledger.give_up();
        }
        assert_eq!(ledger.lost.len(), REMEMBERED);
        assert_eq!(ledger.judge(&reply(first, &ours), true, Mono(2)), None, "forgotten");
        assert!(ledger.judge(&reply(0, &ours), true, Mono(2)).is_some(), "zero follows 65535");
    }
}
