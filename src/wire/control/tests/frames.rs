//! Hand-made frames: every protocol of the table, every encapsulation, and their look-alikes.

/// A frame, what it is, and how tshark calls it.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) control: bool,
    /// A word of tshark's `frame.protocols`, the judge that the bytes are what the name says.
    pub(super) word: &'static str,
}

const DESTINATION: [u8; 6] = [0x02, 0, 0x5e, 0, 0, 1];
const SOURCE: [u8; 6] = [0x02, 0, 0x5e, 0, 0, 2];

/// Type, then content, behind two addresses.
pub(super) fn ethernet(kind: u16, content: &[u8]) -> Vec<u8> {
    [&DESTINATION[..], &SOURCE, &kind.to_be_bytes(), content].concat()
}

/// The frame with VLAN tags behind its addresses, outermost first.
pub(super) fn tagged(frame: &[u8], tpids: &[u16]) -> Vec<u8> {
    let tags: Vec<u8> =
        tpids.iter().flat_map(|tpid| [&tpid.to_be_bytes()[..], &[0x23, 0xbc]].concat()).collect();
    [&frame[..12], &tags, &frame[12..]].concat()
}

fn llc(content: &[u8]) -> Vec<u8> {
    ethernet(content.len() as u16, content)
}

fn snap(organisation: [u8; 3], protocol: u16, content: &[u8]) -> Vec<u8> {
    llc(&[&[0xaa, 0xaa, 3][..], &organisation, &protocol.to_be_bytes(), content].concat())
}

fn cisco(protocol: u16, content: &[u8]) -> Vec<u8> {
    snap([0, 0, 0x0c], protocol, content)
}

/// An IPv4 packet with `options` of whole words, of a fragment at `offset` in units of eight bytes.
fn ipv4_with(protocol: u8, options: &[u8], offset: u16, more: bool, content: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let fragment = offset | if more { 0x2000 } else { 0 };
    let mut packet = vec![0x40 | (header / 4) as u8, 0xc0];
    packet.extend(((header + content.len()) as u16).to_be_bytes());
    packet.extend([0x12, 0x34]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([255, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(options);
    packet.extend(content);
    packet
}

pub(super) fn ipv4(protocol: u8, content: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, &[], 0, false, content)
}

pub(super) fn ipv6(next: u8, content: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((content.len() as u16).to_be_bytes());
    packet.extend([next, 255]);
    for host in [1, 2] {
        packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
    }
    packet.extend(content);
    packet
}

/// An IPv6 extension header of `words` times eight bytes, padded with PadN (RFC 8200 §4.2).
fn extension(next: u8, words: u8, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; usize::from(words) * 8];
    header[..4].copy_from_slice(&[next, words - 1, 1, words * 8 - 4]);
    [&header[..], content].concat()
}

fn fragment(next: u8, offset: u16, more: bool, content: &[u8]) -> Vec<u8> {
    let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
    [&[next, 0, high, low, 0, 0, 0x12, 0x34], content].concat()
}

fn authenticated(next: u8, content: &[u8]) -> Vec<u8> {
    [&[next, 4, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1][..], &[0x5a; 12], content].concat()
}

pub(super) fn udp(from: u16, to: u16, content: &[u8]) -> Vec<u8> {
    let length = (8 + content.len()) as u16;
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &length.to_be_bytes(), &[0, 0], content].concat()
}

pub(super) fn tcp(from: u16, to: u16, content: &[u8]) -> Vec<u8> {
    let rest = [0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0x10, 0, 0, 0, 0, 0];
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &rest, content].concat()
}

fn mpls(labels: &[u32], content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, label) in labels.iter().enumerate() {
        let bottom = u32::from(at + 1 == labels.len());
        bytes.extend((label << 12 | bottom << 8 | 64).to_be_bytes());
    }
    bytes.extend(content);
    bytes
}

fn pppoe(protocol: u16, content: &[u8]) -> Vec<u8> {
    let length = ((content.len() + 2) as u16).to_be_bytes();
    [&[0x11, 0, 0, 1][..], &length, &protocol.to_be_bytes(), content].concat()
}

/// A BFD control packet, up (RFC 5880 §4.1).
const BFD: [u8; 24] =
    [0x20, 0xc0, 3, 24, 0, 0, 0, 1, 0, 0, 0, 2, 0, 4, 0x93, 0xe0, 0, 4, 0x93, 0xe0, 0, 0, 0, 0];
