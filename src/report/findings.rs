//! The findings of a report. Detectors tell what lasts twice, when it begins and when it is over, and once more
//! at the end of the files if it lasts until then; here that is one entry.

use crate::finding::{Finding, FindingKind, Party};
use crate::frame::Direction;
use crate::time::{Stamp, Wall};

use super::loops;
use super::model::{Entry, Proof, seconds_between};
use super::relations::Relations;
use crate::words;

/// Entries so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    entries: Vec<Entry>,
    more: u64,
}

/// All copies of one frame.
#[derive(Debug)]
pub(super) struct Settled<'a> {
    pub(super) interface: &'a str,
    pub(super) first: Stamp,
    pub(super) last: Stamp,
    pub(super) copies: u64,
    pub(super) direction: Direction,
    /// It came in and went out, again and again.
    pub(super) circulates: bool,
    /// The frame in one line.
    pub(super) line: String,
}

/// Kinds that are concluded from counts of 100 ms or more: when exactly they began, no frame tells.
const COUNTED: [FindingKind; 6] = [
    FindingKind::OneWay,
    FindingKind::RateChange,
    FindingKind::RateLimit,
    FindingKind::TcpResetBurst,
    FindingKind::TcpRetransmissionBurst,
    FindingKind::IcmpUnreachableBurst,
];

impl Findings {
    /// Most entries: more than anybody reads, a few MiB. Those beyond are counted.
    const MOST: usize = 10_000;

    /// Adds what was told; `proof` is asked for a frame received since then. What is told without an end is a
    /// moment until [`Self::lasts`] says that it goes on.
    pub(super) fn add(&mut self, told: Finding, proof: impl FnOnce(&Finding) -> Option<Proof>) {
        if let Some(open) = self.same(&told) {
            open.tell(&told);
            open.over = told.over;
            // Files may go on behind one that ended while it lasted.
            open.lasts = false;
            return;
        }
        if self.entries.len() >= Self::MOST {
            self.more += 1;
            return;
        }
        let proof = proof(&told);
        self.entries.push(Entry { proof, ..Entry::of(told) });
    }

    /// It was told before and has not ended when the files do.
    pub(super) fn lasts(&mut self, told: &Finding) {
        if let Some(open) = self.same(told) {
            open.tell(told);
            open.lasts = true;
        }
    }

    /// The entry that is told again: of the same thing, if there is one, and of the same beginning, or
    /// still open.
    fn same(&mut self, told: &Finding) -> Option<&mut Entry> {
        let alike = |entry: &Entry| {
            entry.kind == told.kind.name()
                && entry.interface == told.interface
                && entry.direction == told.direction
                && (entry.first == told.first.wall && entry.what == told.what
                    || told.over && !entry.over)
        };
        let exactly = |entry: &Entry| alike(entry) && entry.what == told.what;
        let entries = &self.entries;
        let found =
            entries.iter().rposition(exactly).or_else(|| entries.iter().rposition(alike))?;
        self.entries.get_mut(found)
    }

    /// A storm is over, or the files are: what it came to.
    pub(super) fn settle(&mut self, run: Settled<'_>) {
        let storm = FindingKind::DuplicateStorm.name();
        let Settled { interface, first, last, copies, direction, circulates, line } = run;
        let found = self.entries.iter_mut().rfind(|entry| {
            entry.kind == storm
                && entry.first == first.wall
                && entry.interface.as_deref() == Some(interface)
                && entry.direction == direction
        });
        let Some(entry) = found else { return };
        let seconds = seconds_between(first.wall, last.wall);
        let rate = if seconds > 0.0 { copies as f64 / seconds } else { copies as f64 };
        (entry.last, entry.count, entry.rate) = (last.wall, copies, Some(rate));
        entry.circulates = circulates;
        entry.sentence = format!(
            "duplicate storm: {} identical frames {}, {} a second for {seconds:.1} s: {line}",
            words::count(copies),
            words::way(direction, interface),
            words::figure(rate),
        );
        entry.what = line;
    }

