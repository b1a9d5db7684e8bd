//! One report of several hosts, from what each of them kept: bundles and capture files of anybody, offline.
//!
//! ```text
//!   files ─► member (whose) ─► report of each host ─────────────────────────────► rows ─┐
//!              │                                                                  ▲     ├─► model ─► text, JSON, HTML
//!              └─► gather ─► matching (the same frame at both ends) ─► clocks ────┤     │
//!                  sightings        └───────────────────────────────► link, loss ─┴─────┘
//! ```
//!
//! It promises: no order is made up, no offset is averaged, no frame is called lost that may only not have been
//! recorded; each number says how far it may be off, or that nobody knows. Memory is bounded, and what finds no room
//! is told. It needs no network and no server.

mod answered;
pub mod band;
mod capture;
pub mod clocks;
mod compared;
pub mod gather;
mod html;
mod link;
mod loss;
pub mod matching;
mod member;
pub mod model;
mod orientation;
#[cfg(test)]
#[path = "../../../tests/lab/pair.rs"]
mod pair;
mod ranges;
mod rows;
pub mod sighting;
pub mod steady;
#[cfg(test)]
mod tests;
mod text;

use std::path::PathBuf;
use std::time::Duration;

pub use self::capture::write as write_capture;
pub use self::compared::Compared;
pub use self::html::html;
pub use self::model::FleetReport;
pub use self::text::text;

use self::answered::{AnsweredClock, AnsweredClocks};
use self::clocks::{Clocks, Contradiction, FoundBy, Testimony};
use self::gather::{MOST_SIGHTINGS, ObservationPoint, SeenFrame, Sightings};
use self::member::{Member, Recorded};
use self::model::{HostSummary, LinkSummary, bar, signed, span};
use self::rows::Story;
use self::steady::StampReader;
use crate::capture_file::FileSource;
use crate::capture_file::inputs::Progress;
use crate::error::{Error, Result};
use crate::frame::Direction;
use crate::incident::clock_reading::ClockReading;
use crate::report::{self, Report, Stations};
use crate::time::{Wall, nanos};
use crate::visible;
use crate::words;

/// Progress is shown after so many frames.
const SHOWN_EVERY: u64 = 1 << 18;

/// What to report on.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Bundles (their directories), and capture files of anybody.
    pub files: Vec<PathBuf>,
    /// How wrong each clock is at most, where the operator knows.
    pub clocks_within: Option<Duration>,
    /// What is told besides: who has something to say, and gave nothing.
    pub notes: Vec<String>,
    /// What `dashcap fleet --json` printed: how clocks answered on the bus.
    pub answered: Option<PathBuf>,
}

/// The report, and what a merged capture file is made of.
#[derive(Debug)]
pub struct Merged {
    /// The report.
    pub report: FleetReport,
    members: Vec<Member>,
    clocks: Clocks,
}

impl Options {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// Wrong usage, when there is no file.
    pub fn check(&self) -> Result<()> {
        if self.files.iter().any(|file| file.as_os_str() == "-") {
            let reason = "every file is read twice, which standard input cannot be";
            return Err(Error::usage(
                "FILE",
                "-",
                reason,
                "bundles (their directories) and capture files",
            ));
        }
        member::check(&self.files)
    }
}

