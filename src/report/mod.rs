//! Reports: what happened, from capture files alone or from a whole bundle.
//!
//! ```text
//!   files ─ merged by time ─► per interface: the live detectors, in the files' time ─► ledger ┐
//!             └► series, talkers, tracks                                                      ▼
//!   bundle: events, manifest ─► host ───────────────────────────► chain (onset ─► symptom) ─► model
//!                                                                              text, JSON, HTML ◄┘
//! ```
//!
//! One pass over each file, in bounded memory: tables have bounds of their own, columns of time widen,
//! and what finds no room is counted and told. What a file does not know (directions, drops) is said to
//! be unknown, or told from addresses where that is certain (`stations`).

#[cfg(test)]
mod browser;
mod bundle;
mod copies;
mod findings;
mod gaps;
mod host;
mod html;
mod interface;
mod losses;
pub mod model;
mod onset;
mod passage;
mod series;
mod states;
mod stations;
mod talkers;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use self::bundle::{local_offset, of_bundle};
pub use self::html::html;
pub use self::model::Report;
pub use self::text::{Look, text};

use self::findings::Ledger;
use self::gaps::{Feed, Pauses, Turn, series_of};
use self::host::Told;
use self::interface::{Judged, Shared};
use self::model::{Count, Interface, Series, Span, seconds_between};
use self::passage::Passage;
use self::series::Columns;
use self::states::Tracks;
use self::stations::Stations;
use self::talkers::Talkers;
use crate::capture_file::inputs::{self, Progress};
use crate::capture_file::merge::{Ended, Head, Merged};
use crate::capture_file::{self, Damage};
use crate::detect::protocols::Together;
use crate::detect::traffic;
use crate::error::{Error, Result};
use crate::frame::{Direction, Frame, FrameHeader, Origin};
use crate::incident::layout::{CAPTURE, MANIFEST};
use crate::time::{Offset, Stamp, Wall};

/// Most interfaces that are judged: each has tables of about 1 MiB. Frames of others are counted.
const INTERFACES: usize = 64;
/// Progress is shown after so many frames, some ten times a second.
const SHOWN_EVERY: u64 = 1 << 18;
/// How the note begins that tells of a report that was ended.
const ENDS_AT: &str = "the report ends at ";
/// As `directions` are numbered.
const DIRECTIONS: [Direction; 3] = [Direction::Unknown, Direction::Inbound, Direction::Outbound];

/// What to report on.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Capture files, bundles (their directories), or `-` for standard input.
    pub files: Vec<PathBuf>,
    /// The moment of the failure, where the operator knows better.
    pub at: Option<Wall>,
    /// What is still in order.
    pub traffic: traffic::Options,
}

impl Options {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// Wrong usage, when there is no file, or standard input is named twice.
    pub fn check(&self) -> Result<()> {
        inputs::check(&self.files)
    }
}

/// Reads everything and reports; `show` is told how far it is.
///
/// # Errors
/// When a file cannot be read or is no capture file. Damage further on is in the report instead.
pub fn report(options: &Options, mut show: impl FnMut(&Progress)) -> Result<Report> {
    report_while(options, |progress| {
        show(progress);
        true
    })
}

/// The same, as long as `goes_on` says so: then a note tells how far it came.
///
/// # Errors
/// As [`report`].
pub fn report_while(
    options: &Options,
    mut goes_on: impl FnMut(&Progress) -> bool,
) -> Result<Report> {
    options.check()?;
    let captures: Vec<_> = options.files.iter().map(|path| capture_of(path)).collect();
    let mut told = Told::default();
    for folder in folders(&options.files) {
        host::read(&folder, &mut told)?;
    }
    let stations = Stations::scan(&captures)?;
    let (mut files, ended) = Merged::open(&captures)?;
    let mut pass = Pass::new(options, &captures, stations);
    ended.into_iter().for_each(|ended| pass.ended(ended));
    while let Some(head) = files.head() {
        pass.frame(&head)?;
        if pass.read.is_multiple_of(SHOWN_EVERY) {
            let (read, size) = files.progress();
            let at = pass.now();
            if !goes_on(&Progress { read, size, frames: pass.read, at }) {
                told.notes.push(format!("{ENDS_AT}{}, its time was over", at.milliseconds()));
                break;
            }
        }
        if let Some(ended) = files.pass() {
            pass.ended(ended);
        }
    }
    Ok(pass.finish(options, &files, told))
}

