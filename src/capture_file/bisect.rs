//! Where in a big plain file which time is, found without reading the file.
//!
//! A file of stamps in order can be bisected, but it has no index, and a record has no mark: what looks like
//! one may be payload, even a capture file that somebody transferred. So a place counts only if records
//! follow each other from there for longer than any frame is: no payload can imitate that.
//!
//! ```text
//!   first frame                                                              the end
//!   ├──■─────■─────■─────■─────■─────■─────■─────■─────■─────■─────■─────■─────■┤  looked at first: in order?
//!                        ├──■──┤                                                    then halves, for one moment
//!      ■ = a stretch: from a record's begin, more records than the longest frame has room for
//! ```
//!
//! Whatever is seen of disorder (stamps that go back by more than [`LATE`], a section or interface that begins
//! in the middle, bytes that are no records) makes it give up, and the file is to be read from its start.
//! What lies between the stretches is not seen: who reads on from a place must watch the order, too.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{FileSource, Format, LONGEST_FRAME};
use crate::time::Wall;

/// Frames may stand behind later ones by so much: several threads or processors wrote them.
pub const LATE: Duration = Duration::from_secs(2);
/// Stretches looked at all over the file before any is trusted: few enough to cost milliseconds.
const LOOKS: u64 = 32;
/// What a stretch must span at least, in bytes: more than the longest frame with headers and options.
const SPAN: usize = LONGEST_FRAME as usize + 65_536;
/// Bytes read for one where frames are short, ...
const READ_FIRST: usize = SPAN + 65_536;
/// ... and where they are not: a frame that is under way, the span, and one that begins at its end.
const READ: usize = 3 * SPAN;
/// Nearer in bytes than this the rest is read: that costs less than further looks.
const NEAR: u64 = READ as u64;

/// Places known in a file.
#[derive(Debug)]
pub struct Survey {
    size: u64,
    begin: u64,
    /// By the offset at which they begin.
    stretches: BTreeMap<u64, Stretch>,
}

/// Records in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    at: u64,
    /// Where its last record ends.
    end: u64,
    /// Earliest and latest stamp; none if it has no frame with a stamp.
    stamps: Option<(Wall, Wall)>,
}

impl Survey {
    pub(super) fn of(file: &FileSource, smallest: u64) -> Option<Self> {
        let (_, size) = file.progress();
        let size = size.filter(|size| *size >= smallest.max(4 * READ as u64))?;
        let begin = file.offset();
        let first = file.frame()?.wall?;
        let mut survey = Self { size, begin, stretches: BTreeMap::new() };
        survey
            .stretches
            .insert(begin, Stretch { at: begin, end: begin, stamps: Some((first, first)) });
        let last = size - READ as u64;
        for look in 1..=LOOKS {
            // The last one ends where the file does.
            let at = begin + last.saturating_sub(begin) * look / LOOKS;
            survey.look(file, at)?;
        }
        Some(survey)
    }

    /// The stamp of the file's first frame, and the latest one at its end.
    pub fn ends(&self) -> Option<(Wall, Wall)> {
        let mut stamps = self.stretches.values().filter_map(|stretch| stretch.stamps);
        let (first, _) = stamps.next()?;
        Some((first, stamps.next_back()?.1))
    }

    /// Where the last stretch begins: what is written at the end of a file is behind it.
    pub fn tail(&self) -> u64 {
        self.stretches.last_key_value().map_or(self.size, |(at, _)| *at)
    }

    /// A place before which no frame is as late as `moment`, near the first that is; none where the file
    /// turned out not to be in order.
    pub fn before(&mut self, file: &FileSource, moment: Wall) -> Option<u64> {
        let early = moment.minus(LATE);
        loop {
            let is_before = |stretch: &Stretch| stretch.stamps.is_none_or(|(_, last)| last < early);
            let behind = self.stretches.values().find(|stretch| !is_before(stretch));
            let behind = behind.map_or(self.size, |stretch| stretch.at);
            let known = self.stretches.range(..behind).next_back();
            let known = known.map_or(self.begin, |(at, _)| *at);
            if behind.saturating_sub(known) <= 2 * NEAR {
                return Some(known);
            }
            let stretch = self.look(file, known + (behind - known) / 2)?;
            if stretch.at >= behind || stretch.at <= known {
                return Some(known);
            }
        }
    }

