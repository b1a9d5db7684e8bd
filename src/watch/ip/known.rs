//! What the recorder was told of addresses, default routes and neighbours. Pure: the whole judgement of
//! what is news.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::address;
use super::neighbour;
use super::route::{self, Ways};
use crate::observation::Fact;
use crate::observation::address::{AddressChange, Validity};
use crate::observation::neighbour::{Answers, Neighbour, NeighbourChange};
use crate::observation::route::RouteChange;

/// Entries of each table: more addresses than the largest router has. Further ones are not watched.
pub(super) const MAX: usize = 65_536;

/// What one message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// An interface has this name, and can or cannot be used.
    Interface(u32, String, bool),
    /// An interface was removed.
    InterfaceGone(u32),
    /// An address has this state, or is gone.
    Address(address::Key, Option<Validity>),
    /// A neighbour has this state, or is gone.
    Neighbour(neighbour::Key, Option<Neighbour>),
    /// A default route leads there and nowhere else, or is gone.
    Route(route::Key, Option<Ways>),
    /// A default route leads there, too.
    RouteJoined(route::Key, Ways),
    /// A default route no longer leads there.
    RouteLeft(route::Key, Ways),
}

/// The tables.
#[derive(Debug, Default)]
pub(super) struct KnownNetwork {
    wanted: BTreeSet<IpAddr>,
    interfaces: BTreeMap<u32, (String, bool)>,
    addresses: BTreeMap<address::Key, Validity>,
    neighbours: BTreeMap<neighbour::Key, Neighbour>,
    routes: BTreeMap<route::Key, Ways>,
}

impl KnownNetwork {
    /// Nothing told yet. The neighbours `wanted` are watched beside those on default routes.
    pub(super) fn new(wanted: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { wanted: wanted.into_iter().collect(), ..Self::default() }
    }

    /// What `news` changes in the recorder's picture, if anything.
    pub(super) fn differs(&self, news: &News) -> Option<Fact> {
        match news {
            News::Interface(..) | News::InterfaceGone(_) => None,
            News::Address(key, now) => {
                let before = self.addresses.get(key).copied();
                let change = AddressChange {
                    interface: self.name(key.0),
                    address: key.1,
                    prefix_len: key.2,
                    before,
                    now: *now,
                };
                (before != *now).then(|| Fact::Address(Box::new(change)))
            }
            News::Neighbour(key, now) => {
                let before = self.neighbours.get(key).copied();
                let now = self.neighbour(*key, *now);
                let change =
                    NeighbourChange { interface: self.name(key.0), address: key.1, before, now };
                let news = before != now && (before.is_some() || self.is_watched(key.1));
                news.then(|| Fact::Neighbour(Box::new(change)))
            }
            News::Route(..) | News::RouteJoined(..) | News::RouteLeft(..) => {
                let (key, now) = self.route(news)?;
                let before = self.routes.get(&key);
                let named = |ways: &Ways| ways.named(|index| self.name(index));
                let change = RouteChange {
                    ipv6: key.ipv6,
                    table: key.table,
                    metric: key.metric,
                    before: before.map(named),
                    now: now.as_ref().map(named),
                };
                (before != now.as_ref()).then(|| Fact::Route(Box::new(change)))
            }
        }
    }

    /// The whole picture, as facts of which nothing was known before.
    pub(super) fn picture(&self) -> Vec<Fact> {
        let watched = self.neighbours.keys().map(|key| key.1);
        let interfaces = self.interfaces.clone();
        let blank = Self { interfaces, ..Self::new(watched) };
        let addresses = self.addresses.iter().map(|(key, now)| News::Address(*key, Some(*now)));
        let routes = self.routes.iter().map(|(key, ways)| News::Route(*key, Some(ways.clone())));
        let neighbours = self.neighbours.iter().map(|(key, now)| News::Neighbour(*key, Some(*now)));
        let news = addresses.chain(routes).chain(neighbours);
        news.filter_map(|news| blank.differs(&news)).collect()
    }

    /// Takes `news` into the picture; false if a table is full, so that it is not watched.
    pub(super) fn learn(&mut self, news: News) -> bool {
        if let Some((key, now)) = self.route(&news) {
            return set(&mut self.routes, key, now);
        }
        match news {
            News::Interface(index, name, usable) => {
                return set(&mut self.interfaces, index, Some((name, usable)));
            }
            News::InterfaceGone(index) => {
                self.interfaces.remove(&index);
            }
            News::Address(key, now) => return set(&mut self.addresses, key, now),
            News::Neighbour(key, now) if self.is_watched(key.1) => {
                let now = self.neighbour(key, now);
                return set(&mut self.neighbours, key, now);
            }
            News::Neighbour(key, _) => {
                self.neighbours.remove(&key);
            }
            News::Route(..) | News::RouteJoined(..) | News::RouteLeft(..) => {}
        }
        true
    }

