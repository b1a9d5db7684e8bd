//! What who fetches and the host that sends say to each other: one JSON object each, behind which, on a line of its own,
//! the bytes of a piece follow.

use serde::{Deserialize, Serialize};

use super::Piece;
use crate::fleet::inquiry::{LONGEST, VERSION};
use crate::fleet::token::is_token;
use crate::incident::manifest::FileEntry;
use crate::observation::fetch::PacketShare;

/// Bytes of a message beside those of the piece in it: names, numbers, and what the server adds.
pub const AROUND: usize = 2_048;

/// What is asked of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchAsking {
    /// The version.
    pub v: u64,
    /// Who asks; its token stands in the subject, too.
    pub from: String,
    /// What tells this fetch from others of the same person.
    pub fetch: String,
    /// What is asked.
    #[serde(flatten)]
    pub wanted: FetchWanted,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum FetchWanted {
    /// Which files a bundle has: with this a fetch begins.
    Files {
        /// Its name.
        bundle: String,
        /// What of its frames is wanted at most.
        packets: PacketShare,
    },
    /// Bytes of one of them.
    Piece(Piece),
}

/// What the host tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchReply {
    /// The version.
    pub v: u64,
    /// The host.
    pub host: String,
    /// What it tells.
    #[serde(flatten)]
    pub told: Sent,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "snake_case")]
pub enum Sent {
    /// The files that go.
    Files {
        /// What of the frames goes.
        packets: PacketShare,
        /// Them.
        files: Vec<FileEntry>,
        /// Bytes of a piece at most.
        piece: u32,
    },
    /// Its frames are being cut; ask again.
    Cutting {
        /// Bytes of the capture that were read.
        read: u64,
        /// Of so many.
        size: u64,
    },
    /// A piece, whose bytes follow.
    Piece {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
    },
    /// Nothing is sent.
    Refused {
        /// Why.
        why: String,
    },
}

impl FetchAsking {
    /// Understands what is asked.
    ///
    /// # Errors
    /// Why it has no meaning.
    pub fn read(message: &[u8]) -> Result<Self, String> {
        if message.len() > LONGEST {
            return Err(format!("a question has at most {LONGEST} bytes"));
        }
        let asking: Self = serde_json::from_slice(message).map_err(|error| error.to_string())?;
        if asking.v != VERSION {
            return Err(format!("version {} is not spoken here", asking.v));
        }
        if !is_token(&asking.fetch) {
            return Err("the fetch has no token".to_owned());
        }
        Ok(asking)
    }
}

impl FetchReply {
    /// The message with `data`.
    pub fn message(&self, data: &[u8]) -> Vec<u8> {
        // Nothing here has keys that JSON cannot write, and no line of JSON is two.
        let mut message = serde_json::to_vec(self).unwrap_or_default();
        message.push(b'\n');
        message.extend_from_slice(data);
        message
    }

    /// Understands a message, and tells its data.
    ///
    /// # Errors
    /// Why it has no meaning.
    pub fn read(message: &[u8]) -> Result<(Self, &[u8]), String> {
        let end = message.iter().position(|byte| *byte == b'\n').ok_or("it has no end")?;
        let reply: Self =
            serde_json::from_slice(&message[..end]).map_err(|error| error.to_string())?;
        if reply.v != VERSION {
            return Err(format!("version {} is not spoken here", reply.v));
        }
        Ok((reply, &message[end + 1..]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let piece = Piece { file: "system/x".to_owned(), offset: 1 << 40, bytes: 7 };
        let files = FetchWanted::Files { bundle: "b".to_owned(), packets: PacketShare::Headers };
        for wanted in [files, FetchWanted::Piece(piece)] {
            let asking = FetchAsking { v: VERSION, from: "noc".into(), fetch: "7".into(), wanted };
            let line = serde_json::to_vec(&asking).unwrap();
            assert_eq!(FetchAsking::read(&line), Ok(asking.clone()));
            let wrong = FetchAsking { fetch: "a.b".to_owned(), ..asking };
            assert!(FetchAsking::read(&serde_json::to_vec(&wrong).unwrap()).is_err());
        }
        let told = Sent::Piece { file: "x".to_owned(), offset: 9 };
        let reply = FetchReply { v: VERSION, host: "b".to_owned(), told };
        let message = reply.message(b"a\nb\0");
        assert_eq!(FetchReply::read(&message), Ok((reply, &b"a\nb\0"[..])));
        assert!(FetchReply::read(b"{}").is_err());
        assert!(FetchAsking::read(&[b' '; LONGEST + 1]).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = FetchAsking::read(&bytes);
            let _ = FetchReply::read(&bytes);
        }
    }
}
