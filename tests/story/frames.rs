//! The frames of the story, whole and with checksums, so that any dissector knows them.

use std::net::Ipv4Addr;

use dashcap::frame::Direction;
use dashcap::wire::lacp::State;
use pnet::packet::tcp::{TcpFlags, TcpPacket, ipv4_checksum};
use pnet::packet::util::checksum;

type Mac = [u8; 6];

/// Locally administered addresses; IP addresses are for documentation (RFC 5737).
const ROUTER: Mac = [0x02, 0xc4, 0x7a, 0xba, 0x9c, 0x80];
const SWITCH: Mac = [0x02, 0x4c, 0xa8, 0x74, 0xca, 0xb6];
const SERVER: Mac = [0x02, 0x54, 0, 0, 0, 9];
const NEIGHBOR: Mac = [0, 0, 0x0c, 0x9f, 0xf0, 1];
const BROADCAST: Mac = [0xff; 6];
const ROUTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 75);
const NEXT_HOP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 65);
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 40);
const DATABASE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 143);
const RESOLVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
/// Slow protocols (IEEE 802.3 57A).
const SLOW: u16 = 0x8809;
const VLAN: u16 = 0x8100;
const TCP: u8 = 6;
const UDP: u8 = 17;
const VRRP: u8 = 112;
/// The customer's network.
const CUSTOMER: u16 = 956;
/// Shortest frame (IEEE 802.3 3.2.8, with a tag and without its checksum). All copies of the storm are as
/// long, which the injector of the benchmark needs.
pub(super) const SHORTEST: usize = 64;

/// The three that repeat: a TCP keep-alive's ACK, an ARP request for the next hop to one host, the same
/// to all.
pub(crate) fn storm() -> [Vec<u8>; 3] {
    let ack = tcp((61_730, 1_434), (11_646, 3_142), TcpFlags::ACK, (CLIENT, DATABASE), &[]);
    let ack = ipv4((CLIENT, DATABASE), TCP, 126, 3, &ack);
    [ethernet(SERVER, ROUTER, Some(CUSTOMER), IPV4, &ack), arp(NEIGHBOR), arp(BROADCAST)]
}

fn arp(to: Mac) -> Vec<u8> {
    let mut request = vec![0, 1, 8, 0, 6, 4, 0, 1];
    request.extend(ROUTER);
    request.extend(ROUTER_ADDRESS.octets());
    request.extend([0; 6]);
    request.extend(NEXT_HOP.octets());
    ethernet(to, ROUTER, None, ARP, &request)
}

const WORKING: u8 = State::ACTIVE
    | State::AGGREGATION
    | State::SYNCHRONIZATION
    | State::COLLECTING
    | State::DISTRIBUTING;

/// The router's LACPDU on the slave: to it, all is well.
pub(crate) fn lacp_from_router() -> Vec<u8> {
    lacp(ROUTER, (ROUTER, 9, WORKING), (SWITCH, 27, WORKING))
}

/// The switch's.
pub(crate) fn lacp_from_switch(expired: bool, defaulted: bool) -> Vec<u8> {
    let trouble = State::ACTIVE | State::AGGREGATION;
    let state = match (expired, defaulted) {
        (_, true) => trouble | State::DEFAULTED,
        (true, _) => trouble | State::EXPIRED,
        _ => WORKING,
    };
    lacp(SWITCH, (SWITCH, 27, state), (ROUTER, 9, WORKING))
}

/// IEEE 802.1AX-2020 6.4.2.3: actor, partner, collector, terminator, in 110 bytes.
fn lacp(from: Mac, actor: (Mac, u16, u8), partner: (Mac, u16, u8)) -> Vec<u8> {
    let mut unit = vec![1, 1];
    for (kind, (system, port, state)) in [(1, actor), (2, partner)] {
        unit.extend([kind, 20, 0x80, 0]);
        unit.extend(system);
        unit.extend([0, 27, 0, 255]);
        unit.extend(port.to_be_bytes());
        unit.extend([state, 0, 0, 0]);
    }
    unit.extend([3, 16]);
    unit.resize(110, 0);
    ethernet([0x01, 0x80, 0xc2, 0, 0, 2], from, None, SLOW, &unit)
}

