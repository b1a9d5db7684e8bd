//! The file being written: what it is called decides what it is, and it appears by rename when it is whole.
//!
//! ```text
//!   cutting thread ── full buffers ──► cut/write ── [zstd, its own threads] ──► OUT.partial ──► OUT
//!                  ◄─ empty buffers ──
//! ```
//!
//! Buffers wait in a bounded channel: when the disk is slow, cutting waits. The file is not flushed to the
//! disk, as cp(1) does not: what it was cut from is still there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::{Error, Result};

/// Bytes in a buffer when it is handed over; a block of 16 MiB on top at most.
const BUFFER: usize = 1 << 20;
/// Buffers under way: one being written, one waiting.
const UNDER_WAY: usize = 2;
/// zstd compression level, as in bundles: on a storm it makes 2 GB/s, level 3 half of that.
const LEVEL: i32 = 1;
/// Threads that compress; each holds some MiB.
const MOST_COMPRESSORS: usize = 4;
/// The name that means standard output.
const STANDARD_OUTPUT: &str = "-";

/// What kind of file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// pcapng, compressed with zstd.
    PcapngZstd,
    /// pcapng.
    Pcapng,
    /// pcap with nanoseconds: one link type, frames only.
    Pcap,
}

impl Format {
    /// What a file of this name should be: `.pcapng.zst`, `.pcapng` or `.pcap`.
    ///
    /// # Errors
    /// Wrong usage, when the name does not tell.
    pub fn of(path: &Path) -> Result<Self> {
        const ENDINGS: [(&str, Format); 5] = [
            (".zst", Format::PcapngZstd),
            (".pcapng", Format::Pcapng),
            (".ntar", Format::Pcapng),
            (".pcap", Format::Pcap),
            (".cap", Format::Pcap),
        ];
        let name = path.to_string_lossy();
        if name == STANDARD_OUTPUT {
            return Ok(Self::Pcapng);
        }
        let found = ENDINGS.iter().find(|(ending, _)| name.ends_with(ending));
        let found = found.filter(|_| !name.ends_with(".pcap.zst"));
        found.map(|(_, format)| *format).ok_or_else(|| {
            Error::usage(
                "--output",
                name,
                "the ending of the name tells the format, and this one is not known",
                "a name that ends in .pcapng.zst, .pcapng or .pcap, or --format",
            )
        })
    }
}

/// True if the output is standard output.
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == STANDARD_OUTPUT
}

/// A file being written.
pub(crate) struct Output {
    name: String,
    buffer: Vec<u8>,
    full: Option<Sender<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    /// The name it has until it is whole, and the one it gets; none for what is no file.
    aside: Option<(PathBuf, PathBuf)>,
    /// Where in the file the head is that may be written once more, and its length.
    head: (u64, usize),
    /// Bytes handed over, before compression.
    sent: u64,
}

