//! The one model of a report, from which text, JSON and HTML are made. Its JSON is the public format of
//! `docs/report.md`: within a version fields are added, never renamed or removed.

use serde::Serialize;

use crate::finding::{Party, Severity};
use crate::frame::Direction;
use crate::time::Wall;

/// Value of `format`: what tells this file from any other JSON.
pub const FORMAT: &str = "dashcap-report";
/// Value of `version`; raised when a reader of the old one would misunderstand.
pub const VERSION: u32 = 1;

/// A whole report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// Program and version.
    pub written_by: String,
    /// What was read.
    pub files: Vec<String>,
    /// The whole of it in one sentence, for whoever is called at night.
    pub headline: String,
    /// What the files cover: from the first to the last frame, and of bundles all that their windows have, also
    /// where no frame came; null where there is neither.
    pub span: Option<Span>,
    /// Frames, the copies that bundles count included.
    pub frames: u64,
    /// Their original length in bytes.
    pub bytes: u64,
    /// The moment the report looks back from; null where nothing failed.
    pub trigger: Option<Trigger>,
    /// The first finding that belongs to the incident; null where nothing failed.
    pub onset: Option<Onset>,
    /// From the onset to the symptom and after it, in order of time.
    pub chain: Vec<Step>,
    /// Steps of the chain beyond those.
    pub chain_more: u64,
    /// Everything that was found, in order of its beginning.
    pub findings: Vec<Entry>,
    /// Findings beyond those, by too many.
    pub findings_more: u64,
    /// What was looked at, whether or not something was found in it.
    pub looked_at: Vec<Looked>,
    /// What could not be judged, and why, a sentence each.
    pub not_judged: Vec<String>,
    /// Whom each interface heard last: anybody, its next hops, hosts that are probed.
    pub last_heard: Vec<LastHeard>,
    /// Where frames were seen.
    pub interfaces: Vec<InterfaceReport>,
    /// What passed around the trigger against the time before, of a bundle that knows it.
    pub usual: Vec<Usual>,
    /// Numbers over time.
    pub series: Vec<Series>,
    /// Who sent most to whom.
    pub talkers: Vec<Talker>,
    /// Frames and bytes of each protocol.
    pub protocols: Vec<Share>,
    /// Frames by their original length.
    pub sizes: Vec<Share>,
    /// States over time: LACP, VRRP, HSRP, probes.
    pub tracks: Vec<Track>,
    /// What hosts logged, and what else happened on them.
    pub events: Vec<HostEvent>,
    /// Events beyond those.
    pub events_more: u64,
    /// Each way in which frames were lost, also where it is zero or not known.
    pub losses: Vec<Loss>,
    /// What was not in order with the files, a sentence each.
    pub damage: Vec<String>,
    /// What one must know to read this, a sentence each.
    pub notes: Vec<String>,
}

/// When somebody was heard last on an interface.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastHeard {
    /// Where.
    pub interface: String,
    /// Who: `anybody`, a next hop or neighbour by its addresses, a probed host.
    pub who: String,
    /// The last frame of it.
    pub time: Wall,
    /// From there to the end of what is covered, in seconds.
    pub before_end_s: f64,
    /// Frames sent to it since, where that is known.
    pub sent_since: Option<u32>,
}

/// What passed a class of an interface within the window against the minutes before it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Usual {
    /// Name of the interface.
    pub interface: String,
    /// Name of the class.
    pub class: String,
    /// Minutes before the window that are known.
    pub minutes: u64,
    /// The end of the first of them.
    pub since: Wall,
    /// Frames a second in these.
    pub before: MinuteRates,
    /// Frames a second in any minute that ends within the window; without a median, since they overlap.
    pub now: MinuteRates,
    /// What is remarkable; null where it is much as before.
    pub remark: Option<String>,
}

/// Frames a second, each over a minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MinuteRates {
    /// In the quietest minute.
    pub least: f64,
    /// Half of the minutes have less.
    pub median: Option<f64>,
    /// In the busiest minute.
    pub most: f64,
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Span {
    /// Its beginning.
    pub from: Wall,
    /// Its end.
    pub to: Wall,
    /// Its length.
    pub seconds: f64,
}

