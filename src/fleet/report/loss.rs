//! What became of the frames that one end of a link sent to the other: seen at both, at one only, or nobody knows.
//!
//! *Lost* is said only where it may be: the pair is proven, the frame is for a station that is reached by this link,
//! its time is inside what the receiver kept in full by more than the error of the clocks and the longest time any
//! frame was under way, and the receiver's own counts say that its recording missed nothing. Everything else is
//! unknown, with the reason.
//!
//! Where a flow has frames at one end and other ones at the other, somebody between the two recorders reshaped it
//! (offloads cut and join datagrams), so nothing is said of what does not match in it.

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::RandomState;

use super::band::Interval;
use super::gather::{ObservationPoint, Sightings};
use super::matching::MatchedFrame;
use super::ranges::{self, Came};
use super::sighting::Sighting;
use crate::frame::Direction;
use crate::words;

/// Matches by which a station is known to be reached by a link.
const REACHED: usize = 3;
/// Frames lost one after the other, with none between them that came, from which on a direction is dead.
pub(super) const DEAD: usize = 5;
/// Longest time to the receiver that is waited for at least: buffers of hosts under load.
const LEAST_FLIGHT: i64 = 10_000_000;

/// Why nothing is said of some frames.
const OUTSIDE: &str = "sent when it is not sure that the other end recorded";
const FOLDED: &str = "copies that are counted, not kept";
const RESHAPED: &str = "of flows that offloads reshaped on the way";
const CLOCKS: &str = "the clocks of both ends are not known well enough";

/// What became of frames one way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct WayAccount {
    /// Frames that both ends saw.
    pub(super) both: u64,
    /// Frames that the receiver should have seen and did not.
    pub(super) lost: u64,
    /// Frames that the receiver saw and the sender should have.
    pub(super) unsent: u64,
    /// Frames of the sender of which nobody knows, by reason.
    pub(super) unknown: BTreeMap<String, u64>,
    /// Judged frames in order of time: when they were sent, and whether they came. Those of which a copy came, and
    /// nobody knows which, are not among them.
    pub(super) course: Vec<(i64, bool)>,
}

/// A time in which nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outage {
    /// The first frame that did not come, by the sender's clock.
    pub(super) from: i64,
    /// The last such frame.
    pub(super) last: i64,
    /// The first one that came again.
    pub(super) until: Option<i64>,
    /// How many did not come.
    pub(super) frames: u64,
}

/// One way of a link.
pub(super) struct WayAsked<'a> {
    pub(super) sightings: &'a Sightings,
    /// Where frames are sent and received.
    pub(super) points: (u16, u16),
    /// Matches this way, and the other way.
    pub(super) matches: (&'a [MatchedFrame], &'a [MatchedFrame]),
    /// The receiver's clock less the sender's.
    pub(super) apart: Interval,
}

/// Frames that were seen at one end only, to be judged when all are known.
#[derive(Default)]
struct Unmatched {
    sent: Vec<Sighting>,
    received: Vec<Sighting>,
    /// Came less often than they were sent.
    fewer: Vec<(Sighting, u64)>,
}

impl WayAccount {
    pub(super) fn of(asked: &WayAsked<'_>) -> Self {
        let mut account = Self::default();
        let stations = Reached::of(asked);
        let mut unmatched = Unmatched::default();
        let mut segments: HashMap<u64, (Vec<Sighting>, Vec<Sighting>), RandomState> =
            HashMap::default();
        // Cleared for each key: a list of its own for each of a million is most of the time.
        let (mut sent, mut received) = (Vec::<Sighting>::new(), Vec::<Sighting>::new());
        for same in asked.sightings.all.chunk_by(|one, other| one.key == other.key) {
            sent.clear();
            sent.extend(stations.sent(at(same, asked.points.0, Direction::Outbound)));
            received.clear();
            received.extend(stations.received(at(same, asked.points.1, Direction::Inbound)));
            let Some(first) = sent.first().or(received.first()) else { continue };
            if first.carried > 0 {
                let flow = segments.entry(first.flow).or_default();
                flow.0.extend(&sent);
                flow.1.extend(&received);
            } else {
                account.compare(asked, same, &sent, &received, &mut unmatched);
            }
        }
        for (sent, received) in segments.into_values() {
            account.segments(&sent, received, &mut unmatched);
        }
        account.judge(asked, unmatched);
        account.course.sort_unstable();
        account
    }

