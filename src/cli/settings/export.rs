//! `[[export]]` and `[[webhook]]`: who is told what dashcap sees, as the file has it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cli::values::TimeSpan;
use crate::error::{Error, Result};
use crate::export::Options;
use crate::export::choice::{Choice, What};
use crate::export::remote::{self, Form};
use crate::export::webhook::{self, Address, CallTime};
use crate::finding::Severity;

/// The keys of `[[export]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    kind: Kind,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<Severity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facility: Option<u8>,
}

/// What messages look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Json,
    Syslog,
}

/// The keys of `[[webhook]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<Severity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
}

/// Where a bundle's manifest had a secret: it is read by more people than the configuration.
const HIDDEN: &str = "(hidden)";

/// Who is told.
///
/// # Errors
/// When a key has no meaning.
pub(super) fn options(exports: &[Export], webhooks: &[Webhook]) -> Result<Options> {
    let options = Options {
        remotes: exports.iter().map(Export::options).collect::<Result<_>>()?,
        webhooks: webhooks.iter().map(Webhook::options).collect::<Result<_>>()?,
    };
    options.check().map(|()| options)
}

/// Each word, or what is accepted instead.
fn words<T: std::str::FromStr<Err = String>>(key: &str, words: &[String]) -> Result<Vec<T>> {
    let word = |word: &String| {
        word.parse().map_err(|reason: String| {
            let (reason, accepted) = reason.split_once("; accepted: ").unwrap_or((&reason, ""));
            Error::usage(key, word, reason, accepted)
        })
    };
    words.iter().map(word).collect()
}

impl Export {
    fn options(&self) -> Result<remote::Options> {
        let usual = Choice::default();
        let what = self.what.as_ref().map(|what| words::<What>("what of export", what));
        let refuse =
            |reason: &str, accepted: &str| Err(Error::usage("export", &self.to, reason, accepted));
        let Ok(to) = self.to.parse() else {
            let accepted = "udp://HOST:PORT or tcp://HOST:PORT, IPv6 addresses in brackets";
            return refuse("a destination has a protocol, a host and a port", accepted);
        };
        let form = match (self.kind, self.facility) {
            (Kind::Json, None) => Form::Json,
            (Kind::Json, Some(_)) => {
                return refuse(
                    "only syslog has a facility, and this destination gets JSON",
                    "kind = \"syslog\"",
                );
            }
            (Kind::Syslog, facility) => {
                Form::Syslog { facility: facility.unwrap_or(remote::DAEMON) }
            }
        };
        Ok(remote::Options {
            form,
            to,
            choice: Choice {
                what: what.transpose()?.unwrap_or(usual.what),
                severity: self.severity.unwrap_or(usual.severity),
            },
            interval: self.interval.map_or(remote::Options::USUAL_INTERVAL, |span| span.0),
        })
    }

    /// As the operator would write it.
    pub(super) fn of(options: &remote::Options) -> Self {
        let (kind, facility) = match options.form {
            Form::Json => (Kind::Json, None),
            Form::Syslog { facility } => (Kind::Syslog, Some(facility)),
        };
        Self {
            kind,
            to: options.to.to_string(),
            what: Some(options.choice.what.iter().map(What::to_string).collect()),
            severity: Some(options.choice.severity),
            interval: Some(TimeSpan(options.interval)),
            facility,
        }
    }
}

impl Webhook {
    fn options(&self) -> Result<webhook::Options> {
        let usual = webhook::Options::new("");
        let address = match (&self.url, &self.url_file) {
            (Some(url), None) => Address::Url(url.clone()),
            (None, Some(file)) => Address::File(file.clone()),
            _ => {
                let (name, accepted) = (self.name.as_deref(), "url, or url_file = \"FILE\"");
                let reason = "a webhook has one address";
                return Err(Error::usage("webhook", name.unwrap_or_default(), reason, accepted));
            }
        };
        let on = self.on.as_ref().map(|on| words::<CallTime>("on of webhook", on));
        Ok(webhook::Options {
            on: on.transpose()?.unwrap_or(usual.on),
            severity: self.severity.unwrap_or(usual.severity),
            timeout: self.timeout.map_or(usual.timeout, |span| span.0),
            tries: self.tries.unwrap_or(usual.tries),
            headers: self.headers.clone().into_iter().collect(),
            token_file: self.token_file.clone(),
            ca_file: self.ca_file.clone(),
            name: self.name.clone(),
            address,
        })
    }

    /// As the operator would write it, without what may be secret.
    pub(super) fn of(options: &webhook::Options) -> Self {
        let hidden = |(name, _): &(String, String)| (name.clone(), HIDDEN.to_owned());
        Self {
            name: options.name.clone(),
            url: options.address.file().is_none().then(|| options.address.shown()),
            url_file: options.address.file().map(Into::into),
            on: Some(options.on.iter().map(CallTime::to_string).collect()),
            severity: Some(options.severity),
            timeout: Some(TimeSpan(options.timeout)),
            tries: Some(options.tries),
            headers: options.headers.iter().map(hidden).collect(),
            token_file: options.token_file.clone(),
            ca_file: options.ca_file.clone(),
        }
    }
}

#[cfg(all(test, feature = "export"))]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct File {
            export: Vec<Export>,
            webhook: Vec<Webhook>,
        }
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        options(&file.export, &file.webhook).map_err(|error| error.to_string())
    }

    #[test]
    fn destinations_are_understood_or_told_what_is_wrong() {
        let options = read(
            "[[export]]\nkind = \"syslog\"\nto = \"tcp://log:601\"\nwhat = [\"findings\"]\n\
             severity = \"warning\"\nfacility = 16\n[[export]]\nkind = \"json\"\nto = \"udp://x:1\"\n\
             [[webhook]]\nurl = \"http://x/path?key=1\"\non = [\"written\"]\nheaders = { X-Key = \"1\" }\n",
        )
        .unwrap();
        assert_eq!(options.remotes[0].form, Form::Syslog { facility: 16 });
        assert_eq!(options.remotes[1].choice, Choice::default());
        for remote in &options.remotes {
            assert_eq!(&Export::of(remote).options().unwrap(), remote, "as it would be written");
        }
        let shown = serde_json::to_string(&Webhook::of(&options.webhooks[0])).unwrap();
        assert!(
            !shown.contains("path") && !shown.contains("key=1") && !shown.contains("\"1\""),
            "{shown}"
        );
        for (text, told) in [
            ("[[export]]\nkind = \"jsn\"\nto = \"udp://x:1\"", "expected `json` or `syslog`"),
            ("[[export]]\nkind = \"json\"\nto = \"x:1\"", "udp://HOST:PORT"),
            (
                "[[export]]\nkind = \"json\"\nto = \"udp://x:1\"\nfacility = 3",
                "only syslog has a facility, and this destination gets JSON",
            ),
            (
                "[[export]]\nkind = \"json\"\nto = \"udp://x:1\"\nwhat = [\"all\"]",
                "accepted: findings, observations, incidents, traffic",
            ),
            ("[[webhook]]\nname = \"pager\"", "a webhook has one address"),
            ("[[webhook]]\nurl = \"http://x\"\nurl_file = \"/x\"", "a webhook has one address"),
            ("[[webhook]]\nurl = \"x\"", "a webhook is an address of a web server"),
            ("[[webhook]]\nurl = \"http://x\"\non = [\"never\"]", "frozen, written, lost"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
