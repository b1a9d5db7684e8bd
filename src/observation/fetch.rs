//! Somebody elsewhere fetches a bundle of this host, or would like to.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::request::{NAME, REASON, one_line};
use crate::finding::Severity;

/// What of a bundle's frames may leave a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PacketShare {
    /// None of them.
    #[default]
    Never,
    /// Cut behind their headers.
    Headers,
    /// As they were recorded.
    Full,
}

/// A bundle leaves the host, or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Who asked, as the fleet's server knows them.
    pub by: String,
    /// The bundle.
    pub bundle: String,
    /// What of its frames goes.
    pub packets: PacketShare,
    /// Bytes of its files here.
    pub bytes: u64,
    /// Why nothing goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Fetch {
    /// It goes. Words from outside become one line.
    pub fn allowed(by: &str, bundle: &str, packets: PacketShare, bytes: u64) -> Self {
        let [by, bundle] = [by, bundle].map(|name| one_line(name, NAME));
        Self { by, bundle, packets, bytes, refused: None }
    }

    /// It does not, and why.
    pub fn refused(by: &str, bundle: &str, why: &str) -> Self {
        let refused = Some(one_line(why, REASON));
        Self { refused, ..Self::allowed(by, bundle, PacketShare::Never, 0) }
    }

    /// Nothing to worry about if it was allowed.
    pub fn severity(&self) -> Severity {
        if self.refused.is_some() { Severity::Warning } else { Severity::Notice }
    }
}

impl fmt::Display for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, bundle, packets, refused, .. } = self;
        if let Some(why) = refused {
            return write!(f, "{by} may not fetch {bundle}: {why}");
        }
        let frames = match packets {
            PacketShare::Never => "without its frames",
            PacketShare::Headers => "with its frames cut to headers",
            PacketShare::Full => "with its frames",
        };
        write!(f, "{by} fetches {bundle} {frames}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fetches_what_is_one_sentence() {
        let fetch = Fetch::allowed("noc\u{1b}[2J", "x", PacketShare::Headers, 7);
        assert_eq!(fetch.to_string(), "noc [2J fetches x with its frames cut to headers");
        assert_eq!(fetch.severity(), Severity::Notice);
        let refused = Fetch::refused("noc", "x", "state only");
        assert_eq!(refused.to_string(), "noc may not fetch x: state only");
        assert_eq!(refused.severity(), Severity::Warning);
        assert!(
            PacketShare::Never < PacketShare::Headers && PacketShare::Headers < PacketShare::Full
        );
    }
}
