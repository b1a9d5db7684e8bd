//! A look into the server's stream for notices that did not come: the way to the bus was cut, a leaf of it was, or a
//! message was dropped.
//!
//! How long a notice lay there is told by the server's clock alone: it stamped the notice, and stamps a mark that we
//! say now.
//!
//! ```text
//!   event ── age ──► sent = stamped by the server ─────── waited ───────► mark stamped = our `at`
//! ```

use std::time::Duration;

use async_nats::{Client, Message, RequestErrorKind, StatusCode};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::fleet::notice::Notice;
use crate::fleet::subject::{Subjects, direct_get, stream};
use crate::time::{Clock, Stamp};

/// Notices that one look takes: more came in a storm, and the next look goes on behind them at once.
const MOST: usize = 256;
/// Header: the number of a message in its stream (nats-server, server/stream.go).
const SEQUENCE: &str = "Nats-Sequence";
/// Header: under which subject it was said; the server wrote it.
const SUBJECT: &str = "Nats-Subject";
/// Header: when it was stamped, RFC 3339.
const STAMP: &str = "Nats-Time-Stamp";

/// What a look found.
#[derive(Debug)]
pub(super) enum Look {
    /// The server has no stream.
    NoStream,
    /// What was behind the last look.
    Found {
        /// Where the next look begins.
        next: u64,
        /// Notices, with the subject the server knows them by.
        kept: Vec<Missed>,
        /// There may be more behind these.
        more: bool,
    },
}

/// A notice that lay in the stream.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) subject: String,
    pub(super) notice: Notice,
    /// When the mark was about to be said.
    pub(super) at: Stamp,
    /// From the server's stamp of the notice to that of the mark.
    pub(super) waited: Duration,
    /// How long the mark took: so much may `waited` be too long.
    pub(super) error: Duration,
}

/// The stream's word that it has a message, or why not.
#[derive(Debug, Deserialize)]
struct PubAck {
    seq: Option<u64>,
}

/// One place from which to look.
#[derive(Debug, Clone)]
pub(super) struct StreamReader {
    pub(super) client: Client,
    pub(super) fleet: String,
    pub(super) host: String,
    pub(super) clock: Clock,
}

impl StreamReader {
    /// Looks for notices from number `next` on; `is_ours` says by the subject whether one is for us.
    ///
    /// # Errors
    /// When the server does not answer, in words.
    pub(super) async fn look(
        &self,
        next: u64,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<Look, String> {
        let filter = Subjects::of(&self.fleet).freezes();
        let (mut next, mut messages, mut more) = (next, Vec::new(), true);
        for _ in 0..MOST {
            let wanted = json!({ "seq": next, "next_by_subj": filter });
            let Some(message) = self.get(&wanted.to_string()).await? else {
                return Ok(Look::NoStream);
            };
            // 404: nothing behind that.
            let Some(sequence) = number(&message) else {
                more = false;
                break;
            };
            next = sequence + 1;
            messages.extend(header(&message, SUBJECT).is_some_and(&is_ours).then_some(message));
        }
        let kept = if messages.is_empty() { Vec::new() } else { self.dated(&messages).await? };
        Ok(Look::Found { next, kept, more })
    }

    /// Notices with how long they lay there.
    async fn dated(&self, messages: &[Message]) -> Result<Vec<Missed>, String> {
        let at = self.clock.now();
        let mark = Subjects::of(&self.fleet).mark(&self.host);
        let said = self.client.request(mark, Bytes::new()).await;
        let said = said.map_err(|error| error.to_string())?;
        let error = self.clock.now().mono.since(at.mono);
        let acknowledged = acknowledged(&said).ok_or("the stream does not take marks")?;
        let mark = self.get(&json!({ "seq": acknowledged }).to_string()).await?;
        let mark = mark.as_ref().and_then(stamped).ok_or("the mark is gone")?;
        let kept = messages.iter().filter_map(|message| {
            let waited = mark.duration_since(stamped(message)?);
            Some(Missed {
                subject: header(message, SUBJECT)?.to_owned(),
                notice: Notice::read(&message.payload).ok()?,
                at,
                waited: Duration::try_from(waited).unwrap_or_default(),
                error,
            })
        });
        Ok(kept.collect())
    }

    /// A message of the stream; none if there is no stream.
    async fn get(&self, wanted: &str) -> Result<Option<Message>, String> {
        let subject = direct_get(&stream(&self.fleet));
        match self.client.request(subject, wanted.to_owned().into()).await {
            Ok(message) => Ok(Some(message)),
            Err(_) if self.nobody_takes_marks().await => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A server with JetStream says nothing of a stream that it has not; of a mark that nobody takes it does.
    async fn nobody_takes_marks(&self) -> bool {
        let mark = Subjects::of(&self.fleet).mark(&self.host);
        let said = self.client.request(mark, Bytes::new()).await;
        said.is_err_and(|error| error.kind() == RequestErrorKind::NoResponders)
    }
}

/// The number that the stream gave a message; none if it refused it.
pub(super) fn acknowledged(message: &Message) -> Option<u64> {
    serde_json::from_slice::<PubAck>(&message.payload).ok()?.seq
}

/// The number of a message in its stream; none where there was none.
pub(super) fn number(message: &Message) -> Option<u64> {
    let missing = message.status == Some(StatusCode::NOT_FOUND);
    header(message, SEQUENCE)?.parse().ok().filter(|_| !missing)
}

/// When the stream got a message.
pub(super) fn stamped(message: &Message) -> Option<Timestamp> {
    header(message, STAMP)?.parse().ok()
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}
