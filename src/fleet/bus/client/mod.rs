//! Talking to the fleet's server: as a recorder ([`Bus`]), and as a person ([`Person`]).

mod account;
mod chance;
mod connection;
mod fetches;
mod look;
mod member;
mod outbox;
mod person;
mod pull;
mod questions;
mod sending;
mod session;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

pub use self::account::BusAccount;
pub use self::person::Person;
pub use self::pull::{Promised, Pull};

use self::connection::connect;
use self::member::{Ending, Member};
use self::session::Session;
use crate::backoff::Backoff;
use crate::error::Result;
use crate::fleet::Options;
use crate::fleet::exchange::{Announcement, Keeper};

/// Longest pause before a server is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// This host's place in a fleet.
#[derive(Debug)]
pub struct Bus {
    options: Options,
    account: BusAccount,
}

impl Bus {
    /// A place for the host that is called `host` unless `options` say otherwise.
    ///
    /// # Errors
    /// When the options have no meaning.
    pub fn open(options: &Options, host: &str) -> Result<Self> {
        options.check()?;
        let mut options = options.clone();
        let host = options.host.get_or_insert_with(|| host.to_owned());
        let servers: Vec<_> = options.servers.iter().map(ToString::to_string).collect();
        tracing::info!("{host} in fleet {} at {}", options.name, servers.join(", "));
        let account = BusAccount::new(&options.name, host);
        Ok(Self { options, account })
    }

    /// Where it is accounted for.
    pub fn account(&self) -> BusAccount {
        self.account.clone()
    }

    /// Announces what comes, and hands what is heard to `keeper`, until nothing more will be announced.
    pub async fn run(self, announced: mpsc::Receiver<Announcement>, keeper: impl Keeper) {
        let _ = self.stay(announced, keeper).await;
    }

    async fn stay(
        self,
        mut announced: mpsc::Receiver<Announcement>,
        keeper: impl Keeper,
    ) -> Result<(), Ending> {
        let Self { options, account } = self;
        let host = options.host.clone().unwrap_or_default();
        let mut member = Member::new(options.clone(), account, keeper);
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        loop {
            let connecting = connect(&options, &host, Some(options.servers.len()));
            match member.meanwhile(connecting, &mut announced).await? {
                Err(reason) => member.failed(&reason),
                Ok(connection) => {
                    backoff.reset();
                    member.connected();
                    Session::new(&mut member, connection).run(&mut announced).await?;
                    member.failed(&"the connection broke, and no server takes us");
                }
            }
            let pause = backoff.pause();
            // Between half of it and all.
            let pause = sleep(pause / 2 + chance::up_to(pause / 2));
            member.meanwhile(pause, &mut announced).await?;
        }
    }
}
