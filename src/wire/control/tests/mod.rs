//! Frame by frame, byte by byte, part by part, and against captures that nobody here made.

mod captures;
mod frames;

use proptest::prelude::*;

use self::frames::{Sample, ethernet, ipv4, ipv6, samples, tagged, tcp};
use super::*;
use crate::frame::FrameHeader;
use crate::wire::ip::MAX_EXTENSIONS;
use crate::wire::link::MAX_LABELS;

const TPIDS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];

fn whole(link_type: LinkType, bytes: &[u8]) -> bool {
    is_control(link_type, &Frame::whole(FrameHeader::default(), bytes))
}

/// The verdict on the same bytes split at two places.
fn split(link_type: LinkType, bytes: &[u8], at: [usize; 2]) -> bool {
    let (first, rest) = bytes.split_at(at[0].min(bytes.len()));
    let (second, third) = rest.split_at(at[1].min(rest.len()));
    is_control(link_type, &Frame { header: FrameHeader::default(), parts: [first, second, third] })
}

#[test]
fn every_protocol_has_its_class() {
    for Sample { name, bytes, control, .. } in samples() {
        assert_eq!(whole(LinkType::ETHERNET, &bytes), control, "{name}");
    }
}

#[test]
fn tags_change_nothing_up_to_the_bound() {
    let few = [&TPIDS[..0], &[0x8100], &[0x88a8, 0x8100], &TPIDS];
    let plain = ethernet(0x0806, &[]);
    for Sample { name, bytes, control, .. } in samples() {
        for tags in few {
            let frame = tagged(&bytes, tags);
            assert_eq!(whole(LinkType::ETHERNET, &frame), control, "{name} {tags:x?}");
            // As capture hands it over: addresses, the tag put back, the rest.
            assert_eq!(split(LinkType::ETHERNET, &frame, [12, 4]), control, "{name} {tags:x?}");
        }
    }
    for (tags, control) in [(MAX_TAGS, true), (MAX_TAGS + 1, false)] {
        let frame = tagged(&plain, &vec![0x8100; tags]);
        assert_eq!(whole(LinkType::ETHERNET, &frame), control, "{tags} tags");
        assert_eq!(split(LinkType::ETHERNET, &frame, [12, 4]), control, "{tags} tags");
    }
}

#[test]
fn parts_change_nothing_wherever_they_are_split() {
    for Sample { name, bytes, control, .. } in samples() {
        let bytes = tagged(&bytes, &[0x8100]);
        for first in 0..=bytes.len() {
            for second in [0, 1, 4, 9] {
                let verdict = split(LinkType::ETHERNET, &bytes, [first, second]);
                assert_eq!(verdict, control, "{name} split at {first} + {second}");
            }
        }
    }
}

#[test]
fn cutting_never_makes_control_of_data() {
    for Sample { name, bytes, control, .. } in samples() {
        let (mut before, mut turns) = (false, 0);
        for length in 0..=bytes.len() {
            let now = whole(LinkType::ETHERNET, &bytes[..length]);
            turns += usize::from(now != before);
            before = now;
        }
        assert_eq!(turns, usize::from(control), "{name}: the verdict turns once or never");
    }
}

#[test]
fn what_is_there_is_enough() {
    // name, frame, bytes it takes
    let arp = ethernet(0x0806, &[0; 28]);
    let ping = ethernet(0x0800, &ipv4(1, &[8]));
    let bgp = ethernet(0x0800, &ipv4(6, &tcp(179, 40_000, &[])));
    let vrrp = ethernet(0x86dd, &ipv6(112, &[]));
    for (name, frame, enough) in [
        ("a type", arp, 14),
        ("a protocol number", ping, 14 + 10),
        ("ports", bgp, 14 + 20 + 4),
        ("a next header", vrrp, 14 + 7),
    ] {
        assert!(whole(LinkType::ETHERNET, &frame[..enough]), "{name}");
        assert!(!whole(LinkType::ETHERNET, &frame[..enough - 1]), "{name}");
    }
}

#[test]
fn raw_ip_is_looked_at_and_other_links_are_data() {
    for (name, packet, control) in [
        ("ping", ipv4(1, &[8]), true),
        ("VRRP over IPv6", ipv6(112, &[]), true),
        ("web", ipv4(6, &tcp(40_000, 443, &[])), false),
        ("neither version", vec![0x50; 40], false),
        ("nothing", vec![], false),
    ] {
        assert_eq!(whole(LinkType::RAW, &packet), control, "{name}");
        assert_eq!(split(LinkType::RAW, &packet, [5, 7]), control, "{name}");
        for other in [LinkType::RADIOTAP, LinkType::NETLINK, LinkType(113), LinkType(0)] {
            assert!(!whole(other, &packet), "{name} {other:?}");
            assert!(!split(other, &packet, [5, 7]), "{name} {other:?}");
        }
        assert!(!whole(LinkType::NETLINK, &ethernet(0x0800, &packet)), "{name}");
    }
}

