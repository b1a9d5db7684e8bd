//! One connection: one request, answered within limits of time.

use std::fmt::Display;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

/// From the first to the last byte of a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// Pause after a connection could not be taken, as when descriptors ran out.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers the request of a client by `routes`; after `longest` the connection ends.
pub(in crate::api) async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    routes: Router,
    longest: Duration,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    // What a client does wrong on its connection is its own affair.
    let _ = timeout(longest, connection).await;
}

/// A client of `whose` could not be taken: tells it, and waits a moment.
pub(in crate::api) async fn rest(whose: &str, error: impl Display) {
    tracing::warn!("cannot take a client of {whose}: {error}");
    sleep(PAUSE).await;
}
