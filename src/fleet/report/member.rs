//! The hosts: which bundles and files are of which, and what each tells of itself.
//!
//! A bundle's manifest names its host and its boot. Bundles of one name are of one host if the boot is the same, or
//! if they do not cover the same time (it was started again); else two machines have the same name. A capture file
//! of anybody is a host by the name of the file, without a story.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::steady::Settings;
use crate::capture_file::{inputs, stem};
use crate::error::{Error, Result};
use crate::frame::StampClock;
use crate::incident::clock_reading::ClockReading;
use crate::incident::events::read::{EventLine, LONGEST_LINE};
use crate::incident::folder::Folder;
use crate::incident::layout::{CAPTURE, EVENTS, MANIFEST};
use crate::incident::manifest::read::{self, InterfaceEntry, Manifest};
use crate::incident::moment::{Moment, Span};
use crate::time::{Offset, Stamp, Wall};
use crate::words;

/// What is accepted, for messages.
const ACCEPTED: &str = "accepted: bundles (their directories), and capture files (pcap and pcapng, also compressed \
                        with zstd or gzip)";
/// Hosts at most: beyond, nobody reads one page, and pairs are many.
pub(super) const MOST_HOSTS: usize = 64;

/// One host.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) name: String,
    /// As they were named.
    pub(super) files: Vec<PathBuf>,
    pub(super) captures: Vec<PathBuf>,
    pub(super) settings: Settings,
    pub(super) readings: Vec<ClockReading>,
    /// What its bundles tell of their interfaces.
    pub(super) interfaces: BTreeMap<String, Recorded>,
    pub(super) boots: BTreeSet<String>,
    /// The wall clock less the monotonic clock at each trigger.
    pub(super) offsets: Vec<Offset>,
    spans: Vec<(Wall, Wall)>,
}

/// How an interface was recorded.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// When every frame was kept in full, in steady time.
    pub(super) spans: Vec<(i64, i64)>,
    /// Why frames may be missing all the same, a sentence each.
    pub(super) blind: BTreeSet<String>,
    /// Stamped by another clock than the host's, or late.
    pub(super) foreign_stamps: bool,
}

struct BundleOf {
    folder: PathBuf,
    manifest: Manifest,
}

impl Member {
    /// Sorts what was named by host.
    ///
    /// # Errors
    /// When a file cannot be read, or is neither a bundle nor a capture file.
    pub(super) fn of(files: &[PathBuf]) -> Result<Vec<Self>> {
        let (mut bundles, mut members) = (Vec::new(), Vec::new());
        for path in files {
            match folder_of(path) {
                Some(folder) => bundles.push(BundleOf::open(folder)?),
                None if path.is_dir() => return Err(refused(path, "it has no manifest.json")),
                None => members.push(Self::of_file(path)),
            }
        }
        bundles.sort_by_key(|bundle| bundle.span().map(|(from, _)| from));
        for bundle in bundles {
            let span = bundle.span();
            let host = &bundle.manifest.host;
            let is_its = |member: &&mut Self| member.is_of(&host.name, &host.boot_id, span);
            match members.iter_mut().find(is_its) {
                Some(member) => member.add(bundle)?,
                None => {
                    let mut member = Self { name: bundle.host_name(), ..Self::default() };
                    member.add(bundle)?;
                    members.push(member);
                }
            }
        }
        members.sort_by_key(|member| {
            files.iter().position(|file| member.files.contains(file)).unwrap_or(files.len())
        });
        set_apart(&mut members);
        if members.len() > MOST_HOSTS {
            let reason = format!("they are of {} hosts, {MOST_HOSTS} are the most", members.len());
            return Err(Error::operation(
                "compare",
                words::counted(files.len() as u64, "file"),
                reason,
            ));
        }
        Ok(members)
    }

