//! The findings of a report. Detectors tell what lasts twice, when it begins and when it is over, and once more
//! at the end of the files if it lasts until then; here that is one entry.

use crate::finding::{Finding, FindingKind, Party};
use crate::frame::Direction;
use crate::time::{Stamp, Wall};

use super::known::KnownEntries;
use super::loops;
use super::model::{Entry, Proof, seconds_between};
use super::relations::Relations;
use crate::words;

/// Entries so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    entries: Vec<Entry>,
    known: KnownEntries,
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
        if let Some((number, open)) = same(&self.known, &mut self.entries, &told) {
            self.known.again(number, &open.what, &told);
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
        self.known.add(self.entries.len(), &told);
        self.entries.push(Entry { proof, ..Entry::of(told) });
    }

    /// It was told before and has not ended when the files do.
    pub(super) fn lasts(&mut self, told: &Finding) {
        if let Some((_, open)) = same(&self.known, &mut self.entries, told) {
            open.tell(told);
            open.lasts = true;
        }
    }

    /// A storm is over, or the files are: what it came to.
    pub(super) fn settle(&mut self, run: Settled<'_>) {
        let storm = FindingKind::DuplicateStorm;
        let Settled { interface, first, last, copies, direction, circulates, line } = run;
        let found = self.known.begun(storm, interface, direction, first.wall);
        let Some((number, entry)) = found.and_then(|n| Some((n, self.entries.get_mut(n)?))) else {
            return;
        };
        let place = (storm, interface, direction);
        self.known.rename(number, place, first.wall, (&entry.what, &line));
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

/// The entry that is told again, and its number.
fn same<'a>(
    known: &KnownEntries,
    entries: &'a mut [Entry],
    told: &Finding,
) -> Option<(usize, &'a mut Entry)> {
    let number = known.find(told)?;
    entries.get_mut(number).map(|entry| (number, entry))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;
    use crate::time::Mono;

    fn told(what: &str, first: u64, over: bool) -> Finding {
        let at = |second: u64| Stamp { mono: Mono(second), wall: Wall(second) };
        Finding {
            kind: FindingKind::DuplicateStorm,
            severity: Severity::Warning,
            first: at(first),
            last: at(first + 1),
            interface: Some("eth0".to_owned()),
            direction: Direction::Inbound,
            count: 1,
            rate: None,
            what: what.to_owned(),
            sentence: String::new(),
            parties: Vec::new(),
            over,
        }
    }

    fn add(findings: &mut Findings, what: &str, first: u64, over: bool) {
        findings.add(told(what, first, over), |_| None);
    }

    /// What and whether it is over, of each entry.
    fn entries(findings: &Findings) -> Vec<(&str, bool)> {
        findings.entries.iter().map(|entry| (&*entry.what, entry.over)).collect()
    }

    #[test]
    fn what_is_told_again_is_the_entry_of_the_same_thing_and_beginning_or_the_open_one() {
        let mut findings = Findings::default();
        add(&mut findings, "a", 1, false);
        add(&mut findings, "b", 2, false);
        add(&mut findings, "a", 3, false);
        assert_eq!(entries(&findings), [("a", false), ("b", false), ("a", false)]);
        // Its end names another beginning: the newest open one of the same thing.
        add(&mut findings, "a", 4, true);
        assert_eq!(entries(&findings), [("a", false), ("b", false), ("a", true)]);
        // It goes on, with its own beginning, and ends in other words than it began.
        add(&mut findings, "a", 3, false);
        add(&mut findings, "c", 5, true);
        assert_eq!(entries(&findings), [("a", false), ("b", false), ("a", true)]);
        add(&mut findings, "c", 6, true);
        add(&mut findings, "c", 7, true);
        assert_eq!(entries(&findings), [("a", true), ("b", true), ("a", true)]);
        add(&mut findings, "c", 8, true);
        assert_eq!(entries(&findings).len(), 4, "nothing was open");
    }

    #[test]
    fn a_storm_that_was_settled_ends_under_its_new_words() {
        let mut findings = Findings::default();
        add(&mut findings, "storm", 1, false);
        let at = |second: u64| Stamp { mono: Mono(second), wall: Wall(second) };
        findings.settle(Settled {
            interface: "eth0",
            first: at(1),
            last: at(9),
            copies: 100,
            direction: Direction::Inbound,
            circulates: false,
            line: "ARP".to_owned(),
        });
        add(&mut findings, "other", 2, false);
        add(&mut findings, "ARP", 8, true);
        assert_eq!(entries(&findings), [("ARP", true), ("other", false)]);
        assert_eq!(findings.entries[0].count, 100);
    }

    /// Security review L11: all entries were searched for each that was told, which took a hostile dump minutes.
    #[test]
    fn l11_as_many_findings_as_there_may_be_are_told_again_without_a_search() {
        let mut findings = Findings::default();
        let names: Vec<_> = (0..Findings::MOST + 10).map(|n| format!("thing {n}")).collect();
        for over in [false, false, true, false, true] {
            names.iter().for_each(|name| add(&mut findings, name, 1, over));
        }
        assert_eq!(findings.entries.len(), Findings::MOST);
        assert!(findings.entries.iter().all(|entry| entry.over));
        assert_eq!(findings.more, 50);
    }
}
