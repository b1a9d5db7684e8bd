//! What went wrong in dashcap itself: told as a limitation in the status and in every bundle from then on,
//! and mended where that is safe.
//!
//! A watcher that panicked is opened anew and put to work again if all it needs are its options; it begins
//! with the state it finds. Others (a command, a signal, a directory, logs with their place in a file)
//! stay silent, which is told.

use std::mem;

use super::Watchers;
use crate::error::Result;
use crate::observation::capture::CaptureEvent;
use crate::observation::{Fact, Observation, WatcherEnd};
use crate::recorder::Options;
use crate::watch::Watcher;
use crate::watch::attribute::AttributeWatcher;
use crate::watch::counters::CounterWatcher;
use crate::watch::fdb::FdbWatcher;
use crate::watch::ip::IpWatcher;
use crate::watch::link::{self, LinkWatcher};
use crate::watch::routes::RouteWatcher;
use crate::watch::sysfs::Sampler;

/// What a fact says of dashcap's own defects, unless it is among the `known`. There are as many as
/// watchers and interfaces.
pub(super) fn limitation(fact: &Fact, known: &[String]) -> Option<String> {
    let told = match fact {
        Fact::WatcherEnded { .. }
        | Fact::Capture { event: CaptureEvent::Failed { defect: true, .. }, .. } => {
            fact.to_string()
        }
        _ => return None,
    };
    (!known.contains(&told)).then_some(told)
}

/// Watchers that panicked.
#[derive(Debug, Default)]
pub(super) struct Panicked {
    waiting: Vec<String>,
    restarted: Vec<String>,
}

impl Panicked {
    /// So often one is put to work again: what panics more often does so whenever it looks.
    const MOST: usize = 3;

    /// Notes it if the fact is that a watcher panicked.
    pub(super) fn follow(&mut self, fact: &Fact) {
        let Fact::WatcherEnded { watcher, interface: None, why: WatcherEnd::Panicked } = fact
        else {
            return;
        };
        if self.restarted.iter().filter(|name| *name == watcher).count() < Self::MOST {
            self.waiting.push(watcher.clone());
        }
    }
}

impl Watchers {
    /// Puts those to work again that panicked and can be opened anew. Returns what they found, which
    /// changed while nobody saw it.
    pub(in crate::recorder) fn restart_panicked(&mut self, options: &Options) -> Vec<Observation> {
        let mut found = Vec::new();
        for name in mem::take(&mut self.panicked.waiting) {
            match self.restart(&name, options, &mut found) {
                Ok(false) => {}
                Ok(true) => {
                    tracing::warn!("watcher {name} works again");
                    self.panicked.restarted.push(name);
                }
                Err(error) => tracing::error!("watcher {name} stays silent: {error}"),
            }
        }
        let at = self.clock.now();
        found.into_iter().map(|fact| Observation { at, fact }).collect()
    }

    /// False if this one cannot be opened anew.
    fn restart(&mut self, name: &str, options: &Options, found: &mut Vec<Fact>) -> Result<bool> {
        let watchers = options.watchers.clone();
        match name {
            LinkWatcher::NAME => {
                let links = LinkWatcher::open(&link::Options::default())?;
                let seen = links.links().into_iter().map(|now| Fact::Link { before: None, now });
                found.extend(seen);
                self.add(links)?;
            }
            Sampler::NAME => {
                let table = self.table.clone();
                self.add(Sampler::open(options.timeline.clone(), table)?)?;
            }
            AttributeWatcher::NAME => self.add(AttributeWatcher::open(watchers.attributes)?)?,
            IpWatcher::NAME => self.add(IpWatcher::open(&watchers.ip)?)?,
            RouteWatcher::NAME => self.add(RouteWatcher::open(watchers.ip.receive_buffer)?)?,
            CounterWatcher::NAME => self.add(CounterWatcher::open(watchers.counters)?)?,
            FdbWatcher::NAME => self.add(FdbWatcher::open()?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defects_are_limitations_once_and_what_was_merely_missed_is_none() {
        let failed = |defect| Fact::Capture {
            interface: "eth0".to_owned(),
            event: CaptureEvent::Failed { reason: "network is down".to_owned(), defect },
        };
        let watcher = || "ip".to_owned();
        let ended = |why| Fact::WatcherEnded { watcher: watcher(), interface: None, why };
        for (fact, told) in [
            (ended(WatcherEnd::Panicked), true),
            (ended(WatcherEnd::Failed("cannot wait: no memory".to_owned())), true),
            (Fact::Missed { watcher: watcher(), what: "3 observations".to_owned() }, false),
            (failed(true), true),
            (failed(false), false),
            (Fact::StopSignal, false),
        ] {
            let limitation = limitation(&fact, &[]);
            assert_eq!(limitation.is_some(), told, "{fact}");
            if let Some(known) = limitation {
                assert_eq!(super::limitation(&fact, &[known]), None);
            }
        }
    }

    #[test]
    fn who_panics_whenever_it_looks_stays_silent_in_the_end() {
        let mut panicked = Panicked::default();
        let ended = Fact::WatcherEnded {
            watcher: "ip".to_owned(),
            interface: None,
            why: WatcherEnd::Panicked,
        };
        for _ in 0..5 {
            panicked.follow(&ended);
            panicked.restarted.append(&mut panicked.waiting);
        }
        assert_eq!(panicked.restarted.len(), Panicked::MOST);
    }
}
