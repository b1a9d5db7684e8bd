//! Made-up frames of every protocol, byte by byte as the standards draw them.

use crate::wire::Mac;

pub(crate) const SWITCH: Mac = Mac([0x44, 0x4c, 0xa8, 0x74, 0xca, 0xb6]);
pub(crate) const ROUTER: Mac = Mac([0x0c, 0xc4, 0x7a, 0xba, 0x9c, 0x80]);
pub(crate) const OTHER: Mac = Mac([0x02, 0x00, 0x5e, 0x10, 0x00, 0x07]);
pub(crate) const HSRP_MAC: Mac = Mac([0x00, 0x00, 0x0c, 0x9f, 0xf0, 0x01]);
const GROUP: Mac = Mac([0x01, 0x00, 0x5e, 0x00, 0x00, 0x12]);

pub(crate) fn ethernet(to: Mac, from: Mac, kind: u16, content: &[u8]) -> Vec<u8> {
    [&to.0[..], &from.0, &kind.to_be_bytes(), content].concat()
}

pub(crate) fn tagged(vlan: u16, frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0], &vlan.to_be_bytes(), &frame[12..]].concat()
}

fn llc(from: Mac, content: &[u8]) -> Vec<u8> {
    let content = [&[0x42, 0x42, 3], content].concat();
    ethernet(Mac([1, 0x80, 0xc2, 0, 0, 0]), from, content.len() as u16, &content)
}

fn ipv4(from: u8, to: [u8; 4], protocol: u8, content: &[u8]) -> Vec<u8> {
    let total = (20 + content.len()) as u16;
    let mut packet = vec![0x45, 0xc0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0, 0, 255, protocol, 0, 0, 10, 0, 0, from]);
    packet.extend(to);
    packet.extend(content);
    ethernet(GROUP, Mac([2, 0, 0, 0, 0, from]), 0x0800, &packet)
}

/// To one host, by protocol and hop limit.
pub(crate) fn unicast(from: u8, to: u8, (protocol, hops): (u8, u8), content: &[u8]) -> Vec<u8> {
    let mut frame = ipv4(from, [10, 0, 0, to], protocol, content);
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, to]);
    frame[22] = hops;
    frame
}

pub(crate) fn unicast6(from: u8, to: u8, protocol: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = ipv6(from, address6(to), content);
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, to]);
    frame[20] = protocol;
    frame
}

fn ipv6(from: u8, to: [u8; 16], content: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((content.len() as u16).to_be_bytes());
    packet.extend([58, 255, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, from]);
    packet.extend(to);
    packet.extend(content);
    ethernet(GROUP, Mac([2, 0, 0, 0, 0, from]), 0x86dd, &packet)
}

pub(super) fn udp(from: u16, to: u16, content: &[u8]) -> Vec<u8> {
    let length = (8 + content.len()) as u16;
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &length.to_be_bytes(), &[0, 0], content].concat()
}

/// An end of a link: system, port, state.
pub(crate) type End = (Mac, u16, u8);

pub(crate) fn lacp(actor: End, partner: End) -> Vec<u8> {
    let end = |(system, port, state): End| {
        let mut bytes = vec![0x80, 0];
        bytes.extend(system.0);
        bytes.extend([0, 27, 0x80, 0]);
        bytes.extend(port.to_be_bytes());
        bytes.extend([state, 0, 0, 0]);
        bytes
    };
    let content = [&[1, 1, 1, 20][..], &end(actor), &[2, 20], &end(partner), &[3, 16]].concat();
    let mut frame = ethernet(Mac([1, 0x80, 0xc2, 0, 0, 2]), actor.0, 0x8809, &content);
    frame.resize(124, 0);
    frame
}

pub(crate) fn arp_request(from: (Mac, u8), to: Mac, target: u8) -> Vec<u8> {
    let mut content = vec![0, 1, 8, 0, 6, 4, 0, 1];
    content.extend(from.0.0);
    content.extend([10, 0, 0, from.1, 0, 0, 0, 0, 0, 0, 10, 0, 0, target]);
    ethernet(to, from.0, 0x0806, &content)
}

pub(crate) fn arp_reply(from: (Mac, u8), to: (Mac, u8)) -> Vec<u8> {
    let mut content = vec![0, 1, 8, 0, 6, 4, 0, 2];
    content.extend(from.0.0);
    content.extend([10, 0, 0, from.1]);
    content.extend(to.0.0);
    content.extend([10, 0, 0, to.1]);
    ethernet(to.0, from.0, 0x0806, &content)
}

fn address6(host: u8) -> [u8; 16] {
    [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]
}

pub(crate) fn solicitation(from: u8, target: u8) -> Vec<u8> {
    let content = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &address6(target)].concat();
    ipv6(from, address6(target), &content)
}

pub(crate) fn advertisement(target: u8, mac: Mac, to: u8) -> Vec<u8> {
    let head = [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &address6(target)].concat();
    ipv6(target, address6(to), &[&head[..], &[2, 1], &mac.0].concat())
}

/// Version 2, once a second, for 10.0.0.254.
pub(crate) fn vrrp(from: u8, group: u8, priority: u8) -> Vec<u8> {
    vrrp_for(from, group, priority, 254)
}

