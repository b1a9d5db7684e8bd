//! Observations that somebody keeps, and the account of what they take: history and every incident that waits
//! for the disk share one copy of each, and whoever adds to it knows how much there is.

use std::borrow::Borrow;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Observation;

/// Bytes that all observations on it take. Cloning gives a second hand on the same account.
#[derive(Debug, Clone, Default)]
pub struct KeptBytes(Arc<AtomicUsize>);

impl KeptBytes {
    /// Bytes that are kept now.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// An observation that is kept. Cloning gives a second hand on the same one.
#[derive(Debug, Clone)]
pub struct Kept(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    observation: Observation,
    bytes: usize,
    account: KeptBytes,
}

impl Kept {
    /// Keeps it on this account.
    pub fn new(observation: Observation, account: &KeptBytes) -> Self {
        let bytes = size(&observation);
        account.0.fetch_add(bytes, Ordering::Relaxed);
        Self(Arc::new(Counted { observation, bytes, account: account.clone() }))
    }

    /// What it takes, about.
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }
}

/// What an observation takes, about: itself, its counts, and its texts, which are shorter than the JSON they
/// stand in, by what the allocator adds to each of them.
fn size(observation: &Observation) -> usize {
    /// Two counts of an `Arc`, the bytes and the account of a [`Counted`], a hand on it in two queues.
    const BESIDE: usize = 64;
    let mut json = Length(0);
    // Counting does not fail, and a fact has no map with keys other than strings.
    let _ = serde_json::to_writer(&mut json, &observation.fact);
    size_of::<Observation>() + BESIDE + json.0
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.account.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Deref for Kept {
    type Target = Observation;

    fn deref(&self) -> &Observation {
        &self.0.observation
    }
}

impl Borrow<Observation> for Kept {
    fn borrow(&self) -> &Observation {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Fact;
    use crate::time::Stamp;

    #[test]
    fn what_is_kept_is_on_the_account_as_long_as_somebody_keeps_it() {
        let account = KeptBytes::default();
        let missed = |what: &str| {
            let fact = Fact::Missed { watcher: "log".to_owned(), what: what.to_owned() };
            Kept::new(Observation { at: Stamp::default(), fact }, &account)
        };
        let (short, long) = (missed(""), missed(&"x".repeat(1_000)));
        let both = account.bytes();
        let second = long.clone();
        assert_eq!(account.bytes(), both, "a second hand is no second copy");
        drop(long);
        assert_eq!(account.bytes(), both);
        drop(second);
        let one = account.bytes();
        assert!(both - one > 1_000 && one > size_of::<Observation>(), "{one} of {both}");
        drop(short);
        assert_eq!(account.bytes(), 0);
    }
}