/// RFC 3768 5.1.
pub(super) fn vrrp() -> Vec<u8> {
    let mut said = vec![0x21, 1, 100, 1, 0, 1, 0, 0];
    said.extend(ROUTER_ADDRESS.octets());
    said.extend([0; 8]);
    let sum = checksum(&said, 3);
    said[6..8].copy_from_slice(&sum.to_be_bytes());
    let group = Ipv4Addr::new(224, 0, 0, 18);
    let packet = ipv4((ROUTER_ADDRESS, group), VRRP, 255, 7, &said);
    ethernet([1, 0, 0x5e, 0, 0, 18], ROUTER, None, IPV4, &packet)
}

/// RFC 2281 5: version 1, hello, active, 3 s and 10 s, priority 120, group 1.
pub(super) fn hsrp() -> Vec<u8> {
    let mut said = vec![0, 0, 16, 3, 10, 120, 1, 0];
    said.extend(*b"cisco\0\0\0");
    said.extend(NEXT_HOP.octets());
    let all_routers = Ipv4Addr::new(224, 0, 0, 2);
    let packet = ipv4((NEXT_HOP, all_routers), UDP, 1, 0, &udp((1985, 1985), &said));
    ethernet([1, 0, 0x5e, 0, 0, 2], NEIGHBOR, None, IPV4, &packet)
}

/// Transfers of some hosts in the customer's network, each with its acknowledgements; streams over UDP;
/// questions to a name server. What they carry does not compress, as if encrypted.
pub(super) struct Traffic {
    bits_per_second: u64,
    /// xorshift64 (Marsaglia 2003).
    state: u64,
    number: u32,
    /// Bytes sent by each connection.
    sent: [u32; Self::CONNECTIONS],
}

impl Traffic {
    const CONNECTIONS: usize = 32;
    /// After the fault this part of the traffic still comes in.
    const TRICKLE: u64 = 16;

    pub(super) fn new(bits_per_second: u64) -> Self {
        let state = 0x9e37_79b9_7f4a_7c15;
        Self { bits_per_second, state, number: 0, sent: [0; Self::CONNECTIONS] }
    }

    /// Makes the next frame; says which way it goes, and the nanoseconds until the one after it.
    pub(super) fn next(&mut self, works: bool, frame: &mut Vec<u8>) -> (Direction, u64) {
        self.number += 1;
        let connection = self.random(Self::CONNECTIONS as u64) as usize;
        let inbound = !works || self.random(2) == 0;
        let length = self.random(1_400) as usize;
        let payload = match self.random(8) {
            0..4 => self.tcp(connection, inbound, length),
            4..6 => self.tcp(connection, inbound, 0),
            6 => self.stream(connection, inbound, length),
            _ => self.question(inbound),
        };
        let (to, from) = if inbound { (ROUTER, SERVER) } else { (SERVER, ROUTER) };
        *frame = ethernet(to, from, Some(CUSTOMER), IPV4, &payload);
        let share = if works { 1 } else { Self::TRICKLE };
        let mean = frame.len() as u64 * 8 * 1_000_000_000 * share / self.bits_per_second;
        // Between half and one and a half of what the rate asks for.
        let pause = mean / 2 + self.random(mean.max(1));
        (if inbound { Direction::Inbound } else { Direction::Outbound }, pause.max(1))
    }

    fn tcp(&mut self, connection: usize, inbound: bool, length: usize) -> Vec<u8> {
        let (port, sent) = (40_000 + connection as u16, self.sent[connection]);
        self.sent[connection] = sent.wrapping_add(length as u32);
        let (ports, ends) = way((port, 7_777), (CLIENT, DATABASE), inbound);
        let data = self.noise(length);
        // The acknowledgement numbers each frame: no two are alike.
        tcp_packet(ports, (sent, self.number), ends, self.number, &data)
    }

