//! Is the neighbour there at layer 2? An ARP request (RFC 826) or a neighbour solicitation (RFC 4861 §4.3)
//! on the wire, to everybody, and the neighbour's own answer to us.
//!
//! The kernel's neighbour table has no part in this: what it remembers or has given up neither answers
//! for the neighbour nor keeps us from asking. Requests go to everybody each time, because a neighbour
//! may have moved to another hardware address, as virtual routers do.
//!
//! Neither kind of answer says which request it is for. An answer counts for the latest one, so one that
//! is late by more than the interval is taken for an early answer to the next request.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use pnet::datalink::{self, NetworkInterface};
use pnet::packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket, MutableArpPacket};
use pnet::packet::ethernet::EtherTypes;
use pnet::util::MacAddr;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::exchange::{Dialect, Heard, Line, Way, interface};
use crate::sys::link_address::{HARDWARE, link_address};

/// To everybody (IEEE 802-2014 §8.2.2).
const BROADCAST: [u8; HARDWARE] = [0xff; HARDWARE];
/// Bytes of an ARP packet for IPv4 on Ethernet (RFC 826).
const ARP: usize = 28;
/// ICMPv6 types of neighbour solicitation and advertisement (RFC 4861 §4.3, §4.4).
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Hop limit of both; no router lets another one pass, so it proves that the sender is a neighbour (RFC
/// 4861 §7.1).
const HOPS: u32 = 255;
/// Bytes of a solicitation with our hardware address, and where the target stands in both types.
const ND: usize = 32;
const ND_TARGET: usize = 8;
const ND_OPTION: usize = 24;
/// Source link-layer address, of one unit of eight bytes (RFC 4861 §4.6.1).
const SOURCE_HARDWARE: [u8; 2] = [1, 1];

/// Requests to one neighbour.
#[derive(Debug)]
pub(super) struct Neighbor {
    way: Way,
    /// Who asks; read anew after a request that was not answered, because it may have changed.
    own: Option<Own>,
    asked: u16,
    answered: bool,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Own {
    index: u32,
    hardware: MacAddr,
    /// In ARP; 0.0.0.0 where the interface has no address, which asks just as well (RFC 5227 §2.1.1).
    address: Ipv4Addr,
}

impl Neighbor {
    pub(super) fn new(way: Way) -> Self {
        Self { way, own: None, asked: 0, answered: false }
    }

    /// The sockets that a neighbour is asked through, which need CAP_NET_RAW, and hear nothing yet.
    pub(super) fn socket(far: IpAddr) -> io::Result<Socket> {
        match far {
            IpAddr::V4(_) => Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(0))),
            IpAddr::V6(_) => Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)),
        }
    }

    /// The interface the operator chose, else the one the route leads through.
    fn look_up(&self) -> io::Result<Own> {
        let interface = match &self.way.interface {
            Some(name) => interface(name)?,
            None => by_route(self.way.far, self.way.source)?,
        };
        let hardware = interface.mac.filter(|hardware| *hardware != MacAddr::zero());
        let hardware = hardware.ok_or_else(|| {
            io::Error::other(format!("{} has no hardware address to ask from", interface.name))
        })?;
        let address = match (self.way.source, self.way.far.ip()) {
            (Some(IpAddr::V4(source)), _) => source,
            (None, IpAddr::V4(far)) => own_address(&interface, far),
            _ => Ipv4Addr::UNSPECIFIED,
        };
        Ok(Own { index: interface.index, hardware, address })
    }

    /// Hears ARP replies on one interface, by the neighbour and nobody else: even in a storm of ARP, and
    /// a storm is when we are needed, we sleep.
    fn arp(far: Ipv4Addr, index: u32) -> io::Result<Line> {
        let socket = Self::socket(far.into())?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&passing(&[
            (HALF, ARP_OPERATION, u32::from(ArpOperations::Reply.0)),
            (WORD, ARP_SENDER, far.to_bits()),
        ]))?;
        let arp = EtherTypes::Arp.0;
        socket.bind(&link_address(index, arp, BROADCAST))?;
        Ok(Line { socket, to: Some(link_address(index, arp, BROADCAST)) })
    }

    /// Hears advertisements about the neighbour, by a neighbour. The multicast group needs no neighbour
    /// table to be reached (RFC 2464 §7).
    fn nd(&self, far: Ipv6Addr, index: u32) -> io::Result<Line> {
        let socket = Self::socket(far.into())?;
        let [.., last] = far.segments().map(u32::from);
        socket.attach_filter(&passing(&[
            (BYTE, 0, u32::from(ADVERTISEMENT)),
            (BYTE, OF_IP_HEADER + IPV6_HOP_LIMIT, HOPS),
            (HALF, ND_LAST_SEGMENT, last),
        ]))?;
        self.way.prepare(&socket)?;
        socket.set_multicast_if_v6(index)?;
        socket.set_multicast_hops_v6(HOPS)?;
        socket.set_multicast_loop_v6(false)?;
        let group = SocketAddr::from(SocketAddrV6::new(solicited_node(far), 0, 0, index));
        Ok(Line { socket, to: Some(group.into()) })
    }

    fn is_answer(&self, packet: &[u8]) -> bool {
        let Some(own) = self.own else { return false };
        match self.way.far.ip() {
            IpAddr::V4(far) => ArpPacket::new(packet).is_some_and(|arp| {
                arp.get_operation() == ArpOperations::Reply
                    && arp.get_sender_proto_addr() == far
                    && arp.get_target_hw_addr() == own.hardware
                    && arp.get_target_proto_addr() == own.address
            }),
            IpAddr::V6(far) => {
                packet.first() == Some(&ADVERTISEMENT)
                    && packet.get(ND_TARGET..ND_OPTION) == Some(&far.octets()[..])
            }
        }
    }
}

