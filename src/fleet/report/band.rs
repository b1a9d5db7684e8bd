//! How far two clocks are apart, from frames that both hosts saw: hard bounds, never an average.
//!
//! A frame cannot arrive before it left. Let θ(t) be B's clock less A's when A's shows t. Each frame that A sent at
//! `s` and B received at `r` says θ(s) ≤ r − s; each that B sent at `s` and A received at `r` says θ(r) ≥ s − r,
//! whatever the delays were (Cristian 1989; RFC 956):
//!
//! ```text
//!   θ │   ▼   ▼  ▼    ▼     ▼        frames of A: θ lies below
//!     │ ───────────────────────      a line that fits between them, as steep as the rates differ
//!     │  ▲  ▲    ▲   ▲    ▲          frames of B: θ lies above
//!     └───────────────────────► A's clock
//! ```
//!
//! Both clocks run at steady rates, but for what [`WANDER`] allows: so what is known of one moment bounds all others
//! (Moon, Skelly and Towsley, INFOCOM 1999), also after one direction died. Where nothing fits between the bounds
//! there was a step, and the band begins anew; that is told, and nothing is fitted across it.
//!
//! Stamps of a kernel are early on what is sent and late on what is received: that widens the band, and never makes
//! it wrong. Any part of the bounds is as true as all of them, so only the tightest of each column of time are kept.

/// How much the rates of two clocks may differ: 500 ppm each, what the kernel lets a daemon set (`MAXFREQ`,
/// include/linux/timex.h).
pub const MOST_DRIFT: f64 = 1_000e-6;
/// How much that difference may change within a recording: temperature moves a crystal by a tenth of a ppm in
/// minutes, and a daemon that corrects an offset slews by some ppm (chronyd and ntpd spread it over minutes).
pub const WANDER: f64 = 10e-6;
/// Columns of time, of each of which the tightest bound is kept.
const COLUMNS: usize = 64;
/// Nanoseconds by which bounds may contradict each other: what arithmetic with 53 bits loses.
const ROUNDING: f64 = 2.0;
/// Steps of a search for the rate: each leaves two thirds, so that nanoseconds are exact over days.
const SEARCH: usize = 56;
/// Steps of a search for where room ends: each leaves half.
const HALVES: usize = 40;
/// Pieces of a band at most; clocks that step more often are no clocks.
const MOST_PIECES: usize = 16;
/// Single bounds at most that contradict all others and are set aside, of so many each: one in a hundred.
const STRAYS: usize = 100;
/// Bounds behind a contradiction that must agree with those before it for one bound to be blamed.
const WITNESSES: usize = 64;

/// One bound: at this time of A's clock, B's less A's is at most or at least so much, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetBound {
    /// A's clock.
    pub at: i64,
    /// B's less A's.
    pub value: i64,
}

/// All bounds of a time in which neither clock is known to have been set.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// From frames of A.
    pub upper: Vec<OffsetBound>,
    /// From frames of B.
    pub lower: Vec<OffsetBound>,
}

/// What θ may be at a moment; none on a side that nothing bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    /// At least.
    pub low: Option<i64>,
    /// At most.
    pub high: Option<i64>,
}

/// θ over time.
#[derive(Debug, Clone, Default)]
pub struct Band {
    pieces: Vec<Piece>,
    hull: Interval,
    narrowest: Option<i64>,
    /// Bounds that were set aside, each contradicted by all others.
    pub strays: usize,
    /// Nothing fits: what was taken for the same frames were not.
    pub senseless: bool,
}

#[derive(Debug, Clone)]
struct Piece {
    /// What times and values are counted from.
    from: OffsetBound,
    /// First and last time that is bounded.
    span: (i64, i64),
    upper: Vec<(f64, f64)>,
    lower: Vec<(f64, f64)>,
    /// It begins with a step that nobody told.
    jumped: bool,
}

impl Bounds {
    fn times(&self) -> impl Iterator<Item = i64> {
        self.upper.iter().chain(&self.lower).map(|bound| bound.at)
    }

