//! Frames that come many times a second, identical or nearly: a storm, or a packet that goes in a circle.
//!
//! ```text
//!   frame ─► known run, all bytes the same? ──────────────────────────────────► copy
//!        └─► known run, the same but for what routers change? ────────────────► near copy
//!        └─► table of digests: the 8th time in this second it becomes a run ──► an ordinary frame
//! ```
//!
//! Nothing is folded on a digest alone: bytes are compared. Frames that were cut by a snaplen may differ in
//! what is not there, and are never folded. What routers change is the time to live, the header checksum, and
//! the identification, which some gateways renumber. Tables are bounded; when there are more runs at once than
//! places, further ones are ordinary frames. Nothing is allocated per frame.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use crate::frame::LinkType;
use crate::time::Wall;
use crate::wire::Flow;
use crate::wire::link::{Content, Link, ethertype};

/// Runs, and what may become one.
#[derive(Debug)]
pub(super) struct Folds {
    hash: FixedState,
    /// By a digest of all bytes: the run it is a copy of.
    exact: Box<[KnownFrame]>,
    /// By a digest of what routers do not change.
    near: Box<[Candidate]>,
    runs: Vec<FastFrame>,
    /// Where the search for a run that is over goes on.
    oldest: usize,
}

/// A frame to be judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// Interface and direction: copies elsewhere are no copies.
    pub(super) place: u32,
    pub(super) link_type: LinkType,
    pub(super) bytes: &'a [u8],
    pub(super) wall: Wall,
    /// The second that is being looked at.
    pub(super) second: u64,
}

/// A frame that comes fast.
#[derive(Debug)]
pub(super) struct FastFrame {
    place: u32,
    bytes: Vec<u8>,
    changeable: Changeable,
    last: Wall,
    near: usize,
    /// Whose it is.
    pub(super) flow: Flow,
    /// Its bucket in the second of this number.
    pub(super) bucket: (u64, u32),
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// A copy of the run of this number, byte for byte.
    Copy(usize),
    /// A copy but for what routers change; its time to live.
    Near(usize, u8),
    /// Nothing known.
    None,
}

#[derive(Debug, Clone, Copy)]
struct KnownFrame {
    digest: u64,
    run: u32,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    digest: u64,
    second: u64,
    seen: u32,
    run: u32,
}

/// Where in a frame the bytes are that routers change; nowhere if it is no IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Changeable {
    /// Where the IP header begins.
    at: usize,
    places: &'static [usize],
    /// The time to live, among them.
    ttl: usize,
}

impl Folds {
    /// Places in each table, a power of two: 96 and 48 KiB.
    const PLACES: usize = 4_096;
    /// Runs at a time. With [`Self::LONGEST`] 9 MiB at most.
    const RUNS: usize = 1_024;
    /// Longest frame in bytes that may have a run: a jumbo frame.
    const LONGEST: usize = 9_216;
    /// Seen so often within a second, a frame gets a place among the runs (`ring::fold`).
    const FAST: u32 = 8;
    /// A run without a copy for so long is over; storms come in waves (`detect::traffic`).
    const END: u64 = 5_000_000_000;
    const NO_RUN: u32 = u32::MAX;

    pub(super) fn new() -> Self {
        let known = KnownFrame { digest: 0, run: Self::NO_RUN };
        let candidate = Candidate { digest: 0, second: 0, seen: 0, run: Self::NO_RUN };
        Self {
            hash: FixedState::with_seed(0),
            exact: vec![known; Self::PLACES].into(),
            near: vec![candidate; Self::PLACES].into(),
            runs: Vec::new(),
            oldest: 0,
        }
    }

    pub(super) fn run(&mut self, number: usize) -> &mut FastFrame {
        &mut self.runs[number]
    }

    /// Looks at a frame that is there as a whole.
    #[inline]
    pub(super) fn look(&mut self, seen: &Seen<'_>) -> Likeness {
        let exact = self.digest(seen.place, &[seen.bytes]);
        let known = self.exact[place(exact)];
        if known.digest == exact
            && let Some(run) = self.runs.get_mut(known.run as usize)
            && run.place == seen.place
            && run.bytes == seen.bytes
        {
            run.last = seen.wall;
            return Likeness::Copy(known.run as usize);
        }
        self.look_closer(seen, exact)
    }

