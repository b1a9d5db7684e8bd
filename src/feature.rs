//! The parts that a build can leave out, as Cargo features that are on by default: what a small router has no
//! use for.
//!
//! Each is cut off at the edge of one module, where an `absent.rs` takes its place: the servers of
//! `api/http` and `api/web`, the exporters of `export`, the bus of `fleet`, the screen of `cli/top`. What an operator can say stays the same in
//! every build: an option of a part that is missing is understood and refused, never passed over.

use std::fmt::Display;

use crate::error::{Error, Result};

/// A part that a build can leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Other hosts are told: JSON lines, syslog, webhooks.
    Export,
    /// Other hosts of a fleet freeze the same seconds.
    Fleet,
    /// `POST /trigger` and `GET /metrics`.
    Http,
    /// `dashcap top`.
    Top,
    /// The live page.
    Web,
}

impl Feature {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 5] = [Self::Export, Self::Fleet, Self::Http, Self::Top, Self::Web];

    /// As Cargo.toml has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Fleet => "fleet",
            Self::Http => "http",
            Self::Top => "top",
            Self::Web => "web",
        }
    }

    /// True if this program has it.
    pub fn is_built_in(self) -> bool {
        match self {
            Self::Export => cfg!(feature = "export"),
            Self::Fleet => cfg!(feature = "fleet"),
            Self::Http => cfg!(feature = "http"),
            Self::Top => cfg!(feature = "top"),
            Self::Web => cfg!(feature = "web"),
        }
    }

    /// Refuses `option`, which needs it, where this program has it not.
    ///
    /// # Errors
    /// [`Error::Usage`], see [`Feature::missing`].
    pub fn needed_by(self, option: &str, given: &dyn Display) -> Result<()> {
        if self.is_built_in() { Ok(()) } else { Err(self.missing(option, given)) }
    }

    /// What is said of `option`, which needs it.
    pub fn missing(self, option: &str, given: &dyn Display) -> Error {
        let name = self.name();
        let reason = format!("this dashcap is built without the feature {name}");
        let accepted = format!("only in a dashcap built with --features {name}");
        Error::usage(option, given.to_string(), reason, accepted)
    }

    /// Those built in and those missing: `export http, without top`.
    pub fn in_words() -> String {
        let names = |built_in| {
            let of = Self::ALL.into_iter().filter(move |feature| feature.is_built_in() == built_in);
            of.map(Self::name).collect::<Vec<_>>().join(" ")
        };
        match (names(true), names(false)) {
            (there, missing) if missing.is_empty() => there,
            (there, missing) if there.is_empty() => format!("none, without {missing}"),
            (there, missing) => format!("{there}, without {missing}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_feature_is_named_with_the_option_that_needs_it() {
        let error = Feature::Http.missing("--http", &"9180");
        assert_eq!(
            error.to_string(),
            "--http \"9180\": this dashcap is built without the feature http; \
             accepted: only in a dashcap built with --features http"
        );
        for feature in Feature::ALL {
            assert_eq!(feature.needed_by("x", &"").is_ok(), feature.is_built_in());
            assert!(Feature::in_words().contains(feature.name()));
        }
    }

    #[test]
    fn every_feature_is_one_of_cargo_toml_and_on_by_default() {
        let manifest: toml::Table = include_str!("../Cargo.toml").parse().unwrap();
        let features = manifest["features"].as_table().unwrap();
        let names: Vec<_> = features.keys().filter(|name| *name != "default").collect();
        assert_eq!(names, Feature::ALL.map(Feature::name));
        let default = features["default"].as_array().unwrap();
        assert_eq!(default.iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>(), names);
    }
}
