//! Any attribute that the kernel shows in /sys or /proc, by path or by pattern: a vendor's counter, a
//! temperature, what a bond says of its ports. Whoever knows the file that tells of a failure needs no
//! watcher of his own.
//!
//! It promises regular rounds that do not drift; that what is told is what was read, never a guess; and
//! bounds on files, bytes and time: only regular files in /sys and /proc are read, without waiting, at
//! most [`FILES`] of them and the beginning of each, [`BYTES`] long. That there are more files is told as
//! missed, once.
//!
//! A file under `/proc/net/bonding/` has many lines, most of which never change: of them those that tell
//! of trouble are watched one by one (see [`bonding`]). Any other file is one value.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use glob::{MatchOptions, Pattern};

use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::sys::attribute;
use crate::time::Stamp;
use crate::watch::ticks::{Ticks, check_interval};
use crate::watch::{Wake, Watcher, WatcherContext};

pub mod bonding;

use crate::observation::attribute::{AttributeChange, Condition, cut};

/// Most files that are looked at in a round: an attribute of a thousand interfaces.
pub const FILES: usize = 1_024;
/// Bytes read of a file: an attribute of /sys has a page at most
/// (Documentation/filesystems/sysfs.rst), and a bond with 32 ports tells 20 KiB.
pub const BYTES: u64 = 32 * 1024;
/// Bytes of a value that are kept and told.
const VALUE: usize = 4_096;
/// Where the kernel shows attributes; everything else is somebody's file, and may be a device, a pipe or
/// on a dead file server.
const ROOTS: [&str; 2] = ["/sys/", "/proc/"];
/// Streams whose readers take what they read from somebody else (proc(5), Documentation/trace/ftrace.rst).
const STREAMS: [&str; 2] = ["kmsg", "trace_pipe"];
/// Where a bond tells of itself (Documentation/networking/bonding.rst).
const BONDING: &str = "/proc/net/bonding";

/// What can be tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Time between two rounds.
    pub interval: Duration,
    /// What is watched.
    pub watched: Vec<Watched>,
}

/// Files, and what about them is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// An absolute path in /sys or /proc, in which `*`, `?` and `[...]` stand for parts of a name.
    pub pattern: String,
    /// When something is told.
    pub condition: Condition,
}

impl Default for Options {
    /// Every bond, every second; nothing where there is none.
    fn default() -> Self {
        let pattern = format!("{BONDING}/*");
        let bonds = Watched { pattern, condition: Condition::Changes };
        Self { interval: Duration::from_secs(1), watched: vec![bonds] }
    }
}

impl Options {
    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] if the interval is below 10 ms or above an hour, a path is not in /sys or /proc,
    /// a pattern is none or goes through whole trees (`**`), or a threshold is no number.
    pub fn check(&self) -> Result<()> {
        check_interval("interval of attributes", self.interval)?;
        self.watched.iter().try_for_each(Watched::check)
    }
}

