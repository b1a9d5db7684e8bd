//! LACPDUs alone, one after the other: each of 112 bytes behind a byte that says how much time passed,
//! and which way it went.
#![no_main]

use dashcap::detect::protocols::{Options, Protocols, Together};
use dashcap::detect::{Detector, Seen};
use dashcap::frame::{Direction, FrameHeader, LinkType};
use dashcap::time::{Mono, Stamp, Wall};
use dashcap::wire::lacp::Lacp;
use libfuzzer_sys::fuzz_target;

/// Subtype, version, and what follows (IEEE 802.1AX figure 6-7), behind the step.
const RECORD: usize = 1 + 110;
/// To the slow protocols' group, from somebody, EtherType 0x8809 (IEEE 802.3 57A).
const HEADER: [u8; 14] = [1, 0x80, 0xc2, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0x09];

fuzz_target!(|input: &[u8]| {
    let mut protocols = Protocols::new("eth0", &Options::default(), &Together::default());
    let (mut now, mut findings) = (Mono(1 << 40), Vec::new());
    for record in input.chunks(RECORD) {
        let Some((step, pdu)) = record.split_first() else { continue };
        if let Some(lacp) = Lacp::parse(pdu) {
            assert!(!lacp.to_string().is_empty());
        }
        // Up to 64 s: more than a slow timeout takes together with the next.
        now = Mono(now.0 + u64::from(step & 0x7f) * 500_000_000);
        let at = Stamp { mono: now, wall: Wall(now.0) };
        let direction = if step & 0x80 == 0 { Direction::Inbound } else { Direction::Outbound };
        let bytes = &[&HEADER[..], pdu].concat();
        let original_len = bytes.len() as u32;
        let header =
            FrameHeader { wall: at.wall, original_len, direction, ..FrameHeader::default() };
        let link_type = LinkType::ETHERNET;
        let seen = Seen { interface: "eth0", link_type, header, at, bytes, noticed: None };
        protocols.tick(at, &mut findings);
        protocols.frame(&seen, &mut findings);
        findings.drain(..).for_each(|finding| assert!(!finding.to_string().is_empty()));
    }
});
