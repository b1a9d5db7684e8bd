//! Neighbours that matter: is the next hop still there, and is it the same machine?
//!
//! A living entry goes round reachable, stale, delay and probe all day long; that is no news. News is
//! that it is being looked for, that it was given up, and that another link-level address answers.

use std::net::IpAddr;

use netlink_packet_core::{NlasIterator, ParseableParametrized};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourHeader, NeighbourState,
};

use crate::observation::neighbour::{Answers, Neighbour};
use crate::watch::link::role;

/// `struct ndmsg` (linux/neighbour.h) in bytes; attributes follow.
const NDMSG: usize = 12;

/// Index of the interface, address.
pub(super) type Key = (u32, IpAddr);

/// What an `RTM_NEWNEIGH` or `RTM_DELNEIGH` is about, and the state it tells; no state for an entry
/// that was made and not used yet.
pub(super) fn read(payload: &[u8]) -> Option<(Key, Option<Neighbour>)> {
    let header = NeighbourHeader::parse(payload).ok()?;
    let (mut neighbour, mut link_address) = (None, None);
    for attribute in NlasIterator::new(payload.get(NDMSG..)?).map_while(Result::ok) {
        match NeighbourAttribute::parse_with_param(&attribute, header.family) {
            Ok(NeighbourAttribute::Destination(NeighbourAddress::Inet(v4))) => {
                neighbour = Some(IpAddr::V4(v4));
            }
            Ok(NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6))) => {
                neighbour = Some(IpAddr::V6(v6));
            }
            Ok(NeighbourAttribute::LinkLayerAddress(bytes)) => {
                link_address = role::ethernet(&bytes);
            }
            _ => {}
        }
    }
    let answers = match header.state {
        NeighbourState::None => None,
        NeighbourState::Incomplete => Some(Answers::NotYet),
        NeighbourState::Failed => Some(Answers::No),
        _ => Some(Answers::Yes),
    };
    // What is left of the address of one that fell silent says nothing.
    let known = |answers| link_address.filter(|_| answers == Answers::Yes);
    let state = answers.map(|answers| Neighbour { answers, address: known(answers) });
    Some(((header.ifindex, neighbour?), state))
}
