//! Where something changed, as inotify tells it (through `notify`): hints, never the truth. A hint
//! makes us look at once instead of at the next round; none is needed, and none is believed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::EventKind;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::tail::Identity;
use crate::sys::file_system::is_remote;
use crate::sys::wakeup::Wakeup;

/// Paths remembered until they are looked at; beyond this, everything is looked at.
const MOST: usize = 1_024;

/// What changed since it was last asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) paths: BTreeSet<PathBuf>,
    /// More than could be remembered, or the kernel forgot some.
    pub(super) anything: bool,
}

impl News {
    fn add(&mut self, event: notify::Result<Event>) -> bool {
        match event {
            // Our own opening and reading is told, too.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => return false,
            Ok(event) if event.need_rescan() => self.anything = true,
            Ok(event) => self.paths.extend(event.paths),
            Err(_) => self.anything = true,
        }
        if self.paths.len() > MOST {
            self.paths.clear();
            self.anything = true;
        }
        true
    }
}

/// The ear for changes in some directories.
#[derive(Debug)]
pub(super) struct Hints {
    /// None where inotify cannot be had.
    notify: Option<RecommendedWatcher>,
    news: Arc<Mutex<News>>,
    wakeup: Wakeup,
    heard: BTreeMap<PathBuf, Identity>,
    /// Why some directories are not heard.
    limitation: Option<String>,
}

impl Hints {
    pub(super) fn new(wakeup: Wakeup) -> Self {
        let news = Arc::<Mutex<News>>::default();
        let (theirs, rope) = (Arc::clone(&news), wakeup.clone());
        let notify = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if lock(&theirs).add(event) {
                rope.notify();
            }
        });
        let limitation = notify.as_ref().err().map(|reason| format!("no inotify: {reason}"));
        Self { notify: notify.ok(), news, wakeup, heard: BTreeMap::new(), limitation }
    }

    /// One that hears nothing, as where inotify's limits are reached.
    #[cfg(test)]
    pub(super) fn deaf(wakeup: Wakeup) -> Self {
        let limitation = Some("no inotify".to_owned());
        Self { notify: None, news: Arc::default(), wakeup, heard: BTreeMap::new(), limitation }
    }

    pub(super) fn wakeup(&self) -> &Wakeup {
        &self.wakeup
    }

    /// Why changes are found only by looking; none where all directories are heard.
    pub(super) fn limitation(&self) -> Option<&str> {
        self.limitation.as_deref()
    }

    /// What changed since the last time.
    pub(super) fn take(&mut self) -> News {
        self.wakeup.clear();
        std::mem::take(&mut lock(&self.news))
    }

    /// Hears `directories`, as far as they exist, and no others. A directory that was made anew under
    /// its old name is heard anew.
    pub(super) fn hear(&mut self, directories: &BTreeSet<PathBuf>) {
        let Some(notify) = &mut self.notify else { return };
        let identity = |path: &Path| fs::metadata(path).ok().map(|about| Identity::of(&about));
        self.heard.retain(|path, known| {
            let stays = directories.contains(path) && identity(path) == Some(*known);
            if !stays {
                // Fails if the directory is gone, and with it what we had of it.
                let _ = notify.unwatch(path);
            }
            stays
        });
        for path in directories {
            let Some(identity) = identity(path).filter(|_| !self.heard.contains_key(path)) else {
                continue;
            };
            match notify.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.heard.insert(path.clone(), identity);
                    if is_remote(path).unwrap_or(false) {
                        let what = format!("{} is a network file system", path.display());
                        self.limitation.get_or_insert(what);
                    }
                }
                Err(reason) => {
                    let what = format!("inotify refuses {}: {reason}", path.display());
                    self.limitation.get_or_insert(what);
                }
            }
        }
    }
}

fn lock(news: &Mutex<News>) -> MutexGuard<'_, News> {
    // Every change is complete before anything that could panic, so a poisoned set is whole.
    news.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, Flag};

    use super::*;

    #[test]
    fn news_are_bounded_and_reading_is_none() {
        let mut news = News::default();
        assert!(!news.add(Ok(Event::new(EventKind::Access(AccessKind::Any)))));
        let made =
            |name: String| Event::new(EventKind::Create(CreateKind::File)).add_path(name.into());
        for number in 0..MOST {
            assert!(news.add(Ok(made(number.to_string()))));
        }
        assert_eq!((news.paths.len(), news.anything), (MOST, false));
        assert!(news.add(Ok(made("one more".to_owned()))));
        assert_eq!((news.paths.len(), news.anything), (0, true));
        let mut news = News::default();
        assert!(news.add(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))));
        assert!(news.anything);
    }
}
