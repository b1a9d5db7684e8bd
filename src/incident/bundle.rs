//! From an incident to a bundle directory, file by file.
//!
//! The capture comes first, because it is the evidence, the manifest last, because it knows the
//! others. Nothing is visible under the bundle's name before all of it is on the disk, and nothing is
//! left behind when it fails: the incident is only read and can be written again.
//!
//! A bundle whose evidence is on the disk can be [`secured`](super::secured) before it is published:
//! then its frames leave the memory, and its report is made.

use std::io;
use std::path::PathBuf;

use super::journal::{Entry, worth_a_line};
use super::layout::{CAPTURE, EVENTS, MANIFEST, SYSTEM, TIMELINE, TRAFFIC};
use super::manifest::Manifest;
use super::merge::Merge;
use super::onset::BundleOnset;
use super::partial::{BundleFile, Partial};
use super::pcapng::{CaptureFile, Contents, Level};
use super::store::{Store, record};
use super::timeline::Timeline;
use super::{Incident, events};
use crate::error::Result;
use crate::time::Mono;
use crate::traffic::csv;
use crate::trigger::TriggerKind;
use crate::visible;

/// A bundle that is whole and on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its directory.
    pub path: PathBuf,
    /// Size of its files in bytes.
    pub bytes: u64,
    /// Frames in it.
    pub frames: u64,
    /// What had opened it.
    pub trigger: TriggerKind,
    /// SHA-256 of its manifest, in hexadecimal.
    pub manifest_sha256: String,
    /// Where it began, if its report tells.
    pub onset: Option<BundleOnset>,
}

/// Why a bundle that nobody asked a report of has none.
pub(super) const NO_REPORT: &str = "none was asked for";

/// What a file takes of a disk is a multiple of that many bytes, on any usual file system.
const BLOCK: u64 = 4096;
/// What directories and inodes take beside the files, in bytes: two directories and some thirty inodes.
const DIRECTORIES: u64 = 32 * 1024;

/// Writes `incident` to `store`, without a report.
///
/// # Errors
/// When the output directory refuses; then nothing of it is left there.
pub fn write(store: &Store, incident: &Incident, level: Level) -> Result<Bundle> {
    let mut partial = store.begin(&incident.name())?;
    let contents = evidence(&mut partial, incident, level, NO_REPORT)?;
    publish(&mut partial, &contents, incident)
}

/// Everything but the report; `missing` is why there is none.
pub(super) fn evidence(
    partial: &mut Partial,
    incident: &Incident,
    level: Level,
    missing: &str,
) -> Result<Contents> {
    let contents = partial.file(CAPTURE, |file| capture(incident, file, level))?;
    partial.file(TIMELINE, |file| timeline(incident, file))?;
    if incident.traffic.is_some() {
        partial.file(TRAFFIC, |file| traffic(incident, file))?;
    }
    partial.file(EVENTS, |file| events::write(incident, &contents.runs, file))?;
    system(partial, incident)?;
    let files = partial.files().to_vec();
    let told = Manifest::of(incident, &contents, &files);
    let previous = record::last(partial.parent());
    let told = Manifest { report_missing: Some(missing), previous: previous.as_ref(), ..told };
    partial.file(MANIFEST, |file| manifest(&told, file))?;
    Ok(contents)
}

/// How many bytes that takes on a disk. Takes as long as writing does where the disk is fast.
///
/// # Errors
/// When the level does not exist.
pub(super) fn size(incident: &Incident, level: Level) -> io::Result<u64> {
    let (contents, packets) = BundleFile::measure(|file| capture(incident, file, level))?;
    let ((), table) = BundleFile::measure(|file| timeline(incident, file))?;
    let ((), passed) = BundleFile::measure(|file| traffic(incident, file))?;
    let ((), events) = BundleFile::measure(|file| events::write(incident, &contents.runs, file))?;
    let told = Manifest::of(incident, &contents, &[]);
    let ((), manifest) = BundleFile::measure(|file| manifest(&told, file))?;
    let system = incident.system.iter().map(|item| item.content.len() as u64);
    let files = system.chain([packets, table, passed, events, manifest]);
    Ok(files.map(|bytes| bytes.next_multiple_of(BLOCK)).sum::<u64>() + DIRECTORIES)
}

