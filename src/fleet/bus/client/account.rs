//! What the bus did and what it could not do: kept by its task, read by anybody.

use std::sync::{Arc, Mutex, PoisonError};

use crate::fleet::status::BusStatus;

/// The standing of one member.
#[derive(Debug, Clone, Default)]
pub struct BusAccount(Arc<Mutex<BusStatus>>);

impl BusAccount {
    pub(super) fn new(fleet: &str, host: &str) -> Self {
        let status =
            BusStatus { fleet: fleet.to_owned(), host: host.to_owned(), ..BusStatus::default() };
        Self(Arc::new(Mutex::new(status)))
    }

    /// How it stands.
    pub fn standing(&self) -> BusStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes something; nobody holds it for longer than that.
    pub(super) fn note(&self, change: impl FnOnce(&mut BusStatus)) {
        // A count that was changed is whole.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
