//! Blocks of pcapng in the byte order of the output, which is little-endian, and the making of new ones
//! (draft-ietf-opsawg-pcapng).
//!
//! A block in that order already is taken as it is, byte for byte, also what nobody here understands. Of the
//! other order, only blocks whose numbers are known can be turned.

use pcap_file::Endianness;
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, INTERFACE_STATISTIC_BLOCK,
    NAME_RESOLUTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK, SIMPLE_PACKET_BLOCK,
    SYSTEMD_JOURNAL_EXPORT_BLOCK,
};

use super::Block;
use super::fields::{Options, u16_at, u32_at};

/// Type and length, before a block's body.
pub(crate) const BODY: usize = 8;
/// The length once more, behind it.
const TRAILER: usize = 4;
/// Of blocks with a frame and options: where the captured length is, and where the frame's bytes begin.
const CAPTURED: usize = BODY + 12;
const DATA: usize = BODY + 20;
/// Decryption secrets.
pub(crate) const SECRETS: u32 = 10;
/// Custom blocks, which others define: this one may be copied by who does not understand it, ...
const CUSTOM: u32 = 0x0bad;
/// ... and this one may not.
pub(crate) const CUSTOM_TO_STAY: u32 = 0x4000_0bad;
/// Custom options: text and bytes, to be copied and not; they begin with a number.
const CUSTOM_OPTIONS: [u16; 4] = [2_988, 2_989, 19_372, 19_373];
/// Bytes of a block's fields before its options, or before what follows them at a length told by one.
const SECTION_FIELDS: usize = 16;

/// The body of a block, without type and lengths.
pub(crate) fn body<'a>(block: &Block<'a>) -> &'a [u8] {
    block.bytes.get(BODY..block.bytes.len().saturating_sub(TRAILER)).unwrap_or_default()
}

/// Appends a block with a body that `fill` appends.
pub(crate) fn append(out: &mut Vec<u8>, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    fill(out);
    pad(out, begin);
    let length = u32::try_from(out.len() - begin + TRAILER).unwrap_or(u32::MAX).to_le_bytes();
    out[begin + 4..begin + BODY].copy_from_slice(&length);
    out.extend(length);
}

/// Appends an option; its value is cut to what its length can tell.
pub(crate) fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend(code.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(&value[..length.into()]);
    // The fields before options end at whole words.
    out.resize(out.len() + (4 - usize::from(length) % 4) % 4, 0);
}

/// Appends the mark behind the last option.
pub(crate) fn end_options(out: &mut Vec<u8>) {
    out.extend([0; 4]);
}

/// Appends the block in little-endian order; false, and nothing appended, where that cannot be done.
pub(crate) fn append_little(out: &mut Vec<u8>, block: &Block<'_>) -> bool {
    if block.order == Endianness::Little {
        out.extend_from_slice(block.bytes);
        return true;
    }
    let body = body(block);
    let Some(turned) = turn(block.kind, body) else { return false };
    append(out, block.kind, |out| out.extend(turned));
    true
}

/// Appends a block with a frame that is in little-endian order already, and `text` as a further comment on it,
/// the first one; without the comment where the block has no room for one.
pub(crate) fn append_commented(out: &mut Vec<u8>, block: &[u8], text: &str) {
    const COMMENT: u16 = 1;
    let Some((kind, frame, rest)) = parts(block) else {
        out.extend_from_slice(block);
        return;
    };
    append(out, kind, |out| {
        out.extend_from_slice(&frame[BODY..]);
        option(out, COMMENT, text.as_bytes());
        match &rest[..rest.len() - TRAILER] {
            [] => end_options(out),
            others => out.extend_from_slice(others),
        }
    });
}

/// Appends a block with a frame that is in little-endian order already, and of the frame's bytes the first `keep`;
/// nothing of a block without options.
pub(crate) fn append_shortened(out: &mut Vec<u8>, block: &[u8], keep: usize) {
    let Some((kind, frame, rest)) = parts(block) else { return };
    let (fields, data) = frame.split_at(DATA);
    let captured = u32_at(Endianness::Little, block, CAPTURED).unwrap_or_default() as usize;
    let kept = &data[..keep.min(captured)];
    append(out, kind, |out| {
        let begin = out.len();
        out.extend_from_slice(&fields[BODY..]);
        out[begin + CAPTURED - BODY..][..4].copy_from_slice(&(kept.len() as u32).to_le_bytes());
        out.extend_from_slice(kept);
        out.resize(begin + (out.len() - begin).next_multiple_of(4), 0);
        out.extend_from_slice(&rest[..rest.len() - TRAILER]);
    });
}

