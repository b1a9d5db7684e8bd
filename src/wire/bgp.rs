//! BGP messages in a TCP segment (RFC 4271 §4): enough to see a session open, live and end, and why.

use std::fmt;

use super::{u16_at, u32_at};

/// Messages looked at in a segment: one of 64 KiB holds a few thousand of the shortest, and what ends a
/// session comes at the end.
const MAX_MESSAGES: usize = 4_096;
/// Optional parameters and capabilities looked at in an OPEN: 255 bytes hold fewer of what is real.
const MAX_PARAMETERS: usize = 64;
/// Marker, length, type: the shortest message (RFC 4271 §4.1).
const HEADER: usize = 19;
const MARKER: [u8; 16] = [0xff; 16];

/// What a speaker says of itself when it opens a session (RFC 4271 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Its autonomous system, also where that needs four bytes (RFC 6793).
    pub system: u32,
    /// Seconds without a message after which it gives the session up; zero is never.
    pub hold: u16,
}

impl Open {
    fn parse(body: &[u8]) -> Option<Self> {
        /// Version 1, system 2, hold time 2, identifier 4, then the parameters' length.
        const PARAMETERS: usize = 9;
        let length = usize::from(*body.get(PARAMETERS)?);
        let extended = body.get(PARAMETERS + 1) == Some(&0xff) && length != 0;
        // RFC 9072: type 255 stands in for the first parameter, and lengths have two bytes.
        let parameters = body.get(PARAMETERS + if extended { 4 } else { 1 }..)?;
        let system = system_of_four_bytes(parameters, extended);
        let short = u16_at(body, 1)?;
        Some(Self { system: system.unwrap_or(short.into()), hold: u16_at(body, 3)? })
    }
}

/// The capability that tells a system of four bytes (RFC 5492 §4, RFC 6793 §3), among the parameters.
fn system_of_four_bytes(mut parameters: &[u8], extended: bool) -> Option<u32> {
    const CAPABILITIES: u8 = 2;
    const FOUR_BYTES: u8 = 65;
    for _ in 0..MAX_PARAMETERS {
        let (kind, length, header) = match (parameters, extended) {
            ([kind, high, low, ..], true) => (*kind, u16::from_be_bytes([*high, *low]), 3),
            ([kind, length, ..], false) => (*kind, u16::from(*length), 2),
            _ => return None,
        };
        let value = parameters.get(header..)?;
        let end = usize::from(length).min(value.len());
        let (mut capabilities, rest) = value.split_at(end);
        while let (CAPABILITIES, [code, length, value @ ..]) = (kind, capabilities) {
            if *code == FOUR_BYTES {
                return u32_at(value, 0);
            }
            capabilities = value.get(usize::from(*length)..).unwrap_or_default();
        }
        parameters = rest;
    }
    None
}

/// Why a session is ended (RFC 4271 §4.5, RFC 4486).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification<'a> {
    /// The error; of a hard reset the one that it is for (RFC 8538 §3.1).
    pub code: u8,
    /// The error within the code.
    pub subcode: u8,
    /// It was sent as a Cease, Hard Reset, so that no graceful restart follows.
    pub hard: bool,
    data: &'a [u8],
}

impl<'a> Notification<'a> {
    /// Code of an OPEN that was refused.
    pub const OPEN: u8 = 2;
    /// Subcode of an OPEN: the system is not the one that was configured.
    pub const BAD_PEER_SYSTEM: u8 = 2;
    /// Code of a session that is ended without a protocol error.
    pub const CEASE: u8 = 6;
    const HARD_RESET: u8 = 9;

    fn parse(body: &'a [u8]) -> Option<Self> {
        let &[code, subcode, ref data @ ..] = body else { return None };
        Some(match (code, subcode, data) {
            (Self::CEASE, Self::HARD_RESET, &[code, subcode, ref data @ ..]) => {
                Self { code, subcode, hard: true, data }
            }
            _ => Self { code, subcode, hard: false, data },
        })
    }

    /// True if an operator ended it: shutdown, removal, reset, configuration change.
    pub fn is_administrative(&self) -> bool {
        self.code == Self::CEASE && matches!(self.subcode, 2 | 3 | 4 | 6)
    }

    /// True if it closes one of two connections that both ends opened at once (RFC 4271 §6.8).
    pub fn is_collision(&self) -> bool {
        (self.code, self.subcode) == (Self::CEASE, 7)
    }

    /// True if the peer does not want the session: it was not let in at all.
    pub fn is_rejection(&self) -> bool {
        (self.code, self.subcode) == (Self::CEASE, 5)
    }

    /// The most prefixes that the sender takes, where it tells (RFC 4486 §4): family 2, subfamily 1, limit 4.
    fn limit(&self) -> Option<u32> {
        const MOST_PREFIXES: u8 = 1;
        let is_limit = (self.code, self.subcode) == (Self::CEASE, MOST_PREFIXES);
        u32_at(self.data, 3).filter(|_| is_limit)
    }
}

impl fmt::Display for Notification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, subcode, hard, .. } = self;
        let name = match code {
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
        f.write_str(name)?;
        let within = within(*code, *subcode);
        if !within.is_empty() {
            write!(f, ", {within}")?;
        }
        if let Some(limit) = self.limit() {
            write!(f, ", which is {limit}")?;
        }
        write!(f, " ({code}/{subcode}{})", if *hard { " in a Hard Reset, 6/9" } else { "" })
    }
}