/// For programs: one JSON object, as docs/report.md has it, and a newline.
///
/// # Errors
/// Never with a report as it is.
pub fn json(report: &Report) -> Result<String> {
    let json = serde_json::to_string_pretty(report);
    json.map(|json| json + "\n").map_err(|e| Error::operation("write", "the report", e))
}

/// A bundle's directory stands for the capture in it.
fn capture_of(path: &Path) -> PathBuf {
    let inside = path.join(CAPTURE);
    if inside.is_file() { inside } else { path.to_owned() }
}

/// Folders of bundles, each once: those named, and those whose capture is.
fn folders(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let folder = |path: &PathBuf| {
        if path.is_dir() { Some(path.clone()) } else { path.parent().map(Path::to_owned) }
    };
    let is_bundle = |folder: &PathBuf| folder.join(MANIFEST).is_file();
    paths.iter().filter_map(folder).filter(is_bundle).collect()
}

/// One pass over the files.
struct Pass<'a> {
    options: &'a Options,
    captures: &'a [PathBuf],
    stations: Stations,
    passage: Option<Passage>,
    interfaces: Vec<Judged>,
    together: Together,
    /// Where the frames of each interface come from.
    feeds: Vec<Feed>,
    /// The pauses of each file.
    pauses: Vec<Pauses>,
    /// Which interface each file's origins are; none for one too many.
    places: Vec<Vec<Option<Option<usize>>>>,
    shared: Shared,
    damage: Vec<Damage>,
    read: u64,
    not_judged: u64,
    guessed: u64,
    first: Option<Wall>,
    last: Wall,
}

impl<'a> Pass<'a> {
    fn new(options: &'a Options, captures: &'a [PathBuf], stations: Stations) -> Self {
        let shared = Shared {
            columns: Columns::from(0),
            offset: Offset::default(),
            talkers: Talkers::new(),
            tracks: Tracks::default(),
            ledger: Ledger::default(),
        };
        Self {
            options,
            captures,
            stations,
            passage: None,
            interfaces: Vec::new(),
            together: Together::default(),
            feeds: Vec::new(),
            pauses: vec![Pauses::default(); captures.len()],
            places: Vec::new(),
            shared,
            damage: Vec::new(),
            read: 0,
            not_judged: 0,
            guessed: 0,
            first: None,
            last: Wall(0),
        }
    }

    fn now(&self) -> Wall {
        self.passage.map_or(Wall(0), |passage| passage.now().wall)
    }

    fn frame(&mut self, head: &Head<'_>) -> Result<()> {
        self.read += 1;
        let first = *self.first.get_or_insert(head.wall);
        self.first = Some(first.min(head.wall));
        let mut passage = match self.passage {
            Some(passage) => passage,
            None => {
                let passage = Passage::begin(first);
                self.shared.columns = Columns::from(passage.now().mono.0);
                passage
            }
        };
        let at = passage.arrive(head.wall, |now| self.tick(now));
        self.last = self.last.max(head.wall);
        self.passage = Some(passage);
        if let Some(hole) = self.pauses[head.file].within(head.wall) {
            let place = format!("of any interface in {}", self.named(head.file));
            let why = ": the recorder stood still, or the network did";
            self.shared.ledger.add(hole.finding(None, &place, why), |_| None);
        }
        let Some(number) = self.place(head, at)? else {
            self.not_judged += 1;
            return Ok(());
        };
        self.follow(number, head);
        let column = self.column(at);
        let at = self.feeds[number].own(at);
        self.shared.offset = Offset::of(at);
        let mut direction = head.frame.direction;
        if direction == Direction::Unknown {
            direction = self.stations.direction(head.origin.link_type, head.frame.bytes);
            self.guessed += u64::from(direction != Direction::Unknown);
        }
        let header = FrameHeader {
            wall: head.wall,
            original_len: head.frame.original_len,
            direction,
            reception: head.frame.reception,
        };
        let copies =
            head.frame.copies.map(|copies| (copies.count, self.shared.offset.mono(copies.last)));
        let frame = Frame::whole(header, head.frame.bytes);
        self.interfaces[number].frame(&frame, at, copies, column, &mut self.shared);
        Ok(())
    }

