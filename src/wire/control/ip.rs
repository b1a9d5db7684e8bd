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

/// Without a branch: which of the two ports is the ephemeral one changes from packet to packet, and each
/// wrong guess of the processor costs more than the whole look-up.
#[inline]
fn udp(from: u16, to: u16) -> bool {
    SERVICES.has(from) | SERVICES.has(to) | LISTENERS.has(to)
}

/// A set of ports up to [`Ports::HIGHEST`], a bit each: 1 KiB.
struct Ports([u64; Self::WORDS]);

impl Ports {
    /// The highest of interest.
    const HIGHEST: u16 = port::SEAMLESS_BFD;
    const BITS: usize = u64::BITS as usize;
    /// One more than the highest stands for all above it.
    const WORDS: usize = (Self::HIGHEST as usize + 1) / Self::BITS + 1;

    const fn of(ports: &[u16]) -> Self {
        let mut words = [0; Self::WORDS];
        let mut at = 0;
        while at < ports.len() {
            let port = ports[at] as usize;
            words[port / Self::BITS] |= 1 << (port % Self::BITS);
            at += 1;
        }
        Self(words)
    }

    #[inline]
    fn has(&self, port: u16) -> bool {
        let port = usize::from(port.min(Self::HIGHEST + 1));
        // Within the set, because the port was cut to what it has room for.
        self.0[port / Self::BITS] >> (port % Self::BITS) & 1 != 0
    }
}

/// UDP ports (IANA).
mod port {
    pub(super) const BOOTP_SERVER: u16 = 67;
    pub(super) const BOOTP_CLIENT: u16 = 68;
    pub(super) const RIP: u16 = 520;
    pub(super) const RIPNG: u16 = 521;
    pub(super) const DHCPV6_CLIENT: u16 = 546;
    pub(super) const DHCPV6_SERVER: u16 = 547;
    pub(super) const LDP: u16 = 646;
    /// RFC 2281; version 2 too, to 224.0.0.102.
    pub(super) const HSRP: u16 = 1985;
    pub(super) const HSRP_IPV6: u16 = 2029;
    pub(super) const GLBP: u16 = 3222;
    /// RFC 5881 §4.
    pub(super) const BFD: u16 = 3784;
    pub(super) const BFD_ECHO: u16 = 3785;
    /// RFC 5883 §5.
    pub(super) const BFD_MULTIHOP: u16 = 4784;
    /// RFC 8966 §4.
    pub(super) const BABEL: u16 = 6696;
    /// On each member of a bond, RFC 7130 §2.
    pub(super) const BFD_BOND: u16 = 6784;
    /// Reflectors answer from it (RFC 7881).
    pub(super) const SEAMLESS_BFD: u16 = 7784;
}

/// Ports that only the protocol's own speakers send from, so that answers are told by them too.
static SERVICES: Ports = Ports::of(&[
    port::BOOTP_SERVER,
    port::BOOTP_CLIENT,
    port::RIP,
    port::RIPNG,
    port::DHCPV6_CLIENT,
    port::DHCPV6_SERVER,
    port::LDP,
    port::SEAMLESS_BFD,
]);

/// Ports that count as destination only: each message is sent to them, and as a source they may be
/// anybody's ephemeral port.
static LISTENERS: Ports = Ports::of(&[
    port::HSRP,
    port::HSRP_IPV6,
    port::GLBP,
    port::BFD,
    port::BFD_ECHO,
    port::BFD_MULTIHOP,
    port::BABEL,
    port::BFD_BOND,
]);
