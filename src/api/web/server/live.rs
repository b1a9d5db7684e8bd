//! What moves: how it stands once a second, events as they come, as server-sent events (WHATWG HTML, 9.2); and the
//! one thing that can be done here, a snapshot.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use hyper::body::Frame;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::{Page, Visitor, form};
use crate::api::question::Audience;
use crate::export::event::Event;
use crate::observation::Fact;
use crate::observation::request::{Ask, Door};
use crate::visible;

/// Between two standings.
const BEAT: Duration = Duration::from_secs(1);
/// Parts on their way to one client.
const UNDER_WAY: usize = 16;
/// A client that takes nothing for so long is gone: the browser asks again.
const STUCK: Duration = Duration::from_secs(30);

/// A body whose parts come from a task; when the client is gone, sending fails.
pub(super) struct Parts(Receiver<Bytes>);

impl Parts {
    /// A body, and where its parts are put.
    pub(super) fn body() -> (Sender<Bytes>, Body) {
        let (sender, receiver) = channel(UNDER_WAY);
        (sender, Body::new(Self(receiver)))
    }
}

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}

/// The stream of one viewer.
pub(super) async fn stream(State(page): State<Page>) -> Response {
    let audience = match page.line.listen().await {
        Ok(audience) => audience,
        Err(why) => return (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    };
    let (parts, body) = Parts::body();
    tokio::spawn(async move { follow(&page, audience, Viewer(parts)).await });
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

struct Viewer(Sender<Bytes>);

impl Viewer {
    /// False when it is gone.
    async fn tell(&self, name: &str, json: &str) -> bool {
        let part = format!("event: {name}\ndata: {}\n\n", visible::json(json).replace('\n', " "));
        matches!(timeout(STUCK, self.0.send(part.into())).await, Ok(Ok(())))
    }
}

/// Until the viewer is gone, or there is nothing more to tell.
async fn follow(page: &Page, audience: Audience, viewer: Viewer) {
    let Audience { recent, mut live } = audience;
    let recent: Vec<_> = recent.iter().map(seen).collect();
    if !viewer.tell("recent", &format!("[{}]", recent.join(","))).await {
        return;
    }
    let mut due = page.now();
    loop {
        let is_there = match timeout(due.since(page.now()), live.recv()).await {
            Err(_) => {
                due = page.now().plus(BEAT);
                let Ok(now) = page.pulse.now().await else { return };
                // Only texts and numbers.
                viewer.tell("now", &serde_json::to_string(&now).unwrap_or_default()).await
            }
            Ok(Ok(event)) => viewer.tell("seen", &seen(&event)).await,
            Ok(Err(RecvError::Lagged(count))) => viewer.tell("missed", &count.to_string()).await,
            Ok(Err(RecvError::Closed)) => return,
        };
        if !is_there {
            return;
        }
    }
}

/// An event as the page lists it.
pub(super) fn seen(event: &Arc<Event>) -> String {
    serde_json::json!({
        "time": event.text("time"),
        "severity": event.severity.name(),
        "kind": event.kind(),
        "sentence": event.text("sentence"),
    })
    .to_string()
}

/// Freezes the window around now. A browser without script is led back to the page.
pub(super) async fn snapshot(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Response {
    let reason = form::field(&body, "reason").unwrap_or_default();
    let ask = Ask::new(Door::Web, &visitor.who, &reason);
    if let Err(wrong) = ask.check(page.line.clock().now().wall) {
        return (StatusCode::BAD_REQUEST, format!("{wrong}\n")).into_response();
    }
    match page.line.in_earnest(page.line.tell(Fact::Asked(ask.into()), false)).await {
        Ok(told) if form::field(&body, "script").is_some() => {
            (StatusCode::ACCEPTED, told.verdict.to_string()).into_response()
        }
        Ok(_) => Redirect::to("/").into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}
