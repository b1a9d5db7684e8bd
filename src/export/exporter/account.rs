//! What one destination was told, and what not: every way to lose something has a count.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::export::DestinationStatus;

/// The counts of one destination, kept by its tasks and read by anybody.
#[derive(Debug, Clone)]
pub struct Account(Arc<DestinationCounts>);

#[derive(Debug, Default)]
struct DestinationCounts {
    to: String,
    sent: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
    reached: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Account {
    /// Nothing told yet.
    pub(super) fn new(to: String) -> Self {
        Self(Arc::new(DestinationCounts { to, ..DestinationCounts::default() }))
    }

    /// The destination.
    pub fn to(&self) -> &str {
        &self.0.to
    }

    /// How it stands.
    pub fn standing(&self) -> DestinationStatus {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DestinationStatus {
            to: self.0.to.clone(),
            sent: read(&self.0.sent),
            bytes: read(&self.0.bytes),
            dropped: self.dropped(),
            failures: read(&self.0.failures),
            reached: self.0.reached.load(Ordering::Relaxed),
            trouble: self.trouble().clone(),
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn drop_messages(&self, count: u64) {
        self.0.dropped.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.0.sent.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if !self.0.reached.swap(true, Ordering::Relaxed) {
            *self.trouble() = None;
        }
    }

    /// Counts a failure; returns how many there were.
    pub(super) fn failed(&self, reason: &dyn fmt::Display) -> u64 {
        self.0.reached.store(false, Ordering::Relaxed);
        *self.trouble() = Some(reason.to_string());
        self.0.failures.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        // Set as a whole, so a poisoned one is whole.
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_stands_as_its_last_attempt_went() {
        let account = Account::new("json udp://192.0.2.1:9".into());
        assert_eq!(
            account.standing().to_string(),
            "json udp://192.0.2.1:9: 0 sent, 0 dropped, 0 failures"
        );
        assert_eq!(account.failed(&"connection refused"), 1);
        account.drop_messages(3);
        assert_eq!(
            account.standing().to_string(),
            "json udp://192.0.2.1:9: 0 sent, 3 dropped, 1 failures; NOT REACHED: connection refused"
        );
        account.sent(100);
        let DestinationStatus { sent, bytes, reached, trouble, .. } = account.standing();
        assert_eq!((sent, bytes, reached, trouble), (1, 100, true, None));
    }
}
