//! Tables that grow to a bound and no further. Who is known stays known: at the bound newcomers are
//! refused and counted, so a flood of made-up addresses cannot push out the neighbour that matters.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A map of at most so many entries, in the order of its keys.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    entries: BTreeMap<K, V>,
    most: usize,
    refused: u64,
}

impl<K: Ord, V> Bounded<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: BTreeMap::new(), most, refused: 0 }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    /// The entry, made if there is room; none, and counted, if there is not.
    pub(super) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> Option<&mut V> {
        let full = self.entries.len() >= self.most;
        match self.entries.entry(key) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(entry) if !full => Some(entry.insert(make())),
            Entry::Vacant(_) => {
                self.refused += 1;
                None
            }
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut()
    }

    /// Keeps the entries that `keep` says yes to.
    pub(super) fn retain(&mut self, keep: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain(keep);
    }

    /// Times that something found no room.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_are_refused_and_counted() {
        let mut table = Bounded::new(2);
        for key in [1, 2, 3, 1] {
            let room = table.entry(key, || key).is_some();
            assert_eq!(room, key != 3);
        }
        assert_eq!((table.refused(), table.iter().count()), (1, 2));
        table.retain(|key, _| *key != 1);
        assert!(table.entry(3, || 3).is_some());
        assert_eq!(table.remove(&2), Some(2));
        assert_eq!((table.get(&2), table.get(&3)), (None, Some(&3)));
        assert_eq!(table.get_mut(&3), Some(&mut 3));
    }
}
