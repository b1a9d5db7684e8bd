//! What a bundle tells beside its frames: `events.jsonl`, line by line, and `manifest.json`.
//!
//! Whatever bytes come, and whichever version wrote them, nothing fails but reading itself: a line that
//! has no meaning here is counted and told, a kind that is not known is an event without severity. Runs
//! are passed over, because the frames of the capture say the same, with their copies.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::facts::{begun, called, is_set_down, is_wrong, parties, subject, way};
use super::model::{Entry, HostEvent, Loss, Span, Trigger, Usual};
use super::passage::ClockSet;
use super::relations::Relations;
use super::states::Tracks;
use super::usual;
use crate::error::{Error, Result};
use crate::finding::{Finding, FindingKind, Severity};
use crate::incident::events::read::{EventLine, LONGEST_LINE, StoredEvent};
use crate::incident::folder::Folder;
use crate::incident::layout;
use crate::incident::manifest::Missing;
use crate::incident::manifest::read::{self as read_manifest, Manifest};
use crate::incident::moment;
use crate::observation::Fact;
use crate::observation::link_role::Port;
use crate::time::{Offset, Stamp, Wall};

/// Most events of a report; those beyond are counted.
const EVENTS: usize = 10_000;
/// Most bytes of their sentences: whoever can log must not make a report that no browser opens. What hosts
/// merely mention is no finding beyond that; what is wrong always is.
const SENTENCES: usize = 4 << 20;
/// Counts of an interface that say what a reader of its frames may miss, as a manifest names them.
const LOSSES: [&str; 8] = [
    "kernel_dropped",
    "lane_dropped",
    "filtered",
    "damaged",
    "truncated",
    "faded",
    "evicted",
    "gaps",
];

/// Findings that are told again while they go on, each time with what they came to.
const TOLD_AGAIN: [FindingKind; 1] = [FindingKind::LinkFlapping];

/// What bundles tell.
#[derive(Debug, Default)]
pub(super) struct BundleFacts {
    pub(super) entries: Vec<Entry>,
    pub(super) events: Vec<HostEvent>,
    pub(super) events_more: u64,
    /// Bytes of their sentences.
    sentences: usize,
    pub(super) trigger: Option<Trigger>,
    pub(super) losses: Vec<Loss>,
    pub(super) notes: Vec<String>,
    /// What the windows have: frames may have come at any time of it.
    pub(super) covered: Option<Span>,
    /// What passed against the time before.
    pub(super) usual: Vec<Usual>,
    /// Which interfaces and addresses belong together.
    pub(super) relations: Relations,
    /// Settings of the host's clock, in order.
    pub(super) clock_sets: VecDeque<ClockSet>,
    /// The last event's time by both clocks.
    clocks: Option<Stamp>,
    /// Names of interfaces by their indexes, and the indexes of their masters.
    links: BTreeMap<u32, (String, Option<u32>)>,
    /// Those that were ports of a bridge, and its index.
    bridge_ports: BTreeSet<(String, u32)>,
    /// What is as it should not be, by what it is about: the number of its entry.
    wrong: HashMap<String, usize>,
    /// Findings that have not ended, by kind, interface and what exactly.
    standing: HashMap<(FindingKind, Option<String>, String), usize>,
    /// Answers of probes: when, who, answered or not.
    probes: Vec<(Wall, String, bool)>,
    /// Lines without a meaning.
    senseless: u64,
}

/// Reads the bundle in `folder`, as far as it is there.
///
/// # Errors
/// When a file that is there cannot be read.
pub(super) fn read(folder: &Path, told: &mut BundleFacts) -> Result<()> {
    let manifest = folder.join(layout::MANIFEST);
    let text = Folder::named(folder).and_then(|folder| read_manifest::text(&folder));
    match read_manifest::parse_plain(&text.map_err(|e| failed(&manifest, e))?) {
        Ok(manifest) => told.manifest(manifest),
        Err(reason) => told.notes.push(format!("{}: {reason}", folder.display())),
    }
    let events = folder.join(layout::EVENTS);
    if events.is_file() {
        read_events(&events, told)?;
    }
    let traffic = folder.join(layout::TRAFFIC);
    if let (true, Some(covered)) = (traffic.is_file(), told.covered) {
        told.usual.extend(usual::of(open(&traffic)?, covered));
    }
    Ok(())
}