/// Of a block with a frame and options, in little-endian order: its kind, what is before its options, and the rest.
fn parts(block: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let order = Endianness::Little;
    let kind = u32_at(order, block, 0).unwrap_or_default();
    let captured = u32_at(order, block, CAPTURED).unwrap_or_default() as usize;
    let (frame, rest) = block.split_at_checked(DATA + captured.next_multiple_of(4))?;
    let has_both = [ENHANCED_PACKET_BLOCK, PACKET_BLOCK].contains(&kind) && rest.len() >= TRAILER;
    has_both.then_some((kind, frame, rest))
}

/// The options of a section header, in little-endian order and without end mark.
pub(crate) fn section_options(block: &Block<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    turn_options(&mut out, SECTION_HEADER_BLOCK, block.order, body(block), SECTION_FIELDS);
    out
}

/// The comments of a section header.
pub(crate) fn comments<'a>(block: &Block<'a>) -> impl Iterator<Item = &'a [u8]> {
    const COMMENT: u16 = 1;
    Options::of(block.order, body(block), SECTION_FIELDS)
        .filter(|(code, _)| *code == COMMENT)
        .map(|(_, value)| value)
}

/// A body in big-endian order turned; none where it is not understood or too short.
fn turn(kind: u32, body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    // Fields of so many bytes each, and where options begin.
    let (fields, options): (&[usize], Option<usize>) = match kind {
        INTERFACE_DESCRIPTION_BLOCK => (&[2, 2, 4], Some(8)),
        INTERFACE_STATISTIC_BLOCK => (&[4, 4, 4], Some(12)),
        ENHANCED_PACKET_BLOCK => (&[4, 4, 4, 4, 4], Some(20 + length(body, 12)?)),
        PACKET_BLOCK => (&[2, 2, 4, 4, 4, 4], Some(20 + length(body, 12)?)),
        SECRETS => (&[4, 4], Some(8 + length(body, 4)?)),
        SIMPLE_PACKET_BLOCK | CUSTOM => (&[4], None),
        SYSTEMD_JOURNAL_EXPORT_BLOCK => (&[], None),
        NAME_RESOLUTION_BLOCK => (&[], Some(turn_names(&mut out, body)?)),
        _ => return None,
    };
    let mut at = 0;
    for length in fields {
        reversed(&mut out, body.get(at..at + length)?);
        at += length;
    }
    let begin = options.unwrap_or(body.len());
    if kind != NAME_RESOLUTION_BLOCK {
        out.extend_from_slice(body.get(at..begin)?);
    }
    turn_options(&mut out, kind, Endianness::Big, body, begin);
    if options.is_some() && body.len() > begin {
        end_options(&mut out);
    }
    Some(out)
}

/// Length of the data that the field at `at` announces, with padding.
fn length(body: &[u8], at: usize) -> Option<usize> {
    (u32_at(Endianness::Big, body, at)? as usize).checked_next_multiple_of(4)
}

/// Records of names: type, length, value; the last one has type zero. Tells where they end.
fn turn_names(out: &mut Vec<u8>, body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let kind = u16_at(Endianness::Big, body, at)?;
        let length = u16_at(Endianness::Big, body, at + 2)?;
        let end = at + 4 + usize::from(length).next_multiple_of(4);
        out.extend(kind.to_le_bytes());
        out.extend(length.to_le_bytes());
        out.extend_from_slice(body.get(at + 4..end)?);
        at = end;
        if kind == 0 {
            return Some(at);
        }
    }
}

fn turn_options(out: &mut Vec<u8>, kind: u32, order: Endianness, body: &[u8], begin: usize) {
    for (code, value) in Options::of(order, body, begin) {
        if order == Endianness::Little {
            option(out, code, value);
            continue;
        }
        let mut turned = Vec::with_capacity(value.len());
        let numbers = numbers(kind, code).min(value.len());
        let (number, rest) = value.split_at(numbers);
        if kind == INTERFACE_STATISTIC_BLOCK && [2, 3].contains(&code) {
            // Times are two words, the high one first in either order.
            number.chunks(4).for_each(|word| reversed(&mut turned, word));
        } else {
            reversed(&mut turned, number);
        }
        turned.extend_from_slice(rest);
        option(out, code, &turned);
    }
}