    /// True if `news` may have changed IPv4 routes that the kernel does not announce: those over an
    /// interface that went down, or from an address that was removed, go without a word
    /// (`fib_table_flush()`, net/ipv4/fib_trie.c); and if a set of next hops should be looked at whole.
    pub(super) fn moves_routes(&self, news: &News) -> bool {
        match news {
            News::Interface(index, _, usable) => {
                self.interfaces.get(index).is_none_or(|(_, before)| before != usable)
            }
            News::InterfaceGone(_) | News::Address(_, None) => true,
            News::Address(..) | News::Neighbour(..) => false,
            News::Route(..) | News::RouteJoined(..) | News::RouteLeft(..) => true,
        }
    }

    /// The news that lead from what was told to `state`, which is everything there is: removals first.
    pub(super) fn catch_up(&self, state: Vec<News>) -> Vec<News> {
        let mut gone = self.routes_gone(&state);
        let addresses: BTreeSet<_> = state.iter().filter_map(address_key).collect();
        let left = self.addresses.keys().filter(|key| !addresses.contains(key));
        gone.extend(left.map(|key| News::Address(*key, None)));
        let neighbours: BTreeSet<_> = state.iter().filter_map(neighbour_key).collect();
        let left = self.neighbours.keys().filter(|key| !neighbours.contains(key));
        gone.extend(left.map(|key| News::Neighbour(*key, None)));
        let interfaces: BTreeSet<_> = state.iter().filter_map(interface_index).collect();
        let left = self.interfaces.keys().filter(|index| !interfaces.contains(index));
        gone.extend(left.map(|index| News::InterfaceGone(*index)));
        gone.extend(state);
        gone
    }

    /// The same for routes alone.
    pub(super) fn catch_up_routes(&self, state: Vec<News>) -> Vec<News> {
        let mut gone = self.routes_gone(&state);
        gone.extend(state);
        gone
    }

    fn routes_gone(&self, state: &[News]) -> Vec<News> {
        let here: BTreeSet<_> = state.iter().filter_map(route_key).collect();
        let gone = self.routes.keys().filter(|key| !here.contains(key));
        gone.map(|key| News::Route(*key, None)).collect()
    }

    /// The route that `news` is about, and what it is afterwards.
    fn route(&self, news: &News) -> Option<(route::Key, Option<Ways>)> {
        match news {
            News::Route(key, now) => Some((*key, now.clone())),
            News::RouteJoined(key, ways) => {
                let now = self.routes.get(key).map_or_else(|| ways.clone(), |old| old.with(ways));
                Some((*key, Some(now)))
            }
            News::RouteLeft(key, ways) => {
                Some((*key, self.routes.get(key).and_then(|old| old.without(ways))))
            }
            _ => None,
        }
    }

    /// What is known of a neighbour when `now` is announced: that one who was given up is asked again
    /// says nothing, and happens with every packet that somebody sends there.
    fn neighbour(&self, key: neighbour::Key, now: Option<Neighbour>) -> Option<Neighbour> {
        let asked_again = |now: &Neighbour| now.answers == Answers::NotYet;
        let given_up = |before: &&Neighbour| before.answers == Answers::No;
        match self.neighbours.get(&key).filter(given_up) {
            Some(before) if now.as_ref().is_some_and(asked_again) => Some(*before),
            _ => now,
        }
    }

    fn is_watched(&self, neighbour: IpAddr) -> bool {
        self.wanted.contains(&neighbour)
            || self.routes.values().any(|ways| ways.gateways().any(|gateway| gateway == neighbour))
    }

    fn name(&self, index: u32) -> String {
        let known = self.interfaces.get(&index).map(|(name, _)| name.clone());
        known.unwrap_or_else(|| format!("interface {index}"))
    }
}

fn set<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, now: Option<V>) -> bool {
    match now {
        None => {
            table.remove(&key);
        }
        Some(_) if table.len() >= MAX && !table.contains_key(&key) => return false,
        Some(now) => {
            table.insert(key, now);
        }
    }
    true
}

fn route_key(news: &News) -> Option<route::Key> {
    match news {
        News::Route(key, _) | News::RouteJoined(key, _) => Some(*key),
        _ => None,
    }
}

fn address_key(news: &News) -> Option<address::Key> {
    if let News::Address(key, _) = news { Some(*key) } else { None }
}

fn neighbour_key(news: &News) -> Option<neighbour::Key> {
    if let News::Neighbour(key, _) = news { Some(*key) } else { None }
}

fn interface_index(news: &News) -> Option<u32> {
    if let News::Interface(index, ..) = news { Some(*index) } else { None }
}