    fn look_closer(&mut self, seen: &Seen<'_>, exact: u64) -> Likeness {
        let changeable = Changeable::of(seen.link_type, seen.bytes);
        let near = match changeable.places {
            [] => exact,
            _ => self.masked(seen, changeable),
        };
        let at = match place(near) {
            at if self.near[at].digest == near => at,
            at if self.near[at ^ 1].digest == near => at ^ 1,
            // The one that was not seen for longer makes room.
            at if self.near[at].second <= self.near[at ^ 1].second => at,
            at => at ^ 1,
        };
        let candidate = &mut self.near[at];
        if candidate.digest != near {
            *candidate =
                Candidate { digest: near, second: seen.second, seen: 0, run: Self::NO_RUN };
        }
        if let Some(run) = self.runs.get_mut(candidate.run as usize).filter(|run| run.near == at) {
            candidate.second = seen.second;
            if run.place != seen.place || !changeable.alike(&run.bytes, seen.bytes) {
                return Likeness::None;
            }
            run.last = seen.wall;
            if run.bytes == seen.bytes {
                // Another frame took its place.
                self.exact[place(exact)] = KnownFrame { digest: exact, run: candidate.run };
                return Likeness::Copy(candidate.run as usize);
            }
            let ttl = seen.bytes.get(changeable.ttl).copied().unwrap_or_default();
            return Likeness::Near(candidate.run as usize, ttl);
        }
        if candidate.second != seen.second {
            (candidate.second, candidate.seen) = (seen.second, 0);
        }
        candidate.seen += 1;
        if candidate.seen >= Self::FAST && seen.bytes.len() <= Self::LONGEST {
            self.begin(seen, exact, at, changeable);
        }
        Likeness::None
    }

    #[cold]
    fn begin(&mut self, seen: &Seen<'_>, exact: u64, near: usize, changeable: Changeable) {
        let run = FastFrame {
            place: seen.place,
            bytes: seen.bytes.to_vec(),
            changeable,
            last: seen.wall,
            near,
            flow: Flow::of(seen.link_type, seen.bytes),
            bucket: (0, 0),
        };
        let number = if self.runs.len() < Self::RUNS {
            self.runs.push(run);
            self.runs.len() - 1
        } else {
            self.oldest = (self.oldest + 1) % Self::RUNS;
            let over = &mut self.runs[self.oldest];
            if seen.wall.0.saturating_sub(over.last.0) < Self::END {
                return;
            }
            *over = run;
            self.oldest
        };
        // There are fewer runs than a u32 counts.
        self.near[near].run = number as u32;
        self.exact[place(exact)] = KnownFrame { digest: exact, run: number as u32 };
    }

    #[inline]
    fn digest(&self, place: u32, parts: &[&[u8]]) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write_u32(place);
        parts.iter().for_each(|part| hasher.write(part));
        hasher.finish()
    }

    /// A digest of the frame without what routers change.
    fn masked(&self, seen: &Seen<'_>, changeable: Changeable) -> u64 {
        /// Link headers and the IP header as far as it is masked, with room for tags and labels.
        const HEAD: usize = 128;
        let mut head = [0; HEAD];
        let length = seen.bytes.len().min(HEAD);
        let (begin, rest) = seen.bytes.split_at(length);
        head[..length].copy_from_slice(begin);
        for place in changeable.places {
            if let Some(byte) = head.get_mut(changeable.at + place) {
                *byte = 0;
            }
        }
        self.digest(seen.place, &[&head[..length], rest])
    }
}

impl FastFrame {
    /// The time to live of its first copy.
    pub(super) fn ttl(&self) -> u8 {
        self.bytes.get(self.changeable.ttl).copied().unwrap_or_default()
    }
}

impl Changeable {
    fn of(link_type: LinkType, bytes: &[u8]) -> Self {
        /// Identification, time to live, header checksum (RFC 791 §3.1).
        const OF_V4: &[usize] = &[4, 5, 8, 10, 11];
        /// Hop limit (RFC 8200 §3).
        const OF_V6: &[usize] = &[7];
        let content = Link::walk(link_type, bytes).map(|link| link.content);
        let Some(Content::Typed(kind, packet)) = content else { return Self::default() };
        let places = match kind {
            ethertype::IPV4 if packet.len() > 11 => OF_V4,
            ethertype::IPV6 if packet.len() > 7 => OF_V6,
            _ => return Self::default(),
        };
        // What a frame carries is its end.
        let at = bytes.len() - packet.len();
        let ttl = at + if kind == ethertype::IPV4 { 8 } else { 7 };
        Self { at, places, ttl }
    }

