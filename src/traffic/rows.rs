//! A ring of rows as it lies in memory and in the file: fixed slots, of which the newest takes the place of the
//! oldest.
//!
//! ```text
//!   slot  │ number 8 │ mono 8 │ wall 8 │ row of column 0 │ row of column 1 │ ... │ CRC-32 4 │
//! ```

use std::ops::Range;

use super::row::TrafficRow;
use crate::time::{Mono, Stamp, Wall};

/// Number, and both clocks.
const HEAD: usize = 24;
/// CRC-32 of what stands before it: a slot that was being written when a process died is known by it.
const SUM: usize = 4;

/// Bytes of a slot.
pub(super) const fn slot_bytes(columns: usize) -> usize {
    HEAD + columns * TrafficRow::BYTES + SUM
}

/// How much time a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    /// One a second.
    Second,
    /// One a minute.
    Minute,
}

/// Rows of one kind.
#[derive(Debug)]
pub(super) struct Rows {
    columns: usize,
    bytes: Box<[u8]>,
    /// Number of the slot that comes next; the first is 1, so that an empty place is none.
    next: u64,
}

/// All columns' rows that end at one time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slot {
    pub(super) number: u64,
    pub(super) at: Stamp,
    /// None where there is a gap.
    pub(super) rows: Vec<Option<TrafficRow>>,
}

impl Rows {
    /// Empty; touched, so that its memory is there.
    pub(super) fn new(slots: usize, columns: usize) -> Self {
        let mut bytes = vec![0; slots * slot_bytes(columns)];
        bytes.fill(0xff);
        Self { columns, bytes: bytes.into(), next: 1 }
    }

    /// Takes rows in, and says which bytes changed: where they begin, and what they are now.
    pub(super) fn push(&mut self, at: Stamp, rows: &[Option<TrafficRow>]) -> (usize, &[u8]) {
        let (size, columns) = (slot_bytes(self.columns), self.columns);
        let place = self.place(self.next);
        let slot = &mut self.bytes[place..place + size];
        slot[..8].copy_from_slice(&self.next.to_le_bytes());
        slot[8..16].copy_from_slice(&at.mono.0.to_le_bytes());
        slot[16..24].copy_from_slice(&at.wall.0.to_le_bytes());
        let stored = slot[HEAD..size - SUM].chunks_exact_mut(TrafficRow::BYTES);
        for (column, stored) in stored.take(columns).enumerate() {
            TrafficRow::encode(rows.get(column).and_then(Option::as_ref), stored);
        }
        seal(slot);
        self.next += 1;
        (place, &self.bytes[place..place + size])
    }

    /// Numbers of the slots that are there, the oldest first.
    pub(super) fn numbers(&self) -> Range<u64> {
        let slots = (self.bytes.len() / slot_bytes(self.columns)) as u64;
        self.next.saturating_sub(slots).max(1)..self.next
    }

    /// The slot of this number, if it is still there.
    pub(super) fn slot(&self, number: u64) -> Option<Slot> {
        let place = self.place(number);
        let slot = decode(&self.bytes[place..place + slot_bytes(self.columns)])?;
        (slot.number == number).then_some(slot)
    }

    /// Takes everything out of a column.
    pub(super) fn clear(&mut self, column: usize) {
        let size = slot_bytes(self.columns);
        let row = HEAD + column * TrafficRow::BYTES;
        for number in self.numbers() {
            let place = self.place(number);
            let slot = &mut self.bytes[place..place + size];
            TrafficRow::encode(None, &mut slot[row..row + TrafficRow::BYTES]);
            seal(slot);
        }
    }

    /// All of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn place(&self, number: u64) -> usize {
        let size = slot_bytes(self.columns);
        let slots = (self.bytes.len() / size) as u64;
        (number % slots) as usize * size
    }
}

fn seal(slot: &mut [u8]) {
    let (content, sum) = slot.split_at_mut(slot.len() - SUM);
    sum.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
}

/// A slot as it was written; none if it is not whole.
pub(super) fn decode(slot: &[u8]) -> Option<Slot> {
    let (content, sum) = slot.split_at_checked(slot.len().checked_sub(SUM)?)?;
    if crc32fast::hash(content).to_le_bytes() != sum {
        return None;
    }
    let number = |at: usize| Some(u64::from_le_bytes(*content.get(at..)?.first_chunk()?));
    let rows =
        content.get(HEAD..)?.chunks_exact(TrafficRow::BYTES).map(TrafficRow::decode).collect();
    let at = Stamp { mono: Mono(number(8)?), wall: Wall(number(16)?) };
    Some(Slot { number: number(0)?, at, rows })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(frames: u64) -> Option<TrafficRow> {
        Some(TrafficRow { span: Duration::from_secs(1), frames, ..TrafficRow::default() })
    }

    fn at(second: u64) -> Stamp {
        Stamp { mono: Mono(second), wall: Wall(1_000 - second) }
    }

    #[test]
    fn the_newest_takes_the_place_of_the_oldest() {
        let mut rows = Rows::new(3, 2);
        assert_eq!(rows.numbers().count(), 0);
        for second in 0..5 {
            rows.push(at(second), &[row(second), None]);
        }
        assert_eq!(rows.numbers(), 3..6);
        let slots: Vec<_> = rows.numbers().filter_map(|number| rows.slot(number)).collect();
        assert_eq!(slots.len(), 3);
        assert_eq!(slots[0], Slot { number: 3, at: at(2), rows: vec![row(2), None] });
        assert_eq!(rows.slot(2), None, "overwritten");
        rows.clear(0);
        assert_eq!(rows.slot(4).unwrap().rows, [None, None]);
        assert_eq!(rows.numbers(), 3..6);
    }

    #[test]
    fn a_slot_that_is_not_whole_is_none() {
        let mut rows = Rows::new(2, 1);
        let whole = rows.push(at(1), &[row(7)]).1.to_vec();
        assert!(decode(&whole).is_some());
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 4;
            assert_eq!(decode(&damaged), None, "{place}");
            assert_eq!(decode(&whole[..place]), None, "{place}");
        }
    }
}
