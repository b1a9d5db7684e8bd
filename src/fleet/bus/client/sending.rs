//! What persons fetch of this host: asked piece by piece, sent one at a time at a rate that leaves the uplink to others.
//!
//! ```text
//!   files ─► accept, share ─► open ─► [frames are cut, on a thread that steps back] ─► files, sizes, sums
//!   piece ─► open? ─► its turn, its time ─► read ─► data.HOST.PERSON.TOKEN ─► on its way before the next one
//! ```
//!
//! Neither the recorder nor a capture is asked anything. All of it is bounded: fetches ([`table`](crate::fleet::fetch::table)),
//! questions, bytes a second; a question beyond that is counted and not answered.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::thread;

use async_nats::Client;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::account::BusAccount;
use super::fetches::Fetches;
use super::member::Member;
use crate::fleet::Options;
use crate::fleet::exchange::Keeper;
use crate::fleet::fetch::source::OpenBundle;
use crate::fleet::fetch::table::{FetchState, SharedState};
use crate::fleet::fetch::wire::{AROUND, FetchAsking, FetchReply, FetchWanted, Sent};
use crate::fleet::fetch::{PIECE, Piece};
use crate::fleet::inquiry::VERSION;
use crate::fleet::subject::Subjects;
use crate::fleet::token::token;
use crate::observation::Fact;
use crate::observation::fetch::{Fetch, PacketShare};
use crate::sys::priority;

/// How far the thread that cuts frames steps back: behind everybody (sched(7)).
const NICE: i32 = 19;

/// Answers on one connection.
#[derive(Debug, Clone)]
pub(super) struct FetchDesk<K> {
    keeper: K,
    client: Client,
    options: Arc<Options>,
    host: String,
    subjects: Subjects,
    account: BusAccount,
    fetches: Arc<Fetches>,
}

impl<K: Keeper> FetchDesk<K> {
    pub(super) fn new(member: &Member<K>, client: &Client) -> Self {
        Self {
            keeper: member.keeper.clone(),
            client: client.clone(),
            options: Arc::new(member.options.clone()),
            host: member.host.clone(),
            subjects: member.subjects.clone(),
            account: member.account.clone(),
            fetches: Arc::clone(&member.fetches),
        }
    }

    /// Answers what `from` asks; the server lets nobody else ask as that.
    ///
    /// # Errors
    /// When it has no meaning.
    pub(super) fn hear(&self, from: &str, payload: &[u8]) -> Result<(), String> {
        let asking = FetchAsking::read(payload)?;
        if token(&asking.from) != from {
            return Err(format!("{} does not fetch itself", asking.from));
        }
        let Ok(permit) = Arc::clone(&self.fetches.questions).try_acquire_owned() else {
            self.account.note(|status| status.missed += 1);
            return Ok(());
        };
        let desk = self.clone();
        tokio::spawn(async move {
            match &asking.wanted {
                FetchWanted::Files { bundle, packets } => {
                    let told = desk.files(&asking, bundle, *packets).await;
                    desk.say(&asking, told, &[]).await;
                }
                FetchWanted::Piece(piece) => desk.piece(&asking, piece).await,
            }
            drop(permit);
        });
        Ok(())
    }

    /// Which files a bundle has; the fetch is open from then on.
    async fn files(&self, asking: &FetchAsking, bundle: &str, packets: PacketShare) -> Sent {
        let FetchAsking { from, fetch, .. } = asking;
        let now = self.keeper.clock().now().mono;
        if let Some(open) = self.fetches.with(|table| table.find(from, fetch, now)) {
            return self.told(&open.now());
        }
        if !self.fetches.with(|table| table.may_begin(now)) {
            self.account.note(|status| status.fetches_refused += 1);
            return refused("too many fetches begin here; try again in a minute");
        }
        let begun = match self.options.shared_with(from, packets) {
            Ok(packets) => self.begin(asking, bundle, packets).await,
            Err(why) => Err(why),
        };
        begun.unwrap_or_else(|why| {
            self.account.note(|status| status.fetches_refused += 1);
            self.note(Fetch::refused(from, bundle, &why));
            refused(&why)
        })
    }

