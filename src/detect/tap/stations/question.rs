//! What a frame wants: an answer, or everybody's attention. Any bytes may come; what is cut short wants nothing.

use crate::detect::tap::ends::{ADDRESSES, EVERYBODY, Ends};
use crate::detect::tap::packet::{Segment, TappedPacket};
use crate::frame::Frame;
use crate::time::Mono;

/// A frame on its way through the tables.
#[derive(Debug, Clone, Copy)]
pub(in crate::detect::tap) struct Passing<'a> {
    pub(in crate::detect::tap) frame: &'a Frame<'a>,
    /// Whom it is from and for, if its link has addresses.
    pub(in crate::detect::tap) ends: Option<Ends>,
    pub(in crate::detect::tap) is_control: bool,
    pub(in crate::detect::tap) at: Mono,
}

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
    #[inline(always)]
    pub(super) fn of(passing: Passing<'_>, packet: Option<&TappedPacket<'_>>) -> Self {
        let Passing { frame, is_control, .. } = passing;
        let kind = match packet.and_then(TappedPacket::segment) {
            Some(segment) if segment.has(Segment::RST) => AnswerKind::None,
            Some(segment) if segment.has(Segment::SYN) && !segment.has(Segment::ACK) => {
                AnswerKind::Opener
            }
            Some(segment) if segment.length > 0 || segment.has(Segment::SYN | Segment::FIN) => {
                AnswerKind::Data
            }
            None if is_control && opens(frame, packet.copied()) => AnswerKind::Opener,
            _ => return Self { kind: AnswerKind::None, host: 0 },
        };
        Self { kind, host: packet.map_or(0, |packet| host_bit(packet.destination())) }
    }
}

/// One bit of 32 for an address.
#[inline(always)]
fn host_bit(address: &[u8]) -> u32 {
    /// 2^32 divided by the golden ratio: spreads what is near.
    const SPREAD: u32 = 0x9e37_79b9;
    let low = address.last_chunk().map_or(0, |low| u32::from_le_bytes(*low));
    1 << (low.wrapping_mul(SPREAD) >> (u32::BITS - u32::BITS.trailing_zeros()))
}

/// True for a control frame that asks: ARP request (RFC 826), echo request (RFC 792), echo request and
/// neighbour solicitation of ICMPv6 (RFC 4443 §4.1, RFC 4861 §4.3).
#[cold]
fn opens(frame: &Frame<'_>, packet: Option<TappedPacket<'_>>) -> bool {
    const ICMP: u8 = 1;
    const ECHO: u8 = 8;
    const ICMPV6: u8 = 58;
    const ECHO_V6: u8 = 128;
    const SOLICITATION: u8 = 135;
    let Some(packet) = packet else { return is_arp_request(frame) };
    let at = packet.at;
    if packet.is_v6() {
        return bytes_at(frame, at + 6, 1) == [ICMPV6]
            && matches!(bytes_at(frame, at + 40, 1), [ECHO_V6 | SOLICITATION]);
    }
    let &[length, .., protocol] = bytes_at(frame, at, 10) else { return false };
    let header = usize::from(length & 0x0f) * 4;
    protocol == ICMP && bytes_at(frame, at + header, 1) == [ECHO]
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
#[inline(always)]
pub(super) fn is_flooded(to: u64, passing: Passing<'_>, packet: Option<&TappedPacket<'_>>) -> bool {
    /// 224.0.0.0/24 (RFC 5771 §4) and ff02::/16 (RFC 4291 §2.7).
    const LOCAL_V4: [u8; 3] = [224, 0, 0];
    const LOCAL_V6: [u8; 2] = [0xff, 2];
    if to == EVERYBODY || passing.is_control {
        return true;
    }
    let Some(packet) = packet else { return false };
    let local: &[u8] = if packet.is_v6() { &LOCAL_V6 } else { &LOCAL_V4 };
    packet.destination().starts_with(local)
}

/// Bytes of the frame; none where they are not in one piece.
#[inline(always)]
fn bytes_at<'a>(frame: &Frame<'a>, at: usize, length: usize) -> &'a [u8] {
    let [first, tag, rest] = frame.parts;
    let (part, before) =
        if at < first.len() { (first, 0) } else { (rest, first.len() + tag.len()) };
    let within = at.checked_sub(before).and_then(|at| part.get(at..at + length));
    within.unwrap_or_default()
}
