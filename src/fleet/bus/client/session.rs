//! One connection from its beginning to its end: what is announced goes out and is said again until the stream has
//! it, what is heard goes to the recorder, answers go out, questions are answered.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Client, ClientError, Event, HeaderMap, Message, Request, Subscriber};
use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use tokio::select;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::connection::BusConnection;
use super::look::{Look, Missed, StreamReader, acknowledged};
use super::member::{Ending, MOST_IDENTITIES, Member};
use super::outbox::Due;
use super::questions::InquiryDesk;
use super::sending::FetchDesk;
use crate::fleet::answer::HostAnswer;
use crate::fleet::exchange::{Announcement, Keeper};
use crate::fleet::notice::Notice;
use crate::fleet::status::Presence;
use crate::fleet::subject::Spoken;
use crate::fleet::token::token;
use crate::time::Mono;

/// A look into the stream: this often is enough for a leaf of the server that was cut without our noticing, and is
/// 167 requests a second for ten thousand hosts.
const LOOK: Duration = Duration::from_secs(60);
/// This host says that it is there.
const HERE: Duration = Duration::from_secs(600);
/// The kernel is asked for the addresses of interfaces.
const LINKS: Duration = Duration::from_secs(10);
/// What is said last may take this long.
const FAREWELL: Duration = Duration::from_secs(2);
/// Header: what the stream tells duplicates by (nats-server, server/stream.go, JSMsgId).
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// A connection, and what is under way on it.
pub(super) struct Session<'a, K> {
    member: &'a mut Member<K>,
    client: Client,
    events: mpsc::Receiver<Event>,
    /// False while the client makes it anew.
    connected: bool,
    messages: SelectAll<Subscriber>,
    work: JoinSet<Done>,
    questions: InquiryDesk<K>,
    fetches: FetchDesk<K>,
    due: Schedule,
    /// Bytes in and out that the account has.
    counted: (u64, u64),
}

/// When what comes again and again is due.
struct Schedule {
    look: Mono,
    here: Mono,
    links: Mono,
}

/// What was done beside.
enum Done {
    /// The stream answered, or did not.
    Said {
        number: u64,
        acknowledged: bool,
    },
    Looked(Result<Look, String>),
    Stands(Option<Presence>),
    Links(Vec<String>),
}

impl<'a, K: Keeper> Session<'a, K> {
    pub(super) fn new(member: &'a mut Member<K>, connection: BusConnection) -> Self {
        let BusConnection { client, events } = connection;
        let now = member.keeper.clock().now().mono;
        Self {
            questions: InquiryDesk::new(member, &client),
            fetches: FetchDesk::new(member, &client),
            member,
            client,
            events,
            connected: true,
            messages: SelectAll::new(),
            work: JoinSet::new(),
            due: Schedule { look: now, here: now, links: now },
            counted: (0, 0),
        }
    }

    /// Until it is broken for good, or nothing more will be announced.
    pub(super) async fn run(
        mut self,
        announced: &mut mpsc::Receiver<Announcement>,
    ) -> Result<(), Ending> {
        self.subscribe().await;
        loop {
            self.say().await;
            self.count();
            let pause = self.next_due().since(self.now());
            select! {
                announcement = announced.recv() => match announcement {
                    Some(announcement) => self.member.announce(announcement),
                    None => {
                        self.leave().await;
                        return Err(Ending);
                    }
                },
                Some(answer) = self.member.answers.recv(), if self.connected => self.answer(&answer).await,
                Some(message) = self.messages.next() => self.hear(&message),
                event = self.events.recv() => match event {
                    Some(event) => self.note(&event),
                    None => return Ok(()),
                },
                Some(done) = self.work.join_next() => if let Ok(done) = done {
                    self.take(done).await;
                },
                () = sleep(pause) => self.begin_what_is_due(),
            }
        }
    }

    fn now(&self) -> Mono {
        self.member.keeper.clock().now().mono
    }

    fn next_due(&self) -> Mono {
        let Schedule { look, here, links } = self.due;
        let regular = look.min(here).min(links);
        let outbox = self.member.outbox.next_due().filter(|_| self.connected);
        outbox.map_or(regular, |due| due.min(regular))
    }