fn timeline(incident: &Incident, out: &mut BundleFile) -> io::Result<()> {
    Timeline::of(&incident.observations, incident.window, &incident.probes).write(out)
}

/// What passed until the incident was closed; rows that were made since are not its.
fn traffic(incident: &Incident, out: &mut BundleFile) -> io::Result<()> {
    let until = incident.closed.mono;
    incident.traffic.as_ref().map_or(Ok(()), |memory| csv::write(memory, until, out))
}

/// Makes it appear, and records its manifest.
pub(super) fn publish(
    partial: &mut Partial,
    contents: &Contents,
    incident: &Incident,
) -> Result<Bundle> {
    let manifest = partial.files().iter().find(|file| file.name == MANIFEST);
    let manifest_sha256 = manifest.map(|file| file.sha256.clone()).unwrap_or_default();
    record::add(partial.parent(), partial.name(), &manifest_sha256);
    let bytes = partial.files().iter().map(|file| file.size).sum();
    let frames = contents.origins.iter().map(|(_, written)| written.frames).sum();
    let (path, trigger) = (partial.publish()?, incident.opened_by.kind);
    Ok(Bundle { path, bytes, frames, trigger, manifest_sha256, onset: None })
}

/// Packets of all tracks in one order, with the lines that were seen between them.
fn capture(incident: &Incident, out: &mut BundleFile, level: Level) -> io::Result<Contents> {
    let mut file = CaptureFile::begin(out, &incident.host, &comment(incident), level)?;
    for track in &incident.tracks {
        // The first life of an interface that was created again; later ones follow as they are met.
        let begins = track.classes.iter().filter_map(|class| class.slice.frames().next());
        let first = begins.min_by_key(|frame| frame.mono).map(|frame| frame.origin);
        file.interface(first.as_ref().unwrap_or(&track.origin), track.filter.as_deref())?;
    }
    let mut lines = lines(incident).into_iter().peekable();
    let slices = incident.tracks.iter().flat_map(|track| &track.classes);
    for (_, frame) in Merge::new(slices.map(|class| class.slice.frames()).collect()) {
        while let Some(line) = lines.next_if(|line| line.at.mono <= frame.mono) {
            file.entry(&line)?;
        }
        file.frame(&frame)?;
    }
    lines.try_for_each(|line| file.entry(&line))?;
    for track in &incident.tracks {
        file.statistics(&track.origin, track.since, incident.closed, &track.stats)?;
    }
    let (_, contents) = file.finish()?;
    Ok(contents)
}

fn comment(incident: &Incident) -> String {
    let sentences: Vec<String> = incident
        .triggers()
        .map(|trigger| format!("{}: {}", trigger.kind, trigger.sentence))
        .collect();
    sentences.join("\n")
}

/// The lines between the packets, in order; of the same moment, the observation before the trigger.
/// What was seen before the window has no place among its packets.
fn lines(incident: &Incident) -> Vec<Entry> {
    let within = |mono: Mono| incident.window.contains(mono);
    let seen = worth_a_line(&incident.observations).into_iter().map(Entry::of_observation);
    let triggers = incident.triggers().map(Entry::of_trigger);
    let mut lines: Vec<Entry> = seen.chain(triggers).filter(|line| within(line.at.mono)).collect();
    lines.sort_by_key(|line| line.at.mono);
    lines
}

fn system(partial: &mut Partial, incident: &Incident) -> Result<()> {
    if incident.system.is_empty() {
        return Ok(());
    }
    partial.directory(SYSTEM)?;
    for item in &incident.system {
        let name = format!("{SYSTEM}/{}", item.name);
        partial.file(&name, |file| io::Write::write_all(file, &item.content))?;
    }
    Ok(())
}

/// The manifest, for people too.
pub(super) fn manifest(manifest: &Manifest<'_>, out: &mut BundleFile) -> io::Result<()> {
    let told = serde_json::to_string_pretty(manifest)? + "\n";
    io::Write::write_all(out, visible::json(&told).as_bytes())
}
