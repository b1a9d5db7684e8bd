//! What is fetched of this host, from connection to connection: a server that is started again costs nobody the copy that
//! was made for them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::fleet::Options;
use crate::fleet::fetch::UNDER_WAY;
use crate::fleet::fetch::pace::Pace;
use crate::fleet::fetch::table::{MOST, OpenFetches};
use crate::time::Mono;

/// Questions under way: what all fetches that may be open ask at once.
const QUESTIONS: usize = MOST * UNDER_WAY;

/// All fetches.
#[derive(Debug)]
pub(super) struct Fetches {
    table: Mutex<OpenFetches>,
    pace: Mutex<Pace>,
    /// A permit is held while one is answered.
    pub(super) questions: Arc<Semaphore>,
    /// One piece at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// One capture at a time.
    pub(super) cutting: Mutex<()>,
}

impl Fetches {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            table: Mutex::default(),
            pace: Mutex::new(Pace::of(options.fetch_rate)),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            turn: tokio::sync::Mutex::default(),
            cutting: Mutex::default(),
        }
    }

    /// How long so many more bytes have to wait.
    pub(super) fn wait_for(&self, bytes: u32, now: Mono) -> Duration {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.take(bytes.into(), now)
    }

    /// Changes something; nobody holds it for longer than that.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut OpenFetches) -> T) -> T {
        change(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
