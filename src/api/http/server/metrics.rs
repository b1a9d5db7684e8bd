//! Metrics for Prometheus and whatever reads its formats: `GET /metrics`, without a token.
//!
//! A scrape is one question to the recorder, at most one a second, answered between two observations as
//! `dashcap status` is: neither recorder nor capture wait for who scrapes. What is in the store is looked up on a thread of the
//! runtime's pool, one look at a time; while a slow disk keeps it busy, those metrics are left out. Which metrics
//! there are is in [`prometheus`](crate::api::prometheus).

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::recent::Recent;
use super::{MetricsOptions, Standings, take_clients};
use crate::api::prometheus::{Contents, Form, Scraped, contents, page};
use crate::error::{Error, Result};

/// A disk that needs longer to list a directory is left out of this scrape.
const DISK: Duration = Duration::from_secs(2);

/// A listening endpoint.
#[derive(Debug)]
pub(super) struct Endpoint(TcpListener);

impl Endpoint {
    /// Listens.
    ///
    /// # Errors
    /// When that is refused.
    pub(super) fn open(options: &MetricsOptions) -> Result<Self> {
        let failed = |e| Error::operation("serve metrics on", options.listen.to_string(), e);
        let listener = TcpListener::bind(options.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!("metrics on http://{address}/metrics");
        if !address.ip().is_loopback() {
            tracing::warn!("metrics are open to everybody who reaches {address}");
        }
        Ok(Self(listener))
    }

    /// Registers it with the runtime that is entered.
    pub(super) fn listen(self) -> io::Result<Listener> {
        self.0.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(self.0).map(Listener)
    }
}

/// The endpoint, on the runtime.
pub(super) struct Listener(tokio::net::TcpListener);

impl Listener {
    /// Takes clients until the runtime ends.
    pub(super) async fn serve(self, standings: Standings) {
        let (disk, recent) = (Arc::new(Semaphore::new(1)), Recent::default());
        let sources = Sources { standings, disk, recent };
        let routes = Router::new().route("/metrics", get(metrics)).with_state(sources);
        take_clients(self.0, routes).await;
    }
}

/// What a scrape asks.
#[derive(Debug, Clone)]
struct Sources {
    standings: Standings,
    /// Held by the one who looks at the disk.
    disk: Arc<Semaphore>,
    recent: Recent<Option<Contents>>,
}

async fn metrics(State(sources): State<Sources>, headers: HeaderMap) -> Response {
    let standing = match sources.standings.latest().await {
        Ok(standing) => *standing,
        Err(why) => return (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    };
    let store = sources.store(standing.bundles.directory.clone().into()).await;
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    let form = Form::accepted(accepted.unwrap_or_default());
    let page = page(&Scraped { standing, store }, form);
    ([(header::CONTENT_TYPE, form.content_type())], page).into_response()
}

impl Sources {
    /// What was in the store at most a second ago; none where somebody looks already, or it takes too long.
    async fn store(&self, directory: PathBuf) -> Option<Contents> {
        let look = async { Ok::<_, Infallible>(self.look(directory).await) };
        self.recent.at(self.standings.now(), look).await.ok().flatten()
    }

    async fn look(&self, directory: PathBuf) -> Option<Contents> {
        let permit = Arc::clone(&self.disk).try_acquire_owned().ok()?;
        let look = spawn_blocking(move || {
            let found = contents(&directory);
            drop(permit);
            found
        });
        timeout(DISK, look).await.ok()?.ok().flatten()
    }
}
