//! The memory itself, and the hand that recorder and writer have on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use crate::time::{Mono, Stamp};
use crate::traffic::column::{Column, ColumnOwner};
use crate::traffic::file::{Left, TrafficFile};
use crate::traffic::row::TrafficRow;
use crate::traffic::rows::{Grain, Rows, Slot};
use crate::traffic::shape::Shape;
use crate::traffic::{ClassTotals, InterfaceTotals};

/// Rows are added up for so long.
const MINUTE: Duration = Duration::from_secs(60);
/// Who is not heard of for so long has a gap; before, the next row has all that time.
const SILENCE: Duration = Duration::from_secs(5);

/// What is told where an interface finds no room.
const NO_ROOM: &str = "the long memory of traffic (traffic.csv) has no room for every interface: more \
                       --traffic-memory, or fewer interfaces (-i), are needed";

/// What passed for an hour and for a week.
#[derive(Debug)]
pub struct LongMemory {
    shape: Shape,
    columns: Vec<Column>,
    seconds: Rows,
    minutes: Rows,
    /// When the minute began.
    minute: Option<Mono>,
    file: Option<TrafficFile>,
    /// That somebody finds no room was told.
    is_told: bool,
    /// Somebody who is gone may still make room in this second: clearing a column takes a millisecond.
    may_make_room: bool,
}

impl LongMemory {
    /// Empty.
    pub fn new(shape: Shape) -> Self {
        let Shape { columns, seconds, minutes } = shape;
        Self {
            shape,
            columns: Vec::with_capacity(columns),
            seconds: Rows::new(seconds, columns),
            minutes: Rows::new(minutes, columns),
            minute: None,
            file: None,
            is_told: false,
            may_make_room: true,
        }
    }

    /// Takes over what an earlier recording left, as far as there is room. Monotonic times and indexes of another
    /// boot mean nothing.
    pub fn inherit(&mut self, left: Left, is_same_boot: bool) {
        let free = self.shape.columns - self.columns.len();
        let begin = self.columns.len();
        for owner in left.owners.into_iter().take(free) {
            let index = if is_same_boot { owner.index } else { 0 };
            self.columns.push(Column::new(ColumnOwner { index, ..owner }));
        }
        for (rows, slots) in [(&mut self.seconds, left.seconds), (&mut self.minutes, left.minutes)]
        {
            for Slot { at, rows: theirs, .. } in slots {
                let mono = if is_same_boot { at.mono } else { Mono(0) };
                let before = std::iter::repeat_n(None, begin);
                let moved: Vec<_> = before.chain(theirs.into_iter().take(free)).collect();
                rows.push(Stamp { mono, ..at }, &moved);
            }
        }
    }

    /// From now on it is kept in this file, too.
    pub fn keep_in(&mut self, file: TrafficFile) {
        self.file = Some(file);
        self.write_owners();
        self.write_rows();
    }

