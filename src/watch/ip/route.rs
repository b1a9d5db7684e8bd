//! Default routes: without one, everything that is not next door is gone while all interfaces are fine.
//!
//! A default route is a set of next hops. The kernel announces whole sets, single hops that join
//! (`NLM_F_APPEND`, and every further IPv6 hop of the same metric) and single hops that leave, so
//! announcements are taken as sets: replaced, joined, subtracted.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_core::{NlasIterator, ParseableParametrized};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteLwEnCapType, RouteNextHop, RouteNextHopFlags,
    RouteType, RouteVia,
};

use crate::observation::route::{NextHop, Route};

/// `struct rtmsg` (linux/rtnetlink.h) in bytes; attributes follow.
const RTMSG: usize = 12;
/// The next hop cannot be used: its interface is down, or has no carrier (`RTNH_F_*`).
const UNUSABLE: RouteNextHopFlags = RouteNextHopFlags::Dead.union(RouteNextHopFlags::Linkdown);

/// Family, table, type of service, metric: routes that agree in these are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) ipv6: bool,
    pub(super) table: u32,
    pub(super) tos: u8,
    pub(super) metric: u32,
}

/// A route as it is announced, with indexes instead of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ways {
    kind: RouteType,
    hops: BTreeSet<Hop>,
    /// `RTPROT_*` (linux/rtnetlink.h).
    protocol: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Hop {
    gateway: Option<IpAddr>,
    index: Option<u32>,
    usable: bool,
}

/// What an `RTM_NEWROUTE` or `RTM_DELROUTE` is about; none for routes to somewhere in particular.
pub(super) fn read(payload: &[u8]) -> Option<(Key, Ways)> {
    let header = RouteHeader::parse(payload).ok()?;
    if header.destination_prefix_length != 0 || header.source_prefix_length != 0 {
        return None;
    }
    let ipv6 = match header.address_family {
        AddressFamily::Inet => false,
        AddressFamily::Inet6 => true,
        _ => return None,
    };
    let mut key = Key { ipv6, table: header.table.into(), tos: header.tos, metric: 0 };
    let (mut gateway, mut index, mut hops) = (None, None, BTreeSet::new());
    let flags = RouteNextHopFlags::from_bits_retain((header.flags.bits() & 0xff) as u8);
    let parameter = (header.address_family, header.kind, RouteLwEnCapType::None);
    for attribute in NlasIterator::new(payload.get(RTMSG..)?).map_while(Result::ok) {
        match RouteAttribute::parse_with_param(&attribute, parameter) {
            // The header has room for numbers below 256 only.
            Ok(RouteAttribute::Table(table)) => key.table = table,
            Ok(RouteAttribute::Priority(metric)) => key.metric = metric,
            Ok(RouteAttribute::Oif(oif)) => index = Some(oif),
            Ok(RouteAttribute::MultiPath(ways)) => hops.extend(ways.iter().map(Hop::from)),
            Ok(attribute) => gateway = router(&attribute).or(gateway),
            Err(_) => {}
        }
    }
    let leads_somewhere = !matches!(
        header.kind,
        RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit | RouteType::Throw
    );
    if hops.is_empty() && leads_somewhere {
        hops.insert(Hop { gateway, index, usable: !flags.intersects(UNUSABLE) });
    }
    Some((key, Ways { kind: header.kind, hops, protocol: header.protocol.into() }))
}

impl From<&RouteNextHop> for Hop {
    fn from(way: &RouteNextHop) -> Self {
        Self {
            gateway: way.attributes.iter().find_map(router),
            index: Some(way.interface_index),
            usable: !way.flags.intersects(UNUSABLE),
        }
    }
}

/// The router that an attribute names; an IPv4 route may lead over an IPv6 one (`RTA_VIA`).
pub(in crate::watch) fn router(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(v4))
        | RouteAttribute::Via(RouteVia::Inet(v4)) => Some(IpAddr::V4(*v4)),
        RouteAttribute::Gateway(RouteAddress::Inet6(v6))
        | RouteAttribute::Via(RouteVia::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

/// Who made a route, as `ip route` calls it (iproute2's rt_protos).
pub(in crate::watch) fn protocol(number: u8) -> String {
    let name = match number {
        2 => "kernel",
        3 => "boot",
        4 | 196 => "static",
        8 => "gated",
        9 => "ra",
        11 => "zebra",
        12 => "bird",
        16 => "dhcp",
        18 => "keepalived",
        42 => "babel",
        99 => "openr",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        190 => "ripng",
        191 => "nhrp",
        192 => "eigrp",
        193 => "ldp",
        195 => "pbr",
        197 => "openfabric",
        _ => return format!("protocol {number}"),
    };
    name.to_owned()
}

impl Ways {
    /// These and those of `joining`; what both have is taken as `joining` says.
    pub(super) fn with(&self, joining: &Self) -> Self {
        let others = |hop: &&Hop| !joining.hops.iter().any(|new| new.is(hop));
        let hops = self.hops.iter().filter(others).chain(&joining.hops).copied().collect();
        Self { kind: joining.kind, hops, protocol: joining.protocol }
    }

    /// These but those of `leaving`; none if nothing is left.
    pub(super) fn without(&self, leaving: &Self) -> Option<Self> {
        let stays = |hop: &&Hop| !leaving.hops.iter().any(|old| old.is(hop));
        let hops: BTreeSet<Hop> = self.hops.iter().filter(stays).copied().collect();
        (!hops.is_empty()).then_some(Self { hops, ..*self })
    }

    /// The routers on the way.
    pub(super) fn gateways(&self) -> impl Iterator<Item = IpAddr> {
        self.hops.iter().filter_map(|hop| hop.gateway)
    }

    /// With the names that `name` gives to indexes.
    pub(super) fn named(&self, name: impl Fn(u32) -> String) -> Route {
        let hop = |hop: &Hop| NextHop {
            gateway: hop.gateway,
            interface: hop.index.map(&name),
            usable: hop.usable,
        };
        let kind = match self.kind {
            RouteType::Unicast => "unicast".to_owned(),
            RouteType::BlackHole => "blackhole".to_owned(),
            RouteType::Unreachable => "unreachable".to_owned(),
            RouteType::Prohibit => "prohibit".to_owned(),
            RouteType::Throw => "throw".to_owned(),
            other => format!("type {}", u8::from(other)),
        };
        /// `RTPROT_UNSPEC`.
        const NOBODY: u8 = 0;
        let protocol = (self.protocol != NOBODY).then(|| protocol(self.protocol));
        Route { kind, hops: self.hops.iter().map(hop).collect(), protocol }
    }
}

impl Hop {
    /// The same hop, whatever its state.
    fn is(&self, other: &Self) -> bool {
        (self.gateway, self.index) == (other.gateway, other.index)
    }
}
