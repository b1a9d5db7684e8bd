//! The half of the question that nearly every frame asks: IP, its extension headers, and ports.
//!
//! Plain TCP and UDP must leave here after a handful of comparisons; nothing is read twice.

use crate::wire::ip::{behind, protocol};

/// Whether a packet, by its own version field, is control.
#[inline]
pub(super) fn is_control(packet: &[u8]) -> bool {
    let judge = |protocol, content| match protocol {
        protocol::TCP => ports(content).is_some_and(|(from, to)| tcp(from, to)),
        protocol::UDP => ports(content).is_some_and(|(from, to)| udp(from, to)),
        _ => is_control_protocol(protocol),
    };
    behind(packet, judge).unwrap_or(false)
}

#[inline]
fn is_control_protocol(protocol: u8) -> bool {
    use protocol::{EIGRP, ICMP, ICMPV6, IGMP, OSPF, PIM, RSVP, VRRP};
    matches!(protocol, ICMP | IGMP | RSVP | ICMPV6 | EIGRP | OSPF | PIM | VRRP)
}

/// Source and destination.
#[inline]
fn ports(bytes: &[u8]) -> Option<(u16, u16)> {
    let &[a, b, c, d] = bytes.first_chunk()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

#[inline]
fn tcp(from: u16, to: u16) -> bool {
    const BGP: u16 = 179;
    const LDP: u16 = 646;
    matches!(from, BGP | LDP) || matches!(to, BGP | LDP)
}

#[inline]
fn udp(from: u16, to: u16) -> bool {
    /// Above it, no port is of interest: most traffic leaves here.
    const HIGHEST: u16 = 7784;
    from.min(to) <= HIGHEST && (is_service(from) || is_service(to) || is_listener(to))
}

/// Ports that only the protocol's own speakers send from, so that answers are told by them too.
fn is_service(port: u16) -> bool {
    const BOOTP_SERVER: u16 = 67;
    const BOOTP_CLIENT: u16 = 68;
    const RIP: u16 = 520;
    const RIPNG: u16 = 521;
    const DHCPV6_CLIENT: u16 = 546;
    const DHCPV6_SERVER: u16 = 547;
    const LDP: u16 = 646;
    /// Reflectors answer from it (RFC 7881).
    const SEAMLESS_BFD: u16 = 7784;
    matches!(
        port,
        BOOTP_SERVER
            | BOOTP_CLIENT
            | RIP
            | RIPNG
            | DHCPV6_CLIENT
            | DHCPV6_SERVER
            | LDP
            | SEAMLESS_BFD
    )
}

/// Ports that count as destination only: each message is sent to them, and as a source they may be
/// anybody's ephemeral port.
fn is_listener(port: u16) -> bool {
    /// RFC 2281; version 2 too, to 224.0.0.102.
    const HSRP: u16 = 1985;
    const HSRP_IPV6: u16 = 2029;
    const GLBP: u16 = 3222;
    /// RFC 5881 §4.
    const BFD: u16 = 3784;
    const BFD_ECHO: u16 = 3785;
    /// RFC 5883 §5.
    const BFD_MULTIHOP: u16 = 4784;
    /// RFC 8966 §4.
    const BABEL: u16 = 6696;
    /// On each member of a bond, RFC 7130 §2.
    const BFD_BOND: u16 = 6784;
    matches!(port, HSRP | HSRP_IPV6 | GLBP | BFD | BFD_ECHO | BFD_MULTIHOP | BABEL | BFD_BOND)
}
