//! A recorder's place in the fleet over the time of its life: connections come and go, what it has to say stays.

use std::collections::VecDeque;
use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use super::account::BusAccount;
use super::chance;
use super::fetches::Fetches;
use super::outbox::{Outbox, key};
use crate::fleet::Options;
use crate::fleet::answer::HostAnswer;
use crate::fleet::exchange::{Announcement, HeardNotice, Keeper};
use crate::fleet::notice::Notice;
use crate::fleet::subject::{Addressee, Subjects};
use crate::time::Stamp;

/// Answers that wait for a connection.
const ANSWERS: usize = 256;
/// Notices whose course is followed; each is a task that sleeps.
const FOLLOWED: usize = 1_024;
/// Notices that were heard live, so that a look into the stream does not bring them again.
const REMEMBERED: usize = 1_024;
/// Addressees of notices beside host and groups: what the operator names, the addresses of this host's interfaces.
pub(super) const MOST_IDENTITIES: usize = 64;

/// Nothing more will be announced.
pub(super) struct Ending;

/// What outlives a connection.
#[derive(Debug)]
pub(super) struct Member<K> {
    pub(super) options: Options,
    pub(super) host: String,
    pub(super) subjects: Subjects,
    pub(super) account: BusAccount,
    pub(super) keeper: K,
    pub(super) outbox: Outbox,
    /// Where the next look into the stream begins.
    pub(super) next: u64,
    /// What neighbours see of this host; none until the kernel was asked.
    pub(super) identities: Option<Vec<String>>,
    /// What became of notices, on its way to the bus.
    pub(super) answers: mpsc::Receiver<HostAnswer>,
    answered: mpsc::Sender<HostAnswer>,
    /// A permit is held while a notice may still be answered.
    followed: Arc<Semaphore>,
    heard: VecDeque<String>,
    /// What is fetched of this host.
    pub(super) fetches: Arc<Fetches>,
    /// Times it could not connect, since it last could.
    failures: u64,
}

impl<K: Keeper> Member<K> {
    pub(super) fn new(options: Options, account: BusAccount, keeper: K) -> Self {
        let (answered, answers) = mpsc::channel(ANSWERS);
        Self {
            host: options.host.clone().unwrap_or_default(),
            subjects: Subjects::of(&options.name),
            outbox: Outbox::new(options.late),
            next: 1,
            identities: None,
            answers,
            answered,
            followed: Arc::new(Semaphore::new(FOLLOWED)),
            heard: VecDeque::new(),
            failures: 0,
            fetches: Arc::new(Fetches::new(&options)),
            options,
            account,
            keeper,
        }
    }

    /// There is a connection, or there is one again.
    pub(super) fn connected(&mut self) {
        self.failures = 0;
        self.account.note(|status| {
            status.connected = true;
            status.trouble = None;
            status.connections += 1;
        });
        tracing::info!("connected to fleet {}", self.options.name);
        self.outbox.connected(self.keeper.clock().now().mono);
    }

    /// There is none. Told the first time, and then less and less often: a server that is away for days must not fill
    /// the log.
    pub(super) fn failed(&mut self, reason: &dyn Display) {
        self.failures += 1;
        if self.failures.is_power_of_two() {
            let (fleet, failures) = (&self.options.name, self.failures);
            tracing::warn!("not connected to fleet {fleet}: {reason}; {failures} failures so far");
        }
        let reason = reason.to_string();
        self.account.note(|status| (status.connected, status.trouble) = (false, Some(reason)));
    }

    /// Does `work`, and takes in what is announced meanwhile.
    pub(super) async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = T>,
        announced: &mut mpsc::Receiver<Announcement>,
    ) -> Result<T, Ending> {
        let mut work = pin!(work);
        loop {
            select! {
                done = &mut work => return Ok(done),
                announcement = announced.recv() => self.announce(announcement.ok_or(Ending)?),
            }
        }
    }

    /// Puts a notice into the outbox, once for each addressee.
    pub(super) fn announce(&mut self, announcement: Announcement) {
        let now = self.keeper.clock().now().mono;
        let Announcement { notice, event, to } = announcement;
        for addressee in &to {
            let subject = self.subjects.freeze(&self.host, addressee);
            self.outbox.push(notice.clone(), event, subject, now);
        }
        self.tell_outbox();
    }

    /// The status shows the outbox as it is.
    pub(super) fn tell_outbox(&self) {
        let (waiting, lost) = (self.outbox.len() as u64, self.outbox.lost);
        self.account.note(|status| (status.waiting, status.lost) = (waiting, lost));
    }

    /// Whom notices for this host are addressed to.
    pub(super) fn addressees(&self) -> Vec<Addressee> {
        let groups = self.options.groups.iter().cloned().map(Addressee::Group);
        let identities = self.identities.iter().flatten().take(MOST_IDENTITIES).cloned();
        let host = [Addressee::Host(self.host.clone())].into_iter();
        host.chain(groups).chain(identities.map(Addressee::Identity)).collect()
    }

    /// True if a notice was heard live.
    pub(super) fn has_heard(&self, notice: &Notice) -> bool {
        self.heard.contains(&key(notice))
    }

    /// Hands a notice to the recorder, and follows what becomes of it.
    pub(super) fn hear(&mut self, notice: Notice, at: Stamp, waited: Option<(Duration, Duration)>) {
        let Ok(followed) = Arc::clone(&self.followed).try_acquire_owned() else {
            return self.account.note(|status| status.missed += 1);
        };
        if self.heard.len() >= REMEMBERED {
            self.heard.pop_front();
        }
        self.heard.push_back(key(&notice));
        self.account.note(|status| {
            status.heard += 1;
            status.late += u64::from(waited.is_some());
        });
        let (answers, mut told) = mpsc::channel(crate::fleet::exchange::ANSWERS);
        let (keeper, answered, spread) =
            (self.keeper.clone(), self.answered.clone(), notice.spread);
        let error = waited.map(|(_, error)| error).unwrap_or_default();
        let waited = waited.map(|(waited, _)| waited);
        let heard = HeardNotice { notice, at, waited, error, answers };
        tokio::spawn(async move {
            if let Err(why) = keeper.hear(heard).await {
                tracing::warn!("a notice of the fleet finds nobody: {why}");
            }
            while let Some(answer) = told.recv().await {
                // Freezing is never spread, and is done.
                sleep(chance::up_to(spread)).await;
                if answered.send(answer).await.is_err() {
                    break;
                }
            }
            drop(followed);
        });
    }

    /// Until no notice can be answered any more.
    pub(super) async fn all_answered(&self) {
        // Never closed, so never refused.
        let _ = self.followed.acquire_many(FOLLOWED as u32).await;
    }
}
