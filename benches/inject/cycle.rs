//! Frames that are a few, over and over: eight of 64 bytes by turns, and other eight from one frame to the
//! next when the phase is changed.
//!
//! ```text
//!   word  0 .. 3   4       8 ..                                        264 ..
//!         State  │ phase │ 4 phases × 8 places × 64 bytes of a frame │ how often each was sent
//! ```

use std::sync::atomic::Ordering;

use super::inject::{
    ADD, ADD_IMMEDIATE, Injector, LOAD_64, MOVE, Making, STORE_64, State, instruction, word,
};

/// Bytes of a frame, and words.
pub(crate) const LENGTH: usize = 64;
const FRAME: usize = LENGTH / 8;
/// Frames that take turns.
pub(crate) const PLACES: usize = 8;
/// Sets of them.
pub(crate) const PHASES: usize = 4;
const PHASE: usize = State::OWN;
const FRAMES: usize = 8;
const COUNTS: usize = FRAMES + PHASES * PLACES * FRAME;

/// Makes each frame one of the cycle.
pub(crate) fn making() -> Making {
    const AND_IMMEDIATE: u8 = 0x57;
    const SHIFT_LEFT: u8 = 0x67;
    const SHIFT_RIGHT: u8 = 0x77;
    let (place, phase) = (PLACES as i32 - 1, PHASES as i32 - 1);
    let mut instructions = vec![
        // r7 = where the frame stands: phase % 4 * 512 + number % 8 * 64
        instruction(MOVE, 7, 5, 0, 0),
        instruction(AND_IMMEDIATE, 7, 0, 0, place),
        instruction(SHIFT_LEFT, 7, 0, 0, 6),
        instruction(LOAD_64, 8, 6, word(PHASE), 0),
        instruction(AND_IMMEDIATE, 8, 0, 0, phase),
        instruction(SHIFT_LEFT, 8, 0, 0, 9),
        instruction(ADD, 7, 8, 0, 0),
        instruction(MOVE, 8, 6, 0, 0),
        instruction(ADD, 8, 7, 0, 0),
    ];
    for at in 0..FRAME {
        instructions.push(instruction(LOAD_64, 4, 8, word(FRAMES + at), 0));
        instructions.push(instruction(STORE_64, 2, 4, word(at), 0));
    }
    // A count is a word where a frame has eight.
    instructions.extend([
        instruction(SHIFT_RIGHT, 7, 0, 0, 3),
        instruction(MOVE, 8, 6, 0, 0),
        instruction(ADD, 8, 7, 0, 0),
        instruction(LOAD_64, 4, 8, word(COUNTS), 0),
        instruction(ADD_IMMEDIATE, 4, 0, 0, 1),
        instruction(STORE_64, 8, 4, word(COUNTS), 0),
    ]);
    Making { length: LENGTH, words: COUNTS + PHASES * PLACES, instructions }
}

/// What stands at a place in a phase.
pub(crate) fn set(injector: &Injector, phase: usize, place: usize, frame: &[u8; LENGTH]) {
    let at = FRAMES + (phase * PLACES + place) * FRAME;
    let words = frame.as_chunks().0;
    for (word, bytes) in (at..).zip(words) {
        injector.word(word).store(u64::from_ne_bytes(*bytes), Ordering::Release);
    }
}

/// Other frames from now on.
pub(crate) fn turn_to(injector: &Injector, phase: usize) {
    injector.word(PHASE).store(phase as u64, Ordering::Release);
}

/// How often what stands there was sent.
pub(crate) fn sent(injector: &Injector, phase: usize, place: usize) -> u64 {
    injector.word(COUNTS + phase * PLACES + place).load(Ordering::Acquire)
}
