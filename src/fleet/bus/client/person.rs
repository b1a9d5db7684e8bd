//! A person at the bus: asks the recorders of a fleet, tells them of a failure, and gathers what they say.
//!
//! A view never waits for all: it ends when everybody has answered who was heard of lately, or when the time is up, and
//! who is silent is named.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Event, Message, Request, RequestErrorKind, Subscriber};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::chance;
use super::connection::{BusConnection, connect};
use super::look::{number, stamped};
use super::outbox::key;
use crate::error::{Error, Result};
use crate::fleet::Options;
use crate::fleet::answer::HostAnswer;
use crate::fleet::inquiry::{Arrived, Asking, Inquiry, Reply, VERSION};
use crate::fleet::notice::Notice;
use crate::fleet::status::MemberSeen;
use crate::fleet::subject::{Addressee, Subjects, direct_get, presence_stream, stream};
use crate::fleet::token::token;
use crate::time::{Clock, Mono};

/// Hosts that a fleet is looked through for at most: ten times what it was made for.
const MOST_HOSTS: usize = 100_000;
/// Bytes that the stream of notices may take: 15 minutes of a storm, 400 bytes each.
const NOTICE_BYTES: u64 = 16 << 20;
/// Bytes that presences may take: ten thousand of 500 bytes, with room.
const PRESENCE_BYTES: u64 = 64 << 20;
/// A host that was not heard of for so long is no member any more.
const FORGOTTEN: Duration = Duration::from_secs(7 * 86_400);
/// A server that takes nothing for so long is away.
const SAID: Duration = Duration::from_secs(5);
/// Header of a notice, for the stream.
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Somebody who asks.
pub struct Person {
    pub(super) runtime: Runtime,
    client: Client,
    /// What became of the connection, and what the server says against us.
    events: RefCell<mpsc::Receiver<Event>>,
    pub(super) name: String,
    fleet: String,
    pub(super) subjects: Subjects,
    clock: Clock,
}

/// What the server says of a request about a stream.
#[derive(Debug, Deserialize)]
struct StreamAnswer {
    error: Option<StreamError>,
}

/// Why it does not.
#[derive(Debug, Deserialize)]
struct StreamError {
    err_code: Option<u64>,
    description: String,
}

/// The name is taken, with another configuration (nats-server, server/errors.json,
/// JSStreamNameExistErr).
const OTHERWISE: u64 = 10_058;

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.name, self.fleet)
    }
}

impl Person {
    /// Connects as `name`.
    ///
    /// # Errors
    /// When no server takes us.
    pub fn connect(options: &Options, name: &str, clock: Clock) -> Result<Self> {
        options.check()?;
        let failed = |reason: &dyn fmt::Display| {
            let servers: Vec<_> = options.servers.iter().map(ToString::to_string).collect();
            Error::operation("reach fleet at", servers.join(", "), reason)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| failed(&e))?;
        let BusConnection { client, events } =
            runtime.block_on(connect(options, name, None)).map_err(|e| failed(&e))?;
        Ok(Self {
            runtime,
            client,
            events: RefCell::new(events),
            name: name.to_owned(),
            fleet: options.name.clone(),
            subjects: Subjects::of(&options.name),
            clock,
        })
    }

    /// An identifier for a notice, which nobody has used.
    pub fn new_id(&self) -> String {
        format!("{}-{}", token(&self.name), chance::word())
    }

