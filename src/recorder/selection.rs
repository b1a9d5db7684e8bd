//! Which interfaces are recorded: those the operator named, or those that matter.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::observation::link::LinkState;

/// The operator's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These names, whether or not they exist at the moment.
    Named(Vec<String>),
    /// Physical interfaces, bonds, teams, and the ports of these: LACPDUs are seen on ports only.
    Physical,
    /// Every interface but loopback, because there is none of the former.
    All,
}

impl Selection {
    /// Decides at the start.
    ///
    /// # Errors
    /// When a named interface does not exist: more likely a typing error than patience.
    pub fn new(named: &[String], links: &[LinkState]) -> Result<Self> {
        if named.is_empty() {
            let matters = |link: &LinkState| matters(link, &Links::of(links)) && link.is_up();
            return Ok(if links.iter().any(matters) { Self::Physical } else { Self::All });
        }
        for name in named {
            if !links.iter().any(|link| link.name == *name) {
                let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
                return Err(Error::usage(
                    "--interface",
                    name,
                    "no interface has this name",
                    format!("one of {}", names.join(", ")),
                ));
            }
        }
        let mut named = named.to_vec();
        named.sort();
        named.dedup();
        Ok(Self::Named(named))
    }

    /// True if this interface, one of `links`, is to be recorded now.
    pub fn wants(&self, link: &LinkState, links: &Links) -> bool {
        match self {
            Self::Named(names) => names.contains(&link.name),
            Self::Physical => matters(link, links) && link.is_up(),
            Self::All => link.flags & LinkState::IFF_LOOPBACK == 0 && link.is_up(),
        }
    }

    /// For the line printed at start.
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::Named(_) => "as named",
            Self::Physical => "physical interfaces, bonds, teams and their ports that are up",
            Self::All => "all interfaces that are up but loopback, as none is physical",
        }
    }
}

/// Every interface there is, by index.
#[derive(Debug, Clone, Default)]
pub struct Links(BTreeMap<u32, LinkState>);

impl Links {
    /// These.
    pub fn of(links: &[LinkState]) -> Self {
        Self(links.iter().map(|link| (link.index, link.clone())).collect())
    }

    pub(super) fn insert(&mut self, link: LinkState) {
        self.0.insert(link.index, link);
    }

    pub(super) fn remove(&mut self, index: u32) {
        self.0.remove(&index);
    }

    /// The interface with this index.
    pub(super) fn at(&self, index: Option<u32>) -> Option<&LinkState> {
        self.0.get(&index?)
    }

    /// These, their masters, and the masters of those.
    pub(super) fn with_masters(&self, mut names: BTreeSet<String>) -> BTreeSet<String> {
        loop {
            let masters: BTreeSet<String> = self
                .iter()
                .filter(|link| names.contains(&link.name))
                .filter_map(|link| self.at(link.master))
                .map(|master| master.name.clone())
                .filter(|master| !names.contains(master))
                .collect();
            if masters.is_empty() {
                return names;
            }
            names.extend(masters);
        }
    }

    /// These, and the VLANs on top of them.
    pub(super) fn with_vlans(&self, mut names: BTreeSet<String>) -> BTreeSet<String> {
        let on_top = self.iter().filter(|link| link.kind.as_deref() == Some("vlan"));
        let vlans: Vec<_> = on_top
            .filter(|vlan| self.at(vlan.lower).is_some_and(|lower| names.contains(&lower.name)))
            .map(|vlan| vlan.name.clone())
            .collect();
        names.extend(vlans);
        names
    }

