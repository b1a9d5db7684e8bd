//! Frames and figures in words, for findings.

use std::time::Duration;

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
}
