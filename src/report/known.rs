//! Which entry of a report is told again: found by what it is about, never searched for. A hostile dump has as many
//! entries as there may be, and tells of each again and again.

use std::collections::{BTreeSet, HashMap};

use crate::finding::{Finding, FindingKind};
use crate::frame::Direction;
use crate::time::Wall;

/// What kind of thing, on which interface, and which way.
type Place = (FindingKind, Option<String>, Direction);

/// The numbers of entries.
#[derive(Debug, Default)]
pub(super) struct KnownEntries(HashMap<Place, KnownPlace>);

/// Those of one place.
#[derive(Debug, Default)]
struct KnownPlace {
    things: HashMap<String, KnownThing>,
    /// The newest that began then.
    begun: HashMap<Wall, usize>,
    /// Those that are not over.
    open: BTreeSet<usize>,
}

/// Those about the very same thing there.
#[derive(Debug, Default)]
struct KnownThing {
    begun: HashMap<Wall, usize>,
    open: BTreeSet<usize>,
}

fn place(told: &Finding) -> Place {
    (told.kind, told.interface.clone(), told.direction)
}

impl KnownEntries {
    /// The newest entry of the same thing and beginning, or still open if this is its end; else, as an end may say
    /// more, the newest that is open there.
    pub(super) fn find(&self, told: &Finding) -> Option<usize> {
        let place = self.0.get(&place(told))?;
        let thing = place.things.get(&told.what);
        let begun = thing.and_then(|thing| thing.begun.get(&told.first.wall));
        let open = thing.and_then(|thing| thing.open.last()).filter(|_| told.over);
        begun.max(open).or_else(|| place.open.last().filter(|_| told.over)).copied()
    }

    /// The newest entry of a kind that began then.
    pub(super) fn begun(
        &self,
        kind: FindingKind,
        interface: &str,
        direction: Direction,
        first: Wall,
    ) -> Option<usize> {
        let place = self.0.get(&(kind, Some(interface.to_owned()), direction))?;
        place.begun.get(&first).copied()
    }

    /// What was told is the entry of this number.
    pub(super) fn add(&mut self, number: usize, told: &Finding) {
        let place = self.0.entry(place(told)).or_default();
        let thing = place.things.entry(told.what.clone()).or_default();
        place.begun.insert(told.first.wall, number);
        thing.begun.insert(told.first.wall, number);
        if !told.over {
            place.open.insert(number);
            thing.open.insert(number);
        }
    }

    /// The entry of this number, about `what`, was told again.
    pub(super) fn again(&mut self, number: usize, what: &str, told: &Finding) {
        let Some(place) = self.0.get_mut(&place(told)) else { return };
        let sets = place.things.get_mut(what).map(|thing| &mut thing.open);
        for open in sets.into_iter().chain([&mut place.open]) {
            if told.over {
                open.remove(&number);
            } else {
                open.insert(number);
            }
        }
    }

    /// The entry that [`Self::begun`] found is about something else than was told first.
    pub(super) fn rename(
        &mut self,
        number: usize,
        (kind, interface, direction): (FindingKind, &str, Direction),
        first: Wall,
        (before, now): (&str, &str),
    ) {
        let place = self.0.get_mut(&(kind, Some(interface.to_owned()), direction));
        let Some(place) = place else { return };
        let Some(old) = place.things.get_mut(before) else { return };
        let was_open = old.open.remove(&number);
        if old.begun.get(&first) == Some(&number) {
            old.begun.remove(&first);
        }
        let new = place.things.entry(now.to_owned()).or_default();
        new.begun.insert(first, number);
        if was_open {
            new.open.insert(number);
        }
    }
}