/// Reads everything and reports; `show` is told how far it is.
///
/// # Errors
/// When a file cannot be read, or is neither a bundle nor a capture file. Damage further on is in the report instead.
pub fn report(options: &Options, mut show: impl FnMut(&Progress)) -> Result<Merged> {
    options.check()?;
    let clocks_there = options.answered.as_deref().map(AnsweredClocks::read).transpose()?;
    let clocks_there = clocks_there.unwrap_or_default();
    let members = Member::of(&options.files)?;
    let reports = members.iter().map(|member| {
        let options = report::Options { files: member.files.clone(), ..Default::default() };
        report::report(&options, &mut show)
    });
    let reports = reports.collect::<Result<Vec<Report>>>()?;
    let (mut sightings, mut notes) = (Sightings::default(), options.notes.clone());
    for (host, member) in members.iter().enumerate() {
        let room = MOST_SIGHTINGS / members.len();
        gather(host, member, room, &mut sightings, &mut notes, &mut show)?;
    }
    let readings: Vec<_> = members.iter().map(Member::claims).collect();
    let assumed = options.clocks_within.map(|within| nanos(within) as i64);
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let spans = spans(&sightings, &reports);
    let answered: Vec<_> = members.iter().map(|member| member.answered(&clocks_there)).collect();
    let testimony = Testimony { readings: &readings, answered: &answered, assumed };
    let Compared { clocks, links, links_more } =
        Compared::with(&names, &mut sightings, testimony, &spans);
    if links_more > 0 {
        notes.push(format!("{links_more} more links are not told"));
    }
    let stories: Vec<Story<'_>> = members.iter().zip(&reports).enumerate().map(story).collect();
    let (rows, rows_more) = rows::rows(&stories, &links, &clocks);
    let onset = rows::onset(&rows, &stories);
    let hosts = stories.iter().map(|story| summary(story, &sightings, &clocks)).collect();
    let damage = reports.iter().flat_map(|report| report.damage.clone()).collect();
    notes.extend(clock_notes(&members, &clocks));
    let contradictions = contradictions(&members, &clocks);
    let report = FleetReport {
        format: model::FORMAT,
        version: model::VERSION,
        written_by: crate::APPLICATION,
        headline: headline(&onset.sentence, &links),
        reference: members[clocks.reference].name.clone(),
        hosts,
        onset,
        rows,
        rows_more,
        links,
        contradictions,
        damage,
        notes,
    };
    Ok(Merged { report, members, clocks })
}

/// For programs: one JSON object, as docs/fleet-report.md has it, and a newline.
///
/// # Errors
/// Never with a report as it is.
pub fn json(report: &FleetReport) -> Result<String> {
    let json = serde_json::to_string_pretty(report);
    json.map(|json| visible::json(&(json + "\n")).into_owned())
        .map_err(|e| Error::operation("write", "the report", e))
}

fn story<'a>((number, (member, report)): (usize, (&'a Member, &'a Report))) -> Story<'a> {
    Story { number, member, report }
}

/// What differs on a link says more than where it began on one host.
fn headline(onset: &str, links: &[LinkSummary]) -> String {
    let dead = links.iter().find(|link| link.ways.iter().any(|way| way.dead.is_some()));
    dead.and_then(|link| link.differences.first()).map_or(onset, |difference| difference).to_owned()
}

/// Every frame of a host, as it may be recognised elsewhere.
fn gather(
    host: usize,
    member: &Member,
    room: usize,
    sightings: &mut Sightings,
    notes: &mut Vec<String>,
    show: &mut impl FnMut(&Progress),
) -> Result<()> {
    let stations = Stations::scan(&member.captures)?;
    let limit = sightings.len() + room;
    let mut numbers: Vec<(String, Option<u16>)> = Vec::new();
    for path in &member.captures {
        let mut file = FileSource::open_of(path, member.captures.len())?;
        let mut reader = StampReader::default();
        while file.advance().unwrap_or(false) {
            let Some(frame) = file.frame() else { break };
            let Some(wall) = frame.wall else { continue };
            let origin = &file.origins()[frame.origin];
            let (time, epoch) = member.settings.next(&mut reader, wall);
            if sightings.len() >= limit {
                sightings.ends(host, time);
                notes.push(format!(
                    "{}: only its first {} frames were looked for elsewhere",
                    member.name,
                    words::count(room as u64)
                ));
                return Ok(());
            }
            let known = numbers.iter().find(|(name, _)| *name == origin.interface);
            let point = match known {
                Some((_, point)) => *point,
                None => {
                    let point = sightings.point(member.point(host, &origin.interface));
                    numbers.push((origin.interface.clone(), point));
                    point
                }
            };
            let Some(point) = point else { continue };
            let direction = match frame.direction {
                Direction::Unknown => stations.direction(origin.link_type, frame.bytes),
                known => known,
            };
            sightings.add(&SeenFrame {
                point,
                time,
                epoch,
                direction,
                folded: frame.copies.is_some(),
                link_type: origin.link_type,
                original_len: frame.original_len,
                bytes: frame.bytes,
            });
            if file.frames().is_multiple_of(SHOWN_EVERY) {
                let (read, size) = file.progress();
                show(&Progress { read, size, frames: file.frames(), at: wall });
            }
        }
        if !member.is_bundle() {
            let drops = drops(&file);
            let unknown = numbers.iter().filter_map(|(_, point)| *point);
            unknown.for_each(|point| sightings.is_blind(point, drops.clone()));
        }
    }
    Ok(())
}

