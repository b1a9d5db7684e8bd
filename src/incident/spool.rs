//! The frames of an incident on the disk, from its trigger on, long before its bundle is written.
//!
//! ```text
//!   trigger ──► NAME.spool: what is held, oldest first ──► window over: the rest ──► bundle safe: removed
//!               └ safe there, its memory is used again         dead before that: the next start makes a bundle
//! ```
//!
//! Frames lie there as they lay in memory, so nothing that a bundle tells is decided earlier than without it. It
//! promises that a frame is in memory or safe on the disk, and that whatever the disk refuses stays in memory. It
//! leaves as much room as it takes, because a bundle will be written from it; and it is removed only when that
//! is on the disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, Mode};

use super::folder::Folder;
use super::name::is_our_name;
use super::partial::{cannot, numbered};
use super::{Incident, recovered};
use crate::error::{Error, Result};
use crate::ring::metadata::{InterfaceMetadata, MetadataMoment, RecordingMetadata};
use crate::ring::{LeftRing, Pinned, Segment, SpoolFile, WantedFrames, Whose};
use crate::sys::space;
use crate::time::Stamp;

/// Ends the name of a spool file.
pub const SPOOL: &str = ".spool";
/// Frames are nobody else's business until they are in a bundle, and a file that others could write is not read.
const MODE: u32 = 0o600;
/// Names tried before giving up, as for bundles.
const NAMES: u32 = 1_000;
/// Bytes written before they are made safe, of what is left when the window is over.
const BATCH: usize = 32 << 20;

/// The spool of one incident. Cloning gives a second hand on the same one.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    /// What the incident is called.
    name: String,
    standing: RecordingMetadata,
    /// Made with the first frame, and what it is called.
    file: Option<(String, SpoolFile)>,
}

impl Spool {
    /// Of an incident called `name` in a recording of which `standing` tells. Nothing is on the disk yet.
    pub fn new(directory: &Path, name: String, standing: RecordingMetadata) -> Self {
        let directory = directory.to_owned();
        Self(Arc::new(Mutex::new(Inner { directory, name, standing, file: None })))
    }

    /// What a dead process left.
    fn of_left(left: LeftRing) -> Option<Self> {
        let path = left.path().to_owned();
        let (directory, name) = (path.parent()?.to_owned(), path.file_name()?.to_str()?.to_owned());
        let (standing, file) =
            (RecordingMetadata::unknown(), Some((name.clone(), left.into_spool())));
        Some(Self(Arc::new(Mutex::new(Inner { directory, name, standing, file }))))
    }

    /// Writes copies of these segments; they are safe when it returns.
    ///
    /// # Errors
    /// When the disk refuses, or would have too little room left.
    pub fn write(&self, segments: &[Pinned]) -> Result<Vec<Arc<Segment>>> {
        let mut inner = self.inner();
        inner.check_room(segments.iter().map(Pinned::bytes).sum())?;
        let (directory, (name, file)) = inner.opened()?;
        file.write(segments).map_err(|e| cannot("write", &directory.join(name), &e))
    }

    /// How the interfaces stood at `at`. A file that cannot take it has the one before.
    pub fn note(&self, at: Stamp, interfaces: Vec<InterfaceMetadata>) {
        let mut inner = self.inner();
        let Some((name, file)) = &mut inner.file else { return };
        let noted = file.note(|standing| {
            standing.at = MetadataMoment::from(at);
            standing.interfaces = interfaces;
        });
        if let Err(error) = noted {
            tracing::debug!("cannot write to {name}: {error}");
        }
    }

    /// Where it lies; none while it has no frames.
    pub fn path(&self) -> Option<PathBuf> {
        let inner = self.inner();
        let begun = inner.file.as_ref().filter(|(_, file)| file.bytes() > 0);
        begun.map(|(name, _)| inner.directory.join(name))
    }

    /// Everything it has is in a bundle: it goes.
    pub fn remove(&self) {
        self.inner().remove();
    }