    fn tick(&mut self, now: Stamp) {
        let column = self.column(now);
        for (interface, feed) in self.interfaces.iter_mut().zip(&mut self.feeds) {
            let turn = feed.turn(now);
            if let Turn::Tick(own) | Turn::Settle(own) = turn {
                self.shared.offset = Offset::of(own);
            }
            match turn {
                Turn::Tick(own) => interface.tick(own, column, &mut self.shared),
                Turn::Settle(own) => interface.finish(own, column, &mut self.shared),
                Turn::Wait => {}
            }
        }
    }

    /// A file has no more frames.
    fn ended(&mut self, ended: Ended) {
        let now = self.passage.map_or_else(Stamp::default, |passage| passage.now());
        self.feeds.iter_mut().for_each(|feed| feed.ends(ended.number, now));
        self.damage.extend(ended.damage);
    }

    /// Notices a hole between the file that this frame of an interface comes from and the one before.
    fn follow(&mut self, number: usize, head: &Head<'_>) {
        if let Some((before, hole)) = self.feeds[number].frame(head.file, head.wall) {
            let (before, behind) = (self.named(before), self.named(head.file));
            let place = format!("between {before} and {behind}");
            let finding = hole.finding(Some(&self.interfaces[number].name), &place, "");
            self.shared.ledger.add(finding, |_| None);
        }
    }

    /// A file's name without its folder.
    fn named(&self, file: usize) -> String {
        let path = &self.captures[file];
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }

    fn column(&mut self, at: Stamp) -> usize {
        let Self { shared: Shared { columns, talkers, .. }, interfaces, .. } = self;
        columns.column(at.mono.0, || {
            talkers.halve();
            interfaces.iter_mut().for_each(Judged::halve);
        })
    }

    /// The interface of a frame, be it in another file. One name with two link types is two interfaces.
    fn place(&mut self, head: &Head<'_>, at: Stamp) -> Result<Option<usize>> {
        if let Some(place) =
            self.places.get(head.file).and_then(|file| *file.get(head.frame.origin)?)
        {
            return Ok(place);
        }
        let mut origin = Origin::clone(head.origin);
        let named = |judged: &Judged, name: &str| *judged.name == *name;
        if self
            .interfaces
            .iter()
            .any(|judged| named(judged, &origin.interface) && judged.link_type != origin.link_type)
        {
            origin.interface = format!("{}@{}", origin.interface, origin.link_type.0);
        }
        let known = self.interfaces.iter().position(|judged| named(judged, &origin.interface));
        let known = known.or_else(|| self.goes_on(head));
        let place = match known {
            Some(known) => Some(known),
            None if self.interfaces.len() < INTERFACES => {
                let traffic = &self.options.traffic;
                self.interfaces.push(Judged::new(&origin, traffic, &self.together)?);
                self.feeds.push(Feed::default());
                Some(self.interfaces.len() - 1)
            }
            None => None,
        };
        let wanted = self.places.len().max(head.file + 1);
        self.places.resize(wanted, Vec::new());
        let file = &mut self.places[head.file];
        file.resize(file.len().max(head.frame.origin + 1), None);
        file[head.frame.origin] = Some(place);
        if let Some(number) = place {
            self.feeds[number].begins(head.file, at);
        }
        Ok(place)
    }

    /// The interface of a file that ended before this one began, where neither names it and both are named as
    /// files of one series: recorders that begin a new file now and then write those.
    fn goes_on(&self, head: &Head<'_>) -> Option<usize> {
        let stem = |file: usize| capture_file::stem(&self.captures[file].display().to_string());
        let unnamed = stem(head.file);
        if head.origin.interface != unnamed {
            return None;
        }
        let series = series_of(&unnamed);
        let goes_on = |(judged, feed): (&Judged, &Feed)| {
            feed.has_ended()
                && judged.link_type == head.origin.link_type
                && *judged.name == *stem(feed.first)
                && series_of(&judged.name) == series
        };
        self.interfaces.iter().zip(&self.feeds).position(goes_on)
    }

