//! The recorder's side of the service manager: once a round it says what the captures do and how it stands.

use std::mem;

use super::{Recorder, Status};
use crate::service::Service;

impl Recorder {
    /// From now on `service` is told how it goes.
    pub fn attended_by(&mut self, service: Service) {
        self.service = Some(service);
    }

    /// Tells the service manager what it has to know; `status` if there is a new one.
    pub(super) fn attend(&mut self, status: Option<&Status>) {
        let Some(service) = &mut self.service else { return };
        let now = self.clock.now().mono;
        if self.leaving {
            service.stopping();
        }
        if service.is_due(now) {
            service.attend(now, self.captures.rounds());
        }
        if let Some(status) = status {
            let state = mem::discriminant(&status.state);
            let changed = self.state_told.replace(state) != Some(state);
            service.status(now, changed, &status.to_string());
        }
    }

    /// What was read again holds.
    pub(super) fn tell_reloaded(&mut self) {
        if let Some(service) = &mut self.service {
            service.reloaded();
        }
    }
}