/// Why frames may be missing in a file of anybody; none where its recorder says that it dropped none.
fn drops(file: &FileSource) -> Option<String> {
    let counts = file.statistics().iter().map(|told| (told.dropped, told.os_dropped));
    let dropped = counts.map(|(one, other)| match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or_default() + other.unwrap_or_default()),
    });
    let dropped: Option<u64> = dropped.sum();
    match dropped {
        Some(0) if !file.statistics().is_empty() => None,
        Some(dropped) if !file.statistics().is_empty() => {
            Some(format!("its recorder dropped {}", words::counted(dropped, "frame")))
        }
        _ => Some("nobody knows what its recorder dropped".to_owned()),
    }
}

impl Member {
    fn is_bundle(&self) -> bool {
        !self.interfaces.is_empty() || self.files != self.captures
    }

    /// What its kernel claims of its clock; nothing where that was set meanwhile, since nobody knows which it means.
    fn claims(&self) -> Vec<ClockReading> {
        if self.settings.all().is_empty() { self.readings.clone() } else { Vec::new() }
    }

    /// How its clock answered on the bus; nothing where that was set meanwhile.
    fn answered(&self, clocks: &AnsweredClocks) -> Option<AnsweredClock> {
        let is_steady = self.settings.all().is_empty();
        clocks.of(&self.boots, &self.offsets).filter(|_| is_steady)
    }

    fn point(&self, host: usize, interface: &str) -> ObservationPoint {
        let nothing = Recorded::default();
        let told = self.interfaces.get(interface).unwrap_or(&nothing);
        ObservationPoint {
            host,
            interface: visible::plain(interface).into_owned(),
            spans: told.spans.iter().flat_map(|span| self.settings.without(*span)).collect(),
            blind: told.blind.iter().cloned().collect(),
            foreign_stamps: told.foreign_stamps,
            several: self.captures.len() > 1,
            ..ObservationPoint::default()
        }
    }
}

/// What each host covers by its own clock: its frames, and what its bundles say.
fn spans(sightings: &Sightings, reports: &[Report]) -> Vec<(i64, i64)> {
    let of = |(host, report): (usize, &Report)| {
        let points = sightings.points.iter().filter(|point| point.host == host);
        let told = report.span.map(|span| (steady::unset(span.from), steady::unset(span.to)));
        let join = |one: (i64, i64), other: (i64, i64)| (one.0.min(other.0), one.1.max(other.1));
        points.filter_map(|point| point.seen).reduce(join).or(told).unwrap_or_default()
    };
    reports.iter().enumerate().map(of).collect()
}

fn summary(story: &Story<'_>, sightings: &Sightings, clocks: &Clocks) -> HostSummary {
    let Story { number, member, report } = story;
    let (offset, known) = (clocks.offset(*number), clocks.known(*number));
    let covers = report.span.map(|span| {
        let place =
            |wall: Wall| Wall(clocks.place(*number, steady::unset(wall)).time.max(0) as u64);
        (place(span.from), place(span.to))
    });
    let (found_by, how) = match &known {
        FoundBy::Reference => ("reference", "all times are by its clock".to_owned()),
        FoundBy::Frames { neighbour, pairing } => {
            ("frames", by_frames(sightings, clocks, *neighbour, *pairing))
        }
        FoundBy::Answered => ("bus", "by how the clocks answered on the bus".to_owned()),
        FoundBy::Claimed => ("claimed", "by what the kernels claim of their clocks".to_owned()),
        FoundBy::Assumed => ("assumed", "by --clocks-within".to_owned()),
        FoundBy::Nothing => ("unknown", unknown(clocks, *number)),
    };
    let sentence = match (&known, offset) {
        (FoundBy::Reference | FoundBy::Nothing, _) | (_, None) => how,
        (_, Some((by, wrong))) => format!("{} {} {how}", signed(by), bar(Some(wrong))),
    };
    HostSummary {
        name: member.name.clone(),
        files: member
            .files
            .iter()
            .map(|f| visible::plain(&f.display().to_string()).into_owned())
            .collect(),
        headline: report.headline.clone(),
        frames: report.frames,
        covers,
        offset_ns: offset.map(|(by, _)| by),
        bar_ns: offset.map(|(_, wrong)| wrong),
        found_by,
        sentence,
        clock_set: member.settings.all().len() as u64,
    }
}

