//! What became of everything that was read: per flow and in all, kept and set aside are what was read.
//!
//! Bounded: when there are too many flows, the smaller half of them is one from then on, by interface.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;
use serde::{Serialize, Serializer};

use super::limits::Limits;
use super::second::{Aside, Bucket, BucketKey, BucketKind, Interfaces};
use crate::capture_file::Damage;
use crate::time::Wall;

/// What is in the JSON that this is written as.
pub const FORMAT: &str = "dashcap-thin";
/// Raised when a field changes its meaning.
pub const VERSION: u32 = 1;

/// What was thinned, and what is set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// [`FORMAT`].
    pub format: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// Name and version of this program.
    pub written_by: &'static str,
    /// As they were named.
    pub files: Vec<String>,
    /// The file written.
    pub output: String,
    /// Its bytes on the disk, if it is a file.
    pub bytes: Option<u64>,
    /// The same before compression.
    pub plain_bytes: u64,
    /// What was kept of what came fast.
    pub limits: Limits,
    /// Bytes asked for, before compression.
    pub target: Option<u64>,
    /// How often the files were read.
    pub passes: u32,
    /// First and last stamp of all frames that were read.
    pub span: Option<Between>,
    /// All frames together.
    pub total: Share,
    /// Flows of which something is set aside, the most of it first.
    pub flows: Vec<FlowShare>,
    /// All other flows together.
    pub others: Share,
    /// Journal entries written.
    pub entries: u64,
    /// Frames without a stamp: all kept.
    pub unstamped: u64,
    /// Blocks that could not be written, by kind.
    pub left_out: BTreeMap<&'static str, u64>,
    /// What was damaged, in words.
    #[serde(serialize_with = "in_words")]
    pub damage: Vec<Damage>,
}

/// A flow, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowShare {
    /// Where.
    pub interface: String,
    /// Whose.
    pub flow: String,
    /// What became of it.
    #[serde(flatten)]
    pub share: Share,
}

/// What became of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Share {
    /// Read.
    pub read: Count,
    /// Written: what was read less what is set aside.
    pub kept: Count,
    /// Copies, set aside.
    pub folded: Hole,
    /// Between the first and the last of a second, set aside.
    pub thinned: Hole,
}

/// Frames, and their original length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Count {
    /// How many.
    pub frames: u64,
    /// Their original length together.
    pub bytes: u64,
}

/// Frames that are set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Hole {
    /// How many, and how long.
    #[serde(flatten)]
    pub count: Count,
    /// Stamps of the first and the last of them.
    pub between: Option<Between>,
}

/// Two stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Between {
    /// The first.
    pub first: Wall,
    /// The last.
    pub last: Wall,
}

/// The account being kept.
#[derive(Debug)]
pub(super) struct OpenAccount {
    flows: HashMap<BucketKey, Share, RandomState>,
    pub(super) total: Share,
}

impl OpenAccount {
    /// Flows remembered one by one, 10 MiB.
    const MOST: usize = 32_768;

    pub(super) fn new() -> Self {
        let flows = HashMap::default();
        Self { flows, total: Share::default() }
    }

    /// A second is over.
    pub(super) fn add(&mut self, bucket: &Bucket) {
        let share = Share::of(bucket);
        self.total.join(&share);
        if let Some(known) = self.flows.get_mut(&bucket.key) {
            known.join(&share);
            return;
        }
        if self.flows.len() >= Self::MOST {
            self.make_room();
        }
        self.flows.insert(bucket.key, share);
    }

    fn make_room(&mut self) {
        let mut bytes: Vec<u64> = self.flows.values().map(|share| share.read.bytes).collect();
        let middle = bytes.len() / 2;
        let (_, median, _) = bytes.select_nth_unstable(middle);
        let median = *median;
        let is_small =
            |key: &BucketKey, share: &mut Share| key.flow.is_some() && share.read.bytes <= median;
        let small: Vec<_> = self.flows.extract_if(|key, share| is_small(key, share)).collect();
        for (key, share) in small {
            self.flows.entry(BucketKey { flow: None, ..key }).or_default().join(&share);
        }
    }

    /// Flows of which something is set aside, at most so many, and all others together.
    pub(super) fn shares(&self, most: usize, interfaces: &Interfaces) -> (Vec<FlowShare>, Share) {
        let named = |(key, share): (&BucketKey, &Share)| FlowShare {
            interface: interfaces.name(key.interface).to_owned(),
            flow: name(key),
            share: *share,
        };
        let thinned = self.flows.iter().filter(|(_, share)| share.aside().frames > 0);
        let mut shares: Vec<_> = thinned.map(named).collect();
        shares.sort_by_cached_key(|share| {
            let aside = share.share.aside();
            (std::cmp::Reverse(aside.bytes), share.interface.clone(), share.flow.clone())
        });
        shares.truncate(most);
        let mut others = Share::default();
        let mut rest = self.total;
        for share in &shares {
            rest.read.subtract(share.share.read);
            rest.kept.subtract(share.share.kept);
            rest.folded.count.subtract(share.share.folded.count);
            rest.thinned.count.subtract(share.share.thinned.count);
        }
        (others.read, others.kept) = (rest.read, rest.kept);
        for (hole, rest) in [(&mut others.folded, rest.folded), (&mut others.thinned, rest.thinned)]
        {
            *hole = Hole { between: rest.between.filter(|_| rest.count.frames > 0), ..rest };
        }
        (shares, others)
    }
}

/// Whose frames these are, in words.
pub(super) fn name(key: &BucketKey) -> String {
    match (key.flow, key.control) {
        (Some(flow), _) => flow.to_string(),
        (None, Some(protocol)) => format!("other flows of {protocol}"),
        (None, None) => "other flows".to_owned(),
    }
}

impl Share {
    fn of(bucket: &Bucket) -> Self {
        let Bucket { frames, exempt, bytes, aside, .. } = *bucket;
        let read = Count { frames: frames + exempt, bytes };
        let hole = Hole::of(&aside);
        let (folded, thinned) = match bucket.kind {
            BucketKind::Run(_) => (hole, Hole::default()),
            BucketKind::Flow => (Hole::default(), hole),
        };
        let mut kept = read;
        kept.subtract(hole.count);
        Self { read, kept, folded, thinned }
    }

    fn join(&mut self, other: &Self) {
        self.read.add(other.read);
        self.kept.add(other.kept);
        self.folded.join(&other.folded);
        self.thinned.join(&other.thinned);
    }

    /// All that is set aside.
    pub fn aside(&self) -> Count {
        let mut aside = self.folded.count;
        aside.add(self.thinned.count);
        aside
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }

    /// A part of it.
    fn subtract(&mut self, part: Self) {
        self.frames = self.frames.saturating_sub(part.frames);
        self.bytes = self.bytes.saturating_sub(part.bytes);
    }
}

impl Hole {
    fn of(aside: &Aside) -> Self {
        let &Aside { frames, bytes, first, last } = aside;
        let between = (frames > 0).then_some(Between { first, last });
        Self { count: Count { frames, bytes }, between }
    }

    fn join(&mut self, other: &Self) {
        self.count.add(other.count);
        self.between = match (self.between, other.between) {
            (Some(one), Some(other)) => {
                let (first, last) = (one.first.min(other.first), one.last.max(other.last));
                Some(Between { first, last })
            }
            (one, other) => one.or(other),
        };
    }
}

fn in_words<S: Serializer>(damage: &[Damage], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(damage.iter().map(ToString::to_string))
}
