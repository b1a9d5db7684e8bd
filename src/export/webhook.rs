//! A server that is called for each incident, as the operator names it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::finding::Severity;

/// One server.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// `http://` or `https://`.
    pub url: String,
    /// When it is called.
    pub on: Vec<Moment>,
    /// How bad the incident must be at least.
    pub severity: Severity,
    /// Longest time for a call.
    pub timeout: Duration,
    /// How often a call is tried.
    pub tries: u32,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// File whose content, without blanks around it, is sent as `Authorization: Bearer`.
    pub token_file: Option<PathBuf>,
    /// File with certificates that are trusted instead of those of the system, PEM.
    pub ca_file: Option<PathBuf>,
}

impl Options {
    /// Time for a call, unless the operator says otherwise.
    pub const USUAL_TIMEOUT: Duration = Duration::from_secs(10);
    /// Tries, unless the operator says otherwise: the last comes after half a minute.
    pub const USUAL_TRIES: u32 = 6;

    /// What calls `url` for every moment.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            on: Moment::ALL.to_vec(),
            severity: Severity::Info,
            timeout: Self::USUAL_TIMEOUT,
            tries: Self::USUAL_TRIES,
            headers: Vec::new(),
            token_file: None,
            ca_file: None,
        }
    }

    /// The URL without what follows `?`, where some servers want their secrets, and without credentials.
    pub(super) fn shown(&self) -> String {
        let url = self.url.split('?').next().unwrap_or_default();
        match url
            .split_once("://")
            .and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?)))
        {
            Some((scheme, (_, rest))) => format!("{scheme}://{rest}"),
            None => url.to_owned(),
        }
    }
}

/// When a webhook is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Frames are pinned in memory.
    Frozen,
    /// The bundle is whole and on the disk.
    Written,
    /// The bundle could not be written.
    Lost,
}

impl Moment {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Frozen, Self::Written, Self::Lost];

    fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Written => "written",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|moment| moment.name() == typed).ok_or_else(|| {
            let accepted = Self::ALL.map(Self::name).join(", ");
            format!("{typed:?} is nothing an incident comes to; accepted: {accepted}")
        })
    }
}
