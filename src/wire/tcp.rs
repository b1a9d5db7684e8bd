//! TCP headers (RFC 9293 §3.1).

use std::fmt;

use super::{u16_at, u32_at};

/// A segment's header, and its payload as far as captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// The sender's port.
    pub source: u16,
    /// The receiver's.
    pub destination: u16,
    /// Number of the first payload byte.
    pub sequence: u32,
    /// Number of the next byte expected.
    pub acknowledgement: u32,
    /// FIN, SYN and so on: [`Tcp::FIN`].
    pub flags: u8,
    /// Bytes the sender can take, unscaled.
    pub window: u16,
    /// Between header and payload: [`Tcp::has_option`].
    pub options: &'a [u8],
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// A connection is wanted.
    pub const SYN: u8 = 0x02;
    /// A connection is refused or cut.
    pub const RST: u8 = 0x04;
    /// The acknowledgement counts.
    pub const ACK: u8 = 0x10;
    /// Option: signed with MD5 (RFC 2385).
    pub const MD5: u8 = 19;
    /// Option: signed (RFC 5925).
    pub const AUTHENTICATION: u8 = 29;

    /// Reads what follows the IP header. None when the header is cut.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        /// The header length counts words of four bytes.
        const WORD: usize = 4;
        const SHORTEST: usize = 20;
        let header = usize::from(*bytes.get(12)? >> 4) * WORD;
        if header < SHORTEST {
            return None;
        }
        Some(Self {
            source: u16_at(bytes, 0)?,
            destination: u16_at(bytes, 2)?,
            sequence: u32_at(bytes, 4)?,
            acknowledgement: u32_at(bytes, 8)?,
            flags: *bytes.get(13)?,
            window: u16_at(bytes, 14)?,
            options: bytes.get(SHORTEST..header).unwrap_or_default(),
            payload: bytes.get(header..).unwrap_or_default(),
        })
    }

    /// True if any of `flags` is set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// True if it has an option of this kind (RFC 9293 §3.2): kind, length with both of them, value; the end
    /// and padding are single bytes.
    pub fn has_option(&self, kind: u8) -> bool {
        const END: u8 = 0;
        const PADDING: u8 = 1;
        let mut options = self.options;
        loop {
            options = match options {
                [] | [END, ..] | [_] => return false,
                [PADDING, rest @ ..] => rest,
                [found, ..] if *found == kind => return true,
                [_, length, ..] => options.get(usize::from(*length).max(2)..).unwrap_or_default(),
            };
        }
    }
}

/// As tshark, with numbers as on the wire.
impl fmt::Display for Tcp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        write!(f, "{} → {} [", self.source, self.destination)?;
        let set = NAMES.iter().enumerate().filter(|(bit, _)| self.flags & (1 << bit) != 0);
        for (at, (_, name)) in set.enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
        }
        write!(f, "] Seq={}", self.sequence)?;
        if self.has(Self::ACK) {
            write!(f, " Ack={}", self.acknowledgement)?;
        }
        write!(f, " Win={} Len={}", self.window, self.payload.len())
    }
}
