//! Question: what does folding cost per frame, on top of appending?
//! Input: frames of 64 bytes, one a microsecond: none a copy of another, all the same, three storms
//! interleaved, one in a hundred the same. Each goes into two lanes alike but for folding.
//! Unit: nanoseconds per frame; medians of paired rounds on one thread.
//!
//! Run: `cargo bench --bench fold`

use std::sync::Arc;
use std::time::Instant;

use dashcap::frame::{Frame, FrameHeader, LinkType, Origin, StampClock};
use dashcap::ring::{FoldOptions, Lane, LaneId, LaneOptions, Pool, PoolOptions};
use dashcap::time::{Mono, Offset, Wall};

const ROUNDS: usize = 15;
const FRAMES: u64 = 500_000;
const RING: u64 = 64 << 20;

fn main() {
    println!("folding, frames of 64 B");
    println!("{:24} {:>8} {:>8} {:>8}", "traffic", "off", "on", "costs");
    let cases: [(&str, Numbers, f64); 4] = [
        ("no copies", |n| n, 35.0),
        ("all copies", |_| 0, 25.0),
        ("three storms", |n| n % 3, 25.0),
        ("1 % copies", |n| if n.is_multiple_of(100) { 0 } else { n }, 35.0),
    ];
    for (name, number, most) in cases {
        let (mut off, mut on) = (Feed::new(FoldOptions::OFF), Feed::new(FoldOptions::default()));
        let rounds: Vec<_> = (0..ROUNDS).map(|_| (off.round(number), on.round(number))).collect();
        let (off, on) = (median(&rounds, |r| r.0), median(&rounds, |r| r.1));
        let costs = median(&rounds, |r| r.1 - r.0);
        println!("{name:24} {off:8.1} {on:8.1} {costs:8.1}");
        let verdict = if costs <= most { "reached" } else { "MISSED" };
        println!("figure\tfolding, {name}\t{costs:.1} ns\t<= {most} ns\t{verdict}");
    }
}

/// The number that the frame at a place gets: equal numbers are copies.
type Numbers = fn(u64) -> u64;

/// A lane, and the frames that go into it.
struct Feed {
    lane: Lane,
    bytes: [u8; 64],
    sent: u64,
}

impl Feed {
    /// Where the number stands: the payload of a UDP datagram over IPv4.
    const NUMBER: std::ops::Range<usize> = 42..50;

    fn new(fold: FoldOptions) -> Self {
        let origin = Origin {
            interface: "bench0".into(),
            index: 1,
            link_type: LinkType::ETHERNET,
            snaplen: 262_144,
            clock: StampClock::Software,
        };
        let pool = Pool::new(&PoolOptions { memory: RING, lock: false }).expect("64 MiB");
        let options = LaneOptions { fold, ..LaneOptions::AS_IS };
        let lane = Lane::new(LaneId(0), pool, options, Arc::new(origin), Mono(0));
        let mut feed = Self { lane, bytes: [0x5a; 64], sent: 0 };
        // Full, so that every round evicts as much as it appends.
        feed.round(|n| n);
        feed.round(|n| n);
        feed
    }

    /// Nanoseconds per frame.
    fn round(&mut self, number: Numbers) -> f64 {
        let begun = Instant::now();
        for _ in 0..FRAMES {
            self.bytes[Self::NUMBER].copy_from_slice(&number(self.sent).to_le_bytes());
            let header = FrameHeader {
                wall: Wall(self.sent * 1_000),
                original_len: 64,
                ..FrameHeader::default()
            };
            self.sent += 1;
            self.lane.append(&Frame::whole(header, &self.bytes), Offset(0));
        }
        begun.elapsed().as_secs_f64() * 1e9 / FRAMES as f64
    }
}

fn median(rounds: &[(f64, f64)], figure: impl Fn(&(f64, f64)) -> f64) -> f64 {
    let mut figures: Vec<_> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
