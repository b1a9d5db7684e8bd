//! The routes that are followed, and those that vanished a moment ago. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::loss::{Group, Loss, Origin};
use super::route::{Hop, Route};
use crate::finding::Finding;
use crate::time::{Mono, Stamp};

/// Most routes that are followed, about 10 MB: more than an internal network has. Of a full table of the
/// Internet it is a part, and what happens to a next hop shows in a part, too.
pub(super) const MOST: usize = 65_536;
/// What vanishes within this vanishes together, and what is back within it was only moved.
const TOGETHER: Duration = Duration::from_secs(1);
/// Losses that are waited for until the routes are back; beyond that the oldest is given up.
const LOSSES: usize = 64;

/// What one message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// An interface has this name, and can or cannot be used.
    Link(u32, String, bool),
    /// An interface was removed.
    LinkGone(u32),
    /// A route leads there and nowhere else.
    Is(Route, Vec<Hop>),
    /// A route leads there, too.
    Joined(Route, Vec<Hop>),
    /// A route no longer leads there.
    Left(Route, Vec<Hop>),
}

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Table {
    links: BTreeMap<u32, (String, bool)>,
    routes: BTreeMap<Route, Vec<Hop>>,
    counts: BTreeMap<Origin, u64>,
    /// Routes that vanished, and by which way they led; judged when the first is [`TOGETHER`] old.
    vanished: BTreeMap<Route, (Origin, Stamp)>,
    losses: Vec<Loss>,
    recovered: Vec<Loss>,
    full: bool,
}

impl Table {
    pub(super) fn name(&mut self, index: u32, name: String, usable: bool) {
        self.links.insert(index, (name, usable));
    }

    /// True once there was no room for a route.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Takes what was there from the beginning.
    pub(super) fn begin(&mut self, news: News) {
        if let News::Is(route, hops) | News::Joined(route, hops) = news {
            self.add(route, hops);
        }
    }

    /// Takes `news`; true if it may have moved routes that are not announced.
    pub(super) fn hear(&mut self, at: Stamp, news: News) -> bool {
        match news {
            News::Link(index, name, usable) => {
                let before = self.links.insert(index, (name, usable));
                return before.is_some_and(|(_, before)| before != usable);
            }
            News::LinkGone(index) => return self.links.remove(&index).is_some(),
            News::Is(route, hops) => {
                self.remove(&route);
                self.add(route, hops);
            }
            News::Joined(route, hops) => self.add(route, hops),
            News::Left(route, hops) => self.leave(at, route, &hops),
        }
        false
    }

    /// Takes the whole table as it is at `at`.
    pub(super) fn catch_up(&mut self, at: Stamp, state: Vec<News>) {
        let mut here: BTreeMap<Route, Vec<Hop>> = BTreeMap::new();
        for news in state {
            if let News::Is(route, hops) | News::Joined(route, hops) = news {
                here.entry(route).or_default().extend(hops);
            }
        }
        let gone: Vec<Route> =
            self.routes.keys().filter(|route| !here.contains_key(route)).copied().collect();
        // Of a table that does not fit, what is missing may only have found no room.
        for route in gone.into_iter().filter(|_| here.len() <= MOST) {
            self.vanish(at, route);
        }
        for (route, hops) in here {
            self.remove(&route);
            self.add(route, hops);
        }
    }

    fn add(&mut self, route: Route, hops: Vec<Hop>) {
        self.vanished.remove(&route);
        for loss in &mut self.losses {
            loss.found(&route);
        }
        let mut all = self.remove(&route).unwrap_or_default();
        if self.routes.len() >= MOST {
            self.full = true;
            return;
        }
        all.extend(hops);
        all.sort_unstable();
        all.dedup();
        *self.counts.entry(origin(&route, &all)).or_default() += 1;
        self.routes.insert(route, all);
    }

    fn remove(&mut self, route: &Route) -> Option<Vec<Hop>> {
        let hops = self.routes.remove(route)?;
        let origin = origin(route, &hops);
        if let Some(count) = self.counts.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&origin);
            }
        }
        Some(hops)
    }

    fn leave(&mut self, at: Stamp, route: Route, hops: &[Hop]) {
        let Some(known) = self.routes.get(&route) else { return };
        let stays: Vec<Hop> = known.iter().filter(|hop| !hops.contains(hop)).copied().collect();
        if stays.is_empty() {
            self.vanish(at, route);
        } else {
            self.remove(&route);
            self.add(route, stays);
        }
    }

    fn vanish(&mut self, at: Stamp, route: Route) {
        if let Some(hops) = self.remove(&route) {
            self.vanished.insert(route, (origin(&route, &hops), at));
        }
    }

    /// When what vanished is judged.
    pub(super) fn due(&self) -> Option<Mono> {
        let first = self.vanished.values().map(|(_, at)| at.mono).min()?;
        Some(first.plus(TOGETHER))
    }

    /// What was lost until `now`, and what is back.
    pub(super) fn judge(&mut self, now: Stamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.due().is_some_and(|due| due <= now.mono) {
            self.lose(&mut findings);
        }
        let (back, lasting) = self.losses.drain(..).partition(Loss::is_over);
        (self.recovered, self.losses) = (back, lasting);
        findings.extend(self.recovered.drain(..).map(|loss| loss.over(now)));
        findings
    }

    fn lose(&mut self, findings: &mut Vec<Finding>) {
        let mut lost: BTreeMap<Origin, Vec<(Route, Stamp)>> = BTreeMap::new();
        for (route, (origin, at)) in std::mem::take(&mut self.vanished) {
            lost.entry(origin).or_default().push((route, at));
        }
        let of_protocol = |origin: &Origin, here: bool| -> u64 {
            let same = |other: &&Origin| other.maker() == origin.maker();
            match here {
                true => self.counts.iter().filter(|(other, _)| same(other)).map(|(_, n)| n).sum(),
                false => {
                    lost.iter().filter(|(o, _)| same(o)).map(|(_, gone)| gone.len() as u64).sum()
                }
            }
        };
        for (origin, gone) in &lost {
            let link = origin.hop.index.and_then(|index| self.links.get(&index));
            let group = Group {
                left: self.counts.get(origin).copied().unwrap_or_default(),
                made_lost: of_protocol(origin, false),
                made_left: of_protocol(origin, true),
                interface: link.map(|(name, _)| name.clone()),
                is_link_up: link.is_some_and(|(_, usable)| *usable),
            };
            if let Some(loss) = Loss::of(*origin, gone, group) {
                findings.push(loss.finding().clone());
                if self.losses.len() >= LOSSES {
                    self.losses.remove(0);
                }
                self.losses.push(loss);
            }
        }
    }
}

fn origin(route: &Route, hops: &[Hop]) -> Origin {
    // A route of several ways stands with its first.
    let hop = hops.first().copied().unwrap_or(Hop { gateway: None, index: None });
    Origin { is_v6: route.destination.is_ipv6(), table: route.table, protocol: route.protocol, hop }
}
