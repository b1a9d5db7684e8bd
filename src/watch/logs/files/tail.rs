//! One open file, read as it grows.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::super::lines::Lines;
use crate::observation::log_line::LONGEST;

/// Bytes per read.
const CHUNK: usize = 64 << 10;
/// Bytes read before other files are looked at.
pub(super) const BUDGET: usize = 1 << 20;
/// What is further behind than this is passed over: a file this far ahead of us is not being logged to,
/// it was moved here.
pub(super) const BACKLOG: u64 = 16 << 20;

/// Device and inode: which file it is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(file: &Metadata) -> Self {
        Self(file.dev(), file.ino())
    }
}

/// The file and how far it was read.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    identity: Identity,
    offset: u64,
    lines: Lines,
}

/// What a reading found beside lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reading {
    /// There is more to read at once.
    pub(super) more: bool,
    /// The file is shorter than before, so it is read from its beginning.
    pub(super) truncated: bool,
    /// Bytes that were passed over.
    pub(super) skipped: u64,
}

impl Tail {
    /// Opens `path` where it begins, or where it ends now.
    pub(super) fn open(path: &Path, from_end: bool) -> io::Result<Self> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        let offset = if from_end { about.len() } else { 0 };
        Ok(Self { file, identity: Identity::of(&about), offset, lines: Lines::new(LONGEST) })
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Reads what was added; `line` gets each line that is complete, and whether it is cut.
    pub(super) fn read(&mut self, mut line: impl FnMut(&[u8], bool)) -> io::Result<Reading> {
        let mut reading = Reading::default();
        let length = self.file.metadata()?.len();
        if length < self.offset {
            reading.truncated = true;
            self.lines.finish(&mut line);
            self.offset = 0;
        }
        if let Some(skipped) = (length - self.offset).checked_sub(BACKLOG).filter(|more| *more > 0)
        {
            reading.skipped = skipped;
            self.lines.finish(&mut line);
            self.offset += skipped;
        }
        let mut chunk = vec![0; CHUNK];
        for _ in 0..BUDGET / CHUNK {
            match self.file.read_at(&mut chunk, self.offset) {
                Ok(0) => return Ok(reading),
                Ok(length) => {
                    self.offset += length as u64;
                    self.lines.push(chunk.get(..length).unwrap_or_default(), &mut line);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        reading.more = true;
        Ok(reading)
    }

    /// Nothing will be added any more: hands over a line without an end.
    pub(super) fn finish(&mut self, line: impl FnMut(&[u8], bool)) {
        self.lines.finish(line);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    fn read(tail: &mut Tail) -> (Vec<String>, Reading) {
        let mut lines = Vec::new();
        let mut take = |line: &[u8], _| lines.push(String::from_utf8_lossy(line).into_owned());
        let mut reading = tail.read(&mut take).unwrap();
        while reading.more {
            reading.more = tail.read(&mut take).unwrap().more;
        }
        (lines, reading)
    }

    #[test]
    fn what_is_added_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "history\npart").unwrap();
        let mut tail = Tail::open(&path, true).unwrap();
        let add = |text: &str| {
            OpenOptions::new()
                .append(true)
                .open(&path)
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        };
        assert_eq!(read(&mut tail).0, [""; 0]);
        add("ial\nwhole\nbegun");
        assert_eq!(read(&mut tail).0, ["ial", "whole"], "where it ended when it was opened");
        add(" and ended\n");
        assert_eq!(read(&mut tail).0, ["begun and ended"]);
        add("lost?");
        assert_eq!(read(&mut tail).0, [""; 0]);
        fs::write(&path, "new\n").unwrap();
        let (lines, reading) = read(&mut tail);
        assert_eq!(lines, ["lost?", "new"]);
        assert_eq!(reading, Reading { truncated: true, ..Reading::default() });
    }

    #[test]
    fn what_is_far_behind_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let file = File::create(&path).unwrap();
        file.set_len(BACKLOG + 5).unwrap();
        file.write_all_at(b"\nend\n", BACKLOG).unwrap();
        let (lines, reading) = read(&mut Tail::open(&path, false).unwrap());
        assert_eq!((reading.skipped, lines.last().unwrap().as_str()), (5, "end"));
    }
}
