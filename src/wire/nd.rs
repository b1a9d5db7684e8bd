//! Neighbour discovery for IPv6 (RFC 4861 §4.3, §4.4): the questions and answers that ARP has for IPv4.

use std::fmt;
use std::net::Ipv6Addr;

use super::array;
use super::mac::Mac;

/// A neighbour solicitation or advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nd {
    /// True for an advertisement.
    pub is_advertisement: bool,
    /// The advertisement answers a solicitation.
    pub solicited: bool,
    /// The advertisement replaces what is known.
    pub overriding: bool,
    /// The address asked for or told about.
    pub target: Ipv6Addr,
    /// Link address told: the sender's in a solicitation, the target's in an advertisement.
    pub mac: Option<Mac>,
}

impl Nd {
    /// Reads an ICMPv6 message from its type on. None for other types.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        const SOLICITATION: u8 = 135;
        const ADVERTISEMENT: u8 = 136;
        const SOURCE_ADDRESS: u8 = 1;
        const TARGET_ADDRESS: u8 = 2;
        const SOLICITED: u8 = 0x40;
        const OVERRIDE: u8 = 0x20;
        const OPTIONS_AT: usize = 24;
        let (is_advertisement, wanted) = match *bytes.first()? {
            SOLICITATION => (false, SOURCE_ADDRESS),
            ADVERTISEMENT => (true, TARGET_ADDRESS),
            _ => return None,
        };
        let flags = if is_advertisement { *bytes.get(4)? } else { 0 };
        Some(Self {
            is_advertisement,
            solicited: flags & SOLICITED != 0,
            overriding: flags & OVERRIDE != 0,
            target: array::<16>(bytes, 8)?.into(),
            mac: option(bytes.get(OPTIONS_AT..).unwrap_or_default(), wanted),
        })
    }
}

/// The link address in the first option of the kind `wanted`. Each option is at least eight bytes, so
/// the walk ends with the packet.
fn option(mut options: &[u8], wanted: u8) -> Option<Mac> {
    /// Options count in units of eight bytes (RFC 4861 §4.6).
    const UNIT: usize = 8;
    while let [kind, units, ..] = *options {
        if units == 0 {
            return None;
        }
        if kind == wanted {
            return array(options, 2).map(Mac);
        }
        options = options.get(usize::from(units) * UNIT..)?;
    }
    None
}

impl fmt::Display for Nd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target;
        if !self.is_advertisement {
            write!(f, "Neighbor Solicitation for {target}")?;
            return self.mac.map_or(Ok(()), |mac| write!(f, " from {mac}"));
        }
        let flags = match (self.solicited, self.overriding) {
            (true, true) => " (sol, ovr)",
            (true, false) => " (sol)",
            (false, true) => " (ovr)",
            (false, false) => "",
        };
        write!(f, "Neighbor Advertisement {target}{flags}")?;
        self.mac.map_or(Ok(()), |mac| write!(f, " is at {mac}"))
    }
}
