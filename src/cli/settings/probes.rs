//! `probe`: hosts by name, or tables with everything a probe can have.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cli::values::TimeSpan;
use crate::watch::probe::{Loss, Options, Slow};

/// A probe as written.
#[derive(Debug, Clone)]
pub(super) enum WrittenProbe {
    /// What is asked; the rest as for all.
    Host(String),
    /// With keys of its own.
    Table(Box<Keys>),
}

/// The keys of `[[probe]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fall: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rise: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<SlowKeys>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<LossKeys>,
}

/// The keys of `slow`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowKeys {
    above: TimeSpan,
    in_a_row: u32,
}

/// The keys of `loss`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LossKeys {
    percent: u8,
    of: u32,
}

impl FromStr for WrittenProbe {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        Ok(Self::Host(typed.to_owned()))
    }
}

impl WrittenProbe {
    /// The probe it is; what it leaves open is as in `usual`.
    pub(super) fn options(&self, usual: &Options) -> Options {
        let mut options = match self {
            Self::Host(host) => Options { host: host.trim().to_owned(), ..usual.clone() },
            Self::Table(keys) => keys.options(usual),
        };
        // A request that is answered later than the next one leaves is lost anyway.
        if self.timeout().is_none() {
            options.timeout = options.timeout.min(options.interval);
        }
        options
    }

    fn timeout(&self) -> Option<TimeSpan> {
        match self {
            Self::Host(_) => None,
            Self::Table(keys) => keys.timeout,
        }
    }

    /// As the operator would write it.
    pub(super) fn of(probe: &Options, usual: &Options) -> Self {
        let short = Self::Host(probe.host.clone());
        if short.options(usual) == *probe {
            return short;
        }
        Self::Table(Box::new(Keys {
            host: probe.host.clone(),
            interval: Some(TimeSpan(probe.interval)),
            timeout: Some(TimeSpan(probe.timeout)),
            fall: Some(probe.fall),
            rise: Some(probe.rise),
            interface: probe.interface.clone(),
            source: probe.source,
            slow: probe
                .slow
                .map(|Slow { above, in_a_row }| SlowKeys { above: TimeSpan(above), in_a_row }),
            loss: probe.loss.map(|Loss { percent, of }| LossKeys { percent, of }),
        }))
    }

    /// True if it says which round trips are slow.
    pub(super) fn has_slow(&self) -> bool {
        matches!(self, Self::Table(keys) if keys.slow.is_some())
    }

    /// True if it says how much loss is too much.
    pub(super) fn has_loss(&self) -> bool {
        matches!(self, Self::Table(keys) if keys.loss.is_some())
    }
}

impl Keys {
    fn options(&self, usual: &Options) -> Options {
        let slow = |keys: &SlowKeys| Slow { above: keys.above.0, in_a_row: keys.in_a_row };
        let loss = |keys: &LossKeys| Loss { percent: keys.percent, of: keys.of };
        Options {
            host: self.host.trim().to_owned(),
            interval: self.interval.map_or(usual.interval, |span| span.0),
            timeout: self.timeout.map_or(usual.timeout, |span| span.0),
            fall: self.fall.unwrap_or(usual.fall),
            rise: self.rise.unwrap_or(usual.rise),
            interface: self.interface.clone(),
            source: self.source,
            slow: self.slow.as_ref().map(slow),
            loss: self.loss.as_ref().map(loss),
            status: usual.status.clone(),
        }
    }
}

impl Serialize for WrittenProbe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Host(host) => host.serialize(serializer),
            Self::Table(keys) => keys.serialize(serializer),
        }
    }
}

/// By hand, as of an untagged enumeration serde does not tell what is wrong with a table.
impl<'de> Deserialize<'de> for WrittenProbe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = WrittenProbe;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a host, or a table with host and further keys")
            }

            fn visit_str<E>(self, host: &str) -> Result<WrittenProbe, E> {
                Ok(WrittenProbe::Host(host.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<WrittenProbe, A::Error> {
                let keys = Keys::deserialize(MapAccessDeserializer::new(keys))?;
                Ok(WrittenProbe::Table(Box::new(keys)))
            }
        }

        deserializer.deserialize_any(Either)
    }
}
