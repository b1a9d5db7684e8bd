//! The watchers of the host that are always there: which there are, and which the operator asked for.
//!
//! What he asked for must be there, or nothing starts; what dashcap would have liked by itself and this
//! host does not grant is a limitation, told at the start and in every bundle.

use crate::error::Result;
use crate::observation::Fact;
use crate::watch::attribute::{self, AttributeWatcher};
use crate::watch::counters::{self, CounterWatcher};
use crate::watch::fdb::FdbWatcher;
use crate::watch::ip::{self, IpWatcher};
use crate::watch::logs::{self, LogWatcher, Place};
use crate::watch::routes::RouteWatcher;

/// Which watchers there are, beside links, probes and the timeline.
#[derive(Debug, Clone, Default)]
pub struct WatcherOptions {
    /// Logs.
    pub logs: Logs,
    /// Attributes in /sys and /proc.
    pub attributes: attribute::Options,
    /// Addresses, default routes, neighbours.
    pub ip: ip::Options,
    /// Counters of trouble.
    pub counters: counters::Options,
}

/// Which logs are watched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Logs {
    /// The kernel's, and the journal where there is one; each if this host lets us.
    #[default]
    Usual,
    /// These; each must be there.
    Asked(Vec<logs::Options>),
}

impl Logs {
    /// Each log.
    pub fn each(&self) -> Vec<logs::Options> {
        match self {
            Self::Usual => {
                let journal = logs::journal_runs().then(Place::journal);
                let places = [Place::Kernel].into_iter().chain(journal);
                places.map(logs::Options::new).collect()
            }
            Self::Asked(logs) => logs.clone(),
        }
    }
}

impl WatcherOptions {
    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// When a part of it has none.
    pub fn check(&self) -> Result<()> {
        self.logs.each().iter().try_for_each(logs::Options::check)?;
        self.attributes.check()?;
        self.ip.check()?;
        self.counters.check()
    }

    /// Opens all of them but those that are open already.
    ///
    /// # Errors
    /// When one that was asked for is refused.
    pub(in crate::recorder) fn open(&self, early: Early) -> Result<Opened> {
        let (mut logs, limitations) = open_logs(&self.logs)?;
        logs.extend(early.listeners);
        Ok(Opened {
            logs,
            attributes: AttributeWatcher::open(self.attributes.clone())?,
            ip: early.ip,
            routes: early.routes,
            counters: CounterWatcher::open(self.counters.clone())?,
            fdb: FdbWatcher::open()?,
            limitations,
        })
    }
}

/// A log that is open, and as what it was asked for.
type OpenLog = (logs::Options, LogWatcher);

/// Watchers that are opened first (see [`Privileged`](crate::recorder::Privileged)).
#[derive(Debug)]
pub(in crate::recorder) struct Early {
    ip: IpWatcher,
    routes: RouteWatcher,
    /// Where syslog is received.
    listeners: Vec<OpenLog>,
}

impl Early {
    /// Addresses, default routes and watched neighbours of this host.
    pub(in crate::recorder) fn picture(&self) -> Vec<Fact> {
        self.ip.picture()
    }

    pub(in crate::recorder) fn open(watchers: &WatcherOptions) -> Result<Self> {
        let listeners = watchers.logs.each().into_iter().filter(is_listener);
        let open = |log: logs::Options| LogWatcher::open(&log).map(|watcher| (log, watcher));
        let listeners = listeners.map(open).collect::<Result<_>>()?;
        Ok(Self {
            ip: IpWatcher::open(&watchers.ip)?,
            routes: RouteWatcher::open(watchers.ip.receive_buffer)?,
            listeners,
        })
    }
}

fn is_listener(log: &logs::Options) -> bool {
    matches!(log.place, Place::Syslog { .. })
}

/// Every log that there is, and what there is not.
fn open_logs(logs: &Logs) -> Result<(Vec<OpenLog>, Vec<String>)> {
    let (mut opened, mut limitations) = (Vec::new(), Vec::new());
    for options in logs.each().into_iter().filter(|log| !is_listener(log)) {
        match LogWatcher::open(&options) {
            Ok(watcher) => {
                limitations.extend(watcher.limitation());
                opened.push((options, watcher));
            }
            Err(error) if *logs == Logs::Usual => {
                limitations.push(format!("no lines of the {}: {error}", options.place));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((opened, limitations))
}

/// Watchers that may go to work.
#[derive(Debug)]
pub(in crate::recorder) struct Opened {
    pub(super) logs: Vec<OpenLog>,
    pub(super) attributes: AttributeWatcher,
    pub(super) ip: IpWatcher,
    pub(super) routes: RouteWatcher,
    pub(super) counters: CounterWatcher,
    pub(super) fdb: FdbWatcher,
    pub(super) limitations: Vec<String>,
}