    fn finish(mut self, options: &Options, files: &Merged, mut told: Told) -> Report {
        if let Some(passage) = self.passage {
            let now = passage.now();
            let column = self.column(now);
            for (interface, feed) in self.interfaces.iter_mut().zip(&self.feeds) {
                if let Some(own) = feed.last(now) {
                    self.shared.offset = Offset::of(own);
                    interface.finish(own, column, &mut self.shared);
                }
            }
        }
        let notes = self.notes(files);
        told.losses.extend(self.losses(files));
        let Self { interfaces, shared, damage, first, last, .. } = self;
        let Shared { columns, offset: _, talkers, mut tracks, mut ledger } = shared;
        told.probes(&mut tracks);
        std::mem::take(&mut told.entries).into_iter().for_each(|entry| ledger.add_told(entry));
        let (mut findings, findings_more) = ledger.finish();
        let chain = onset::of(&mut findings, told.trigger.take(), options.at);
        let total = |count: fn(&Count) -> u64| -> u64 {
            interfaces.iter().flat_map(|judged| &judged.counts).map(count).sum()
        };
        Report {
            format: model::FORMAT,
            version: model::VERSION,
            written_by: concat!("dashcap ", env!("CARGO_PKG_VERSION")).to_owned(),
            files: options.files.iter().map(|file| file.display().to_string()).collect(),
            span: first.map(|first| Span::new(first, last)),
            frames: total(|count| count.frames),
            bytes: total(|count| count.bytes),
            trigger: chain.trigger,
            onset: chain.onset,
            chain: chain.steps,
            chain_more: chain.more,
            findings,
            findings_more,
            series: all_series(&interfaces, &talkers, columns),
            talkers: talkers.flows(),
            protocols: talkers.protocols().into_iter().map(|(share, _)| share).collect(),
            sizes: talkers.sizes(),
            interfaces: interfaces.iter().map(described).collect(),
            tracks: tracks.finish(last),
            events: told.events,
            events_more: told.events_more,
            losses: told.losses,
            damage: damage.iter().map(ToString::to_string).collect(),
            notes: notes.into_iter().chain(told.notes).collect(),
        }
    }

    /// What one must know to read the report.
    fn notes(&self, files: &Merged) -> Vec<String> {
        let mut notes = Vec::new();
        let unknown: u64 = self.interfaces.iter().map(|judged| judged.counts[0].frames).sum();
        if self.guessed > 0 {
            notes.push(format!(
                "the files do not tell directions; they follow from {}, which is at one end of nearly \
                 every frame to a single station",
                self.stations.names()
            ));
        } else if unknown > 0 && self.stations.is_empty() {
            notes.push("the files do not tell directions, and addresses do not either".to_owned());
        }
        let refused: u64 = self.interfaces.iter().map(Judged::refused).sum();
        let steps = self.passage.map_or(0, |passage| passage.steps());
        for (count, what) in [
            (files.unstamped(), "frames without a stamp, taken to be as old as the one before"),
            (steps, "times the stamps went back"),
            (self.not_judged, "frames of interfaces beyond the first 64, not judged"),
            (refused, "frames that came fast while 64 others did, not counted as copies"),
        ] {
            if count > 0 {
                notes.push(format!("{} {what}", words::count(count)));
            }
        }
        notes
    }
}

fn described(judged: &Judged) -> Interface {
    let (first, last) = judged.span.unwrap_or_default();
    let [unknown, received, sent] = judged.counts;
    Interface {
        name: judged.name.to_string(),
        link_type: judged.link_type.0,
        span: Span { from: first, to: last, seconds: seconds_between(first, last) },
        received,
        sent,
        unknown,
    }
}

/// Everything over time; what was never counted is left out.
fn all_series(interfaces: &[Judged], talkers: &Talkers, columns: Columns) -> Vec<Series> {
    /// Protocols over time: as many as colours can be told apart.
    const PROTOCOLS: usize = 8;
    let begin = Wall(columns.begin());
    let step_s = columns.width() as f64 / 1e9;
    let mut all = Vec::new();
    for judged in interfaces {
        for (kind, series) in [("frames", &judged.frames), ("bytes", &judged.bytes)] {
            for (direction, values) in DIRECTIONS.into_iter().zip(series) {
                if !values.is_empty() {
                    let interface = Some(judged.name.to_string());
                    let (protocol, values) = (None, values.clone());
                    all.push(Series {
                        kind,
                        interface,
                        direction,
                        protocol,
                        begin,
                        step_s,
                        values,
                    });
                }
            }
        }
    }
    for (share, values) in talkers.protocols().into_iter().take(PROTOCOLS) {
        let (interface, direction, protocol) = (None, Direction::Unknown, Some(share.name));
        all.push(Series {
            kind: "protocol",
            interface,
            direction,
            protocol,
            begin,
            step_s,
            values,
        });
    }
    all
}
