//! The half of the question that nearly every frame asks: IP, its extension headers, and ports.
//!
//! Plain TCP and UDP must leave here after a handful of comparisons; nothing is read twice.

/// Extension headers looked behind. RFC 8200 §4.1 knows seven, each once and destination options twice;
/// more are an evasion, and such a frame is data.
pub(super) const MAX_EXTENSIONS: usize = 8;

/// Protocol numbers (IANA), of IPv4 and IPv6 alike.
mod protocol {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ICMP: u8 = 1;
    pub(super) const IGMP: u8 = 2;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const RSVP: u8 = 46;
    /// Authentication header, RFC 4302; OSPF and version 2 of VRRP may stand behind it.
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const ICMPV6: u8 = 58;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;
    pub(super) const EIGRP: u8 = 88;
    pub(super) const OSPF: u8 = 89;
    pub(super) const PIM: u8 = 103;
    /// CARP uses the same number.
    pub(super) const VRRP: u8 = 112;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// Whether a packet, by its own version field, is control.
#[inline]
pub(super) fn is_control(packet: &[u8]) -> bool {
    match packet.first().map(|first| first >> 4) {
        Some(4) => ipv4(packet),
        Some(6) => ipv6(packet),
        _ => false,
    }
}

/// RFC 791 §3.1.
#[inline]
fn ipv4(packet: &[u8]) -> bool {
    /// The header length counts words of four bytes.
    const WORD: usize = 4;
    const SHORTEST: usize = 20;
    const OFFSET: u16 = 0x1fff;
    let Some(&[first, _, _, _, _, _, flags, offset, _, protocol]) = packet.first_chunk() else {
        return false;
    };
    let header = usize::from(first & 0x0f) * WORD;
    if header < SHORTEST {
        return false;
    }
    let later = u16::from_be_bytes([flags, offset]) & OFFSET != 0;
    let content = if later { &[] } else { packet.get(header..).unwrap_or_default() };
    behind_header(protocol, content)
}

/// RFC 8200 §3.
#[inline]
fn ipv6(packet: &[u8]) -> bool {
    const HEADER: usize = 40;
    const NEXT_AT: usize = 6;
    let Some(&next) = packet.get(NEXT_AT) else { return false };
    behind_header(next, packet.get(HEADER..).unwrap_or_default())
}

/// Walks to the last header; `bytes` are its content, none where a later fragment hides it.
#[inline]
fn behind_header(mut protocol: u8, mut bytes: &[u8]) -> bool {
    for _ in 0..=MAX_EXTENSIONS {
        match protocol {
            protocol::TCP => return ports(bytes).is_some_and(|(from, to)| tcp(from, to)),
            protocol::UDP => return ports(bytes).is_some_and(|(from, to)| udp(from, to)),
            _ if is_control_protocol(protocol) => return true,
            _ => {}
        }
        let Some((next, content)) = behind_extension(protocol, bytes) else { return false };
        (protocol, bytes) = (next, content);
    }
    false
}

/// The header after an extension header, by number and content; none if `protocol` is no extension.
#[inline(never)]
fn behind_extension(protocol: u8, bytes: &[u8]) -> Option<(u8, &[u8])> {
    use protocol::{
        AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT, HIP, HOP_BY_HOP, MOBILITY, ROUTING, SHIM6,
    };
    /// The offset of a fragment, in the upper bits of its field (RFC 8200 §4.5).
    const OFFSET: u16 = 0xfff8;
    let &[next, length, high, low] = bytes.first_chunk()?;
    let length = usize::from(length);
    let header = match protocol {
        // Lengths in units of eight bytes without the first (RFC 8200 §4), of four without the first
        // two (RFC 4302 §2.2), and fixed.
        HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | MOBILITY | HIP | SHIM6 => (length + 1) * 8,
        AUTHENTICATION => (length + 2) * 4,
        FRAGMENT if u16::from_be_bytes([high, low]) & OFFSET != 0 => bytes.len(),
        FRAGMENT => 8,
        _ => return None,
    };
    Some((next, bytes.get(header..).unwrap_or_default()))
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
