//! ICMP echo of both families: the question a probe asks, and the answer it must recognise.
//!
//! ```text
//!  0        1        2                 4                 6                 8
//! ┌────────┬────────┬─────────────────┬─────────────────┬─────────────────┬─────────╌╌
//! │  type  │ code 0 │    checksum     │   identifier    │    sequence     │ payload
//! └────────┴────────┴─────────────────┴─────────────────┴─────────────────┴─────────╌╌
//!  request 8, reply 0 (RFC 792); 128 and 129 (RFC 4443 §4)
//! ```
//!
//! Everything else that travels under ICMP is no answer and reads as none.

use std::net::IpAddr;

use pnet::packet::icmp::{self, IcmpPacket, IcmpTypes, echo_reply, echo_request};
use pnet::packet::icmpv6::{self, Icmpv6Types};
use pnet::packet::ipv4::Ipv4Packet;

/// The header of an echo in bytes, in both families.
pub const HEADER: usize = 8;

/// The family decides type numbers and who computes the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// ICMP, RFC 792.
    V4,
    /// ICMPv6, RFC 4443.
    V6,
}

/// What makes an echo reply the answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Tells apart those who ask.
    pub identifier: u16,
    /// Tells apart their requests.
    pub sequence: u16,
    /// Comes back as it was sent.
    pub payload: &'a [u8],
}

impl From<IpAddr> for Family {
    fn from(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl Family {
    /// An echo request. For version 6 its checksum is left zero: it covers addresses that only the
    /// kernel knows, which fills it in (RFC 3542 §3.1).
    pub fn request(self, echo: &Echo<'_>) -> Vec<u8> {
        let mut bytes = vec![0; HEADER + echo.payload.len()];
        match self {
            Self::V4 => {
                if let Some(mut packet) = echo_request::MutableEchoRequestPacket::new(&mut bytes) {
                    packet.set_icmp_type(IcmpTypes::EchoRequest);
                    packet.set_identifier(echo.identifier);
                    packet.set_sequence_number(echo.sequence);
                    packet.set_payload(echo.payload);
                }
                if let Some(mut packet) = icmp::MutableIcmpPacket::new(&mut bytes) {
                    packet.set_checksum(icmp::checksum(&packet.to_immutable()));
                }
            }
            Self::V6 => {
                use icmpv6::echo_request::MutableEchoRequestPacket;
                if let Some(mut packet) = MutableEchoRequestPacket::new(&mut bytes) {
                    packet.set_icmpv6_type(Icmpv6Types::EchoRequest);
                    packet.set_identifier(echo.identifier);
                    packet.set_sequence_number(echo.sequence);
                    packet.set_payload(echo.payload);
                }
            }
        }
        bytes
    }

    /// The echo reply that `bytes` are, beginning with the ICMP header; none if they are anything
    /// else. A version 4 reply must bear its checksum; that of version 6 was verified by the kernel
    /// before any socket saw it.
    pub fn reply(self, bytes: &[u8]) -> Option<Echo<'_>> {
        let (identifier, sequence) = match self {
            Self::V4 => {
                let whole = IcmpPacket::new(bytes)?;
                let packet = echo_reply::EchoReplyPacket::new(bytes)?;
                if packet.get_icmp_type() != IcmpTypes::EchoReply
                    || packet.get_checksum() != icmp::checksum(&whole)
                {
                    return None;
                }
                (packet.get_identifier(), packet.get_sequence_number())
            }
            Self::V6 => {
                let packet = icmpv6::echo_reply::EchoReplyPacket::new(bytes)?;
                if packet.get_icmpv6_type() != Icmpv6Types::EchoReply {
                    return None;
                }
                (packet.get_identifier(), packet.get_sequence_number())
            }
        };
        Some(Echo { identifier, sequence, payload: bytes.get(HEADER..)? })
    }
}

/// What follows the IPv4 header, options included: raw(7) hands it over with the datagram.
pub fn behind_ipv4(datagram: &[u8]) -> Option<&[u8]> {
    /// The header length field counts 32-bit words (RFC 791 §3.1).
    const WORD: usize = 4;
    let header = usize::from(Ipv4Packet::new(datagram)?.get_header_length()) * WORD;
    if header < Ipv4Packet::minimum_packet_size() {
        return None;
    }
    datagram.get(header..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ECHO: Echo<'static> =
        Echo { identifier: 0x1234, sequence: 0xfffe, payload: b"0123456789abcdef" };

    /// Turns a request into its reply as a host does: the type, and the checksum with it.
    fn answered(family: Family, mut request: Vec<u8>) -> Vec<u8> {
        match family {
            Family::V4 => {
                request[0] = 0;
                let mut packet = icmp::MutableIcmpPacket::new(&mut request).unwrap();
                packet.set_checksum(icmp::checksum(&packet.to_immutable()));
            }
            Family::V6 => request[0] = 129,
        }
        request
    }

    #[test]
    fn a_request_has_the_bytes_of_the_rfc() {
        let v4 = Family::V4.request(&ECHO);
        assert_eq!(v4[..2], [8, 0]);
        assert_eq!(v4[4..8], [0x12, 0x34, 0xff, 0xfe]);
        assert_eq!(&v4[8..], ECHO.payload);
        // RFC 1071: the sum over everything, checksum included, is all ones.
        let sum: u32 = v4.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        let v6 = Family::V6.request(&ECHO);
        assert_eq!(v6[..8], [128, 0, 0, 0, 0x12, 0x34, 0xff, 0xfe]);
    }

    #[test]
    fn only_an_undamaged_reply_is_an_answer() {
        for family in [Family::V4, Family::V6] {
            let request = family.request(&ECHO);
            assert_eq!(family.reply(&request), None, "our own request comes back on loopback");
            let reply = answered(family, request);
            assert_eq!(family.reply(&reply), Some(ECHO), "{family:?}");
            for short in 0..HEADER {
                assert_eq!(family.reply(&reply[..short]), None, "{family:?} {short}");
            }
            let mut other_type = reply.clone();
            other_type[0] = 3;
            assert_eq!(family.reply(&other_type), None);
        }
        let mut damaged = answered(Family::V4, Family::V4.request(&ECHO));
        damaged[12] ^= 1;
        assert_eq!(Family::V4.reply(&damaged), None);
    }

    #[test]
    fn the_ip_header_is_skipped_with_its_options() {
        let with_header = |words: u8, rest: usize| {
            let mut datagram = vec![0_u8; usize::from(words) * 4 + rest];
            datagram[0] = 0x40 | words;
            datagram
        };
        assert_eq!(behind_ipv4(&with_header(5, 8)).map(<[u8]>::len), Some(8));
        assert_eq!(behind_ipv4(&with_header(15, 3)).map(<[u8]>::len), Some(3));
        assert_eq!(behind_ipv4(&with_header(5, 0)), Some(&[][..]));
        let mut too_short = with_header(5, 8);
        too_short[0] = 0x44;
        assert_eq!(behind_ipv4(&too_short), None, "a header of four words is none");
        let mut too_long = with_header(5, 8);
        too_long[0] = 0x4f;
        assert_eq!(behind_ipv4(&too_long), None, "longer than the datagram");
        assert_eq!(behind_ipv4(&[0x45; 19]), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = behind_ipv4(&bytes);
            let _ = Family::V4.reply(&bytes);
            let _ = Family::V6.reply(&bytes);
        }
    }
}
