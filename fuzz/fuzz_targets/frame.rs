//! One frame, by every reader of frames: the link type's low byte, then the frame.
#![no_main]

use dashcap::frame::{Frame, FrameHeader, LinkType};
use dashcap::wire::icmp::{Family, behind_ipv4};
use dashcap::wire::{Reading, control, headers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((link_type, bytes)) = input.split_first() else { return };
    // LINUX_SLL2 is the only one beyond a byte (tcpdump.org/linktypes.html).
    let link_type = LinkType(if *link_type == 20 { 276 } else { u16::from(*link_type) });
    if let Some(reading) = Reading::of(link_type, bytes) {
        let _ = (reading.to_string(), reading.vlans().to_string());
    }
    assert!(headers::through_transport(link_type, bytes) <= bytes.len());
    let is_control = control::is_control(link_type, &Frame::whole(FrameHeader::default(), bytes));
    // A source may hand over addresses, the tag that it puts back, and the rest.
    if let Some((addresses, (tag, rest))) =
        bytes.split_at_checked(12).and_then(|(head, tail)| Some((head, tail.split_at_checked(4)?)))
        && bytes.len() <= 512
    {
        let parts = [addresses, tag, rest];
        let split = Frame { header: FrameHeader::default(), parts };
        assert_eq!(control::is_control(link_type, &split), is_control);
    }
    for family in [Family::V4, Family::V6] {
        let _ = family.reply(bytes);
        let _ = behind_ipv4(bytes).and_then(|icmp| family.reply(icmp));
    }
});