fn read_events(path: &Path, told: &mut BundleFacts) -> Result<()> {
    let mut reader = open(path)?;
    let mut line = Vec::new();
    (told.senseless, told.clocks) = (0, None);
    told.wrong.clear();
    told.standing.clear();
    loop {
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        if read.map_err(|e| failed(path, e))? == 0 {
            break;
        }
        match EventLine::read(&line) {
            Ok(line) => told.line(line),
            Err(_) => told.senseless += 1,
        }
    }
    if told.senseless > 0 {
        told.notes.push(format!("{} lines of {} have no meaning", told.senseless, path.display()));
    }
    Ok(())
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|e| failed(path, e))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::operation("read", path.display().to_string(), error)
}

impl BundleFacts {
    /// The first trigger, the window, what is missing, and what was lost of each interface.
    fn manifest(&mut self, manifest: Manifest) {
        if let (Some(first), None) = (manifest.triggers.into_iter().next(), &self.trigger)
            && let Some(time) = first.time
        {
            let (kind, object) = (Some(first.kind), first.object);
            let by = "bundle";
            self.trigger = Some(Trigger { time, sentence: first.sentence, by, kind, object });
        }
        self.covers(manifest.window.covered);
        for interface in manifest.interfaces {
            if let Some(relatives) = interface.relatives {
                self.relations.kin(&interface.name, relatives);
            }
            let lost = LOSSES.iter().filter_map(|name| Some((name, interface.counts.get(*name)?)));
            self.losses.extend(lost.map(|(name, count)| Loss {
                interface: interface.name.clone(),
                name: (*name).to_owned(),
                count: count.as_u64(),
            }));
        }
        for Missing { interface, class, reason, span } in manifest.missing {
            let whose = match (interface, class) {
                (Some(interface), Some(class)) => format!("{class} of {interface}"),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => "everything".to_owned(),
            };
            self.notes.push(format!("missing: {:.3} s of {whose}: {reason}", span.seconds));
        }
    }

    /// A part of the time in which everything was recorded. Its length is the one that passed, whatever the wall
    /// clock was set to meanwhile.
    fn covers(&mut self, covered: Option<moment::Span>) {
        let Some(moment::Span { from, to, seconds }) = covered else { return };
        let (from, to) = (from.time, to.time);
        self.covered = Some(match self.covered {
            None => Span { from, to, seconds },
            Some(known) => Span::new(known.from.min(from), known.to.max(to)),
        });
    }

    /// A line of the events.
    fn line(&mut self, line: EventLine) {
        let time = line.time;
        if let Some(mono) = line.mono {
            self.clocks(Stamp { mono, wall: time });
        }
        match line.event {
            StoredEvent::Trigger { kind, object } => {
                let sentence = line.sentence;
                let trigger = Trigger { time, sentence, by: "bundle", kind, object };
                self.trigger.get_or_insert(trigger);
            }
            StoredEvent::Observation { ref name, fact: Some(ref fact) } => {
                self.observation(&line, name, fact);
            }
            StoredEvent::Observation { ref name, fact: None } => {
                let severity = line.severity.unwrap_or(Severity::Info);
                let (first, interface) = (time, line.interface.clone());
                self.seen(&line, Entry { severity, first, interface, ..Entry::seen(name) });
            }
            StoredEvent::Other(_) => {}
        }
    }

    /// Both clocks at an event: if they are further apart than before, one was set.
    fn clocks(&mut self, now: Stamp) {
        if let Some(before) = self.clocks.replace(now) {
            let by = Offset::of(now).0.saturating_sub(Offset::of(before).0);
            if by.unsigned_abs() >= ClockSet::LEAST.as_nanos() as u64
                && self.clock_sets.len() < EVENTS
            {
                self.clock_sets.push_back(ClockSet { before: before.wall, by });
            }
        }
    }

