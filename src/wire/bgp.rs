//! BGP messages in a TCP segment (RFC 4271 §4): enough to see a session open, live and end.

use std::fmt;

use super::{array, u16_at};

/// Messages looked at in a segment: one of 64 KiB holds a few thousand of the shortest, and what ends a
/// session comes at the end.
const MAX_MESSAGES: usize = 4_096;
/// Marker, length, type: the shortest message (RFC 4271 §4.1).
const HEADER: usize = 19;
const MARKER: [u8; 16] = [0xff; 16];

/// Why a session is ended (RFC 4271 §4.5, RFC 4486, RFC 8538).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    /// The error.
    pub code: u8,
    /// The error within the code.
    pub subcode: u8,
}

impl Notification {
    /// Code of a session that is ended on purpose.
    pub const CEASE: u8 = 6;

    /// True if an operator ended it: shutdown, removal, reset, configuration change.
    pub fn is_administrative(self) -> bool {
        self.code == Self::CEASE && matches!(self.subcode, 2 | 3 | 4 | 6 | 9)
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.code {
            1 => "Message Header Error",
            2 => "OPEN Message Error",
            3 => "UPDATE Message Error",
            4 => "Hold Timer Expired",
            5 => "Finite State Machine Error",
            6 => "Cease",
            7 => "ROUTE-REFRESH Message Error",
            8 => "Send Hold Timer Expired",
            _ => "Unknown Error",
        };
        let cease = match self.subcode {
            1 => ", Maximum Number of Prefixes Reached",
            2 => ", Administrative Shutdown",
            3 => ", Peer De-configured",
            4 => ", Administrative Reset",
            5 => ", Connection Rejected",
            6 => ", Other Configuration Change",
            7 => ", Connection Collision Resolution",
            8 => ", Out of Resources",
            9 => ", Hard Reset",
            10 => ", BFD Down",
            _ => "",
        };
        let cease = if self.code == Self::CEASE { cease } else { "" };
        write!(f, "{code}{cease} ({}/{})", self.code, self.subcode)
    }
}

/// What the messages that begin in a segment say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bgp {
    /// A session is being opened.
    pub open: bool,
    /// There is a session: update, keep-alive, or refresh.
    pub alive: bool,
    /// It is ended.
    pub notification: Option<Notification>,
}

impl Bgp {
    /// Reads a segment's payload; one that begins within a message is read from the next marker on. None
    /// when no message begins in it.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        const OPEN: u8 = 1;
        const UPDATE: u8 = 2;
        const NOTIFICATION: u8 = 3;
        const KEEP_ALIVE: u8 = 4;
        const REFRESH: u8 = 5;
        let begin = payload.windows(MARKER.len()).position(|window| window == MARKER)?;
        let mut bytes = payload.get(begin..)?;
        let mut found = None;
        for _ in 0..MAX_MESSAGES {
            if !bytes.starts_with(&MARKER) {
                break;
            }
            let (Some(length), Some(&kind)) = (u16_at(bytes, MARKER.len()), bytes.get(HEADER - 1))
            else {
                break;
            };
            let bgp: &mut Self = found.get_or_insert_default();
            match kind {
                OPEN => bgp.open = true,
                UPDATE | KEEP_ALIVE | REFRESH => bgp.alive = true,
                NOTIFICATION => {
                    let [code, subcode] = array(bytes, HEADER).unwrap_or_default();
                    bgp.notification = Some(Notification { code, subcode });
                }
                _ => {}
            }
            bytes = bytes.get(usize::from(length).max(HEADER)..).unwrap_or_default();
        }
        found
    }
}

impl fmt::Display for Bgp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.notification {
            Some(why) => write!(f, "NOTIFICATION Message: {why}"),
            None if self.open => f.write_str("OPEN Message"),
            None if self.alive => f.write_str("UPDATE or KEEPALIVE Message"),
            None => f.write_str("Unknown Message"),
        }
    }
}
