//! Frames out of the memory of a running dashcap, at once: what was, and what comes, as one stream of pcapng. No
//! incident is made of it.
//!
//! ```text
//!   lanes of cap/* ◄─ what comes next? ─ reader: a segment of each lane, earliest frame first
//!                                          │ frames
//!   recorder ── what was seen, and is ───► stream: which are wanted ─► pcapng ─► client
//! ```
//!
//! What holds, however many read and however slow they are:
//!
//! * Capture waits for nobody: it is asked between two kernel blocks, answers with a reference to a segment, and
//!   evicts what it would evict anyway. What a reader comes too late for is counted, and told in the stream.
//! * A reader pins one segment of each lane at most; [`FrameFeed::pin`] refuses one with whom all readers together
//!   could pin more than a quarter of the memory.
//! * Nothing is missing and nothing comes twice where memory ends and the present begins: both are the same lanes,
//!   read in the same way.

mod pins;
mod reader;
pub mod session;
mod stream;
pub mod text;

use tokio::sync::broadcast;

use crate::capture::{Follower, filter::Filter};
use crate::error::{Error, Result};
use crate::incident::Host;
use crate::incident::journal::Entry;
use crate::time::{Mono, Stamp};
use crate::words;

pub use self::pins::{Pin, Pins};
pub use self::stream::serve;

/// Readers at a time.
pub const READERS: usize = 4;
/// Nice value of a reader's thread: it steps back behind capture and the recorder, and before nobody.
pub const NICE: i32 = 10;
/// What a segment takes in memory at most, in bytes: sealed ones have 1 MiB, packed together they were twice that.
const SEGMENT: u64 = 2 << 20;
/// All readers together pin at most this part of the memory for frames.
const PINNED_PART: u64 = 4;

/// What a reader wants.
#[derive(Debug, Clone)]
pub struct FramesRequest {
    /// Names of interfaces; empty: all that are recorded.
    pub interfaces: Vec<String>,
    /// The first moment.
    pub from: Mono,
    /// Where it ends; none: it goes on with what comes.
    pub to: Option<Mono>,
    /// Which frames.
    pub filter: Option<Filter>,
    /// And which of them not.
    pub except: Option<Filter>,
    /// How many frames at most.
    pub count: Option<u64>,
    /// Without frames of which memory has only the headers.
    pub without_faded: bool,
    /// Without frames that stand for copies that were counted.
    pub without_folded: bool,
}

/// What the recorder gives to a reader.
#[derive(Debug)]
pub struct FrameFeed {
    /// The moment of the answer.
    pub at: Stamp,
    /// Hands on the captures.
    pub followers: Vec<Follower>,
    /// What was seen since the first moment asked for, oldest first.
    pub seen: Vec<Entry>,
    /// What is seen from now on.
    pub live: broadcast::Receiver<Entry>,
    /// The machine.
    pub host: Host,
    /// Memory for frames, in bytes.
    pub memory: u64,
    /// By interface, since when all its lanes have everything.
    pub complete: Vec<(String, Mono)>,
}

impl FrameFeed {
    /// Since when memory has every frame of what is read, if that is later than `from`.
    pub fn held_from(&self, from: Mono) -> Mono {
        let is_read = |name: &str| self.followers.iter().any(|known| known.interface() == name);
        let complete = self.complete.iter().filter(|(name, _)| is_read(name));
        complete.map(|(_, since)| *since).fold(from, Mono::max)
    }

    /// Keeps the captures that are wanted, and what they may pin; of a single interface that is never too much.
    ///
    /// # Errors
    /// Wrong usage, when an interface is not recorded, or so many lanes are to be read that with other readers'
    /// their segments could take more than a quarter of the memory.
    pub fn pin(&mut self, asked: &FramesRequest, pins: &Pins) -> Result<Pin> {
        for name in &asked.interfaces {
            if !self.followers.iter().any(|follower| follower.interface() == name) {
                let recorded: Vec<_> = self.followers.iter().map(Follower::interface).collect();
                let accepted = format!("one that is recorded: {}", recorded.join(", "));
                return Err(Error::usage("--interface", name, "it is not recorded here", accepted));
            }
        }
        self.followers.retain(|follower| asked.wants(follower));
        let lanes: usize = self.followers.iter().map(|follower| follower.classes().len()).sum();
        let (wanted, most) = (lanes as u64 * SEGMENT, self.memory / PINNED_PART);
        let count = self.followers.len();
        let bound = if count > 1 { most } else { u64::MAX };
        pins.take(wanted, bound).ok_or_else(|| {
            let names: Vec<_> = self.followers.iter().map(Follower::interface).collect();
            let [wanted, most, taken] = [wanted, most, pins.taken()].map(words::bytes);
            Error::usage(
                "--interface",
                names.join(" "),
                format!("that could hold {wanted} of memory; readers may hold {most} together, {taken} are taken"),
                "fewer interfaces, each with --interface NAME, or dashcap run with more --memory",
            )
        })
    }
}

impl FramesRequest {
    fn wants(&self, follower: &Follower) -> bool {
        self.interfaces.is_empty()
            || self.interfaces.iter().any(|name| name == follower.interface())
    }
}
