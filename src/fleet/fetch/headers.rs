//! A capture with its frames cut behind their headers, as memory cuts old ones: for hosts whose operator lets no more go.
//!
//! Only blocks of which it is known that they carry nothing of a frame are passed on. The same capture makes the same
//! bytes each time, so a fetch that was interrupted goes on with what was sent.

use std::fs::File;
use std::io::{self, Write};

use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, INTERFACE_STATISTIC_BLOCK,
    SECTION_HEADER_BLOCK, SYSTEMD_JOURNAL_EXPORT_BLOCK,
};
use sha2::{Digest, Sha256};

use crate::capture_file::{FileSource, Item, block};
use crate::wire::headers;

/// Compression, as bundles have it.
const LEVEL: i32 = 1;
/// Blocks between two looks whether anybody still wants it: a few milliseconds.
const LOOK_EVERY: u64 = 16_384;
/// What says something about the frames and has none of their bytes.
const ABOUT: [u32; 4] = [
    SECTION_HEADER_BLOCK,
    INTERFACE_DESCRIPTION_BLOCK,
    INTERFACE_STATISTIC_BLOCK,
    SYSTEMD_JOURNAL_EXPORT_BLOCK,
];
/// Why it was not finished.
const UNWANTED: &str = "nobody waits for it any more";

/// A file that is summed as it is written, and does not become longer than what it was made of.
struct Summed {
    file: File,
    sum: Sha256,
    bytes: u64,
    most: u64,
}

/// Cuts `whole`, which has `size` bytes, into `into`, while `go_on` says so, which is told how many were read. Tells the
/// file with its size and sum.
///
/// # Errors
/// Why it could not be done.
pub fn cut(
    whole: File,
    into: File,
    size: u64,
    mut go_on: impl FnMut(u64) -> bool,
) -> Result<(File, u64, Sha256), String> {
    let mut source = FileSource::from_reader("the capture", whole).map_err(|e| e.to_string())?;
    // What cannot be compressed becomes a little longer.
    let most = size + size / 64 + 4_096;
    let failed = |error: io::Error| format!("its frames cannot be cut: {error}");
    let summed = Summed { file: into, sum: Sha256::new(), bytes: 0, most };
    let mut out = zstd::Encoder::new(summed, LEVEL).map_err(failed)?;
    out.include_checksum(true).map_err(failed)?;
    let (mut block, mut count) = (Vec::new(), 0_u64);
    while let Some(item) = source.step().map_err(|damage| damage.to_string())? {
        block.clear();
        shorten(&source, item, &mut block);
        out.write_all(&block).map_err(failed)?;
        count += 1;
        if count.is_multiple_of(LOOK_EVERY) && !go_on(source.progress().0) {
            return Err(UNWANTED.to_owned());
        }
    }
    if !go_on(size) {
        return Err(UNWANTED.to_owned());
    }
    let Summed { file, sum, bytes, .. } = out.finish().map_err(failed)?;
    Ok((file, bytes, sum))
}

/// Appends what may go of what `source` stands at.
fn shorten(source: &FileSource, item: Item, out: &mut Vec<u8>) {
    let Some(whole) = source.block() else { return };
    match (item, source.frame()) {
        (Item::Frame, Some(frame)) if whole.kind == ENHANCED_PACKET_BLOCK => {
            let link_type = source.origins()[frame.origin].link_type;
            let mut turned = Vec::with_capacity(whole.bytes.len());
            if block::append_little(&mut turned, &whole) {
                block::append_shortened(out, &turned, headers::end(link_type, frame.bytes));
            }
        }
        (Item::Block, _) if ABOUT.contains(&whole.kind) => {
            block::append_little(out, &whole);
        }
        _ => {}
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes + bytes.len() as u64 > self.most {
            return Err(io::Error::other("it becomes longer than what it is made of"));
        }
        self.file.write_all(bytes)?;
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