    fn len(&self) -> usize {
        self.upper.len() + self.lower.len()
    }

    /// Those from `from` until before `to`.
    fn within(&self, from: i64, to: i64) -> Self {
        let part = |all: &[OffsetBound]| {
            let inside = |bound: &&OffsetBound| from <= bound.at && bound.at < to;
            all.iter().filter(inside).copied().collect()
        };
        Self { upper: part(&self.upper), lower: part(&self.lower) }
    }

    fn remove(&mut self, stray: OffsetBound) {
        for side in [&mut self.upper, &mut self.lower] {
            if let Some(at) = side.iter().position(|bound| *bound == stray) {
                side.remove(at);
                return;
            }
        }
    }
}

impl Band {
    /// The band within the bounds of each time between two known settings of a clock.
    pub fn of(parts: impl IntoIterator<Item = Bounds>) -> Self {
        let mut band = Self::default();
        for part in parts {
            band.add(part);
        }
        band.pieces.sort_by_key(|piece| piece.span);
        if band.pieces.len() > MOST_PIECES {
            (band.senseless, band.pieces) = (true, Vec::new());
        }
        let times = band.pieces.iter().flat_map(Piece::columns);
        let told: Vec<Interval> = times.map(|time| band.at(time)).collect();
        band.hull = told.iter().copied().reduce(Interval::or).unwrap_or_default();
        band.narrowest = told.iter().filter_map(|told| told.width()).min();
        band
    }

    /// Adds pieces, each as long as something fits.
    fn add(&mut self, mut bounds: Bounds) {
        let most_strays = self.strays + bounds.len() / STRAYS;
        let mut jumped = false;
        while let (Some(first), Some(last)) = (bounds.times().min(), bounds.times().max()) {
            if self.pieces.len() > MOST_PIECES {
                return;
            }
            let whole = Piece::of(&bounds, jumped);
            if whole.fits() {
                self.pieces.push(whole);
                return;
            }
            let end = longest(&bounds, first, last);
            if self.strays < most_strays
                && let Some(stray) = stray(&bounds, first, end)
            {
                bounds.remove(stray);
                self.strays += 1;
                continue;
            }
            self.pieces.push(Piece::of(&bounds.within(first, end), jumped));
            bounds = bounds.within(end, i64::MAX);
            jumped = true;
        }
    }

    /// What θ may be when A's clock shows `time`. Between two pieces it is of either; so it is where A's clock was
    /// set back and showed the same time twice.
    pub fn at(&self, time: i64) -> Interval {
        let has = |piece: &&Piece| piece.span.0 <= time && time <= piece.span.1;
        let within =
            self.pieces.iter().filter(has).map(|piece| piece.at(time)).reduce(Interval::or);
        within.unwrap_or_else(|| {
            let before = self.pieces.iter().rfind(|piece| piece.span.1 < time);
            let after = self.pieces.iter().find(|piece| piece.span.0 > time);
            let near = before.into_iter().chain(after).map(|piece| piece.at(time));
            near.reduce(Interval::or).unwrap_or_default()
        })
    }

    /// All that θ may be while it is bounded.
    pub fn hull(&self) -> Interval {
        self.hull
    }

    /// When a clock was set without anybody telling: between these times of A's clock.
    pub fn jumps(&self) -> impl Iterator<Item = (i64, i64)> {
        let pairs = self.pieces.windows(2).filter(|pair| pair[1].jumped);
        pairs.map(|pair| (pair[0].span.1, pair[1].span.0))
    }

    /// The smallest sum of the delays of both ways, from where the bounds are closest.
    pub fn narrowest(&self) -> Option<i64> {
        self.narrowest
    }
}

impl Interval {
    /// From one to the other side.
    pub fn width(self) -> Option<i64> {
        Some(self.high?.saturating_sub(self.low?))
    }

