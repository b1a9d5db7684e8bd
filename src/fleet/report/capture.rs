//! All frames in one pcapng file, by one clock: stamps corrected, hosts in the names of interfaces, and the original
//! stamp with its bar in a comment on each frame, so that nothing is lost by the correction.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::path::Path;

use foldhash::fast::FixedState;
use pcap_file::pcapng::blocks::{ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK};

use super::clocks::Placed;
use super::model::bar;
use super::steady::StampReader;
use super::{Member, Merged};
use crate::capture_file::block;
use crate::capture_file::inputs::Progress;
use crate::capture_file::merge::Order;
use crate::capture_file::output::{Format, Output};
use crate::capture_file::writer::head;
use crate::capture_file::{FileFrame, FileSource};
use crate::error::{Error, Result};
use crate::frame::{Direction, Origin};
use crate::time::Wall;
use crate::visible;

/// Progress is shown after so many frames.
const SHOWN_EVERY: u64 = 1 << 16;
/// `if_tsresol`: stamps count units of 10^-9 s.
const NANOSECONDS: u8 = 9;
/// Options of a frame and of an interface (draft-ietf-opsawg-pcapng 4.2 and 4.3).
const COMMENT: u16 = 1;
const FLAGS: u16 = 2;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;

/// One capture of a host, at its next frame.
struct HostCapture {
    host: usize,
    file: FileSource,
    reader: StampReader,
    /// By the host's clock, and by the reference.
    wall: Wall,
    placed: Placed,
}

/// Writes the file that `path` names, which appears when it is whole; tells how many frames it has.
///
/// # Errors
/// When a capture cannot be read, or the file cannot be written.
pub fn write(merged: &Merged, path: &Path, mut show: impl FnMut(&Progress)) -> Result<u64> {
    let format = match Format::of(path)? {
        Format::Pcap => {
            let reason = "the ending says pcap, which has no room for names of hosts and comments";
            return Err(Error::usage(
                "--pcapng",
                path.display().to_string(),
                reason,
                "a name that ends in .pcapng or .pcapng.zst",
            ));
        }
        format => format,
    };
    let (mut sources, mut order) = (Vec::new(), Order::default());
    for (host, member) in merged.members.iter().enumerate() {
        for capture in &member.captures {
            let file = FileSource::open_of(capture, merged.members.len() + 1)?;
            let nothing = Placed { time: 0, bar: None };
            let mut source = HostCapture {
                host,
                file,
                reader: StampReader::default(),
                wall: Wall(0),
                placed: nothing,
            };
            if let Some(at) = source.advance(merged) {
                order.add(at, sources.len());
            }
            sources.push(source);
        }
    }
    let mut out = MergedFile {
        output: Output::create(path, format)?,
        numbers: HashMap::new(),
        twins: Twins::default(),
        frames: 0,
    };
    let about =
        format!("frames of several hosts, stamped by the clock of {}", merged.report.reference);
    out.output.buffer().extend(head(format, &[], &about));
    while let Some((at, number)) = order.head() {
        let source = &mut sources[number];
        out.frame(&merged.members[source.host], source, at)?;
        if out.frames.is_multiple_of(SHOWN_EVERY) {
            let (read, size) = source.file.progress();
            show(&Progress { read, size, frames: out.frames, at });
        }
        order.replace(source.advance(merged));
    }
    let frames = out.frames;
    out.output.finish_with(&[])?;
    Ok(frames)
}

impl HostCapture {
    /// Goes on to the next frame with a stamp; when that was by the reference. Damage was told by the report.
    fn advance(&mut self, merged: &Merged) -> Option<Wall> {
        while self.file.advance().ok()? {
            let Some(wall) = self.file.frame().and_then(|frame| frame.wall) else { continue };
            let (time, _) = merged.members[self.host].settings.next(&mut self.reader, wall);
            self.wall = wall;
            self.placed = merged.clocks.place_fast(self.host, time);
            return Some(Wall(self.placed.time.max(0).unsigned_abs()));
        }
        None
    }
}

/// The file being written.
struct MergedFile {
    output: Output,
    numbers: HashMap<(usize, String), u32>,
    twins: Twins,
    frames: u64,
}

impl MergedFile {
    fn frame(&mut self, member: &Member, source: &HostCapture, at: Wall) -> Result<()> {
        let Some(frame) = source.file.frame() else { return Ok(()) };
        let origin = &source.file.origins()[frame.origin];
        let several = member.captures.len() > 1;
        if several && self.twins.is_known(source, origin, &frame) {
            return Ok(());
        }
        let number = self.interface(member, source.host, origin);
        let comment = comment(source);
        let kept =
            source.file.block().map(|block| block::comments_of_frame(&block)).unwrap_or_default();
        let out = self.output.buffer();
        block::append(out, ENHANCED_PACKET_BLOCK, |out| {
            let (high, low) = ((at.0 >> 32) as u32, at.0 as u32);
            for field in [number, high, low, frame.bytes.len() as u32, frame.original_len] {
                out.extend(field.to_le_bytes());
            }
            out.extend_from_slice(frame.bytes);
            out.resize(out.len() + (4 - frame.bytes.len() % 4) % 4, 0);
            block::option(out, COMMENT, comment.as_bytes());
            kept.iter().for_each(|comment| block::option(out, COMMENT, comment));
            let way = match frame.direction {
                Direction::Unknown => 0,
                Direction::Inbound => 1,
                Direction::Outbound => 2,
            };
            block::option(out, FLAGS, &(way | (frame.reception as u32) << 2).to_le_bytes());
            block::end_options(out);
        });
        self.frames += 1;
        self.output.hand_over()
    }

    fn interface(&mut self, member: &Member, host: usize, origin: &Origin) -> u32 {
        let key = (host, format!("{} {} {}", origin.link_type.0, origin.snaplen, origin.interface));
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        let name = visible::plain(&format!("{}/{}", member.name, origin.interface)).into_owned();
        block::append(self.output.buffer(), INTERFACE_DESCRIPTION_BLOCK, |out| {
            out.extend(origin.link_type.0.to_le_bytes());
            out.extend([0; 2]);
            out.extend(origin.snaplen.to_le_bytes());
            block::option(out, IF_NAME, name.as_bytes());
            block::option(out, IF_TSRESOL, &[NANOSECONDS]);
            block::end_options(out);
        });
        self.numbers.insert(key, number);
        number
    }
}

fn comment(source: &HostCapture) -> String {
    let wall = source.wall;
    match source.placed.bar {
        None => {
            format!("dashcap: stamped {wall} by its host, whose clock is unknown: not corrected")
        }
        Some(wrong) => format!(
            "dashcap: stamped {wall} by its host; corrected, {}",
            bar(Some(wrong.unsigned_abs()))
        ),
    }
}

/// Frames of the present moment: overlapping bundles of a host have the same frames.
#[derive(Default)]
struct Twins {
    at: Wall,
    known: HashSet<u64>,
}

impl Twins {
    fn is_known(&mut self, source: &HostCapture, origin: &Origin, frame: &FileFrame<'_>) -> bool {
        if self.at != source.wall {
            (self.at, self.known) = (source.wall, HashSet::new());
        }
        let mut hash = FixedState::default().build_hasher();
        hash.write_usize(source.host);
        hash.write(origin.interface.as_bytes());
        hash.write(frame.bytes);
        !self.known.insert(hash.finish())
    }
}