/// What a subcode says (IANA, BGP Error Subcodes).
fn within(code: u8, subcode: u8) -> &'static str {
    match (code, subcode) {
        (1, 1) => "Connection Not Synchronized",
        (1, 2) => "Bad Message Length",
        (1, 3) => "Bad Message Type",
        (2, 1) => "Unsupported Version Number",
        (2, 2) => "Bad Peer AS",
        (2, 3) => "Bad BGP Identifier",
        (2, 4) => "Unsupported Optional Parameter",
        (2, 5) => "Authentication Failure",
        (2, 6) => "Unacceptable Hold Time",
        (2, 7) => "Unsupported Capability",
        (2, 11) => "Role Mismatch",
        (3, 1) => "Malformed Attribute List",
        (3, 2) => "Unrecognized Well-known Attribute",
        (3, 3) => "Missing Well-known Attribute",
        (3, 4) => "Attribute Flags Error",
        (3, 5) => "Attribute Length Error",
        (3, 6) => "Invalid ORIGIN Attribute",
        (3, 8) => "Invalid NEXT_HOP Attribute",
        (3, 9) => "Optional Attribute Error",
        (3, 10) => "Invalid Network Field",
        (3, 11) => "Malformed AS_PATH",
        (5, 1) => "Unexpected Message in OpenSent State",
        (5, 2) => "Unexpected Message in OpenConfirm State",
        (5, 3) => "Unexpected Message in Established State",
        (6, 1) => "Maximum Number of Prefixes Reached",
        (6, 2) => "Administrative Shutdown",
        (6, 3) => "Peer De-configured",
        (6, 4) => "Administrative Reset",
        (6, 5) => "Connection Rejected",
        (6, 6) => "Other Configuration Change",
        (6, 7) => "Connection Collision Resolution",
        (6, 8) => "Out of Resources",
        (6, 9) => "Hard Reset without a reason",
        (6, 10) => "BFD Down",
        _ => "",
    }
}

/// What the messages that begin in a segment say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bgp<'a> {
    /// A session is being opened.
    pub open: Option<Open>,
    /// The sender took the other's OPEN: update, keep-alive, or refresh.
    pub alive: bool,
    /// Among them is a keep-alive, which comes at intervals.
    pub keep_alive: bool,
    /// It is ended.
    pub notification: Option<Notification<'a>>,
}

impl<'a> Bgp<'a> {
    /// Reads a segment's payload; one that begins within a message is read from the next marker on. None
    /// when no message begins in it.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
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
            let length = usize::from(length).max(HEADER);
            let body = bytes.get(HEADER..length.min(bytes.len())).unwrap_or_default();
            let bgp: &mut Self = found.get_or_insert_default();
            match kind {
                OPEN => bgp.open = Open::parse(body),
                UPDATE | REFRESH => bgp.alive = true,
                KEEP_ALIVE => (bgp.alive, bgp.keep_alive) = (true, true),
                NOTIFICATION => bgp.notification = Notification::parse(body),
                _ => {}
            }
            bytes = bytes.get(length..).unwrap_or_default();
        }
        found
    }
}

impl fmt::Display for Bgp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.notification, self.open) {
            (Some(why), _) => write!(f, "NOTIFICATION Message: {why}"),
            (None, Some(open)) => write!(f, "OPEN Message, AS {}", open.system),
            (None, None) if self.alive => f.write_str("UPDATE or KEEPALIVE Message"),
            (None, None) => f.write_str("Unknown Message"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (HEADER + body.len()) as u16;
        [&MARKER[..], &length.to_be_bytes(), &[kind], body].concat()
    }

    #[test]
    fn hard_resets_say_what_they_are_for() {
        // As FRR 8.4 sent them: RFC 8538 puts code, subcode and data of the error into the data.
        let cases: [(&[u8], &str, bool); 7] = [
            (
                &[6, 9, 6, 1, 0, 1, 1, 0, 0, 0, 5],
                "Cease, Maximum Number of Prefixes Reached, which is 5 (6/1 in a Hard Reset, 6/9)",
                false,
            ),
            (&[6, 9, 6, 10], "Cease, BFD Down (6/10 in a Hard Reset, 6/9)", false),
            (&[6, 9, 6, 2], "Cease, Administrative Shutdown (6/2 in a Hard Reset, 6/9)", true),
            (&[6, 9, 4, 0], "Hold Timer Expired (4/0 in a Hard Reset, 6/9)", false),
            (&[6, 9], "Cease, Hard Reset without a reason (6/9)", false),
            (&[6, 4], "Cease, Administrative Reset (6/4)", true),
            (&[2, 2, 0xfe, 0x4b], "OPEN Message Error, Bad Peer AS (2/2)", false),
        ];
        for (body, words, administrative) in cases {
            let bytes = message(3, body);
            let why = Bgp::parse(&bytes).unwrap().notification.unwrap();
            assert_eq!(
                (why.to_string(), why.is_administrative()),
                (words.to_owned(), administrative)
            );
        }
        assert_eq!(Bgp::parse(&message(3, &[6])).unwrap().notification, None, "cut");
    }

    #[test]
    fn an_open_tells_its_system_and_its_hold_time() {
        let four = [65, 4, 0, 1, 0x86, 0xa0];
        let fixed = [4, 0x5b, 0xa0, 0, 9, 1, 1, 1, 1];
        let cases: [(Vec<u8>, u32); 4] = [
            ([&fixed[..], &[0]].concat(), 23_456),
            ([&fixed[..], &[12, 2, 4, 1, 2, 0, 1, 2, 6], &four].concat(), 100_000),
            // RFC 9072.
            ([&fixed[..], &[255, 255, 0, 9, 2, 0, 6], &four].concat(), 100_000),
            ([&fixed[..], &[9, 2, 250, 65]].concat(), 23_456),
        ];
        for (body, system) in cases {
            let bytes = message(1, &body);
            let open = Bgp::parse(&bytes).unwrap().open.unwrap();
            assert_eq!(open, Open { system, hold: 9 });
        }
    }
}