    /// The same of the first clock less the second.
    #[must_use]
    pub fn turned(self) -> Self {
        Self { low: self.high.map(i64::saturating_neg), high: self.low.map(i64::saturating_neg) }
    }

    /// What it may be, if it is one of both.
    pub(super) fn or(self, other: Self) -> Self {
        let low = self.low.zip(other.low).map(|(one, other)| one.min(other));
        let high = self.high.zip(other.high).map(|(one, other)| one.max(other));
        Self { low, high }
    }
}

/// The end of the longest time from `first` on in which something fits.
fn longest(bounds: &Bounds, first: i64, last: i64) -> i64 {
    let (mut fits, mut fails) = (first, last.saturating_add(1));
    while fails - fits > 1 {
        let middle = fits + (fails - fits) / 2;
        if Piece::of(&bounds.within(first, middle), false).fits() {
            fits = middle;
        } else {
            fails = middle;
        }
    }
    fits.max(first + 1)
}

/// The one bound without which those until `end` fit together with those that follow.
fn stray(bounds: &Bounds, first: i64, end: i64) -> Option<OffsetBound> {
    let mut later: Vec<i64> = bounds.times().filter(|at| *at >= end).collect();
    later.sort_unstable();
    let until = later.get(WITNESSES).or(later.last())?.saturating_add(1);
    let here = bounds.within(first, until);
    let piece = Piece::of(&here, false);
    piece.tightest().into_iter().find(|blamed| {
        let mut others = here.clone();
        others.remove(*blamed);
        Piece::of(&others, false).fits()
    })
}

impl Piece {
    fn of(bounds: &Bounds, jumped: bool) -> Self {
        let first = bounds.times().min().unwrap_or_default();
        let span = (first, bounds.times().max().unwrap_or_default());
        let value = bounds.upper.iter().chain(&bounds.lower).next().map_or(0, |bound| bound.value);
        let from = OffsetBound { at: first, value };
        let near = |all: &[OffsetBound]| -> Vec<(f64, f64)> {
            all.iter()
                .map(|b| ((b.at - from.at) as f64, b.value.saturating_sub(from.value) as f64))
                .collect()
        };
        let (upper, lower) = (near(&bounds.upper), near(&bounds.lower));
        let mut piece = Self { from, span, upper: Vec::new(), lower: Vec::new(), jumped };
        // The tightest of a column by the rate that is found without knowing it.
        piece.keep(&upper, &lower, 0.0);
        let rate = piece.rate(piece.middle());
        piece.keep(&upper, &lower, rate);
        piece
    }

    fn keep(&mut self, upper: &[(f64, f64)], lower: &[(f64, f64)], rate: f64) {
        let width = ((self.span.1 - self.span.0) as f64 + 1.0) / COLUMNS as f64;
        let tightest = |all: &[(f64, f64)], sign: f64| {
            let mut columns: Vec<Option<(f64, f64)>> = vec![None; COLUMNS];
            let height = |(at, value): (f64, f64)| sign * (value - rate * at);
            for bound in all {
                let column = &mut columns[((bound.0 / width) as usize).min(COLUMNS - 1)];
                if column.is_none_or(|known| height(*bound) < height(known)) {
                    *column = Some(*bound);
                }
            }
            columns.into_iter().flatten().collect()
        };
        (self.upper, self.lower) = (tightest(upper, 1.0), tightest(lower, -1.0));
    }

    fn middle(&self) -> f64 {
        (self.span.1 - self.span.0) as f64 / 2.0
    }

    /// Times all over it.
    fn columns(&self) -> impl Iterator<Item = i64> + use<> {
        const TIMES: i64 = 16;
        let (from, to) = self.span;
        (0..=TIMES).map(move |n| from + (to - from) / TIMES * n)
    }

    /// The lowest upper bound of `time`, if the rates differ by `rate`.
    fn ceiling(&self, time: f64, rate: f64) -> f64 {
        let reach =
            |(at, value): &(f64, f64)| value - rate * (at - time) + WANDER * (at - time).abs();
        self.upper.iter().map(reach).fold(f64::INFINITY, f64::min)
    }

