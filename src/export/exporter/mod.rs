//! Who tells other hosts: a queue and a sender for each destination, and what came of it.

mod account;
mod address;
mod body;
mod remote;
mod syslog;
mod traffic;
mod webhook;

use std::fmt::Display;

pub use self::account::Account;
use self::remote::Remote;
use self::webhook::Webhook;
use super::{Feed, Options};
use crate::error::Result;
use crate::time::Clock;

/// One destination, ready to be told.
#[derive(Debug)]
pub struct Exporter(Destination);

#[derive(Debug)]
enum Destination {
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
        let remotes = options.remotes.iter();
        let remotes = remotes.map(|o| Remote::open(o, host).map(Destination::Remote));
        let webhooks = options.webhooks.iter();
        let webhooks = webhooks.map(|o| Webhook::open(o, host).map(Destination::Webhook));
        remotes.chain(webhooks).map(|opened| opened.map(Self)).collect()
    }

    /// Where it is accounted for.
    pub fn account(&self) -> Account {
        match &self.0 {
            Destination::Remote(remote) => remote.account(),
            Destination::Webhook(webhook) => webhook.account(),
        }
    }

    /// Tells it what `feed` says, until that ends and all was told or given up.
    pub async fn run(self, feed: Feed, clock: Clock) {
        match self.0 {
            Destination::Remote(remote) => remote.run(feed, clock).await,
            Destination::Webhook(webhook) => webhook.run(feed).await,
        }
    }
}

/// The first time, and then less and less often: whoever is away for days must not fill the log.
fn complain(account: &Account, failures: u64, reason: &dyn Display) {
    if failures.is_power_of_two() {
        tracing::warn!("cannot export to {}: {reason}; {failures} failures so far", account.to());
    }
}
