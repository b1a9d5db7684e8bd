//! The endpoint that takes triggers, from those who know the token.
//!
//! | request | token | answer |
//! |---|---|---|
//! | `POST /trigger` | yes | 202 frozen or extended, 200 nothing frozen, 410 too late, 400 not understood, 503 busy |
//! | `GET /health` | no | 200 recording, 503 the recorder does not answer |
//!
//! Plain HTTP/1.1: whoever opens it to a network puts a proxy with TLS before it, or the token is read
//! on the way. The token is compared in constant time, and is asked for before the body is read.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Client, Options, Standings, take_clients};
use crate::api::line::{RecorderLine, Unanswered};
use crate::api::question::Verdict;
use crate::api::webhook;
use crate::error::{Error, Result};

/// Longest body in bytes: a webhook with a few hundred alerts.
const BODY: usize = 256 * 1024;
/// Shortest token in bytes: as many random letters are out of reach of guessing over a network.
const SHORTEST: usize = 16;
/// Longest file with a token.
const LONGEST: u64 = 4_096;

/// A listening endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    listener: TcpListener,
    token: Token,
}

impl Endpoint {
    /// Reads the token and listens.
    ///
    /// # Errors
    /// When one of them is refused.
    pub(super) fn open(options: &Options) -> Result<Self> {
        options.check()?;
        let token = Token::read(&options.token_file)?;
        let failed = |e| Error::operation("listen for HTTP on", options.listen.to_string(), e);
        let listener = TcpListener::bind(options.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!("HTTP on http://{address}/trigger");
        if !address.ip().is_loopback() {
            tracing::warn!("HTTP is open to the network and not encrypted: put a proxy before it");
        }
        Ok(Self { listener, token })
    }

    /// Registers it with the runtime that is entered.
    pub(super) fn listen(self) -> io::Result<Listener> {
        self.listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let guard = Guard { token: self.token, refused: AtomicU64::new(0) };
        Ok(Listener { listener, guard: Arc::new(guard) })
    }
}

/// What a client must know, as a digest: comparing digests tells nothing of its length either.
struct Token([u8; 32]);

/// Who lets clients through, and how many it did not.
#[derive(Debug)]
struct Guard {
    token: Token,
    refused: AtomicU64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl Token {
    fn read(file: &Path) -> Result<Self> {
        let name = file.display().to_string();
        let failed = |e: &dyn std::fmt::Display| {
            Error::operation("read the token in", &*name, e)
                .hint("make one with: (umask 077; openssl rand -hex 32 > FILE)")
        };
        let there = fs::metadata(file).map_err(|e| failed(&e))?;
        if !there.is_file() || there.len() > LONGEST {
            return Err(failed(&format!("not a file of at most {LONGEST} bytes")));
        }
        let text = fs::read(file).map_err(|e| failed(&e))?;
        let token = text.trim_ascii();
        if token.len() < SHORTEST || !token.iter().all(u8::is_ascii_graphic) {
            let form = format!("a token has {SHORTEST} or more visible ASCII characters");
            return Err(failed(&form));
        }
        if there.mode() & 0o007 != 0 {
            tracing::warn!("{name} can be read by everyone on this host; chmod o= it");
        }
        Ok(Self::of(token))
    }

    fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// True if the request has it (RFC 6750, 2.1; the scheme's name in any case, RFC 9110, 11.1).
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let Some((scheme, token)) = given.and_then(|given| given.split_at_checked(7)) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"bearer ")
            && bool::from(Self::of(token.trim_ascii()).0.ct_eq(&self.0))
    }
}

/// The endpoint, on the runtime.
pub(super) struct Listener {
    listener: tokio::net::TcpListener,
    guard: Arc<Guard>,
}

impl Listener {
    /// Takes clients until the runtime ends.
    pub(super) async fn serve(self, line: RecorderLine, standings: Standings) {
        let routes = routes(line, standings, self.guard);
        take_clients(self.listener, routes).await;
    }
}

fn routes(line: RecorderLine, standings: Standings, guard: Arc<Guard>) -> Router {
    Router::new()
        .route("/trigger", post(trigger))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(guard, admit))
        .route("/health", get(health).with_state(standings))
        .with_state(line)
}

/// Lets through who knows the token.
async fn admit(
    State(guard): State<Arc<Guard>>,
    Extension(Client(client)): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    if guard.token.is_in(request.headers()) {
        return next.run(request).await;
    }
    // Said less and less often: whoever guesses must not fill the log.
    let refused = guard.refused.fetch_add(1, Ordering::Relaxed) + 1;
    if refused.is_power_of_two() {
        tracing::warn!("HTTP: refused {}, without the token; {refused} so far", client.ip());
    }
    let wanted = [(header::WWW_AUTHENTICATE, "Bearer")];
    let reason = "the header Authorization: Bearer TOKEN is missing or wrong";
    (StatusCode::UNAUTHORIZED, wanted, complaint(reason)).into_response()
}

async fn trigger(
    State(line): State<RecorderLine>,
    Extension(Client(client)): Extension<Client>,
    body: Bytes,
) -> Response {
    let who = client.ip().to_string();
    let meaning = match webhook::meaning(&body, &who, line.clock().now().wall) {
        Ok(meaning) => meaning,
        Err(wrong) => return (StatusCode::BAD_REQUEST, complaint(&wrong)).into_response(),
    };
    match line.in_earnest(line.tell(meaning.fact(&who), false)).await {
        Ok(told) => (status(&told.verdict), Json(told.verdict)).into_response(),
        Err(why) => unavailable(why),
    }
}

async fn health(State(standings): State<Standings>) -> Response {
    match standings.latest().await {
        Ok(standing) => {
            Json(json!({ "status": "recording", "armed": standing.armed })).into_response()
        }
        Err(why) => unavailable(why),
    }
}

fn status(verdict: &Verdict) -> StatusCode {
    match verdict {
        Verdict::Frozen { .. } | Verdict::Extended { .. } => StatusCode::ACCEPTED,
        Verdict::Covered { .. } | Verdict::Ignored { .. } | Verdict::Noted => StatusCode::OK,
        Verdict::Late { .. } => StatusCode::GONE,
    }
}

fn unavailable(why: Unanswered) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, complaint(&why.to_string())).into_response()
}

pub(super) fn complaint(message: &str) -> Json<serde_json::Value> {
    Json(json!({ "error": message }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens() {
        let token = Token::of(b"0123456789abcdef");
        for (header, opens) in [
            (Some("Bearer 0123456789abcdef"), true),
            (Some("bearer  0123456789abcdef "), true),
            (Some("Bearer 0123456789abcdeg"), false),
            (Some("Bearer 0123456789abcde"), false),
            (Some("Bearer "), false),
            (Some("Bearer"), false),
            (Some("Basic 0123456789abcdef"), false),
            (Some("0123456789abcdef"), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(header::AUTHORIZATION, header.parse().unwrap());
            }
            assert_eq!(token.is_in(&headers), opens, "{header:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(secret)");
    }

    #[test]
    fn a_token_that_could_be_guessed_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, good) in [
            ("0123456789abcdef\n", true),
            ("0123456789abcde\n", false),
            ("", false),
            ("0123456789 abcdef", false),
            (&"x".repeat(5_000), false),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(Token::read(file.path()).is_ok(), good, "{text:?}");
        }
        let error = Token::read(Path::new("/does/not/exist")).unwrap_err();
        assert!(error.to_string().contains("openssl rand"), "{error}");
    }
}
