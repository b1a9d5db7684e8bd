//! Question: what do all detectors together cost the capture thread per frame of data traffic?
//! Input: 1,024 frames of plain data, TCP and UDP of 1,024 connections in equal parts, a third of them
//! behind a VLAN tag, of one length or mixed, in the parts in which capture hands them over. Between two
//! passes, outside the measured time, sequence numbers and payload move on, so that no frame comes twice.
//! Each pass classifies the frames, as capture does before; every second one also shows them to the tap.
//! Unit: nanoseconds per frame that the tap adds; the median of paired passes on one thread.
//!
//! Run: `cargo bench --bench detect`

mod random;

use std::hint::black_box;
use std::time::Instant;

use dashcap::detect::tap::Tap;
use dashcap::frame::{Direction, Frame, FrameHeader, LinkType};
use dashcap::sys::wakeup::Wakeup;
use dashcap::time::{Offset, Wall};
use dashcap::wire::control::is_control;

use random::Random;

const FRAMES: usize = 1_024;
/// Many and short: on a busy machine most passes of 20 us still run undisturbed.
const PASSES: usize = 2_001;
/// A frame a microsecond.
const BETWEEN: u64 = 1_000;
/// What all detectors together may cost, in nanoseconds.
const MOST: f64 = 20.0;
/// Number of the class of data traffic, behind control.
const DATA: usize = 1;

fn main() {
    println!("detect, {FRAMES} frames a pass, {PASSES} passes");
    let lengths: [(&str, &[usize]); 4] =
        [("64 B", &[64]), ("512 B", &[512]), ("1514 B", &[1514]), ("mixed", &[64, 128, 594, 1514])];
    for (name, lengths) in lengths {
        let mut feed = Feed::new(lengths);
        let mut costs: Vec<_> = (0..PASSES).map(|_| feed.pair()).collect();
        costs.sort_by(f64::total_cmp);
        let cost = costs[PASSES / 2];
        let verdict = if cost <= MOST { "reached" } else { "MISSED" };
        println!("  {name:8} {cost:6.2} ns/frame");
        println!("figure\tdetectors, data of {name}\t{cost:.1} ns\t<= {MOST} ns\t{verdict}");
    }
}

/// Frames, and a tap that nobody listens to: data frames are not sent on.
struct Feed {
    random: Random,
    frames: Vec<(bool, Vec<u8>)>,
    tap: Tap,
    passes: u64,
}

impl Feed {
    fn new(lengths: &[usize]) -> Self {
        let mut random = Random::new();
        let kinds = [6, 17];
        let frames = (0..FRAMES).map(|n| {
            let kind = kinds[n % kinds.len()];
            let tagged = n % 3 == 0;
            (tagged, frame(&mut random, kind, tagged, lengths[n / kinds.len() % lengths.len()]))
        });
        let frames = frames.collect();
        let (tap, _) = Tap::new(2, 0, Wakeup::new().expect("a descriptor"));
        Self { random, frames, tap, passes: 0 }
    }

    /// Nanoseconds per frame with the tap, less those without.
    fn pair(&mut self) -> f64 {
        let with = self.pass(true);
        with - self.pass(false)
    }

    fn pass(&mut self, tapped: bool) -> f64 {
        self.move_on();
        let begun_at = self.passes * FRAMES as u64 * BETWEEN;
        self.passes += 1;
        let frames: Vec<Frame<'_>> = self
            .frames
            .iter()
            .enumerate()
            .map(|(n, (tagged, bytes))| {
                let (first, rest) = bytes.split_at(if *tagged { 12 } else { bytes.len() });
                let (tag, rest) = rest.split_at(if *tagged { 4 } else { 0 });
                let header = FrameHeader {
                    wall: Wall(begun_at + n as u64 * BETWEEN),
                    original_len: bytes.len() as u32,
                    direction: if n % 2 == 0 { Direction::Inbound } else { Direction::Outbound },
                    ..FrameHeader::default()
                };
                Frame { header, parts: [first, tag, rest] }
            })
            .collect();
        let mut control = 0;
        let begun = Instant::now();
        for frame in &frames {
            control += usize::from(is_control(LinkType::ETHERNET, black_box(frame)));
            if tapped {
                black_box(self.tap.frame(black_box(frame), DATA, false, Offset(0)));
            }
        }
        let took = begun.elapsed();
        assert_eq!(black_box(control), 0, "all frames are data");
        took.as_secs_f64() * 1e9 / FRAMES as f64
    }

    /// Connections go on: the next segment, another payload, another identification.
    fn move_on(&mut self) {
        for (tagged, bytes) in &mut self.frames {
            let at = if *tagged { 18 } else { 14 };
            let length = (bytes.len() - at - 40) as u32;
            bytes[at + 4..at + 6].copy_from_slice(&(self.random.next() as u16).to_be_bytes());
            let transport = at + 20;
            if bytes[at + 9] == 6 {
                let field = transport + 4..transport + 8;
                let sequence = bytes[field.clone()].try_into().map_or(0, u32::from_be_bytes);
                bytes[field].copy_from_slice(&sequence.wrapping_add(length).to_be_bytes());
            } else {
                bytes[transport + 8..transport + 16]
                    .copy_from_slice(&self.random.next().to_be_bytes());
            }
        }
    }
}

/// A frame of one connection to port 443.
fn frame(random: &mut Random, protocol: u8, tagged: bool, length: usize) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    if tagged {
        bytes.extend([0x81, 0, 0x03, 0xbc]);
    }
    let total = (length - bytes.len() - 2) as u16;
    bytes.extend([8, 0, 0x45, 0]);
    bytes.extend(total.to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    bytes.extend((random.next() as u32).to_be_bytes());
    bytes.extend([192, 0, 2, 2]);
    bytes.extend((random.next() as u16 | 0x8000).to_be_bytes());
    bytes.extend(443_u16.to_be_bytes());
    let mut rest = [0; 12];
    random.fill(&mut rest);
    // A TCP header of 20 bytes with ACK, and a window; for UDP it is payload.
    rest[8..12].copy_from_slice(&[0x50, 0x10, 2, 0]);
    bytes.extend(rest);
    bytes.resize(length, 0x5a);
    bytes
}
