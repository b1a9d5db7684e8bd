//! VRRP advertisements, version 2 (RFC 3768 §5) and 3 (RFC 9568 §5): who is master, and how often it
//! says so.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::u16_at;

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
        let &[version, group, priority, count, _, seconds, _, _] = bytes.first_chunk()?;
        let interval = match version {
            V2 if is_carp(bytes) => return None,
            V2 => Duration::from_secs(seconds.into()),
            V3 => Duration::from_millis(u64::from(u16_at(bytes, 4)? & INTERVAL) * 10),
            _ => return None,
        };
        let address = address(bytes, count, is_v6);
        Some(Self { version: version >> 4, group, priority, interval, address })
    }

    /// Silence after which a backup takes over: three intervals and its skew (RFC 9568 §6.1).
    pub fn master_down(&self) -> Duration {
        let skew = (256 - u32::from(self.priority)) * 1_000 / 256;
        let unit = if self.version == 2 { Duration::from_secs(1) } else { self.interval };
        self.interval * 3 + unit * skew / 1_000
    }
}

/// The addresses follow eight bytes of header (RFC 9568 §5.2).
fn address(bytes: &[u8], count: u8, is_v6: bool) -> Option<IpAddr> {
    let listed = bytes.get(8..)?;
    let count = usize::from(count);
    if is_v6 {
        let all = listed.as_chunks::<16>().0.iter().take(count).copied().map(Ipv6Addr::from);
        return all.min_by_key(|v6| (v6.is_unicast_link_local(), *v6)).map(IpAddr::V6);
    }
    let all = listed.as_chunks::<4>().0.iter().take(count).copied().map(Ipv4Addr::from);
    all.min().map(IpAddr::V4)
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
