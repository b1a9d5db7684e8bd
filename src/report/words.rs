//! Figures and directions in words.

use crate::frame::Direction;

pub(super) use crate::detect::words::{count, figure, way};

/// So many of them: `1 frame`, `2,000 frames`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// Bytes as people read them: 3.9 GB.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut figure, mut unit) = (bytes as f64, 0);
    while figure >= 999.5 && unit < UNITS.len() - 1 {
        figure /= 1_000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && figure < 99.95);
    format!("{figure:.digits$} {}", UNITS[unit])
}

/// In a column: `in`, `out`, or nothing.
pub(super) fn short(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "in",
        Direction::Outbound => "out",
        Direction::Unknown => "",
    }
}

/// A distance from the trigger: `89.363 s before`, `12 min after`, `at`.
pub(super) fn distance(before: f64) -> String {
    const MINUTE: f64 = 60.0;
    let (way, seconds) = if before < 0.0 { ("after", -before) } else { ("before", before) };
    match seconds {
        0.0 => "at".to_owned(),
        s if s < 10.0 * MINUTE => format!("{s:.3} s {way}"),
        s if s < 120.0 * MINUTE => format!("{:.0} min {way}", s / MINUTE),
        s if s < 48.0 * 60.0 * MINUTE => format!("{:.1} h {way}", s / MINUTE / 60.0),
        s => format!("{:.1} days {way}", s / MINUTE / 60.0 / 24.0),
    }
}

/// How long something lasted: `0.034 s`, `5.2 s`, `12 min`.
pub(super) fn lasting(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    match seconds {
        s if s < 0.1 => format!("{s:.3} s"),
        s if s < 10.0 * MINUTE => format!("{s:.1} s"),
        s if s < 120.0 * MINUTE => format!("{:.0} min", s / MINUTE),
        s if s < 48.0 * 60.0 * MINUTE => format!("{:.1} h", s / MINUTE / 60.0),
        s => format!("{:.1} days", s / MINUTE / 60.0 / 24.0),
    }
}

/// `+02:00`.
pub(super) fn offset(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        for (number, shown) in
            [(0, "0"), (999, "999"), (372_000, "372,000"), (1_000_000, "1,000,000")]
        {
            assert_eq!(count(number), shown);
        }
        assert_eq!(counted(1, "frame") + &counted(2_000, "frame"), "1 frame2,000 frames");
        for (number, shown) in
            [(999, "999 B"), (1_500, "1.5 kB"), (3_900_000_000, "3.9 GB"), (999_999, "1.0 MB")]
        {
            assert_eq!(bytes(number), shown);
        }
        for (seconds, shown) in [
            (89.363, "89.363 s before"),
            (-0.9, "0.900 s after"),
            (0.0, "at"),
            (900.0, "15 min before"),
            (10_000.0, "2.8 h before"),
        ] {
            assert_eq!(distance(seconds), shown);
        }
        for (seconds, shown) in [(0.034, "0.034 s"), (5.23, "5.2 s"), (7_200.0, "2.0 h")] {
            assert_eq!(lasting(seconds), shown);
        }
        assert_eq!((figure(0.25), figure(1_386.7)), ("0.2".to_owned(), "1,387".to_owned()));
    }
}
