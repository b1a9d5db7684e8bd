//! Counts over time in bounded memory: columns of equal width from the first frame on, twice as wide
//! whenever there would be too many.
//!
//! ```text
//!   ▂▃▁▅▂▂▁▃ ─ full ─►  ▅▆▄▄ ─►  ▅▆▄▄▂▃▁▅ ─► ...
//! ```

use std::time::Duration;

/// Columns of numbers; all series of a report have the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    /// Nanoseconds of the first one's beginning, on any clock.
    begin: u64,
    width: u64,
}

/// A number for each column, from the first to the last that has one.
pub(super) type Series = Vec<u64>;

impl Columns {
    /// Most columns: as many as a wide screen has dots.
    pub(super) const MOST: usize = 1_024;
    /// Width at first.
    const FINEST: Duration = Duration::from_millis(100);

    pub(super) fn from(begin: u64) -> Self {
        Self { begin, width: Self::FINEST.as_nanos() as u64 }
    }

    /// The column of a moment; what was before the first belongs to it. If it would be beyond the last,
    /// columns become wider, and `widen` must halve every series as often as it is called.
    #[inline]
    pub(super) fn column(&mut self, moment: u64, mut widen: impl FnMut()) -> usize {
        let passed = moment.saturating_sub(self.begin);
        loop {
            let column = passed / self.width;
            if column < Self::MOST as u64 {
                return column as usize;
            }
            self.width *= 2;
            widen();
        }
    }

    /// Nanoseconds of each.
    pub(super) fn width(&self) -> u64 {
        self.width
    }

    /// Nanoseconds of the first one's beginning.
    pub(super) fn begin(&self) -> u64 {
        self.begin
    }
}

/// Adds to a column.
#[inline]
pub(super) fn add(series: &mut Series, column: usize, count: u64) {
    if series.len() <= column {
        series.resize(column + 1, 0);
    }
    series[column] += count;
}

/// Two columns become one.
pub(super) fn halve(series: &mut Series) {
    *series = series.chunks(2).map(|pair| pair.iter().sum()).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_while_columns_widen() {
        let mut columns = Columns::from(1_000);
        let mut series = Series::new();
        let second = 1_000_000_000;
        for n in 0..10_000_u64 {
            let column = columns.column(1_000 + n * second, || halve(&mut series));
            add(&mut series, column, 1);
        }
        assert_eq!(series.iter().sum::<u64>(), 10_000);
        assert!(series.len() <= Columns::MOST && columns.width() >= 9 * second, "{columns:?}");
        assert_eq!(columns.column(0, || panic!("no need")), 0);
        assert!(columns.column(u64::MAX, || {}) < Columns::MOST);
    }
}