fn by_frames(sightings: &Sightings, clocks: &Clocks, neighbour: usize, pairing: usize) -> String {
    let pairing = &clocks.pairings[pairing];
    let name = |point: u16| sightings.points[usize::from(point)].interface.as_str();
    let (one, other) = (name(pairing.points.0), name(pairing.points.1));
    let frames = words::counted(pairing.frames as u64, "frame");
    let over = if neighbour == clocks.reference { "" } else { ", over further hosts" };
    format!("from {frames} on {one}–{other}{over}")
}

/// Why nobody knows, and what is known all the same.
fn unknown(clocks: &Clocks, host: usize) -> String {
    let told = clocks.middle(host);
    let one_sided = match (told.low, told.high) {
        (Some(low), None) => format!(", but for being {} at least", signed(low)),
        (None, Some(high)) => format!(", but for being {} at most", signed(high)),
        _ => String::new(),
    };
    format!("its clock is unknown{one_sided}: no frames both ways, and nobody believable keeps it")
}

/// Settings of clocks, told and found.
fn clock_notes(members: &[Member], clocks: &Clocks) -> Vec<String> {
    let mut notes = Vec::new();
    for member in members {
        for setting in member.settings.all() {
            let at = Wall(setting.after.max(0) as u64);
            notes.push(format!(
                "{}: its clock was set about {at}; its later times are as if it had not been, by {}",
                member.name,
                signed(setting.ahead)
            ));
        }
    }
    for pairing in &clocks.pairings {
        let (a, b) = (&members[pairing.hosts.0].name, &members[pairing.hosts.1].name);
        for (from, to) in pairing.band.jumps() {
            let [from, to] = [from, to].map(|time| Wall(time.max(0) as u64));
            notes.push(format!(
                "the clock of {a} or {b} was set between {from} and {to}, as their frames tell"
            ));
        }
        if pairing.band.strays > 0 {
            let strays = words::counted(pairing.band.strays as u64, "frame");
            notes.push(format!("{a} and {b}: {strays} contradicted all others and bounds nothing"));
        }
    }
    notes
}

fn contradictions(members: &[Member], clocks: &Clocks) -> Vec<String> {
    let name = |host: usize| &members[host].name;
    let told = clocks.contradictions.iter().map(|found| match found {
        Contradiction::Frames { hosts: (a, b) } => {
            format!("what frames of {} and {} say of their clocks contradicts the other hosts'; it is left out", name(*a), name(*b))
        }
        Contradiction::Answer { host, by } => {
            format!("{}: how its clock answered on the bus contradicts the frames by {} at least; it is not believed", name(*host), span(by.unsigned_abs()))
        }
        Contradiction::Claim { host, by } => {
            format!("{}: its kernel's claim contradicts the frames by {} at least; it is not believed", name(*host), span(by.unsigned_abs()))
        }
        Contradiction::Assumed { by } => {
            format!("the clocks are further apart than --clocks-within allows, by {} at least; it is not believed", span(by.unsigned_abs()))
        }
    });
    let senseless = clocks.pairings.iter().filter(|pairing| pairing.band.senseless);
    let senseless = senseless.map(|pairing| {
        let (a, b) = pairing.hosts;
        format!(
            "no two clocks differ as the frames of {} and {} say; nothing is taken from them",
            name(a),
            name(b)
        )
    });
    told.chain(senseless).collect()
}
