//! The comments that dashcap writes on frames: what one stands for, or what is missing behind it. Worded and
//! read here.
//!
//! Anybody may write such a comment, so nothing of it is trusted but the two numbers, and these only as
//! a claim: who counts by them says so.

use super::Copies;
use crate::time::Wall;

/// How the comment on a folded frame begins, and what stands around its numbers.
const BEGIN: &str = "dashcap: folded; this frame came ";
const TIMES: &str = " times within ";
const LAST: &str = "the last time at ";
const END: &str = ";";

/// On a frame of `first` that is stored once for so many.
pub fn folded(first: Wall, copies: Copies) -> String {
    let Copies { count, last } = copies;
    let seconds = last.0.saturating_sub(first.0) as f64 / 1e9;
    format!("{BEGIN}{count}{TIMES}{seconds:.6} s, {LAST}{last}{END} it is stored once")
}

/// What the comment on a folded frame tells; none for any other.
pub fn copies(comment: &[u8]) -> Option<Copies> {
    let rest = std::str::from_utf8(comment).ok()?.strip_prefix(BEGIN)?;
    let (count, rest) = rest.split_once(TIMES)?;
    let (_, rest) = rest.split_once(LAST)?;
    let (last, _) = rest.split_once(END)?;
    let count = count.parse().ok().filter(|count| *count > 0)?;
    Some(Copies { count, last: last.parse().ok()? })
}

/// On a frame of which memory kept so many bytes of the original ones.
pub fn faded(kept: usize, original: u32) -> String {
    format!("dashcap: faded; memory kept the headers, {kept} of {original} bytes")
}

/// Frames that were set aside behind one that stays.
#[derive(Debug, Clone, Copy)]
pub struct Aside<'a> {
    /// How many.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Stamp of the first of them.
    pub first: Wall,
    /// Stamp of the last of them.
    pub last: Wall,
    /// What they belong to.
    pub flow: &'a str,
}

/// On the last frame of a flow before others of it that were set aside.
pub fn thinned(aside: Aside<'_>) -> String {
    let Aside { frames, bytes, first, last, flow } = aside;
    format!(
        "dashcap: thinned; {frames} frames, {bytes} bytes set aside here, from {first} to {last}: {flow}"
    )
}

/// On a frame before others that differ from it only in what routers change, with times to live from the
/// lowest to the highest.
pub fn routed(aside: Aside<'_>, (lowest, highest): (u8, u8)) -> String {
    let Aside { frames, bytes, first, last, flow } = aside;
    format!(
        "dashcap: folded; {frames} frames, {bytes} bytes, as this one but for time to live ({lowest} to \
         {highest}), identification and checksum set aside here, from {first} to {last}: {flow}"
    )
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
        assert_eq!(copies(comment.as_bytes()), Some(Copies { count: 371_999, last }));
        let again = folded(Wall(last.0 - 999_997_000), Copies { count: 371_999, last });
        assert_eq!(again, comment);
        for other in [
            "",
            "a comment",
            "dashcap: faded; memory kept the headers, 54 of 1514 bytes",
            "dashcap: folded; this frame came 0 times within 1 s, the last time at 2026-11-22T14:14:20Z; x",
            "dashcap: folded; this frame came -1 times within 1 s, the last time at 2026-11-22T14:14:20Z; x",
            "dashcap: folded; this frame came 5 times within 1 s, the last time at noon; x",
        ] {
            assert_eq!(copies(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_comment_is_read(rest in "[0-9a-zA-Z :;,.-]{0,80}") {
            copies(format!("{BEGIN}{rest}").as_bytes());
            copies(rest.as_bytes());
        }
    }
}
