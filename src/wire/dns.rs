//! DNS messages in a datagram (RFC 1035 §4): who asks for which name, and what the server says to it.
//!
//! Only the header and the first question are read: they say whether a question was answered and how.
//! A truncated answer (TC) is an answer: the client asks again over TCP (RFC 7766 §5).

use std::fmt;

use super::u16_at;

/// Port on which servers are asked (RFC 1035 §4.2).
pub const PORT: u16 = 53;
/// Identifier, flags and four counts (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// Longest name with its length bytes (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 255;
/// Longest label; what is above is a pointer, of which a first question has no use (RFC 1035 §4.1.4).
const LONGEST_LABEL: u8 = 63;

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dns<'a> {
    /// The same in question and answer.
    pub id: u16,
    /// An answer (QR).
    pub is_response: bool,
    /// What is wanted; [`Dns::QUERY`] is a look-up.
    pub opcode: u8,
    /// The answer did not fit (TC).
    pub is_truncated: bool,
    /// The client wants the answer and not where to ask next (RD): it depends on this server.
    pub wants_recursion: bool,
    /// How it went (RCODE); zero in a question.
    pub code: u8,
    /// What is asked; none where it is left out or cut.
    pub question: Option<DnsQuestion<'a>>,
}

/// One question (RFC 1035 §4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsQuestion<'a> {
    /// Labels with their lengths, without the empty one at the end.
    labels: &'a [u8],
    /// The type of the records that are wanted.
    pub kind: u16,
}

impl<'a> Dns<'a> {
    /// Opcode of a standard query (RFC 1035 §4.1.1).
    pub const QUERY: u8 = 0;
    /// The server could not find out (RFC 1035 §4.1.1).
    pub const SERVFAIL: u8 = 2;
    /// There is no such name.
    pub const NXDOMAIN: u8 = 3;
    /// The server does not want to answer this client.
    pub const REFUSED: u8 = 5;

    /// Reads a UDP payload. None for what is shorter than a header, or of an opcode that nobody assigned.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        /// DSO is the highest (RFC 8490 §5.1).
        const HIGHEST_OPCODE: u8 = 6;
        const RESPONSE: u8 = 0x80;
        const TRUNCATED: u8 = 0x02;
        const RECURSION: u8 = 0x01;
        let &[_, _, first, second] = bytes.first_chunk()?;
        let questions = u16_at(bytes, 4)?;
        let behind = bytes.get(HEADER..)?;
        let opcode = first >> 3 & 0x0f;
        (opcode <= HIGHEST_OPCODE).then_some(Self {
            id: u16_at(bytes, 0)?,
            is_response: first & RESPONSE != 0,
            opcode,
            is_truncated: first & TRUNCATED != 0,
            wants_recursion: first & RECURSION != 0,
            code: second & 0x0f,
            question: if questions > 0 { DnsQuestion::parse(behind) } else { None },
        })
    }

    /// The code in the words of the registry (IANA, DNS RCODEs).
    pub fn code_name(code: u8) -> &'static str {
        match code {
            0 => "NOERROR",
            1 => "FORMERR",
            Self::SERVFAIL => "SERVFAIL",
            Self::NXDOMAIN => "NXDOMAIN",
            4 => "NOTIMP",
            Self::REFUSED => "REFUSED",
            9 => "NOTAUTH",
            _ => "another error",
        }
    }
}

impl<'a> DnsQuestion<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut end = 0;
        loop {
            match *bytes.get(end)? {
                0 => break,
                length if length <= LONGEST_LABEL => end += 1 + usize::from(length),
                _ => return None,
            }
            if end >= LONGEST_NAME {
                return None;
            }
        }
        Some(Self { labels: bytes.get(..end)?, kind: u16_at(bytes, end + 1)? })
    }

    /// The labels of the name, from the host to the top.
    pub fn labels(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.labels;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first()?;
            let (label, next) = behind.split_at_checked(usize::from(*length))?;
            rest = next;
            Some(label)
        })
    }
}

