//! Log files, followed by name as `tail -F` does: what counts is which file has the name now.
//!
//! ```text
//!   messages ──► inode 7 ──rename──► messages.1   its writer may still be at it: read a while longer
//!   messages ──► inode 9 (new)                    read from its beginning
//! ```
//!
//! * Files that are there at the start are followed from their end; those that appear later, and
//!   directories on the way to them, are read from their beginning.
//! * A file that became shorter was truncated (logrotate's `copytruncate`) and is read from its
//!   beginning. What was written just before the truncation may be missed, so that is told. One that
//!   is already longer again when we look cannot be told from one that grew.
//! * A file that a pattern finds under a second name (a rotated one, a link) is not read twice.
//! * Names that end like compressed files are passed over.
//!
//! inotify says when to look; every second everything is looked at anyway, and more often where
//! inotify is not to be had or silent (its limits are reached, or the file system is on a network),
//! which [`Files::limitation`] says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use glob::{MatchOptions, Pattern, glob_with};

use super::sieve::Sieve;
use crate::error::{Error, Result};
use crate::sys::wakeup::Wakeup;
use crate::watch::{Wake, WatcherContext};

mod followed;
mod hints;
mod tail;

use followed::{FollowUp, Followed};
use hints::Hints;
use tail::{Identity, Tail};

/// How often everything is looked at, hints or not.
const ROUND: Duration = Duration::from_secs(1);
/// How often where there are no hints.
const ROUND_WITHOUT_HINTS: Duration = Duration::from_millis(250);
/// Files per pattern; further ones are not followed, and that is told.
const MOST: usize = 256;
/// Endings of files that are no text.
const COMPRESSED: [&str; 5] = ["gz", "xz", "bz2", "zst", "lz4"];
/// A blank in a name is a blank, `*` stops at a slash, and hidden files want their dot.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Refuses a pattern that has no meaning.
pub(super) fn check(pattern: &str) -> Result<Pattern> {
    let refuse = |reason: &str| {
        let accepted = "an absolute path, with wildcards if wanted, such as /var/log/frr/*.log";
        Err(Error::usage("log file", pattern, reason, accepted))
    };
    if !pattern.starts_with('/') {
        return refuse("the path is absolute");
    }
    if pattern.ends_with('/') {
        return refuse("the path names files, and this is a directory");
    }
    Pattern::new(pattern).or_else(|reason| refuse(&reason.to_string()))
}

/// The files that a pattern finds.
#[derive(Debug)]
pub(super) struct Files {
    pattern: Pattern,
    followed: BTreeMap<PathBuf, Followed>,
    hints: Hints,
    /// Where our own log goes, which is not followed.
    own: Vec<Identity>,
    /// What is told once and not again.
    told: BTreeSet<String>,
}

impl Files {
    pub(super) fn open(pattern: &str) -> Result<Self> {
        let pattern = check(pattern)?;
        let wakeup =
            Wakeup::new().map_err(|reason| Error::operation("follow", pattern.as_str(), reason))?;
        let own = [own_file(io::stdout().as_fd()), own_file(io::stderr().as_fd())];
        let mut files = Self {
            pattern,
            followed: BTreeMap::new(),
            hints: Hints::new(wakeup),
            own: own.into_iter().flatten().collect(),
            told: BTreeSet::new(),
        };
        // First heard, then opened: what is written in between rings.
        files.hear();
        for path in files.found().into_iter().take(MOST) {
            let mut followed = Followed::default();
            followed.from_end = true;
            // What cannot be opened now is tried, and told, in the first round.
            let _ = files.attach(&path, &mut followed);
            files.followed.insert(path, followed);
        }
        files.hear();
        // Whoever opened it can ask; what comes to light later is told then.
        files.told.extend(files.limitation());
        Ok(files)
    }

    /// What slows it down here; none where inotify hears everything.
    pub(super) fn limitation(&self) -> Option<String> {
        let millis = ROUND_WITHOUT_HINTS.as_millis();
        let why = self.hints.limitation()?;
        Some(format!("{}: looked at every {millis} ms, because {why}", self.pattern))
    }

    pub(super) fn run(mut self, context: &mut WatcherContext, mut sieve: Sieve) -> Result<()> {
        let mut more = self.round(context, &mut sieve);
        let mut round = context.now().mono.plus(self.interval());
        loop {
            let until = if more { context.now().mono } else { round };
            match sieve.wait(context, &[self.hints.wakeup().as_fd()], Some(until))? {
                Wake::Stop => return Ok(()),
                Wake::Ready => more |= self.look(context, &mut sieve),
                Wake::Due => {
                    more = self.round(context, &mut sieve);
                    round = context.now().mono.plus(self.interval());
                }
            }
        }
    }

    fn interval(&self) -> Duration {
        if self.hints.limitation().is_some() { ROUND_WITHOUT_HINTS } else { ROUND }
    }

    /// Looks where the hints point; true if there is more to read at once.
    fn look(&mut self, context: &mut WatcherContext, sieve: &mut Sieve) -> bool {
        let news = self.hints.take();
        let known = |path: &PathBuf| {
            let by_target = || {
                let mut names = self.followed.iter();
                names.find(|(_, file)| file.real.as_ref() == Some(path)).map(|(name, _)| name)
            };
            self.followed.get_key_value(path).map(|(name, _)| name).or_else(by_target).cloned()
        };
        let names: BTreeSet<PathBuf> = news.paths.iter().filter_map(known).collect();
        let appeared = |path: &PathBuf| {
            !self.followed.contains_key(path) && self.pattern.matches_path_with(path, MATCHING)
        };
        if news.anything || news.paths.iter().any(appeared) {
            return self.round(context, sieve);
        }
        names.iter().fold(false, |more, name| self.visit(name, context, sieve) | more)
    }

