//! The server of the page: one request a connection, within limits of size and time.

mod form;
mod guard;
mod live;
mod now;
mod pages;
mod store;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use tokio::sync::Semaphore;

use self::now::PagePulse;
use super::{Entrance, Options};
use crate::api::control;
use crate::api::http::connection::{answer, rest};
use crate::api::line::RecorderLine;
use crate::api::peer::Peer;
use crate::error::{Error, Result};
use crate::time::Clock;

/// Connections at a time; those beyond wait in the backlog.
const CLIENTS: usize = 32;
/// A whole connection: a download over a slow link, or live figures, which the browser asks for again.
const CONNECTION: Duration = Duration::from_secs(3_600);
/// Longest body in bytes: a reason in any script, percent-encoded.
const BODY: usize = 16 << 10;

/// Where the page is served, and nobody answers yet.
#[derive(Debug)]
pub(in crate::api) struct Endpoint {
    door: Door,
    entrance: Arc<Entrance>,
}

#[derive(Debug)]
enum Door {
    Socket(control::Socket),
    Loopback(TcpListener),
}

/// Who asks.
#[derive(Debug, Clone)]
struct Visitor {
    /// For the log and for bundles.
    who: String,
    /// Known from the kernel, so no cookie is asked for.
    is_known: bool,
}

/// What all pages need.
#[derive(Debug, Clone)]
struct Page {
    line: RecorderLine,
    clock: Clock,
    entrance: Arc<Entrance>,
    pulse: PagePulse,
}

impl Endpoint {
    /// Listens.
    pub(in crate::api) fn open(options: &Options) -> Result<Self> {
        options.check()?;
        let door = match options {
            Options::Socket(path) => Door::Socket(control::Socket::at(path, "--web")?),
            Options::Loopback(address) => {
                let listener = TcpListener::bind(address);
                Door::Loopback(listener.map_err(|e| {
                    Error::operation("listen for the page at", address.to_string(), e)
                })?)
            }
        };
        tracing::info!("live page at {}: see `dashcap web`", options.place());
        Ok(Self { door, entrance: Arc::new(Entrance::new(options.clone())) })
    }

    /// Who may enter.
    pub(in crate::api) fn entrance(&self) -> Arc<Entrance> {
        Arc::clone(&self.entrance)
    }

    /// Takes clients from now on, on the runtime that is entered.
    pub(in crate::api) fn serve(self, line: &RecorderLine) -> io::Result<()> {
        let Self { door, entrance } = self;
        let clock = Clock::system();
        let page = Page { line: line.clone(), clock, entrance, pulse: PagePulse::of(line) };
        let routes = routes(page);
        match door {
            Door::Socket(socket) => {
                tokio::spawn(by_socket(socket.listen()?, routes));
            }
            Door::Loopback(listener) => {
                listener.set_nonblocking(true)?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::spawn(by_loopback(listener, routes));
            }
        }
        Ok(())
    }
}

fn routes(page: Page) -> Router {
    Router::new()
        .route("/", get(pages::now))
        .route("/incidents", get(pages::incidents))
        .route("/incidents/{name}", get(pages::incident))
        .route("/incidents/{name}/report", get(store::report))
        .route("/incidents/{name}/keep", post(store::keep))
        .route("/incidents/{name}/files/{*file}", get(store::file))
        .route("/about", get(pages::about))
        .route("/enter", get(guard::enter))
        .route("/live", get(live::stream))
        .route("/snapshot", post(live::snapshot))
        .route("/{asset}", get(pages::asset))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(page.clone(), guard::let_through))
        .with_state(page)
}

async fn by_socket(listener: control::Listener, routes: Router) {
    let (room, refused) = (Arc::new(Semaphore::new(CLIENTS)), AtomicU64::new(0));
    loop {
        // Never closed, so never refused.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, owner)) => {
                // Who may not ask is not answered: it was told in the log.
                let Ok(peer) = Peer::of(&stream, owner, &refused) else { continue };
                let visitor = Visitor { who: peer.to_string(), is_known: true };
                let routes = routes.clone().layer(Extension(visitor));
                tokio::spawn(async move {
                    answer(stream, routes, CONNECTION).await;
                    drop(permit);
                });
            }
            Err(error) => rest("the page", error).await,
        }
    }
}

async fn by_loopback(listener: tokio::net::TcpListener, routes: Router) {
    let room = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, client)) => {
                let visitor = Visitor { who: client.ip().to_string(), is_known: false };
                let routes = routes.clone().layer(Extension(visitor));
                tokio::spawn(async move {
                    answer(stream, routes, CONNECTION).await;
                    drop(permit);
                });
            }
            Err(error) => rest("the page", error).await,
        }
    }
}
