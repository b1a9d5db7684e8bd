//! Packets that a capture of all interfaces at once (`tcpdump -i any`) holds several times: it sees each on the
//! bond, on the port of the bond and on the VLAN, within microseconds. They are judged once.
//!
//! Only link types of such captures are looked at. The same packet is one with the same bytes from the network
//! header on, behind whatever tags, that went the same way a moment ago; a packet that was routed in between
//! has another time to live and is another one.

use super::packet::{K, mix};
use crate::frame::{Direction, Frame, LinkType};
use crate::time::Mono;
use crate::wire::link::{Content, LINUX_SLL, LINUX_SLL2, Link};

/// Packets that were seen lately.
#[derive(Debug)]
pub(super) struct Repeated {
    places: Box<[Slot]>,
    count: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    digest: u64,
    at: Mono,
}

impl Repeated {
    /// Places, a power of two, 16 KiB: more packets than pass in [`Repeated::WITHIN`] at a gigabit a second.
    const PLACES: usize = 1_024;
    /// The kernel hands a packet from one interface to the next within this time, in nanoseconds, unless a queue
    /// lies between them.
    const WITHIN: u64 = 1_000_000;
    /// Bytes that are compared; with its length they tell one packet from another.
    const BYTES: usize = 256;

    pub(super) fn new() -> Self {
        Self { places: vec![Slot::default(); Self::PLACES].into(), count: 0 }
    }

    /// Packets that were seen before.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// True if this packet was seen a moment ago.
    #[inline]
    pub(super) fn is_again(&mut self, link_type: LinkType, frame: &Frame<'_>, at: Mono) -> bool {
        Self::applies(link_type) && self.look(link_type, frame, at)
    }

    /// True for the link types of captures of all interfaces.
    #[inline]
    pub(super) fn applies(link_type: LinkType) -> bool {
        matches!(link_type, LINUX_SLL | LINUX_SLL2)
    }

    #[inline(never)]
    fn look(&mut self, link_type: LinkType, frame: &Frame<'_>, at: Mono) -> bool {
        let link = Link::walk(link_type, frame.parts[0]);
        let Some(Content::Typed(kind, bytes)) = link.map(|link| link.content) else { return false };
        let digest = digest(kind, frame.header.direction, bytes);
        let place = &mut self.places[digest as usize & (Self::PLACES - 1)];
        let again = place.digest == digest && at.0.saturating_sub(place.at.0) <= Self::WITHIN;
        if !again {
            *place = Slot { digest, at };
        }
        self.count += u64::from(again);
        again
    }
}

fn digest(kind: u16, direction: Direction, bytes: &[u8]) -> u64 {
    let begin = (bytes.len() as u64) << 32 | u64::from(kind) << 8 | direction as u64;
    let chunks = bytes[..bytes.len().min(Repeated::BYTES)].chunks(size_of::<u64>());
    chunks.fold(mix(begin ^ K[0], K[1]), |sum, chunk| {
        let mut word = [0; size_of::<u64>()];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(sum ^ u64::from_le_bytes(word), K[2])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameHeader;

    /// A packet on an interface of this number, behind a tag or not.
    fn cooked(index: u8, tag: Option<u16>, payload: &[u8]) -> Vec<u8> {
        let kind: [u8; 2] = if tag.is_some() { [0x81, 0] } else { [8, 0] };
        let mut bytes = kind.to_vec();
        bytes.extend([0, 0, 0, 0, 0, index, 0, 1, 0, 6, 2, 0, 0, 0, 0, 7, 0, 0]);
        if let Some(id) = tag {
            bytes.extend(id.to_be_bytes());
            bytes.extend([8, 0]);
        }
        bytes.extend([0x45, 0, 0, 60]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn a_packet_on_bond_port_and_vlan_is_one() {
        let (out, other) = (Direction::Outbound, Direction::Inbound);
        // name, frames with their time in microseconds and way, how many are judged
        type Story = Vec<(u64, Vec<u8>, Direction)>;
        let stories: [(&str, Story, usize); 4] = [
            (
                "VLAN, bond, port",
                vec![
                    (0, cooked(5, None, b"a"), out),
                    (2, cooked(4, Some(956), b"a"), out),
                    (3, cooked(2, Some(956), b"a"), out),
                ],
                1,
            ),
            (
                "two packets",
                vec![(0, cooked(5, None, b"a"), out), (2, cooked(5, None, b"b"), out)],
                2,
            ),
            (
                "sent again",
                vec![(0, cooked(5, None, b"a"), out), (9_000, cooked(5, None, b"a"), out)],
                2,
            ),
            (
                "bridged",
                vec![(0, cooked(5, None, b"a"), other), (9, cooked(6, None, b"a"), out)],
                2,
            ),
        ];
        for (name, frames, judged) in stories {
            let mut repeated = Repeated::new();
            let new = frames.iter().filter(|(us, bytes, direction)| {
                let header = FrameHeader { direction: *direction, ..FrameHeader::default() };
                let frame = Frame::whole(header, bytes);
                !repeated.is_again(LINUX_SLL2, &frame, Mono(1_000_000_000 + us * 1_000))
            });
            assert_eq!(new.count(), judged, "{name}");
            assert_eq!(repeated.count(), (frames.len() - judged) as u64, "{name}");
        }
    }

    #[test]
    fn what_was_captured_on_one_interface_is_not_looked_at() {
        let (mut repeated, bytes) = (Repeated::new(), [7; 60]);
        let frame = Frame::whole(FrameHeader::default(), &bytes);
        let again = [0; 3].map(|_| repeated.is_again(LinkType::ETHERNET, &frame, Mono(5)));
        assert_eq!(again, [false; 3]);
    }
}
