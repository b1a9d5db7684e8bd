//! Frames that differ in nothing but their number, which begins at 1 and has no gaps.

use std::mem::size_of;

use super::inject::{Making, STORE_64, State, instruction};

/// Where in a frame its number stands, big-endian, eight bytes: the first of the UDP payload, behind
/// the headers of Ethernet (14), IPv4 (20) and UDP (8).
pub(crate) const NUMBER_AT: usize = 42;
/// An Ethernet frame of `size` bytes without its checksum: UDP over IPv4 to another host, so that the
/// stack has no more to do with it than to drop it. The payload behind the number does not compress.
pub(crate) fn frame(size: usize) -> Vec<u8> {
    let mut frame = vec![0; size];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for byte in &mut frame[NUMBER_AT..] {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state as u8;
    }
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    frame[14..16].copy_from_slice(&[0x45, 0]);
    frame[16..18].copy_from_slice(&((size - 14) as u16).to_be_bytes());
    frame[22..24].copy_from_slice(&[64, 17]);
    frame[26..34].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
    frame[34..38].copy_from_slice(&[4, 0, 4, 1]);
    frame[38..40].copy_from_slice(&((size - 34) as u16).to_be_bytes());
    frame
}

/// Writes the number into each frame.
pub(crate) fn making() -> Making {
    const TO_BIG_ENDIAN: u8 = 0xdc;
    Making {
        length: NUMBER_AT + size_of::<u64>(),
        words: State::OWN,
        instructions: vec![
            instruction(TO_BIG_ENDIAN, 5, 0, 0, 64),
            instruction(STORE_64, 2, 5, NUMBER_AT as i16, 0),
        ],
    }
}
