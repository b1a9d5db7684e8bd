//! VRRP advertisements, version 2 (RFC 3768 §5) and 3 (RFC 9568 §5): who is master, and how often it
//! says so.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::{array, u16_at};

/// An advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vrrp {
    /// 2 or 3.
    pub version: u8,
    /// The virtual router.
    pub group: u8,
    /// The sender's priority; 255 owns the address, 0 resigns.
    pub priority: u8,
    /// Time between advertisements.
    pub interval: Duration,
    /// The address that it is about, by which people know it: the lowest, for routers list them as they
    /// please; of IPv6 the lowest that is not only of the link, if there is one.
    pub address: Option<IpAddr>,
}

impl Vrrp {
    /// Reads what follows the IP header, of version 6 or 4. None for CARP, which has the same number, version
    /// and type.
    pub fn parse(bytes: &[u8], is_v6: bool) -> Option<Self> {
        /// Version 2 or 3 and the only type there is.
        const V2: u8 = 0x21;
        const V3: u8 = 0x31;
        /// The interval of version 3 has twelve bits (RFC 9568 §5.2.7).
        const INTERVAL: u16 = 0x0fff;
        let &[version, group, priority, _, _, seconds, _, _] = bytes.first_chunk()?;
        let interval = match version {
            V2 if is_carp(bytes) => return None,
            V2 => Duration::from_secs(seconds.into()),
            V3 => Duration::from_millis(u64::from(u16_at(bytes, 4)? & INTERVAL) * 10),
            _ => return None,
        };
        let named = |address: &IpAddr| {
            let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            (link_local, *address)
        };
        let address = Self::addresses(bytes, is_v6).min_by_key(named);
        Some(Self { version: version >> 4, group, priority, interval, address })
    }

    /// The addresses that the routers share: `bytes` are what follows the IP header, `is_v6` its family.
    pub fn addresses(bytes: &[u8], is_v6: bool) -> impl Iterator<Item = IpAddr> {
        const COUNT_AT: usize = 3;
        const ADDRESSES_AT: usize = 8;
        let count = bytes.get(COUNT_AT).copied().unwrap_or_default();
        (0..usize::from(count)).map_while(move |number| {
            let at = |size: usize| ADDRESSES_AT + number * size;
            if is_v6 {
                array::<16>(bytes, at(16)).map(IpAddr::from)
            } else {
                array::<4>(bytes, at(4)).map(IpAddr::from)
            }
        })
    }

    /// Silence after which a backup takes over: three intervals and its skew (RFC 9568 §6.1).
    pub fn master_down(&self) -> Duration {
        let skew = (256 - u32::from(self.priority)) * 1_000 / 256;
        let unit = if self.version == 2 { Duration::from_secs(1) } else { self.interval };
        self.interval * 3 + unit * skew / 1_000
    }
}

/// A CARP header: its length field says 7 words, and it is 36 bytes long, which a VRRP message of seven
/// addresses is not (ip_carp.h of OpenBSD).
fn is_carp(bytes: &[u8]) -> bool {
    const WORDS: u8 = 7;
    const LENGTH: usize = 36;
    bytes.get(3) == Some(&WORDS) && bytes.len() == LENGTH
}

impl fmt::Display for Vrrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, group, priority, interval, .. } = self;
        write!(
            f,
            "Announcement (v{version}), group {group}, priority {priority}, every {interval:?}"
        )
    }
}
