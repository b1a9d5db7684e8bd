//! A server that is called for each incident: one POST with a JSON body when it is frozen, written, or lost.
//!
//! Calls are made one after the other, in order, on a thread of the runtime's pool, and each has a time
//! limit. A call that fails is repeated after a pause that doubles; when its tries are used up it is given
//! up and counted. An answer of 2xx is success; 408, 429 and 5xx are tried again; every other one says
//! that the call itself is wrong, and is not.

use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::account::Account;
use super::remote::sort;
use super::{address, body, complain};
use crate::APPLICATION;
use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::export::Feed;
use crate::export::event::Event;
use crate::export::webhook::{Address, CallTime, Options, origin};
use crate::finding::Severity;
use crate::secret;

/// Calls that wait. Beyond it the newest are dropped: incidents are seconds apart at least.
const QUEUE: usize = 64;
/// Longest file with certificates: Debian's has 220 KiB.
const LONGEST_CERTIFICATES: u64 = 4 << 20;
/// Longest pause before a call is tried again: that before the last of [`MOST_TRIES`].
const LONGEST_PAUSE: Duration = Duration::from_secs(256);
/// A call takes a moment or fails; a minute is more than any proxy waits.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// Tries at most: with doubling pauses the last comes after 17 minutes.
const MOST_TRIES: u32 = 10;
/// Where distributions keep the certificates they trust: Debian and Arch, Red Hat, SUSE, Alpine.
const TRUSTED: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Longest name of a webhook.
const LONGEST_NAME: usize = 64;
/// Headers that are ours to write.
const OURS: [&str; 4] = ["content-length", "content-type", "host", "transfer-encoding"];

impl Options {
    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] for a URL that is none, no moment, a time or number out of range, or a header that
    /// is none or not the operator's to write.
    pub(in crate::export) fn check(&self) -> Result<()> {
        let key = format!("webhook {}", self.shown());
        let refuse = |given: String, reason: &str, accepted: &str| {
            Err(Error::usage(&*key, given, reason, accepted))
        };
        if let Address::Url(url) = &self.address {
            address::check(url)?;
        }
        if let Some(name) = self.name.as_deref().filter(|name| !is_name(name)) {
            let accepted = "name = \"pager\": letters, digits, - . _, 64 at most";
            return refuse(name.to_owned(), "a name is one word that needs no quotes", accepted);
        }
        if self.on.is_empty() {
            return refuse(
                String::new(),
                "a webhook is called at one moment or more, and `on` is empty",
                "on = [\"frozen\", \"written\"]",
            );
        }
        if !TIMEOUT.contains(&self.timeout) {
            let given = format!("{:?}", self.timeout);
            return refuse(given, "a call lasts at most a minute", "timeout = \"100ms\" to \"1m\"");
        }
        if !(1..=MOST_TRIES).contains(&self.tries) {
            return refuse(
                self.tries.to_string(),
                "the number of tries has bounds",
                "tries = 1 to 10",
            );
        }
        for (name, value) in &self.headers {
            let good = ureq::http::HeaderName::try_from(name).is_ok()
                && ureq::http::HeaderValue::try_from(value).is_ok();
            if !good || OURS.contains(&name.to_ascii_lowercase().as_str()) {
                let accepted = "headers = { X-Name = \"value\" }";
                return refuse(
                    name.clone(),
                    "a header has a valid name and value, and is none that dashcap writes itself",
                    accepted,
                );
            }
        }
        Ok(())
    }
}

/// One server, ready to be called.
#[derive(Debug)]
pub(super) struct Webhook {
    call: Arc<Call>,
    on: Vec<CallTime>,
    severity: Severity,
    host: String,
    tries: u32,
    account: Account,
}

/// How it is called.
struct Call {
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
}

