//! The frames of the ssh session that reads frames: each of them would carry those that were read before, and be
//! read again, without end. So who follows through ssh leaves them out.

use std::net::IpAddr;

/// Between an address of a link and the interface it is on (RFC 4007, section 11).
const ZONE: char = '%';

/// What matches the frames of the session that `connection` tells, in libpcap's syntax, on tagged links, too; none
/// if it tells none. It reads as ssh(1) writes `SSH_CONNECTION`: address and port of the client, then of the server.
pub fn filter(connection: &str) -> Option<String> {
    let words: Vec<_> = connection.split_whitespace().collect();
    let [client, client_port, server, server_port] = words[..] else { return None };
    let address = |word: &str| word.split(ZONE).next()?.parse::<IpAddr>().ok();
    let port = |word: &str| word.parse::<u16>().ok();
    let ends = format!(
        "tcp and host {} and host {} and port {} and port {}",
        address(client)?,
        address(server)?,
        port(client_port)?,
        port(server_port)?
    );
    // Each `vlan` makes libpcap look one tag further: untagged, one tag, two.
    Some(format!("({ends}) or (vlan and {ends}) or (vlan and {ends})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::filter::Filter;
    use crate::frame::{Frame, FrameHeader, LinkType};

    /// TCP between 10.0.0.1 and 10.0.0.2 behind these tags.
    fn tcp(tags: &[[u8; 4]], from: u16, to: u16) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        frame.extend(tags.concat());
        frame.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
        frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
        frame
    }

    #[test]
    fn the_session_is_known_behind_any_tags_and_nothing_else_is() {
        let filter = filter("10.0.0.1 52744 10.0.0.2 22").unwrap();
        let mut filter =
            Filter::parse(&filter).unwrap().for_user_space(LinkType::ETHERNET).unwrap();
        let mut matches = |tags: &[[u8; 4]], from, to| {
            filter.accepts(&Frame::whole(FrameHeader::default(), &tcp(tags, from, to)))
        };
        let (outer, inner) = ([0x88, 0xa8, 0, 100], [0x81, 0, 3, 0xbc]);
        for tags in [&[][..], &[inner], &[outer, inner]] {
            assert!(matches(tags, 52_744, 22), "{tags:?}");
            assert!(matches(tags, 22, 52_744), "{tags:?}");
            assert!(!matches(tags, 52_745, 22), "another session, {tags:?}");
        }
    }

    #[test]
    fn what_tells_no_session_leaves_nothing_out() {
        for text in
            ["", "10.0.0.1 1 10.0.0.2", "10.0.0.1 1 10.0.0.2 65536", "a 1 b 2", "1 or 1 2 x 3"]
        {
            assert_eq!(filter(text), None, "{text}");
        }
        let link = filter("fe80::1%eth0 40000 fe80::2%eth0 22").unwrap();
        assert!(Filter::parse(&link).is_ok(), "{link}");
    }
}