/// Bytes of the number with which the value of an option begins.
fn numbers(kind: u32, code: u16) -> usize {
    match (kind, code) {
        (_, code) if CUSTOM_OPTIONS.contains(&code) => 4,
        // Flags and queue; drops and packet's identity.
        (ENHANCED_PACKET_BLOCK | PACKET_BLOCK, 2) | (ENHANCED_PACKET_BLOCK, 6) => 4,
        (ENHANCED_PACKET_BLOCK, 4 | 5) => 8,
        // Speeds, offset of stamps.
        (INTERFACE_DESCRIPTION_BLOCK, 8 | 14 | 16 | 17) => 8,
        // Times and counts.
        (INTERFACE_STATISTIC_BLOCK, 2..=8) => 8,
        _ => 0,
    }
}

fn reversed(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes.iter().rev());
}

/// The comments on a frame, as they are in its block.
pub(crate) fn comments_of_frame<'a>(block: &Block<'a>) -> Vec<&'a [u8]> {
    const COMMENT: u16 = 1;
    /// Of both kinds of block with options: where the captured length is in the body, and where the bytes begin.
    const CAPTURED: usize = 12;
    const DATA: usize = 20;
    if ![ENHANCED_PACKET_BLOCK, PACKET_BLOCK].contains(&block.kind) {
        return Vec::new();
    }
    let body = body(block);
    let captured = u32_at(block.order, body, CAPTURED).unwrap_or_default() as usize;
    let options = DATA.saturating_add(captured).next_multiple_of(4);
    let comments = Options::of(block.order, body, options).filter(|(code, _)| *code == COMMENT);
    comments.map(|(_, value)| value).collect()
}

fn pad(out: &mut Vec<u8>, begin: usize) {
    let length = out.len() - begin;
    out.resize(begin + length.next_multiple_of(4), 0);
}

/// The stamp of a journal entry in nanoseconds, if it tells one.
pub(crate) fn entry_nanos(body: &[u8]) -> Option<u64> {
    const FIELD: &[u8] = b"__REALTIME_TIMESTAMP=";
    let micros = body.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(FIELD))?;
    let micros: u64 = std::str::from_utf8(micros).ok()?.trim_end_matches('\0').parse().ok()?;
    micros.checked_mul(1_000)
}

