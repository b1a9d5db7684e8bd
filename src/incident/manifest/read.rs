//! Reads what a manifest says, as far as the store needs it.

use std::io::{self, Read};

use serde::{Deserialize, Deserializer};

use super::{FORMAT, FileEntry};
use crate::incident::folder::Folder;
use crate::incident::layout::MANIFEST;
use crate::incident::store::record::Recorded;

/// Longest manifest in bytes; one of a thousand interfaces has about 2 MiB.
const LONGEST: u64 = 64 << 20;

/// What is read of it; whatever version wrote it, fields it lacks are empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::incident) struct Manifest {
    pub(in crate::incident) format: String,
    pub(in crate::incident) triggers: Vec<TriggerEntry>,
    pub(in crate::incident) window: WindowEntry,
    pub(in crate::incident) interfaces: Vec<InterfaceEntry>,
    pub(in crate::incident) files: Vec<FileEntry>,
    /// None where manifests were not recorded yet.
    #[serde(deserialize_with = "there")]
    pub(in crate::incident) previous: Option<Option<Recorded>>,
}

/// What is there, be it null.
fn there<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<Recorded>>, D::Error> {
    Option::deserialize(value).map(Some)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::incident) struct TriggerEntry {
    pub(in crate::incident) kind: String,
    pub(in crate::incident) object: Option<String>,
    pub(in crate::incident) sentence: String,
    pub(in crate::incident) time: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::incident) struct WindowEntry {
    pub(in crate::incident) closed: SpanEntry,
    pub(in crate::incident) covered: SpanEntry,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::incident) struct SpanEntry {
    pub(in crate::incident) seconds: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::incident) struct InterfaceEntry {
    pub(in crate::incident) name: String,
    pub(in crate::incident) in_bundle: InBundle,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::incident) struct InBundle {
    pub(in crate::incident) frames: u64,
    pub(in crate::incident) folded: u64,
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
pub(in crate::incident) fn parse(text: &[u8]) -> Result<Manifest, String> {
    let told: Manifest =
        serde_json::from_slice(text).map_err(|e| format!("{MANIFEST} has no meaning: {e}"))?;
    if told.format != FORMAT {
        return Err(format!("{MANIFEST} is not one of dashcap"));
    }
    Ok(told)
}
