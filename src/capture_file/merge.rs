//! Several files as one, by time, for everybody who reads more than one. The order of each file stays as it
//! is; the earliest head leaves first, and of equal ones that of the file that was named first.
//!
//! ```text
//!   before.pcap   10:00:01  10:00:02 ...              ┐
//!   slave.pcapng                      10:00:03  ...   ├─► 10:00:01  10:00:02  10:00:03 ...
//!   bond.pcap.gz                 10:00:02.5 ...       ┘
//! ```
//!
//! One frame of each file is in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Damage, FileFrame, FileSource, first_stamp};
use crate::error::Result;
use crate::frame::Origin;
use crate::time::Wall;

/// Files by the stamps of their heads.
#[derive(Debug, Default)]
pub struct Order {
    /// Stays out of the heap: while one file has the earliest frame, nothing moves.
    head: Option<(Wall, usize)>,
    others: BinaryHeap<Reverse<(Wall, usize)>>,
}

/// All files, each at its next frame.
#[derive(Debug)]
pub struct Merged {
    files: Vec<OpenFile>,
    order: Order,
}

#[derive(Debug)]
struct OpenFile {
    number: usize,
    source: FileSource,
    /// The stamp of its first frame.
    begun: Wall,
    /// That of its next frame.
    next: Wall,
    unstamped: u64,
}

/// The next frame of all.
#[derive(Debug)]
pub struct Head<'a> {
    /// The number of its file.
    pub file: usize,
    /// Its interface.
    pub origin: &'a Arc<Origin>,
    /// The frame as the file has it.
    pub frame: FileFrame<'a>,
    /// Its stamp; that of the frame before it where it has none.
    pub wall: Wall,
    /// The stamp of its file's first frame.
    pub begun: Wall,
}

/// A file that has no more frames.
#[derive(Debug)]
pub struct Ended {
    /// Its number.
    pub number: usize,
    /// As it was named.
    pub file: String,
    /// How many it had.
    pub frames: u64,
    /// Why it ended, if not at its end.
    pub damage: Option<Damage>,
}

impl Order {
    /// File number `file` stands at a frame of `wall`.
    pub fn add(&mut self, wall: Wall, file: usize) {
        let added = (wall, file);
        match self.head {
            Some(head) if head < added => self.others.push(Reverse(added)),
            before => {
                self.others.extend(before.map(Reverse));
                self.head = Some(added);
            }
        }
    }

    /// The earliest stamp, and its file.
    #[inline]
    pub fn head(&self) -> Option<(Wall, usize)> {
        self.head
    }

    /// The file of the head went on to `next`, or has no more.
    #[inline]
    pub fn replace(&mut self, next: Option<Wall>) {
        let Some((_, file)) = self.head else { return };
        let next = next.map(|wall| (wall, file));
        let earliest = self.others.peek().map(|Reverse(earliest)| *earliest);
        match (next, earliest) {
            (Some(next), Some(earliest)) if earliest < next => {
                self.others.pop();
                self.others.push(Reverse(next));
                self.head = Some(earliest);
            }
            (None, _) => self.head = self.others.pop().map(|Reverse(earliest)| earliest),
            _ => self.head = next,
        }
    }
}

impl Merged {
    /// Opens all of them, and tells of those that have no frame.
    ///
    /// # Errors
    /// When one cannot be read, or is no capture file.
    pub fn open(paths: &[PathBuf]) -> Result<(Self, Vec<Ended>)> {
        let mut merged = Self { files: Vec::new(), order: Order::default() };
        let mut ended = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            let source = FileSource::open_of(path, paths.len())?;
            // A frame without a stamp has none before it here: the first that a later frame has stands for it.
            let next = first_stamp(path).unwrap_or_default();
            let mut open = OpenFile { number, source, begun: Wall(0), next, unstamped: 0 };
            match open.advance() {
                Ok(wall) => merged.order.add(wall, number),
                Err(end) => ended.push(end),
            }
            open.begun = open.next;
            merged.files.push(open);
        }
        Ok((merged, ended))
    }

    /// When the next frame is.
    pub fn next_at(&self) -> Option<Wall> {
        self.order.head().map(|(wall, _)| wall)
    }

    /// The next frame.
    #[inline]
    pub fn head(&self) -> Option<Head<'_>> {
        let (wall, file) = self.order.head()?;
        let OpenFile { source, begun, .. } = &self.files[file];
        let frame = source.frame()?;
        Some(Head { file, origin: &source.origins()[frame.origin], frame, wall, begun: *begun })
    }

    /// Goes on behind the next frame; tells if that was its file's last one.
    #[inline]
    pub fn pass(&mut self) -> Option<Ended> {
        let (_, file) = self.order.head()?;
        let (next, ended) = match self.files[file].advance() {
            Ok(wall) => (Some(wall), None),
            Err(ended) => (None, Some(ended)),
        };
        self.order.replace(next);
        ended
    }

    /// Frames without a stamp so far, which got that of the frame before.
    pub fn unstamped(&self) -> u64 {
        self.files.iter().map(|file| file.unstamped).sum()
    }

    /// The files, by number.
    pub fn sources(&self) -> impl Iterator<Item = &FileSource> {
        self.files.iter().map(|file| &file.source)
    }

    /// Bytes read of all files as they are on disk, and their sum where all are known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        progress(self.sources())
    }
}

/// Bytes read of `files` as they are on disk, and their sum where all are known.
pub fn progress<'a>(files: impl Iterator<Item = &'a FileSource>) -> (u64, Option<u64>) {
    files.fold((0, Some(0)), |(read, size), file| {
        let (more, whole) = file.progress();
        (read + more, size.zip(whole).map(|(a, b)| a + b))
    })
}

impl OpenFile {
    /// The stamp of its next frame, or how it ended.
    fn advance(&mut self) -> Result<Wall, Ended> {
        let Self { number, source, next, unstamped, .. } = self;
        let damage = match source.advance() {
            Ok(true) => {
                match source.frame().and_then(|frame| frame.wall) {
                    Some(wall) => *next = wall,
                    None => *unstamped += 1,
                }
                return Ok(*next);
            }
            Ok(false) => None,
            Err(damage) => Some(damage),
        };
        Err(Ended {
            number: *number,
            file: source.name().to_owned(),
            frames: source.frames(),
            damage,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_earliest_head_leaves_first_and_files_stay_in_order(
            files in prop::collection::vec(prop::collection::vec(0..50_u64, 0..20), 0..6)
        ) {
            let mut order = Order::default();
            let mut heads: Vec<_> = files.iter().map(|file| file.iter().copied()).collect();
            for (number, file) in heads.iter_mut().enumerate() {
                if let Some(wall) = file.next() {
                    order.add(Wall(wall), number);
                }
            }
            let mut left: Vec<_> = files.iter().map(Vec::as_slice).collect();
            while let Some((wall, number)) = order.head() {
                let earliest = left.iter().enumerate().filter_map(|(n, file)| Some((*file.first()?, n)));
                prop_assert_eq!(Some((wall.0, number)), earliest.min());
                left[number] = &left[number][1..];
                order.replace(heads[number].next().map(Wall));
            }
            prop_assert!(left.iter().all(|file| file.is_empty()));
        }
    }
}
