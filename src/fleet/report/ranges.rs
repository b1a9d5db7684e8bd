//! What TCP carried, by the numbers of its bytes: how often each byte was sent and received, whatever offloads made
//! of the segments in between.
//!
//! ```text
//!   sent      ├────────── 64 KB, one frame of the sender's offload ──────────┤
//!   received  ├── 45 segments of the wire, or what the receiver joined ──┤xxx┤   the last bytes never came
//! ```
//!
//! A byte that was sent twice and received once was lost once: nobody knows which time, so no time is told.

use super::sighting::Sighting;

/// What became of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// All of it.
    Whole,
    /// Some of its bytes came less often than they were sent.
    Partly,
    /// Some of its bytes never came.
    Never,
}

/// Judges each segment that was sent of one flow, and counts those that came without having been sent. None where
/// the flow is too long for its numbers to say which byte is meant.
pub(super) fn judge(sent: &[Sighting], received: &[Sighting]) -> Option<(Vec<Came>, u64)> {
    let first = sent.iter().chain(received).min_by_key(|seen| seen.time)?.sequence;
    let place = |seen: &Sighting| {
        let begin = i64::from(seen.sequence.wrapping_sub(first).cast_signed());
        (begin, begin + i64::from(seen.carried))
    };
    // Half of all numbers (RFC 9293 §3.4): beyond, a byte may be one of the next round.
    const HALF: i64 = 1 << 30;
    let all = sent.iter().chain(received).map(place);
    if all.clone().any(|(begin, end)| begin.abs() > HALF || end > HALF) {
        return None;
    }
    let mut borders: Vec<i64> = all.flat_map(|(begin, end)| [begin, end]).collect();
    borders.sort_unstable();
    borders.dedup();
    let depth = |segments: &[Sighting]| depth(&borders, segments.iter().map(place));
    let (out, back) = (depth(sent), depth(received));
    let at = |border: i64| borders.partition_point(|known| *known < border);
    let missing = running(out.iter().zip(&back).map(|(out, back)| back < out));
    let never = running(back.iter().map(|back| *back == 0));
    let unsent = running(out.iter().map(|out| *out == 0));
    let any = |running: &[u32], (begin, end): (i64, i64)| running[at(end)] > running[at(begin)];
    let came = sent.iter().map(|seen| match place(seen) {
        span if any(&never, span) => Came::Never,
        span if any(&missing, span) => Came::Partly,
        _ => Came::Whole,
    });
    let more = received.iter().filter(|seen| any(&unsent, place(seen))).count() as u64;
    Some((came.collect(), more))
}

/// How many segments cover each part between two borders.
fn depth(borders: &[i64], segments: impl Iterator<Item = (i64, i64)>) -> Vec<i32> {
    let mut change = vec![0; borders.len()];
    let at = |border: i64| borders.partition_point(|known| *known < border);
    for (begin, end) in segments {
        change[at(begin)] += 1;
        change[at(end)] -= 1;
    }
    let mut depth = 0;
    let parts = change.iter().map(|by| {
        depth += by;
        depth
    });
    parts.take(borders.len().saturating_sub(1)).collect()
}

/// How many before each place.
fn running(parts: impl Iterator<Item = bool>) -> Vec<u32> {
    let mut count = 0;
    let mut running = vec![0];
    running.extend(parts.map(|part| {
        count += u32::from(part);
        count
    }));
    running
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Direction;

    fn segments(of: &[(u32, u32)]) -> Vec<Sighting> {
        let made = |(n, (sequence, carried)): (usize, &(u32, u32))| Sighting {
            key: 0,
            flow: 0,
            time: n as i64,
            sequence: *sequence,
            carried: *carried,
            to: 0,
            from: 0,
            point: 0,
            direction: Direction::Outbound,
            epoch: 0,
            folded: false,
        };
        of.iter().enumerate().map(made).collect()
    }

    #[test]
    fn bytes_are_counted_not_segments() {
        use Came::{Never, Partly, Whole};
        for (what, sent, received, came, more) in [
            ("split", &[(0, 3_000)][..], &[(0, 1_500), (1_500, 1_500)][..], &[Whole][..], 0),
            ("joined", &[(0, 10), (10, 10)], &[(0, 20)], &[Whole, Whole], 0),
            ("cut off", &[(0, 3_000)], &[(0, 1_500)], &[Never], 0),
            ("lost", &[(0, 10), (10, 10)], &[(0, 10)], &[Whole, Never], 0),
            ("lost, sent again", &[(0, 10), (0, 10)], &[(0, 10)], &[Partly, Partly], 0),
            ("sent again for nothing", &[(0, 9), (0, 9)], &[(0, 9), (0, 9)], &[Whole, Whole], 0),
            ("over the highest number", &[(u32::MAX - 4, 10)], &[(u32::MAX - 4, 10)], &[Whole], 0),
            ("nothing sent", &[(0, 10)], &[(0, 10), (10, 10)], &[Whole], 1),
        ] {
            let judged = judge(&segments(sent), &segments(received));
            assert_eq!(judged, Some((came.to_vec(), more)), "{what}");
        }
        let far = segments(&[(0, 1), (3 << 29, 1)]);
        assert_eq!(judge(&far, &far), None);
    }
}
