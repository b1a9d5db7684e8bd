//! What went wrong in dashcap itself: told as a limitation in the status and in every bundle from then on,
//! and mended where that is safe.
//!
//! A watcher that panicked is opened anew and put to work again if all it needs are its options; it begins
//! with the state it finds. Others (a command, a signal, a directory, logs with their place in a file)
//! stay silent, which is told.

use super::Recorder;
use super::frame_store::Keeper;
use crate::error::Result;
use crate::observation::Fact;
use crate::observation::capture::CaptureEvent;
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
pub(super) struct Fallen {
    waiting: Vec<String>,
    revived: Vec<String>,
}

impl Fallen {
    /// So often one is put to work again: what panics more often does so whenever it looks.
    const MOST: usize = 3;

    /// Notes that a watcher panicked.
    pub(super) fn note(&mut self, watcher: &str) {
        let before = self.revived.iter().filter(|name| *name == watcher).count();
        if before < Self::MOST {
            self.waiting.push(watcher.to_owned());
        }
    }
}

impl Recorder {
    /// Puts those to work again that panicked and can be opened anew.
    pub(super) fn revive(&mut self) {
        for name in std::mem::take(&mut self.fallen.waiting) {
            match self.open_anew(&name) {
                Ok(false) => {}
                Ok(true) => {
                    tracing::warn!("watcher {name} works again");
                    self.fallen.revived.push(name);
                }
                Err(error) => tracing::error!("watcher {name} stays silent: {error}"),
            }
        }
    }

    /// False if this one cannot be.
    fn open_anew(&mut self, name: &str) -> Result<bool> {
        let watchers = self.options.watchers.clone();
        match name {
            LinkWatcher::NAME => {
                let links = LinkWatcher::open(&link::Options::default())?;
                // What happened in between was seen by nobody.
                for now in links.links() {
                    self.captures.follow(&Fact::Link { before: None, now })?;
                }
                self.watch_names();
                self.employ(links)?;
            }
            Sampler::NAME => {
                let table = self.table.clone();
                self.employ(Sampler::open(self.options.timeline.clone(), table)?)?;
            }
            AttributeWatcher::NAME => self.employ(AttributeWatcher::open(watchers.attributes)?)?,
            IpWatcher::NAME => self.employ(IpWatcher::open(&watchers.ip)?)?,
            RouteWatcher::NAME => {
                self.employ(RouteWatcher::open(watchers.ip.receive_buffer)?)?;
            }
            CounterWatcher::NAME => self.employ(CounterWatcher::open(watchers.counters)?)?,
            FdbWatcher::NAME => self.employ(FdbWatcher::open()?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::WatcherEnd;

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
        let mut fallen = Fallen::default();
        for _ in 0..5 {
            fallen.note("ip");
            fallen.revived.append(&mut fallen.waiting);
        }
        assert_eq!(fallen.revived.len(), Fallen::MOST);
    }
}
