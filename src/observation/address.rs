//! Addresses of our interfaces: added, removed, found to be somebody else's.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// An address that came, went, or changed its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressChange {
    /// The interface it is on.
    pub interface: String,
    /// The address itself.
    pub address: IpAddr,
    /// Length of its prefix in bits.
    pub prefix_len: u8,
    /// Its state before; none when it has just been added.
    pub before: Option<Validity>,
    /// Its state now; none when it was removed.
    pub now: Option<Validity>,
}

/// What an address can be used for (RFC 4862, section 2; for IPv4 it is always preferred).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// Good for everything.
    Preferred,
    /// Good for old connections only.
    Deprecated,
    /// Not used yet: nobody has had the time to say that it is taken.
    Tentative,
    /// Somebody else has it (`IFA_F_DADFAILED`).
    Duplicate,
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preferred => "preferred",
            Self::Deprecated => "deprecated",
            Self::Tentative => "tentative",
            Self::Duplicate => "a duplicate of another host's",
        })
    }
}

impl fmt::Display for AddressChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: address {}/{} ", self.interface, self.address, self.prefix_len)?;
        match (self.before, self.now) {
            (_, None) => f.write_str("removed"),
            (None, Some(Validity::Preferred)) => f.write_str("added"),
            (None, Some(now)) => write!(f, "added, {now}"),
            (Some(before), Some(now)) => write!(f, "was {before}, is {now}"),
        }
    }
}