const ECHO_REQUEST: [u8; 8] = [8, 0, 0xf7, 0xfd, 0, 1, 0, 1];
const ARP: [u8; 28] =
    [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0x5e, 0, 0, 2, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1];
const OSPF_HELLO: [u8; 44] = [
    2, 1, 0, 44, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 0, 0,
    10, 2, 1, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0,
];
const VRRP: [u8; 12] = [0x31, 1, 100, 1, 0, 100, 0, 0, 192, 0, 2, 254];

/// A BGP keep-alive (RFC 4271 §4.4).
fn bgp() -> Vec<u8> {
    [&[0xff; 16][..], &[0, 19, 4]].concat()
}

/// Enough of a DHCP discover for its dissector: header, cookie, message type, end (RFC 2131 §2).
fn dhcp() -> Vec<u8> {
    let mut bytes = vec![0; 236];
    bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
    bytes.extend([99, 130, 83, 99, 53, 1, 1, 255]);
    bytes
}

fn lacp() -> Vec<u8> {
    let mut bytes = vec![0; 110];
    bytes[..4].copy_from_slice(&[1, 1, 1, 20]);
    bytes[22..24].copy_from_slice(&[2, 20]);
    bytes[42..44].copy_from_slice(&[3, 16]);
    bytes
}

pub(super) fn samples() -> Vec<Sample> {
    let mut all: Vec<Sample> = Vec::new();
    let mut add = |control, name, word, bytes| all.push(Sample { name, bytes, control, word });
    let v4 = |protocol, content: &[u8]| ethernet(0x0800, &ipv4(protocol, content));
    let v6 = |next, content: &[u8]| ethernet(0x86dd, &ipv6(next, content));
    let v4_udp = |from, to, content: &[u8]| ethernet(0x0800, &ipv4(17, &udp(from, to, content)));
    let v6_udp = |from, to, content: &[u8]| ethernet(0x86dd, &ipv6(17, &udp(from, to, content)));
    let (arp, ping) = (ethernet(0x0806, &ARP), ipv4(1, &ECHO_REQUEST));
    let (web, web6) = (ipv4(6, &tcp(40_000, 443, &[])), ipv6(6, &tcp(443, 40_000, &[])));

    // Ethernet.
    add(true, "ARP", "arp", arp.clone());
    add(true, "RARP", "arp", ethernet(0x8035, &ARP));
    add(true, "LACP", "lacp", ethernet(0x8809, &lacp()));
    add(true, "marker", "marker", ethernet(0x8809, &[[2, 1, 1, 16], [0; 4]].concat()));
    add(true, "OAM", "oampdu", ethernet(0x8809, &[3, 0, 0x50, 0, 0, 0, 0]));
    add(true, "OSSP", "ossp", ethernet(0x8809, &[10, 0, 0x19, 0xa7, 0, 2]));
    add(true, "LLDP", "lldp", ethernet(0x88cc, &[2, 2, 7, 65, 4, 2, 7, 66, 6, 2, 0, 120, 0, 0]));
    add(true, "EAPOL", "eapol", ethernet(0x888e, &[1, 1, 0, 0]));
    add(true, "MKA", "eapol", ethernet(0x888e, &[3, 5, 0, 4, 1, 0, 0, 0]));
    add(true, "CFM", "cfm", ethernet(0x8902, &[0xa0, 1, 4, 70, 0, 0, 0, 1, 0, 1]));
    add(true, "MAC control", "macc", ethernet(0x8808, &[0, 1, 0xff, 0xff]));
    add(true, "PTP", "ptp", ethernet(0x88f7, &[[0, 2, 0, 44], [0; 4]].concat()));
    add(true, "MVRP", "mrp-mvrp", ethernet(0x88f5, &[0, 1, 2, 0, 0, 0, 0]));
    add(true, "MMRP", "mrp-mmrp", ethernet(0x88f6, &[0, 1, 1, 0, 0, 0, 0]));
    add(true, "MRP", "pn_mrp", ethernet(0x88e3, &[0, 1, 0, 0]));
    add(true, "PRP supervision", "hsr_prp_supervision", ethernet(0x88fb, &[0, 0x10, 0, 1, 20, 6]));
    add(true, "loopback", "loop", ethernet(0x9000, &[0, 0, 1, 0, 0, 0]));
    add(true, "IS-IS of TRILL", "isis", ethernet(0x22f4, &[0x83, 27, 1, 0, 15, 1, 0, 0]));
    add(true, "PPPoE discovery", "pppoed", ethernet(0x8863, &[0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0]));
    add(true, "STP", "stp", llc(&[[0x42; 2], [3, 0], [0; 2], [0x80, 0]].concat()));
    add(true, "RSTP", "stp", llc(&[0x42, 0x42, 3, 0, 0, 2, 2, 0x3c]));
    add(true, "IS-IS", "isis", llc(&[0xfe, 0xfe, 3, 0x83, 27, 1, 0, 15, 1, 0, 0]));
    add(true, "ES-IS", "esis", llc(&[0xfe, 0xfe, 3, 0x82, 15, 1, 0, 2, 0, 60, 0, 0]));
    add(true, "PVST+", "stp", cisco(0x010b, &[0, 0, 2, 2, 0x3c]));
    add(true, "CDP", "cdp", cisco(0x2000, &[2, 180, 0, 0]));
    add(true, "UDLD", "udld", cisco(0x0111, &[0x21, 0, 0, 0]));
    add(true, "PAgP", "pagp", cisco(0x0104, &[1, 0, 0, 0, 0, 0]));
    add(true, "VTP", "vtp", cisco(0x2003, &[1, 1, 0, 0]));
    add(true, "DTP", "dtp", cisco(0x2004, &[1, 0, 1, 0, 5, 0]));
    add(true, "ARP in SNAP", "arp", snap([0; 3], 0x0806, &ARP));
    add(true, "ping in SNAP", "icmp", snap([0; 3], 0x0800, &ping));
    add(false, "TCP in SNAP", "tcp", snap([0; 3], 0x0800, &web));
    add(false, "AppleTalk in SNAP", "ddp", snap([8, 0, 7], 0x809b, &[0; 13]));
    add(false, "CLNP", "clnp", llc(&[0xfe, 0xfe, 3, 0x81, 51, 1, 64, 28]));
    add(false, "IPX", "ipx", llc(&[[0xe0, 0xe0], [3, 0xff], [0xff, 0], [30, 0]].concat()));
    add(false, "no type and no length", "eth", ethernet(0x05f0, &ARP));
    add(false, "PROFINET", "pn_rt", ethernet(0x8892, &[[0x80, 0], [0; 2], [0; 2]].concat()));
    add(
        false,
        "MACsec",
        "macsec",
        ethernet(0x88e5, &[&[0x0c, 0, 0, 0, 0, 1, 8, 6][..], &[0x5a; 44]].concat()),
    );

    // IP.
    add(true, "ping", "icmp", ethernet(0x0800, &ping));
    add(true, "IGMP with router alert", "igmp", {
        let report = [0x16, 0, 9, 0xf6, 239, 0, 0, 7];
        ethernet(0x0800, &ipv4_with(2, &[0x94, 4, 0, 0], 0, false, &report))
    });
    add(true, "RSVP", "rsvp", v4(46, &[0x10, 20, 0, 0, 255, 0, 0, 8]));
    add(true, "EIGRP", "eigrp", v4(88, &[[2, 5, 0, 0], [0; 4], [0; 4], [0; 4], [0; 4]].concat()));
    add(true, "OSPF", "ospf", v4(89, &OSPF_HELLO));
    add(true, "PIM", "pim", v4(103, &[0x20, 0, 0xdf, 0xff]));
    add(true, "VRRP", "vrrp", v4(112, &VRRP));
    add(true, "VRRP behind authentication", "vrrp", v4(51, &authenticated(112, &VRRP)));
    add(true, "OSPF behind authentication", "ospf", v4(51, &authenticated(89, &OSPF_HELLO)));
    add(true, "neighbour solicitation", "icmpv6", v6(58, &[&[135][..], &[0; 23]].concat()));
    add(true, "MLD behind hop-by-hop", "icmpv6", {
        v6(0, &extension(58, 1, &[&[143][..], &[0; 7]].concat()))
    });
    add(true, "OSPFv3", "ospf", v6(89, &[[3, 1, 0, 36], [0; 4], [0; 4], [0; 4]].concat()));
    add(true, "VRRP over IPv6", "vrrp", v6(112, &[&VRRP[..8], &[0; 16]].concat()));
    add(true, "PIM over IPv6", "pim", v6(103, &[0x20, 0, 0, 0]));
    add(true, "EIGRP over IPv6", "eigrp", v6(88, &[[2, 5, 0, 0], [0; 4], [0; 4]].concat()));
    add(true, "ping, first fragment", "ip", {
        ethernet(0x0800, &ipv4_with(1, &[], 0, true, &ECHO_REQUEST))
    });
    add(true, "ping, later fragment", "ip", {
        ethernet(0x0800, &ipv4_with(1, &[], 185, false, &[0x5a; 16]))
    });
    add(true, "ping over IPv6, later fragment", "ipv6.fraghdr", {
        v6(44, &fragment(58, 185, false, &[0x5a; 16]))
    });
    add(true, "everything before ICMPv6", "icmpv6", {
        let behind = |next, words, content: &[u8]| extension(next, words, content);
        let end = fragment(60, 0, false, &behind(58, 1, &[&[128][..], &[0; 7]].concat()));
        v6(0, &behind(60, 1, &behind(43, 1, &routing(44, &end))))
    });
    add(false, "TCP behind hop-by-hop", "tcp", v6(0, &extension(6, 3, &tcp(443, 40_000, &[]))));
    add(false, "no next header", "ipv6", v6(59, &[58; 40]));
    add(false, "GRE carrying a ping", "gre", v4(47, &[&[0, 0, 8, 0][..], &ping].concat()));
    add(false, "IP in IP", "ip", v4(4, &ping));
    add(false, "IPv6 in IP", "ipv6", v4(41, &ipv6(58, &[&[128][..], &[0; 7]].concat())));
    add(false, "ESP", "esp", v4(50, &[[0, 0, 0, 9], [0, 0, 0, 1], [0x5a; 4]].concat()));
    add(false, "SCTP", "sctp", v4(132, &[0, 179, 0, 179, 0, 0, 0, 0, 0, 0, 0, 0]));

    // Ports.
    add(true, "DHCP", "dhcp", v4_udp(68, 67, &dhcp()));
    add(true, "DHCP through a relay", "dhcp", v4_udp(67, 67, &dhcp()));
    add(true, "DHCPv6", "dhcpv6", v6_udp(546, 547, &[1, 0, 0, 1]));
    add(true, "RIP", "rip", v4_udp(520, 520, &[&[2, 2, 0, 0][..], &[0; 20]].concat()));
    add(true, "RIPng", "ripng", v6_udp(521, 521, &[&[2, 1, 0, 0][..], &[0; 20]].concat()));
    add(true, "LDP hello", "ldp", {
        let ids = [192, 0, 2, 1, 0, 0];
        v4_udp(
            646,
            646,
            &[&[0, 1, 0, 18][..], &ids, &[1, 0, 0, 8, 0, 0, 0, 1, 4, 0, 0, 0]].concat(),
        )
    });
    add(true, "HSRP", "hsrp", {
        let hello = [[0, 0, 16, 3], [10, 100, 1, 0], *b"cisc", *b"o\0\0\0", [192, 0, 2, 254]];
        let mut frame = v4_udp(1985, 1985, &hello.concat());
        frame[30..34].copy_from_slice(&[224, 0, 0, 2]);
        frame
    });
    add(
        true,
        "HSRP over IPv6",
        "hsrp",
        v6_udp(2029, 2029, &[&[1, 40, 2, 0][..], &[0; 40]].concat()),
    );
    add(true, "GLBP", "glbp", v4_udp(3222, 3222, &[&[1, 0, 0, 1][..], &[0; 8]].concat()));
    add(true, "BFD", "bfd", v4_udp(49_152, 3784, &BFD));
    add(true, "BFD over IPv6", "bfd", v6_udp(49_152, 3784, &BFD));
    add(true, "BFD echo", "bfd_echo", v4_udp(3785, 3785, &BFD));
    add(true, "BFD, many hops", "bfd", v4_udp(49_152, 4784, &BFD));
    add(true, "BFD on a member of a bond", "bfd", v4_udp(49_152, 6784, &BFD));
    add(true, "BFD, seamless", "udp", v4_udp(7784, 49_152, &BFD));
    add(true, "Babel", "babel", v6_udp(6696, 6696, &[42, 2, 0, 4, 4, 2, 0, 0]));
    add(true, "BGP", "bgp", v4(6, &tcp(40_000, 179, &bgp())));
    add(true, "BGP over IPv6", "bgp", v6(6, &tcp(179, 40_000, &bgp())));
    add(true, "BGP, behind options and as first fragment", "ip", {
        ethernet(0x0800, &ipv4_with(6, &[1; 40], 0, true, &tcp(179, 40_000, &bgp())))
    });
    add(true, "LDP session", "tcp", v4(6, &tcp(40_000, 646, &[])));
    add(false, "web", "tcp", ethernet(0x0800, &web));
    add(false, "web over IPv6", "tcp", ethernet(0x86dd, &web6));
    add(false, "DNS", "dns", v4_udp(40_000, 53, &[&[0, 1, 1, 0][..], &[0; 8]].concat()));
    add(false, "NTP", "ntp", v4_udp(123, 123, &[&[0x23][..], &[0; 47]].concat()));
    add(false, "PTP over UDP", "ptp", v4_udp(319, 319, &[&[0, 2, 0, 44][..], &[0; 40]].concat()));
    add(false, "VXLAN carrying ARP", "vxlan", {
        v4_udp(40_000, 4789, &[&[8, 0, 0, 0, 0, 0, 7, 0][..], &arp].concat())
    });
    add(false, "answer to what was sent from HSRP's port", "udp", v4_udp(1985, 40_000, &[0; 8]));
    add(false, "UDP to BGP's port", "udp", v4_udp(40_000, 179, &[0; 8]));
    add(false, "TCP to DHCP's port", "tcp", v4(6, &tcp(40_000, 67, &[])));
    add(false, "DHCP, later fragment", "ip", {
        ethernet(0x0800, &ipv4_with(17, &[], 185, false, &udp(67, 68, &[0; 8])))
    });
    add(false, "DHCPv6, later fragment", "ipv6.fraghdr", {
        v6(44, &fragment(17, 185, false, &udp(546, 547, &[0; 8])))
    });
    add(true, "DHCPv6, first fragment", "ipv6.fraghdr", {
        v6(44, &fragment(17, 0, true, &udp(546, 547, &[1, 0, 0, 1])))
    });

    // Encapsulation.
    add(true, "MPLS, ping", "icmp", ethernet(0x8847, &mpls(&[16, 17, 18], &ping)));
    add(true, "MPLS upstream, BGP", "bgp", {
        ethernet(0x8848, &mpls(&[16], &ipv4(6, &tcp(40_001, 179, &bgp()))))
    });
    add(true, "MPLS, BFD over IPv6", "bfd", {
        ethernet(0x8847, &mpls(&[2], &ipv6(17, &udp(49_152, 3784, &BFD))))
    });
    add(true, "MPLS, associated channel", "pwach", {
        ethernet(0x8847, &mpls(&[16, 13], &[&[0x10, 0, 0, 7][..], &BFD].concat()))
    });
    add(false, "MPLS, web", "tcp", ethernet(0x8847, &mpls(&[16, 17], &web)));
    add(false, "MPLS, pseudo-wire carrying ARP", "mpls", {
        ethernet(0x8847, &mpls(&[16], &[&[0; 4][..], &arp].concat()))
    });
    add(
        true,
        "PPPoE, LCP echo",
        "lcp",
        ethernet(0x8864, &pppoe(0xc021, &[9, 1, 0, 8, 0, 0, 0, 0])),
    );
    add(true, "PPPoE, IPCP", "ipcp", ethernet(0x8864, &pppoe(0x8021, &[1, 1, 0, 4])));
    add(true, "PPPoE, ping", "icmp", ethernet(0x8864, &pppoe(0x0021, &ping)));
    add(false, "PPPoE, web", "tcp", ethernet(0x8864, &pppoe(0x0021, &web)));
    add(false, "PPPoE, web over IPv6", "tcp", ethernet(0x8864, &pppoe(0x0057, &web6)));
    add(true, "deep inside", "bgp", {
        let bgp = ipv4_with(6, &[1; 40], 0, false, &tcp(40_002, 179, &bgp()));
        tagged(&ethernet(0x8847, &mpls(&[16, 17, 18, 19], &bgp)), &[0x88a8, 0x8100, 0x8100])
    });
    all
}

/// A routing header of two words, type 2 (RFC 6275 §6.4), to go before `content`.
fn routing(next: u8, content: &[u8]) -> Vec<u8> {
    [&[next, 2, 2, 0, 0, 0, 0, 0][..], &[0; 16], content].concat()
}