    fn of_file(path: &Path) -> Self {
        let files = vec![path.to_owned()];
        let name = crate::visible::plain(&stem(&path.display().to_string())).into_owned();
        Self { name, captures: files.clone(), files, ..Self::default() }
    }

    fn is_of(&self, name: &str, boot: &str, span: Option<(Wall, Wall)>) -> bool {
        let overlaps = |(from, to): (Wall, Wall)| {
            self.spans.iter().any(|(first, last)| from <= *last && *first <= to)
        };
        let is_again = !self.boots.is_empty() && !span.is_some_and(overlaps);
        !name.is_empty() && self.name == name && (self.boots.contains(boot) || is_again)
    }

    fn add(&mut self, bundle: BundleOf) -> Result<()> {
        let boot = bundle.manifest.host.boot_id.clone();
        if self.boots.insert(boot) {
            self.settings.started_again();
        }
        self.read_clocks(&bundle.folder)?;
        self.spans.extend(bundle.span());
        let BundleOf { folder, manifest } = bundle;
        let to = manifest.window.closed.map(|span| span.to);
        for interface in &manifest.interfaces {
            self.interface(interface, to);
        }
        self.offsets.extend(manifest.host.clock_offset_ns.map(Offset));
        self.readings.extend(manifest.host.clock);
        let capture = folder.join(CAPTURE);
        if capture.is_file() {
            self.captures.push(capture);
        }
        self.files.push(folder);
        Ok(())
    }

    /// Both clocks at every event.
    fn read_clocks(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join(EVENTS);
        if !path.is_file() {
            return Ok(());
        }
        let failed = |e: std::io::Error| Error::operation("read", path.display().to_string(), e);
        let mut reader = BufReader::new(File::open(&path).map_err(failed)?);
        let mut line = Vec::new();
        loop {
            line.clear();
            let part = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
            if part.map_err(failed)? == 0 {
                return Ok(());
            }
            // A line that has no meaning tells no time; the report of the bundle counts it.
            if let Ok(EventLine { time, mono: Some(mono), .. }) = EventLine::read(&line) {
                self.settings.clocks(Stamp { mono, wall: time });
            }
        }
    }

    fn interface(&mut self, told: &InterfaceEntry, to: Option<Moment>) {
        let full_from = told.classes.iter().filter_map(|class| class.full_from);
        let from = full_from.max_by_key(|moment| moment.mono_ns);
        let span = from.zip(to).map(|(from, to)| {
            (self.settings.of(from.time, from.mono_ns), self.settings.of(to.time, to.mono_ns))
        });
        let known = self.interfaces.entry(told.name.clone()).or_default();
        known.spans.extend(span.filter(|(from, to)| from < to));
        known.blind.extend(blind(told));
        known.foreign_stamps |=
            told.origins.iter().any(|origin| origin.clock != StampClock::Software);
    }
}

/// Why frames of an interface may be missing, whatever its window says.
fn blind(told: &InterfaceEntry) -> impl Iterator<Item = String> {
    const LOST: [(&str, &str); 4] = [
        ("kernel_dropped", "the kernel dropped"),
        ("lane_dropped", "memory had no room for"),
        ("filtered", "a filter refused"),
        ("damaged", "the kernel's ring damaged"),
    ];
    let count = |name: &str| told.counts.get(name).map(serde_json::Value::as_u64);
    let lost = LOST.iter().filter_map(move |(name, what)| match count(name) {
        Some(Some(0)) | None => None,
        Some(Some(lost)) => Some(format!("{what} {}", words::counted(lost, "frame"))),
        Some(None) => Some(format!("how many frames {what} is not known")),
    });
    let filter = told.filter.as_ref().map(|filter| format!("only {filter} was recorded"));
    let gaps = count("gaps").flatten().filter(|gaps| *gaps > 0);
    let gaps = gaps.map(|gaps| format!("recording was interrupted, {gaps} times"));
    lost.chain(filter).chain(gaps)
}

