//! Reads what a manifest says, as far as store and report need it.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{FORMAT, FileEntry, Missing};
use crate::frame::StampClock;
use crate::incident::clock_reading::ClockReading;
use crate::incident::folder::Folder;
use crate::incident::layout::MANIFEST;
use crate::incident::moment::{Moment, Span};
use crate::incident::store::record::Recorded;
use crate::time::Wall;
use crate::visible;

/// Longest manifest in bytes; one of a thousand interfaces has about 2 MiB.
const LONGEST: u64 = 64 << 20;

/// What is read of it; whatever version wrote it, fields it lacks are empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) triggers: Vec<TriggerEntry>,
    pub(crate) window: WindowEntry,
    pub(crate) interfaces: Vec<InterfaceEntry>,
    pub(crate) missing: Vec<Missing>,
    pub(crate) host: HostEntry,
    pub(crate) files: Vec<FileEntry>,
    /// None where manifests were not recorded yet.
    #[serde(deserialize_with = "there")]
    pub(crate) previous: Option<Option<Recorded>>,
}

/// What is there, be it null.
fn there<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<Recorded>>, D::Error> {
    Option::deserialize(value).map(Some)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TriggerEntry {
    pub(crate) kind: String,
    pub(crate) object: Option<String>,
    pub(crate) sentence: String,
    pub(crate) time: Option<Wall>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WindowEntry {
    pub(crate) closed: Option<Span>,
    pub(crate) covered: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HostEntry {
    pub(crate) name: String,
    pub(crate) boot_id: String,
    /// CLOCK_REALTIME less CLOCK_MONOTONIC at the trigger, in nanoseconds.
    pub(crate) clock_offset_ns: Option<i64>,
    pub(crate) clock: Vec<ClockReading>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct InterfaceEntry {
    pub(crate) name: String,
    pub(crate) classes: Vec<ClassEntry>,
    pub(crate) filter: Option<String>,
    pub(crate) origins: Vec<OriginEntry>,
    pub(crate) in_bundle: InBundle,
    /// By their names; null is not known.
    pub(crate) counts: BTreeMap<String, Value>,
    pub(crate) relatives: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ClassEntry {
    pub(crate) full_from: Option<Moment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OriginEntry {
    pub(crate) clock: StampClock,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct InBundle {
    pub(crate) frames: u64,
    pub(crate) folded: u64,
}

/// The bytes of the manifest in `folder`.
///
/// # Errors
/// When it cannot be read, is no file, or is far too long.
pub fn text(folder: &Folder) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = folder.file(MANIFEST)?;
    file.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
    }
    Ok(text)
}

/// What a manifest tells.
///
/// # Errors
/// When it is none of ours.
pub(crate) fn parse(text: &[u8]) -> Result<Manifest, String> {
    of(serde_json::from_slice(text))
}

/// The same for people: its strings control nothing.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_plain(text: &[u8]) -> Result<Manifest, String> {
    of(serde_json::from_slice(text).map(visible::plain_value).and_then(serde_json::from_value))
}

fn of(told: serde_json::Result<Manifest>) -> Result<Manifest, String> {
    let told = told.map_err(|e| format!("{MANIFEST} has no meaning: {e}"))?;
    if told.format != FORMAT {
        return Err(format!("{MANIFEST} is not one of dashcap"));
    }
    Ok(told)
}
