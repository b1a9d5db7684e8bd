//! Questions of persons, and what this host tells them: only that person may hear it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;

use super::account::BusAccount;
use super::member::Member;
use crate::fleet::exchange::{ANSWERS, HeardNotice, Keeper};
use crate::fleet::inquiry::{Asking, Inquiry, Reply, Told, VERSION};
use crate::fleet::notice::{Mode, Notice};
use crate::fleet::subject::Subjects;
use crate::fleet::token::token;
use crate::time::Wall;

/// Questions under way. Beyond it they are counted and not answered: whoever asks asks again.
const UNDER_WAY: usize = 4;

/// Answers questions on one connection.
#[derive(Debug)]
pub(super) struct InquiryDesk<K> {
    keeper: K,
    client: Client,
    host: String,
    subjects: Subjects,
    account: BusAccount,
    under_way: Arc<Semaphore>,
}

impl<K: Keeper> InquiryDesk<K> {
    pub(super) fn new(member: &Member<K>, client: &Client) -> Self {
        Self {
            keeper: member.keeper.clone(),
            client: client.clone(),
            host: member.host.clone(),
            subjects: member.subjects.clone(),
            account: member.account.clone(),
            under_way: Arc::new(Semaphore::new(UNDER_WAY)),
        }
    }

    /// Answers what `from` asks; the server lets nobody else ask as that.
    ///
    /// # Errors
    /// When it is no question.
    pub(super) fn hear(&self, from: &str, payload: &[u8]) -> Result<(), String> {
        let arrived = self.keeper.clock().now().wall;
        let asking = Asking::read(payload)?;
        if token(&asking.from) != from {
            return Err(format!("{} does not ask itself", asking.from));
        }
        let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() else {
            self.account.note(|status| status.missed += 1);
            return Ok(());
        };
        let (keeper, client, host) = (self.keeper.clone(), self.client.clone(), self.host.clone());
        let subject = self.subjects.data(&host, from, &asking.question);
        tokio::spawn(async move {
            let told = tell(keeper, asking, arrived).await;
            let reply = Reply { v: VERSION, host, told };
            // Nothing here has keys that JSON cannot write.
            let line = serde_json::to_vec(&reply).unwrap_or_default();
            if let Err(error) = client.publish(subject, line.into()).await {
                tracing::debug!("a question of the fleet is not answered: {error}");
            }
            drop(permit);
        });
        Ok(())
    }
}

async fn tell<K: Keeper>(keeper: K, asking: Asking, arrived: Wall) -> Told {
    if let Inquiry::Who { sent } = asking.inquiry {
        return here(keeper, sent, arrived).await;
    }
    if let Some(settled) = settle(&keeper, &asking).await {
        return settled;
    }
    let without = match &asking.inquiry {
        Inquiry::Incidents { id } => keeper.without_bundle(id.clone()).await,
        _ => Vec::new(),
    };
    let told = spawn_blocking(move || keeper.tell(&asking.inquiry)).await;
    match told {
        Ok(Told::Incidents { bundles, .. }) => Told::Incidents { bundles, without },
        Ok(told) => told,
        Err(error) => Told::Refused { why: error.to_string() },
    }
}

/// What is held for whoever asks is written or given up, as if a notice of theirs said so; none if nothing is.
async fn settle<K: Keeper>(keeper: &K, asking: &Asking) -> Option<Told> {
    let (id, mode) = match &asking.inquiry {
        Inquiry::Keep { id } => (id, Mode::Confirm),
        Inquiry::Release { id } => (id, Mode::Release),
        _ => return None,
    };
    let at = keeper.clock().now();
    let notice = Notice::settling(&asking.from, id, mode, at.wall).ok()?;
    let (answers, mut told) = mpsc::channel(ANSWERS);
    let heard = HeardNotice { notice, at, waited: None, error: Duration::ZERO, answers };
    keeper.hear(heard).await.ok()?;
    let answer = told.recv().await?;
    let (incident, why) = (answer.incident.clone(), answer.why.clone());
    Some(Told::Settled { state: answer.state, incident, why })
}

async fn here<K: Keeper>(keeper: K, sent: Wall, arrived: Wall) -> Told {
    match keeper.presence().await {
        Some(presence) => {
            Told::Here { presence, sent, arrived, replied: keeper.clock().now().wall }
        }
        None => Told::Refused { why: "the recorder does not say".to_owned() },
    }
}