pub(crate) fn vrrp_for(from: u8, group: u8, priority: u8, host: u8) -> Vec<u8> {
    let head = [0x21, group, priority, 1, 0, 1, 0, 0, 10, 0, 0, host];
    ipv4(from, [224, 0, 0, 18], 112, &[&head[..], &[0; 8]].concat())
}

/// Version 1, hello 3 s, hold 10 s, for 10.0.0.254.
pub(crate) fn hsrp(from: u8, operation: u8, state: u8, priority: u8) -> Vec<u8> {
    hsrp_for(from, operation, state, priority, 254)
}

pub(crate) fn hsrp_for(from: u8, operation: u8, state: u8, priority: u8, host: u8) -> Vec<u8> {
    let head = [0, operation, state, 3, 10, priority, 1, 0];
    let content = [&head[..], b"cisco\0\0\0", &[10, 0, 0, host]].concat();
    ipv4(from, [224, 0, 0, 2], 17, &udp(1985, 1985, &content))
}

/// RSTP, hello 2 s; roots and bridges by the last byte of their address.
pub(crate) fn rstp(root: u8, bridge: u8, change: bool) -> Vec<u8> {
    let mut content = vec![0, 0, 2, 2, u8::from(change)];
    content.extend([0x80, 0, 2, 0, 0, 0, 0, root, 0, 0, 0, 4, 0x80, 0, 2, 0, 0, 0, 0, bridge]);
    content.extend([0x80, 1, 0, 0, 20, 0, 2, 0, 15, 0, 0]);
    llc(Mac([2, 0, 0, 0, 0, bridge]), &content)
}

pub(crate) fn lldp(chassis: u8, port: &str, ttl: u16) -> Vec<u8> {
    let mut content = vec![2, 7, 4, 2, 0, 0, 0, 0, chassis];
    content.extend([4, port.len() as u8 + 1, 5]);
    content.extend(port.as_bytes());
    content.extend([6, 2]);
    content.extend(ttl.to_be_bytes());
    content.extend([0, 0]);
    ethernet(Mac([1, 0x80, 0xc2, 0, 0, 0x0e]), Mac([2, 0, 0, 0, 0, chassis]), 0x88cc, &content)
}

/// Every 300 ms, three may be missing. State 0 to 3: held down, down, init, up.
pub(crate) fn bfd(from: u8, to: u8, state: u8, diag: u8) -> Vec<u8> {
    let interval = 300_000_u32.to_be_bytes();
    let head = [0x20 | diag, state << 6, 3, 24, 0, 0, 0, from, 0, 0, 0, to];
    let content = [&head[..], &interval, &interval, &[0; 4]].concat();
    ipv4(from, [10, 0, 0, to], 17, &udp(49_152, 3784, &content))
}

/// Version 2, of type 1 to 5, from a router that has the identity 10.0.0.`identity`.
fn ospf_packet(router: u8, identity: u8, to: [u8; 4], kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (24 + body.len()) as u8;
    let mut content = vec![2, kind, 0, length, 10, 0, 0, identity];
    content.resize(24, 0);
    ipv4(router, to, 89, &[&content[..], body].concat())
}

/// A hello every 10 s, dead 40 s, between routers of which none is designated.
pub(crate) fn ospf(router: u8, neighbours: &[u8]) -> Vec<u8> {
    ospf_every(router, router, (10, 40), neighbours)
}

pub(crate) fn ospf_every(
    router: u8,
    identity: u8,
    (hello, dead): (u8, u8),
    neighbours: &[u8],
) -> Vec<u8> {
    let mut body = vec![255, 255, 255, 0, 0, hello, 2, 1, 0, 0, 0, dead, 0, 0, 0, 0, 0, 0, 0, 0];
    for neighbour in neighbours {
        body.extend([10, 0, 0, *neighbour]);
    }
    ospf_packet(router, identity, [224, 0, 0, 5], 1, &body)
}

/// A database description: largest packet, initial (4) and more (2), number.
pub(crate) fn ospf_describes(router: u8, to: u8, mtu: u16, flags: u8, sequence: u8) -> Vec<u8> {
    let [high, low] = mtu.to_be_bytes();
    let body = [high, low, 2, flags, 0, 0, 0, sequence];
    ospf_packet(router, router, [10, 0, 0, to], 2, &body)
}

/// The lower of both called from port 40,000.
pub(crate) fn bgp(from: u8, to: u8, flags: u8, message: &[u8]) -> Vec<u8> {
    bgp_on(40_000, from, to, flags, (1, 1), message)
}

