//! ICMP echo (RFC 792, RFC 4443 §4), as ping(8) asks.
//!
//! The sequence and a random cookie must come back, and the identifier where the kernel leaves it to us:
//! what others ask and are answered, and damaged replies, are passed over.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use super::exchange::{Dialect, Heard, Line, Way};
use crate::wire::icmp::{Echo, Family, behind_ipv4};

/// Echo requests to one host.
#[derive(Debug)]
pub(super) struct Ping {
    way: Way,
    /// In every request, so that no other process on this host or beyond has the same.
    cookie: u64,
    /// A raw socket shows the IPv4 header and leaves the identifier to us (raw(7)); a ping socket
    /// does neither (icmp(7)).
    raw: bool,
}

impl Ping {
    pub(super) fn new(way: Way, cookie: u64) -> Self {
        Self { way, cookie, raw: true }
    }

    /// A socket, and whether it is a raw one; where that is refused, the ping socket that some systems
    /// grant to everybody. The error is that of the raw one, which is what an operator can grant.
    pub(super) fn socket(far: SocketAddr) -> io::Result<(Socket, bool)> {
        let protocol = if far.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        let of = |kind| Socket::new(Domain::for_address(far), kind, Some(protocol));
        match of(Type::RAW) {
            Ok(raw) => Ok((raw, true)),
            Err(refused) => of(Type::DGRAM).map(|ping| (ping, false)).map_err(|_| refused),
        }
    }

    fn family(&self) -> Family {
        Family::from(self.way.far.ip())
    }

    /// Two bytes of the cookie serve as identifier.
    fn identifier(&self) -> u16 {
        let [first, second, ..] = self.cookie.to_be_bytes();
        u16::from_be_bytes([first, second])
    }

    fn sequence(&self, datagram: &[u8]) -> Option<u16> {
        let family = self.family();
        let icmp = if self.raw && family == Family::V4 { behind_ipv4(datagram)? } else { datagram };
        let echo = family.reply(icmp)?;
        let ours = echo.payload == self.cookie.to_be_bytes()
            && (!self.raw || echo.identifier == self.identifier());
        ours.then_some(echo.sequence)
    }
}

impl Dialect for Ping {
    /// Connected, so the kernel hands over what comes from the host and nothing else, and passes on
    /// what routers complain.
    fn open(&mut self) -> io::Result<Line> {
        let (socket, raw) = Self::socket(self.way.far)?;
        self.raw = raw;
        self.way.connect(&socket)?;
        Ok(Line { socket, to: None })
    }

    fn request(&mut self, sequence: u16) -> io::Result<Vec<u8>> {
        let payload = &self.cookie.to_be_bytes();
        Ok(self.family().request(&Echo { identifier: self.identifier(), sequence, payload }))
    }

    fn heard(&mut self, datagram: &[u8]) -> Heard {
        self.sequence(datagram).map_or(Heard::Stray, Heard::Answer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use proptest::prelude::*;

    use super::*;
    use crate::lab::{BOUND, Namespace};
    use crate::sys::poll::readable;

    const COOKIE: u64 = 0x1234_5678_9abc_def0;

    fn ping(raw: bool) -> Ping {
        let far = "[::1]:0".parse().unwrap();
        Ping { way: Way { far, interface: None, source: None }, cookie: COOKIE, raw }
    }

    fn reply(identifier: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Family::V6.request(&Echo { identifier, sequence: 7, payload });
        bytes[0] = 129; // echo reply, RFC 4443 §4.2
        bytes
    }

    #[test]
    fn only_our_cookie_and_identifier_come_back() {
        let ours = COOKIE.to_be_bytes();
        for (what, raw, datagram, heard) in [
            ("ours", true, reply(0x1234, &ours), Heard::Answer(7)),
            ("another identifier", true, reply(1, &ours), Heard::Stray),
            ("a ping socket's identifier", false, reply(1, &ours), Heard::Answer(7)),
            ("another cookie", true, reply(0x1234, &[0; 8]), Heard::Stray),
            ("a longer payload", true, reply(0x1234, &[&ours[..], &[0]].concat()), Heard::Stray),
            ("no payload", true, reply(0x1234, &[]), Heard::Stray),
            ("our own request", true, ping(true).request(7).unwrap(), Heard::Stray),
        ] {
            assert_eq!(ping(raw).heard(&datagram), heard, "{what}");
        }
    }

    #[test]
    fn a_ping_socket_is_understood_too() {
        let Some(ns) = Namespace::new() else { return };
        ns.ip("link set lo up");
        ns.inside(|| {
            std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").unwrap();
            for (far, protocol) in
                [("127.0.0.1:0", Protocol::ICMPV4), ("[::1]:0", Protocol::ICMPV6)]
            {
                let mut ping = ping(false);
                ping.way.far = far.parse().unwrap();
                let domain = Domain::for_address(ping.way.far);
                let mut socket = Socket::new(domain, Type::DGRAM, Some(protocol)).unwrap();
                ping.way.connect(&socket).unwrap();
                socket.send(&ping.request(9).unwrap()).unwrap();
                assert!(readable(&[socket.as_fd()], Some(BOUND)).unwrap());
                let mut datagram = [0; 256];
                let length = socket.read(&mut datagram).unwrap();
                assert_eq!(ping.heard(&datagram[..length]), Heard::Answer(9), "{far}");
            }
        });
    }

    proptest! {
        #[test]
        fn no_datagram_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), four: bool) {
            let mut ping = ping(true);
            if four {
                ping.way.far = "127.0.0.1:0".parse().unwrap();
            }
            prop_assert_eq!(ping.heard(&bytes), Heard::Stray);
        }
    }
}
