//! Bytes as they come, cut into lines.
//!
//! A line may arrive in pieces; it is one when its end has come. What is longer than the bound is cut
//! there and passed over up to its end, so memory is bounded whatever is written.

/// Collects the pieces of one stream.
#[derive(Debug)]
pub(super) struct Lines {
    longest: usize,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// It was longer than the bound.
    cut: bool,
}

impl Lines {
    /// Of at most `longest` bytes each.
    pub(super) fn new(longest: usize) -> Self {
        Self { longest, begun: Vec::new(), cut: false }
    }

    /// Takes further bytes; `line` gets each line that is complete, and whether it is cut.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8], bool)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            self.add(head);
            self.hand_over(&mut line);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.add(bytes);
    }

    /// No more bytes will come: hands over what had begun.
    pub(super) fn finish(&mut self, mut line: impl FnMut(&[u8], bool)) {
        if !self.begun.is_empty() {
            self.hand_over(&mut line);
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = self.longest.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.cut |= bytes.len() > room;
    }

    fn hand_over(&mut self, line: &mut impl FnMut(&[u8], bool)) {
        let text = self.begun.strip_suffix(b"\r").unwrap_or(&self.begun);
        line(text, self.cut);
        self.begun.clear();
        self.cut = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&str], finish: bool) -> Vec<String> {
        let (mut lines, mut seen) = (Lines::new(5), Vec::new());
        let mut take = |line: &[u8], cut: bool| {
            let mark = if cut { "~" } else { "" };
            seen.push(format!("{}{mark}", String::from_utf8_lossy(line)));
        };
        for piece in pieces {
            lines.push(piece.as_bytes(), &mut take);
        }
        if finish {
            lines.finish(&mut take);
        }
        seen
    }

    #[test]
    fn pieces_become_lines_when_their_end_has_come() {
        for (pieces, finish, expected) in [
            (&["a\nb\n"][..], false, &["a", "b"][..]),
            (&["a", "b\nc"], false, &["ab"]),
            (&["a", "b\nc"], true, &["ab", "c"]),
            (&["a\r\n\r\n"], true, &["a", ""]),
            (&["12345\n123456\n1\n"], false, &["12345", "12345~", "1"]),
            (&["1234", "5", "6789", "0\nx\n"], false, &["12345~", "x"]),
            (&["1234567"], true, &["12345~"]),
            (&[""], true, &[]),
        ] {
            assert_eq!(split(pieces, finish), expected, "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_pieces(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            at in any::<prop::sample::Index>(),
        ) {
            let read = |pieces: &[&[u8]]| {
                let (mut lines, mut seen) = (Lines::new(20), Vec::new());
                let mut take = |line: &[u8], cut| seen.push((line.to_vec(), cut));
                pieces.iter().for_each(|piece| lines.push(piece, &mut take));
                lines.finish(&mut take);
                seen
            };
            let (head, tail) = bytes.split_at(at.index(bytes.len() + 1));
            let whole = read(&[&bytes]);
            prop_assert_eq!(&whole, &read(&[head, tail]));
            prop_assert!(whole.iter().all(|(line, _)| line.len() <= 20));
        }
    }
}