    /// Adds the loops that storms show, once these are settled.
    pub(super) fn add_loops(&mut self, relations: &Relations) {
        let room = Self::MOST.saturating_sub(self.entries.len());
        let loops = loops::of(&self.entries, relations);
        self.more += loops.len().saturating_sub(room) as u64;
        self.entries.extend(loops.into_iter().take(room));
    }

    /// Adds what a host told, unless it was concluded here, too. Then only whom it is about is learnt from it: the host
    /// knew addresses of its neighbours that no frame tells.
    pub(super) fn add_told(&mut self, entry: Entry) {
        let alike = |known: &&mut Entry| {
            known.from == "frames" && known.kind == entry.kind && known.interface == entry.interface
        };
        let same = |known: &&mut Entry| alike(known) && known.is_about_the_same(&entry);
        if let Some(known) = self.entries.iter_mut().find(same) {
            known.learn(entry);
        } else if self.entries.len() >= Self::MOST {
            self.more += 1;
        } else {
            self.entries.push(entry);
        }
    }

    /// All of them in order of their beginning, and how many more there were. What was not told to last until
    /// the end was a moment.
    pub(super) fn finish(mut self) -> (Vec<Entry>, u64) {
        self.entries.iter_mut().for_each(|entry| entry.over = !entry.lasts);
        self.entries.sort_by_key(|entry| (entry.first, entry.last));
        (self.entries, self.more)
    }
}

impl Entry {
    /// What detectors concluded from the frames.
    fn of(told: Finding) -> Self {
        Self {
            kind: told.kind.name().to_owned(),
            severity: told.severity,
            first: told.first.wall,
            about: COUNTED.contains(&told.kind),
            last: told.last.wall,
            interface: told.interface,
            direction: told.direction,
            count: told.count,
            rate: told.rate,
            what: told.what,
            sentence: told.sentence,
            over: told.over,
            parties: told.parties,
            from: "frames",
            in_incident: false,
            proof: None,
            told: None,
            by_hand: false,
            lasts: false,
            circulates: false,
        }
    }

    /// True unless both name somebody, and nobody whom the other names.
    fn is_about_the_same(&self, other: &Self) -> bool {
        self.parties.is_empty()
            || other.parties.is_empty()
            || self.parties.iter().any(|party| other.parties.contains(party))
    }

    /// True for the very same thing seen at another place: of a kind, in the same words, about somebody in common.
    pub(super) fn is_the_same_as(&self, other: &Self) -> bool {
        (&self.kind, &self.what) == (&other.kind, &other.what)
            && self.parties.iter().any(|party| other.parties.contains(party))
    }

    /// The host told the same, and perhaps knew more of those whom it is about.
    fn learn(&mut self, told: Self) {
        let is_host = |party: &&Party| matches!(party, Party::Host(_));
        let mut new = told.parties.iter().filter(is_host);
        if new.any(|party| !self.parties.contains(party)) {
            (self.what, self.sentence, self.parties) = (told.what, told.sentence, told.parties);
        }
    }

    /// The same is told again.
    fn tell(&mut self, told: &Finding) {
        self.last = self.last.max(told.last.wall);
        self.count = self.count.max(told.count);
        self.severity = self.severity.max(told.severity);
        if !told.over {
            // What lasts may turn out worse.
            self.sentence.clone_from(&told.sentence);
        }
        if told.count > 0 {
            self.rate = told.rate.or(self.rate);
        }
    }
}

/// The frame of a proof, if it came after `since`.
pub(super) fn first_since<'a>(
    seen: impl IntoIterator<Item = &'a (Wall, String)>,
    since: Wall,
) -> Option<Proof> {
    let (time, what) = seen.into_iter().find(|(time, _)| *time >= since)?;
    Some(Proof { time: *time, what: what.clone() })
}
