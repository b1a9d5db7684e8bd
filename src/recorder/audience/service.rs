//! The service manager: once a round it is told what the captures do and how it stands.

use std::mem::{self, Discriminant};

use super::status_line::{State, Status};
use crate::service::{Leaving, Service};
use crate::time::Mono;

/// The service manager, and what it was told.
#[derive(Debug)]
pub(super) struct ServiceManager {
    service: Service,
    state: Option<Discriminant<State>>,
}

impl ServiceManager {
    pub(super) fn new(service: Service) -> Self {
        Self { service, state: None }
    }

    /// Tells it what it has to know: how often each capture went round, and `status` if there is a new one.
    pub(super) fn attend<'a>(
        &mut self,
        now: Mono,
        is_ending: bool,
        rounds: impl Iterator<Item = (&'a str, u64)>,
        status: Option<&Status>,
    ) {
        if is_ending {
            self.service.stopping();
        }
        if self.service.is_due(now) {
            self.service.attend(now, rounds);
        }
        if let Some(status) = status {
            let state = mem::discriminant(&status.state);
            let changed = self.state.replace(state) != Some(state);
            self.service.status(now, changed, &status.to_string());
        }
    }

    /// What was read again holds.
    pub(super) fn reloaded(&mut self) {
        self.service.reloaded();
    }

    /// From now on it is asked for time to write, for as long as what this gives is kept.
    pub(super) fn leave(self) -> Option<Leaving> {
        self.service.leave()
    }
}
