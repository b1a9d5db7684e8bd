//! Interfaces that are gone: which keep what only new frames need, in case that they are back soon, and which are
//! forgotten. What they recorded stays in memory until others need it.
//!
//! ```text
//!   gone ──► keeps its tables ──► rests ──────────────► forgotten
//!            a minute, and the    lanes only: 82 KiB    nothing left, or more than
//!            newest eight                               256 that are gone
//! ```
//!
//! Pure. On a host where interfaces come and go by ever new names (containers, virtual machines) nothing of it grows.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Mono;

/// Every interface that is gone and not forgotten, the first one first.
#[derive(Debug, Default)]
pub(super) struct Gone(VecDeque<GoneInterface>);

#[derive(Debug)]
struct GoneInterface {
    name: String,
    since: Mono,
    rests: bool,
}

impl Gone {
    /// Who is back within this time was created anew or replugged: its detectors go on, and tell the end of the gap.
    const SOON: Duration = Duration::from_secs(60);
    /// So many are waited for so, the newest: tables of one take up to 3 MiB.
    const AWAITED: usize = 8;
    /// So many are remembered: each has 82 KiB beside the frames, which keep two pages at least.
    const MOST: usize = 256;

    /// One is gone.
    pub(super) fn add(&mut self, name: &str, now: Mono) {
        self.remove(name);
        self.0.push_back(GoneInterface { name: name.to_owned(), since: now, rests: false });
    }

    /// One is back, or forgotten; true if it was gone.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|gone| gone.name != name);
        self.0.len() < before
    }

    /// True if it is gone.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|gone| gone.name == name)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Those that are to rest from now on.
    pub(super) fn laid_to_rest(&mut self, now: Mono) -> Vec<String> {
        let awaited = self.0.len().saturating_sub(Self::AWAITED);
        let each = self.0.iter_mut().enumerate();
        let due = each.filter(|(at, gone)| {
            !gone.rests && (*at < awaited || now.since(gone.since) >= Self::SOON)
        });
        due.map(|(_, gone)| {
            gone.rests = true;
            gone.name.clone()
        })
        .collect()
    }

    /// The one that makes room for others, if there are too many.
    pub(super) fn to_forget(&self) -> Option<&str> {
        let first = self.0.front().filter(|_| self.0.len() > Self::MOST);
        first.map(|gone| &*gone.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn gone(count: usize) -> Gone {
        let mut gone = Gone::default();
        (0..count).for_each(|n| gone.add(&format!("veth{n}"), Mono(n as u64)));
        gone
    }

    #[test]
    fn the_newest_are_awaited_for_a_minute_and_each_is_told_once_laid_to_rest() {
        let mut few = gone(3);
        assert_eq!(few.laid_to_rest(Mono(59 * S)), [""; 0]);
        assert!(few.remove("veth1") && !few.remove("veth1"));
        assert_eq!(few.laid_to_rest(Mono(61 * S)), ["veth0", "veth2"]);
        assert_eq!(few.laid_to_rest(Mono(99 * S)), [""; 0]);
        let mut many = gone(Gone::AWAITED + 2);
        assert_eq!(many.laid_to_rest(Mono(S)), ["veth0", "veth1"]);
        many.add("veth0", Mono(2 * S));
        assert_eq!(many.laid_to_rest(Mono(2 * S)), ["veth2"], "it was back in between");
    }

    #[test]
    fn the_first_is_forgotten_when_there_are_too_many() {
        assert_eq!(gone(Gone::MOST).to_forget(), None);
        let mut gone = gone(Gone::MOST + 1);
        assert_eq!(gone.to_forget(), Some("veth0"));
        assert!(gone.remove("veth0") && !gone.has("veth0"));
        assert_eq!((gone.to_forget(), gone.count()), (None, Gone::MOST));
    }
}
