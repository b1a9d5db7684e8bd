//! Router advertisements (RFC 4861 §4.2): who offers to be the default router, for how long, and which
//! prefixes it announces.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use super::mac::Mac;
use super::{array, u16_at, u32_at};

/// A router's advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ra {
    /// How long it offers to be the default router; zero: it does not, or no longer.
    pub lifetime: Duration,
    /// Addresses are to be had by DHCPv6.
    pub managed: bool,
    /// Everything else is to be had by DHCPv6.
    pub other: bool,
    /// The router's link address.
    pub mac: Option<Mac>,
    prefixes: [Prefix; Ra::PREFIXES],
    count: u8,
}

/// A prefix that an advertisement announces (RFC 4861 §4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// Its address.
    pub address: Ipv6Addr,
    /// Its length in bits.
    pub length: u8,
    /// How long addresses made of it are good; zero withdraws it.
    pub valid: Duration,
}

impl Ra {
    /// Prefixes that are read; routers announce one or two.
    pub const PREFIXES: usize = 8;

    /// Reads an ICMPv6 message from its type on. None for other types.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        const ADVERTISEMENT: u8 = 134;
        const MANAGED: u8 = 0x80;
        const OTHER: u8 = 0x40;
        const OPTIONS_AT: usize = 16;
        if *bytes.first()? != ADVERTISEMENT {
            return None;
        }
        let flags = *bytes.get(5)?;
        let nothing = Prefix { address: Ipv6Addr::UNSPECIFIED, length: 0, valid: Duration::ZERO };
        let mut message = Self {
            lifetime: Duration::from_secs(u16_at(bytes, 6)?.into()),
            managed: flags & MANAGED != 0,
            other: flags & OTHER != 0,
            mac: None,
            prefixes: [nothing; Self::PREFIXES],
            count: 0,
        };
        message.options(bytes.get(OPTIONS_AT..)?);
        Some(message)
    }

    /// Each option is at least eight bytes, so the walk ends with the packet.
    fn options(&mut self, mut options: &[u8]) {
        const SOURCE_ADDRESS: u8 = 1;
        const PREFIX: u8 = 3;
        /// Options count in units of eight bytes (RFC 4861 §4.6).
        const UNIT: usize = 8;
        while let [kind, units, ..] = *options {
            if units == 0 {
                return;
            }
            match kind {
                SOURCE_ADDRESS => self.mac = array(options, 2).map(Mac),
                PREFIX => self.push(options),
                _ => {}
            }
            options = options.get(usize::from(units) * UNIT..).unwrap_or_default();
        }
    }

    fn push(&mut self, option: &[u8]) {
        let prefix = || {
            let valid = Duration::from_secs(u32_at(option, 4)?.into());
            let address = array::<16>(option, 16)?.into();
            Some(Prefix { address, length: *option.get(2)?, valid })
        };
        if let (Some(room), Some(prefix)) =
            (self.prefixes.get_mut(usize::from(self.count)), prefix())
        {
            *room = prefix;
            self.count += 1;
        }
    }

    /// What it announces, at most [`Ra::PREFIXES`].
    pub fn prefixes(&self) -> &[Prefix] {
        self.prefixes.get(..usize::from(self.count)).unwrap_or_default()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Display for Ra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Router Advertisement")?;
        self.mac.map_or(Ok(()), |mac| write!(f, " from {mac}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetime_flags_and_prefixes_are_read() {
        let mut bytes = vec![134, 0, 0, 0, 64, 0xc0, 0x07, 0x08];
        bytes.resize(16, 0);
        bytes.extend([1, 1, 2, 0, 0, 0, 0, 9]);
        bytes.extend([3, 4, 64, 0xc0, 0, 0, 0, 60, 0, 0, 0, 40, 0, 0, 0, 0]);
        bytes.extend([0x20, 1, 0xd, 0xb8, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let ra = Ra::parse(&bytes).unwrap();
        assert_eq!((ra.lifetime.as_secs(), ra.managed, ra.other), (1_800, true, true));
        assert_eq!(ra.mac, Some(Mac([2, 0, 0, 0, 0, 9])));
        let [prefix] = ra.prefixes() else { panic!("{ra:?}") };
        assert_eq!((prefix.to_string().as_str(), prefix.valid.as_secs()), ("2001:db8:6::/64", 60));
        for cut in 0..bytes.len() {
            let _ = Ra::parse(&bytes[..cut]);
        }
        assert_eq!(Ra::parse(&[133; 32]), None);
    }
}