impl Output {
    /// Begins a file. What is there already stays until this one is whole; a device or pipe is written to
    /// as it is.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create(path: &Path, format: Format) -> Result<Self> {
        Self::create_with(path, format, &[])
    }

    /// The same, with a head at its begin, which is not compressed, so that [`Self::finish_with`] can write it
    /// anew. One that is too long for that, of more than 64 KiB, is compressed like the rest.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create_with(path: &Path, format: Format, head: &[u8]) -> Result<Self> {
        let name = path.display().to_string();
        let failed = |e: io::Error| Error::operation("write", &name, e);
        let direct = fs::metadata(path).is_ok_and(|there| !there.is_file());
        let (mut sink, aside): (Box<dyn Write + Send>, _) = if is_standard(path) {
            (Box::new(io::stdout()), None)
        } else if direct {
            (Box::new(File::options().write(true).open(path).map_err(failed)?), None)
        } else {
            let mut partial = path.as_os_str().to_owned();
            partial.push(".partial");
            let partial = PathBuf::from(partial);
            let file = File::create(&partial).map_err(failed)?;
            (Box::new(file), Some((partial, path.to_owned())))
        };
        let frame = match format {
            Format::PcapngZstd => stored(head),
            Format::Pcapng | Format::Pcap => Some(Vec::new()),
        };
        if let Some(frame) = &frame {
            let written = sink.write_all(frame).and_then(|()| sink.write_all(head));
            written.map_err(|e| {
                let _ = aside.as_ref().map(|(partial, _)| fs::remove_file(partial));
                failed(e)
            })?;
        }
        let (full, work) = bounded::<Vec<u8>>(UNDER_WAY);
        let (done, empty) = bounded(UNDER_WAY + 1);
        let begin = move || thread::Builder::new().name("cut/write".into());
        let thread = match format {
            Format::PcapngZstd => {
                let encoder = compressor(sink).map_err(failed)?;
                begin().spawn(move || {
                    let mut encoder = encoder;
                    drain(&work, &done, &mut encoder)?;
                    encoder.finish()?.flush()
                })
            }
            Format::Pcapng | Format::Pcap => begin().spawn(move || {
                let mut sink = sink;
                drain(&work, &done, &mut sink)?;
                sink.flush()
            }),
        };
        let thread = Some(thread.map_err(failed)?);
        let mut buffer = Vec::with_capacity(2 * BUFFER);
        let head = match frame {
            Some(frame) => (frame.len() as u64, head.len()),
            None => {
                buffer.extend(head);
                (0, 0)
            }
        };
        let full = Some(full);
        Ok(Self { name, buffer, full, empty, thread, aside, head, sent: 0 })
    }

    /// Where the next bytes are appended; [`Self::hand_over`] follows.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Sends the buffer on if it is full; waits while too many are under way.
    ///
    /// # Errors
    /// When something could not be written.
    #[inline]
    pub(crate) fn hand_over(&mut self) -> Result<()> {
        if self.buffer.len() < BUFFER { Ok(()) } else { self.send() }
    }

    /// Bytes so far, before compression.
    pub(crate) fn bytes(&self) -> u64 {
        self.head.1 as u64 + self.sent + self.buffer.len() as u64
    }

    fn send(&mut self) -> Result<()> {
        let empty = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(2 * BUFFER));
        let buffer = std::mem::replace(&mut self.buffer, empty);
        self.sent += buffer.len() as u64;
        let sent = self.full.as_ref().is_some_and(|full| full.send(buffer).is_ok());
        if sent { Ok(()) } else { self.join() }
    }

    /// Ends the writing thread, and tells what it met with.
    fn join(&mut self) -> Result<()> {
        self.full = None;
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let ended = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ended.map_err(|e| {
            Error::operation("write", &self.name, e)
                .hint("is there space, and does the reader still read?")
        })
    }

    /// Writes the rest, and gives the file its name; tells its size, if it has one.
    ///
    /// # Errors
    /// When something could not be written; the file is gone then.
    #[cfg(test)]
    pub(crate) fn finish(self) -> Result<Option<u64>> {
        self.finish_with(&[])
    }

    /// The same, and writes the head anew where the output is a file and `head` is as long as the first one.
    ///
    /// # Errors
    /// When something could not be written; the file is gone then.
    pub(crate) fn finish_with(mut self, head: &[u8]) -> Result<Option<u64>> {
        self.send()?;
        self.join()?;
        let Some((partial, path)) = self.aside.take() else { return Ok(None) };
        let (at, length) = self.head;
        let written = if length > 0 && head.len() == length {
            File::options().write(true).open(&partial).and_then(|file| file.write_all_at(head, at))
        } else {
            Ok(())
        };
        let published =
            written.and_then(|()| fs::rename(&partial, &path)).and_then(|()| fs::metadata(&path));
        match published {
            Ok(about) => Ok(Some(about.len())),
            Err(error) => {
                let _ = fs::remove_file(&partial);
                Err(Error::operation("write", &self.name, error))
            }
        }
    }
}

/// What was not finished leaves nothing behind.
impl Drop for Output {
    fn drop(&mut self) {
        self.full = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Some((partial, _)) = &self.aside {
            let _ = fs::remove_file(partial);
        }
    }
}

