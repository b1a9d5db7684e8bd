//! Frames, figures, sizes and times in words: what people read says them alike everywhere.

use std::time::Duration;

use bytesize::ByteSize;

use crate::frame::{Direction, FrameHeader, LinkType};
use crate::wire::Reading;

/// A frame in one line: what it says, as far as it can be read, and its length.
pub fn frame(link_type: LinkType, header: &FrameHeader, bytes: &[u8]) -> String {
    let length = header.original_len;
    match Reading::of(link_type, bytes) {
        Some(reading) => format!("{reading}, {length} bytes"),
        None => format!("{length} bytes"),
    }
}

/// "sent out of eth0", "received on eth0".
pub fn way(direction: Direction, interface: &str) -> String {
    match direction {
        Direction::Inbound => format!("received on {interface}"),
        Direction::Outbound => format!("sent out of {interface}"),
        Direction::Unknown => format!("on {interface}"),
    }
}

/// A figure as people read it: 372,000; below ten with one digit more.
pub fn figure(figure: f64) -> String {
    if figure < 10.0 { format!("{figure:.1}") } else { count(figure.round() as u64) }
}

/// A time as people say it, two or three digits: 1.50 s, 12 ms, 0.1 ms.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let millis = seconds * 1e3;
    if seconds >= 1.0 {
        format!("{seconds:.2} s")
    } else if millis >= 10.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{millis:.1} ms")
    }
}

/// A count as people read it: 372,000.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// So many of them: `1 frame`, `2,000 frames`.
pub fn counted(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// Bytes as people read them: 3.9 GB.
pub fn bytes(bytes: u64) -> String {
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
pub fn short(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "in",
        Direction::Outbound => "out",
        Direction::Unknown => "",
    }
}

/// A distance from the trigger: `89.363 s before`, `12 min after`, `at`.
pub fn distance(before: f64) -> String {
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
pub fn lasting(seconds: f64) -> String {
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
pub fn offset(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Memory and disk as options name them: 256.0 MiB.
pub fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// A duration as people say it: in the largest unit of which there are at least two.
pub fn rough(duration: Duration) -> String {
    const UNITS: [(f64, &str); 3] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min")];
    let seconds = duration.as_secs_f64();
    let unit = UNITS.into_iter().find(|(unit, _)| seconds >= 2.0 * unit);
    let (unit, name) = unit.unwrap_or((1.0, "s"));
    format!("{:.0} {name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_as_an_engineer_would_say() {
        let header = FrameHeader { original_len: 60, ..FrameHeader::default() };
        let mut tcp = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
        tcp.extend([192, 0, 2, 1, 192, 0, 2, 2, 1, 0xbb, 0x80, 0]);
        tcp.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 64, 0, 0, 0, 0]);
        let said = frame(LinkType::RAW, &header, &tcp);
        assert!(said.starts_with("192.0.2.1 → 192.0.2.2 TCP 443 → 32768"), "{said}");
        assert!(said.ends_with(", 60 bytes"), "{said}");
        assert_eq!(frame(LinkType::NETLINK, &header, &tcp), "60 bytes");
    }

    #[test]
    fn figures_are_grouped_by_thousands() {
        for (figure, shown) in
            [(0.25, "0.2"), (64.0, "64"), (999.6, "1,000"), (371_999.7, "372,000")]
        {
            assert_eq!(self::figure(figure), shown);
        }
    }

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

    #[test]
    fn durations_are_said_as_people_do() {
        for (seconds, said) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d")]
        {
            assert_eq!(rough(Duration::from_secs(seconds)), said);
        }
    }
}