/// On the connection from `port`, with the numbers of the first byte and of the one expected.
pub(crate) fn bgp_on(
    port: u16,
    from: u8,
    to: u8,
    flags: u8,
    (sequence, expected): (u32, u32),
    message: &[u8],
) -> Vec<u8> {
    let (source, destination) = if from < to { (port, 179) } else { (179, port) };
    let mut content = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    content.extend([sequence.to_be_bytes(), expected.to_be_bytes()].concat());
    content.extend([0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    content.extend(message);
    ipv4(from, [10, 0, 0, to], 6, &content)
}

/// A SYN from port `from` to 179, signed with MD5 or not.
pub(crate) fn bgp_dial(from: u8, to: u8, is_signed: bool) -> Vec<u8> {
    let mut content = [40_000 + u16::from(from), 179].map(u16::to_be_bytes).concat();
    content.extend([0, 0, 0, 1, 0, 0, 0, 0, 0xa0, 2, 0x10, 0, 0, 0, 0, 0]);
    content.extend(if is_signed { [1, 1, 19, 18] } else { [1, 1, 1, 1] });
    content.resize(40, if is_signed { 7 } else { 1 });
    ipv4(from, [10, 0, 0, to], 6, &content)
}

/// An OPEN of this system, with a hold time of 9 s.
pub(crate) fn bgp_open(system: u16) -> Vec<u8> {
    let [high, low] = system.to_be_bytes();
    [&[0xff; 16][..], &[0, 29, 1, 4, high, low, 0, 9, 1, 1, 1, 1, 0]].concat()
}

pub(crate) const KEEP_ALIVE: [u8; 19] =
    [255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 19, 4];

pub(crate) fn notification(code: u8, subcode: u8) -> Vec<u8> {
    [&[0xff; 16][..], &[0, 21, 3, code, subcode]].concat()
}

/// Type 1 discover, 2 offer.
pub(crate) fn dhcp(client: Mac, kind: u8, transaction: u8) -> Vec<u8> {
    let mut content = vec![1, 1, 6, 0, 0, 0, 0, transaction, 0, 0, 0x80, 0];
    content.resize(28, 0);
    content.extend(client.0);
    content.resize(236, 0);
    content.extend([99, 130, 83, 99, 53, 1, kind, 255]);
    let (from, to) = if kind == 1 { (68, 67) } else { (67, 68) };
    ipv4(0, [255; 4], 17, &udp(from, to, &content))
}

/// Of 10.0.0.`from` to the client or to all: what it gives or asks for is 10.0.0.`address`, the router
/// 10.0.0.`router`; zero is left out.
pub(crate) fn lease(
    (from, to): (u8, [u8; 4]),
    client: Mac,
    (kind, transaction): (u8, u8),
    (server, address, router): (u8, u8, u8),
) -> Vec<u8> {
    let is_answer = [2, 5, 6].contains(&kind);
    let mut content = vec![1 + u8::from(is_answer), 1, 6, 0, 0, 0, 0, transaction];
    content.resize(28, 0);
    if is_answer && address > 0 {
        content[16..20].copy_from_slice(&[10, 0, 0, address]);
    }
    content.extend(client.0);
    content.resize(236, 0);
    content.extend([99, 130, 83, 99, 53, 1, kind]);
    for (code, value) in [(54, server), (3, router), (50, if is_answer { 0 } else { address })] {
        if value > 0 {
            content.extend([code, 4, 10, 0, 0, value]);
        }
    }
    content.push(255);
    let ports = if is_answer { (67, 68) } else { (68, 67) };
    let mut frame = ipv4(from, to, 17, &udp(ports.0, ports.1, &content));
    let (source, destination) = (if is_answer { ROUTER } else { client }, Mac::BROADCAST);
    frame[..6].copy_from_slice(&if to == [255; 4] { destination.0 } else { client.0 });
    frame[6..12].copy_from_slice(&source.0);
    frame
}

/// DHCPv6 of a client to all servers: 1 solicit, 3 request with a server's identifier.
pub(crate) fn solicit(from: u8, kind: u8, transaction: u8) -> Vec<u8> {
    let mut content = vec![kind, 0, 0, transaction, 0, 1, 0, 2, 7, from];
    if kind == 3 {
        content.extend([0, 2, 0, 2, 7, 7]);
    }
    let servers = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2];
    let mut frame = ipv6(from, servers, &udp(546, 547, &content));
    frame[20] = 17;
    frame
}

/// A router's offer for so many seconds; prefixes by their third group, with their valid lifetimes.
pub(crate) fn router(from: u8, mac: Mac, lifetime: u16, prefixes: &[(u8, u8)]) -> Vec<u8> {
    let mut content = vec![134, 0, 0, 0, 64, 0];
    content.extend(lifetime.to_be_bytes());
    content.resize(16, 0);
    content.extend([1, 1]);
    content.extend(mac.0);
    for (prefix, valid) in prefixes {
        content.extend([3, 4, 64, 0xc0, 0, 0, 0, *valid, 0, 0, 0, *valid, 0, 0, 0, 0]);
        content.extend([0x20, 1, 0x0d, 0xb8, 0, *prefix, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    let all = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let mut frame = ipv6(from, all, &content);
    frame[6..12].copy_from_slice(&mac.0);
    frame
}

/// A port is unreachable, to 10.0.0.`to`.
pub(crate) fn unreachable(to: u8) -> Vec<u8> {
    let mut content = vec![3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    content.extend([10, 0, 0, to, 192, 0, 2, 1, 0, 53, 0, 53, 0, 8, 0, 0]);
    ipv4(1, [10, 0, 0, to], 1, &content)
}
