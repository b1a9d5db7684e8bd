//! Question: how fast is a bundle's capture written, and how small does it get, by zstd level? And how
//! much of it is laying out pcapng blocks (`layout`: pcap-file alone, into nothing)?
//!
//! Input: generated frames in memory, 64 MB a run; `encrypted` is full-size TCP with random payload,
//! `mixed` has 7 × 64, 4 × 576 and 1 × 1,514 bytes (simple IMIX) with half of each payload repeating
//! text, `small` is 64-byte requests that differ in addresses and numbers. Output: counted, not written.
//!
//! Unit: MB/s (10^6 bytes of captured frames per second, one thread), ns per frame, ratio of captured
//! bytes to bytes out; medians of five runs, the levels taking turns.
//!
//! `cargo bench --bench bundle`

mod random;
mod traffic;

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dashcap::frame::{
    Direction, FrameHeader, LinkType, Origin, Reception, StampClock, StoredFrame,
};
use dashcap::incident::Host;
use dashcap::incident::pcapng::{CaptureFile, Level};
use dashcap::time::{Mono, Wall};
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;

use random::Random;
use traffic::{encrypted, mixed, small};

/// Captured bytes of one run: many times the compressor's window of 0.5 to 8 MB.
const INPUT: usize = 64_000_000;
/// Runs whose median is told.
const RUNS: usize = 5;
/// Levels compared: those offered as default, and what lies beyond.
const LEVELS: [i32; 7] = [-5, -1, 1, 2, 3, 6, 9];
/// Distance of the stamps in nanoseconds: 1,514-byte frames at 10 Gbit/s.
const APART: u64 = 1_230;
/// 2026-11-22T14:14:20Z.
const BEGIN: u64 = 1_795_356_860_000_000_000;

fn frames(make: fn(&mut Random, u32) -> Vec<u8>) -> Vec<StoredFrame> {
    let origin = Arc::new(Origin {
        interface: "eth0".to_owned(),
        index: 2,
        link_type: LinkType::ETHERNET,
        snaplen: 262_144,
        clock: StampClock::Software,
    });
    let mut random = Random::new();
    let mut frames = Vec::new();
    let mut size = 0;
    for number in 0.. {
        if size >= INPUT {
            break;
        }
        let bytes = Bytes::from(make(&mut random, number));
        size += bytes.len();
        let since = u64::from(number) * APART;
        let header = FrameHeader {
            wall: Wall(BEGIN + since),
            original_len: bytes.len() as u32,
            direction: Direction::Inbound,
            reception: Reception::Unicast,
        };
        frames.push(StoredFrame {
            faded: false,
            origin: Arc::clone(&origin),
            header,
            mono: Mono(since),
            bytes,
            tally: None,
        });
    }
    frames
}

/// Counts bytes and forgets them.
#[derive(Default)]
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn compressed(frames: &[StoredFrame], host: &Host, level: i32) -> io::Result<usize> {
    let mut file = CaptureFile::begin(Counter::default(), host, "bench", Level(level))?;
    for frame in frames {
        file.frame(frame)?;
    }
    Ok(file.finish()?.0.0)
}

fn layout(frames: &[StoredFrame]) -> Result<usize, Box<dyn std::error::Error>> {
    let mut out = PcapNgWriter::new(BufWriter::with_capacity(128 * 1024, Counter::default()))?;
    out.write_pcapng_block(InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0))?;
    for frame in frames {
        out.write_pcapng_block(EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(frame.header.wall.0),
            original_len: frame.header.original_len,
            data: Cow::Borrowed(&frame.bytes),
            options: vec![EnhancedPacketOption::Flags(1)],
        })?;
    }
    Ok(out.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?.0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = Host::read();
    println!("{:<10} {:>7} {:>8} {:>9} {:>7}", "traffic", "level", "MB/s", "ns/frame", "ratio");
    for (name, make) in [
        ("encrypted", encrypted as fn(&mut Random, u32) -> Vec<u8>),
        ("mixed", mixed),
        ("small", small),
    ] {
        let frames = frames(make);
        let captured: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
        let mut rows: Vec<(Option<i32>, Vec<Duration>, usize)> = std::iter::once(None)
            .chain(LEVELS.map(Some))
            .map(|level| (level, Vec::new(), 0))
            .collect();
        for _ in 0..RUNS {
            for (level, times, out) in &mut rows {
                let begun = Instant::now();
                *out = match level {
                    None => layout(&frames)?,
                    Some(level) => compressed(&frames, &host, *level)?,
                };
                times.push(begun.elapsed());
            }
        }
        for (level, mut times, out) in rows {
            times.sort();
            let seconds = times[RUNS / 2].as_secs_f64();
            println!(
                "{name:<10} {:>7} {:>8.0} {:>9.0} {:>7.2}",
                level.map_or("layout".to_owned(), |level| level.to_string()),
                captured as f64 / 1e6 / seconds,
                seconds * 1e9 / frames.len() as f64,
                captured as f64 / out as f64
            );
        }
    }
    Ok(())
}
