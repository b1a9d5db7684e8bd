//! `[[filter_match]]`, `[[rate_limit]]` and `[[silence]]`: what is looked for in the traffic, as the file
//! has it.

use std::time::Duration;

use globset::Glob;
use serde::{Deserialize, Serialize};

use crate::capture::Wanted;
use crate::capture::filter::Filter;
use crate::cli::values::TimeSpan;
use crate::detect::traffic::{self, Bound, ClassSilence, Unit};
use crate::error::{Error, Result};
use crate::frame::Direction;

/// The keys of `[[filter_match]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilterMatch {
    name: String,
    filter: String,
}

/// The keys of `[[rate_limit]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<TrafficDirection>,
    #[serde(default)]
    unit: Of,
    #[serde(skip_serializing_if = "Option::is_none")]
    above: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
    #[serde(default = "hysteresis")]
    hysteresis: f64,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    lasting: Option<TimeSpan>,
}

/// Which way.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TrafficDirection {
    Inbound,
    Outbound,
}

/// Of what, a second.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
enum Of {
    #[default]
    #[serde(rename = "pps")]
    Frames,
    #[serde(rename = "bit/s")]
    Bits,
}

/// The keys of `[[silence]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Silence {
    class: String,
    after: TimeSpan,
}

/// A tenth of the bound: ordinary traffic varies by that from second to second.
fn hysteresis() -> f64 {
    0.1
}

impl FilterMatch {
    /// What capture waits for.
    ///
    /// # Errors
    /// When it is no filter.
    pub(super) fn wanted(&self) -> Result<Wanted> {
        if self.name.trim().is_empty() {
            let accepted = "name = \"NAME\", which findings tell";
            return Err(Error::usage(
                "filter_match",
                &self.name,
                "each filter_match has a name, this one none",
                accepted,
            ));
        }
        Ok(Wanted { name: (&*self.name).into(), filter: Filter::parse(&self.filter)? })
    }

    /// As the operator would write it.
    pub(super) fn of(wanted: &Wanted) -> Self {
        Self { name: wanted.name.to_string(), filter: wanted.filter.to_string() }
    }
}

impl RateLimit {
    /// What detectors look for.
    ///
    /// # Errors
    /// When it has no bound or two, or its interface is no pattern.
    pub(super) fn limit(&self) -> Result<traffic::RateLimit> {
        let what = format!("rate_limit {}", self.name);
        let bound = match (self.above, self.below) {
            (Some(above), None) => Bound::Above(above),
            (None, Some(below)) => Bound::Below(below),
            _ => {
                let accepted = "one of them, such as above = 100000";
                let reason = "a rate has either above or below";
                return Err(Error::usage(what, "", reason, accepted));
            }
        };
        let glob = |pattern: &String| {
            Glob::new(pattern).map(|glob| glob.compile_matcher()).map_err(|error| {
                let accepted = "the name of an interface, with wildcards if wanted: dp0*";
                Error::usage(&what, pattern, error.kind().to_string(), accepted)
            })
        };
        Ok(traffic::RateLimit {
            name: (&*self.name).into(),
            interface: self.interface.as_ref().map(glob).transpose()?,
            class: self.class.as_deref().map(Into::into),
            direction: self.direction.map(|way| match way {
                TrafficDirection::Inbound => Direction::Inbound,
                TrafficDirection::Outbound => Direction::Outbound,
            }),
            unit: match self.unit {
                Of::Frames => Unit::Frames,
                Of::Bits => Unit::Bits,
            },
            bound,
            hysteresis: self.hysteresis,
            hold: self.lasting.map_or(Duration::ZERO, |span| span.0),
        })
    }

    /// As the operator would write it.
    pub(super) fn of(limit: &traffic::RateLimit) -> Self {
        let (above, below) = match limit.bound {
            Bound::Above(bound) => (Some(bound), None),
            Bound::Below(bound) => (None, Some(bound)),
        };
        Self {
            name: limit.name.to_string(),
            interface: limit.interface.as_ref().map(|glob| glob.glob().glob().to_owned()),
            class: limit.class.as_ref().map(ToString::to_string),
            direction: limit.direction.and_then(|direction| match direction {
                Direction::Inbound => Some(TrafficDirection::Inbound),
                Direction::Outbound => Some(TrafficDirection::Outbound),
                Direction::Unknown => None,
            }),
            unit: match limit.unit {
                Unit::Frames => Of::Frames,
                Unit::Bits => Of::Bits,
            },
            above,
            below,
            hysteresis: limit.hysteresis,
            lasting: (!limit.hold.is_zero()).then_some(TimeSpan(limit.hold)),
        }
    }
}

impl Silence {
    /// What detectors look for.
    pub(super) fn class(&self) -> ClassSilence {
        ClassSilence { class: (&*self.class).into(), after: self.after.0 }
    }

    /// As the operator would write it.
    pub(super) fn of(silence: &ClassSilence) -> Self {
        Self { class: silence.class.to_string(), after: TimeSpan(silence.after) }
    }
}
