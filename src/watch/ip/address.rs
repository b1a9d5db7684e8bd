//! Addresses of our interfaces, as rtnetlink announces them.

use std::net::IpAddr;

use netlink_packet_core::{NlasIterator, Parseable};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeader};

use crate::observation::address::Validity;

/// `struct ifaddrmsg` (linux/if_addr.h) in bytes; attributes follow.
const IFADDRMSG: usize = 8;

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
