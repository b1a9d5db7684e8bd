//! The files of a replay, merged by time. The order of each file stays as it is; the earliest head
//! leaves first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::capture::file::{Damage, FileFrame, FileSource, first_stamp};
use crate::error::Result;
use crate::frame::Origin;
use crate::time::Wall;

/// All files, each at its next frame.
#[derive(Debug)]
pub(super) struct Files {
    files: Vec<Open>,
    order: BinaryHeap<Reverse<(Wall, usize)>>,
}

#[derive(Debug)]
struct Open {
    source: FileSource,
    /// The stamp of its first frame.
    begun: Wall,
    /// That of its next frame.
    next: Wall,
    unstamped: u64,
}

/// The next frame of all.
#[derive(Debug)]
pub(super) struct Head<'a> {
    /// The number of its file.
    pub(super) file: usize,
    pub(super) origin: &'a Arc<Origin>,
    pub(super) frame: FileFrame<'a>,
    /// Its stamp; that of the frame before it where it has none.
    pub(super) wall: Wall,
    /// The stamp of its file's first frame.
    pub(super) begun: Wall,
}

/// A file that has no more frames.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) file: String,
    pub(super) frames: u64,
    pub(super) damage: Option<Damage>,
}

impl Files {
    /// Opens all of them, and tells of those that have no frame.
    ///
    /// # Errors
    /// When one cannot be read, or is no capture file.
    pub(super) fn open(paths: &[PathBuf]) -> Result<(Self, Vec<Ended>)> {
        let (mut files, mut ended) =
            (Self { files: Vec::new(), order: BinaryHeap::new() }, Vec::new());
        for path in paths {
            let source = FileSource::open(path)?;
            let next = first_stamp(path).unwrap_or_default();
            let open = Open { source, begun: Wall(0), next, unstamped: 0 };
            files.files.push(open);
            let number = files.files.len() - 1;
            ended.extend(files.advance(number));
            let open = &mut files.files[number];
            open.begun = open.next;
        }
        Ok((files, ended))
    }

    /// When the next frame is.
    pub(super) fn next_at(&self) -> Option<Wall> {
        self.order.peek().map(|Reverse((wall, _))| *wall)
    }

    /// The next frame.
    pub(super) fn head(&self) -> Option<Head<'_>> {
        let &Reverse((wall, file)) = self.order.peek()?;
        let Open { source, begun, .. } = &self.files[file];
        let frame = source.frame()?;
        Some(Head { file, origin: &source.origins()[frame.origin], frame, wall, begun: *begun })
    }

    /// Goes on behind the next frame; tells if that was its file's last one.
    pub(super) fn pass(&mut self) -> Option<Ended> {
        let Reverse((_, file)) = self.order.pop()?;
        self.advance(file)
    }

    fn advance(&mut self, number: usize) -> Option<Ended> {
        let Open { source, next, unstamped, .. } = &mut self.files[number];
        let damage = match source.advance() {
            Ok(true) => {
                match source.frame().and_then(|frame| frame.wall) {
                    Some(wall) => *next = wall,
                    None => *unstamped += 1,
                }
                self.order.push(Reverse((*next, number)));
                return None;
            }
            Ok(false) => None,
            Err(damage) => Some(damage),
        };
        Some(Ended { file: source.name().to_owned(), frames: source.frames(), damage })
    }

    /// Frames without a stamp so far.
    pub(super) fn unstamped(&self) -> u64 {
        self.files.iter().map(|file| file.unstamped).sum()
    }

    /// Bytes read of all files as they are on disk, and their sum where all are known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        let each = self.files.iter().map(|file| file.source.progress());
        each.fold((0, Some(0)), |(read, size), (r, s)| (read + r, size.zip(s).map(|(a, b)| a + b)))
    }
}
