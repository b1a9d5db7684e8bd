//! What the frames of all hosts tell together: matches, clocks, links.

use super::clocks::{self, Clocks, Pairing, Testimony};
use super::gather::Sightings;
use super::matching::Matches;
use super::model::LinkSummary;
use super::{link, orientation};
use crate::incident::clock_reading::ClockReading;

/// What the frames of all hosts tell together.
#[derive(Debug)]
pub struct Compared {
    pub(super) clocks: Clocks,
    /// Links between hosts.
    pub links: Vec<LinkSummary>,
    /// Links beyond those.
    pub links_more: usize,
}

impl Compared {
    /// Compares them over what each host covers by its own clock; `readings` are what each kernel claims of its clock, `assumed` is how wrong
    /// each is at most, in nanoseconds.
    pub fn of(
        names: &[&str],
        sightings: &mut Sightings,
        readings: &[Vec<ClockReading>],
        assumed: Option<i64>,
        spans: &[(i64, i64)],
    ) -> Self {
        Self::with(names, sightings, Testimony { readings, answered: &[], assumed }, spans)
    }

    /// The same with all that is known of clocks beside the frames.
    pub(super) fn with(
        names: &[&str],
        sightings: &mut Sightings,
        testimony: Testimony<'_>,
        spans: &[(i64, i64)],
    ) -> Self {
        sightings.sort();
        if orientation::orient(sightings) {
            sightings.sort();
        }
        let matches = Matches::of(sightings);
        let pairings = clocks::pairings(sightings, &matches);
        let clocks = Clocks::of(pairings, testimony, spans);
        let (links, links_more) = link::links(names, sightings, &matches, &clocks);
        Self { clocks, links, links_more }
    }

    /// What a host's clock is ahead of the reference, in the middle, and how far that may be off, in nanoseconds.
    pub fn offset(&self, host: usize) -> Option<(i64, u64)> {
        self.clocks.offset(host)
    }

    /// Pairs of hosts that saw the same frames.
    pub fn pairings(&self) -> &[Pairing] {
        &self.clocks.pairings
    }
}
