//! Notices that were heard, and what was answered: a notice that is sent again, or found in the stream after it was
//! heard live, is answered again and does nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use crate::fleet::answer::HostAnswer;
use crate::fleet::notice::NoticeKey;
use crate::time::Mono;

/// Notices that are known: a storm of 200 hosts, five times over.
const MOST: usize = 1_024;
/// Nobody sends a notice for longer: it would be too late everywhere.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The latest notices, the one heard last at the end.
#[derive(Debug, Default)]
pub(super) struct KnownNotices(VecDeque<KnownNotice>);

#[derive(Debug)]
struct KnownNotice {
    key: NoticeKey,
    heard: Mono,
    answer: Option<HostAnswer>,
}

impl KnownNotices {
    /// True if it was heard before; else it is from now on.
    pub(super) fn hear(&mut self, key: NoticeKey, now: Mono) -> bool {
        while self.0.front().is_some_and(|one| now.since(one.heard) > LONGEST) {
            self.0.pop_front();
        }
        if self.0.iter().any(|one| one.key == key) {
            return true;
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(KnownNotice { key, heard: now, answer: None });
        false
    }

    /// What was answered last.
    pub(super) fn answer(&self, key: &NoticeKey) -> Option<&HostAnswer> {
        self.0.iter().find(|one| one.key == *key)?.answer.as_ref()
    }

    /// What was answered last, the latest notice first.
    pub(super) fn answers(&self) -> impl Iterator<Item = &HostAnswer> {
        self.0.iter().rev().filter_map(|one| one.answer.as_ref())
    }

    /// This is answered from now on.
    pub(super) fn answered(&mut self, key: &NoticeKey, answer: &HostAnswer) {
        if let Some(one) = self.0.iter_mut().find(|one| one.key == *key) {
            one.answer = Some(answer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::keep::receive::fixture::answer;

    const S: u64 = 1_000_000_000;

    fn key(from: &str, id: &str) -> NoticeKey {
        NoticeKey { from: from.to_owned(), id: id.to_owned() }
    }

    #[test]
    fn what_was_heard_is_answered_again_for_an_hour() {
        let mut known = KnownNotices::default();
        let a = key("x", "a");
        assert!(!known.hear(a.clone(), Mono(0)));
        assert!(known.hear(a.clone(), Mono(S)));
        assert!(!known.hear(key("y", "a"), Mono(S)), "another says it");
        assert_eq!(known.answer(&a), None, "nothing was answered yet");
        known.answered(&a, &answer("a"));
        known.answered(&key("x", "b"), &answer("b"));
        assert_eq!(known.answer(&a).map(|answer| answer.id.as_str()), Some("a"));
        assert_eq!(known.answer(&key("y", "a")), None, "it is not told another's answer");
        assert_eq!(known.answer(&key("x", "b")), None, "which was never heard");
        assert!(known.hear(a.clone(), Mono(3_600 * S)));
        assert!(!known.hear(a.clone(), Mono(3_601 * S)));
        for n in 0..2 * MOST {
            known.hear(key("x", &n.to_string()), Mono(3_602 * S));
        }
        assert_eq!(known.0.len(), MOST);
        assert!(!known.hear(a, Mono(3_602 * S)), "forgotten for those that came after");
    }
}
