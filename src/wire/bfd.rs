//! BFD control packets (RFC 5880 §4.1): is the way to the neighbour alive, within milliseconds.

use std::fmt;
use std::time::Duration;

use super::u32_at;

/// A session as its sender sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Held down by the operator.
    AdminDown,
    /// No answer.
    Down,
    /// The other end is heard.
    Init,
    /// Both hear each other.
    Up,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A control packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bfd {
    /// Why the state changed last; see [`Bfd::diagnostic`].
    pub diag: u8,
    /// The session at the sender.
    pub state: State,
    /// The sender asks for silence: it checks by other means (RFC 5880 §6.6).
    pub demand: bool,
    /// Packets in a row that may be missing.
    pub multiplier: u8,
    /// The session at the sender.
    pub mine: u32,
    /// The session at the receiver, zero while unknown.
    pub yours: u32,
    /// The sender will not send more often.
    pub transmit: Duration,
    /// The sender cannot take more often; zero: it wants none.
    pub receive: Duration,
}

impl Bfd {
    /// Reads a UDP payload. None for what RFC 5880 §6.8.6 discards.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        const VERSION: u8 = 1;
        const SHORTEST: u8 = 24;
        const DEMAND: u8 = 0x02;
        let &[first, second, multiplier, length] = bytes.first_chunk()?;
        let micros = |at| u32_at(bytes, at).map(|micros| Duration::from_micros(micros.into()));
        if first >> 5 != VERSION || length < SHORTEST || multiplier == 0 {
            return None;
        }
        let mine = u32_at(bytes, 4)?;
        let state = match second >> 6 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        };
        (mine != 0).then_some(Self {
            diag: first & 0x1f,
            state,
            demand: second & DEMAND != 0,
            multiplier,
            mine,
            yours: u32_at(bytes, 8)?,
            transmit: micros(12)?,
            receive: micros(16)?,
        })
    }

    /// The diagnostic in words (RFC 5880 §4.1, IANA).
    pub fn diagnostic(&self) -> &'static str {
        match self.diag {
            0 => "No Diagnostic",
            1 => "Control Detection Time Expired",
            2 => "Echo Function Failed",
            3 => "Neighbor Signaled Session Down",
            4 => "Forwarding Plane Reset",
            5 => "Path Down",
            6 => "Concatenated Path Down",
            7 => "Administratively Down",
            8 => "Reverse Concatenated Path Down",
            9 => "Mis-Connectivity Defect",
            _ => "Unknown Diagnostic",
        }
    }
}

impl fmt::Display for Bfd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Diag: {}, State: {}", self.diagnostic(), self.state)
    }
}
