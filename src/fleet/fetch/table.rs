//! The fetches that are open on this host: few, and whoever does not go on with theirs makes room.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::source::OpenBundle;
use crate::time::Mono;

/// Fetches that are open at once: each has a directory, and perhaps a copy of a capture on the disk.
pub const MOST: usize = 4;
/// Of one person; the one they used least lately goes.
const MOST_OF_ONE: usize = 2;
/// Whoever asks nothing for so long has gone away: six times as long as anybody waits before asking again.
const IDLE: Duration = Duration::from_secs(60);
/// Fetches that may begin in a minute: those of one failure on a host, and a few more.
const A_MINUTE: usize = 30;
/// What that is counted over.
const MINUTE: Duration = Duration::from_secs(60);

/// How far a fetch is.
#[derive(Debug, Clone)]
pub enum FetchState {
    /// Its frames are being cut: so many bytes of so many were read.
    Cutting(u64, u64),
    /// Its files can be read.
    Open(Arc<OpenBundle>),
    /// Why they cannot.
    Failed(String),
}

/// The state of one fetch, which others change.
#[derive(Debug, Clone)]
pub struct SharedState(Arc<Mutex<FetchState>>);

/// All of them. Pure, told the time.
#[derive(Debug, Default)]
pub struct OpenFetches {
    open: Vec<OpenFetch>,
    /// When the last ones began.
    begun: VecDeque<Mono>,
}

#[derive(Debug)]
struct OpenFetch {
    who: String,
    fetch: String,
    used: Mono,
    state: SharedState,
}

impl SharedState {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(FetchState::Cutting(0, 0))))
    }

    /// As it is now.
    pub fn now(&self) -> FetchState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is something else from now on.
    pub fn becomes(&self, state: FetchState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// False once it gave way to another.
    pub fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl OpenFetches {
    /// True, and counted, unless too many began within a minute.
    pub fn may_begin(&mut self, now: Mono) -> bool {
        self.begun.retain(|begun| now.since(*begun) < MINUTE);
        let may = self.begun.len() < A_MINUTE;
        if may {
            self.begun.push_back(now);
        }
        may
    }

    /// The state of what `who` calls `fetch`, if that is open.
    pub fn find(&mut self, who: &str, fetch: &str, now: Mono) -> Option<SharedState> {
        let open = self.open.iter_mut().find(|open| open.who == who && open.fetch == fetch)?;
        open.used = now;
        Some(open.state.clone())
    }

    /// Opens another one.
    ///
    /// # Errors
    /// Why there is no room for it.
    pub fn open(&mut self, who: &str, fetch: &str, now: Mono) -> Result<SharedState, String> {
        self.open.retain(|open| now.since(open.used) < IDLE);
        if self.open.iter().filter(|open| open.who == who).count() >= MOST_OF_ONE {
            let own = self.open.iter().enumerate().filter(|(_, open)| open.who == who);
            if let Some((at, _)) = own.min_by_key(|(_, open)| open.used) {
                self.open.remove(at);
            }
        }
        if self.open.len() >= MOST {
            return Err(format!("{MOST} fetches are under way here; try again in a minute"));
        }
        let state = SharedState::new();
        let (who, fetch) = (who.to_owned(), fetch.to_owned());
        self.open.push(OpenFetch { who, fetch, used: now, state: state.clone() });
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn few_are_open_and_who_goes_away_makes_room() {
        let mut fetches = OpenFetches::default();
        let first = fetches.open("a", "1", at(0)).unwrap();
        assert!(first.is_wanted());
        fetches.open("a", "2", at(1)).unwrap();
        assert!(fetches.find("a", "1", at(2)).is_some());
        fetches.open("a", "3", at(3)).unwrap();
        assert!(fetches.find("a", "2", at(3)).is_none(), "the one used least lately");
        assert!(fetches.find("b", "1", at(3)).is_none(), "of somebody else");
        fetches.open("b", "1", at(4)).unwrap();
        fetches.open("c", "1", at(5)).unwrap();
        assert!(fetches.open("d", "1", at(6)).unwrap_err().contains("are under way"));
        assert!(first.is_wanted());
        fetches.open("d", "1", at(63)).unwrap();
        assert!(!first.is_wanted(), "nobody asked for a minute");
    }

    #[test]
    fn so_many_begin_in_a_minute() {
        let mut fetches = OpenFetches::default();
        assert_eq!((0..100).filter(|_| fetches.may_begin(at(1))).count(), A_MINUTE);
        assert!(!fetches.may_begin(at(60)) && fetches.may_begin(at(61)));
    }
}