    fn observation(&mut self, line: &EventLine, name: &str, fact: &Fact) {
        let answered = match fact {
            Fact::ProbeAnswered { probe, .. } | Fact::ProbeLate { probe, .. } => {
                Some((probe, true))
            }
            Fact::ProbeLost { probe, .. } => Some((probe, false)),
            _ => None,
        };
        if let Some((probe, answered)) = answered {
            if self.probes.len() < EVENTS {
                self.probes.push((line.time, probe.clone(), answered));
            }
            return;
        }
        if let Fact::Finding(finding) = fact {
            self.finding(line, finding);
            return;
        }
        self.learn(fact);
        let subject = subject(fact);
        if let Some(wrong) = subject.as_ref().and_then(|subject| self.wrong.remove(subject)) {
            let entry = &mut self.entries[wrong];
            (entry.last, entry.lasts) = (line.time, false);
        }
        let lasts = subject.filter(|_| is_wrong(fact));
        let entry = Entry {
            severity: line.severity.unwrap_or_else(|| fact.severity()),
            first: begun(line.time, fact),
            lasts: lasts.is_some(),
            interface: line.interface.clone().or_else(|| way(fact)),
            what: if let Fact::Log(line) = fact { line.text.clone() } else { String::new() },
            parties: parties(fact),
            by_hand: is_set_down(fact),
            ..Entry::seen(called(fact).unwrap_or(name))
        };
        if let Some(number) = self.seen(line, entry) {
            self.wrong.extend(lasts.map(|subject| (subject, number)));
        }
    }

    /// One that is more than information becomes an entry, whose number this is. All are events, as far as there is
    /// room.
    fn seen(&mut self, line: &EventLine, entry: Entry) -> Option<usize> {
        let (time, sentence) = (line.time, &line.sentence);
        let told_bytes = self.sentences + sentence.len();
        let has_room = self.events.len() < EVENTS && told_bytes <= SENTENCES;
        let (kind, interface, severity) =
            (entry.kind.clone(), entry.interface.clone(), entry.severity);
        let mut number = None;
        if severity > Severity::Info && (has_room || severity > Severity::Notice) {
            number = Some(self.entries.len());
            self.entries.push(Entry {
                told: Some(time),
                last: time,
                count: 1,
                what: if entry.what.is_empty() { sentence.clone() } else { entry.what },
                sentence: sentence.clone(),
                ..entry
            });
        }
        if has_room {
            self.sentences = told_bytes;
            self.events.push(HostEvent { time, kind, interface, sentence: sentence.clone() });
        } else {
            self.events_more += 1;
        }
        number
    }

    /// Which interfaces lie upon each other, and which addresses the host has.
    fn learn(&mut self, fact: &Fact) {
        match fact {
            Fact::Address(change) => self.relations.has(change.address),
            Fact::Link { before, now } => {
                for state in before.iter().chain([now]) {
                    self.links.insert(state.index, (state.name.clone(), state.master));
                    if let (Some(Port::Bridge { .. }), Some(bridge)) =
                        (state.port.as_deref(), state.master)
                    {
                        self.bridge_ports.insert((state.name.clone(), bridge));
                    }
                }
            }
            _ => {}
        }
    }

    /// Interfaces and their masters, as far as events told them.
    pub(super) fn masters(&mut self) {
        let links = std::mem::take(&mut self.links);
        for (name, master) in links.values() {
            let master = master.and_then(|master| links.get(&master));
            if let Some((master, _)) = master {
                self.relations.master(name, master);
            }
        }
        for (port, bridge) in std::mem::take(&mut self.bridge_ports) {
            self.relations.bridged(port, bridge);
        }
    }

