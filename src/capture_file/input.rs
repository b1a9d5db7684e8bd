//! The bytes of a capture file, decompressed if need be, with a place to look ahead.
//!
//! Read front to back, so a pipe will do; nothing is ever asked for twice. Only plain files can be read
//! elsewhere, for who knows where to go on ([`Input::jump`]). Memory is bounded: a record
//! is looked at as a whole, and its reader refuses one that claims to be longer than
//! [`super::LONGEST_BLOCK`]; zstd's window is limited by the library to 128 MiB (`ZSTD_WINDOWLOG_LIMIT_DEFAULT`).

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

/// First bytes of a zstd frame (RFC 8878 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// First bytes of a gzip member (RFC 1952 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Bytes by which a file is judged.
const MAGIC: usize = 4;
/// Bytes asked for at once: few calls, and little beside one record in memory.
const GATHER: usize = 256 << 10;
/// The name that means standard input.
const STANDARD_INPUT: &str = "-";

/// First bytes of what others pack with and is not read here: lz4, its older format, xz, bzip2.
const OTHERS: [(&[u8], &str); 4] = [
    (&[0x04, 0x22, 0x4d, 0x18], "lz4"),
    (&[0x02, 0x21, 0x4c, 0x18], "lz4"),
    (&[0xfd, b'7', b'z', b'X'], "xz"),
    (b"BZh", "bzip2"),
];

/// How a file that begins so is compressed, to go behind "it is compressed": twice, or with something that is
/// not read here. None if it is not.
pub(super) fn compression(begin: &[u8]) -> Option<String> {
    if is_zstd(begin) || begin.starts_with(&GZIP) {
        return Some("twice".to_owned());
    }
    let (_, name) = OTHERS.iter().find(|(magic, _)| begin.starts_with(magic))?;
    Some(format!("with {name}: unpack it first, such as {name} -dc FILE | dashcap report -"))
}

/// A frame of zstd, or one that decoders skip, with which pzstd begins (RFC 8878 3.1.2).
fn is_zstd(begin: &[u8]) -> bool {
    const SKIPPED: [u8; 3] = [0x2a, 0x4d, 0x18];
    let skipped = matches!(begin, [0x50..=0x5f, rest @ ..] if rest.starts_with(&SKIPPED));
    skipped || begin.starts_with(&ZSTD)
}

/// An open file of any kind.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    /// What was read and not passed yet.
    begin: usize,
    end: usize,
    /// Where `begin` is in the decompressed file.
    offset: u64,
    compressed: bool,
    consumed: Arc<AtomicU64>,
    size: Option<u64>,
    /// The same file once more, where its bytes are read as they are.
    plain: Option<File>,
}

/// Counts what is read of the file itself, before decompression.
struct Counted<R> {
    reader: R,
    consumed: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.consumed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Input {
    /// Opens `path`, or standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |e: io::Error| Error::operation("read", path.display().to_string(), e);
        if path.as_os_str() == STANDARD_INPUT {
            return Self::new(io::stdin(), None).map_err(failed);
        }
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        // A pipe or device has no size.
        let again = about.is_file().then(|| file.try_clone()).transpose().map_err(failed)?;
        let size = about.is_file().then_some(about.len());
        let mut input = Self::new(file, size).map_err(failed)?;
        input.plain = again.filter(|_| !input.compressed);
        Ok(input)
    }

    /// Bytes of a plain file from `offset` on, as many as there are of `wanted`; none where the file is not a
    /// plain one. Reading on is not affected.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn look(&self, offset: u64, wanted: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = &self.plain else { return Ok(None) };
        let mut bytes = vec![0; wanted];
        let mut there = 0;
        while there < wanted {
            match file.read_at(&mut bytes[there..], offset + there as u64) {
                Ok(0) => break,
                Ok(read) => there += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(there);
        Ok(Some(bytes))
    }

    /// Goes on at `offset` of a plain file; false where it is not one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn jump(&mut self, offset: u64) -> io::Result<bool> {
        let Some(file) = &self.plain else { return Ok(false) };
        let mut file = file.try_clone()?;
        file.seek(SeekFrom::Start(offset))?;
        self.consumed.store(offset, Ordering::Relaxed);
        self.reader = Box::new(Counted { reader: file, consumed: Arc::clone(&self.consumed) });
        (self.begin, self.end, self.offset) = (0, 0, offset);
        Ok(true)
    }

    pub(super) fn new(reader: impl Read + Send + 'static, size: Option<u64>) -> io::Result<Self> {
        let consumed = Arc::new(AtomicU64::new(0));
        let mut reader = Counted { reader, consumed: Arc::clone(&consumed) };
        let mut magic = Vec::with_capacity(MAGIC);
        reader.by_ref().take(MAGIC as u64).read_to_end(&mut magic)?;
        let (zstd, gzip) = (is_zstd(&magic), magic.starts_with(&GZIP));
        let whole = Cursor::new(magic).chain(reader);
        let reader: Box<dyn Read + Send> = if zstd {
            Box::new(zstd::Decoder::new(whole)?)
        } else if gzip {
            Box::new(MultiGzDecoder::new(whole))
        } else {
            Box::new(whole)
        };
        let bytes = Vec::new();
        Ok(Self {
            reader,
            bytes,
            begin: 0,
            end: 0,
            offset: 0,
            compressed: zstd || gzip,
            consumed,
            size,
            plain: None,
        })
    }

    /// At least `wanted` bytes from here on, fewer only at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read or decompressed.
    #[inline]
    pub(super) fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        if self.end - self.begin < wanted {
            self.gather(wanted)?;
        }
        Ok(self.ahead())
    }

    #[inline(never)]
    fn gather(&mut self, wanted: usize) -> io::Result<()> {
        while self.end - self.begin < wanted {
            self.make_room(wanted);
            match self.reader.read(&mut self.bytes[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What was read and not passed yet.
    #[inline]
    pub(super) fn ahead(&self) -> &[u8] {
        &self.bytes[self.begin..self.end]
    }

    /// Goes on behind `length` bytes that were peeked at.
    #[inline]
    pub(super) fn pass(&mut self, length: usize) {
        let length = length.min(self.end - self.begin);
        self.begin += length;
        self.offset += length as u64;
    }

    /// Where the next byte is in the decompressed file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// True if [`Self::offset`] does not count the bytes of the file as it is on disk.
    pub(super) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Bytes read of the file as it is on disk, and their number where it is known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        (self.consumed.load(Ordering::Relaxed), self.size)
    }

    /// Moves what is ahead to the front, and makes room behind it for `wanted` bytes in all.
    fn make_room(&mut self, wanted: usize) {
        if self.begin > 0 {
            self.bytes.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
        }
        let room = wanted.max(GATHER);
        if self.bytes.len() < room {
            self.bytes.resize(room, 0);
        }
    }
}
