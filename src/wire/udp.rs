//! UDP headers (RFC 768).

use std::fmt;

use super::u16_at;

/// A datagram's header, and its payload as far as captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Udp<'a> {
    /// The sender's port.
    pub source: u16,
    /// The receiver's.
    pub destination: u16,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Reads what follows the IP header. None when the header is cut.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        const HEADER: usize = 8;
        // Zero in a jumbogram (RFC 2675 §4), and nonsense in damaged ones: then all there is.
        let length = match usize::from(u16_at(bytes, 4)?) {
            length if length >= HEADER => length.min(bytes.len()),
            _ => bytes.len(),
        };
        Some(Self {
            source: u16_at(bytes, 0)?,
            destination: u16_at(bytes, 2)?,
            payload: bytes.get(HEADER..length)?,
        })
    }
}

impl fmt::Display for Udp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {} Len={}", self.source, self.destination, self.payload.len())
    }
}