impl Dialect for Neighbor {
    fn open(&mut self) -> io::Result<Line> {
        let own = self.look_up()?;
        self.own = Some(own);
        match self.way.far.ip() {
            IpAddr::V4(far) => Self::arp(far, own.index),
            IpAddr::V6(far) => self.nd(far, own.index),
        }
    }

    fn request(&mut self, sequence: u16) -> io::Result<Vec<u8>> {
        if !self.answered {
            let own = self.look_up()?;
            // The socket belongs to the interface that was; refusing it makes a new one.
            if self.own.replace(own).is_some_and(|before| before.index != own.index) {
                return Err(io::Error::other("the interface is another one now"));
            }
        }
        (self.asked, self.answered) = (sequence, false);
        let own = self.own.map_or_else(|| self.look_up(), Ok)?;
        Ok(match self.way.far.ip() {
            IpAddr::V4(far) => arp_request(&own, far),
            IpAddr::V6(far) => solicitation(own.hardware, far),
        })
    }

    fn heard(&mut self, datagram: &[u8]) -> Heard {
        if !self.is_answer(datagram) {
            return Heard::Stray;
        }
        self.answered = true;
        Heard::Answer(self.asked)
    }
}

/// The address that is on one network with the neighbour, else any.
fn own_address(interface: &NetworkInterface, far: Ipv4Addr) -> Ipv4Addr {
    let mut any = Ipv4Addr::UNSPECIFIED;
    for network in &interface.ips {
        if let IpAddr::V4(address) = network.ip() {
            if network.contains(far.into()) {
                return address;
            }
            if any.is_unspecified() {
                any = address;
            }
        }
    }
    any
}

/// The interface that has the address the kernel would send from. Connecting a UDP socket asks for the
/// route and sends nothing.
fn by_route(far: SocketAddr, source: Option<IpAddr>) -> io::Result<NetworkInterface> {
    /// The discard port (RFC 863): any would do.
    const PORT: u16 = 9;
    let any =
        if far.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((source.unwrap_or(any), 0))?;
    let hint = |why: io::Error| {
        io::Error::new(
            why.kind(),
            format!("{why}; name the interface, as in arp:{}%eth0", far.ip()),
        )
    };
    socket.connect((far.ip(), PORT)).map_err(hint)?;
    let own = socket.local_addr()?.ip();
    let has = |interface: &NetworkInterface| interface.ips.iter().any(|net| net.ip() == own);
    let gone = || hint(io::Error::other(format!("no interface has {own}")));
    datalink::interfaces().into_iter().find(has).ok_or_else(gone)
}

fn arp_request(own: &Own, far: Ipv4Addr) -> Vec<u8> {
    let mut bytes = vec![0; ARP];
    if let Some(mut arp) = MutableArpPacket::new(&mut bytes) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(HARDWARE as u8);
        arp.set_proto_addr_len(far.octets().len() as u8);
        arp.set_operation(ArpOperations::Request);
        arp.set_sender_hw_addr(own.hardware);
        arp.set_sender_proto_addr(own.address);
        arp.set_target_proto_addr(far);
    }
    bytes
}

/// The kernel fills in the checksum, which covers addresses that it chooses (RFC 3542 §3.1).
fn solicitation(own: MacAddr, far: Ipv6Addr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ND);
    bytes.extend([SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(far.octets());
    bytes.extend(SOURCE_HARDWARE);
    bytes.extend(own.octets());
    bytes
}

/// RFC 4291 §2.7.1: ff02::1:ff and the last three bytes of the address.
fn solicited_node(far: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = far.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low)
}

