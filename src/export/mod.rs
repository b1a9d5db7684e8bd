//! What dashcap sees, told to other hosts while it sees it: as JSON lines, as syslog, and as a webhook for
//! each incident.
//!
//! ```text
//!   recorder ── live events (the ones `dashcap events` hears) ──► event: what, how bad ── choice ─┐
//!   /proc/net/dev, every interval ──► traffic ───────────────────────────────────────────────────┤
//!                                                                                                 ▼
//!   account (sent, dropped, failed) ◄── remote, webhook: resolve, connect, send, back off ◄── queue (bounded)
//! ```
//!
//! It promises that nobody here ever waits for a far host: neither recorder nor capture know that there is
//! one. Each destination has a queue with a bound; what finds no room is counted, shown in the status and in
//! metrics, and told in the next message that gets through. Names are resolved on a thread of their own,
//! as often as a connection is made. Everything runs on the thread `api`.
//!
//! What is exported leaves through an interface, and may be recorded there: exports are frames, too. They
//! are few and steady, and no observation is made of an export, so they cannot feed upon themselves.
//!
//! Here is what the operator says. Telling it is a feature of the build: `exporter` is cut off here.
//!
//! It is ground for `api`, which knows when to begin and to end; here nobody knows who makes the events.

pub mod choice;
pub mod event;
#[cfg_attr(not(feature = "export"), path = "absent.rs")]
mod exporter;
pub mod remote;
pub mod webhook;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;

pub use self::exporter::{Account, Exporter};

use self::event::Event;
use crate::error::{Error, Result};

/// The version of messages and webhooks: `v`. Within a version fields and kinds are added, never renamed
/// or removed.
pub const VERSION: u64 = 1;
/// Destinations of each kind at most: every event is worded for each.
const MOST: usize = 16;

/// Who is told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// Hosts that take messages.
    pub remotes: Vec<remote::Options>,
    /// Servers that are called for each incident.
    pub webhooks: Vec<webhook::Options>,
}

impl Options {
    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] where a destination has none, or there are too many.
    pub fn check(&self) -> Result<()> {
        for (what, count) in [("export", self.remotes.len()), ("webhook", self.webhooks.len())] {
            if count > MOST {
                let accepted = format!("at most {MOST}");
                return Err(Error::usage(
                    what,
                    count.to_string(),
                    "the number of destinations has a bound",
                    accepted,
                ));
            }
        }
        self.remotes.iter().try_for_each(remote::Options::check)?;
        self.webhooks.iter().try_for_each(webhook::Options::check)
    }
}

/// Events as a listener gets them: the latest, and those from now on.
#[derive(Debug)]
pub struct Feed {
    /// The latest, oldest first.
    pub recent: Vec<Arc<Event>>,
    /// From now on.
    pub live: Receiver<Arc<Event>>,
}

/// How one destination stands: counts since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DestinationStatus {
    /// The destination: `syslog tcp://log.example:601`.
    pub to: String,
    /// Messages handed over.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that were never sent: no room in the queue, too long, or given up.
    pub dropped: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// True if the last attempt succeeded; false before the first.
    pub reached: bool,
    /// Why the last attempt failed; none while it is reached.
    pub trouble: Option<String>,
}

impl fmt::Display for DestinationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, sent, dropped, failures, .. } = self;
        write!(f, "{to}: {sent} sent, {dropped} dropped, {failures} failures")?;
        match &self.trouble {
            Some(trouble) => write!(f, "; NOT REACHED: {trouble}"),
            None => Ok(()),
        }
    }
}