    fn stream(&mut self, connection: usize, inbound: bool, length: usize) -> Vec<u8> {
        let (ports, ends) = way((50_000 + connection as u16, 7_778), (CLIENT, DATABASE), inbound);
        let mut data = self.number.to_be_bytes().to_vec();
        data.extend(self.noise(length));
        ipv4(ends, UDP, 62, self.number as u16, &udp(ports, &data))
    }

    /// For the address of one of 65,536 hosts (RFC 1035 4.1); answers are as long.
    fn question(&mut self, inbound: bool) -> Vec<u8> {
        let (ports, ends) = way((53_000, 53), (CLIENT, RESOLVER), inbound);
        let id = (self.number as u16).to_be_bytes();
        let flags = if inbound { 0x81 } else { 0x01 };
        let mut said = vec![id[0], id[1], flags, 0, 0, 1, 0, 0, 0, 0, 0, 0, 8];
        said.extend(format!("h{:07}", self.number % 10_000_000).bytes());
        said.extend(*b"\x07example\0\0\x01\0\x01");
        ipv4(ends, UDP, 62, self.number as u16, &udp(ports, &said))
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        let words = (0..length.div_ceil(8)).flat_map(|_| self.step().to_le_bytes());
        words.take(length).collect()
    }

    fn random(&mut self, below: u64) -> u64 {
        (self.step() >> 11) % below
    }

    fn step(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

type Ports = (u16, u16);
type Ends = (Ipv4Addr, Ipv4Addr);

fn way(ports: Ports, ends: Ends, back: bool) -> (Ports, Ends) {
    if back { ((ports.1, ports.0), (ends.1, ends.0)) } else { (ports, ends) }
}

fn tcp_packet(ports: Ports, at: (u32, u32), ends: Ends, id: u32, data: &[u8]) -> Vec<u8> {
    let flags = if data.is_empty() { TcpFlags::ACK } else { TcpFlags::ACK | TcpFlags::PSH };
    ipv4(ends, TCP, 126, id as u16, &tcp(ports, at, flags, ends, data))
}

/// RFC 9293 3.1, without options.
fn tcp(ports: Ports, at: (u32, u32), flags: u8, ends: Ends, data: &[u8]) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20 + data.len());
    segment.extend(ports.0.to_be_bytes());
    segment.extend(ports.1.to_be_bytes());
    segment.extend(at.0.to_be_bytes());
    segment.extend(at.1.to_be_bytes());
    segment.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(data);
    if let Some(packet) = TcpPacket::new(&segment) {
        let sum = ipv4_checksum(&packet, &ends.0, &ends.1);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
    }
    segment
}

/// RFC 768; no checksum, which IPv4 allows.
fn udp(ports: Ports, data: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(8 + data.len());
    datagram.extend(ports.0.to_be_bytes());
    datagram.extend(ports.1.to_be_bytes());
    datagram.extend((8 + data.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(data);
    datagram
}

/// RFC 791 3.1, without options.
fn ipv4(ends: Ends, protocol: u8, hops: u8, id: u16, data: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(20 + data.len());
    packet.extend([0x45, 0]);
    packet.extend((20 + data.len() as u16).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend([0x40, 0, hops, protocol, 0, 0]);
    packet.extend(ends.0.octets());
    packet.extend(ends.1.octets());
    let sum = checksum(&packet, 5);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(data);
    packet
}

/// IEEE 802.3 3.1.1, with a tag of IEEE 802.1Q 9.6 if there is one.
fn ethernet(to: Mac, from: Mac, vlan: Option<u16>, kind: u16, data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(18 + data.len().max(SHORTEST));
    frame.extend(to);
    frame.extend(from);
    if let Some(vlan) = vlan {
        frame.extend(VLAN.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(data);
    frame.resize(frame.len().max(SHORTEST), 0);
    frame
}