    /// What was concluded then; it is left out where the frames show it again. Told once more, it goes on.
    fn finding(&mut self, line: &EventLine, finding: &Finding) {
        let time = line.time;
        let Finding { kind, count, .. } = *finding;
        let key = (kind, line.interface.clone(), finding.what.clone());
        if finding.over {
            if let Some(number) = self.standing.remove(&key) {
                let entry = &mut self.entries[number];
                (entry.last, entry.lasts) = (time, false);
                entry.count = entry.count.max(count);
            }
            return;
        }
        let goes_on = TOLD_AGAIN.contains(&kind);
        if let Some(number) = self.standing.get(&key).filter(|_| goes_on) {
            let entry = &mut self.entries[*number];
            (entry.last, entry.lasts) = (time, true);
            (entry.count, entry.sentence) = (count, line.sentence.clone());
            return;
        }
        if self.entries.len() >= EVENTS {
            return;
        }
        self.standing.insert(key, self.entries.len());
        self.entries.push(Entry {
            severity: finding.severity,
            told: Some(time),
            first: time,
            last: time,
            interface: line.interface.clone(),
            direction: finding.direction,
            count,
            rate: finding.rate,
            what: finding.what.clone(),
            sentence: line.sentence.clone(),
            parties: finding.parties.clone(),
            ..Entry::seen(kind.name())
        });
    }