    /// Listens to all that concerns this host. What came before was heard: the new ears first, then the old ones go.
    async fn subscribe(&mut self) {
        let subjects = &self.member.subjects;
        let mut wanted = vec![subjects.asks(), subjects.fetches_from(&self.member.host)];
        wanted.extend(self.member.addressees().iter().map(|to| subjects.freezes_for(to)));
        let mut fresh = SelectAll::new();
        for subject in wanted {
            match self.client.subscribe(subject).await {
                Ok(subscriber) => fresh.push(subscriber),
                Err(error) => tracing::warn!("cannot listen in the fleet: {error}"),
            }
        }
        self.messages = fresh;
    }

    /// Says what the outbox has due, and asks the stream whether it has it.
    async fn say(&mut self) {
        if !self.connected {
            return;
        }
        let now = self.now();
        for Due { number, subject, key, line } in self.member.outbox.due(now) {
            let mut headers = HeaderMap::new();
            // Each addressee is another message of the stream.
            headers.insert(MESSAGE_ID, format!("{key}.{subject}"));
            let request = Request::new().headers(headers).payload(line.into());
            let client = self.client.clone();
            self.work.spawn(async move {
                let said = client.send_request(subject, request).await;
                let acknowledged = said.is_ok_and(|message| acknowledged(&message).is_some());
                Done::Said { number, acknowledged }
            });
        }
        self.member.tell_outbox();
    }

    /// Bytes since the last time are added to the account.
    fn count(&mut self) {
        let told = self.client.statistics();
        let now = [&told.in_bytes, &told.out_bytes].map(|bytes| bytes.load(Ordering::Relaxed));
        let (before_in, before_out) = std::mem::replace(&mut self.counted, (now[0], now[1]));
        self.member.account.note(|status| {
            status.bytes_in += now[0].saturating_sub(before_in);
            status.bytes_out += now[1].saturating_sub(before_out);
        });
    }

    async fn answer(&mut self, answer: &HostAnswer) {
        let subject = self.member.subjects.answer(&self.member.host, &answer.id);
        if self.client.publish(subject, answer.line().into()).await.is_ok() {
            self.member.account.note(|status| status.answered += 1);
        }
    }

    fn hear(&mut self, message: &Message) {
        let understood = match self.member.subjects.heard(&message.subject) {
            Some(Spoken::Freeze { from }) => self.hear_notice(from, &message.payload),
            Some(Spoken::Ask { from }) => {
                if self.member.account.standing().stream != Some(true) {
                    // Whoever makes the streams asks at once who is there.
                    (self.due.look, self.due.here) = (self.now(), self.now());
                }
                self.questions.hear(from, &message.payload)
            }
            Some(Spoken::Fetch { from }) => self.fetches.hear(from, &message.payload),
            None => Err("it has no subject of ours".to_owned()),
        };
        if let Err(why) = understood {
            tracing::debug!("passed over a message of the fleet: {why}");
            self.member.account.note(|status| status.refused += 1);
        }
    }

