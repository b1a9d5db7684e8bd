//! All frames in one pcapng file, by one clock: stamps corrected, hosts in the names of interfaces, and the original
//! stamp with its bar in a comment on each frame, so that nothing is lost by the correction. What dashcap saw of the
//! host stands between the frames as in the bundles, as journal entries: stamps corrected, too, and the host before the
//! message.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::path::Path;

use foldhash::fast::FixedState;
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, SYSTEMD_JOURNAL_EXPORT_BLOCK,
};

use super::clocks::Placed;
use super::model::bar;
use super::steady::StampReader;
use super::{Member, Merged};
use crate::capture_file::block;
use crate::capture_file::inputs::Progress;
use crate::capture_file::merge::Order;
use crate::capture_file::output::{Format, Output};
use crate::capture_file::writer::head;
use crate::capture_file::{Block, FileSource, Item};
use crate::error::{Error, Result};
use crate::frame::{Direction, Origin};
use crate::time::{Mono, Wall};
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

/// Fields of a journal entry (systemd.journal-fields(7)), as dashcap writes them: one a line, microseconds.
const WALL_FIELD: &str = "__REALTIME_TIMESTAMP=";
const MONO_FIELD: &str = "__MONOTONIC_TIMESTAMP=";
const HOST_FIELD: &str = "_HOSTNAME=";
const MESSAGE_FIELD: &str = "MESSAGE=";
/// Stands for an interface where something is none of a frame.
const ENTRY: &[u8] = b"\0entry";