/// The moment and the message of a journal entry, as dashcap writes them; none of any other block.
pub(crate) fn entry_of<'a>(block: &Block<'a>) -> Option<(u64, &'a str)> {
    const FIELD: &[u8] = b"MESSAGE=";
    if block.kind != SYSTEMD_JOURNAL_EXPORT_BLOCK {
        return None;
    }
    let body = body(block);
    let message = body.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(FIELD))?;
    Some((entry_nanos(body)?, std::str::from_utf8(message).ok()?.trim_end_matches('\0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn turned(kind: u32, body: &[u8]) -> Option<Vec<u8>> {
        turn(kind, body)
    }

    #[test]
    fn numbers_are_turned_and_bytes_are_not() {
        for (name, kind, big, little) in [
            (
                "interface",
                1,
                &b"\0\x01\0\0\0\0\x01\0\0\x02\0\x03eth\0\0\x0e\0\x08\0\0\0\0\0\0\0\x64\0\0\0\0"[..],
                Some(&b"\x01\0\0\0\0\x01\0\0\x02\0\x03\0eth\0\x0e\0\x08\0\x64\0\0\0\0\0\0\0\0\0\0\0"[..]),
            ),
            (
                "frame",
                6,
                b"\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x03\0\0\0\x09abc\0\0\x02\0\x04\0\0\0\x01",
                Some(b"\x01\0\0\0\x02\0\0\0\x03\0\0\0\x03\0\0\0\x09\0\0\0abc\0\x02\0\x04\0\x01\0\0\0\0\0\0\0"),
            ),
            (
                "statistics",
                5,
                b"\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\x02\0\x08\0\0\0\x04\0\0\0\x05\0\x04\0\x08\0\0\0\0\0\0\0\x06",
                Some(b"\x01\0\0\0\x02\0\0\0\x03\0\0\0\x02\0\x08\0\x04\0\0\0\x05\0\0\0\x04\0\x08\0\x06\0\0\0\0\0\0\0\0\0\0\0"),
            ),
            (
                "names",
                4,
                b"\0\x01\0\x06\x7f\0\0\x01h\0\0\0\0\0\0\0",
                Some(b"\x01\0\x06\0\x7f\0\0\x01h\0\0\0\0\0\0\0"),
            ),
            ("secrets", SECRETS, b"TLSK\0\0\0\x01x\0\0\0", Some(b"KSLT\x01\0\0\0x\0\0\0")),
            ("journal", 9, b"MESSAGE=\n", Some(b"MESSAGE=\n")),
            ("simple", 3, b"\0\0\0\x01x\0\0\0", Some(b"\x01\0\0\0x\0\0\0")),
            ("unknown", 77, b"\0\0\0\x01", None),
            ("short", 6, b"\0\0\0\x01", None),
        ] {
            assert_eq!(turned(kind, big).as_deref(), little, "{name}");
        }
    }

    #[test]
    fn blocks_are_framed_and_padded() {
        let mut out = Vec::new();
        append(&mut out, 9, |out| out.extend(b"MESSAGE=x"));
        assert_eq!(out, b"\x09\0\0\0\x18\0\0\0MESSAGE=x\0\0\0\x18\0\0\0");
    }

    #[test]
    fn a_comment_goes_before_other_options() {
        let fields = [0_u32, 1, 2, 3, 9].iter().flat_map(|field| field.to_le_bytes());
        let frame: Vec<u8> = fields.chain(*b"abc\0").collect();
        let made = |rest: &[u8]| {
            let mut out = Vec::new();
            append(&mut out, ENHANCED_PACKET_BLOCK, |out| out.extend([&frame, rest].concat()));
            out
        };
        let flags = b"\x02\0\x04\0\x01\0\0\0\0\0\0\0";
        for (rest, expected) in [
            (&b""[..], &b"\x01\0\x03\0why\0\0\0\0\0"[..]),
            (flags, &[&b"\x01\0\x03\0why\0"[..], flags].concat()),
        ] {
            let mut out = Vec::new();
            append_commented(&mut out, &made(rest), "why");
            assert_eq!(out, made(expected));
        }
        let mut simple = Vec::new();
        append(&mut simple, SIMPLE_PACKET_BLOCK, |out| out.extend(b"\0\0\0\x01abcd"));
        let mut out = Vec::new();
        append_commented(&mut out, &simple, "why");
        assert_eq!(out, simple, "no room for options");
    }

    #[test]
    fn a_frame_is_cut_and_its_options_stay() {
        let made = |captured: u32, rest: &[u8]| {
            let fields = [0_u32, 1, 2, captured, 9].into_iter().flat_map(u32::to_le_bytes);
            let body: Vec<u8> = fields.chain(rest.iter().copied()).collect();
            let mut out = Vec::new();
            append(&mut out, ENHANCED_PACKET_BLOCK, |out| out.extend(body));
            out
        };
        let flags = b"\x02\0\x04\0\x01\0\0\0\0\0\0\0";
        let whole = made(6, &[&b"abcdef\0\0"[..], flags].concat());
        for (keep, expected) in [
            (3, made(3, &[&b"abc\0"[..], flags].concat())),
            (0, made(0, flags)),
            (6, whole.clone()),
            (99, whole.clone()),
        ] {
            let mut out = b"before".to_vec();
            append_shortened(&mut out, &whole, keep);
            assert_eq!(out, [&b"before"[..], &expected].concat(), "{keep}");
        }
    }

    #[test]
    fn entries_have_a_time() {
        for (text, nanos) in [
            (&b"__REALTIME_TIMESTAMP=12\nMESSAGE=x\n"[..], Some(12_000)),
            (b"MESSAGE=x\n__REALTIME_TIMESTAMP=12\0\0", Some(12_000)),
            (b"MESSAGE=x\n", None),
            (b"__REALTIME_TIMESTAMP=soon\n", None),
            (b"__REALTIME_TIMESTAMP=18446744073709551615\n", None),
        ] {
            assert_eq!(entry_nanos(text), nanos);
        }
    }

    proptest! {
        #[test]
        fn random_bodies_never_panic(kind in 0..12_u32, body in prop::collection::vec(any::<u8>(), 0..200)) {
            turned(kind, &body);
            entry_nanos(&body);
            let mut out = Vec::new();
            append_commented(&mut out, &body, "text");
            append_shortened(&mut out, &body, 7);
        }
    }
}
