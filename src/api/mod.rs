//! The doors: where people and scripts ask for a snapshot, or how things stand.
//!
//! ```text
//!   dashcap snapshot ──► control socket ─┐                        questions
//!   curl, Alertmanager ─► HTTP ──────────┴► thread `api` ──────────────────────► recorder
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
pub mod directory;
pub mod http;
mod line;
pub mod protocol;
pub mod question;
mod session;
pub mod span;
pub mod standing;
mod webhook;

use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::Sender;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use self::line::Line;
use self::question::Question;
use crate::error::{Error, Result};
use crate::time::Clock;

/// Questions on their way to the recorder. Beyond it a client waits a moment, and is then told that
/// dashcap is busy.
pub const QUESTIONS: usize = 64;

/// How long answers under way may take once everything else has ended.
const FAREWELL: Duration = Duration::from_secs(5);

/// Which doors are open.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The control socket.
    pub control: Option<control::Options>,
    /// The trigger directory.
    pub directory: Option<directory::Options>,
    /// The HTTP endpoint.
    pub http: Option<http::Options>,
}

impl Options {
    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// As the doors' own `check`.
    pub fn check(&self) -> Result<()> {
        self.control.as_ref().map_or(Ok(()), control::Options::check)?;
        self.directory.as_ref().map_or(Ok(()), directory::Options::check)?;
        self.http.as_ref().map_or(Ok(()), http::Options::check)
    }
}

/// Doors that are made, and that nobody answers at yet: a client that comes now waits.
#[derive(Debug)]
pub struct Doors {
    runtime: Runtime,
    control: Option<control::Socket>,
    http: Option<http::Endpoint>,
}

impl Doors {
    /// Makes the control socket and the HTTP endpoint; none if neither is wanted.
    ///
    /// # Errors
    /// When one is refused. A control socket that the operator did not name is only warned about.
    pub fn open(options: &Options) -> Result<Option<Self>> {
        let control = match &options.control {
            Some(control) => control::Socket::open(control)?,
            None => None,
        };
        let http = options.http.as_ref().map(http::Endpoint::open).transpose()?;
        if control.is_none() && http.is_none() {
            return Ok(None);
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::operation("start thread", "api", e))?;
        Ok(Some(Self { runtime, control, http }))
    }

    /// Answers at the doors from now on, on the thread `api`.
    ///
    /// # Errors
    /// When the process is out of threads or descriptors.
    pub fn serve(self, clock: Clock, questions: Sender<Question>) -> Result<Server> {
        let failed = |e: std::io::Error| Error::operation("start thread", "api", e);
        let Self { runtime, control, http } = self;
        let line = Line::new(clock, questions);
        // Sockets are registered with the runtime here, where it can still be refused.
        let entered = runtime.enter();
        let control = control.map(control::Socket::listen).transpose().map_err(failed)?;
        let http = http.map(http::Endpoint::listen).transpose().map_err(failed)?;
        drop(entered);
        let (stop, told) = oneshot::channel();
        let work = async move {
            if let Some(control) = control {
                tokio::spawn(control.serve(line.clone()));
            }
            if let Some(http) = http {
                tokio::spawn(http.serve(line.clone()));
            }
            // Told, or the recorder is gone: both mean the end.
            let _ = told.await;
            let _ = tokio::time::timeout(FAREWELL, line.quiet()).await;
        };
        let thread = thread::Builder::new()
            .name("api".to_owned())
            .spawn(move || runtime.block_on(work))
            .map_err(failed)?;
        Ok(Server { stop, thread })
    }
}

/// The thread `api` at work.
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Lets answers under way reach their clients, at most for five seconds, and closes the doors.
    pub fn stop(self) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the thread api ended in a panic, which is a bug");
        }
    }
}