    /// The highest lower bound.
    fn floor(&self, time: f64, rate: f64) -> f64 {
        let reach =
            |(at, value): &(f64, f64)| value - rate * (at - time) - WANDER * (at - time).abs();
        self.lower.iter().map(reach).fold(f64::NEG_INFINITY, f64::max)
    }

    fn room(&self, time: f64, rate: f64) -> f64 {
        self.ceiling(time, rate) - self.floor(time, rate)
    }

    /// The rate that leaves most room.
    fn rate(&self, time: f64) -> f64 {
        if self.upper.is_empty() || self.lower.is_empty() {
            return 0.0;
        }
        summit(-MOST_DRIFT, MOST_DRIFT, |rate| self.room(time, rate))
    }

    /// True if there is a line between the bounds, wherever one looks.
    fn fits(&self) -> bool {
        let end = (self.span.1 - self.span.0) as f64;
        [0.0, end / 2.0, end].iter().all(|time| self.room(*time, self.rate(*time)) >= -ROUNDING)
    }

    fn at(&self, time: i64) -> Interval {
        let time = (time - self.from.at) as f64;
        let best = self.rate(time);
        if self.room(time, best) < -ROUNDING {
            return Interval::default();
        }
        // Room shrinks away from the best rate: where it ends, no line fits.
        let (least, most) = (self.edge(time, best, -MOST_DRIFT), self.edge(time, best, MOST_DRIFT));
        let high = self.ceiling(time, summit(least, most, |rate| self.ceiling(time, rate)));
        let low = self.floor(time, summit(least, most, |rate| -self.floor(time, rate)));
        let whole = |value: f64, side: f64| {
            value
                .is_finite()
                .then(|| self.from.value.saturating_add((value + side * ROUNDING) as i64))
        };
        Interval { low: whole(low, -1.0), high: whole(high, 1.0) }
    }

    /// The rate between `best` and `limit` at which no room is left.
    fn edge(&self, time: f64, best: f64, limit: f64) -> f64 {
        if self.room(time, limit) >= 0.0 {
            return limit;
        }
        let (mut fits, mut fails) = (best, limit);
        for _ in 0..HALVES {
            let middle = f64::midpoint(fits, fails);
            if self.room(time, middle) >= 0.0 { fits = middle } else { fails = middle }
        }
        fails
    }

    /// The bounds that leave least room, one of each side, whoever is wrong.
    fn tightest(&self) -> Vec<OffsetBound> {
        let (time, rate) = (self.middle(), self.rate(self.middle()));
        let back = |(at, value): &(f64, f64)| OffsetBound {
            at: self.from.at.saturating_add(*at as i64),
            value: self.from.value.saturating_add(*value as i64),
        };
        let height = |(at, value): &(f64, f64)| value - rate * (at - time);
        let upper = self.upper.iter().min_by(|a, b| height(a).total_cmp(&height(b)));
        let lower = self.lower.iter().max_by(|a, b| height(a).total_cmp(&height(b)));
        upper.into_iter().chain(lower).map(back).collect()
    }
}

