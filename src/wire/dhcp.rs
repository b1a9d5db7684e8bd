//! DHCP for IPv4 (RFC 2131 §2, RFC 2132 §9.6) and IPv6 (RFC 9915 §7, §8): who asks, and whether it is
//! answered.

use std::fmt;

use super::mac::Mac;
use super::{array, u16_at, u32_at};

/// Options walked through to find the message type.
const MAX_OPTIONS: usize = 128;

/// A message of either family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dhcp {
    /// True for IPv6.
    pub is_v6: bool,
    /// The message type: of RFC 2132 §9.6, or RFC 9915 §7.3.
    pub kind: u8,
    /// Ties answers to questions: 32 bits, for IPv6 24.
    pub transaction: u32,
    /// The client's link address (IPv4 only).
    pub client: Mac,
    /// The answer is to be broadcast (IPv4 only).
    pub broadcast: bool,
}

impl Dhcp {
    /// Reads a UDP payload of ports 67 and 68. None for BOOTP without a message type.
    pub fn parse_v4(bytes: &[u8]) -> Option<Self> {
        const COOKIE: [u8; 4] = [99, 130, 83, 99];
        const COOKIE_AT: usize = 236;
        const BROADCAST: u16 = 0x8000;
        if array(bytes, COOKIE_AT)? != COOKIE {
            return None;
        }
        Some(Self {
            is_v6: false,
            kind: message_type(bytes.get(COOKIE_AT + COOKIE.len()..)?)?,
            transaction: u32_at(bytes, 4)?,
            client: Mac(array(bytes, 28)?),
            broadcast: u16_at(bytes, 10)? & BROADCAST != 0,
        })
    }

    /// Reads a UDP payload of ports 546 and 547. None for what relays say to servers.
    pub fn parse_v6(bytes: &[u8]) -> Option<Self> {
        const RELAYED: [u8; 2] = [12, 13];
        let &[kind, a, b, c] = bytes.first_chunk()?;
        if RELAYED.contains(&kind) {
            return None;
        }
        let transaction = u32::from_be_bytes([0, a, b, c]);
        Some(Self { is_v6: true, kind, transaction, client: Mac::default(), broadcast: false })
    }

    /// A question that some server is to answer. Information requests go unanswered in good order.
    pub fn is_question(&self) -> bool {
        /// Discover, request; solicit, request, confirm, renew, rebind.
        const V4: [u8; 2] = [1, 3];
        const V6: [u8; 5] = [1, 3, 4, 5, 6];
        if self.is_v6 { V6.contains(&self.kind) } else { V4.contains(&self.kind) }
    }

    /// A server's answer.
    pub fn is_answer(&self) -> bool {
        /// Offer, acknowledgement, refusal; advertise, reply.
        const V4: [u8; 3] = [2, 5, 6];
        const V6: [u8; 2] = [2, 7];
        if self.is_v6 { V6.contains(&self.kind) } else { V4.contains(&self.kind) }
    }

    fn name(&self) -> &'static str {
        const V4: [&str; 9] = [
            "Unknown", "Discover", "Offer", "Request", "Decline", "ACK", "NAK", "Release", "Inform",
        ];
        const V6: [&str; 12] = [
            "Unknown",
            "Solicit",
            "Advertise",
            "Request",
            "Confirm",
            "Renew",
            "Rebind",
            "Reply",
            "Release",
            "Decline",
            "Reconfigure",
            "Information-request",
        ];
        let names = if self.is_v6 { &V6[..] } else { &V4 };
        names.get(usize::from(self.kind)).copied().unwrap_or("Unknown")
    }
}

/// Option 53, in the options behind the cookie.
fn message_type(mut options: &[u8]) -> Option<u8> {
    const PAD: u8 = 0;
    const MESSAGE_TYPE: u8 = 53;
    const END: u8 = 255;
    for _ in 0..MAX_OPTIONS {
        match *options {
            [PAD, ref rest @ ..] => options = rest,
            [END, ..] => break,
            [MESSAGE_TYPE, 1, kind, ..] => return Some(kind),
            [_, length, ref rest @ ..] => options = rest.get(usize::from(length)..)?,
            _ => break,
        }
    }
    None
}

impl fmt::Display for Dhcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, id) = (self.name(), self.transaction);
        if self.is_v6 {
            write!(f, "{name} XID: {id:#x}")
        } else {
            write!(f, "DHCP {name:<8} - Transaction ID {id:#x}, client {}", self.client)
        }
    }
}