    /// Probes are tracks, too.
    pub(super) fn probes(&mut self, tracks: &mut Tracks) {
        for (time, probe, answered) in std::mem::take(&mut self.probes) {
            let state = if answered { "answered" } else { "lost" };
            tracks.tell("probe", format!("probe {probe}"), time, state, answered, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::incident::events;
    use crate::observation::Observation;
    use crate::observation::link::{LinkState, OperState};
    use crate::observation::probe::{ProbeDown, ProbeUp};
    use crate::time::Mono;

    /// Second 0 of the stories here.
    const BEGIN: u64 = 1_795_000_000_000_000_000;

    fn wall(second: u64) -> Wall {
        Wall(BEGIN + second * 1_000_000_000)
    }

    /// What is told of these facts, each seen at its second.
    fn told(seen: impl IntoIterator<Item = (u64, Fact)>) -> BundleFacts {
        let mut told = BundleFacts::default();
        for (second, fact) in seen {
            let at = Stamp { mono: Mono(second * 1_000_000_000), wall: wall(second) };
            let line = events::of_seen(&Observation { at, fact });
            told.line(EventLine::read(&serde_json::to_vec(&line).unwrap()).unwrap());
        }
        told
    }

    fn link(operstate: OperState) -> LinkState {
        let (name, flags) = ("eth0".to_owned(), LinkState::IFF_UP);
        LinkState { name, flags, operstate, ..LinkState::default() }
    }

    fn change(before: OperState, now: OperState) -> Fact {
        Fact::Link { before: Some(link(before)), now: link(now) }
    }

    fn down(probe: &str, first_lost: u64, late: Option<Duration>) -> Fact {
        Fact::ProbeDown(ProbeDown {
            probe: probe.to_owned(),
            address: [192, 0, 2, 1].into(),
            in_a_row: 3,
            lasting: Duration::from_secs(3),
            first_lost: wall(first_lost),
            last_answered: None,
            late,
            reason: "no answer in 1 s".to_owned(),
        })
    }

    fn finding(kind: FindingKind, count: u64, over: bool) -> Fact {
        let at = Stamp { mono: Mono(0), wall: wall(0) };
        let sentence = format!("down {count} times");
        let mut finding = Finding::of_host(kind, Severity::Warning, at, "carrier", sentence);
        (finding.count, finding.over) = (count, over);
        finding.interface = Some("eth0".to_owned());
        Fact::Finding(Box::new(finding))
    }

    #[test]
    fn lines_become_findings_by_what_they_mean() {
        use OperState::{Down, LowerLayerDown, Up};
        let late = Some(Duration::from_millis(1_500));
        for (fact, expected) in [
            (change(Up, Down), Some(("link_down", Severity::Critical))),
            (change(Up, LowerLayerDown), Some(("link_down", Severity::Critical))),
            (change(Down, Up), Some(("link_up", Severity::Notice))),
            (down("a", 1, None), Some(("probe_down", Severity::Warning))),
            (down("a", 1, late), Some(("probe_late", Severity::Warning))),
            (finding(FindingKind::Silence, 0, false), Some(("silence", Severity::Warning))),
        ] {
            let told = told([(5, fact.clone())]);
            let entry = told.entries.first().map(|entry| (entry.kind.as_str(), entry.severity));
            assert_eq!(entry, expected, "{fact}");
        }
    }

    #[test]
    fn what_this_version_cannot_read_is_as_bad_as_its_writer_said() {
        let line = |severity: &str| {
            let what = r#"{"fact":"from_the_future","x":[1]}"#;
            let time = wall(3);
            format!(
                r#"{{"time":"{time}","kind":"observation","severity":"{severity}","sentence":"it broke","what":{what}}}"#
            )
        };
        for (severity, expected) in [("info", None), ("warning", Some(Severity::Warning))] {
            let mut told = BundleFacts::default();
            told.line(EventLine::read(line(severity).as_bytes()).unwrap());
            assert_eq!(told.entries.first().map(|entry| entry.severity), expected);
            let [event] = &told.events[..] else { panic!("{told:?}") };
            assert_eq!((&*event.kind, &*event.sentence), ("from_the_future", "it broke"));
        }
    }

    #[test]
    fn what_is_wrong_lasts_until_it_is_told_otherwise_and_begins_with_the_first_lost_probe() {
        let up = Fact::ProbeUp(ProbeUp {
            probe: "a".to_owned(),
            address: [192, 0, 2, 1].into(),
            in_a_row: 2,
            after: Duration::from_secs(13),
        });
        let told = told([(20, down("a", 17, None)), (25, down("b", 22, None)), (30, up)]);
        let spans = told.entries.iter().take(2).map(|entry| {
            let second = |wall: Wall| (wall.0 - BEGIN) / 1_000_000_000;
            (second(entry.first), second(entry.last), entry.lasts)
        });
        assert_eq!(spans.collect::<Vec<_>>(), [(17, 30, false), (22, 25, true)]);
    }

    /// Regression: ten falls were "down 3 times", as the finding was told when it began.
    #[test]
    fn what_is_told_again_while_it_goes_on_is_one_entry_with_its_last_count() {
        let flaps = |second, count, over| (second, finding(FindingKind::LinkFlapping, count, over));
        for (end, lasts) in [(None, true), (Some(flaps(59, 10, true)), false)] {
            let seen = [flaps(20, 3, false), flaps(30, 5, false), flaps(50, 10, false)];
            let told = told(seen.into_iter().chain(end));
            let [entry] = &told.entries[..] else { panic!("{:?}", told.entries) };
            assert_eq!((entry.count, entry.lasts, &*entry.sentence), (10, lasts, "down 10 times"));
        }
    }

    #[test]
    fn a_step_of_the_clock_is_told_by_both_clocks_of_events() {
        let mut told = BundleFacts::default();
        for (time, mono) in [("10:00:00", 5_u64), ("10:00:01", 6), ("11:00:02", 7), ("11:00:03", 8)]
        {
            let line = format!(
                r#"{{"time":"2026-11-22T{time}Z","mono_ns":{mono}000000000,"kind":"run"}}"#
            );
            told.line(EventLine::read(line.as_bytes()).unwrap());
        }
        let sets: Vec<_> = told.clock_sets.iter().map(|set| set.by / 1_000_000_000).collect();
        assert_eq!(sets, [3_600]);
    }

    proptest! {
        #[test]
        fn any_json_is_read(
            key in "(time|kind|what|fact|event|over|sentence|triggers|window|interfaces|missing)",
            value in "(null|1|\"link\"|\"observation\"|\\{\\}|\\[\\]|\\[\\{\\}\\]|\"2026-11-22T14:14:20Z\")",
        ) {
            let line = format!(
                r#"{{"time":"2026-11-22T14:14:20Z","kind":"observation","format":"dashcap-bundle","{key}":{value},"what":{{"{key}":{value}}}}}"#
            );
            let mut told = BundleFacts::default();
            if let Ok(line) = EventLine::read(line.as_bytes()) {
                told.line(line);
            }
            if let Ok(manifest) = read_manifest::parse_plain(line.as_bytes()) {
                told.manifest(manifest);
            }
        }
    }
}
