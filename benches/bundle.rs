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

/// Ethernet, IPv4 and TCP headers of one of 64 connections; the payload is zero.
fn tcp(length: usize, number: u32) -> Vec<u8> {
    let flow = (number % 64) as u8;
    let mut frame = vec![0; length];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, flow, 0x08, 0x00]);
    frame[14..24].copy_from_slice(&[0x45, 0, 5, 220, 0, 0, 0x40, 0, 64, 6]);
    frame[18..20].copy_from_slice(&(number as u16).to_be_bytes());
    frame[26..34].copy_from_slice(&[192, 0, 2, flow, 198, 51, 100, 7]);
    frame[34..38].copy_from_slice(&[0xc0, flow, 0x01, 0xbb]);
    frame[38..42].copy_from_slice(&(number / 64 * 1_448).to_be_bytes());
    frame
}

fn encrypted(random: &mut Random, number: u32) -> Vec<u8> {
    let mut frame = tcp(1_514, number);
    random.fill(&mut frame[54..]);
    frame
}

fn mixed(random: &mut Random, number: u32) -> Vec<u8> {
    const TEXT: &[u8] =
        b"GET /status?node=17 HTTP/1.1\r\nHost: collector.example\r\nAccept: */*\r\n";
    let length = [64, 576, 64, 64, 576, 64, 64, 576, 64, 1_514, 64, 576][number as usize % 12];
    let mut frame = tcp(length, number);
    let half = 54 + (length - 54) / 2;
    random.fill(&mut frame[54..half]);
    frame[half..].iter_mut().zip(TEXT.iter().cycle()).for_each(|(byte, text)| *byte = *text);
    frame
}

fn small(random: &mut Random, number: u32) -> Vec<u8> {
    let mut frame = tcp(64, number);
    random.fill(&mut frame[40..44]);
    frame
}

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