    /// What is written is written as a whole, so that a poisoned one is whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spools in `directory` that dead recordings left. Those of others, and of a dashcap that lives, stay as they are.
pub fn left(directory: &Path) -> Vec<LeftRing> {
    let inside = Folder::open(directory).and_then(|folder| folder.inside()).unwrap_or_default();
    let names = inside.iter().filter(|inside| inside.kind == FileType::RegularFile);
    let ours = names.filter(|inside| {
        let name = inside.name.to_str().and_then(|name| name.strip_suffix(SPOOL));
        name.is_some_and(is_our_name)
    });
    let opened = ours.filter_map(|ours| {
        let left = LeftRing::open(&directory.join(&ours.name), Whose::Ours);
        left.inspect_err(|error| tracing::info!("{error}")).ok().flatten()
    });
    opened.collect()
}

/// The incident that a spool is of, to be written like any other. One without frames is removed.
///
/// # Errors
/// When it cannot be read, or not removed.
pub fn incident(left: LeftRing) -> Result<Option<Incident>> {
    let recovery = left.recover(WantedFrames::ALL)?;
    let Some(incident) = recovered::incident(left.path(), recovery) else {
        return left.remove().map(|()| None);
    };
    Ok(Some(Incident { spool: Spool::of_left(left), ..incident }))
}

impl Inner {
    /// Refuses `more` bytes that would not leave as much room as it takes.
    fn check_room(&self, more: usize) -> Result<()> {
        let taken = self.file.as_ref().map_or(0, |(_, file)| file.bytes()) + more as u64;
        match space::free(&self.directory) {
            Ok(free) if free.saturating_sub(more as u64) < taken => {
                let path = self.directory.join(format!("{}{SPOOL}", self.name));
                let reason = "the bundle will need as much room as its frames took so far";
                let error = Error::operation("write", path.display().to_string(), reason);
                Err(error.of_kind(std::io::ErrorKind::StorageFull))
            }
            // Where nobody knows, the disk says so itself.
            _ => Ok(()),
        }
    }

    fn opened(&mut self) -> Result<(&Path, &mut (String, SpoolFile))> {
        let Self { directory, name, standing, file } = self;
        let opened = match file.take() {
            Some(opened) => opened,
            None => create(directory, name, standing)?,
        };
        Ok((directory, file.insert(opened)))
    }

    fn remove(&mut self) {
        let Some((name, _)) = self.file.take() else { return };
        let removed = Folder::open(&self.directory).and_then(|folder| folder.remove_file(&*name));
        if let Err(error) = removed {
            tracing::warn!("cannot remove {}: {error}", self.directory.join(name).display());
        }
    }
}

impl Drop for Inner {
    /// One that has frames stays: the next start makes a bundle of it.
    fn drop(&mut self) {
        if self.file.as_ref().is_some_and(|(_, file)| file.bytes() == 0) {
            self.remove();
        }
    }
}

fn create(
    directory: &Path,
    name: &str,
    standing: &RecordingMetadata,
) -> Result<(String, SpoolFile)> {
    let folder = Folder::open(directory).map_err(|e| cannot("open", directory, &e))?;
    for name in (1..=NAMES).map(|n| format!("{}{SPOOL}", numbered(name, n))) {
        let made = folder.create_for(&name, Mode::from_raw_mode(MODE));
        let file = match made {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
            made => made.and_then(|file| SpoolFile::begin(file, standing.clone())),
        };
        let file = file.inspect_err(|_| drop(folder.remove_file(&*name)));
        return file
            .map(|file| (name.clone(), file))
            .map_err(|e| cannot("create", &directory.join(&name), &e));
    }
    let path = directory.join(name).display().to_string();
    Err(Error::operation("create spool of", path, "all its names are taken"))
}

impl Incident {
    /// Brings what is still in memory to its spool, if that was begun. Not where frames of the recording before are
    /// among them: lanes and segments of both have the same numbers, and in one spool nobody could tell them apart.
    ///
    /// # Errors
    /// When the disk refuses; then the rest stays in memory.
    pub(super) fn spool(&mut self) -> Result<()> {
        let begun = self.spool.clone().filter(|spool| spool.path().is_some());
        let Some(spool) = begun.filter(|_| self.earlier.is_none()) else { return Ok(()) };
        let mut classes = self.tracks.iter_mut().flat_map(|track| &mut track.classes);
        classes.try_for_each(|class| class.slice.spool(BATCH, |segments| spool.write(segments)))
    }

