//! Neighbours that matter: is the next hop still there, and is it the same machine?
//!
//! A living entry goes round reachable, stale, delay and probe all day long; that is no news. News is
//! that it is being looked for, that it was given up, and that another link-level address answers.

use std::fmt;
use std::net::IpAddr;

use netlink_packet_core::{NlasIterator, ParseableParametrized};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourHeader, NeighbourState,
};
use pnet::util::MacAddr;
use serde::Serialize;

use crate::watch::link::role;

/// `struct ndmsg` (linux/neighbour.h) in bytes; attributes follow.
const NDMSG: usize = 12;

/// A watched neighbour whose entry came, went, or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeighbourChange {
    /// The interface it is looked for on.
    pub interface: String,
    /// Its address.
    pub address: IpAddr,
    /// What was known before; none where there was no entry.
    pub before: Option<Neighbour>,
    /// What is known now; none where the entry was removed.
    pub now: Option<Neighbour>,
}

/// What the kernel knows of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Neighbour {
    /// Whether it answers.
    pub answers: Answers,
    /// Its Ethernet address; none while it is not known.
    #[serde(serialize_with = "role::as_text_or_null")]
    pub address: Option<MacAddr>,
}

/// The states of linux/neighbour.h (`NUD_*`), as far as they differ for those who wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// It answered, or an administrator said where it is.
    Yes,
    /// It was asked for and has not answered yet (`NUD_INCOMPLETE`).
    NotYet,
    /// It was asked for as often as the kernel asks and never answered (`NUD_FAILED`).
    No,
}

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

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.answers, self.address) {
            (Answers::Yes, Some(address)) => write!(f, "at {address}"),
            (Answers::Yes, None) => f.write_str("there"),
            (Answers::NotYet, _) => f.write_str("being looked for"),
            (Answers::No, _) => f.write_str("FAILED"),
        }
    }
}

impl fmt::Display for NeighbourChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: neighbour {} ", self.interface, self.address)?;
        match (self.before, self.now) {
            (_, None) => f.write_str("forgotten"),
            (None, Some(now)) => write!(f, "{now}"),
            (Some(before), Some(now)) => write!(f, "{before} -> {now}"),
        }
    }
}
