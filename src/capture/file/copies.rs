//! What the comment on a frame of our own files says: how many copies it stands for.
//!
//! Anybody may write such a comment, so nothing of it is trusted but the two numbers, and these only as
//! a claim: who counts by them says so.

use super::Copies;
use crate::time::Wall;

/// How the comment begins (`incident::pcapng`), and what stands around its numbers.
const BEGIN: &str = "dashcap: folded; this frame came ";
const TIMES: &str = " times within ";
const LAST: &str = "the last time at ";
const END: &str = ";";

/// What the comment tells; none for any other.
pub fn told(comment: &[u8]) -> Option<Copies> {
    let rest = std::str::from_utf8(comment).ok()?.strip_prefix(BEGIN)?;
    let (count, rest) = rest.split_once(TIMES)?;
    let (_, rest) = rest.split_once(LAST)?;
    let (last, _) = rest.split_once(END)?;
    let last: jiff::Timestamp = last.parse().ok()?;
    let last = Wall(u64::try_from(last.as_nanosecond()).ok()?);
    let count = count.parse().ok().filter(|count| *count > 0)?;
    Some(Copies { count, last })
}

/// The comment on a frame of `first` that stands for these.
pub fn comment(first: Wall, copies: Copies) -> String {
    let Copies { count, last } = copies;
    let seconds = last.0.saturating_sub(first.0) as f64 / 1e9;
    format!("{BEGIN}{count}{TIMES}{seconds:.6} s, {LAST}{last}{END} it is stored once")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_our_own_comment_tells_copies() {
        let comment = "dashcap: folded; this frame came 371999 times within 0.999997 s, the last time at \
                       2026-11-22T14:14:20.811089123Z; it is stored once";
        let last = Wall(1_795_356_860_811_089_123);
        assert_eq!(told(comment.as_bytes()), Some(Copies { count: 371_999, last }));
        let again = super::comment(Wall(last.0 - 999_997_000), Copies { count: 371_999, last });
        assert_eq!(again, comment);
        for other in [
            "",
            "a comment",
            "dashcap: faded; memory kept the headers, 54 of 1514 bytes",
            "dashcap: folded; this frame came 0 times within 1 s, the last time at 2026-11-22T14:14:20Z; x",
            "dashcap: folded; this frame came -1 times within 1 s, the last time at 2026-11-22T14:14:20Z; x",
            "dashcap: folded; this frame came 5 times within 1 s, the last time at noon; x",
        ] {
            assert_eq!(told(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_comment_is_read(rest in "[0-9a-zA-Z :;,.-]{0,80}") {
            told(format!("{BEGIN}{rest}").as_bytes());
            told(rest.as_bytes());
        }
    }
}