#[test]
fn a_header_that_lies_about_its_length_is_data() {
    let mut ping = ethernet(0x0800, &ipv4(1, &[8]));
    ping[14] = 0x44;
    assert!(!whole(LinkType::ETHERNET, &ping), "an IPv4 header of four words");
    let mut bgp = ethernet(0x0800, &ipv4(6, &tcp(179, 40_000, &[])));
    bgp[14] = 0x4f;
    assert!(!whole(LinkType::ETHERNET, &bgp), "longer than the frame");
    let reaching_out = ipv6(0, &[[58, 255, 0, 0], [0; 4]].concat());
    assert!(whole(LinkType::RAW, &reaching_out), "the number alone tells");
    let reaching_out = ipv6(0, &[[6, 255, 0, 0], [0, 179, 0, 179]].concat());
    assert!(!whole(LinkType::RAW, &reaching_out), "ports inside the options are none");
}

#[test]
fn depths_are_bounded() {
    let extensions = |count: usize| {
        let mut packet = vec![58, 0, 0, 0, 0, 0, 0, 0];
        for _ in 1..count {
            packet = [&[60, 0, 1, 4, 0, 0, 0, 0], &packet[..]].concat();
        }
        ethernet(0x86dd, &ipv6(60, &packet))
    };
    let labels = |count: usize| {
        let mut stack = [0, 1, 0, 64].repeat(count);
        let bottom = stack.len() - 2;
        stack[bottom] |= 1;
        ethernet(0x8847, &[&stack[..], &ipv4(1, &[8])].concat())
    };
    for (name, at_bound, beyond) in [
        ("extension headers", extensions(MAX_EXTENSIONS), extensions(MAX_EXTENSIONS + 1)),
        ("labels", labels(MAX_LABELS), labels(MAX_LABELS + 1)),
    ] {
        assert!(whole(LinkType::ETHERNET, &at_bound), "{name}");
        assert!(!whole(LinkType::ETHERNET, &beyond), "{name}");
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_parts_agree(
        bytes in proptest::collection::vec(any::<u8>(), 0..SCATTERED),
        at in any::<[u8; 2]>(),
        link_type in prop::sample::select(&[1_u16, 101, 127, 253, 0]),
    ) {
        let link_type = LinkType(link_type);
        let at = at.map(usize::from);
        prop_assert_eq!(split(link_type, &bytes, at), whole(link_type, &bytes));
    }

    /// Random bytes rarely have a type that is looked into, so damage frames that do.
    #[test]
    fn damage_panics_nowhere_and_parts_agree(
        sample in 0..samples().len(),
        tags in prop::sample::select(&[0_usize, 1, 2]),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = tagged(&samples()[sample].bytes, &TPIDS[..tags]);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(length.index(bytes.len() + 1));
        let verdict = whole(LinkType::ETHERNET, &bytes);
        prop_assert_eq!(split(LinkType::ETHERNET, &bytes, [12, 4]), verdict);
        prop_assert_eq!(split(LinkType::ETHERNET, &bytes, [13, 4]), verdict);
        whole(LinkType::RAW, &bytes);
    }
}

#[test]
fn cooked_captures_are_looked_into() {
    let cooked = |protocol: u16, content: &[u8]| {
        let head = [0, 4, 0, 1, 0, 6, 2, 0, 0x5e, 0, 0, 2, 0, 0];
        [&head[..], &protocol.to_be_bytes(), content].concat()
    };
    let tagged_arp = [0x03, 0xbc, 0x08, 0x06];
    for (name, protocol, content, control) in [
        ("ARP", 0x0806, vec![0; 28], true),
        ("tagged ARP", 0x8100, tagged_arp.to_vec(), true),
        ("ping", 0x0800, ipv4(1, &[8]), true),
        ("web", 0x0800, ipv4(6, &tcp(40_000, 443, &[])), false),
        ("BPDU", 4, vec![0x42, 0x42, 3], true),
        ("something of the kernel's own", 12, vec![0x42, 0x42, 3], false),
    ] {
        let frame = cooked(protocol, &content);
        assert_eq!(whole(LINUX_SLL, &frame), control, "{name}");
        assert_eq!(split(LINUX_SLL, &frame, [5, 7]), control, "{name}");
        let second = [&protocol.to_be_bytes()[..], &[0; 18], &content].concat();
        assert_eq!(whole(LINUX_SLL2, &second), control, "{name}");
    }
}