    /// Makes the streams of the fleet, or changes them to what they should be.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn make_streams(&self, late: Duration) -> Result<()> {
        let notices = json!({
            "name": stream(&self.fleet),
            "subjects": [self.subjects.freezes(), self.subjects.marks()],
            "max_age": late.as_nanos() as u64,
            "max_bytes": NOTICE_BYTES,
        });
        let presences = json!({
            "name": presence_stream(&self.fleet),
            "subjects": [self.subjects.all_here()],
            "max_age": FORGOTTEN.as_nanos() as u64,
            "max_bytes": PRESENCE_BYTES,
            "max_msgs_per_subject": 1,
        });
        self.runtime.block_on(async {
            self.make(notices).await?;
            self.make(presences).await
        })
    }

    /// On the server's disk: of a stream in memory a restart leaves not even the name.
    async fn make(&self, mut stream: Value) -> Result<()> {
        stream["storage"] = "file".into();
        stream["retention"] = "limits".into();
        stream["discard"] = "old".into();
        stream["allow_direct"] = true.into();
        let name = stream["name"].as_str().unwrap_or_default().to_owned();
        let failed = |reason: &dyn fmt::Display| Error::operation("make stream", &*name, reason);
        for what in ["CREATE", "UPDATE"] {
            let subject = format!("$JS.API.STREAM.{what}.{name}");
            let answer = self.client.request(subject, stream.to_string().into()).await;
            let answer = answer.map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => failed(
                    &"the server has no JetStream; accepted: jetstream {} in nats-server.conf",
                ),
                RequestErrorKind::TimedOut => failed(
                    &"no answer; this user may not make streams, see `dashcap fleet init --help`",
                ),
                _ => failed(&error),
            })?;
            let answer: StreamAnswer =
                serde_json::from_slice(&answer.payload).map_err(|e| failed(&e))?;
            match answer.error {
                None => return Ok(()),
                Some(error) if error.err_code == Some(OTHERWISE) && what == "CREATE" => {}
                Some(error) => return Err(failed(&error.description)),
            }
        }
        Ok(())
    }

    /// Everybody of whom the server has heard within a week, by name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn members(&self) -> Result<BTreeMap<String, MemberSeen>> {
        self.runtime.block_on(async {
            let (mut members, mut next) = (BTreeMap::new(), 1);
            for _ in 0..MOST_HOSTS {
                let wanted = json!({ "seq": next, "next_by_subj": self.subjects.all_here() });
                let subject = direct_get(&presence_stream(&self.fleet));
                let message = match self.client.request(subject, wanted.to_string().into()).await {
                    Ok(message) => message,
                    // No stream, of which a server may say nothing: nobody is known beforehand.
                    Err(error)
                        if matches!(
                            error.kind(),
                            RequestErrorKind::NoResponders | RequestErrorKind::TimedOut
                        ) =>
                    {
                        break;
                    }
                    Err(error) => {
                        return Err(Error::operation("read presences of", &self.fleet, error));
                    }
                };
                let Some(sequence) = number(&message) else { break };
                next = sequence + 1;
                if let Some(seen) = member(&message) {
                    members.insert(seen.presence.host.clone(), seen);
                }
            }
            Ok(members)
        })
    }

    /// Asks all, and gathers what they tell until `enough` says so or the time is up.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn ask(
        &self,
        inquiry: Inquiry,
        patience: Duration,
        mut enough: impl FnMut(&[Arrived]) -> bool,
    ) -> Result<Vec<Arrived>> {
        let question = chance::word();
        let asking = Asking { v: VERSION, from: self.name.clone(), question, inquiry };
        let line = serde_json::to_vec(&asking).unwrap_or_default();
        self.runtime.block_on(async {
            let told = self.subjects.data_for(&self.name, &asking.question);
            let mut told = self.listen(told).await?;
            self.say(self.subjects.ask(&self.name), line).await?;
            let mut arrived: Vec<Arrived> = Vec::new();
            let gathering = async {
                while !enough(&arrived)
                    && let Some(message) = told.next().await
                {
                    let at = self.clock.now().wall;
                    let reply = serde_json::from_slice(&message.payload).ok();
                    // The server lets nobody speak as another, whatever the message says.
                    let reply = reply.filter(|reply: &Reply| {
                        let subject =
                            self.subjects.data(&reply.host, &token(&self.name), &asking.question);
                        *subject == *message.subject
                    });
                    arrived.extend(reply.map(|reply| Arrived { reply, at }));
                }
            };
            let _ = timeout(patience, gathering).await;
            if arrived.is_empty() {
                self.is_not_refused()?;
            }
            Ok(arrived)
        })
    }

    /// Tells `to` of what happened at `event`, and gathers answers until `enough` says so or the time is up.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn freeze(
        &self,
        notice: &Notice,
        event: Mono,
        to: &[Addressee],
        patience: Duration,
        mut enough: impl FnMut(&HostAnswer) -> bool,
    ) -> Result<()> {
        self.runtime.block_on(async {
            let mut answers = self.listen(self.subjects.answers(&notice.id)).await?;
            for addressee in to {
                let subject = self.subjects.freeze(&self.name, addressee);
                let age = self.clock.now().mono.since(event);
                let mut headers = async_nats::HeaderMap::new();
                headers.insert(MESSAGE_ID, format!("{}.{subject}", key(notice)));
                let request =
                    Request::new().headers(headers).payload(notice.aged(age)?.line().into());
                // Without a stream nobody acknowledges it, and answers tell who has it.
                let _ = self.client.send_request(subject, request).await;
            }
            let mut is_heard = false;
            let gathering = async {
                while let Some(message) = answers.next().await {
                    is_heard = true;
                    if HostAnswer::read(&message.payload).is_ok_and(|answer| enough(&answer)) {
                        break;
                    }
                }
            };
            let _ = timeout(patience, gathering).await;
            if is_heard { Ok(()) } else { self.is_not_refused() }
        })
    }

    pub(super) async fn listen(&self, subject: String) -> Result<Subscriber> {
        self.client.subscribe(subject).await.map_err(|error| self.gone(&error))
    }

    pub(super) async fn say(&self, subject: String, line: Vec<u8>) -> Result<()> {
        self.client.publish(subject, line.into()).await.map_err(|error| self.gone(&error))?;
        let flushed = timeout(SAID, self.client.flush()).await;
        flushed.map_err(|_| self.gone(&"the server is away"))?.map_err(|error| self.gone(&error))
    }

    /// True while a server hears us.
    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Nobody answers who did not hear: then the server has said what it does not allow.
    fn is_not_refused(&self) -> Result<()> {
        while let Ok(event) = self.events.borrow_mut().try_recv() {
            if let Event::ServerError(reason) = event {
                return Err(self.gone(&reason));
            }
        }
        Ok(())
    }

    fn gone(&self, reason: &dyn fmt::Display) -> Error {
        Error::operation("speak in fleet", &self.fleet, reason)
    }
}

fn member(message: &Message) -> Option<MemberSeen> {
    let presence = serde_json::from_slice(&message.payload).ok()?;
    Some(MemberSeen { presence, heard: stamped(message)? })
}
