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
//! It is ground for `api`, which knows when to begin and to end; here nobody knows who makes the events.

pub mod account;
pub mod choice;
pub mod event;
pub mod remote;
pub mod syslog;
pub mod traffic;
pub mod webhook;

use std::fmt::Display;
use std::sync::Arc;

use tokio::sync::broadcast::Receiver;

pub use self::account::Standing;

use self::account::Account;
use self::event::Event;
use self::remote::Remote;
use self::webhook::Webhook;
use crate::error::{Error, Result};
use crate::time::Clock;

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
                return Err(Error::usage(what, count.to_string(), "too many", accepted));
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

/// One destination, ready to be told.
#[derive(Debug)]
pub enum Exporter {
    /// A host that takes messages.
    Remote(Remote),
    /// A server that is called.
    Webhook(Webhook),
}

impl Exporter {
    /// Opens what each destination of `options` needs: tokens, certificates, counters.
    ///
    /// # Errors
    /// When one of them has no meaning or is refused.
    pub fn open(options: &Options, host: &str) -> Result<Vec<Self>> {
        options.check()?;
        let remotes = options.remotes.iter().map(|o| Remote::open(o, host).map(Self::Remote));
        let webhooks = options.webhooks.iter().map(|o| Webhook::open(o, host).map(Self::Webhook));
        remotes.chain(webhooks).collect()
    }

    /// Where it is accounted for.
    pub fn account(&self) -> Account {
        match self {
            Self::Remote(remote) => remote.account(),
            Self::Webhook(webhook) => webhook.account(),
        }
    }

    /// Tells it what `feed` says, until that ends and all was told or given up.
    pub async fn run(self, feed: Feed, clock: Clock) {
        match self {
            Self::Remote(remote) => remote.run(feed, clock).await,
            Self::Webhook(webhook) => webhook.run(feed).await,
        }
    }
}

/// The first time, and then less and less often: whoever is away for days must not fill the log.
fn complain(account: &Account, failures: u64, reason: &dyn Display) {
    if failures.is_power_of_two() {
        tracing::warn!("cannot export to {}: {reason}; {failures} failures so far", account.to());
    }
}
