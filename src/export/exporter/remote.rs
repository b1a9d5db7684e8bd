//! A host that is told: JSON lines or syslog, over UDP or TCP.
//!
//! Three tasks share a queue:
//!
//! ```text
//!   live events ──► pick and word ──┐
//!   interval ─────► traffic ────────┴─► queue (1,024) ──► resolve, connect, send ──► host
//!                                       full: the newest are dropped, counted, told later
//! ```
//!
//! TCP is connected again after it broke, after a pause that doubles from 1 s to 1 min; the message at hand is
//! sent again. What the kernel had taken and the other end had not read when a connection broke is lost,
//! and nobody can know how much that was. Over UDP nobody knows anything, unless the other host says that
//! nothing listens there.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::account::Account;
use super::complain;
use super::syslog::{self, Teller};
use super::traffic::Meter;
use crate::backoff::Backoff;
use crate::error::Result;
use crate::export::Feed;
use crate::export::choice::What;
use crate::export::event::Event;
use crate::export::remote::{DAEMON, Form, Options, Target};
use crate::finding::Severity;
use crate::time::Clock;

/// Messages on their way: some minutes of an eventful day, 1 MiB. Beyond it the newest are dropped: the
/// older ones are nearer to the cause.
const QUEUE: usize = 1_024;
/// Longest message in bytes; a longer one (a list of a thousand names) is dropped and counted.
const LONGEST: usize = 32 * 1_024;
/// Resolving and connecting, and taking one message, may take this long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest pause before a message is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Times a message is tried over UDP: an error there is often about the one before.
const TRIES_UDP: u32 = 2;

/// One destination, ready to be told.
#[derive(Debug)]
pub(super) struct Remote {
    options: Options,
    host: String,
    teller: Teller,
    meter: Option<Meter>,
    account: Account,
}

impl Remote {
    pub(super) fn open(options: &Options, host: &str) -> Result<Self> {
        let facility = match options.form {
            Form::Syslog { facility } => facility,
            Form::Json => DAEMON,
        };
        let traffic = options.choice.what.contains(&What::Traffic);
        let account = Account::new(format!("{} {}", options.form, options.to));
        tracing::info!("exporting to {}", account.to());
        Ok(Self {
            teller: Teller::new(host, std::process::id(), facility),
            host: host.to_owned(),
            meter: traffic.then(Meter::open).transpose()?,
            options: options.clone(),
            account,
        })
    }

    pub(super) fn account(&self) -> Account {
        self.account.clone()
    }

    pub(super) async fn run(mut self, feed: Feed, clock: Clock) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        if let Some(meter) = self.meter.take() {
            // Weak: the queue ends with the events.
            let queue = Outlet { queue: queue.downgrade(), account: self.account() };
            tokio::spawn(traffic(meter, self.options.interval, clock.clone(), queue));
        }
        let choice = self.options.choice.clone();
        let wants = move |event: &Event| choice.wants(event.what, event.severity);
        let sorting = tokio::spawn(sort(feed, wants, queue, self.account()));
        self.send_all(waiting, &clock).await;
        // It ended before the queue did.
        let _ = sorting.await;
    }

    async fn send_all(&self, mut waiting: mpsc::Receiver<Arc<Event>>, clock: &Clock) {
        let mut line = HostConnection::default();
        let mut told = 0;
        while let Some(event) = waiting.recv().await {
            let dropped = self.account.dropped();
            if dropped > told {
                let told_now = self.send(&mut line, &lost(dropped - told, clock)).await;
                told = if told_now { dropped } else { told };
            }
            self.send(&mut line, &event).await;
        }
    }

    /// Sends one message, however long that takes over TCP; true if it got through.
    async fn send(&self, line: &mut HostConnection, event: &Event) -> bool {
        let bytes = self.bytes(event);
        if bytes.len() > LONGEST {
            self.account.drop_messages(1);
            return false;
        }
        let (mut backoff, mut tries) = (Backoff::up_to(LONGEST_PAUSE), 0);
        loop {
            match timeout(PATIENCE, line.send(&self.options.to, &bytes)).await {
                Ok(Ok(())) => {
                    self.account.sent(bytes.len());
                    return true;
                }
                Ok(Err(error)) => self.failed(&error),
                Err(_) => self.failed(&format!("it took longer than {PATIENCE:?}")),
            }
            *line = HostConnection::default();
            tries += 1;
            if !self.options.to.tcp && tries >= TRIES_UDP {
                self.account.drop_messages(1);
                return false;
            }
            if self.options.to.tcp {
                sleep(backoff.pause()).await;
            }
        }
    }

    fn failed(&self, reason: &dyn fmt::Display) {
        complain(&self.account, self.account.failed(reason), reason);
    }

    fn bytes(&self, event: &Event) -> Vec<u8> {
        match self.options.form {
            Form::Json => format!("{}\n", event.json(&self.host)),
            Form::Syslog { .. } if self.options.to.tcp => {
                syslog::counted(&self.teller.message(event))
            }
            Form::Syslog { .. } => self.teller.message(event),
        }
        .into_bytes()
    }
}

