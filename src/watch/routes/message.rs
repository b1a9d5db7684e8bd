//! What one announcement says of a route or an interface.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_REPLACE, NlasIterator, ParseableParametrized};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteLwEnCapType, RouteType,
};

use super::route::{Hop, Route};
use super::table::News;
use crate::watch::ip::route::router;
use crate::watch::link::{link_header, read_state};

/// Message types (linux/rtnetlink.h).
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
/// `struct rtmsg` (linux/rtnetlink.h) in bytes; attributes follow.
const RTMSG: usize = 12;
/// `RTPROT_REDIRECT` and `RTPROT_KERNEL` (linux/rtnetlink.h): routes that come and go with addresses and
/// interfaces, which are told themselves.
const OF_THE_KERNEL: [u8; 2] = [1, 2];

/// What a message says, if it matters: links, and routes to somewhere in particular. Default routes are told
/// by themselves, routes of the kernel with their interfaces.
pub(super) fn read(kind: u16, flags: u16, payload: &[u8]) -> Option<News> {
    Some(match kind {
        RTM_NEWLINK => {
            let state = read_state(payload)?;
            let is_up = state.is_up();
            News::Link(state.index, state.name, is_up)
        }
        RTM_DELLINK => News::LinkGone(link_header(payload)?.index),
        RTM_NEWROUTE | RTM_DELROUTE => {
            let (route, hops) = route(payload)?;
            match kind {
                RTM_DELROUTE => News::Left(route, hops),
                _ if flags & NLM_F_REPLACE != 0 => News::Is(route, hops),
                _ => News::Joined(route, hops),
            }
        }
        _ => return None,
    })
}

fn route(payload: &[u8]) -> Option<(Route, Vec<Hop>)> {
    let header = RouteHeader::parse(payload).ok()?;
    let length = header.destination_prefix_length;
    let protocol: u8 = header.protocol.into();
    let is_ours = header.kind == RouteType::Unicast
        && length != 0
        && !header.flags.contains(RouteFlags::Cloned)
        && !OF_THE_KERNEL.contains(&protocol);
    if !is_ours || !matches!(header.address_family, AddressFamily::Inet | AddressFamily::Inet6) {
        return None;
    }
    let (mut table, mut metric) = (header.table.into(), 0);
    let (mut destination, mut gateway, mut index) = (None, None, None);
    let mut hops = Vec::new();
    let parameter = (header.address_family, header.kind, RouteLwEnCapType::None);
    for attribute in NlasIterator::new(payload.get(RTMSG..)?).map_while(Result::ok) {
        match RouteAttribute::parse_with_param(&attribute, parameter) {
            // The header has room for numbers below 256 only.
            Ok(RouteAttribute::Table(number)) => table = number,
            Ok(RouteAttribute::Priority(number)) => metric = number,
            Ok(RouteAttribute::Oif(number)) => index = Some(number),
            Ok(RouteAttribute::Destination(address)) => destination = address_of(&address),
            Ok(RouteAttribute::MultiPath(ways)) => hops.extend(ways.iter().map(|way| Hop {
                gateway: way.attributes.iter().find_map(router),
                index: Some(way.interface_index),
            })),
            Ok(attribute) => gateway = router(&attribute).or(gateway),
            Err(_) => {}
        }
    }
    if hops.is_empty() {
        hops.push(Hop { gateway, index });
    }
    let destination = destination?;
    Some((Route { destination, length, table, metric, tos: header.tos, protocol }, hops))
}

fn address_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}
