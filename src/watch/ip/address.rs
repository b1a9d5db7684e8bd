//! Addresses of our interfaces: added, removed, found to be somebody else's.

use std::fmt;
use std::net::IpAddr;

use netlink_packet_core::{NlasIterator, Parseable};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeader};
use serde::Serialize;

/// `struct ifaddrmsg` (linux/if_addr.h) in bytes; attributes follow.
const IFADDRMSG: usize = 8;

/// An address that came, went, or changed its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
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

/// Index of the interface, address, length of the prefix.
pub(super) type Key = (u32, IpAddr, u8);

/// What an `RTM_NEWADDR` or `RTM_DELADDR` is about, and the state it tells.
pub(super) fn read(payload: &[u8]) -> Option<(Key, Validity)> {
    let header = AddressHeader::parse(payload).ok()?;
    // The 8 bits of the header are the lower ones of the attribute's 32.
    let mut flags = AddressFlags::from_bits_retain(u32::from(header.flags.bits()));
    let (mut local, mut address) = (None, None);
    for attribute in NlasIterator::new(payload.get(IFADDRMSG..)?).map_while(Result::ok) {
        match AddressAttribute::parse(&attribute) {
            // On a point-to-point interface the local one is ours and the other is the peer's.
            Ok(AddressAttribute::Local(ours)) => local = Some(ours),
            Ok(AddressAttribute::Address(either)) => address = Some(either),
            Ok(AddressAttribute::Flags(all)) => flags = all,
            _ => {}
        }
    }
    let validity = if flags.contains(AddressFlags::Dadfailed) {
        Validity::Duplicate
    } else if flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic) {
        Validity::Tentative
    } else if flags.contains(AddressFlags::Deprecated) {
        Validity::Deprecated
    } else {
        Validity::Preferred
    };
    Some(((header.index, local.or(address)?, header.prefix_len), validity))
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
