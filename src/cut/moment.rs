//! Moments as operators type them, and what they mean once the files are known.
//!
//! ```text
//!   2026-11-22T14:14:20.8Z, ...+01:00   RFC 3339
//!   2026-11-22 14:14:20                 the local clock, as logs have it
//!   14:14:20                            likewise; the first one since an hour before the files begin
//!   1795356860.811                      seconds since 1970
//!   +90s, -30s                          after the first frame, before the last one
//! ```

use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::time::Wall;

/// What [`Moment::parse`] accepts, for messages.
pub const ACCEPTED: &str = "RFC 3339 such as 2026-11-22T14:14:20.8Z, the local clock such as \
                            \"2026-11-22 14:14:20\" or 14:14:20, seconds since 1970 such as 1795356860.8, \
                            or relative to the start or end such as +90s or -30s";
/// Somebody who types a time before the files' first frame means its day, not the next.
const BEFORE_START: Duration = Duration::from_secs(3_600);

/// A moment, perhaps relative to files.
#[derive(Debug, Clone, PartialEq)]
pub enum Moment {
    /// This one.
    At(Wall),
    /// When a clock in this zone showed it.
    Clock(Time, TimeZone),
    /// So long after the first frame.
    FromStart(Duration),
    /// So long before the last one.
    BeforeEnd(Duration),
}

impl Moment {
    /// Reads a moment; times of day and dates without an offset are those of `zone`.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, String> {
        let text = text.trim();
        if let Some(after) = text.strip_prefix('+') {
            return Ok(Self::FromStart(duration(after)?));
        }
        if let Some(before) = text.strip_prefix('-') {
            return Ok(Self::BeforeEnd(duration(before)?));
        }
        if text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || c == '.')
        {
            return epoch(text).map(Self::At).ok_or_else(|| "no such second".to_owned());
        }
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return wall(timestamp).map(Self::At);
        }
        // A date with a time reads as a time, too.
        if let Ok(local) = text.parse::<DateTime>() {
            let zoned = local.to_zoned(zone.clone()).map_err(|e| e.to_string())?;
            return wall(zoned.timestamp()).map(Self::At);
        }
        let time: Time = text.parse().map_err(|_| "not a time".to_owned())?;
        Ok(Self::Clock(time, zone.clone()))
    }

    /// What it means for files that begin at `start` and end at `end`.
    pub fn wall(&self, start: Wall, end: Wall) -> Wall {
        match self {
            Self::At(wall) => *wall,
            Self::FromStart(after) => start.plus(*after),
            Self::BeforeEnd(before) => end.minus(*before),
            Self::Clock(time, zone) => clock(*time, zone, start.minus(BEFORE_START)),
        }
    }

    /// True if the files' end must be known.
    pub fn needs_end(&self) -> bool {
        matches!(self, Self::BeforeEnd(_))
    }
}

/// The first moment not before `earliest` at which a clock shows `time`.
fn clock(time: Time, zone: &TimeZone, earliest: Wall) -> Wall {
    let begin = Timestamp::from_nanosecond(earliest.0.into()).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut day = begin.to_zoned(zone.clone()).date();
    // The same day or the next; a third one where a change of the clock moves it.
    for _ in 0..3 {
        let moment = day.to_datetime(time).to_zoned(zone.clone());
        match moment.ok().and_then(|zoned| wall(zoned.timestamp()).ok()) {
            Some(wall) if wall >= earliest => return wall,
            _ => day = day.saturating_add(1.day()),
        }
    }
    earliest
}

fn wall(timestamp: Timestamp) -> Result<Wall, String> {
    let nanos = u64::try_from(timestamp.as_nanosecond());
    nanos.map(Wall).map_err(|_| "before 1970 or after 2554".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: Option<SignedDuration> = text.parse().ok();
    let span = span.and_then(|span| Duration::try_from(span).ok());
    span.ok_or_else(|| "not a duration with a unit".to_owned())
}

/// `1795356860.811`; digits beyond nanoseconds are cut off.
fn epoch(text: &str) -> Option<Wall> {
    const DIGITS: usize = 9;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.contains('.') {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(DIGITS).collect();
    let seconds: u64 = seconds.parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(digits.parse().ok()?).map(Wall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;
    /// 2026-11-22T14:14:20Z.
    const AT: u64 = 1_795_356_860 * S;

    fn zone() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(1))
    }

    #[test]
    fn moments_are_typed_in_many_ways() {
        // The files begin at 23:50 local time, and last two hours.
        let start = Wall(AT + (8 * 3_600 + 35 * 60 + 40) * S);
        let end = Wall(start.0 + 7_200 * S);
        for (text, expected) in [
            ("2026-11-22T14:14:20Z", AT),
            ("2026-11-22T15:14:20.5+01:00", AT + S / 2),
            ("2026-11-22 14:14:20Z", AT),
            ("2026-11-22 15:14:20", AT),
            ("2026-11-22T15:14:20", AT),
            ("2026-11-22 15:14", AT - 20 * S),
            ("1795356860", AT),
            ("1795356860.811089123", AT + 811_089_123),
            ("1795356860.8110891239", AT + 811_089_123),
            ("+90s", start.0 + 90 * S),
            ("+1m 30s", start.0 + 90 * S),
            ("-30s", end.0 - 30 * S),
            ("+0s", start.0),
            ("23:50", start.0),
            ("23:00:00", start.0 - 3_000 * S),
            ("00:10", start.0 + 1_200 * S),
        ] {
            let moment = Moment::parse(text, &zone()).unwrap();
            assert_eq!(moment.wall(start, end), Wall(expected), "{text}");
            assert_eq!(moment.needs_end(), text.starts_with('-'), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in ["", "soon", "+90", "-", "1.2.3", "99999999999999999999", "25:00", "1960-01-01"]
        {
            assert!(Moment::parse(text, &zone()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,30}", start in any::<u64>(), end in any::<u64>()) {
            if let Ok(moment) = Moment::parse(&text, &zone()) {
                moment.wall(Wall(start), Wall(end));
            }
        }

        #[test]
        fn any_time_of_day_is_found(hour in 0..24_i8, minute in 0..60_i8, start in any::<u64>()) {
            let moment = Moment::Clock(Time::constant(hour, minute, 0, 0), zone());
            moment.wall(Wall(start), Wall(start));
        }
    }
}
