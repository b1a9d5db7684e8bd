//! The endpoints: where people and scripts ask for a snapshot, or how things stand.
//!
//! ```text
//!   dashcap snapshot ──► control socket ─┐                        questions
//!   curl, Alertmanager ─► HTTP ──────────┤
//!   browser ───────────► page ───────────┴► thread `api` ──────────────────────► recorder
//!                                            (tokio)     ◄── answers, events ──────┘
//!   touch DIR/file ────► watch/directory ───── observations ───────────────────► recorder
//! ```
//!
//! What holds at every door:
//!
//! * The recorder never waits for a client: it answers a question between two observations, and what
//!   it answers goes into a place made ready for it. A slow reader of events loses events; how many is
//!   counted and told to it.
//! * Everything a client can make us keep is bounded: connections, lines, bodies, time.
//! * Who may ask is known before anything is read: by credentials of the kernel, or by a token.
//! * Whoever asks is told what came of it, also when nothing did. `docs/control.md` is the contract.

pub mod client;
pub mod control;
pub mod digest;
pub mod directory;
mod fleet;
mod frames;
pub mod http;
mod line;
mod peer;
#[cfg(feature = "http")]
mod prometheus;
pub mod protocol;
pub mod question;
mod session;
pub mod span;
pub mod status;
pub mod web;
pub mod webhook;

use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::Sender;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use self::fleet::Membership;
use self::line::{RecorderLine, Unanswered};
use self::question::Question;
use crate::error::{Error, Result};
use crate::export::{self, Account, Exporter, Feed};
use crate::fleet::bus::{Bus, BusAccount};
use crate::fleet::exchange::Announcement;
use crate::fleet::status::BusStatus;
use crate::incident::Host;
use crate::observation::shown::ShownNames;
use crate::time::Clock;

/// Questions on their way to the recorder. Beyond it a client waits a moment, and is then told that
/// dashcap is busy.
pub const QUESTIONS: usize = 64;

/// Announcements on their way to the bus. Beyond it one is lost: a storm of triggers is one incident.
const ANNOUNCEMENTS: usize = 64;

/// How long answers under way may take once everything else has ended.
const FAREWELL: Duration = Duration::from_secs(5);

/// Which endpoints are open.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The control socket.
    pub control: Option<control::Options>,
    /// The trigger directory.
    pub directory: Option<directory::Options>,
    /// The HTTP endpoint.
    pub http: Option<http::Options>,
    /// The endpoint for metrics.
    pub metrics: Option<http::MetricsOptions>,
    /// The live page.
    pub web: Option<web::Options>,
    /// Who is told elsewhere.
    pub export: export::Options,
    /// The fleet that this host is in.
    pub fleet: Option<crate::fleet::Options>,
}

impl Options {
    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// As the endpoints' own `check`.
    pub fn check(&self) -> Result<()> {
        self.control.as_ref().map_or(Ok(()), control::Options::check)?;
        self.directory.as_ref().map_or(Ok(()), directory::Options::check)?;
        self.http.as_ref().map_or(Ok(()), http::Options::check)?;
        self.metrics.as_ref().map_or(Ok(()), http::MetricsOptions::check)?;
        self.web.as_ref().map_or(Ok(()), web::Options::check)?;
        self.fleet.as_ref().map_or(Ok(()), crate::fleet::Options::check)?;
        self.export.check()
    }
}

/// Doors that are made, and that nobody answers at yet: a client that comes now waits.
#[derive(Debug)]
pub struct Endpoints {
    runtime: Runtime,
    control: Option<control::Socket>,
    http: Option<http::Endpoints>,
    web: Option<web::Endpoint>,
    exporters: Vec<Exporter>,
    bus: Option<(Bus, Membership)>,
}