impl Watched {
    fn check(&self) -> Result<()> {
        let refuse = |reason: String| {
            let accepted = "an absolute path in /sys or /proc, such as \
                            /sys/class/net/dp0*/opstate_changes";
            Error::usage("attribute", &self.pattern, reason, accepted)
        };
        if !ROOTS.iter().any(|root| self.pattern.starts_with(root)) {
            return Err(refuse("an attribute is a file in /sys or /proc".to_owned()));
        }
        let parts = || self.pattern.split('/');
        if parts().any(|part| part == "..") {
            return Err(refuse("`..` may lead out of /sys and /proc".to_owned()));
        }
        if parts().any(|part| part.contains("**")) {
            return Err(refuse("`**` is not allowed: it would read whole trees".to_owned()));
        }
        Pattern::new(&self.pattern).map_err(|error| refuse(error.msg.to_owned()))?;
        match self.condition {
            Condition::Above(limit) | Condition::Below(limit) if !limit.is_finite() => {
                let accepted = "a number, such as 85000";
                Err(Error::usage(
                    "threshold",
                    limit.to_string(),
                    "a threshold is a finite number",
                    accepted,
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Which value: the index of its [`Watched`], its file, and which of the file's values.
type Key = (usize, PathBuf, Option<String>);

/// The watcher of attributes.
#[derive(Debug)]
pub struct AttributeWatcher {
    options: Options,
    told: BTreeMap<Key, String>,
    /// There are more files than are watched, and that was said.
    too_many: bool,
}

/// What one round found.
#[derive(Debug, Default)]
struct Round {
    values: BTreeMap<Key, String>,
    too_many: bool,
}

impl AttributeWatcher {
    /// Reads the baseline, which is not told, except for what is already beyond a threshold.
    ///
    /// # Errors
    /// When an option has no meaning.
    pub fn open(options: Options) -> Result<Self> {
        options.check()?;
        let mut watcher = Self { options, told: BTreeMap::new(), too_many: false };
        let mut values = watcher.look().values;
        let watched = &watcher.options.watched;
        values
            .retain(|key, _| watched.get(key.0).is_some_and(|w| w.condition == Condition::Changes));
        watcher.told = values;
        Ok(watcher)
    }

    fn round(&mut self, context: &mut WatcherContext) {
        let at = context.now();
        let round = self.look();
        if round.too_many && !self.too_many {
            self.too_many = true;
            context.report_missed(format!("attributes beyond the first {FILES} files that match"));
        }
        let gone: Vec<Key> =
            self.told.keys().filter(|key| !round.values.contains_key(*key)).cloned().collect();
        for key in gone {
            self.settle(context, at, key, None);
        }
        for (key, now) in round.values {
            self.settle(context, at, key, Some(now));
        }
    }

    /// Tells what is new about a value, and remembers it unless there was no room to tell it.
    fn settle(&mut self, context: &mut WatcherContext, at: Stamp, key: Key, now: Option<String>) {
        let Some(watched) = self.options.watched.get(key.0) else { return };
        let before = self.told.get(&key);
        if watched.condition.is_news(before.map(String::as_str), now.as_deref()) {
            let change = AttributeChange {
                path: key.1.display().to_string(),
                item: key.2.clone(),
                interface: interface(&key.1),
                condition: watched.condition,
                before: before.cloned(),
                now: now.clone(),
            };
            if !context.send_at(at, Fact::Attribute(Box::new(change))) {
                return;
            }
        }
        match now {
            Some(now) => self.told.insert(key, now),
            None => self.told.remove(&key),
        };
    }

    fn look(&self) -> Round {
        let mut round = Round::default();
        let mut files = 0;
        for (index, watched) in self.options.watched.iter().enumerate() {
            let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
            // The pattern was checked, and a directory that cannot be read has no files for us.
            let found = glob::glob_with(&watched.pattern, options).into_iter().flatten().flatten();
            let is_stream = |path: &Path| STREAMS.iter().any(|name| path.ends_with(name));
            for path in found.filter(|path| path.is_file() && !is_stream(path)) {
                files += 1;
                if files > FILES {
                    round.too_many = true;
                    return round;
                }
                for (item, value) in read(&path) {
                    round.values.insert((index, path.clone(), item), value);
                }
            }
        }
        round
    }
}

impl Watcher for AttributeWatcher {
    const NAME: &'static str = "attribute";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        let mut ticks = Ticks::new(context.now().mono, self.options.interval);
        while context.wait(&[], Some(ticks.due()))? != Wake::Stop {
            self.round(context);
            let skipped = ticks.served(context.now().mono);
            if skipped > 0 {
                context.report_missed(format!(
                    "{skipped} rounds of attributes: the last one took too long"
                ));
            }
        }
        Ok(())
    }
}

/// The values in a file. One that vanished meanwhile has none.
fn read(path: &Path) -> Vec<(Option<String>, String)> {
    let text = match text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        // The carrier of an interface that is administratively down, for one, reads as EINVAL.
        Err(error) => return vec![(None, format!("unreadable: {error}"))],
    };
    if path.parent() == Some(Path::new(BONDING)) {
        let items = bonding::read(&text).into_iter();
        return items.map(|(item, value)| (Some(item), value)).collect();
    }
    vec![(None, cut(text.trim(), VALUE))]
}

fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    attribute::open(path)?.take(BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The interface in whose directory, or whose file, `path` is.
fn interface(path: &Path) -> Option<String> {
    let net = ["/sys/class/net", "/sys/devices/virtual/net", BONDING];
    let inside = net.iter().find_map(|root| path.strip_prefix(root).ok())?;
    Some(inside.components().next()?.as_os_str().to_str()?.to_owned())
}

#[cfg(test)]
mod tests;