    /// Finds a stretch at or behind `at`, and whether it fits those known; none if not.
    fn look(&mut self, file: &FileSource, at: u64) -> Option<Stretch> {
        // The last one is to reach the end.
        let first = if at + READ as u64 >= self.size { READ } else { READ_FIRST };
        let found = self.find(file, at, first)?;
        let stretch = found.or_else(|| self.find(file, at, READ).flatten())?;
        let before = self.stretches.range(..stretch.at).next_back();
        let after = self.stretches.range(stretch.at..).next();
        if before.is_some_and(|(_, before)| !before.is_before(&stretch))
            || after.is_some_and(|(_, after)| !stretch.is_before(after))
        {
            return None;
        }
        self.stretches.insert(stretch.at, stretch);
        Some(stretch)
    }

    /// The first stretch in so many bytes from `at` on, if there is one; none where it is not in order.
    fn find(&self, file: &FileSource, at: u64, length: usize) -> Option<Option<Stretch>> {
        let bytes = file.input.look(at, length).ok()??;
        // Blocks have lengths of whole 32-bit words, and the first begins at zero; records have not.
        let step: u64 = if matches!(file.format, Format::Pcap(_)) { 1 } else { 4 };
        let aligned = (at.next_multiple_of(step) - at) as usize;
        let first = self.stretches.first_key_value().and_then(|(_, stretch)| stretch.stamps)?.0;
        let floor = first.minus(LATE);
        let mut candidates = (aligned..SPAN.min(bytes.len())).step_by(step as usize);
        let found = candidates.find_map(|begin| chain(&file.format, &bytes, begin, floor));
        let Some((begin, end, stamps)) = found else { return Some(None) };
        let [begin, end] = [begin, end].map(|place| at + place as u64);
        Some(Some(Stretch { at: begin, end, stamps: stamps.ok()? }))
    }
}

impl Stretch {
    /// True if their stamps can be those of a file in order, where `later` begins behind this one.
    fn is_before(&self, later: &Self) -> bool {
        let (Some((first, last)), Some((later_first, _))) = (self.stamps, later.stamps) else {
            return true;
        };
        // What overlaps has stamps in common.
        let earlier = if self.end <= later.at { last } else { first };
        later_first.plus(LATE) >= earlier
    }
}

/// The stamps of a stretch, or that they are not in order.
type Stamps = Result<Option<(Wall, Wall)>, ()>;

/// Records from `begin` to the end of `bytes`, if they span enough: where they begin and end, and their
/// stamps.
///
/// Where all frames have one length, classic records seem to follow each other also a few bytes beside their
/// begin, with the fraction or a length for seconds: those are below `floor`, the time of the file's begin.
fn chain(
    format: &Format,
    bytes: &[u8],
    begin: usize,
    floor: Wall,
) -> Option<(usize, usize, Stamps)> {
    let mut at = begin;
    let mut stamps: Stamps = Ok(None);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let plausible = match format {
            Format::Pcap(pcap) => {
                pcap.plausible(rest).filter(|(_, wall)| wall.is_none_or(|wall| wall >= floor))
            }
            Format::Pcapng(pcapng) => pcapng.plausible(rest),
            Format::Cut(_) => None,
        };
        let Some((length, wall)) = plausible.filter(|(length, _)| *length <= rest.len()) else {
            if at > begin && matches!(format, Format::Pcapng(pcapng) if pcapng.is_changed_by(rest))
            {
                return Some((begin, at, Err(())));
            }
            // Either cut off by the end of what was read, or something else than frames.
            if rest.len() > SPAN {
                stamps = Err(());
            }
            break;
        };
        if let (Some(wall), Ok(known)) = (wall, stamps) {
            let (first, last) = known.unwrap_or((wall, wall));
            stamps = if wall.plus(LATE) < last {
                Err(())
            } else {
                Ok(Some((first.min(wall), last.max(wall))))
            };
        }
        at += length;
    }
    (at - begin > SPAN).then_some((begin, at, stamps))
}