    /// Opens a bundle of which `packets` may go.
    async fn begin(
        &self,
        asking: &FetchAsking,
        bundle: &str,
        packets: PacketShare,
    ) -> Result<Sent, String> {
        let FetchAsking { from, fetch, .. } = asking;
        let store: PathBuf = self.keeper.store().ok_or("no bundles are kept here")?;
        let name = bundle.to_owned();
        let opened = spawn_blocking(move || OpenBundle::open(&store, &name, packets)).await;
        let opened = opened.map_err(|error| error.to_string())??;
        let now = self.keeper.clock().now().mono;
        let state = self.fetches.with(|table| table.open(from, fetch, now))?;
        self.account.note(|status| status.fetches += 1);
        self.note(Fetch::allowed(from, bundle, packets, opened.bytes()));
        match opened.to_cut().map(|capture| capture.size) {
            None => state.becomes(FetchState::Open(opened.into())),
            Some(size) => self.cut(opened, size, state.clone())?,
        }
        Ok(self.told(&state.now()))
    }

    /// Has the frames cut, beside everything else.
    fn cut(&self, mut bundle: OpenBundle, size: u64, state: SharedState) -> Result<(), String> {
        state.becomes(FetchState::Cutting(0, size));
        let fetches = Arc::clone(&self.fetches);
        let work = move || {
            if let Err(error) = priority::step_back(NICE) {
                tracing::debug!("the thread that cuts frames does not step back: {error}");
            }
            let turn = fetches.cutting.lock().unwrap_or_else(PoisonError::into_inner);
            let cut = bundle.cut(|read| {
                state.becomes(FetchState::Cutting(read, size));
                state.is_wanted()
            });
            drop(turn);
            state.becomes(match cut {
                Ok(()) => FetchState::Open(bundle.into()),
                Err(why) => FetchState::Failed(why),
            });
        };
        let thread = thread::Builder::new().name("fetch-cut".to_owned()).spawn(work);
        thread.map(drop).map_err(|error| error.to_string())
    }

    /// Sends a piece when it is its turn.
    async fn piece(&self, asking: &FetchAsking, piece: &Piece) {
        let now = self.keeper.clock().now().mono;
        let found = self.fetches.with(|table| table.find(&asking.from, &asking.fetch, now));
        let bundle = match found.map(|state| state.now()) {
            Some(FetchState::Open(bundle)) if piece.bytes <= self.longest() => bundle,
            Some(FetchState::Open(_)) => {
                let why = format!("a piece has at most {} bytes here", self.longest());
                return self.say(asking, refused(&why), &[]).await;
            }
            _ => {
                let why = "this fetch is not open there any more: dashcap was started again, or nothing was asked for a minute";
                return self.say(asking, refused(why), &[]).await;
            }
        };
        let turn = self.fetches.turn.lock().await;
        let now = self.keeper.clock().now().mono;
        sleep(self.fetches.wait_for(piece.bytes, now)).await;
        let wanted = piece.clone();
        let read = spawn_blocking(move || bundle.read(&wanted)).await;
        match read.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(data) => {
                let told = Sent::Piece { file: piece.file.clone(), offset: piece.offset };
                self.say(asking, told, &data).await;
                self.account.note(|status| status.fetched_bytes += data.len() as u64);
                // Not before it is on its way: what waits to be sent is one piece, however slow the uplink.
                let _ = self.client.flush().await;
            }
            Err(why) => self.say(asking, refused(&why), &[]).await,
        }
        drop(turn);
    }

    fn told(&self, state: &FetchState) -> Sent {
        match state {
            FetchState::Cutting(read, size) => Sent::Cutting { read: *read, size: *size },
            FetchState::Failed(why) => refused(why),
            FetchState::Open(bundle) => Sent::Files {
                packets: bundle.packets(),
                files: bundle.files().to_vec(),
                piece: self.longest(),
            },
        }
    }

    /// Bytes of a piece: what goes within a second, and fits a message of the server.
    fn longest(&self) -> u32 {
        let message = self.client.server_info().max_payload.saturating_sub(AROUND);
        let most = u64::from(PIECE).min(self.options.fetch_rate).min(message as u64);
        // Not more than `PIECE`.
        most.max(1) as u32
    }

    async fn say(&self, asking: &FetchAsking, told: Sent, data: &[u8]) {
        let subject = self.subjects.data(&self.host, &token(&asking.from), &asking.fetch);
        let reply = FetchReply { v: VERSION, host: self.host.clone(), told };
        if let Err(error) = self.client.publish(subject, reply.message(data).into()).await {
            tracing::debug!("a fetch is not answered: {error}");
        }
    }

    /// Tells the recorder, without waiting for it.
    fn note(&self, fetch: Fetch) {
        let keeper = self.keeper.clone();
        tokio::spawn(async move { keeper.note(Fact::Fetched(Box::new(fetch))).await });
    }
}

fn refused(why: &str) -> Sent {
    Sent::Refused { why: why.to_owned() }
}
