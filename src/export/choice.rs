//! Which events a destination wants: of which sort, and how bad at least.

use std::fmt;
use std::str::FromStr;

use crate::finding::Severity;

/// The sorts of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// What detectors concluded from frames.
    Findings,
    /// Everything else that was seen of the host, and what others told us.
    Observations,
    /// Triggers, and what becomes of the incidents they open.
    Incidents,
    /// Per-interface traffic, every interval.
    Traffic,
}

impl What {
    /// All of them, as they are spelled.
    pub const ALL: [Self; 4] = [Self::Findings, Self::Observations, Self::Incidents, Self::Traffic];

    fn name(self) -> &'static str {
        match self {
            Self::Findings => "findings",
            Self::Observations => "observations",
            Self::Incidents => "incidents",
            Self::Traffic => "traffic",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for What {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|what| what.name() == typed).ok_or_else(|| {
            let accepted = Self::ALL.map(Self::name).join(", ");
            format!("{typed:?} is nothing that can be exported; accepted: {accepted}")
        })
    }
}

/// What a destination wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Of these sorts.
    pub what: Vec<What>,
    /// At least as bad as this; traffic is neither good nor bad and always told.
    pub severity: Severity,
}

impl Default for Choice {
    /// What an operator wants to know of without asking: findings, incidents, and traffic.
    fn default() -> Self {
        let what = vec![What::Findings, What::Incidents, What::Traffic];
        Self { what, severity: Severity::Info }
    }
}

impl Choice {
    /// True if an event is wanted.
    pub fn wants(&self, what: What, severity: Severity) -> bool {
        self.what.contains(&what) && (what == What::Traffic || severity >= self.severity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_is_a_floor_and_traffic_is_always_told() {
        let choice = Choice { severity: Severity::Warning, ..Choice::default() };
        for (what, severity, wanted) in [
            (What::Findings, Severity::Critical, true),
            (What::Findings, Severity::Warning, true),
            (What::Findings, Severity::Notice, false),
            (What::Observations, Severity::Critical, false),
            (What::Traffic, Severity::Info, true),
        ] {
            assert_eq!(choice.wants(what, severity), wanted, "{what} {severity:?}");
        }
    }

    #[test]
    fn sorts_read_back() {
        for what in What::ALL {
            assert_eq!(what.to_string().parse(), Ok(what));
        }
        assert!("finding".parse::<What>().unwrap_err().ends_with("incidents, traffic"));
    }
}
