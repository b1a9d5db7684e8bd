//! Question: how fast does the thread `pack` work, how much smaller do segments get, and how does that
//! compare with `zstd -1 --single-thread` on the same frames in a pcap file?
//!
//! Input: the capture files named as arguments, or a generated mix of 32 MB; all frames go into a lane
//! at their own times, then its segments are packed.
//!
//! Unit: MB/s (10^6 bytes in, one thread), bytes in by bytes kept; medians of
//! paired rounds.
//!
//! Run: `cargo bench --bench pack [-- FILE...]`

mod random;
mod traffic;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashcap::frame::{Frame, FrameHeader, LinkType, Origin, StampClock};
use dashcap::ring::{Lane, LaneId, LaneOptions, PackOptions, Packer, Pool, PoolOptions};
use dashcap::time::{Mono, Offset, Wall};

use traffic::Stamped;

const ROUNDS: usize = 9;
/// Of zstd's own speed.
const WANTED: f64 = 0.9;

fn main() {
    let (name, frames) = traffic::from_arguments();
    let captured: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
    let pcap = traffic::as_pcap(&frames);
    println!("packing {name}: {} frames, {:.1} MB", frames.len(), captured as f64 / 1e6);
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (packed(&frames), zstd(&pcap))).collect();
    let ours = median(rounds.iter().map(|((speed, _), _)| *speed));
    let theirs = median(rounds.iter().map(|(_, (speed, _))| *speed));
    let part = median(rounds.iter().map(|((ours, _), (theirs, _))| ours / theirs));
    let ((_, ratio), (_, file)) = rounds[0];
    println!("{:22} {:>8} {:>8}", "", "MB/s", "ratio");
    println!("{:22} {ours:8.0} {ratio:8.2}", "pack");
    println!("{:22} {theirs:8.0} {file:8.2}", "zstd -1, pcap file");
    let verdict = if part >= WANTED { "reached" } else { "MISSED" };
    println!("figure\tpacking {name}, of zstd -1's speed\t{part:.2}\t>= {WANTED}\t{verdict}");
}

/// MB/s, and bytes in by bytes kept.
fn packed(frames: &[Stamped]) -> (f64, f64) {
    let bytes: usize = frames.iter().map(|frame| frame.bytes.len() + 20).sum();
    // So much that nothing fades, and so little that packing seems worth it.
    let memory = PoolOptions { memory: (bytes as u64 * 5 / 4).max(8 << 20), lock: false };
    let pool = Pool::new(&memory).expect("memory");
    let mut packer = Packer::new(pool.clone()).expect("a compressor");
    let pack = PackOptions { fade: false, ..PackOptions::default() };
    let options = LaneOptions { pack, ..LaneOptions::AS_IS };
    let origin = Origin {
        interface: "bench0".into(),
        index: 1,
        link_type: LinkType::ETHERNET,
        snaplen: 262_144,
        clock: StampClock::Software,
    };
    let mut lane = Lane::new(LaneId(0), pool, options, Arc::new(origin), Mono(0));
    for frame in frames {
        let header = FrameHeader {
            wall: Wall(frame.at),
            original_len: frame.bytes.len() as u32,
            ..FrameHeader::default()
        };
        lane.append(&Frame::whole(header, &frame.bytes), Offset(0));
    }
    let now = Mono(frames.last().map_or(0, |frame| frame.at));
    let (mut time, mut done, mut saved) = (Duration::ZERO, 0, 0);
    while let Some(job) = lane.next_job(now) {
        done += job.bytes();
        let begun = Instant::now();
        let outcome = packer.work(&job);
        time += begun.elapsed();
        let before = lane.counters().ring_bytes;
        lane.take(outcome);
        saved += before - lane.counters().ring_bytes;
    }
    (done as f64 / 1e6 / time.as_secs_f64(), done as f64 / (done as u64 - saved) as f64)
}

/// The same of the file, by the library's own stream, as the program does it.
fn zstd(file: &[u8]) -> (f64, f64) {
    let begun = Instant::now();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("a compressor");
    encoder.write_all(file).expect("memory");
    let out = encoder.finish().expect("memory");
    let size = file.len() as f64;
    (size / 1e6 / begun.elapsed().as_secs_f64(), size / out.len() as f64)
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
