//! A connection to one of the fleet's servers, and why there is none.
//!
//! The client makes a broken connection anew by itself. That of a member it tries once at each server and then ends, and
//! whoever holds it begins again with pauses of its own: so a wrong password is told as such, and is not the same as a
//! server that is away. A person waits as long as they have patience.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::mpsc;

use super::chance;
use crate::fleet::Options;
use crate::fleet::subject::inbox;
use crate::secret;

/// A dead path is noticed after three of these that nobody answers. One with its answer is 250 to 320 bytes with TLS and
/// all headers: every 5 s, and pings alone would be more than the 50 bytes a second that an idle member may cost.
const PING: Duration = Duration::from_secs(8);
/// Connecting, the handshake of TLS included.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest wait for an answer of the server.
const ANSWER: Duration = Duration::from_secs(5);
/// Messages of one subscription that wait to be read; beyond it the newest are dropped and told as an event.
const SUBSCRIPTION: usize = 256;
/// Commands on their way to the connection.
const COMMANDS: usize = 256;
/// What is read at once: notices have some hundred bytes, and ten thousand hosts in one process one buffer each.
const READ_BUFFER: u16 = 4_096;
/// Events that wait to be read.
const EVENTS: usize = 64;
/// When a server dies its members come back within this time, not at once.
const SPREAD: Duration = Duration::from_secs(2);

/// A connection.
pub(super) struct BusConnection {
    pub(super) client: Client,
    /// What becomes of it; ends with it.
    pub(super) events: mpsc::Receiver<Event>,
}

/// Connects as `name`; once broken, the connection is tried anew `again` times, or without end.
///
/// # Errors
/// Why no server takes us, for a person; of secrets nothing.
pub(super) async fn connect(
    options: &Options,
    name: &str,
    again: Option<usize>,
) -> Result<BusConnection, String> {
    let (told, events) = mpsc::channel(EVENTS);
    let was_connected = Arc::new(AtomicBool::new(false));
    let is_again = Arc::clone(&was_connected);
    let mut connect = ConnectOptions::new()
        .name(format!("dashcap {name}"))
        .custom_inbox_prefix(inbox(name))
        .ping_interval(PING)
        .connection_timeout(PATIENCE)
        .request_timeout(Some(ANSWER))
        .subscription_capacity(SUBSCRIPTION)
        .client_capacity(COMMANDS)
        .read_buffer_capacity(READ_BUFFER)
        .ignore_discovered_servers()
        .no_echo()
        .max_reconnects(again)
        .reconnect_delay_callback(move |_| {
            let spread = if is_again.load(Ordering::Relaxed) { SPREAD } else { Duration::ZERO };
            chance::up_to(spread)
        })
        .event_callback(move |event| {
            let told = told.clone();
            async move { drop(told.send(event).await) }
        })
        .require_tls(options.servers.iter().all(|server| server.tls));
    if let Some(file) = &options.ca_file {
        connect = connect.add_root_certificates(file.clone());
    }
    if let (Some(cert), Some(key)) = (&options.cert_file, &options.key_file) {
        connect = connect.add_client_certificate(cert.clone(), key.clone());
    }
    if let Some(file) = &options.password_file {
        let user = options.user.as_deref().unwrap_or(name).to_owned();
        connect = connect.user_and_password(user, password(file).await?);
    }
    let servers: Vec<String> = options.servers.iter().map(ToString::to_string).collect();
    let client = connect.connect(servers).await.map_err(|error| in_words(&error))?;
    was_connected.store(true, Ordering::Relaxed);
    Ok(BusConnection { client, events })
}

/// The disk may be slow, and nobody waits for it but this task.
async fn password(file: &Path) -> Result<String, String> {
    let file = file.to_owned();
    let read = tokio::task::spawn_blocking(move || secret::read("the password in", &file));
    read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

fn in_words(error: &ConnectError) -> String {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            "the server does not know this user, or the password or certificate is wrong".to_owned()
        }
        ConnectErrorKind::TimedOut => format!("no server answers within {PATIENCE:?}"),
        _ => error.to_string(),
    }
}