    /// True if the frames differ nowhere else; `one` is laid out as this says.
    fn alike(self, one: &[u8], other: &[u8]) -> bool {
        if one.len() != other.len() {
            return false;
        }
        let mut from = 0;
        let same = self.places.iter().all(|place| {
            let to = self.at + place;
            let same = one.get(from..to) == other.get(from..to);
            from = to + 1;
            same
        });
        same && one.get(from..) == other.get(from..)
    }
}

fn place(digest: u64) -> usize {
    digest as usize & (Folds::PLACES - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// UDP over IPv4 behind a VLAN tag.
    fn frame(id: u16, ttl: u8, payload: u8) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 9, 8, 0];
        let [high, low] = id.to_be_bytes();
        bytes.extend([0x45, 0, 0, 32, high, low, 0, 0, ttl, 17, high ^ ttl, low]);
        bytes.extend([192, 0, 2, 1, 192, 0, 2, 2, 0, 9, 0, 9, 0, 12, 0, 0, 1, 2, 3, payload]);
        bytes
    }

    fn look(folds: &mut Folds, place: u32, second: u64, bytes: &[u8]) -> Likeness {
        let wall = Wall(second * 1_000_000_000);
        folds.look(&Seen { place, link_type: LinkType::ETHERNET, bytes, wall, second })
    }

    #[test]
    fn copies_and_near_copies_are_told_from_others() {
        let mut folds = Folds::new();
        let first = frame(7, 64, 1);
        for _ in 0..8 {
            assert_eq!(look(&mut folds, 1, 1, &first), Likeness::None);
        }
        for (name, place, bytes, likeness) in [
            ("the same", 1, frame(7, 64, 1), Likeness::Copy(0)),
            ("a hop further", 1, frame(7, 63, 1), Likeness::Near(0, 63)),
            ("renumbered", 1, frame(9, 60, 1), Likeness::Near(0, 60)),
            ("the same again", 1, frame(7, 64, 1), Likeness::Copy(0)),
            ("another payload", 1, frame(7, 64, 2), Likeness::None),
            ("longer", 1, [frame(7, 64, 1), vec![0]].concat(), Likeness::None),
            ("another interface", 2, frame(7, 64, 1), Likeness::None),
        ] {
            assert_eq!(look(&mut folds, place, 2, &bytes), likeness, "{name}");
        }
    }

    #[test]
    fn seven_a_second_are_hellos() {
        let mut folds = Folds::new();
        for second in 0..50 {
            for _ in 0..7 {
                assert_eq!(look(&mut folds, 0, second, &[9; 60]), Likeness::None);
            }
        }
    }

    #[test]
    fn more_runs_than_places_are_ordinary_frames_until_one_is_over() {
        let mut folds = Folds::new();
        let mut folded = 0;
        for n in 0..2 * Folds::RUNS as u64 {
            for _ in 0..10 {
                folded += usize::from(look(&mut folds, 0, 1, &n.to_be_bytes()) != Likeness::None);
            }
        }
        assert_eq!(folds.runs.len(), Folds::RUNS);
        assert!((1..=2 * Folds::RUNS).contains(&folded), "{folded}");
        for _ in 0..8 {
            look(&mut folds, 0, 9, b"later");
        }
        assert!(matches!(look(&mut folds, 0, 9, b"later"), Likeness::Copy(_)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            other in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut folds = Folds::new();
            for link_type in [LinkType::ETHERNET, LinkType::RAW, LinkType(113)] {
                let changeable = Changeable::of(link_type, &bytes);
                prop_assert!(changeable.alike(&bytes, &bytes));
                changeable.alike(&bytes, &other);
                for bytes in [&bytes, &other].repeat(9) {
                    folds.look(&Seen { place: 0, link_type, bytes, wall: Wall(0), second: 0 });
                }
            }
        }
    }
}
