//! The endpoints that are served over HTTP/1.1: one request a connection, within limits of size and time.

pub(in crate::api) mod connection;
mod metrics;
mod recent;
mod trigger;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tokio::sync::Semaphore;

use self::connection::{answer, rest};
use self::recent::Recent;
use super::{MetricsOptions, Options};
use crate::api::line::{RecorderLine, Unanswered};
use crate::api::status::RecorderStatus;
use crate::error::Result;
use crate::time::{Clock, Mono};

/// Connections at a time: with their bodies 8 MiB. Those beyond wait in the backlog.
const CLIENTS: usize = 32;
/// A whole connection; one request each, so whoever is slower than this is stuck.
const CONNECTION: Duration = Duration::from_secs(30);

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
    pub(in crate::api) fn serve(self, line: &RecorderLine) -> io::Result<()> {
        let trigger = self.trigger.map(trigger::Endpoint::listen).transpose()?;
        let metrics = self.metrics.map(metrics::Endpoint::listen).transpose()?;
        let standings = Standings::of(line);
        if let Some(trigger) = trigger {
            tokio::spawn(trigger.serve(line.clone(), standings.clone()));
        }
        if let Some(metrics) = metrics {
            tokio::spawn(metrics.serve(standings));
        }
        Ok(())
    }
}

/// How it stands, for those who are not known: asked at most once a second.
#[derive(Debug, Clone)]
pub(in crate::api) struct Standings {
    line: RecorderLine,
    clock: Clock,
    recent: Recent<Box<RecorderStatus>>,
}

impl Standings {
    pub(in crate::api) fn of(line: &RecorderLine) -> Self {
        Self { line: line.clone(), clock: Clock::system(), recent: Recent::default() }
    }

    pub(in crate::api) async fn latest(&self) -> Result<Box<RecorderStatus>, Unanswered> {
        self.recent.at(self.now(), self.line.standing()).await
    }

    fn now(&self) -> Mono {
        self.clock.now().mono
    }
}

/// Takes clients until the runtime ends.
async fn take_clients(listener: tokio::net::TcpListener, routes: Router) {
    let is_here = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let routes = if is_here { routes.layer(middleware::from_fn(meant)) } else { routes };
    let room = Arc::new(Semaphore::new(CLIENTS));
    loop {
        // Never closed, so never refused.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, client)) => {
                let routes = routes.clone().layer(Extension(Client(client)));
                tokio::spawn(async move {
                    answer(stream, routes, CONNECTION).await;
                    drop(permit);
                });
            }
            Err(error) => rest("HTTP", error).await,
        }
    }
}

/// On loopback, lets through who means this host by its address or as localhost: a page in a browser here that
/// has another name lead to it (DNS rebinding) does not. Who names no host is no browser.
async fn meant(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(HeaderValue::as_bytes);
    if host.is_none_or(is_this_host) {
        return next.run(request).await;
    }
    let reason = "the header Host must be an address or localhost";
    (StatusCode::MISDIRECTED_REQUEST, trigger::complaint(reason)).into_response()
}

/// True for an address or localhost, with or without a port (RFC 9110, 7.2).
pub(in crate::api) fn is_this_host(host: &[u8]) -> bool {
    let Ok(Ok(authority)) = str::from_utf8(host).map(str::parse::<Authority>) else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security review L6: a page in a browser reached it under a name of its own.
    #[test]
    fn this_host_is_meant_by_address_or_as_localhost() {
        for (host, is_this) in [
            ("127.0.0.1", true),
            ("127.0.0.1:9180", true),
            ("[::1]:9180", true),
            ("::1", false),
            ("localhost", true),
            ("LocalHost:9180", true),
            ("localhost.evil.example", false),
            ("evil.example:9180", false),
            ("127.0.0.1.evil.example", false),
            ("127.0.0.1@evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_this_host(host.as_bytes()), is_this, "{host:?}");
        }
    }
}