impl Endpoints {
    /// Makes the control socket, the HTTP endpoints and the page, and what exporting needs; none if nothing of it
    /// is wanted. What is told elsewhere is told as `host`, whose bundles appear in `store`, and which has the names
    /// that are `shown` on the wire.
    ///
    /// # Errors
    /// When one is refused. A control socket that the operator did not name is only warned about.
    pub fn open(
        options: &Options,
        host: &Host,
        store: &Path,
        shown: &ShownNames,
    ) -> Result<Option<Self>> {
        let control = match &options.control {
            Some(control) => control::Socket::open(control)?,
            None => None,
        };
        let http = http::Endpoints::open(options.http.as_ref(), options.metrics.as_ref())?;
        let web = options.web.as_ref().map(web::Endpoint::open).transpose()?;
        let exporters = Exporter::open(&options.export, &host.name)?;
        let join = |fleet: &crate::fleet::Options| -> Result<_> {
            Ok((Bus::open(fleet, &host.name)?, Membership::new(fleet, host, store, shown)))
        };
        let bus = options.fleet.as_ref().map(join).transpose()?;
        let is_open = control.is_some() || http.is_some() || web.is_some() || bus.is_some();
        if !is_open && exporters.is_empty() {
            return Ok(None);
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::operation("start thread", "api", e))?;
        Ok(Some(Self { runtime, control, http, web, exporters, bus }))
    }

    /// Answers at the endpoints from now on, on the thread `api`.
    ///
    /// # Errors
    /// When the process is out of threads or descriptors.
    pub fn serve(self, clock: Clock, questions: Sender<Question>) -> Result<Server> {
        let failed = |e: std::io::Error| Error::operation("start thread", "api", e);
        let Self { runtime, control, http, web, exporters, bus } = self;
        let entrance = web.as_ref().map(web::Endpoint::entrance);
        let line = RecorderLine::new(clock.clone(), questions).with_page(entrance);
        let accounts = exporters.iter().map(Exporter::account).collect();
        // Sockets are registered with the runtime here, where it can still be refused.
        let entered = runtime.enter();
        let control = control.map(control::Socket::listen).transpose().map_err(failed)?;
        http.map_or(Ok(()), |http| http.serve(&line)).map_err(failed)?;
        web.map_or(Ok(()), |web| web.serve(&line)).map_err(failed)?;
        drop(entered);
        let member = bus.as_ref().map(|(bus, _)| bus.account());
        let (announcements, announced) = mpsc::channel(ANNOUNCEMENTS);
        let (stop, told) = oneshot::channel();
        let work = async move {
            if let Some(control) = control {
                tokio::spawn(control.serve(line.clone()));
            }
            for exporter in exporters {
                tokio::spawn(export(exporter, line.clone(), clock.clone()));
            }
            if let Some((bus, member)) = bus {
                let seat = member.seat(&line);
                let line = line.clone();
                // What became of notices is told to the end.
                tokio::spawn(async move { line.in_earnest(bus.run(announced, seat)).await });
            }
            // Told, or the recorder is gone: both mean the end.
            let _ = told.await;
            let _ = tokio::time::timeout(FAREWELL, line.quiet()).await;
        };
        let thread = thread::Builder::new()
            .name("api".to_owned())
            .spawn(move || {
                runtime.block_on(work);
                // Not waiting for a resolver or a web server that does not answer.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Server { stop, thread, accounts, announcements, member })
    }
}

/// Tells one destination what the recorder says, until it says no more.
async fn export(exporter: Exporter, line: RecorderLine, clock: Clock) {
    loop {
        match line.listen().await {
            Ok(question::Audience { recent, live }) => {
                return line.in_earnest(exporter.run(Feed { recent, live }, clock)).await;
            }
            Err(Unanswered::Ending) => return,
            Err(Unanswered::Busy | Unanswered::Silent) => {}
        }
    }
}

/// The thread `api` at work.
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    accounts: Vec<Account>,
    announcements: mpsc::Sender<Announcement>,
    member: Option<BusAccount>,
}

impl Server {
    /// Tells other hosts of the fleet; false if there is no fleet, or no room.
    pub fn announce(&self, announcement: Announcement) -> bool {
        self.announcements.try_send(announcement).is_ok()
    }

    /// How this host stands in its fleet.
    pub fn fleet(&self) -> Option<BusStatus> {
        self.member.as_ref().map(BusAccount::standing)
    }

    /// How each destination of exports stands.
    pub fn exports(&self) -> Vec<export::DestinationStatus> {
        self.accounts.iter().map(Account::standing).collect()
    }

    /// Lets answers under way reach their clients, at most for five seconds, and closes the endpoints.
    pub fn stop(self) {
        // The bus leaves when nothing more will be announced.
        drop(self.announcements);
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the thread api ended in a panic, which is a bug");
        }
        for account in &self.accounts {
            let standing = account.standing();
            if standing.dropped > 0 || standing.trouble.is_some() {
                tracing::warn!("not everything was exported: {standing}");
            }
        }
    }
}
