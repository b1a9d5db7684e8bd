//! The long memory on its way past the end of a process: a file beside the ring file, `RING.traffic`.
//!
//! ```text
//!   0          32           a multiple of 4 KiB     │
//!   │ head     │ owners, JSON │ slots of seconds    │ slots of minutes      (see `rows`)
//! ```
//!
//! It is opened at the start, made anew, for its owner alone, and written a slot a second. Whenever a process dies,
//! at most the slot that was being written is lost: each has a sum of its own. Any bytes may be read here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::column::ColumnOwner;
use super::rows::{Grain, Slot, decode, slot_bytes};
use super::shape::Shape;
use crate::error::{Error, Result};

/// Behind the name of the ring file.
const ENDING: &str = "traffic";
const MAGIC: [u8; 8] = *b"DCtraf\r\n";
/// Raised when a reader of the old one would misunderstand.
const VERSION: u32 = 1;
/// Magic 8, version 4, columns 4, slots of seconds 4, of minutes 4, length of the owners 4, CRC-32 of the owners 4.
const HEAD: usize = 32;
/// Room for an owner's names: an interface has 15 bytes, a class of the operator's as many as he likes.
const OWNER: usize = 192;
/// Longest file that is read: what the largest memory makes.
const LONGEST: u64 = 1100 << 20;
/// What passed is nobody else's business.
const MODE: u32 = 0o600;

/// A file that the memory is kept in.
#[derive(Debug)]
pub struct TrafficFile {
    path: PathBuf,
    file: File,
    shape: Shape,
    boot: String,
    /// It was refused, which was told.
    failed: bool,
}

/// What an earlier recording left.
#[derive(Debug)]
pub struct Left {
    /// Identifier of the boot in which it was written.
    pub boot: String,
    /// How large it was.
    pub shape: Shape,
    pub(super) owners: Vec<ColumnOwner>,
    pub(super) seconds: Vec<Slot>,
    pub(super) minutes: Vec<Slot>,
}

/// Whose the columns are.
#[derive(Debug, Serialize, Deserialize)]
struct Owners {
    boot: String,
    owners: Vec<ColumnOwner>,
}

impl TrafficFile {
    /// Where it is kept if frames are kept in `ring`.
    pub fn beside(ring: &Path) -> PathBuf {
        let mut name = ring.as_os_str().to_owned();
        name.push(".");
        name.push(ENDING);
        name.into()
    }

    /// Makes it anew.
    ///
    /// # Errors
    /// When that is refused.
    pub fn create(path: &Path, shape: Shape, boot: &str) -> Result<Self> {
        let failed = |e: io::Error| Error::operation("make file", path.display().to_string(), e);
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(MODE).open(path).map_err(failed)?;
        let (path, boot) = (path.to_owned(), boot.to_owned());
        Ok(Self { path, file, shape, boot, failed: false })
    }

    /// Says whose the columns are.
    pub(super) fn write_owners(&mut self, owners: &[ColumnOwner]) {
        let owners = Owners { boot: self.boot.clone(), owners: owners.to_vec() };
        let mut text = serde_json::to_vec(&owners).unwrap_or_default();
        if text.len() > begin_of_slots(self.shape.columns) - HEAD {
            text.clear(); // Without names the rows are nobody's.
        }
        let Shape { columns, seconds, minutes } = self.shape;
        let numbers = [VERSION as usize, columns, seconds, minutes, text.len()];
        let mut head = MAGIC.to_vec();
        // All of them fit: the memory has a gigabyte at most.
        head.extend(numbers.iter().flat_map(|number| (*number as u32).to_le_bytes()));
        head.extend(crc32fast::hash(&text).to_le_bytes());
        head.extend(text);
        self.told(|file| file.write_all_at(&head, 0));
    }

    /// Writes rows that changed, at their place among those of their kind.
    pub(super) fn write(&mut self, grain: Grain, place: usize, bytes: &[u8]) {
        let Shape { columns, seconds, .. } = self.shape;
        let before = match grain {
            Grain::Second => 0,
            Grain::Minute => seconds * slot_bytes(columns),
        };
        let place = (begin_of_slots(columns) + before + place) as u64;
        self.told(|file| file.write_all_at(bytes, place));
    }

    /// Says once that the disk refuses, and goes on trying.
    fn told(&mut self, write: impl FnOnce(&File) -> io::Result<()>) {
        match write(&self.file) {
            Ok(()) => self.failed = false,
            Err(error) if !self.failed => {
                self.failed = true;
                tracing::warn!("cannot write to {}: {error}", self.path.display());
            }
            Err(_) => {}
        }
    }
}

impl Left {
    /// What a file has; none where it has nothing that is understood.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(file: impl Read) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(Self::parse(&bytes))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let number = |n: usize| {
            let number = u32::from_le_bytes(*rest.get(4 * n..)?.first_chunk()?);
            usize::try_from(number).ok()
        };
        let [version, columns, seconds, minutes, length] =
            [number(0)?, number(1)?, number(2)?, number(3)?, number(4)?];
        let text = bytes.get(HEAD..)?.get(..length)?;
        if version != VERSION as usize || number(5)? != crc32fast::hash(text) as usize {
            return None;
        }
        let Owners { boot, owners } = serde_json::from_slice(text).ok()?;
        let slots = bytes.get(begin_of_slots(columns)..)?;
        let size = slot_bytes(columns);
        let (of_seconds, of_minutes) = slots.split_at_checked(seconds.checked_mul(size)?)?;
        let of_minutes = of_minutes.get(..minutes.checked_mul(size)?)?;
        Some(Self {
            boot,
            shape: Shape { columns, seconds, minutes },
            owners,
            seconds: whole(of_seconds, size),
            minutes: whole(of_minutes, size),
        })
    }
}

/// The slots that are whole, in the order in which they were made.
fn whole(bytes: &[u8], size: usize) -> Vec<Slot> {
    let mut slots: Vec<_> = bytes.chunks_exact(size).filter_map(decode).collect();
    slots.retain(|slot| slot.number > 0);
    slots.sort_by_key(|slot| slot.number);
    slots
}

const fn begin_of_slots(columns: usize) -> usize {
    (HEAD + columns.saturating_mul(OWNER)).next_multiple_of(4096)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn its_name_is_beside_the_ring_file() {
        let name = TrafficFile::beside(Path::new("/run/dashcap/ring"));
        assert_eq!(name, Path::new("/run/dashcap/ring.traffic"));
    }

    #[test]
    fn something_else_is_nothing() {
        for bytes in [&b""[..], b"something else", &MAGIC] {
            assert!(Left::read(bytes).unwrap().is_none());
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Left::parse(&bytes);
            let _ = Left::parse(&[&MAGIC[..], &1_u32.to_le_bytes(), &bytes].concat());
        }
    }
}