/// What the report looks back from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trigger {
    /// When.
    pub time: Wall,
    /// What happened, for a person.
    pub sentence: String,
    /// Who says so: `bundle` (its trigger), `operator` (`--at`), `finding` (the first critical one, or
    /// the last one at warning).
    pub by: &'static str,
    /// Its kind, of a bundle's trigger: as in [`Entry::kind`] where it is a finding, with `-` for `_`.
    pub kind: Option<String>,
    /// The interface, host or command that it is about, of a bundle's trigger.
    pub object: Option<String>,
}

/// Where it began.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Onset {
    /// The first frame or event of it.
    pub time: Wall,
    /// Seconds from there to the trigger; negative after it.
    pub before_trigger_s: f64,
    /// The finding.
    pub finding: Entry,
    /// The symptom is this finding itself, told when it was noticed.
    pub is_symptom: bool,
}

/// One row of the first table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// When.
    pub time: Wall,
    /// The time is the border of a count, some tenths of a second off.
    pub about: bool,
    /// Seconds to the trigger; negative after it.
    pub before_trigger_s: f64,
    /// As in [`Entry::kind`]; `still_received` for a frame that proves that receiving works, `trigger`.
    pub kind: String,
    /// How bad.
    pub severity: Severity,
    /// Where.
    pub interface: Option<String>,
    /// Which way.
    pub direction: Direction,
    /// For a person.
    pub sentence: String,
    /// How often, where rows that differ by a number or a port only are one.
    pub times: u64,
    /// Until when: its end, or that of what the files cover if it lasted so long; null for a moment.
    pub until: Option<Wall>,
    /// It had not ended then.
    pub lasts: bool,
    /// Frames that belong to it.
    pub count: u64,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// A kind of finding, or of what the host saw: `link_down`, `probe_down`, `log`, ...
    pub kind: String,
    /// How bad that is by itself.
    pub severity: Severity,
    /// The first frame or event that belongs to it.
    pub first: Wall,
    /// The times are borders of counts, some tenths of a second off.
    pub about: bool,
    /// The last one; of what lasted until the end, that.
    pub last: Wall,
    /// Where.
    pub interface: Option<String>,
    /// Which way its frames went.
    pub direction: Direction,
    /// Frames that belong to it.
    pub count: u64,
    /// Frames a second; null where that says nothing.
    pub rate: Option<f64>,
    /// What exactly, in one line.
    pub what: String,
    /// For a person.
    pub sentence: String,
    /// It ended before the files did.
    pub over: bool,
    /// Whom it is about: hosts, stations, VLANs.
    pub parties: Vec<Party>,
    /// Who concluded it: `frames`, or `host` for what a bundle's events tell.
    pub from: &'static str,
    /// It belongs to the incident.
    pub in_incident: bool,
    /// A frame that proves it, if there is one.
    pub proof: Option<Proof>,
    /// When a host told it, where that is another moment than its beginning.
    #[serde(skip)]
    pub(super) told: Option<Wall>,
    /// An administrator did it.
    #[serde(skip)]
    pub(super) by_hand: bool,
    /// It goes on when the files end.
    #[serde(skip)]
    pub(super) lasts: bool,
    /// Of a storm: the frame is received and sent by turns.
    #[serde(skip)]
    pub(super) circulates: bool,
}

/// A frame as a proof.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// When it came.
    pub time: Wall,
    /// In one line.
    pub what: String,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// What: a protocol as in `protocols`.
    pub what: String,
    /// In words: `TCP: 812 connections asked for, all accepted`.
    pub sentence: String,
    /// Nothing was wrong with it.
    pub in_order: bool,
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InterfaceReport {
    /// Its name, or the file's where that tells none.
    pub name: String,
    /// `LINKTYPE_*`.
    pub link_type: u16,
    /// First and last frame.
    pub span: Span,
    /// Frames and bytes each way.
    pub received: Count,
    /// Sent by the host that recorded.
    pub sent: Count,
    /// Either, where nobody knows.
    pub unknown: Count,
    /// When the last one was received; null where none is known to be.
    pub last_received: Option<Wall>,
    /// When the last one was sent; null likewise.
    pub last_sent: Option<Wall>,
}

