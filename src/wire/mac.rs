//! Link addresses, and the few that stand for more than one station.

use std::fmt;
use std::str::FromStr;

/// An address of six bytes (IEEE 802 8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Everybody.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// One station, not a group (IEEE 802 8.2.2).
    pub fn is_unicast(self) -> bool {
        const GROUP: u8 = 1;
        self.0[0] & GROUP == 0
    }

    /// An address that routers take over from each other: VRRP (RFC 9568 §7.3), HSRP of both versions
    /// (RFC 2281 §5.5 and Cisco's ranges for version 2 and IPv6), GLBP.
    pub fn is_virtual_router(self) -> bool {
        matches!(
            self.0,
            [0x00, 0x00, 0x5e, 0x00, 0x01 | 0x02, _]
                | [0x00, 0x00, 0x0c, 0x07, 0xac, _]
                | [0x00, 0x00, 0x0c, 0x9f, 0xf0..=0xff, _]
                | [0x00, 0x05, 0x73, 0xa0, 0x00..=0x0f, _]
                | [0x00, 0x07, 0xb4, _, _, _]
        )
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// As it is displayed.
impl FromStr for Mac {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut mac = Self::default();
        let mut parts = text.split(':');
        for byte in &mut mac.0 {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(())?;
            *byte = u8::from_str_radix(part, 16).map_err(drop)?;
        }
        if parts.next().is_some() { Err(()) } else { Ok(mac) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back() {
        let mac = Mac([0, 1, 0x0a, 0xff, 0x10, 9]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
        for none in ["", "00:01", "00:01:0a:ff:10:09:11", "0:1:a:ff:10:9", "10.0.0.1", "VLAN 7"] {
            assert_eq!(none.parse::<Mac>(), Err(()), "{none}");
        }
    }

    #[test]
    fn groups_and_virtual_routers_are_told_apart() {
        for (mac, unicast, shared) in [
            ([0x4a, 0xeb, 0x40, 0xfe, 0x81, 0x87], true, false),
            ([0x00, 0x00, 0x5e, 0x00, 0x01, 0x2e], true, true),
            ([0x00, 0x00, 0x0c, 0x07, 0xac, 0x01], true, true),
            ([0x00, 0x00, 0x0c, 0x9f, 0xf3, 0xbc], true, true),
            ([0x01, 0x80, 0xc2, 0x00, 0x00, 0x02], false, false),
            ([0xff; 6], false, false),
        ] {
            let mac = Mac(mac);
            assert_eq!((mac.is_unicast(), mac.is_virtual_router()), (unicast, shared), "{mac}");
        }
        assert_eq!(Mac([0, 1, 0x0a, 0xff, 0x10, 9]).to_string(), "00:01:0a:ff:10:09");
    }
}