/// What stands before `bytes` to make them a zstd frame of their own, in which they are stored as they are
/// (RFC 8878 §3.1.1: single segment, content size of two bytes less 256, one raw block, no checksum). None for
/// lengths that are not told so.
fn stored(bytes: &[u8]) -> Option<Vec<u8>> {
    const DESCRIPTOR: u8 = 0b0110_0000;
    const SIZE_BEGINS: usize = 256;
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let size = u16::try_from(bytes.len().checked_sub(SIZE_BEGINS)?).ok()?;
    // 17 bits of 21; the lowest bit says that it is the last block, the next two that it is raw.
    let block = ((bytes.len() as u32) << 3 | 1).to_le_bytes();
    Some([&MAGIC[..], &[DESCRIPTOR], &size.to_le_bytes(), &block[..3]].concat())
}

fn compressor(
    sink: Box<dyn Write + Send>,
) -> io::Result<zstd::Encoder<'static, Box<dyn Write + Send>>> {
    let mut encoder = zstd::Encoder::new(sink, LEVEL)?;
    encoder.include_checksum(true)?;
    // One processor is busy with cutting.
    let others = thread::available_parallelism().map_or(1, |n| n.get() - 1);
    encoder.multithread(others.clamp(1, MOST_COMPRESSORS) as u32)?;
    Ok(encoder)
}

fn drain(
    work: &Receiver<Vec<u8>>,
    done: &Sender<Vec<u8>>,
    sink: &mut impl Write,
) -> io::Result<()> {
    for mut buffer in work {
        sink.write_all(&buffer)?;
        // One that grew for a long block is not kept.
        if buffer.capacity() <= 2 * BUFFER {
            buffer.clear();
            let _ = done.try_send(buffer);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_formats() {
        for (name, format) in [
            ("a.pcapng.zst", Some(Format::PcapngZstd)),
            ("a.zst", Some(Format::PcapngZstd)),
            ("b/a.pcapng", Some(Format::Pcapng)),
            ("a.pcap", Some(Format::Pcap)),
            ("-", Some(Format::Pcapng)),
            ("a.pcap.zst", None),
            ("a.txt", None),
        ] {
            assert_eq!(Format::of(Path::new(name)).ok(), format, "{name}");
        }
    }

    #[test]
    fn a_file_appears_when_it_is_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out.pcapng");
        let mut output = Output::create(&path, Format::Pcapng).unwrap();
        output.buffer().extend(b"begun");
        drop(output);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        let mut output = Output::create(&path, Format::Pcapng).unwrap();
        output.buffer().extend(vec![7; 3 * BUFFER]);
        output.hand_over().unwrap();
        output.buffer().extend(b"end");
        assert!(!path.exists());
        assert_eq!(output.finish().unwrap(), Some(3 * BUFFER as u64 + 3));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        let missing = Output::create(&place.path().join("no/out.pcapng"), Format::Pcapng);
        assert!(missing.is_err_and(|e| e.to_string().contains("cannot write")));
    }

    #[test]
    fn a_head_is_written_anew_when_the_rest_is() {
        let place = tempfile::tempdir().unwrap();
        for (name, format) in [("a.pcapng", Format::Pcapng), ("a.pcapng.zst", Format::PcapngZstd)] {
            let path = place.path().join(name);
            for (size, rest) in [(256, 0), (4_000, 3 * BUFFER), (65_791, 7)] {
                let mut output = Output::create_with(&path, format, &vec![1; size]).unwrap();
                output.buffer().extend(vec![7; rest]);
                assert_eq!(output.bytes(), (size + rest) as u64);
                output.finish_with(&vec![2; size]).unwrap();
                let read = fs::read(&path).unwrap();
                let read = match format {
                    Format::PcapngZstd => zstd::decode_all(&read[..]).unwrap(),
                    _ => read,
                };
                assert!(read == [vec![2; size], vec![7; rest]].concat(), "{name} {size}");
            }
            let output = Output::create_with(&path, format, &[1; 70_000]).unwrap();
            assert_eq!(output.bytes(), 70_000);
            output.finish_with(&[1; 70_000]).unwrap();
        }
    }

    #[test]
    fn a_full_device_is_told() {
        let mut output = Output::create(Path::new("/dev/full"), Format::Pcapng).unwrap();
        output.buffer().extend(b"lost");
        let error = output.finish().unwrap_err().to_string();
        assert!(error.contains("cannot write /dev/full"), "{error}");
        assert!(Path::new("/dev/full").exists());
    }
}
