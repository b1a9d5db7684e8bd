//! Looks at a machine before a failure does: what would keep dashcap from recording, make its evidence
//! wrong, or its bundles late, and what to do about each.
//!
//! It changes nothing, captures nothing, and asks nobody on the network. Judging is pure (what is found
//! goes in, a check comes out), so that every verdict can be tried without the machine that gives it.

mod host;
mod interface;
mod memory;
mod network;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;

pub use self::network::hints;
use crate::observation::link::LinkState;
use crate::watch::logs::Place;

/// What is to be looked at.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// Every interface of the host.
    pub links: Vec<LinkState>,
    /// Names of those that would be recorded.
    pub recorded: Vec<String>,
    /// Memory for frames, in bytes.
    pub memory: u64,
    /// Memory for what passed, in bytes.
    pub traffic_memory: u64,
    /// Memory the kernel takes for each interface, in bytes.
    pub kernel_memory: u64,
    /// Classes of traffic of an interface, each with a lane.
    pub lanes: u64,
    /// Whether the memory for frames is to be locked.
    pub lock: bool,
    /// The file that holds it, if it is to outlive the process.
    pub ring_file: Option<PathBuf>,
    /// Where bundles appear.
    pub output: PathBuf,
    /// The control socket, if there is to be one.
    pub control: Option<PathBuf>,
    /// Addresses that are probed.
    pub probed: Vec<IpAddr>,
    /// Logs that are watched.
    pub logs: Vec<Place>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// Good to know when a bundle is read.
    Note,
    /// Something will be missing or wrong.
    Warning,
    /// dashcap does not work like this.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// How bad it is.
    pub state: State,
    /// What was looked at: "clock", "eth0".
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What to do about it; none where nothing is to be done.
    pub advice: Option<String>,
}

impl Check {
    /// Nothing to do.
    pub fn ok(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { state: State::Ok, subject: subject.into(), found: found.into(), advice: None }
    }

    /// Something to do.
    pub fn new(
        state: State,
        subject: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { state, advice: Some(advice.into()), ..Self::ok(subject, found) }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Fail => "fail",
        })
    }
}

/// Looks at everything.
pub fn examine(subject: &Subject) -> Vec<Check> {
    let mut checks = host::examine(subject);
    checks.extend(memory::examine(subject));
    checks.extend(interface::examine(subject));
    checks.extend(network::examine(subject));
    checks
}
