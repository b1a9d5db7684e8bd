//! The routers that default routes of the main table lead to, as they are now: whom somebody who sets up a
//! recording may want to probe.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_core::NlasIterator;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteMessage;

use super::kernel::RTM_NEWROUTE;
use crate::error::Result;
use crate::watch::link;
use crate::watch::netlink::dump;

/// `struct rtmsg` (linux/rtnetlink.h) in bytes; in it the length of the destination, the table and the type
/// are at these places.
const RTMSG: usize = 12;
const DESTINATION: usize = 1;
const TABLE: usize = 4;
const TYPE: usize = 7;
/// `RT_TABLE_MAIN`, `RTN_UNICAST`, `RTA_GATEWAY` and `RTA_MULTIPATH` (linux/rtnetlink.h).
const MAIN: u8 = 254;
const UNICAST: u8 = 1;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
/// `struct rtnexthop` (linux/rtnetlink.h) in bytes: its length, flags, hops, interface; attributes follow.
const RTNEXTHOP: usize = 8;

/// All of them.
///
/// # Errors
/// When the kernel refuses a netlink socket or an answer.
pub fn routers() -> Result<BTreeSet<IpAddr>> {
    let request = RouteNetlinkMessage::GetRoute(RouteMessage::default());
    let routes = dump(&request, link::Options::default().receive_buffer, |kind, payload| {
        (kind == RTM_NEWROUTE).then(|| read(payload))
    })?;
    Ok(routes.into_iter().flatten().collect())
}

/// The routers that a message names, if it is about a default route.
fn read(payload: &[u8]) -> Vec<IpAddr> {
    let is = |at: usize, value: u8| payload.get(at) == Some(&value);
    if !is(DESTINATION, 0) || !is(TABLE, MAIN) || !is(TYPE, UNICAST) {
        return Vec::new();
    }
    let attributes = payload.get(RTMSG..).unwrap_or_default();
    let several = value(attributes, RTA_MULTIPATH).map(|all| hops(&all)).unwrap_or_default();
    gateway(attributes).into_iter().chain(several).collect()
}

fn gateway(attributes: &[u8]) -> Option<IpAddr> {
    let address = value(attributes, RTA_GATEWAY)?;
    let v4 = <[u8; 4]>::try_from(&*address).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(&*address).map(IpAddr::from)).ok()
}

/// The gateways of one hop behind the other.
fn hops(mut rest: &[u8]) -> Vec<IpAddr> {
    let mut gateways = Vec::new();
    while let Some(length) =
        rest.first_chunk().map(|length| usize::from(u16::from_ne_bytes(*length)))
    {
        let Some(hop) = rest.get(RTNEXTHOP..length) else { break };
        gateways.extend(gateway(hop));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    gateways
}

fn value(attributes: &[u8], kind: u16) -> Option<Vec<u8>> {
    let mut all = NlasIterator::new(attributes).map_while(Result::ok);
    all.find(|attribute| attribute.kind() == kind).map(|attribute| attribute.value().to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lab::Namespace;

    #[test]
    fn routers_are_those_of_default_routes() {
        let Some(namespace) = Namespace::new() else { return };
        for command in [
            "link add south0 type veth peer name south1",
            "link set south1 up",
            "link set south0 up",
            "addr add 192.0.2.9/24 dev south0",
            "addr add 2001:db8::9/64 dev south0 nodad",
            "route add default via 192.0.2.1",
            "route add default metric 9 nexthop via 192.0.2.2 dev south0 nexthop via 192.0.2.3 dev south0",
            "route add 198.51.100.0/24 via 192.0.2.4",
            "route add default via 192.0.2.5 table 7",
            "-6 route add default via 2001:db8::1",
        ] {
            namespace.ip(command);
        }
        let found: Vec<_> =
            namespace.inside(routers).unwrap().iter().map(IpAddr::to_string).collect();
        assert_eq!(found, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            read(&noise);
            hops(&noise);
        }
    }
}
