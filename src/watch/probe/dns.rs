//! A DNS query over UDP (RFC 1035): does the server answer?
//!
//! It asks for the IPv4 address of a name, and that the server find it (recursion desired). NOERROR and
//! NXDOMAIN are answers, whatever they say, truncated or not; SERVFAIL, REFUSED and the like mean that
//! the server is there and does not do its work, which is a loss with that reason.
//!
//! ```text
//!   id │ flags │ questions 1 │ 0 │ 0 │ 0 ║ 7 example 3 org 0 │ type A │ class IN
//!   └─ sequence and a random key          └─ comes back in the answer, in any case of letters
//! ```

use std::io;

use socket2::{Domain, Protocol, Socket, Type};

use super::exchange::{Dialect, Heard, Line, Way};

/// Bytes of the header (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// RD: recursion desired.
const RECURSION: u16 = 0x0100;
/// QR: this is an answer.
const RESPONSE: u16 = 0x8000;
/// RCODE, the last four bits of the flags.
const CODE: u16 = 0x000f;
/// Type A, class IN (RFC 1035 §3.2.2, §3.2.4).
const ADDRESS_IN: [u8; 4] = [0, 1, 0, 1];
/// NOERROR and NXDOMAIN (RFC 1035 §4.1.1).
const ANSWERS: [u16; 2] = [0, 3];
/// The others that a server has for a query (RFC 1035 §4.1.1).
const REFUSALS: [(u16, &str); 4] = [(1, "FORMERR"), (2, "SERVFAIL"), (4, "NOTIMP"), (5, "REFUSED")];

/// Queries to one server for one name.
#[derive(Debug)]
pub(super) struct Query {
    way: Way,
    question: Vec<u8>,
    /// Makes the identifiers that others cannot guess out of sequences.
    key: u16,
}

impl Query {
    /// `name` is one that [`super::target`] let pass.
    pub(super) fn new(way: Way, name: &str, cookie: u64) -> Self {
        let mut question = Vec::new();
        for label in name.split('.') {
            // At most 63, as was made sure when the name was parsed.
            question.push(u8::try_from(label.len()).unwrap_or_default());
            question.extend(label.as_bytes());
        }
        question.push(0);
        question.extend(ADDRESS_IN);
        let [first, second, ..] = cookie.to_be_bytes();
        Self { way, question, key: u16::from_be_bytes([first, second]) }
    }

    fn read(&self, datagram: &[u8]) -> Option<Heard> {
        let field = |at: usize| Some(u16::from_be_bytes(*datagram.get(at..)?.first_chunk()?));
        let (id, flags, questions) = (field(0)?, field(2)?, field(4)?);
        let behind = datagram.get(HEADER..)?;
        let code = flags & CODE;
        let ours = match behind.get(..self.question.len()) {
            Some(question) if questions > 0 => question.eq_ignore_ascii_case(&self.question),
            // Some servers leave out the question they refuse.
            _ => questions == 0 && !ANSWERS.contains(&code),
        };
        if !ours || flags & RESPONSE == 0 {
            return None;
        }
        let sequence = id ^ self.key;
        if ANSWERS.contains(&code) {
            return Some(Heard::Answer(sequence));
        }
        let name = REFUSALS.iter().find(|(number, _)| *number == code).map(|(_, name)| *name);
        let name = name.map_or_else(|| format!("code {code}"), str::to_owned);
        Some(Heard::Refused(sequence, format!("the server says {name}")))
    }
}

impl Dialect for Query {
    fn open(&mut self) -> io::Result<Line> {
        let domain = Domain::for_address(self.way.far);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        self.way.connect(&socket)?;
        Ok(Line { socket, to: None })
    }

    fn request(&mut self, sequence: u16) -> io::Result<Vec<u8>> {
        let header = [sequence ^ self.key, RECURSION, 1, 0, 0, 0];
        let header = header.iter().flat_map(|field| field.to_be_bytes());
        Ok(header.chain(self.question.iter().copied()).collect())
    }

    fn heard(&mut self, datagram: &[u8]) -> Heard {
        self.read(datagram).unwrap_or(Heard::Stray)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(cookie: u64) -> Query {
        let way = Way { far: "127.0.0.1:53".parse().unwrap(), interface: None, source: None };
        Query::new(way, "Example.org", cookie)
    }

    #[test]
    fn a_query_has_the_bytes_of_the_rfc() {
        let bytes = query(0).request(0x1234).unwrap();
        assert_eq!(bytes[..12], [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[12..], *b"\x07Example\x03org\x00\x00\x01\x00\x01");
        assert_ne!(query(0xffff_0000_0000_0000).request(0x1234).unwrap()[..2], bytes[..2]);
    }

    #[test]
    fn answers_are_told_from_refusals_and_strangers() {
        let mut query = query(0x4711_0000_0000_0000);
        let asked = query.request(9).unwrap();
        let reply = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = asked.clone();
            bytes[2] |= 0x80;
            change(&mut bytes);
            bytes
        };
        let refused = |reason: &str| Heard::Refused(9, format!("the server says {reason}"));
        for (what, bytes, heard) in [
            ("NOERROR", reply(&|_| ()), Heard::Answer(9)),
            ("NXDOMAIN", reply(&|b| b[3] = 3), Heard::Answer(9)),
            ("with records", reply(&|b| b.extend([0xc0; 300])), Heard::Answer(9)),
            ("in capitals", reply(&|b| b.make_ascii_uppercase()), Heard::Answer(9)),
            ("SERVFAIL", reply(&|b| b[3] = 2), refused("SERVFAIL")),
            ("REFUSED", reply(&|b| b[3] = 0x85), refused("REFUSED")),
            ("code 9", reply(&|b| b[3] = 9), refused("code 9")),
            (
                "REFUSED without the question",
                reply(&|b| {
                    b.truncate(HEADER);
                    (b[3], b[5]) = (5, 0);
                }),
                refused("REFUSED"),
            ),
            ("our own query", asked.clone(), Heard::Stray),
            ("another question", reply(&|b| b[14] = b'y'), Heard::Stray),
            ("no question", reply(&|b| b[5] = 0), Heard::Stray),
            ("cut", reply(&|b| b.truncate(20)), Heard::Stray),
            ("empty", Vec::new(), Heard::Stray),
        ] {
            assert_eq!(query.heard(&bytes), heard, "{what}");
        }
    }

    proptest! {
        #[test]
        fn no_datagram_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut query = query(1);
            let _ = query.heard(&bytes);
        }
    }
}
