//! Which interfaces are recorded: those the operator named, or those that matter.

use crate::error::{Error, Result};
use crate::watch::LinkState;

/// The operator's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These names, whether or not they exist at the moment.
    Named(Vec<String>),
    /// Physical interfaces and bond or team masters.
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
            let physical = links.iter().any(|link| is_physical_or_master(link) && link.is_up());
            return Ok(if physical { Self::Physical } else { Self::All });
        }
        for name in named {
            if !links.iter().any(|link| link.name == *name) {
                let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
                return Err(Error::usage(
                    "--interface",
                    name,
                    "there is no such interface",
                    format!("one of {}", names.join(", ")),
                ));
            }
        }
        let mut named = named.to_vec();
        named.sort();
        named.dedup();
        Ok(Self::Named(named))
    }

    /// True if this interface is to be recorded now.
    pub fn wants(&self, link: &LinkState) -> bool {
        match self {
            Self::Named(names) => names.contains(&link.name),
            Self::Physical => is_physical_or_master(link) && link.is_up(),
            Self::All => link.flags & LinkState::IFF_LOOPBACK == 0 && link.is_up(),
        }
    }

    /// For the line printed at start.
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::Named(_) => "as named",
            Self::Physical => "physical interfaces and bond or team masters that are up",
            Self::All => "all interfaces that are up but loopback, as none is physical",
        }
    }
}

fn is_physical_or_master(link: &LinkState) -> bool {
    link.physical || matches!(link.kind.as_deref(), Some("bond" | "team"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::OperState;

    fn link(name: &str, kind: Option<&str>, physical: bool, up: bool) -> LinkState {
        LinkState {
            name: name.into(),
            kind: kind.map(str::to_owned),
            physical,
            flags: u32::from(up) | if name == "lo" { LinkState::IFF_LOOPBACK } else { 0 },
            carrier: up.then_some(true),
            operstate: OperState::Unknown,
            ..LinkState::default()
        }
    }

    fn router() -> Vec<LinkState> {
        vec![
            link("lo", None, false, true),
            link("dp0s0", None, true, true),
            link("dp0s1", None, true, false),
            link("dp0bond0", Some("bond"), false, true),
            link("dp0bond0.956", Some("vlan"), false, true),
        ]
    }

    fn wanted(selection: &Selection, links: &[LinkState]) -> Vec<String> {
        links.iter().filter(|l| selection.wants(l)).map(|l| l.name.clone()).collect()
    }

    #[test]
    fn without_names_what_matters_is_taken() {
        let links = router();
        let selection = Selection::new(&[], &links).unwrap();
        assert_eq!(selection, Selection::Physical);
        assert_eq!(wanted(&selection, &links), ["dp0s0", "dp0bond0"]);

        let links = [link("lo", None, false, true), link("veth0", Some("veth"), false, true)];
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
