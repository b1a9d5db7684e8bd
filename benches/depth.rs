//! Question: how much more history does a lane hold than a plain ring of pcap records in the same memory,
//! at full length and with fading?
//!
//! Input: the capture files named as arguments, or a generated mix of 32 MB, appended at their own times
//! again and again until the memory was filled many times over. Folding is off, so that only packing and
//! fading count.
//!
//! Unit: captured bytes of the frames held, original lengths where they are faded, and seconds, per MiB
//! of memory; and how many times as much as 16 bytes and the frame take in a plain ring.
//!
//! Run: `cargo bench --bench depth [-- FILE...]`

mod random;
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use dashcap::frame::{Frame, FrameHeader, LinkType, Origin, StampClock};
use dashcap::ring::{Lane, LaneId, LaneOptions, PackOptions, Packer, Pool, PoolOptions};
use dashcap::time::{Mono, Offset, Wall, Window};

use traffic::Stamped;

/// Memory of the lane in bytes, and times it is filled.
const MEMORY: u64 = 64 << 20;
const FILLS: usize = 24;
/// Bytes beside a frame in a plain ring of pcap records.
const PLAIN: usize = 16;

fn main() {
    let (name, frames) = traffic::from_arguments();
    let pcap = traffic::as_pcap(&frames);
    let zstd = pcap.len() as f64 / zstd::encode_all(&pcap[..], 1).expect("memory").len() as f64;
    println!("depth of 64 MiB on {name}; zstd -1 makes the same frames {zstd:.2} times smaller");
    println!("{:12} {:>12} {:>12} {:>8}", "", "MB per MiB", "s per MiB", "times");
    let plain = Held::plain(&frames);
    plain.print("plain ring", &plain);
    let full = held(&frames, PackOptions { fade: false, ..PackOptions::default() });
    full.print("full", &plain);
    let faded = held(&frames, PackOptions { full: Duration::ZERO, ..PackOptions::default() });
    faded.print("faded", &plain);
    for (what, times, wanted) in [
        ("full, against zstd -1", full.bytes / plain.bytes / zstd, 0.9),
        ("faded, against a plain ring", faded.bytes / plain.bytes, 8.0),
    ] {
        let verdict = if times >= wanted { "reached" } else { "MISSED" };
        println!("figure\tdepth on {name}, {what}\t{times:.2}\t>= {wanted}\t{verdict}");
    }
}

/// What fits into the memory.
struct Held {
    bytes: f64,
    seconds: f64,
}

impl Held {
    fn plain(frames: &[Stamped]) -> Self {
        let records: usize = frames.iter().map(|frame| frame.bytes.len() + PLAIN).sum();
        let bytes: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
        let span = frames.last().map_or(0, |frame| frame.at);
        let fit = MEMORY as f64 / records as f64;
        Self { bytes: bytes as f64 * fit, seconds: span as f64 / 1e9 * fit }
    }

    fn print(&self, name: &str, plain: &Self) {
        let mebibytes = (MEMORY >> 20) as f64;
        let Self { bytes, seconds } = self;
        println!(
            "{name:12} {:12.2} {:12.2} {:8.2}",
            bytes / 1e6 / mebibytes,
            seconds / mebibytes,
            bytes / plain.bytes
        );
    }
}

fn held(frames: &[Stamped], pack: PackOptions) -> Held {
    let pool = Pool::new(&PoolOptions { memory: MEMORY, lock: false }).expect("memory");
    let mut packer = Packer::new(pool.clone()).expect("a compressor");
    let origin = Origin {
        interface: "bench0".into(),
        index: 1,
        link_type: LinkType::ETHERNET,
        snaplen: 262_144,
        clock: StampClock::Software,
    };
    let options = LaneOptions { pack, ..LaneOptions::AS_IS };
    let mut lane = Lane::new(LaneId(0), pool, options, Arc::new(origin), Mono(0));
    let size: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
    let span = frames.last().map_or(0, |frame| frame.at) + 1;
    let rounds = (MEMORY as usize * FILLS / size) as u64;
    for round in 0..rounds {
        for frame in frames {
            let at = round * span + frame.at;
            let header = FrameHeader {
                wall: Wall(at),
                original_len: frame.bytes.len() as u32,
                ..FrameHeader::default()
            };
            lane.append(&Frame::whole(header, &frame.bytes), Offset(0));
            while let Some(job) = lane.next_job(Mono(at)) {
                let outcome = packer.work(&job);
                lane.take(outcome);
            }
        }
    }
    assert!(lane.counters().evicted > 0, "the memory was filled");
    let slice = lane.slice(Window { from: Mono(0), to: Mono(u64::MAX) }, None);
    let bytes: u64 = slice.frames().map(|frame| u64::from(frame.header.original_len)).sum();
    let seconds = Mono(rounds * span).since(slice.covered_from()).as_secs_f64();
    Held { bytes: bytes as f64, seconds }
}
