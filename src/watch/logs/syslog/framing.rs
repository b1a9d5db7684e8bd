//! Where syslog messages end on a TCP connection (RFC 6587), told message by message, because senders
//! do not say beforehand which way they use:
//!
//! ```text
//!   61 <30>1 2026-11-22T14:14:20Z r1 vrrp - - - Entering ...     octet counting: LENGTH SP MESSAGE
//!   <30>Nov 22 14:14:20 r1 vrrp[812]: Entering FAULT STATE\n     each on a line of its own
//! ```
//!
//! A number counts octets only if a blank and `<` follow, since a line may begin with a number, too.

use crate::observation::log_line::LONGEST;

/// A count above this is no count: nobody logs a mebibyte, and believing it would swallow what follows.
const MOST: usize = 1 << 20;
/// Digits of [`MOST`].
const DIGITS: usize = 7;

/// Collects the pieces of one connection.
#[derive(Debug, Default)]
pub struct Framing {
    /// What is collected: at most [`LONGEST`] bytes, and a little more of a beginning.
    begun: Vec<u8>,
    cut: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// Between messages, or in what may be a count.
    #[default]
    Between,
    /// Behind a count and its blank.
    Counted(usize),
    /// In a message; so many octets are to come.
    Octets(usize),
    /// In a message that a line feed or a zero byte ends (RFC 6587 §3.4.2).
    Line,
}

impl Framing {
    /// Takes further bytes; `message` gets each message that is complete, and whether it is cut.
    pub fn push(&mut self, mut bytes: &[u8], mut message: impl FnMut(&[u8], bool)) {
        while let Some((first, rest)) = bytes.split_first() {
            match self.state {
                State::Between => {
                    self.begin(*first);
                    bytes = rest;
                }
                State::Counted(count) if *first == b'<' => {
                    self.begun.clear();
                    self.state = State::Octets(count);
                }
                State::Counted(_) => self.state = State::Line,
                State::Octets(left) => {
                    let (head, rest) = bytes.split_at(left.min(bytes.len()));
                    self.add(head);
                    bytes = rest;
                    self.state = State::Octets(left - head.len());
                    if head.len() == left {
                        self.hand_over(&mut message);
                    }
                }
                State::Line => {
                    let end = bytes.iter().position(|byte| matches!(byte, b'\n' | 0));
                    let (head, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    self.add(head);
                    bytes = rest.get(1..).unwrap_or_default();
                    if end.is_some() {
                        self.hand_over(&mut message);
                    }
                }
            }
        }
    }

    /// The connection ended: hands over what had begun.
    pub fn finish(&mut self, mut message: impl FnMut(&[u8], bool)) {
        if !self.begun.is_empty() {
            self.hand_over(&mut message);
        }
    }

    /// A byte between messages, or behind the digits of a possible count.
    fn begin(&mut self, byte: u8) {
        let digits = self.begun.len();
        match byte {
            b'\n' | b'\r' | 0 if digits == 0 => {}
            b'0'..=b'9' if digits < DIGITS => self.begun.push(byte),
            b' ' if digits > 0 => {
                let count =
                    std::str::from_utf8(&self.begun).ok().and_then(|text| text.parse().ok());
                self.begun.push(byte);
                self.state = match count {
                    Some(count) if (1..=MOST).contains(&count) => State::Counted(count),
                    _ => State::Line,
                };
            }
            // A number alone on its line.
            b'\n' | b'\r' | 0 => self.begun.clear(),
            _ => {
                self.begun.push(byte);
                self.state = State::Line;
            }
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = LONGEST.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.cut |= bytes.len() > room;
    }

    fn hand_over(&mut self, message: &mut impl FnMut(&[u8], bool)) {
        message(self.begun.trim_ascii_end(), self.cut);
        self.begun.clear();
        self.cut = false;
        self.state = State::Between;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let (mut framing, mut seen) = (Framing::default(), Vec::new());
        let mut take = |message: &[u8], cut| seen.push((message.to_vec(), cut));
        pieces.iter().for_each(|piece| framing.push(piece, &mut take));
        framing.finish(&mut take);
        seen
    }

    #[test]
    fn both_ways_of_ending_a_message_are_understood() {
        for (stream, expected) in [
            ("<13>a\n<13>b\n", &["<13>a", "<13>b"][..]),
            ("5 <13>a7 <13>b\nc", &["<13>a", "<13>b\nc"]),
            ("5 <13>a\n<13>b\n5 <13>c", &["<13>a", "<13>b", "<13>c"]),
            ("<13>a\r\n\0<13>b\0", &["<13>a", "<13>b"]),
            ("<13>no end", &["<13>no end"]),
            ("9 lives\n<13>a\n", &["9 lives", "<13>a"]),
            ("189: x\n", &["189: x"]),
            ("0 <13>a\n", &["0 <13>a"]),
            ("9999999 <13>a\n", &["9999999 <13>a"]),
            ("123456789 <13>a\n", &["123456789 <13>a"]),
            ("99 <13>cut off", &["<13>cut off"]),
            ("", &[]),
        ] {
            let seen: Vec<_> = read(&[stream.as_bytes()])
                .into_iter()
                .map(|(message, _)| String::from_utf8(message).unwrap())
                .collect();
            assert_eq!(seen, expected, "{stream:?}");
        }
    }

    #[test]
    fn long_messages_are_cut_and_the_next_one_is_found() {
        for stream in [
            format!("<13>{}\n<13>b\n", "a".repeat(LONGEST)),
            format!("{} <13>{}5 <13>b", LONGEST + 4, "a".repeat(LONGEST)),
        ] {
            let seen = read(&[stream.as_bytes()]);
            assert_eq!((seen[0].0.len(), seen[0].1), (LONGEST, true));
            assert_eq!(seen[1], (b"<13>b".to_vec(), false));
        }
    }

    proptest! {
        #[test]
        fn messages_do_not_depend_on_the_pieces(
            bytes in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(b"0123456789 <>\n\0".to_vec()),
                    any::<u8>(),
                ],
                0..300,
            ),
            at in any::<prop::sample::Index>(),
        ) {
            let (head, tail) = bytes.split_at(at.index(bytes.len() + 1));
            prop_assert_eq!(read(&[&bytes]), read(&[head, tail]));
        }
    }
}
