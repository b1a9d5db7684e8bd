//! The endpoints that are served over HTTP/1.1: one request a connection, within limits of size and time.

mod metrics;
mod trigger;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{MetricsOptions, Options};
use crate::api::line::Line;
use crate::error::Result;

/// Connections at a time: with their bodies 8 MiB. Those beyond wait in the backlog.
const CLIENTS: usize = 32;
/// From the first to the last byte of a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// A whole connection; one request each, so whoever is slower than this is stuck.
const CONNECTION: Duration = Duration::from_secs(30);
/// Pause after a connection could not be taken, as when descriptors ran out.
const PAUSE: Duration = Duration::from_millis(100);

/// Those that listen.
#[derive(Debug)]
pub(in crate::api) struct Endpoints {
    trigger: Option<trigger::Endpoint>,
    metrics: Option<metrics::Endpoint>,
}

/// Who asks: an address.
#[derive(Debug, Clone, Copy)]
struct Client(SocketAddr);

impl Endpoints {
    /// Listens where it is wanted; none if it is wanted nowhere.
    pub(in crate::api) fn open(
        trigger: Option<&Options>,
        metrics: Option<&MetricsOptions>,
    ) -> Result<Option<Self>> {
        let trigger = trigger.map(trigger::Endpoint::open).transpose()?;
        let metrics = metrics.map(metrics::Endpoint::open).transpose()?;
        let wanted = trigger.is_some() || metrics.is_some();
        Ok(wanted.then_some(Self { trigger, metrics }))
    }

    /// Takes clients from now on, on the runtime that is entered.
    pub(in crate::api) fn serve(self, line: &Line) -> io::Result<()> {
        let trigger = self.trigger.map(trigger::Endpoint::listen).transpose()?;
        let metrics = self.metrics.map(metrics::Endpoint::listen).transpose()?;
        if let Some(trigger) = trigger {
            tokio::spawn(trigger.serve(line.clone()));
        }
        if let Some(metrics) = metrics {
            tokio::spawn(metrics.serve(line.clone()));
        }
        Ok(())
    }
}

/// Takes clients until the runtime ends.
async fn take_clients(listener: tokio::net::TcpListener, routes: Router) {
    let room = Arc::new(Semaphore::new(CLIENTS));
    loop {
        // Never closed, so never refused.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, client)) => {
                let routes = routes.clone().layer(Extension(Client(client)));
                tokio::spawn(async move {
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD)
                        .keep_alive(false)
                        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
                    // What a client does wrong on its connection is its own affair.
                    let _ = timeout(CONNECTION, connection).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("cannot take a client of HTTP: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}