    /// Looks for names that appeared, and at every file; true if there is more to read at once.
    fn round(&mut self, context: &mut WatcherContext, sieve: &mut Sieve) -> bool {
        let found = self.found();
        let mut too_many = found.len() > MOST;
        for path in found {
            // Names that are gone count as long as they are read on.
            if self.followed.len() < MOST {
                self.followed.entry(path).or_default();
            } else {
                too_many |= !self.followed.contains_key(&path);
            }
        }
        if too_many {
            let what = format!("more than {MOST} files match, only {MOST} are followed");
            self.tell_once(what, context, sieve);
        }
        let names: Vec<PathBuf> = self.followed.keys().cloned().collect();
        let more = names.iter().fold(false, |more, name| self.visit(name, context, sieve) | more);
        self.followed.retain(|name, file| file.is_open() || name.exists());
        self.hear();
        if let Some(limitation) = self.limitation() {
            self.tell_once(limitation, context, sieve);
        }
        more
    }

    /// The names that the pattern finds, up to one more than [`MOST`].
    fn found(&self) -> Vec<PathBuf> {
        // It was compiled before, so it is a pattern; directories that cannot be read are passed over.
        let paths = glob_with(self.pattern.as_str(), MATCHING).into_iter().flatten().flatten();
        let is_text = |path: &PathBuf| {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            !COMPRESSED.contains(&ending) && fs::metadata(path).is_ok_and(|about| about.is_file())
        };
        paths.filter(is_text).take(MOST + 1).collect()
    }

    /// Hears the directories of all files, and the one where new ones would appear.
    fn hear(&mut self) {
        let plain =
            |part: &Path| Pattern::escape(&part.to_string_lossy()) == part.to_string_lossy();
        let place = Path::new(self.pattern.as_str()).ancestors().skip(1).find(|part| plain(part));
        let reals = self.followed.values().filter_map(|file| file.real.as_deref());
        let names = self.followed.keys().map(PathBuf::as_path).chain(reals);
        let parents = names.filter_map(Path::parent).chain(place).map(Path::to_owned);
        let directories: BTreeSet<PathBuf> = parents.collect();
        self.hints.hear(&directories);
    }

    /// Reads what was added under one name; true if there is more to read at once.
    fn visit(&mut self, name: &Path, context: &mut WatcherContext, sieve: &mut Sieve) -> bool {
        let Some(mut file) = self.followed.remove(name) else { return false };
        let now = context.now().mono;
        let mut outcome = FollowUp::default();
        file.let_go_if_replaced(name, now, context, sieve, &mut outcome);
        file.read_leaving(name, now, context, sieve, &mut outcome);
        if file.tail.is_none() {
            match self.attach(name, &mut file) {
                Ok(()) => file.trouble = false,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(reason) if !file.trouble => {
                    file.trouble = true;
                    outcome.troubles.push(format!("{}: {reason}", name.display()));
                }
                Err(_) => {}
            }
        }
        file.read_tail(name, context, sieve, &mut outcome);
        self.followed.insert(name.to_owned(), file);
        for trouble in outcome.troubles {
            sieve.trouble(context, trouble);
        }
        outcome.more
    }

    /// Opens the file under `name`, or takes it over from the name it had before.
    fn attach(&mut self, name: &Path, file: &mut Followed) -> io::Result<()> {
        let about = fs::metadata(name)?;
        let identity = Identity::of(&about);
        if self.own.contains(&identity) {
            return Err(io::Error::other("dashcap logs there itself, so it is not followed"));
        }
        file.tail = match file
            .come_back(identity)
            .map_or_else(|| self.elsewhere(identity), Elsewhere::Left)
        {
            Elsewhere::Nowhere => Some(Tail::open(name, file.from_end)?),
            Elsewhere::Left(tail) => Some(tail),
            Elsewhere::Followed => None,
        };
        file.from_end = false;
        file.real = fs::canonicalize(name).ok().filter(|real| real != name);
        Ok(())
    }

    /// Whether a file is followed under another name already.
    fn elsewhere(&mut self, identity: Identity) -> Elsewhere {
        let same = |tail: &Tail| tail.identity() == identity;
        for (name, file) in &mut self.followed {
            if file.tail.as_ref().is_some_and(same) {
                let stays = fs::metadata(name).is_ok_and(|about| Identity::of(&about) == identity);
                let left = if stays { None } else { file.tail.take() };
                return left.map_or(Elsewhere::Followed, Elsewhere::Left);
            }
            if let Some(tail) = file.come_back(identity) {
                return Elsewhere::Left(tail);
            }
        }
        Elsewhere::Nowhere
    }

    fn tell_once(&mut self, what: String, context: &mut WatcherContext, sieve: &mut Sieve) {
        if self.told.insert(what.clone()) {
            sieve.trouble(context, what);
        }
    }
}

/// Where a file is followed beside the name in question.
enum Elsewhere {
    Nowhere,
    /// Under a name that it still has.
    Followed,
    /// Under a name that it had.
    Left(Tail),
}

/// The regular file that a descriptor of ours leads to.
fn own_file(fd: BorrowedFd<'_>) -> Option<Identity> {
    let about = File::from(fd.try_clone_to_owned().ok()?).metadata().ok()?;
    about.is_file().then(|| Identity::of(&about))
}

#[cfg(test)]
mod tests;