    /// Takes in how all interfaces stand; says, once, that somebody finds no room.
    pub fn take(&mut self, now: Stamp, totals: &[InterfaceTotals]) -> Option<&'static str> {
        self.rename(totals);
        let mut rows = vec![None; self.shape.columns];
        let mut is_homeless = false;
        self.may_make_room = true;
        for of in totals.iter().filter(|of| of.is_there) {
            for class in &of.classes {
                match self.column(ColumnOwner::of(of, class)) {
                    Some(column) => rows[column] = self.columns[column].row(of, class),
                    None => is_homeless = true,
                }
            }
        }
        self.notice_gaps(now.mono, totals);
        self.push(Grain::Second, now, &rows);
        let began = *self.minute.get_or_insert(now.mono);
        if now.mono.since(began) >= MINUTE {
            self.minute = Some(now.mono);
            let rows: Vec<_> = self.columns.iter_mut().map(Column::minute).collect();
            self.push(Grain::Minute, now, &rows);
        }
        let is_news = is_homeless && !std::mem::replace(&mut self.is_told, is_homeless);
        is_news.then_some(NO_ROOM)
    }

    /// Interfaces that have another name by now, before somebody else is taken for them.
    fn rename(&mut self, totals: &[InterfaceTotals]) {
        let mut is_other = false;
        for column in self.columns.iter_mut().filter(|column| column.owner.index > 0) {
            let now = totals.iter().find(|of| of.is_there && of.index == column.owner.index);
            if let Some(now) = now.filter(|now| now.interface != column.owner.interface) {
                column.owner.interface.clone_from(&now.interface);
                is_other = true;
            }
        }
        if is_other {
            self.write_owners();
        }
    }

    fn notice_gaps(&mut self, now: Mono, totals: &[InterfaceTotals]) {
        for column in &mut self.columns {
            let name = &column.owner.interface;
            let is_absent = totals.iter().any(|of| !of.is_there && of.interface == *name);
            if is_absent || now.since(column.heard) > SILENCE {
                column.gap();
            }
        }
    }

    fn push(&mut self, grain: Grain, at: Stamp, rows: &[Option<TrafficRow>]) {
        let kept = match grain {
            Grain::Second => &mut self.seconds,
            Grain::Minute => &mut self.minutes,
        };
        let (place, bytes) = kept.push(at, rows);
        if let Some(file) = &mut self.file {
            file.write(grain, place, bytes);
        }
    }

    /// The column of a class of an interface; none where there is no room.
    fn column(&mut self, owner: ColumnOwner) -> Option<usize> {
        let of = |is_same: &dyn Fn(&ColumnOwner) -> bool| {
            let is_meant = |c: &Column| c.owner.class == owner.class && is_same(&c.owner);
            self.columns.iter().position(is_meant)
        };
        let known = of(&|known| known.index > 0 && known.index == owner.index)
            .or_else(|| of(&|known| known.interface == owner.interface));
        match known {
            Some(column) if self.columns[column].owner == owner => return Some(column),
            Some(column) => {
                self.columns[column].owner = owner;
                self.write_owners();
                return Some(column);
            }
            None => {}
        }
        let column = self.room()?;
        self.columns.insert(column, Column::new(owner));
        self.write_owners();
        Some(column)
    }

    /// Where a column may be put: beside those that are there, else, once a second, in the place of the one that is
    /// gone for the longest time.
    fn room(&mut self) -> Option<usize> {
        if self.columns.len() < self.shape.columns {
            return Some(self.columns.len());
        }
        let gone = self.columns.iter().enumerate().filter(|(_, column)| column.is_gone());
        let (column, _) = gone.min_by_key(|(_, column)| column.heard)?;
        if !std::mem::take(&mut self.may_make_room) {
            return None;
        }
        self.columns.remove(column);
        self.seconds.clear(column);
        self.minutes.clear(column);
        self.write_rows();
        Some(column)
    }

    fn owners(&self) -> Vec<ColumnOwner> {
        self.columns.iter().map(|column| column.owner.clone()).collect()
    }

    fn write_owners(&mut self) {
        let owners = self.owners();
        if let Some(file) = &mut self.file {
            file.write_owners(&owners);
        }
    }

    fn write_rows(&mut self) {
        if let Some(file) = &mut self.file {
            file.write(Grain::Second, 0, self.seconds.bytes());
            file.write(Grain::Minute, 0, self.minutes.bytes());
        }
    }
}

impl ColumnOwner {
    fn of(interface: &InterfaceTotals, class: &ClassTotals) -> Self {
        let (index, class) = (interface.index, class.class.to_string());
        Self { interface: interface.interface.clone(), index, class }
    }
}

/// A hand on the memory: the recorder's, which adds to it, and the writer's, which reads it. Cloning gives one more.
#[derive(Debug, Clone)]
pub struct TrafficMemory(Arc<Mutex<LongMemory>>);

impl TrafficMemory {
    /// A first hand.
    pub fn new(memory: LongMemory) -> Self {
        Self(Arc::new(Mutex::new(memory)))
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> u64 {
        self.open().shape.bytes()
    }

    /// As [`LongMemory::take`]. While a reader is at a row, nothing is taken in: the next row has both seconds.
    pub fn take(&self, now: Stamp, totals: &[InterfaceTotals]) -> Option<&'static str> {
        match self.0.try_lock() {
            Ok(mut memory) => memory.take(now, totals),
            Err(TryLockError::Poisoned(memory)) => memory.into_inner().take(now, totals),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Every row of this kind that was made until then, in order: its interface and class, its time, itself.
    /// Nobody is kept waiting longer than the reading of one slot takes.
    pub(super) fn rows<E>(
        &self,
        grain: Grain,
        until: Mono,
        mut each: impl FnMut(&str, &str, Stamp, &TrafficRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let owners = self.open().owners();
        let numbers = self.open().kept(grain).numbers();
        for number in numbers {
            let slot = self.open().kept(grain).slot(number);
            let Some(Slot { at, rows, .. }) = slot.filter(|slot| slot.at.mono <= until) else {
                continue;
            };
            for (owner, row) in owners.iter().zip(rows) {
                if let Some(row) = row {
                    each(&owner.interface, &owner.class, at, &row)?;
                }
            }
        }
        Ok(())
    }

    /// A panic while it is held leaves rows that are whole: they are written one after the other.
    fn open(&self) -> MutexGuard<'_, LongMemory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LongMemory {
    fn kept(&self, grain: Grain) -> &Rows {
        match grain {
            Grain::Second => &self.seconds,
            Grain::Minute => &self.minutes,
        }
    }
}

#[cfg(test)]
mod tests;