impl BundleOf {
    fn open(folder: PathBuf) -> Result<Self> {
        let text = Folder::named(&folder).and_then(|folder| read::text(&folder));
        let text = text.map_err(|e| refused(&folder, &e.to_string()))?;
        let manifest = read::parse_plain(&text).map_err(|reason| refused(&folder, &reason))?;
        Ok(Self { folder, manifest })
    }

    fn span(&self) -> Option<(Wall, Wall)> {
        let Span { from, to, .. } = self.manifest.window.closed?;
        Some((from.time, to.time))
    }

    /// What nobody named, as a replay's bundles are not, is called by its directory.
    fn host_name(&self) -> String {
        match &*self.manifest.host.name {
            "" => crate::visible::plain(&stem(&self.folder.display().to_string())).into_owned(),
            name => name.to_owned(),
        }
    }
}

/// The bundle that a path means: its directory, or its capture.
fn folder_of(path: &Path) -> Option<PathBuf> {
    let is_capture = || path.file_name().is_some_and(|name| name == CAPTURE);
    let folder = if path.is_dir() { Some(path) } else { path.parent().filter(|_| is_capture()) };
    folder.filter(|folder| folder.join(MANIFEST).is_file()).map(Path::to_owned)
}

/// Gives hosts that have the same name each its own.
fn set_apart(members: &mut [Member]) {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for member in members {
        let count = known.entry(member.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            member.name = format!("{}#{count}", member.name);
        }
    }
}

fn refused(path: &Path, reason: &str) -> Error {
    Error::operation("read", path.display().to_string(), reason).hint(ACCEPTED)
}

/// Refuses what cannot be read as bundles and files, before anything is opened.
///
/// # Errors
/// Wrong usage, when there is none.
pub(super) fn check(files: &[PathBuf]) -> Result<()> {
    inputs::check(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_one_host_unless_it_is_at_two_places_at_once() {
        let member = |boot: &str| Member {
            name: "router".to_owned(),
            boots: [boot.to_owned()].into(),
            spans: vec![(Wall(100), Wall(200))],
            ..Member::default()
        };
        for (name, boot, span, same) in [
            ("router", "a", (150, 250), true),
            ("router", "b", (300, 400), true),
            ("router", "b", (150, 250), false),
            ("switch", "a", (300, 400), false),
            ("", "a", (300, 400), false),
        ] {
            let span = Some((Wall(span.0), Wall(span.1)));
            assert_eq!(member("a").is_of(name, boot, span), same, "{name} {boot} {span:?}");
        }
        let mut two = [member("a"), member("b")];
        set_apart(&mut two);
        assert_eq!([&*two[0].name, &*two[1].name], ["router", "router#2"]);
    }

    #[test]
    fn what_may_be_missing_is_told() {
        let entry = |json: &str| -> InterfaceEntry { serde_json::from_str(json).unwrap() };
        for (json, told) in [
            (r#"{"counts":{"kernel_dropped":0,"lane_dropped":0,"filtered":0}}"#, vec![]),
            (r#"{"counts":{"kernel_dropped":12}}"#, vec!["the kernel dropped 12 frames"]),
            (
                r#"{"counts":{"kernel_dropped":null},"filter":"tcp"}"#,
                vec!["how many frames the kernel dropped is not known", "only tcp was recorded"],
            ),
        ] {
            assert_eq!(blind(&entry(json)).collect::<Vec<_>>(), told, "{json}");
        }
    }

    #[test]
    fn what_is_no_bundle_is_refused_with_what_is_accepted() {
        let place = tempfile::tempdir().unwrap();
        let refused = |path: &Path| Member::of(&[path.to_owned()]).unwrap_err().to_string();
        assert!(refused(place.path()).contains("it has no manifest.json; accepted: bundles"));
        std::fs::write(place.path().join(MANIFEST), "{}").unwrap();
        assert!(refused(place.path()).contains("is not one of dashcap; accepted"));
    }
}