/// Where an ARP packet has its operation and its sender's IPv4 address (RFC 826).
const ARP_OPERATION: u32 = 6;
const ARP_SENDER: u32 = 14;
/// Where an advertisement has the last segment of its target.
const ND_LAST_SEGMENT: u32 = 22;
/// `SKF_NET_OFF` (linux/filter.h): what follows counts from the IP header, which a raw IPv6 socket does
/// not show.
const OF_IP_HEADER: u32 = (-0x10_0000_i32).cast_unsigned();
/// Where an IPv6 header has its hop limit (RFC 8200 §3).
const IPV6_HOP_LIMIT: u32 = 7;

/// Loads of a classic BPF program (linux/bpf_common.h).
const WORD: u16 = (libc::BPF_LD | libc::BPF_ABS | libc::BPF_W) as u16;
const HALF: u16 = (libc::BPF_LD | libc::BPF_ABS | libc::BPF_H) as u16;
const BYTE: u16 = (libc::BPF_LD | libc::BPF_ABS | libc::BPF_B) as u16;

/// A program that takes packets in which all these hold: this load at this place gives this value.
fn passing(conditions: &[(u16, u32, u32)]) -> Vec<SockFilter> {
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    /// Of the packet; more than any of those that are asked for has.
    const WHOLE: u32 = u16::MAX as u32;
    let mut program = Vec::new();
    for (load, place, value) in conditions.iter().copied() {
        program.push(SockFilter::new(load, 0, 0, place));
        program.push(SockFilter::new(EQUAL, 1, 0, value));
        program.push(SockFilter::new(RETURN, 0, 0, 0));
    }
    program.push(SockFilter::new(RETURN, 0, 0, WHOLE));
    program
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: Own =
        Own { index: 7, hardware: MacAddr(2, 0, 0, 0, 0, 1), address: Ipv4Addr::new(192, 0, 2, 9) };

    fn neighbor(far: &str) -> Neighbor {
        let way =
            Way { far: SocketAddr::new(far.parse().unwrap(), 0), interface: None, source: None };
        Neighbor { own: Some(OWN), asked: 5, ..Neighbor::new(way) }
    }

    #[test]
    fn requests_have_the_bytes_of_the_rfcs() {
        let arp = arp_request(&OWN, Ipv4Addr::new(192, 0, 2, 1));
        let expected = [
            &[0, 1, 8, 0, 6, 4, 0, 1][..],
            &[2, 0, 0, 0, 0, 1, 192, 0, 2, 9],
            &[0, 0, 0, 0, 0, 0, 192, 0, 2, 1],
        ];
        assert_eq!(arp, expected.concat());
        let far: Ipv6Addr = "2001:db8::12:3456".parse().unwrap();
        let nd = solicitation(OWN.hardware, far);
        assert_eq!(
            (nd.len(), &nd[..4], &nd[24..]),
            (ND, &[135, 0, 0, 0][..], &[1, 1, 2, 0, 0, 0, 0, 1][..])
        );
        assert_eq!(solicited_node(far).to_string(), "ff02::1:ff12:3456");
    }

    #[test]
    fn only_the_neighbours_answer_to_us_is_one() {
        let reply = |change: &dyn Fn(&mut [u8])| {
            let theirs =
                Own { address: [192, 0, 2, 1].into(), hardware: MacAddr(2, 0, 0, 0, 0, 2), ..OWN };
            let mut bytes = arp_request(&theirs, OWN.address);
            bytes[7] = 2;
            bytes[18..24].copy_from_slice(&OWN.hardware.octets());
            change(&mut bytes);
            bytes
        };
        for (what, bytes, heard) in [
            ("a reply", reply(&|_| ()), Heard::Answer(5)),
            ("with padding", [reply(&|_| ()), vec![0; 18]].concat(), Heard::Answer(5)),
            ("a request", reply(&|b| b[7] = 1), Heard::Stray),
            ("by somebody else", reply(&|b| b[17] = 3), Heard::Stray),
            ("to somebody else", reply(&|b| b[23] = 7), Heard::Stray),
            ("about somebody else", reply(&|b| b[27] = 7), Heard::Stray),
            ("cut", reply(&|_| ())[..20].to_vec(), Heard::Stray),
        ] {
            assert_eq!(neighbor("192.0.2.1").heard(&bytes), heard, "{what}");
        }
        let mut advertisement = solicitation(OWN.hardware, "fe80::1".parse().unwrap());
        assert_eq!(neighbor("fe80::1").heard(&advertisement), Heard::Stray, "a solicitation");
        advertisement[0] = 136;
        assert_eq!(neighbor("fe80::1").heard(&advertisement), Heard::Answer(5));
        assert_eq!(neighbor("fe80::2").heard(&advertisement), Heard::Stray, "about another");
    }

    proptest! {
        #[test]
        fn no_packet_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(neighbor("192.0.2.1").heard(&bytes), Heard::Stray);
            prop_assert_eq!(neighbor("fe80::1").heard(&bytes), Heard::Stray);
        }
    }
}