impl fmt::Display for DnsQuestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            1 => f.write_str("A "),
            2 => f.write_str("NS "),
            5 => f.write_str("CNAME "),
            6 => f.write_str("SOA "),
            12 => f.write_str("PTR "),
            15 => f.write_str("MX "),
            16 => f.write_str("TXT "),
            28 => f.write_str("AAAA "),
            33 => f.write_str("SRV "),
            65 => f.write_str("HTTPS "),
            kind => write!(f, "type {kind} "),
        }?;
        if self.labels.is_empty() {
            return f.write_str("<Root>");
        }
        for (at, label) in self.labels().enumerate() {
            f.write_str(if at > 0 { "." } else { "" })?;
            label.escape_ascii().fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Dns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.opcode {
            Self::QUERY => "Standard query",
            4 => "Zone change notification",
            5 => "Dynamic update",
            _ => "Message",
        };
        let response = if self.is_response { " response" } else { "" };
        write!(f, "{what}{response} {:#06x}", self.id)?;
        match self.code {
            0 => Ok(()),
            1 => f.write_str(" Format error"),
            Self::SERVFAIL => f.write_str(" Server failure"),
            Self::NXDOMAIN => f.write_str(" No such name"),
            4 => f.write_str(" Not implemented"),
            Self::REFUSED => f.write_str(" Refused"),
            code => write!(f, " error {code}"),
        }?;
        match self.question {
            Some(question) => write!(f, " {question}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A query for `www.example.test`, A, as net.py and dig send it.
    fn query() -> Vec<u8> {
        let mut bytes = vec![0x80, 0xd1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(b"\x03www\x07example\x04test\0\0\x01\0\x01");
        bytes
    }

    #[test]
    fn questions_and_answers_are_read() {
        let query = query();
        let asked = Dns::parse(&query).unwrap();
        assert!(!asked.is_response && asked.wants_recursion && asked.opcode == Dns::QUERY);
        assert_eq!(asked.to_string(), "Standard query 0x80d1 A www.example.test");
        assert_eq!(asked.question.unwrap().labels().last(), Some(&b"test"[..]));
        // flags, what it says
        for (flags, said) in [
            ([0x81, 0x80], "Standard query response 0x80d1 A www.example.test"),
            ([0x81, 0x82], "Standard query response 0x80d1 Server failure A www.example.test"),
            ([0x81, 0x83], "Standard query response 0x80d1 No such name A www.example.test"),
            ([0x81, 0x85], "Standard query response 0x80d1 Refused A www.example.test"),
            ([0x83, 0x80], "Standard query response 0x80d1 A www.example.test"),
            ([0x28, 0x00], "Dynamic update 0x80d1 A www.example.test"),
        ] {
            let mut bytes = query.clone();
            bytes[2..4].copy_from_slice(&flags);
            let dns = Dns::parse(&bytes).unwrap();
            assert_eq!(dns.to_string(), said);
            assert_eq!(dns.is_truncated, flags[0] & 2 != 0);
        }
    }

    #[test]
    fn what_is_cut_or_strange_has_no_question() {
        let whole = query();
        for len in 0..whole.len() {
            let dns = Dns::parse(&whole[..len]);
            assert_eq!(dns.is_some(), len >= HEADER, "{len}");
            assert_eq!(dns.and_then(|dns| dns.question).is_some(), len >= whole.len() - 2, "{len}");
        }
        let mut pointed = whole.clone();
        pointed[HEADER] = 0xc0;
        assert_eq!(Dns::parse(&pointed).unwrap().question, None, "a pointer");
        let mut none = whole.clone();
        none[5] = 0;
        assert_eq!(Dns::parse(&none).unwrap().question, None, "no question");
        let mut unassigned = whole.clone();
        unassigned[2] = 0x78;
        assert_eq!(Dns::parse(&unassigned), None, "opcode 15");
        let root = [&whole[..HEADER], &[0, 0, 2, 0, 1]].concat();
        assert_eq!(Dns::parse(&root).unwrap().to_string(), "Standard query 0x80d1 NS <Root>");
        let long = [&whole[..HEADER], &[63; 64 * 5][..], &[0, 0, 1, 0, 1]].concat();
        assert_eq!(Dns::parse(&long).unwrap().question, None, "longer than a name may be");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(dns) = Dns::parse(&bytes) {
                let _ = dns.to_string();
                let _ = dns.question.map(|question| question.labels().count());
            }
        }
    }
}