    /// Interfaces that share their fate with this one: its bond, team or bridge and that of those, its ports, VLANs
    /// and what they lie upon. Not through a bridge: what happens to one port of it does not happen to another.
    pub(super) fn relatives(&self, name: &str) -> Vec<String> {
        let named = |name: &str| self.iter().find(|link| link.name == name);
        let mut found: Vec<&LinkState> = named(name).into_iter().collect();
        let mut next = 0;
        while let Some(link) = found.get(next).copied() {
            next += 1;
            if next > 1 && link.kind.as_deref() == Some("bridge") {
                continue;
            }
            let near = self.iter().filter(|other| lies_upon(link, other) || lies_upon(other, link));
            for other in near {
                if !found.iter().any(|known| known.index == other.index) {
                    found.push(other);
                }
            }
        }
        found.iter().skip(1).map(|link| link.name.clone()).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LinkState> {
        self.0.values()
    }
}

/// True if `upper` is the master of `lower`, or a VLAN on it. What other kinds say lies below them may be in
/// another namespace.
fn lies_upon(upper: &LinkState, lower: &LinkState) -> bool {
    let is_vlan = upper.kind.as_deref() == Some("vlan");
    lower.master == Some(upper.index) || is_vlan && upper.lower == Some(lower.index)
}

fn matters(link: &LinkState, links: &Links) -> bool {
    link.physical || is_bond(link) || links.at(link.master).is_some_and(is_bond)
}

fn is_bond(link: &LinkState) -> bool {
    matches!(link.kind.as_deref(), Some("bond" | "team"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::link::OperState;

    fn link(index: u32, name: &str, kind: Option<&str>, physical: bool, up: bool) -> LinkState {
        LinkState {
            index,
            name: name.into(),
            kind: kind.map(str::to_owned),
            physical,
            flags: u32::from(up) | if name == "lo" { LinkState::IFF_LOOPBACK } else { 0 },
            carrier: up.then_some(true),
            operstate: OperState::Unknown,
            ..LinkState::default()
        }
    }

    #[test]
    fn relatives_share_their_fate_and_ports_of_a_bridge_do_not() {
        let on = |index, name, kind: Option<&str>, master: u32, lower: u32| LinkState {
            master: (master > 0).then_some(master),
            lower: (lower > 0).then_some(lower),
            ..link(index, name, kind, false, true)
        };
        let links = Links::of(&[
            on(2, "s0", None, 4, 0),
            on(3, "s1", None, 4, 0),
            on(4, "bond0", Some("bond"), 0, 0),
            on(5, "bond0.7", Some("vlan"), 8, 4),
            on(6, "p1", Some("veth"), 8, 2),
            on(7, "p2", None, 8, 0),
            on(8, "br0", Some("bridge"), 0, 0),
        ]);
        for (name, expected) in [
            ("s0", vec!["bond0", "s1", "bond0.7", "br0"]),
            ("bond0.7", vec!["bond0", "br0", "s0", "s1"]),
            // What a veth says lies below it is in another namespace.
            ("p1", vec!["br0"]),
            ("br0", vec!["bond0.7", "p1", "p2", "bond0", "s0", "s1"]),
            ("eth9", vec![]),
        ] {
            let mut found = links.relatives(name);
            let mut expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{name}");
        }
    }

    fn router() -> Vec<LinkState> {
        vec![
            link(1, "lo", None, false, true),
            link(2, "dp0s0", None, true, true),
            link(3, "dp0s1", None, true, false),
            link(4, "dp0bond0", Some("bond"), false, true),
            link(5, "dp0bond0.956", Some("vlan"), false, true),
            LinkState { master: Some(4), ..link(6, "port0", Some("veth"), false, true) },
            LinkState { master: Some(9), ..link(7, "port1", Some("veth"), false, true) },
        ]
    }

    fn wanted(selection: &Selection, links: &[LinkState]) -> Vec<String> {
        let all = Links::of(links);
        links.iter().filter(|l| selection.wants(l, &all)).map(|l| l.name.clone()).collect()
    }

    #[test]
    fn without_names_what_matters_is_taken() {
        let links = router();
        let selection = Selection::new(&[], &links).unwrap();
        assert_eq!(selection, Selection::Physical);
        assert_eq!(wanted(&selection, &links), ["dp0s0", "dp0bond0", "port0"]);

        let links = [link(1, "lo", None, false, true), link(2, "veth0", Some("veth"), false, true)];
        let selection = Selection::new(&[], &links).unwrap();
        assert_eq!(wanted(&selection, &links), ["veth0"]);
    }

    #[test]
    fn names_are_taken_once_and_must_exist() {
        let links = router();
        let named = ["dp0s1", "dp0s0", "dp0s1"].map(str::to_owned);
        let selection = Selection::new(&named, &links).unwrap();
        assert_eq!(wanted(&selection, &links), ["dp0s0", "dp0s1"]);
        let error = Selection::new(&["dp0s7".into()], &links).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert!(error.to_string().contains("one of lo, dp0s0"), "{error}");
    }
}