/// One capture of a host, at its next frame or entry.
struct HostCapture {
    host: usize,
    file: FileSource,
    reader: StampReader,
    /// By the host's clock, and by the reference.
    wall: Wall,
    placed: Placed,
    /// It stands at a journal entry.
    at_entry: bool,
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
                at_entry: false,
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
        let member = &merged.members[source.host];
        match source.at_entry {
            true => out.entry(member, source, at)?,
            false => out.frame(member, source, at)?,
        }
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
    /// Goes on to the next frame or journal entry with a stamp; when that was by the reference. Damage was told by the
    /// report.
    fn advance(&mut self, merged: &Merged) -> Option<Wall> {
        let settings = &merged.members[self.host].settings;
        loop {
            let item = self.file.step().ok()??;
            self.at_entry = item == Item::Block;
            let (wall, time) = if self.at_entry {
                let Some((wall, mono)) = self.file.block().as_ref().and_then(entry_stamps) else {
                    continue;
                };
                (wall, settings.of(wall, mono))
            } else {
                let Some(wall) = self.file.frame().and_then(|frame| frame.wall) else { continue };
                (wall, settings.next(&mut self.reader, wall).0)
            };
            self.wall = wall;
            self.placed = merged.clocks.place_fast(self.host, time);
            return Some(Wall(self.placed.time.max(0).unsigned_abs()));
        }
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
        if several && self.twins.is_known(source, origin.interface.as_bytes(), frame.bytes) {
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

    /// What dashcap saw of the host.
    fn entry(&mut self, member: &Member, source: &HostCapture, at: Wall) -> Result<()> {
        let Some(block) = source.file.block() else { return Ok(()) };
        let text = block::body(&block);
        if member.captures.len() > 1 && self.twins.is_known(source, ENTRY, text) {
            return Ok(());
        }
        let entry = corrected(text, &visible::plain(&member.name), at, &comment(source));
        let out = self.output.buffer();
        block::append(out, SYSTEMD_JOURNAL_EXPORT_BLOCK, |out| out.extend_from_slice(&entry));
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

/// Both stamps of an entry that dashcap wrote; none of anything else.
fn entry_stamps(block: &Block<'_>) -> Option<(Wall, Mono)> {
    if block.kind != SYSTEMD_JOURNAL_EXPORT_BLOCK {
        return None;
    }
    let text = block::body(block);
    let [wall, mono] = [WALL_FIELD, MONO_FIELD].map(|field| {
        let mut lines = text.split(|byte| *byte == b'\n');
        let micros = lines.find_map(|line| line.strip_prefix(field.as_bytes()))?;
        std::str::from_utf8(micros).ok()?.parse::<u64>().ok()?.checked_mul(1_000)
    });
    Some((Wall(wall?), Mono(mono?)))
}

/// An entry with another stamp, `host` before its message, and what was done to it.
fn corrected(entry: &[u8], host: &str, at: Wall, comment: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(entry.len() + 256);
    for line in entry.split(|byte| matches!(byte, b'\n' | 0)).filter(|line| !line.is_empty()) {
        if line.starts_with(WALL_FIELD.as_bytes()) {
            out.extend(format!("{WALL_FIELD}{}", at.0 / 1_000).into_bytes());
        } else if line.starts_with(HOST_FIELD.as_bytes()) {
            out.extend(format!("{HOST_FIELD}{host}").into_bytes());
        } else if let Some(message) = line.strip_prefix(MESSAGE_FIELD.as_bytes()) {
            out.extend(format!("{MESSAGE_FIELD}{host}: ").into_bytes());
            out.extend_from_slice(message);
        } else {
            out.extend_from_slice(line);
        }
        out.push(b'\n');
    }
    out.extend(format!("DASHCAP_COMMENT={comment}\n").into_bytes());
    out
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

/// Frames and entries of the present moment: overlapping bundles of a host have the same.
#[derive(Default)]
struct Twins {
    at: Wall,
    known: HashSet<u64>,
}

impl Twins {
    fn is_known(&mut self, source: &HostCapture, of: &[u8], bytes: &[u8]) -> bool {
        if self.at != source.wall {
            (self.at, self.known) = (source.wall, HashSet::new());
        }
        let mut hash = FixedState::default().build_hasher();
        hash.write_usize(source.host);
        hash.write(of);
        hash.write(bytes);
        !self.known.insert(hash.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture_file::block::append;

    #[test]
    fn an_entry_has_the_corrected_stamp_and_names_its_host() {
        let text = "__REALTIME_TIMESTAMP=1795356840000001\n__MONOTONIC_TIMESTAMP=7\n_HOSTNAME=r\n\
                    SYSLOG_IDENTIFIER=dashcap\nPRIORITY=4\nMESSAGE=eth0: DOWN\n";
        let mut bytes = Vec::new();
        append(&mut bytes, SYSTEMD_JOURNAL_EXPORT_BLOCK, |out| out.extend(text.as_bytes()));
        let block = |kind| Block { kind, order: pcap_file::Endianness::Little, bytes: &bytes };
        let stamps = entry_stamps(&block(SYSTEMD_JOURNAL_EXPORT_BLOCK));
        assert_eq!(stamps, Some((Wall(1_795_356_840_000_001_000), Mono(7_000))));
        assert_eq!(entry_stamps(&block(ENHANCED_PACKET_BLOCK)), None);
        let at = Wall(1_795_356_839_000_000_999);
        let entry = corrected(block::body(&block(9)), "r#2", at, "dashcap: stamped x");
        assert_eq!(
            std::str::from_utf8(&entry).unwrap(),
            "__REALTIME_TIMESTAMP=1795356839000000\n__MONOTONIC_TIMESTAMP=7\n_HOSTNAME=r#2\n\
             SYSLOG_IDENTIFIER=dashcap\nPRIORITY=4\nMESSAGE=r#2: eth0: DOWN\nDASHCAP_COMMENT=dashcap: stamped x\n"
        );
        for foreign in ["MESSAGE=x\n", "__REALTIME_TIMESTAMP=x\n__MONOTONIC_TIMESTAMP=7\n"] {
            let mut bytes = Vec::new();
            append(&mut bytes, 9, |out| out.extend(foreign.as_bytes()));
            let block = Block { kind: 9, order: pcap_file::Endianness::Little, bytes: &bytes };
            assert_eq!(entry_stamps(&block), None, "{foreign}");
        }
    }
}
