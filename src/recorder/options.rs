//! Everything the operator decides.

use std::path::PathBuf;
use std::time::Duration;

use super::{WatcherOptions, WindowOptions};
use crate::capture::{self, Wanted};
use crate::detect::watcher;
use crate::incident::writer;
use crate::ring::PoolOptions;
use crate::trigger::{Rule, Rules, Terms, budget};
use crate::watch::{probe, sysfs};
use crate::{api, hook, privilege, traffic};

/// Everything the operator decides, each part checked by its owner.
#[derive(Debug, Clone)]
pub struct Options {
    /// Interfaces by name; none = those that matter (see [`Selection`](super::Selection)).
    pub interfaces: Vec<String>,
    /// The memory.
    pub pool: PoolOptions,
    /// The file that holds it, so that frames outlive the process; none = memory of the process alone.
    pub ring_file: Option<PathBuf>,
    /// The long memory of traffic.
    pub traffic: traffic::Options,
    /// How to capture.
    pub capture: capture::Options,
    /// How long a window is.
    pub window: WindowOptions,
    /// How long the same trigger must wait after its incident was closed.
    pub cool_down: Duration,
    /// How many incidents an hour may bring that nobody asked for.
    pub budget: budget::Options,
    /// What opens incidents.
    pub rules: Vec<Rule>,
    /// Hosts to ping.
    pub probes: Vec<probe::Options>,
    /// What else of the host is watched.
    pub watchers: WatcherOptions,
    /// What is looked for by counting frames.
    pub detect: watcher::Options,
    /// Frames that are waited for.
    pub wanted: Vec<Wanted>,
    /// The operator's table.
    pub timeline: sysfs::Options,
    /// Where bundles appear.
    pub output: PathBuf,
    /// How bundles are written.
    pub writer: writer::Options,
    /// Where people and scripts may ask.
    pub api: api::Options,
    /// What the process gives up.
    pub privilege: privilege::Options,
    /// The operator's own programs.
    pub programs: hook::Options,
    /// All of this as the operator would write it, for the manifest.
    pub settings: serde_json::Value,
}

impl Options {
    /// What a rule that says nothing of it asks for.
    pub(super) fn usual(&self) -> Terms {
        let WindowOptions { pre, post, .. } = self.window;
        Terms { pre, post, cool_down: self.cool_down }
    }

    /// How long an observation may be wanted by an incident.
    pub(super) fn span(&self, rules: &Rules) -> Duration {
        self.reach(rules) + self.window.limit + self.cool_down
    }

    /// How far back from its trigger a window may reach.
    pub(super) fn reach(&self, rules: &Rules) -> Duration {
        self.window.pre.max(rules.reach())
    }
}

/// Options for tests.
#[cfg(test)]
pub(super) mod fixture {
    use std::path::Path;
    use std::time::Duration;

    use super::{Options, WatcherOptions, WindowOptions};
    use crate::detect::watcher;
    use crate::incident::writer;
    use crate::ring::PoolOptions;
    use crate::trigger::{Rule, budget};
    use crate::watch::sysfs;
    use crate::{api, capture, hook, privilege, traffic};

    /// Ten seconds before and five after, with little memory; bundles appear under `folder`.
    pub(in crate::recorder) fn options(folder: &Path) -> Options {
        Options {
            interfaces: Vec::new(),
            api: api::Options::default(),
            programs: hook::Options::default(),
            pool: PoolOptions { memory: 16 << 20, lock: false },
            ring_file: None,
            traffic: traffic::Options::default(),
            capture: capture::Options::default(),
            window: WindowOptions::new(Duration::from_secs(10), Duration::from_secs(5)),
            cool_down: Duration::from_secs(30),
            rules: Rule::defaults(false),
            probes: Vec::new(),
            watchers: WatcherOptions::default(),
            detect: watcher::Options::default(),
            wanted: Vec::new(),
            timeline: sysfs::Options::default(),
            output: folder.join("bundles"),
            writer: writer::Options::default(),
            budget: budget::Options::default(),
            privilege: privilege::Options::default(),
            settings: serde_json::Value::Null,
        }
    }
}
