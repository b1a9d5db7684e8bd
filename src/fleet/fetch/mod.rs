//! Bundles of other hosts, brought here when somebody wants to read them: until then they stay where they are.
//!
//! Whoever asks pulls file by file and piece by piece, so a fetch that was cut off, by whatever, goes on where it
//! stopped, and the host that sends keeps nothing but an open directory. What arrives is never believed: names are names
//! of a bundle's files, each file ends where its host said and has the sum that it said, and only a copy that is whole
//! has the bundle's name.
//!
//! ```text
//!   DIR/HOST/NAME.partial/  files as far as they came, fetched.json (what was promised)
//!         └ whole, summed, synced: renamed ─► DIR/HOST/NAME, a bundle like any other
//! ```

pub mod copy;
pub mod headers;
pub mod pace;
pub mod source;
pub mod table;
pub mod wire;

use serde::{Deserialize, Serialize};

/// Bytes of a piece at most: a quarter of what a server takes as one message unless told otherwise (nats-server,
/// server/const.go, MAX_PAYLOAD_SIZE), so that what else a host has to say waits a second behind it at 2 Mbit/s.
pub const PIECE: u32 = 256 << 10;
/// Pieces that are asked for before the first of them came: two megabytes under way fill 16 Mbit/s over a satellite.
pub const UNDER_WAY: usize = 8;

/// A part of a file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The file, by its path in the bundle.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u32,
}

/// What comes of pieces that were asked for.
#[derive(Debug)]
pub enum Come {
    /// One of them.
    Piece {
        /// Of which file.
        file: String,
        /// Where in it.
        offset: u64,
        /// Its bytes.
        data: Vec<u8>,
    },
    /// Nothing in time: what was asked is to be asked again.
    Nothing,
    /// They are not sent, and why.
    Refused(String),
}
