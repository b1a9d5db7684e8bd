//! `[[log]]` and `[[attribute]]`: where a failure may show itself first, as the file has it, and logs as
//! they are typed.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::observation::attribute::Condition;
use crate::recorder::Logs;
use crate::watch::attribute::{self, Watched};
use crate::watch::logs::{self, Matcher, Place, Transport};

/// A log, and which of its lines count before those that always do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Keys", into = "Keys")]
pub(super) struct Log {
    /// None: no log at all.
    place: Option<Place>,
    per_second: Option<u32>,
    own: Vec<Matcher>,
}

/// The keys of `[[log]]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    kernel: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    journal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syslog: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    off: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<u32>,
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<MatchKeys>,
}

/// The keys of `[[log.match]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchKeys {
    name: String,
    pattern: String,
}

/// What a log may be, as typed.
const ACCEPTED: &str = "accepted: kernel, journal, a path such as /var/log/frr/*.log, \
                        udp://ADDRESS:PORT, tcp://ADDRESS:PORT, or off";

impl FromStr for Log {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let place = match typed {
            "off" => None,
            "kernel" => Some(Place::Kernel),
            "journal" => Some(Place::journal()),
            path if path.starts_with('/') => Some(Place::Files(path.to_owned())),
            address => Some(listening(address)?),
        };
        Ok(Self { place, per_second: None, own: Vec::new() })
    }
}

fn listening(address: &str) -> Result<Place, String> {
    let schemes = [("udp://", Transport::Udp), ("tcp://", Transport::Tcp)];
    let found = schemes.into_iter().find_map(|(scheme, transport)| {
        let address = address.strip_prefix(scheme)?.parse().ok()?;
        Some(Place::Syslog { transport, address })
    });
    found.ok_or_else(|| format!("{address:?} is no log; {ACCEPTED}"))
}

impl TryFrom<Keys> for Log {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let Keys { kernel, journal, file, syslog, off, per_second, matchers } = keys;
        let places = [
            kernel.then_some(Some(Place::Kernel)),
            journal.then(|| Some(Place::journal())),
            file.map(|pattern| Some(Place::Files(pattern))),
            syslog.map(|address| listening(&address).map(Some)).transpose()?,
            off.then_some(None),
        ];
        let mut places = places.into_iter().flatten();
        let (Some(place), None) = (places.next(), places.next()) else {
            return Err("accepted: one of kernel = true, journal = true, file = \"PATH\", \
                        syslog = \"udp://ADDRESS:PORT\", off = true"
                .to_owned());
        };
        let own = matchers.into_iter().map(|keys| Matcher::new(keys.name, keys.pattern));
        Ok(Self { place, per_second, own: own.collect() })
    }
}

impl From<Log> for Keys {
    fn from(Log { place, per_second, own }: Log) -> Self {
        let matchers = own.into_iter().map(|Matcher { name, pattern }| MatchKeys { name, pattern });
        let keys = Self { per_second, matchers: matchers.collect(), ..Self::default() };
        match place {
            None => Self { off: true, ..keys },
            Some(Place::Kernel) => Self { kernel: true, ..keys },
            Some(Place::Journal { .. }) => Self { journal: true, ..keys },
            Some(Place::Files(pattern)) => Self { file: Some(pattern), ..keys },
            Some(Place::Syslog { transport, address }) => {
                let scheme = match transport {
                    Transport::Udp => "udp",
                    Transport::Tcp => "tcp",
                };
                Self { syslog: Some(format!("{scheme}://{address}")), ..keys }
            }
        }
    }
}

impl Log {
    /// The logs that are watched, if these are named.
    ///
    /// # Errors
    /// When there are to be none and some.
    pub(super) fn all(logs: &[Self]) -> Result<Logs, String> {
        if logs.is_empty() {
            return Ok(Logs::Usual);
        }
        let each: Vec<_> = logs.iter().filter_map(Self::options).collect();
        if !each.is_empty() && each.len() < logs.len() {
            return Err("off, and others beside it".to_owned());
        }
        Ok(Logs::Asked(each))
    }

    fn options(&self) -> Option<logs::Options> {
        let usual = logs::Options::new(self.place.clone()?);
        // An own one of the same name stands for the one that comes with dashcap.
        let named = |name: &str| self.own.iter().any(|own| own.name == name);
        let others = usual.matchers.into_iter().filter(|matcher| !named(&matcher.name));
        Some(logs::Options {
            matchers: self.own.iter().cloned().chain(others).collect(),
            per_second: self.per_second.unwrap_or(usual.per_second),
            place: usual.place,
        })
    }

    /// As the operator would write them.
    pub(super) fn of(logs: &Logs) -> Vec<Self> {
        let each = logs.each();
        if each.is_empty() {
            return vec![Self { place: None, per_second: None, own: Vec::new() }];
        }
        let usual = logs::defaults();
        let log = |options: logs::Options| Self {
            place: Some(options.place),
            per_second: Some(options.per_second),
            own: options.matchers.into_iter().filter(|own| !usual.contains(own)).collect(),
        };
        each.into_iter().map(log).collect()
    }

    /// True if it is a log, not the word that there is to be none.
    pub(super) fn is_somewhere(&self) -> bool {
        self.place.is_some()
    }

    /// Names of the operator's own matchers.
    pub(super) fn own_names(&self) -> impl Iterator<Item = &str> {
        self.own.iter().map(|matcher| &*matcher.name)
    }
}

/// The keys of `[[attribute]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attribute {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    above: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
}

impl Attribute {
    /// What is watched, these beside the usual.
    ///
    /// # Errors
    /// When one has two thresholds.
    pub(super) fn all(attributes: &[Self]) -> Result<attribute::Options, String> {
        let mut options = attribute::Options::default();
        for Self { path, above, below } in attributes {
            let condition = match (above, below) {
                (None, None) => Condition::Changes,
                (Some(above), None) => Condition::Above(*above),
                (None, Some(below)) => Condition::Below(*below),
                (Some(_), Some(_)) => return Err(format!("{path}: above and below at once")),
            };
            options.watched.push(Watched { pattern: path.clone(), condition });
        }
        Ok(options)
    }

    /// As the operator would write them, without the usual.
    pub(super) fn of(options: &attribute::Options) -> Vec<Self> {
        let usual = attribute::Options::default().watched;
        let own = options.watched.iter().filter(|watched| !usual.contains(watched));
        let keys = |Watched { pattern, condition }: &Watched| {
            let (above, below) = match condition {
                Condition::Changes => (None, None),
                Condition::Above(limit) => (Some(*limit), None),
                Condition::Below(limit) => (None, Some(*limit)),
            };
            Self { path: pattern.clone(), above, below }
        };
        own.map(keys).collect()
    }

    /// Which files.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}