/// Where a concave function is highest between `from` and `to`.
fn summit(mut from: f64, mut to: f64, height: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..SEARCH {
        let third = (to - from) / 3.0;
        let (left, right) = (from + third, to - third);
        if height(left) < height(right) { from = left } else { to = right }
    }
    f64::midpoint(from, to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: i64 = 1_000_000_000;
    const MICRO: i64 = 1_000;

    /// Bounds of frames every 10 ms each way, with these delays, of clocks that differ by θ.
    fn bounds(seconds: i64, theta: impl Fn(i64) -> i64, delay: impl Fn(i64) -> i64) -> Bounds {
        let mut bounds = Bounds::default();
        for n in 0..seconds * 100 {
            let at = n * 10_000_000;
            bounds.upper.push(OffsetBound { at, value: theta(at) + delay(2 * n) });
            bounds.lower.push(OffsetBound { at, value: theta(at) - delay(2 * n + 1) });
        }
        bounds
    }

    /// Delays of 20 µs and more, by a generator of Park and Miller.
    fn delays(seed: i64) -> impl Fn(i64) -> i64 {
        move |n| 20 * MICRO + (n * 48_271 + seed * 16_807) % 2_147_483_647 % (300 * MICRO)
    }

    #[test]
    fn drift_and_a_way_that_dies_leave_the_truth_inside() {
        let theta = |at: i64| 3 * S + at / 10_000;
        let mut all = bounds(60, theta, delays(1));
        all.upper.retain(|bound| bound.at < 40 * S);
        let band = Band::of([all]);
        for (second, widest) in [(0, 90), (20, 60), (40, 90), (50, 400), (60, 800)] {
            let told = band.at(second * S);
            let (low, high) = (told.low.unwrap(), told.high.unwrap());
            assert!(low <= theta(second * S) && theta(second * S) <= high, "{second} {told:?}");
            assert!(high - low < widest * MICRO, "{second} s: {} ns", high - low);
        }
        assert!(band.narrowest().unwrap() < 60 * MICRO);
        assert_eq!((band.strays, band.jumps().count()), (0, 0));
    }

    #[test]
    fn one_way_alone_bounds_one_side() {
        let mut all = bounds(10, |_| 5, delays(2));
        all.lower.clear();
        let told = Band::of([all]).at(S);
        assert_eq!(told.low, None);
        assert!(told.high.is_some_and(|high| high < 60 * MICRO));
        assert_eq!(Band::default().at(S), Interval::default());
    }

    #[test]
    fn a_step_begins_the_band_anew_and_one_wrong_match_does_not() {
        let theta = |at: i64| if at < 20 * S { 0 } else { 300_000 * MICRO };
        let band = Band::of([bounds(40, theta, delays(3))]);
        let jumps: Vec<_> = band.jumps().collect();
        assert_eq!(jumps.len(), 1);
        assert!(jumps[0].0 < 20 * S && 20 * S <= jumps[0].1, "{jumps:?}");
        for at in [0, 19 * S, 20 * S - MICRO, 21 * S, 39 * S] {
            let told = band.at(at);
            assert!(told.low.unwrap() <= theta(at) && theta(at) <= told.high.unwrap(), "{at}");
        }
        for wrong in [-5_000 * MICRO, 900_000 * MICRO] {
            let mut all = bounds(40, |_| 0, delays(4));
            let side = if wrong < 0 { &mut all.upper } else { &mut all.lower };
            side.push(OffsetBound { at: 20 * S + 5, value: wrong });
            let band = Band::of([all]);
            assert_eq!((band.strays, band.jumps().count()), (1, 0), "{wrong}");
        }
    }

    #[test]
    fn what_never_fits_is_no_band() {
        let band = Band::of([bounds(40, |at| at / 5 % (2 * S), delays(5))]);
        assert!(band.senseless);
        assert_eq!(band.at(S), Interval::default());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn the_truth_is_inside(
            offset in -3_600 * S..3_600 * S,
            ppm in -200_i64..200,
            wander in -4_i64..4,
            seed in 1_i64..1_000_000,
            lost in 1_usize..40,
        ) {
            // The rate changes halfway, by less than it may.
            let theta = |at: i64| {
                let late = (at - 15 * S).max(0);
                offset + at / 1_000_000 * ppm + late / 1_000_000 * wander
            };
            let mut all = bounds(30, theta, delays(seed));
            all.upper = all.upper.into_iter().step_by(lost).collect();
            let band = Band::of([all]);
            prop_assert!(!band.senseless && band.strays == 0 && band.jumps().count() == 0);
            for second in [0, 7, 15, 22, 30] {
                let (told, truth) = (band.at(second * S), theta(second * S));
                prop_assert!(told.low.unwrap() <= truth && truth <= told.high.unwrap());
            }
        }
    }
}
