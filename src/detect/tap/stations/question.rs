//! What a frame wants: an answer, or everybody's attention. Any bytes may come; what is cut short wants nothing.

use crate::detect::tap::packet::{Segment, TappedPacket, Version};
use crate::frame::Frame;
use crate::time::Mono;

/// A frame on its way through the tables.
#[derive(Debug, Clone, Copy)]
pub(in crate::detect::tap) struct Passing<'a> {
    pub(in crate::detect::tap) frame: &'a Frame<'a>,
    /// What it carries.
    pub(in crate::detect::tap) packet: Option<&'a TappedPacket>,
    pub(in crate::detect::tap) is_control: bool,
    pub(in crate::detect::tap) at: Mono,
}

/// Bits of a link address.
pub(super) const MAC_BITS: u32 = 48;
/// The address of all stations, and the bits of any.
pub(super) const EVERYBODY: u64 = (1 << MAC_BITS) - 1;
/// Destination and source address (IEEE 802.3 3.2).
pub(super) const ADDRESSES: usize = 12;
/// Whether a frame wants an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub(super) kind: AnswerKind,
    /// The bit of the host that is asked; none where no address of the network says so.
    pub(super) host: u32,
}

/// What kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerKind {
    /// None.
    None,
    /// An acknowledgement.
    Data,
    /// A first word.
    Opener,
}

impl Question {
    #[inline]
    pub(super) fn of(passing: Passing<'_>) -> Self {
        let Passing { frame, packet, is_control, .. } = passing;
        let kind = match packet.and_then(|packet| packet.segment) {
            Some(segment) if segment.has(Segment::RST) => AnswerKind::None,
            Some(segment) if segment.has(Segment::SYN) && !segment.has(Segment::ACK) => {
                AnswerKind::Opener
            }
            Some(segment) if segment.length > 0 || segment.has(Segment::SYN | Segment::FIN) => {
                AnswerKind::Data
            }
            None if is_control && opens(frame, packet) => AnswerKind::Opener,
            _ => return Self { kind: AnswerKind::None, host: 0 },
        };
        Self { kind, host: packet.map_or(0, |packet| host_bit(destination(packet, frame))) }
    }
}

/// One bit of 32 for an address.
#[inline]
fn host_bit(address: &[u8]) -> u32 {
    /// 2^32 divided by the golden ratio: spreads what is near.
    const SPREAD: u32 = 0x9e37_79b9;
    let low = address.last_chunk().map_or(0, |low| u32::from_le_bytes(*low));
    1 << (low.wrapping_mul(SPREAD) >> (u32::BITS - u32::BITS.trailing_zeros()))
}

/// True for a control frame that asks: ARP request (RFC 826), echo request (RFC 792), echo request and
/// neighbour solicitation of ICMPv6 (RFC 4443 §4.1, RFC 4861 §4.3).
#[cold]
fn opens(frame: &Frame<'_>, packet: Option<&TappedPacket>) -> bool {
    const ICMP: u8 = 1;
    const ECHO: u8 = 8;
    const ICMPV6: u8 = 58;
    const ECHO_V6: u8 = 128;
    const SOLICITATION: u8 = 135;
    let Some(packet) = packet else { return is_arp_request(frame) };
    let at = packet.at;
    match packet.version {
        Version::V4 => {
            let &[length, .., protocol] = bytes_at(frame, at, 10) else { return false };
            let header = usize::from(length & 0x0f) * 4;
            protocol == ICMP && bytes_at(frame, at + header, 1) == [ECHO]
        }
        Version::V6 => {
            bytes_at(frame, at + 6, 1) == [ICMPV6]
                && matches!(bytes_at(frame, at + 40, 1), [ECHO_V6 | SOLICITATION])
        }
    }
}

fn is_arp_request(frame: &Frame<'_>) -> bool {
    const ARP: [u8; 2] = [0x08, 0x06];
    /// What follows the EtherType: hardware and protocol of Ethernet and IPv4, and the operation.
    const REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
    const TAG: usize = 4;
    [ADDRESSES, ADDRESSES + TAG].into_iter().any(|at| {
        bytes_at(frame, at, ARP.len()) == ARP
            && bytes_at(frame, at + ARP.len(), REQUEST.len()) == REQUEST
    })
}

/// True for a frame that every switch passes on to everybody and every host looks at: broadcasts, control
/// frames, and what IP multicast never routes. Video and the like go to other groups, as fast as they like.
#[inline]
pub(super) fn is_flooded(to: u64, passing: Passing<'_>) -> bool {
    /// 224.0.0.0/24 (RFC 5771 §4) and ff02::/16 (RFC 4291 §2.7).
    const LOCAL_V4: [u8; 3] = [224, 0, 0];
    const LOCAL_V6: [u8; 2] = [0xff, 2];
    if to == EVERYBODY || passing.is_control {
        return true;
    }
    let Some(packet) = passing.packet else { return false };
    let destination = destination(packet, passing.frame);
    match packet.version {
        Version::V4 => destination.starts_with(&LOCAL_V4),
        Version::V6 => destination.starts_with(&LOCAL_V6),
    }
}

/// The destination address of a packet, as far as it was captured.
#[inline]
fn destination<'a>(packet: &TappedPacket, frame: &Frame<'a>) -> &'a [u8] {
    match packet.version {
        // RFC 791 §3.1, RFC 8200 §3.
        Version::V4 => bytes_at(frame, packet.at + 16, 4),
        Version::V6 => bytes_at(frame, packet.at + 24, 16),
    }
}

/// Bytes of the frame; none where they are not in one piece.
#[inline]
fn bytes_at<'a>(frame: &Frame<'a>, at: usize, length: usize) -> &'a [u8] {
    let [first, tag, rest] = frame.parts;
    let (part, before) =
        if at < first.len() { (first, 0) } else { (rest, first.len() + tag.len()) };
    let within = at.checked_sub(before).and_then(|at| part.get(at..at + length));
    within.unwrap_or_default()
}
