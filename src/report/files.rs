//! The capture files of a report, merged by time. The order of each file stays as it is; the earliest
//! head leaves first. One frame of each file is in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;

use crate::capture::file::{Damage, FileFrame, FileSource, first_stamp};
use crate::error::Result;
use crate::frame::Origin;
use crate::time::Wall;

/// All files, each at its next frame.
#[derive(Debug)]
pub(super) struct Files {
    files: Vec<Open>,
    order: BinaryHeap<Reverse<(Wall, usize)>>,
    pub(super) damage: Vec<Damage>,
    /// Files that have no more frames, by number, for whoever takes them.
    pub(super) ended: Vec<usize>,
    /// Frames without a stamp, which got that of the frame before.
    pub(super) unstamped: u64,
}

#[derive(Debug)]
struct Open {
    source: FileSource,
    next: Wall,
}

/// The next frame of all.
#[derive(Debug)]
pub(super) struct Head<'a> {
    /// The number of its file.
    pub(super) file: usize,
    pub(super) origin: &'a Origin,
    pub(super) frame: FileFrame<'a>,
    pub(super) wall: Wall,
}

impl Files {
    /// Opens all of them.
    ///
    /// # Errors
    /// When one cannot be read, or is no capture file.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut files = Self {
            files: Vec::new(),
            order: BinaryHeap::new(),
            damage: Vec::new(),
            ended: Vec::new(),
            unstamped: 0,
        };
        for path in paths {
            let source = FileSource::open(path)?;
            files.files.push(Open { source, next: first_stamp(path).unwrap_or_default() });
            files.advance(files.files.len() - 1);
        }
        Ok(files)
    }

    /// The next frame.
    pub(super) fn head(&self) -> Option<Head<'_>> {
        let &Reverse((wall, file)) = self.order.peek()?;
        let source = &self.files[file].source;
        let frame = source.frame()?;
        Some(Head { file, origin: &source.origins()[frame.origin], frame, wall })
    }

    /// Goes on behind the next frame.
    pub(super) fn pass(&mut self) {
        let Some(mut top) = self.order.peek_mut() else { return };
        let file = top.0.1;
        // While one file has the earliest frame, its place in the order is only refreshed.
        match step(&mut self.files[file], &mut self.unstamped) {
            Ok(Some(wall)) => top.0 = (wall, file),
            Ok(None) => {
                std::collections::binary_heap::PeekMut::pop(top);
                self.ended.push(file);
            }
            Err(damage) => {
                std::collections::binary_heap::PeekMut::pop(top);
                self.ended.push(file);
                self.damage.push(damage);
            }
        }
    }

    fn advance(&mut self, file: usize) {
        match step(&mut self.files[file], &mut self.unstamped) {
            Ok(Some(wall)) => self.order.push(Reverse((wall, file))),
            Ok(None) => {}
            Err(damage) => self.damage.push(damage),
        }
    }

    /// The files, by number.
    pub(super) fn sources(&self) -> impl Iterator<Item = &FileSource> {
        self.files.iter().map(|file| &file.source)
    }

    /// Bytes read of all files as they are on disk, and their sum where all are known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        let each = self.files.iter().map(|file| file.source.progress());
        each.fold((0, Some(0)), |(read, size), (r, s)| (read + r, size.zip(s).map(|(a, b)| a + b)))
    }
}

/// The stamp of the file's next frame; none at its end.
fn step(open: &mut Open, unstamped: &mut u64) -> Result<Option<Wall>, Damage> {
    if !open.source.advance()? {
        return Ok(None);
    }
    match open.source.frame().and_then(|frame| frame.wall) {
        Some(wall) => open.next = wall,
        None => *unstamped += 1,
    }
    Ok(Some(open.next))
}
