//! What the kernel says of addresses, routes and neighbours: its announcements, and the whole state.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netlink_packet_core::NLM_F_REPLACE;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::RouteMessage;
use socket2::SockFilter;

use super::known::News;
use super::{address, neighbour, route};
use crate::error::Result;
use crate::observation::link::LinkState;
use crate::watch::link::{self, read_state};
use crate::watch::netlink::{Subscription, dump};

/// `RTNLGRP_LINK`, `_NEIGH`, `_IPV4_IFADDR`, `_IPV4_ROUTE`, `_IPV6_IFADDR`, `_IPV6_ROUTE`
/// (linux/rtnetlink.h).
const GROUPS: [u32; 6] = [1, 3, 5, 7, 9, 11];
/// Message types (linux/rtnetlink.h).
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
pub(super) const RTM_NEWNEIGH: u16 = 28;
pub(super) const RTM_DELNEIGH: u16 = 29;
/// `IFF_RUNNING` (linux/if.h): routes over the interface can be used.
const IFF_RUNNING: u32 = 1 << 6;

/// Hears of all of them from now on, but of no route to somewhere in particular: the message's type is at
/// byte 4 (`struct nlmsghdr`), and of a route the length of the destination at byte 17 (`struct rtmsg`). A neighbour
/// that somebody removes is told to fail first (neigh_delete(), net/core/neighbour.c), which is no failure: its state is
/// at byte 24 (`struct ndmsg`), and who asked for it at byte 12, where the kernel itself has no port.
pub(super) fn subscribe(receive_buffer: usize) -> Result<Subscription<News>> {
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// linux/neighbour.h
    const NUD_FAILED: u16 = 0x20;
    // Loads are big-endian, netlink is as the machine is.
    let kind = |kind: u16| u32::from(kind.to_be());
    Subscription::open(&GROUPS, receive_buffer, read_news)?.filtered(&[
        SockFilter::new(LOAD_HALF, 0, 0, 4),
        SockFilter::new(JUMP_EQUAL, 1, 0, kind(RTM_NEWROUTE)),
        SockFilter::new(JUMP_EQUAL, 0, 2, kind(RTM_DELROUTE)),
        SockFilter::new(LOAD_BYTE, 0, 0, 17),
        SockFilter::new(JUMP_EQUAL, 5, 6, 0),
        SockFilter::new(JUMP_EQUAL, 0, 4, kind(RTM_NEWNEIGH)),
        SockFilter::new(LOAD_WORD, 0, 0, 12),
        SockFilter::new(JUMP_EQUAL, 2, 0, 0),
        SockFilter::new(LOAD_HALF, 0, 0, 24),
        SockFilter::new(JUMP_EQUAL, 1, 0, kind(NUD_FAILED)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ])
}

/// What one message says.
pub(super) fn read_news(kind: u16, flags: u16, payload: &[u8]) -> Option<News> {
    Some(match kind {
        RTM_NEWLINK => interface(read_state(payload)?),
        RTM_DELLINK => News::InterfaceGone(link::link_header(payload)?.index),
        RTM_NEWADDR | RTM_DELADDR => {
            let (key, state) = address::read(payload)?;
            News::Address(key, (kind == RTM_NEWADDR).then_some(state))
        }
        RTM_NEWNEIGH | RTM_DELNEIGH => {
            let (key, state) = neighbour::read(payload)?;
            News::Neighbour(key, state.filter(|_| kind == RTM_NEWNEIGH))
        }
        RTM_NEWROUTE | RTM_DELROUTE => {
            let (key, ways) = route::read(payload)?;
            match kind {
                RTM_DELROUTE => News::RouteLeft(key, ways),
                _ if flags & NLM_F_REPLACE != 0 => News::Route(key, Some(ways)),
                _ => News::RouteJoined(key, ways),
            }
        }
        _ => return None,
    })
}

fn interface(state: LinkState) -> News {
    let usable = state.admin_up() && state.flags & IFF_RUNNING != 0;
    News::Interface(state.index, state.name, usable)
}

/// Interfaces first, because they name the others; routes next, because they say which neighbours
/// matter.
pub(super) fn everything(receive_buffer: usize) -> Result<Vec<News>> {
    let mut state: Vec<News> = link::links()?.into_iter().map(interface).collect();
    state.extend(routes(receive_buffer)?);
    for (request, wanted) in [
        (RouteNetlinkMessage::GetAddress(AddressMessage::default()), RTM_NEWADDR),
        (RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()), RTM_NEWNEIGH),
    ] {
        state.extend(dump(&request, receive_buffer, |kind, payload| {
            (kind == wanted).then(|| read_news(kind, 0, payload)).flatten()
        })?);
    }
    Ok(state)
}

/// Every address of ours: the interface's index, and the address.
pub(crate) fn addresses() -> Result<Vec<(u32, IpAddr)>> {
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    dump(&request, super::Options::default().receive_buffer, |kind, payload| {
        let ((index, address, _), _) = address::read(payload).filter(|_| kind == RTM_NEWADDR)?;
        Some((index, address))
    })
}

/// All default routes; several messages about one are put together.
pub(super) fn routes(receive_buffer: usize) -> Result<Vec<News>> {
    let request = RouteNetlinkMessage::GetRoute(RouteMessage::default());
    let mut routes: BTreeMap<route::Key, route::Ways> = BTreeMap::new();
    for (key, ways) in dump(&request, receive_buffer, |kind, payload| {
        (kind == RTM_NEWROUTE).then(|| route::read(payload)).flatten()
    })? {
        let whole = routes.remove(&key).map_or_else(|| ways.clone(), |others| others.with(&ways));
        routes.insert(key, whole);
    }
    Ok(routes.into_iter().map(|(key, ways)| News::Route(key, Some(ways))).collect())
}
