//! LLDP (IEEE 802.1AB 8): which device and port is at the other end of the cable.

use std::fmt;

use super::mac::Mac;
use super::{array, u16_at};

/// Values looked at in a PDU; the mandatory ones come first, in order (IEEE 802.1AB 8.2).
const MAX_VALUES: usize = 64;

/// An identifier of a chassis or port: its subtype says what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id<'a> {
    /// What it is, as tshark abbreviates it: `MA` a link address, `IN` an interface's name.
    pub kind: &'static str,
    bytes: &'a [u8],
}

impl<'a> Id<'a> {
    const MAC: &'static str = "MA";

    /// What tells it from all others: of a link address this, of anything else also what it is.
    pub fn name(&self) -> String {
        if self.kind == Self::MAC { self.to_string() } else { format!("{}/{self}", self.kind) }
    }

    /// `kinds` are those of the subtypes from 1 on (IEEE 802.1AB tables 8-2 and 8-3).
    fn parse(value: &'a [u8], kinds: [&'static str; 7]) -> Option<Self> {
        let (&subtype, bytes) = value.split_first()?;
        let kind = kinds.get(usize::from(subtype).wrapping_sub(1)).copied().unwrap_or("??");
        Some(Self { kind, bytes })
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match array(self.bytes, 0) {
            Some(mac) if self.kind == Self::MAC => write!(f, "{}", Mac(mac)),
            _ => write_text(f, self.bytes),
        }
    }
}

/// Text from outside: what does not print is written as an escape.
fn write_text(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    write!(f, "{}", String::from_utf8_lossy(bytes).escape_debug())
}

/// What a neighbour says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lldp<'a> {
    /// The device.
    pub chassis: Id<'a>,
    /// Its port.
    pub port: Id<'a>,
    /// How long this holds, in seconds; zero says goodbye.
    pub ttl: u16,
    /// The device's name, where told.
    pub name: Option<&'a [u8]>,
}

impl<'a> Lldp<'a> {
    /// Reads what follows the EtherType.
    pub fn parse(mut bytes: &'a [u8]) -> Option<Self> {
        const END: u16 = 0;
        const CHASSIS: u16 = 1;
        const PORT: u16 = 2;
        const TTL: u16 = 3;
        const SYSTEM_NAME: u16 = 5;
        const CHASSIS_KINDS: [&str; 7] = ["CC", "IA", "PC", Id::MAC, "NA", "IN", "LA"];
        const PORT_KINDS: [&str; 7] = ["IA", "PC", Id::MAC, "NA", "IN", "AC", "LA"];
        /// A header has seven bits of type above nine of length.
        const LENGTH: u16 = 0x01ff;
        let (mut chassis, mut port, mut ttl, mut name) = (None, None, None, None);
        for _ in 0..MAX_VALUES {
            let Some(header) = u16_at(bytes, 0) else { break };
            let end = 2 + usize::from(header & LENGTH);
            let Some(value) = bytes.get(2..end) else { break };
            match header >> 9 {
                END => break,
                CHASSIS => chassis = Id::parse(value, CHASSIS_KINDS),
                PORT => port = Id::parse(value, PORT_KINDS),
                TTL => ttl = u16_at(value, 0),
                SYSTEM_NAME => name = Some(value),
                _ => {}
            }
            bytes = bytes.get(end..).unwrap_or_default();
        }
        Some(Self { chassis: chassis?, port: port?, ttl: ttl?, name })
    }
}

impl fmt::Display for Lldp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chassis, port, ttl, .. } = self;
        write!(f, "{}/{chassis} {}/{port} {ttl}", chassis.kind, port.kind)?;
        if let Some(name) = self.name {
            f.write_str(" SysN=")?;
            write_text(f, name)?;
        }
        Ok(())
    }
}
