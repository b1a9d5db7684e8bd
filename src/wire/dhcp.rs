//! DHCP for IPv4 (RFC 2131 §2, RFC 2132) and IPv6 (RFC 9915 §7, §8, §21): who asks, who answers, and what is
//! given or refused.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::mac::Mac;
use super::{array, u16_at, u32_at};

/// Options walked through to find those of interest.
const MAX_OPTIONS: usize = 128;

/// A message of either family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
    /// A relay carries it between client and server (IPv4 only; IPv6 wraps what is relayed).
    pub relayed: bool,
    /// The address it is about: given, asked for, declined or given back.
    pub address: Option<IpAddr>,
    /// The server that speaks, or is spoken to (option 54, IPv4 only).
    pub server: Option<Ipv4Addr>,
    /// It is meant for one server, or comes from it (option 54; for IPv6 option 2).
    pub names_server: bool,
    /// What the server tells the client to use.
    pub terms: Terms,
    /// Why an IPv6 server gives nothing: a status code other than success (RFC 9915 §21.13).
    pub refusal: Option<u16>,
}

/// What a server configures beside the address (IPv4 only).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// The first router (option 3).
    pub router: Option<Ipv4Addr>,
    /// The subnet mask (option 1).
    pub mask: Option<Ipv4Addr>,
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
        let address = |at| array::<4>(bytes, at).map(Ipv4Addr::from);
        let some = |address: Option<Ipv4Addr>| address.filter(|address| !address.is_unspecified());
        let mut message = Self {
            transaction: u32_at(bytes, 4)?,
            broadcast: u16_at(bytes, 10)? & BROADCAST != 0,
            relayed: some(address(24)).is_some(),
            client: Mac(array(bytes, 28)?),
            ..Self::default()
        };
        let requested = message.options_v4(bytes.get(COOKIE_AT + COOKIE.len()..)?);
        // Given, asked for by option, in use already (RFC 2131 §2: yiaddr, option 50, ciaddr).
        let about = some(address(16)).or(requested).or(some(address(12)));
        message.address = about.map(IpAddr::V4);
        (message.kind != 0).then_some(message)
    }

    /// Takes in the options; returns the address that is asked for.
    fn options_v4(&mut self, mut options: &[u8]) -> Option<Ipv4Addr> {
        const PAD: u8 = 0;
        const MASK: u8 = 1;
        const ROUTER: u8 = 3;
        const REQUESTED: u8 = 50;
        const MESSAGE_TYPE: u8 = 53;
        const SERVER: u8 = 54;
        const END: u8 = 255;
        let mut requested = None;
        for _ in 0..MAX_OPTIONS {
            let (code, value) = match *options {
                [PAD, ref rest @ ..] => {
                    options = rest;
                    continue;
                }
                [END, ..] | [] | [_] => break,
                [code, length, ref rest @ ..] => {
                    let Some((value, rest)) = rest.split_at_checked(length.into()) else { break };
                    options = rest;
                    (code, value)
                }
            };
            let address = array::<4>(value, 0).map(Ipv4Addr::from);
            match (code, value) {
                (MESSAGE_TYPE, &[kind]) => self.kind = kind,
                (MASK, _) => self.terms.mask = address,
                (ROUTER, _) => self.terms.router = address,
                (REQUESTED, _) => requested = address,
                (SERVER, _) => (self.server, self.names_server) = (address, address.is_some()),
                _ => {}
            }
        }
        requested
    }

    /// Reads a UDP payload of ports 546 and 547. None for what relays say to servers.
    pub fn parse_v6(bytes: &[u8]) -> Option<Self> {
        const RELAYED: [u8; 2] = [12, 13];
        let &[kind, a, b, c] = bytes.first_chunk()?;
        if RELAYED.contains(&kind) {
            return None;
        }
        let transaction = u32::from_be_bytes([0, a, b, c]);
        let mut message = Self { is_v6: true, kind, transaction, ..Self::default() };
        message.options_v6(bytes.get(4..)?, 0);
        Some(message)
    }

    /// Takes in the options, and those within the associations of addresses and prefixes.
    fn options_v6(&mut self, mut options: &[u8], depth: u8) {
        const SERVER_ID: u16 = 2;
        /// What stands in front of the options within: of addresses 12 bytes, of prefixes as many.
        const IA_NA: u16 = 3;
        const IA_PD: u16 = 25;
        const IA_HEADER: usize = 12;
        const IA_ADDRESS: u16 = 5;
        const STATUS: u16 = 13;
        for _ in 0..MAX_OPTIONS {
            let (Some(code), Some(length)) = (u16_at(options, 0), u16_at(options, 2)) else {
                break;
            };
            let behind = options.get(4..).unwrap_or_default();
            let Some((value, rest)) = behind.split_at_checked(length.into()) else { break };
            options = rest;
            match code {
                SERVER_ID => self.names_server = true,
                IA_NA | IA_PD if depth == 0 => {
                    self.options_v6(value.get(IA_HEADER..).unwrap_or_default(), depth + 1);
                }
                IA_ADDRESS => {
                    let address = array::<16>(value, 0).map(|all| Ipv6Addr::from(all).into());
                    self.address = self.address.or(address);
                }
                STATUS => {
                    self.refusal = self.refusal.or(u16_at(value, 0).filter(|code| *code != 0));
                }
                _ => {}
            }
        }
    }

    /// A question that some server is to answer. Information requests go unanswered in good order.
    pub fn is_question(&self) -> bool {
        /// Discover, request; solicit, request, confirm, renew, rebind.
        const V4: [u8; 2] = [1, 3];
        const V6: [u8; 5] = [1, 3, 4, 5, 6];
        if self.is_v6 { V6.contains(&self.kind) } else { V4.contains(&self.kind) }
    }

    /// A question of somebody without an address: discover, solicit.
    pub fn is_discovery(&self) -> bool {
        self.kind == 1
    }

    /// A server's answer.
    pub fn is_answer(&self) -> bool {
        /// Offer, acknowledgement, refusal; advertise, reply.
        const V4: [u8; 3] = [2, 5, Dhcp::NAK];
        const V6: [u8; 2] = [2, 7];
        if self.is_v6 { V6.contains(&self.kind) } else { V4.contains(&self.kind) }
    }

    /// What a server offers to a client without an address.
    pub fn is_offer(&self) -> bool {
        self.kind == 2
    }

    /// A server's refusal of an address.
    pub fn is_refusal(&self) -> bool {
        !self.is_v6 && self.kind == Self::NAK
    }

    /// A client that found the address it was given in use.
    pub fn is_decline(&self) -> bool {
        self.kind == if self.is_v6 { 9 } else { 4 }
    }

    /// A client that gives its address back.
    pub fn is_release(&self) -> bool {
        self.kind == if self.is_v6 { 8 } else { 7 }
    }

    const NAK: u8 = 6;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(kind: u8, options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1, 1, 6, 0, 0, 0, 0, 9];
        bytes.resize(236, 0);
        bytes.extend([99, 130, 83, 99, 53, 1, kind]);
        bytes.extend(options);
        bytes
    }

    #[test]
    fn an_offer_tells_who_gives_what() {
        let options = [54, 4, 10, 6, 0, 2, 1, 4, 255, 255, 255, 0, 0, 3, 4, 10, 6, 0, 1, 255, 9];
        let mut bytes = v4(2, &options);
        bytes[16..20].copy_from_slice(&[10, 6, 0, 100]);
        let offer = Dhcp::parse_v4(&bytes).unwrap();
        assert_eq!((offer.kind, offer.transaction, offer.relayed), (2, 9, false));
        assert_eq!(offer.address, Some("10.6.0.100".parse().unwrap()));
        assert_eq!(offer.server, Some(Ipv4Addr::new(10, 6, 0, 2)));
        let terms = Terms {
            router: Some(Ipv4Addr::new(10, 6, 0, 1)),
            mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        };
        assert_eq!(offer.terms, terms);
        assert!(offer.is_answer() && !offer.is_question() && !offer.is_refusal());
    }

    #[test]
    fn the_address_is_given_or_asked_for_or_in_use() {
        let requested = [50, 4, 10, 6, 0, 7];
        let mut bytes = v4(3, &requested);
        bytes[12..16].copy_from_slice(&[10, 6, 0, 8]);
        let about = |bytes: &[u8]| Dhcp::parse_v4(bytes).unwrap().address.unwrap().to_string();
        assert_eq!(about(&bytes), "10.6.0.7");
        bytes.truncate(bytes.len() - requested.len());
        assert_eq!(about(&bytes), "10.6.0.8");
        bytes[16..20].copy_from_slice(&[10, 6, 0, 9]);
        assert_eq!(about(&bytes), "10.6.0.9");
        assert_eq!(Dhcp::parse_v4(&v4(1, &[54, 9, 1])).unwrap().server, None, "cut");
        assert_eq!(Dhcp::parse_v4(&v4(0, &[])), None, "BOOTP");
    }

    #[test]
    fn version_6_tells_server_address_and_refusal() {
        let address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let inner = [&[0, 5, 0, 24][..], &address, &[0; 8], &[0, 13, 0, 2, 0, 2]].concat();
        let association = [&[0, 3, 0, 12 + inner.len() as u8][..], &[0; 12], &inner].concat();
        let bytes = [&[2, 0, 1, 2, 0, 2, 0, 1, 7][..], &association].concat();
        let advertise = Dhcp::parse_v6(&bytes).unwrap();
        assert_eq!((advertise.kind, advertise.transaction), (2, 0x102));
        assert_eq!(advertise.address, Some("2001:db8::7".parse().unwrap()));
        assert!(advertise.names_server && advertise.is_answer());
        assert_eq!(advertise.refusal, Some(2));
        assert_eq!(Dhcp::parse_v6(&[12, 0, 0, 0]), None, "between relay and server");
    }
}