    /// Frames that are the same, compared as a whole.
    fn compare(
        &mut self,
        asked: &WayAsked<'_>,
        same: &[Sighting],
        sent: &[Sighting],
        received: &[Sighting],
        unmatched: &mut Unmatched,
    ) {
        if sent.iter().chain(received).any(|seen| seen.folded) {
            self.unknown(FOLDED, sent.len() as u64);
            return;
        }
        let host = |point: u16| asked.sightings.points[usize::from(point)].host;
        let (here, there) = (asked.points.1, host(asked.points.1));
        let came_elsewhere = |seen: &Sighting| {
            seen.direction == Direction::Inbound && seen.point != here && host(seen.point) == there
        };
        match (sent.len(), received.len()) {
            (_, 0) if same.iter().any(came_elsewhere) => {}
            (_, 0) => unmatched.sent.extend(sent),
            (0, _) => unmatched.received.extend(received),
            (more, fewer) if more > fewer => {
                self.both += fewer as u64;
                unmatched.fewer.push((sent[0], (more - fewer) as u64));
            }
            (fewer, more) => {
                self.both += fewer as u64;
                self.course.extend(sent.iter().map(|seen| (seen.time, true)));
                unmatched.received.extend(&received[..more - fewer]);
            }
        }
    }

    /// A flow of TCP, by its bytes.
    fn segments(&mut self, sent: &[Sighting], received: Vec<Sighting>, unmatched: &mut Unmatched) {
        if sent.iter().chain(&received).any(|seen| seen.folded) {
            self.unknown(FOLDED, sent.len() as u64);
            return;
        }
        let Some((came, unsent)) = ranges::judge(sent, &received) else {
            self.unknown("of flows that carried more than 1 GiB", sent.len() as u64);
            return;
        };
        for (seen, came) in sent.iter().zip(came) {
            match came {
                Came::Whole => {
                    self.both += 1;
                    self.course.push((seen.time, true));
                }
                Came::Partly => unmatched.fewer.push((*seen, 1)),
                Came::Never => unmatched.sent.push(*seen),
            }
        }
        unmatched.received.extend(received.into_iter().take(unsent as usize));
    }

    /// What may be said of frames that were seen at one end only.
    fn judge(&mut self, asked: &WayAsked<'_>, unmatched: Unmatched) {
        let point = |number: u16| &asked.sightings.points[usize::from(number)];
        let (sender, receiver) = (point(asked.points.0), point(asked.points.1));
        let Unmatched { sent, received, fewer } = unmatched;
        let sent_flows: HashSet<u64> = sent.iter().map(|seen| seen.flow).collect();
        let other_flows: HashSet<u64> = received.iter().map(|seen| seen.flow).collect();
        let window = SureTime::of(asked, receiver, asked.apart);
        let each = sent.iter().map(|seen| (seen, 1, true));
        let fewer = fewer.iter().map(|(seen, by)| (seen, *by, false));
        for (seen, frames, is_timed) in each.chain(fewer) {
            match window.doubt(seen.time) {
                Some(reason) => self.unknown(&reason, frames),
                None if other_flows.contains(&seen.flow) => self.unknown(RESHAPED, frames),
                None => {
                    self.lost += frames;
                    self.course.extend(is_timed.then_some((seen.time, false)));
                }
            }
        }
        let window = SureTime::of(asked, sender, asked.apart.turned());
        let unsent = received.iter().filter(|seen| !sent_flows.contains(&seen.flow));
        self.unsent += unsent.filter(|seen| window.doubt(seen.time).is_none()).count() as u64;
    }

    fn unknown(&mut self, reason: &str, frames: u64) {
        if frames > 0 {
            *self.unknown.entry(reason.to_owned()).or_default() += frames;
        }
    }

    /// The first time in which nothing came.
    pub(super) fn outage(&self) -> Option<Outage> {
        let mut runs = self.course.chunk_by(|one, other| one.1 == other.1);
        let mut found = None;
        while let Some(run) = runs.next() {
            if !run[0].1 && run.len() >= DEAD {
                let until = runs.next().map(|next| next[0].0);
                let (from, last) = (run[0].0, run[run.len() - 1].0);
                found = Some(Outage { from, last, until, frames: run.len() as u64 });
                break;
            }
        }
        found
    }

