//! Question: what does the ring cost per frame, and does freezing disturb it?
//! Input: generated frames of 64, 512 and 1,514 bytes and a mix, into a ring of 1 GiB that is full.
//! Unit: nanoseconds per appended frame; microseconds per slice; the worst pause between two appends
//! while slices of everything are taken. Medians of several rounds on one thread.
//!
//! Run: `cargo bench --bench ring`

use std::sync::Arc;
use std::time::{Duration, Instant};

use dashcap::frame::{Frame, FrameHeader, LinkType, Origin, StampClock};
use dashcap::ring::{Lane, LaneId, LaneOptions, Pool, PoolOptions, Slice};
use dashcap::time::{Mono, Offset, Wall, Window};

const ROUNDS: usize = 9;
const RING: u64 = 1 << 30;
const EVERYTHING: Window = Window { from: Mono(0), to: Mono(u64::MAX) };

fn main() {
    let pool = match Pool::new(&PoolOptions { memory: RING, lock: false }) {
        Ok(pool) => pool,
        Err(error) => return eprintln!("{error}"),
    };
    let mix = [64, 64, 64, 64, 64, 64, 64, 576, 576, 576, 576, 1514];
    println!("append, {RING} bytes of ring, full");
    for (name, lengths) in
        [("64 B", &[64][..]), ("512 B", &[512]), ("1514 B", &[1514]), ("mix (7:4:1)", &mix)]
    {
        let mut feed = Feed::new(pool.clone(), lengths);
        feed.append_bytes(RING + RING / 8);
        let per_frame = median((0..ROUNDS).map(|_| feed.append_bytes(RING / 4)));
        println!("  {name:12} {:7.1} ns/frame", per_frame * 1e9);
    }

    let mut feed = Feed::new(pool, &[64]);
    feed.append_bytes(RING + RING / 8);
    let mut frozen = 0;
    let slice = median((0..ROUNDS).map(|_| {
        let begun = Instant::now();
        let slice = feed.lane.slice(EVERYTHING, None);
        let took = begun.elapsed().as_secs_f64();
        frozen = count(&slice);
        took
    }));
    println!("freeze, the whole ring ({frozen} frames of 64 B)");
    println!("  slice        {:7.1} us", slice * 1e6);
    let verdict = if slice <= 1e-3 { "reached" } else { "MISSED" };
    println!("figure\tslice of 1 GiB\t{:.1} us\t<= 1000 us\t{verdict}", slice * 1e6);
    let (undisturbed, disturbed) = (feed.worst_pause(false), feed.worst_pause(true));
    println!(
        "  worst pause  {:7.1} us between appends, {:.1} us without slices",
        micros(disturbed),
        micros(undisturbed)
    );
}

/// Something that appends to a lane, one frame a microsecond.
struct Feed {
    lane: Lane,
    lengths: Vec<usize>,
    sent: u64,
}

impl Feed {
    const BYTES: [u8; 1514] = [0x5a; 1514];
    /// Bytes a frame takes in the ring beside its own.
    const OVERHEAD: u64 = 20;

    fn new(pool: Pool, lengths: &[usize]) -> Self {
        let origin = Origin {
            interface: "bench0".into(),
            index: 1,
            link_type: LinkType::ETHERNET,
            snaplen: 262_144,
            clock: StampClock::Software,
        };
        let lane = Lane::new(LaneId(0), pool, LaneOptions::AS_IS, Arc::new(origin), Mono(0));
        Self { lane, lengths: lengths.to_vec(), sent: 0 }
    }

    #[inline]
    fn append(&mut self) -> u64 {
        let length = self.lengths[self.sent as usize % self.lengths.len()];
        let header = FrameHeader {
            wall: Wall(self.sent * 1_000),
            original_len: length as u32,
            ..FrameHeader::default()
        };
        self.sent += 1;
        self.lane.append(&Frame::whole(header, &Self::BYTES[..length]), Offset(0));
        length as u64 + Self::OVERHEAD
    }

    /// Seconds per frame.
    fn append_bytes(&mut self, bytes: u64) -> f64 {
        let (begun, before, mut done) = (Instant::now(), self.sent, 0);
        while done < bytes {
            done += self.append();
        }
        begun.elapsed().as_secs_f64() / (self.sent - before) as f64
    }

    fn worst_pause(&mut self, slicing: bool) -> Duration {
        let mut pauses: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let (mut worst, mut last) = (Duration::ZERO, Instant::now());
                for n in 0..200_000 {
                    if slicing && n % 50_000 == 25_000 {
                        drop(self.lane.slice(EVERYTHING, None));
                    }
                    self.append();
                    worst = worst.max(last.elapsed());
                    last = Instant::now();
                }
                worst
            })
            .collect();
        pauses.sort_unstable();
        pauses[pauses.len() / 2]
    }
}

fn count(slice: &Slice) -> usize {
    slice.frames().count()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