impl fmt::Debug for Call {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// Why a call failed.
struct Failure {
    reason: String,
    /// Trying again may help.
    again: bool,
}

impl Webhook {
    pub(super) fn open(options: &Options, host: &str) -> Result<Self> {
        let mut headers = options.headers.clone();
        if let Some(file) = &options.token_file {
            let token = secret::read("the token in", file)?;
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        let url = address::url(&options.address)?;
        let to = options.name.clone().unwrap_or_else(|| origin(&url));
        let is_secret = options.address.file().is_some()
            || headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if is_secret && address::is_readable_on_the_way(&url) {
            tracing::warn!(
                "the secret of webhook {to} can be read on the way: its address begins with http://, not \
                 https://"
            );
        }
        let mut config = Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(APPLICATION.replacen(' ', "/", 1));
        if url.starts_with("https:") {
            let roots = roots(options.ca_file.as_deref())?;
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let agent = config.build().new_agent();
        let account = Account::new(format!("webhook {to}"));
        tracing::info!("exporting to {}", account.to());
        Ok(Self {
            call: Arc::new(Call { agent, url, headers }),
            on: options.on.clone(),
            severity: options.severity,
            host: host.to_owned(),
            tries: options.tries,
            account,
        })
    }

    pub(super) fn account(&self) -> Account {
        self.account.clone()
    }

    pub(super) async fn run(self, feed: Feed) {
        let (queue, mut waiting) = mpsc::channel(QUEUE);
        let (on, severity) = (self.on.clone(), self.severity);
        let wants = move |event: &Event| {
            let moment = moment(event);
            moment.is_some_and(|moment| on.contains(&moment)) && event.severity >= severity
        };
        let sorting = tokio::spawn(sort(feed, wants, queue, self.account()));
        while let Some(event) = waiting.recv().await {
            self.tell(event).await;
        }
        // It ended before the queue did.
        let _ = sorting.await;
    }

    async fn tell(&self, event: Arc<Event>) {
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        for attempt in 1..=self.tries {
            let (call, event, host) = (Arc::clone(&self.call), event.clone(), self.host.clone());
            let dropped = self.account.dropped();
            // Made anew each time: the report may be there by now.
            let called = spawn_blocking(move || call.make(&body::of(&event, &host, dropped)));
            let failure = match called.await {
                Ok(Ok(bytes)) => return self.account.sent(bytes),
                Ok(Err(failure)) => failure,
                Err(error) => Failure { reason: error.to_string(), again: false },
            };
            complain(&self.account, self.account.failed(&failure.reason), &failure.reason);
            if !failure.again || attempt == self.tries {
                break;
            }
            sleep(backoff.pause()).await;
        }
        self.account.drop_messages(1);
        let incident = event.text("incident").unwrap_or_default();
        tracing::error!("{} was not told of {incident}", self.account.to());
    }
}

impl Call {
    /// Makes one call; returns the bytes that were sent.
    fn make(&self, body: &str) -> Result<usize, Failure> {
        let mut request = self.agent.post(&self.url).header("Content-Type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send(body);
        let status = answer.map_err(|e| Failure { reason: self.reason(&e), again: true })?.status();
        if status.is_success() {
            return Ok(body.len());
        }
        let again = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        Err(Failure { reason: format!("the server answers {status}"), again })
    }

    /// Why it failed, without the path: some reasons repeat the address.
    fn reason(&self, error: &ureq::Error) -> String {
        let origin = origin(&self.url);
        error.to_string().replace(&self.url, &origin)
    }
}

/// The moment an event is about, if it is one of an incident.
fn moment(event: &Event) -> Option<CallTime> {
    let state = event.text("kind").filter(|kind| *kind == "incident");
    state.and_then(|_| event.text("state")?.parse().ok())
}

/// One word that needs no quotes anywhere.
fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(is_part)
}

/// The certificates that are trusted: those of `file`, else those of the system, else Mozilla's as they
/// were when dashcap was built.
fn roots(file: Option<&Path>) -> Result<RootCerts> {
    let system = || TRUSTED.iter().map(Path::new).find(|path| path.is_file());
    let Some(file) = file.or_else(system) else { return Ok(RootCerts::WebPki) };
    let name = file.display().to_string();
    let failed = |e: &dyn fmt::Display| Error::operation("read the certificates in", &*name, e);
    let there = fs::metadata(file).map_err(|e| failed(&e))?;
    if !there.is_file() || there.len() > LONGEST_CERTIFICATES {
        return Err(failed(&format!("not a file of at most {LONGEST_CERTIFICATES} bytes")));
    }
    let pem = fs::read(file).map_err(|e| failed(&e))?;
    let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().map_err(|e| failed(&e))?;
    let certificates = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() {
        return Err(
            failed(&"there is none in it").hint("it must be PEM, as in ca-certificates.crt")
        );
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::export::choice::What;

    #[test]
    fn options_without_meaning_are_refused() {
        let good = Options::new("https://alerts.example/hook?key=secret");
        assert!(good.check().is_ok());
        let header = |name: &str, value: &str| Options {
            headers: vec![(name.to_owned(), value.to_owned())],
            ..good.clone()
        };
        assert!(header("X-Key", "1").check().is_ok());
        for bad in [
            Options::new("ftp://x/"),
            Options::new("alerts.example"),
            Options::new(""),
            Options::new("http:///path"),
            Options::new("http://user:secret@x/"),
            Options { name: Some("two words".to_owned()), ..good.clone() },
            Options { on: Vec::new(), ..good.clone() },
            Options { timeout: Duration::ZERO, ..good.clone() },
            Options { tries: 0, ..good.clone() },
            Options { tries: 11, ..good.clone() },
            header("Content-Length", "5"),
            header("a b", "5"),
            header("X-Key", "a\nb"),
        ] {
            let error = bad.check().unwrap_err();
            assert_eq!(error.exit_status(), 2, "{bad:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_the_course_of_an_incident_is_a_moment() {
        for (kind, state, expected) in [
            ("incident", "lost", Some(CallTime::Lost)),
            ("trigger", "lost", None),
            ("incident", "x", None),
        ] {
            let event =
                Event::new(What::Incidents, Severity::Info, kind, json!({ "state": state }));
            assert_eq!(moment(&event), expected, "{kind} {state}");
        }
    }

    #[test]
    fn certificates_are_read_or_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = roots(Some(file.path())).unwrap_err();
        assert!(error.to_string().contains("there is none in it"), "{error}");
        assert!(roots(Some(Path::new("/does/not/exist"))).is_err());
        assert!(roots(None).is_ok());
    }
}
