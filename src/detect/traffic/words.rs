//! Frames and figures in words, for findings.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::frame::{Direction, FrameHeader, LinkType};

/// A frame in one line: addresses, VLANs, protocol, ports, length. What cannot be read is left out.
pub(super) fn frame(link_type: LinkType, header: &FrameHeader, bytes: &[u8]) -> String {
    let mut line = String::new();
    if link_type == LinkType::ETHERNET {
        ethernet(&mut line, bytes);
    } else if link_type == LinkType::RAW {
        ip(&mut line, bytes);
    }
    // Writing to a string cannot fail.
    let _ = write!(line, "{}{} bytes", separator(&line), header.original_len);
    line
}

/// "sent out of eth0", "received on eth0".
pub(super) fn way(direction: Direction, interface: &str) -> String {
    match direction {
        Direction::Inbound => format!("received on {interface}"),
        Direction::Outbound => format!("sent out of {interface}"),
        Direction::Unknown => format!("on {interface}"),
    }
}

/// A figure as people read it: 372,000; below ten with one digit more.
pub(super) fn grouped(figure: f64) -> String {
    if figure < 10.0 { format!("{figure:.1}") } else { count(figure.round() as u64) }
}

/// A count as people read it: 372,000.
pub(super) fn count(count: u64) -> String {
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

fn separator(line: &str) -> &'static str {
    if line.is_empty() { "" } else { ", " }
}

fn ethernet(line: &mut String, bytes: &[u8]) -> Option<()> {
    const VID: u16 = 0x0fff;
    let [to, from] = [bytes.get(..6)?, bytes.get(6..12)?].map(station);
    let mut rest = bytes.get(12..)?;
    loop {
        let (kind, content) = rest.split_first_chunk::<2>()?;
        match u16::from_be_bytes(*kind) {
            0x8100 | 0x88a8 => {
                let (tag, behind) = content.split_first_chunk::<2>()?;
                let vid = u16::from_be_bytes(*tag) & VID;
                let _ = write!(line, "{}VLAN {vid}", separator(line));
                rest = behind;
            }
            0x0800 | 0x86dd => {
                let _ = write!(line, "{}", separator(line));
                return ip(line, content);
            }
            other => {
                let _ = write!(line, "{}{from} > {to} {}", separator(line), ether_type(other));
                return Some(());
            }
        }
    }
}

fn station(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

fn ether_type(kind: u16) -> String {
    match kind {
        0x0806 => "ARP".to_owned(),
        0x8809 => "slow protocol".to_owned(),
        0x88cc => "LLDP".to_owned(),
        length if length <= 1_500 => "LLC".to_owned(),
        other => format!("EtherType 0x{other:04x}"),
    }
}

fn ip(line: &mut String, bytes: &[u8]) -> Option<()> {
    let (from, to, protocol, content) = match bytes.first()? >> 4 {
        4 => {
            let header = bytes.first_chunk::<20>()?;
            let address = |at: usize| -> Option<String> {
                Some(Ipv4Addr::from(*header.get(at..)?.first_chunk::<4>()?).to_string())
            };
            let content = bytes.get(usize::from(header[0] & 0x0f) * 4..)?;
            (address(12)?, address(16)?, header[9], content)
        }
        6 => {
            let header = bytes.first_chunk::<40>()?;
            let address = |at: usize| -> Option<String> {
                Some(Ipv6Addr::from(*header.get(at..)?.first_chunk::<16>()?).to_string())
            };
            (address(8)?, address(24)?, header[6], bytes.get(40..)?)
        }
        _ => return None,
    };
    let name = match protocol {
        1 | 58 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        other => format!("protocol {other}"),
    };
    let _ = match content.first_chunk::<4>().filter(|_| matches!(protocol, 6 | 17)) {
        Some([a, b, c, d]) => {
            let [source, target] = [[*a, *b], [*c, *d]].map(u16::from_be_bytes);
            write!(line, "{name} {from} port {source} > {to} port {target}")
        }
        None => write!(line, "{name} {from} > {to}"),
    };
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_read_as_an_engineer_would_say() {
        let header = FrameHeader { original_len: 60, ..FrameHeader::default() };
        let mut arp = vec![0xff; 6];
        arp.extend([2, 0, 0, 0, 0, 1, 0x81, 0, 3, 0xbc, 8, 6]);
        assert_eq!(
            frame(LinkType::ETHERNET, &header, &arp),
            "VLAN 956, 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff ARP, 60 bytes"
        );
        let mut tcp = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
        tcp.extend([192, 0, 2, 1, 192, 0, 2, 2, 1, 0xbb, 0x80, 0]);
        assert_eq!(
            frame(LinkType::RAW, &header, &tcp),
            "TCP 192.0.2.1 port 443 > 192.0.2.2 port 32768, 60 bytes"
        );
        assert_eq!(frame(LinkType::NETLINK, &header, &tcp), "60 bytes");
    }

    #[test]
    fn figures_are_grouped_by_thousands() {
        for (figure, shown) in
            [(0.25, "0.2"), (64.0, "64"), (999.6, "1,000"), (371_999.7, "372,000")]
        {
            assert_eq!(grouped(figure), shown);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_put_into_words(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            kind in prop_oneof![Just([8, 0]), Just([0x86, 0xdd]), Just([0x81, 0]), any::<[u8; 2]>()],
        ) {
            let mut bytes = bytes;
            if let Some(place) = bytes.get_mut(12..14) {
                place.copy_from_slice(&kind);
            }
            for link_type in [LinkType::ETHERNET, LinkType::RAW, LinkType::RADIOTAP] {
                frame(link_type, &FrameHeader::default(), &bytes);
            }
        }
    }
}
