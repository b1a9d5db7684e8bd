//! Frames to measure with: generated, or read from capture files.
#![allow(dead_code, reason = "each bench uses a part")]

use std::path::Path;

use crate::random::Random;

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

pub(crate) fn encrypted(random: &mut Random, number: u32) -> Vec<u8> {
    let mut frame = tcp(1_514, number);
    random.fill(&mut frame[54..]);
    frame
}

pub(crate) fn mixed(random: &mut Random, number: u32) -> Vec<u8> {
    const TEXT: &[u8] =
        b"GET /status?node=17 HTTP/1.1\r\nHost: collector.example\r\nAccept: */*\r\n";
    let length = [64, 576, 64, 64, 576, 64, 64, 576, 64, 1_514, 64, 576][number as usize % 12];
    let mut frame = tcp(length, number);
    let half = 54 + (length - 54) / 2;
    random.fill(&mut frame[54..half]);
    frame[half..].iter_mut().zip(TEXT.iter().cycle()).for_each(|(byte, text)| *byte = *text);
    frame
}

pub(crate) fn small(random: &mut Random, number: u32) -> Vec<u8> {
    let mut frame = tcp(64, number);
    random.fill(&mut frame[40..44]);
    frame
}

/// A frame with its stamp in nanoseconds since the first.
pub(crate) struct Stamped {
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Bytes of generated frames.
const GENERATED: usize = 32_000_000;
/// Nanoseconds between two generated frames: 100 Mbit/s of a mix.
const APART: u64 = 20_000;

/// The frames of the files named on the command line, one after the other; without any, a generated mix.
pub(crate) fn from_arguments() -> (String, Vec<Stamped>) {
    let files: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if files.is_empty() {
        let mut random = Random::new();
        let mut total = 0;
        let frames = (0..)
            .map(|n| Stamped { at: u64::from(n) * APART, bytes: mixed(&mut random, n) })
            .take_while(|frame| {
                total += frame.bytes.len();
                total <= GENERATED
            })
            .collect();
        return ("a generated mix".to_owned(), frames);
    }
    let mut frames = Vec::new();
    for file in &files {
        let begin = frames.last().map_or(0, |frame: &Stamped| frame.at + APART);
        frames.extend(read(Path::new(file), begin));
    }
    (format!("{} capture files", files.len()), frames)
}

/// The frames of a capture file, the first one at `begin`.
fn read(file: &Path, begin: u64) -> Vec<Stamped> {
    let mut capture = pcap::Capture::from_file(file).expect("a capture file");
    let mut frames: Vec<Stamped> = Vec::new();
    let mut first = None;
    while let Ok(packet) = capture.next_packet() {
        let stamp = &packet.header.ts;
        let at = stamp.tv_sec as u64 * 1_000_000_000 + stamp.tv_usec as u64 * 1_000;
        let since = at.saturating_sub(*first.get_or_insert(at));
        frames.push(Stamped { at: begin + since, bytes: packet.data.to_vec() });
    }
    frames
}

/// The frames as a classic pcap file: 24 bytes, and 16 before each frame.
pub(crate) fn as_pcap(frames: &[Stamped]) -> Vec<u8> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    file.extend([0; 8]);
    file.extend(262_144_u32.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for frame in frames {
        let length = (frame.bytes.len() as u32).to_le_bytes();
        file.extend(((frame.at / 1_000_000_000) as u32).to_le_bytes());
        file.extend(((frame.at / 1_000 % 1_000_000) as u32).to_le_bytes());
        file.extend(length);
        file.extend(length);
        file.extend(&frame.bytes);
    }
    file
}