    /// Takes a notice in; the server lets nobody but `from` say it.
    fn hear_notice(&mut self, from: &str, payload: &[u8]) -> Result<(), String> {
        let notice = Notice::read(payload).map_err(|error| error.to_string())?;
        if token(&notice.from) != from {
            return Err(format!("{} is not said by itself", notice.id));
        }
        let at = self.member.keeper.clock().now();
        self.member.hear(notice, at, None);
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Connected if !self.connected => {
                self.connected = true;
                self.member.connected();
                let now = self.now();
                (self.due.look, self.due.here) = (now, now);
            }
            Event::Disconnected => {
                self.connected = false;
                self.member.failed(&"the connection broke");
            }
            Event::SlowConsumer(_) => self.member.account.note(|status| status.missed += 1),
            Event::ServerError(error) => {
                tracing::warn!("the fleet's server refuses something: {error}");
                let trouble = error.to_string();
                self.member.account.note(|status| status.trouble = Some(trouble));
            }
            Event::ClientError(ClientError::Other(reason)) if !self.connected => {
                self.member.failed(reason);
            }
            _ => {}
        }
    }

    fn begin_what_is_due(&mut self) {
        let now = self.now();
        let keeper = self.member.keeper.clone();
        if self.due.links <= now {
            self.due.links = now.plus(LINKS);
            let asking = keeper.clone();
            let links = spawn_blocking(move || asking.identities());
            self.work.spawn(async move { Done::Links(links.await.unwrap_or_default()) });
        }
        if self.due.look <= now {
            self.due.look = now.plus(LOOK);
            if self.connected && self.member.identities.is_some() {
                self.look();
            }
        }
        if self.due.here <= now {
            self.due.here = now.plus(HERE);
            self.work.spawn(async move { Done::Stands(keeper.presence().await) });
        }
    }

    fn look(&mut self) {
        let window = StreamReader {
            client: self.client.clone(),
            fleet: self.member.options.name.clone(),
            host: self.member.host.clone(),
            clock: self.member.keeper.clock().clone(),
        };
        let ends = self.member.addressees().into_iter().map(|to| format!(".{}", to.words()));
        let (next, ends) = (self.member.next, ends.collect::<Vec<_>>());
        self.work.spawn(async move {
            let is_ours = |subject: &str| ends.iter().any(|end| subject.ends_with(end));
            Done::Looked(window.look(next, is_ours).await)
        });
    }

    async fn take(&mut self, done: Done) {
        match done {
            Done::Said { number, acknowledged: true } => {
                self.member.outbox.acknowledged(number);
                self.member.account.note(|status| status.sent += 1);
            }
            Done::Said { .. } => {
                if self.member.account.standing().stream == Some(false) {
                    let done = self.member.outbox.without_stream() as u64;
                    self.member.account.note(|status| status.sent += done);
                }
            }
            Done::Looked(Ok(Look::NoStream)) => {
                self.member.account.note(|status| status.stream = Some(false));
            }
            Done::Looked(Ok(Look::Found { next, kept, more })) => {
                if self.member.account.standing().stream == Some(false) {
                    // Of what was said before there were streams they have nothing.
                    self.due.here = self.now();
                }
                self.member.account.note(|status| status.stream = Some(true));
                self.member.next = next;
                if more {
                    self.due.look = self.now();
                }
                kept.into_iter().for_each(|kept| self.find(kept));
            }
            Done::Looked(Err(why)) => tracing::debug!("no look into the fleet's stream: {why}"),
            Done::Stands(Some(presence)) => self.stand(&presence).await,
            Done::Stands(None) => {}
            Done::Links(identities) => self.show(identities).await,
        }
        self.member.tell_outbox();
    }

    /// Takes in a notice that lay in the stream.
    fn find(&mut self, kept: Missed) {
        let Missed { subject, notice, at, waited, error } = kept;
        let said_by = match self.member.subjects.heard(&subject) {
            Some(Spoken::Freeze { from }) => from.to_owned(),
            _ => return,
        };
        let too_old = notice.age + waited > self.member.options.late;
        if said_by == token(&notice.from)
            && notice.from != self.member.host
            && !self.member.has_heard(&notice)
            && !too_old
        {
            self.member.hear(notice, at, Some((waited, error)));
        }
    }

    /// Neighbours see these addresses of this host now.
    async fn show(&mut self, addresses: Vec<String>) {
        let mut all = self.member.options.identities.clone();
        all.extend(addresses);
        if self.member.identities.as_ref() == Some(&all) {
            return;
        }
        if all.len() > MOST_IDENTITIES {
            let beyond = all.len() - MOST_IDENTITIES;
            tracing::warn!(
                "{beyond} addresses of this host beyond {MOST_IDENTITIES} are not listened to in the fleet"
            );
        }
        if self.member.identities.is_none() {
            // A look before that would have passed over what is addressed to them.
            self.due.look = self.now();
        }
        self.member.identities = Some(all);
        self.subscribe().await;
    }

    async fn stand(&mut self, presence: &Presence) {
        // Nothing here has keys that JSON cannot write.
        let line = serde_json::to_vec(presence).unwrap_or_default();
        let subject = self.member.subjects.here(&self.member.host);
        let _ = self.client.publish(subject, line.into()).await;
    }

    /// Says what is still to be said.
    async fn leave(&mut self) {
        let _ = timeout(FAREWELL, self.member.all_answered()).await;
        while let Ok(answer) = self.member.answers.try_recv() {
            self.answer(&answer).await;
        }
        let _ = timeout(FAREWELL, self.client.flush()).await;
    }
}