/// Frames, and their original length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Count {
    /// Frames.
    pub frames: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A number for each of equal columns of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// `frames` or `bytes` of an interface and direction, or `protocol`: bytes of one.
    pub kind: &'static str,
    /// The interface; null for protocols, which are of all.
    pub interface: Option<String>,
    /// The direction.
    pub direction: Direction,
    /// The protocol.
    pub protocol: Option<String>,
    /// Beginning of the first column.
    pub begin: Wall,
    /// Width of each in seconds.
    pub step_s: f64,
    /// What was counted in each; columns behind the last are zero.
    pub values: Vec<u64>,
}

/// A flow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Talker {
    /// From whom to whom: a service of a server with its client, both ways, or what else two stations say.
    pub flow: String,
    /// Connections, of those that have ports.
    pub connections: u64,
    /// Its frames and bytes.
    #[serde(flatten)]
    pub count: Count,
}

/// A part of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    /// Its name.
    pub name: String,
    /// Its frames and bytes.
    #[serde(flatten)]
    pub count: Count,
}

/// States over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Track {
    /// `lacp`, `vrrp`, `hsrp`, `probe`.
    pub kind: &'static str,
    /// Whose.
    pub name: String,
    /// One after the other.
    pub states: Vec<State>,
    /// Changes beyond those.
    pub more: u64,
}

/// One state, until the next begins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// When it began.
    pub from: Wall,
    /// In a word.
    pub state: String,
    /// As it should be.
    pub good: bool,
}

/// Something that happened on a host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostEvent {
    /// When.
    pub time: Wall,
    /// Kind of the observation: `link`, `log`, ...
    pub kind: String,
    /// The interface.
    pub interface: Option<String>,
    /// For a person.
    pub sentence: String,
}

/// One way to lose frames.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Loss {
    /// The interface.
    pub interface: String,
    /// By its name in the manifest.
    pub name: String,
    /// How many; null where nobody knows.
    pub count: Option<u64>,
}

impl Report {
    /// Frames a second, or anything else a second, need a span.
    pub fn seconds(&self) -> f64 {
        self.span.map_or(0.0, |span| span.seconds)
    }

    /// The worst of all findings.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|entry| entry.severity).max()
    }
}

impl Trigger {
    /// What it is called: nobody who asks for a snapshot is a symptom.
    pub(super) fn word(&self) -> &'static str {
        const ASKED: [&str; 6] = ["snapshot", "signal", "file", "http", "fleet", "recovered"];
        let asked = self.kind.as_deref().is_some_and(|kind| ASKED.contains(&kind));
        if asked || self.by == "operator" { "Moment asked for" } else { "Symptom" }
    }
}

impl Onset {
    /// When, as exactly as that is known.
    pub(super) fn time(&self) -> String {
        if self.finding.about {
            format!("about {}", self.time.milliseconds())
        } else {
            self.time.to_string()
        }
    }
}

impl Entry {
    /// Something of this kind that a host told, with everything else still to be said.
    pub(super) fn seen(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            severity: Severity::Info,
            first: Wall(0),
            about: false,
            last: Wall(0),
            interface: None,
            direction: Direction::Unknown,
            count: 0,
            rate: None,
            what: String::new(),
            sentence: String::new(),
            over: true,
            parties: Vec::new(),
            from: "host",
            in_incident: false,
            proof: None,
            told: None,
            by_hand: false,
            lasts: false,
            circulates: false,
        }
    }
}

impl Span {
    /// From one moment to another.
    pub fn new(from: Wall, to: Wall) -> Self {
        Self { from, to, seconds: seconds_between(from, to) }
    }
}

/// Seconds from one moment to another, negative if that is earlier.
pub(super) fn seconds_between(from: Wall, to: Wall) -> f64 {
    (i128::from(to.0) - i128::from(from.0)) as f64 / 1e9
}