    /// True while it pins memory.
    pub(super) fn is_in_memory(&self) -> bool {
        let mut classes = self.tracks.iter().flat_map(|track| &track.classes);
        classes.any(|class| class.slice.is_in_memory())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::incident::fixture::{MONO, Story, frame, origin};
    use crate::lab::{Tmpfs, is_root};
    use crate::time::Mono;

    const FRAMES: u64 = 1_000;
    const NAME: &str = "2026-11-22T14-14-20.811Z_link-down_dp0bond0";

    /// A megabyte of frames that are held, and nothing of it on the disk.
    fn incident(directory: &Path) -> Incident {
        let origin = Arc::new(origin("eth0", 1));
        let bytes = |n: u64| [&n.to_le_bytes()[..], &[0xee; 1_000]].concat();
        let frames = (0..FRAMES).map(|n| frame(&origin, Mono(MONO + n), &bytes(n))).collect();
        let mut incident = Story::new().track("eth0", 1, frames).incident();
        let spool = Spool::new(directory, NAME.to_owned(), RecordingMetadata::unknown());
        incident.spool = Some(spool);
        incident
    }

    fn write(incident: &mut Incident) -> Result<()> {
        let spool = incident.spool.clone().unwrap();
        let slice = &mut incident.tracks[0].classes[0].slice;
        slice.spool(BATCH, |segments| spool.write(segments))
    }

    #[test]
    fn a_spool_leaves_as_much_room_as_it_takes_and_goes_on_when_there_is_more() {
        if !is_root("mounting a tmpfs") {
            return;
        }
        let tmpfs = Tmpfs::mount(1_900 << 10);
        let mut incident = incident(tmpfs.path());
        let refused = write(&mut incident).unwrap_err();
        assert!(refused.is_disk_full(), "{refused}");
        assert!(incident.is_in_memory());
        tmpfs.remount("size=4m");
        write(&mut incident).unwrap();
        assert!(!incident.is_in_memory());
        assert_eq!(incident.tracks[0].classes[0].slice.frames().count() as u64, FRAMES);
    }

    #[test]
    fn what_a_dead_process_spooled_is_there_for_the_next_start_and_nothing_of_a_living_one() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        fs::write(place.join("thesis.spool"), b"mine").unwrap();
        let mut empty = incident(place);
        empty.spool().unwrap();
        assert!(empty.is_in_memory(), "what was not begun is not worth it now");
        let mut living = incident(place);
        write(&mut living).unwrap();
        assert_eq!(left(place).len(), 0, "it is in use");
        drop((living, empty));
        let spools = left(place);
        let [spool] = &spools[..] else { panic!("{spools:?}") };
        assert_eq!(spool.path(), place.join(format!("{NAME}{SPOOL}")));
        let recovery = spool.recover(WantedFrames::ALL).unwrap();
        assert_eq!(recovery.counts.frames, FRAMES);
        assert!(!recovery.counts.is_damaged());
    }

    #[test]
    fn a_spool_goes_with_its_bundle_and_so_does_one_without_frames() {
        let directory = tempfile::tempdir().unwrap();
        let mut incident = incident(directory.path());
        write(&mut incident).unwrap();
        incident.spool.as_ref().unwrap().remove();
        let spool = incident.spool.as_ref().unwrap();
        spool.inner().opened().unwrap();
        assert_eq!(spool.path(), None, "it has no frames");
        assert_eq!(incident.tracks[0].classes[0].slice.frames().count() as u64, FRAMES);
        drop(incident);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