    /// Frames of that time that came, and that did not.
    pub(super) fn within(&self, from: i64, to: i64) -> (u64, u64) {
        let begin = self.course.partition_point(|(time, _)| *time < from);
        let end = self.course.partition_point(|(time, _)| *time <= to);
        let part = &self.course[begin..end.max(begin)];
        let came = part.iter().filter(|(_, came)| *came).count();
        (came as u64, (part.len() - came) as u64)
    }
}

/// The sightings of one point and way among those of one frame.
fn at(same: &[Sighting], point: u16, way: Direction) -> impl Iterator<Item = &Sighting> {
    same.iter().filter(move |seen| seen.point == point && seen.direction == way)
}

/// Stations that a link reaches: those that frames went to over it, and those that frames came from.
struct Reached {
    to: StationSet,
    from: StationSet,
}

/// Some of all stations, by their numbers.
struct StationSet(Vec<bool>);

impl Reached {
    fn of(asked: &WayAsked<'_>) -> Self {
        let reached = asked.sightings.reached();
        let often = |stations: &mut dyn Iterator<Item = u32>| {
            let mut counts = vec![0_usize; reached.len()];
            stations.for_each(|station| counts[station as usize] += 1);
            counts
                .iter()
                .zip(&reached)
                .map(|(count, is)| *is && *count >= REACHED)
                .collect::<Vec<_>>()
        };
        let (forth, back) = asked.matches;
        let to = often(&mut forth.iter().map(|found| found.to));
        let asked_by = often(&mut back.iter().map(|found| found.from));
        let to = to.iter().zip(asked_by).map(|(to, by)| *to || by).collect();
        let from = often(&mut forth.iter().map(|found| found.from));
        Self { to: StationSet(to), from: StationSet(from) }
    }

    fn sent<'a>(
        &self,
        seen: impl Iterator<Item = &'a Sighting>,
    ) -> impl Iterator<Item = &'a Sighting> {
        seen.filter(|seen| self.to.has(seen.to))
    }

    fn received<'a>(
        &self,
        seen: impl Iterator<Item = &'a Sighting>,
    ) -> impl Iterator<Item = &'a Sighting> {
        seen.filter(|seen| self.from.has(seen.from) && self.to.has(seen.to))
    }
}

impl StationSet {
    fn has(&self, station: u32) -> bool {
        self.0[station as usize]
    }
}

/// When the other end surely recorded, by one's own clock.
struct SureTime {
    spans: Vec<(i64, i64)>,
    doubt: Option<String>,
}

impl SureTime {
    fn of(asked: &WayAsked<'_>, other: &ObservationPoint, apart: Interval) -> Self {
        let (Some(low), Some(high)) = (apart.low, apart.high) else {
            return Self { spans: Vec::new(), doubt: Some(CLOCKS.to_owned()) };
        };
        let flights = asked.matches.0.iter().map(|found| found.arrived - found.sent);
        let longest =
            asked.apart.low.zip(flights.max()).map_or(0, |(low, most)| most.saturating_sub(low));
        let flight = longest.saturating_mul(2).max(LEAST_FLIGHT);
        let spans = other.covered();
        let sure = |(from, to): &(i64, i64)| {
            let from = from.saturating_sub(low).saturating_add(flight);
            (from, to.saturating_sub(high).saturating_sub(flight))
        };
        let spans = spans.iter().map(sure).filter(|(from, to)| from <= to).collect();
        let cut = (other.cut > 0).then(|| {
            format!("it has {} cut too short to be compared", words::counted(other.cut, "frame"))
        });
        let doubt = other.blind.iter().cloned().chain(cut).collect::<Vec<_>>().join(", ");
        let whose = &other.interface;
        Self { spans, doubt: (!doubt.is_empty()).then(|| format!("at {whose} {doubt}")) }
    }

    /// Why a frame of that time may be missing there without having been lost.
    fn doubt(&self, time: i64) -> Option<String> {
        let is_inside = self.spans.iter().any(|(from, to)| *from <= time && time <= *to);
        match &self.doubt {
            Some(doubt) => Some(doubt.clone()),
            None => (!is_inside).then(|| OUTSIDE.to_owned()),
        }
    }
}

impl ObservationPoint {
    /// When everything was kept: as its recorder says, or between the first and the last frame.
    pub(super) fn covered(&self) -> &[(i64, i64)] {
        match &self.seen {
            Some(seen) if self.spans.is_empty() => std::slice::from_ref(seen),
            _ => &self.spans,
        }
    }
}