/// A way to the host, if there is one now.
#[derive(Debug, Default)]
enum HostConnection {
    #[default]
    None,
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl HostConnection {
    async fn send(&mut self, to: &Target, bytes: &[u8]) -> io::Result<()> {
        if let Self::Tcp(stream) = self
            && has_ended(stream)
        {
            *self = Self::None;
        }
        if matches!(self, Self::None) {
            *self = Self::open(to).await?;
        }
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Udp(socket) => socket.send(bytes).await.map(|_| ()),
            Self::None => Ok(()),
        }
    }

    /// Resolving happens on a thread of the runtime's pool; nobody waits for it but this task.
    async fn open(to: &Target) -> io::Result<Self> {
        if to.tcp {
            let stream = TcpStream::connect(&to.address).await?;
            socket2::SockRef::from(&stream).set_keepalive(true)?;
            return Ok(Self::Tcp(stream));
        }
        let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in lookup_host(&to.address).await? {
            match udp(address).await {
                Ok(socket) => return Ok(Self::Udp(socket)),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

async fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let from: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// True if the other end has closed or reset the connection; what it says is passed over.
fn has_ended(stream: &TcpStream) -> bool {
    let mut said = [0; 512];
    loop {
        match stream.try_read(&mut said) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

/// Picks what is wanted out of the events; ends with them.
pub(super) async fn sort(
    feed: Feed,
    wants: impl Fn(&Event) -> bool,
    queue: mpsc::Sender<Arc<Event>>,
    account: Account,
) {
    let Feed { recent, mut live } = feed;
    let offer = |event: Arc<Event>| {
        if wants(&event) && queue.try_send(event).is_err() {
            account.drop_messages(1);
        }
    };
    recent.into_iter().for_each(offer);
    while let Some(heard) = next(&mut live).await {
        match heard {
            Ok(event) => offer(event),
            // Which of them were wanted nobody knows any more.
            Err(missed) => account.drop_messages(missed),
        }
    }
}

/// The next event, or how many were missed; none at the end.
async fn next(live: &mut Receiver<Arc<Event>>) -> Option<Result<Arc<Event>, u64>> {
    match live.recv().await {
        Ok(event) => Some(Ok(event)),
        Err(RecvError::Lagged(missed)) => Some(Err(missed)),
        Err(RecvError::Closed) => None,
    }
}

/// Where traffic goes, while there is such a place.
struct Outlet {
    queue: mpsc::WeakSender<Arc<Event>>,
    account: Account,
}

async fn traffic(mut meter: Meter, every: Duration, clock: Clock, outlet: Outlet) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(queue) = outlet.queue.upgrade() else { return };
        match meter.round(clock.now()) {
            Ok(events) => {
                let events = events.into_iter().map(Arc::new);
                let refused = events.filter_map(|event| queue.try_send(event).err());
                outlet.account.drop_messages(refused.count() as u64);
            }
            Err(error) => {
                complain(&outlet.account, outlet.account.failed(&error), &error);
            }
        }
    }
}

fn lost(count: u64, clock: &Clock) -> Event {
    let fields = json!({
        "time": clock.now().wall.to_string(),
        "count": count,
        "sentence": format!("{count} messages were dropped on the way here"),
    });
    Event::new(What::Incidents, Severity::Warning, "dropped", fields)
}
