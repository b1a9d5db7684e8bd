//! The runner: another process of the same program, which runs hooks and collectors for dashcap.
//!
//! It is started before dashcap gives up its privileges, and is told at once, and once, which programs there
//! are and where bundles appear. From then on it can only be asked for these, by name: a dashcap that was
//! subverted through a frame cannot make it run anything else, or look anywhere else. It enforces every
//! bound itself. When its standard input ends, because
//! dashcap has ended however, it ends what is running, and itself.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::Duration;

use super::allowance::Allowance;
use super::collectors::{self, Collector};
use super::context::{BundlePath, HookContext};
use super::message::{Answer, Request, line, next_line};
use super::options::{Hook, When};
use super::program::{Errand, run};
use crate::error::{Error, Result};
use crate::sys::priority;
use crate::time::Clock;
use crate::words::rough;

/// Hooks that run side by side at most; what is asked beyond that does not run, and is told.
const MOST_RUNNING: usize = 8;
/// Output of a hook that is kept, in bytes: pages of text; what is longer nobody reads.
const HOOK_OUTPUT: usize = 64 << 10;
/// Output of a collector that is kept, in bytes, as of everything in `system/`.
const COLLECTOR_OUTPUT: usize = 256 << 10;
/// Longest time a collector may take: below the default post-trigger window, so that the bundle does not
/// wait for it.
const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(8);
/// Nice value of collectors, of which many run at once: capture comes first. Hooks keep the usual one,
/// they may be what brings the network back.
const COLLECTOR_NICE: i32 = 10;

/// Serves one dashcap until `input` ends.
///
/// # Errors
/// When what is asked cannot be understood, which is a defect or an attack.
pub fn serve(mut input: impl BufRead, output: impl Write + Send, clock: &Clock) -> Result<()> {
    let Some(Request::Roster { hooks, collect, output: store }) = next_request(&mut input)? else {
        return Ok(());
    };
    let allowed = |hook: Hook| (Mutex::new(Allowance::new(hook.at_most, hook.per)), hook);
    let runner = Runner {
        hooks: hooks.into_iter().map(allowed).collect(),
        store,
        output: Mutex::new(output),
        clock,
        running: AtomicUsize::new(0),
        collecting: AtomicBool::new(false),
        over: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let served = loop {
            match next_request(&mut input) {
                Ok(Some(Request::Hook { id, name, story })) => {
                    runner.hook(scope, id, &name, story);
                }
                Ok(Some(Request::Collect { id, story })) => match &collect {
                    Some(directory) => runner.collect(scope, id, directory, story),
                    None => runner.tell(&Answer::Expect { id, names: Vec::new() }),
                },
                // Told once: what comes later comes from somebody who should not.
                Ok(Some(Request::Roster { .. })) => tracing::warn!("a second roster is ignored"),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // Programs end within their grace, and the scope with them.
        runner.over.store(true, Ordering::Release);
        served
    })
}

fn next_request(input: &mut impl BufRead) -> Result<Option<Request>> {
    let failed = |reason: String| Error::operation("understand", "what dashcap asks", reason);
    let Some(line) = next_line(input).map_err(|e| failed(e.to_string()))? else { return Ok(None) };
    serde_json::from_str(&line).map(Some).map_err(|e| failed(e.to_string()))
}

struct Runner<'a, W> {
    hooks: Vec<(Mutex<Allowance>, Hook)>,
    /// The directory in which bundles appear.
    store: PathBuf,
    output: Mutex<W>,
    clock: &'a Clock,
    running: AtomicUsize,
    collecting: AtomicBool,
    over: AtomicBool,
}

impl<W: Write + Send> Runner<'_, W> {
    fn tell(&self, answer: &Answer) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        // Fails only when dashcap is gone, which its input tells, too.
        let _ = output.write_all(line(answer).as_bytes()).and_then(|()| output.flush());
    }

    fn not_run(&self, id: u64, name: &str, why: impl Into<String>) {
        self.tell(&Answer::NotRun { id, name: name.to_owned(), why: why.into() });
    }

    fn hook<'s>(&'s self, scope: &'s Scope<'s, '_>, id: u64, name: &str, story: HookContext) {
        let Some((allowance, hook)) = self.hooks.iter().find(|(_, hook)| hook.name == name) else {
            return self.not_run(id, name, "there is no such hook");
        };
        let errand = match self.errand(hook, story) {
            Ok(errand) => errand,
            Err(why) => return self.not_run(id, name, why),
        };
        if self.running.load(Ordering::Acquire) >= MOST_RUNNING {
            return self.not_run(id, name, format!("{MOST_RUNNING} hooks are running"));
        }
        let now = self.clock.now().mono;
        let taken = allowance.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        if let Err(wait) = taken {
            let (runs, per) = (hook.at_most, hook.per);
            let times = if runs == 1 { "once".to_owned() } else { format!("{runs} times") };
            let why = format!("it runs {times} in {per:?} at most, again in {}", rough(wait));
            return self.not_run(id, name, why);
        }
        self.running.fetch_add(1, Ordering::AcqRel);
        let work = move || {
            self.run(id, &hook.name, &errand);
            self.running.fetch_sub(1, Ordering::AcqRel);
        };
        let thread = thread::Builder::new().name(format!("hook/{name}"));
        if let Err(error) = thread.spawn_scoped(scope, work) {
            self.running.fetch_sub(1, Ordering::AcqRel);
            self.not_run(id, name, error.to_string());
        }
    }

    /// What a hook is run with; in words, why it is not.
    fn errand(&self, hook: &Hook, story: HookContext) -> Result<Errand, String> {
        let Hook { name, command, when, timeout, .. } = hook;
        let story = story.checked()?;
        // A window that is frozen has no bundle yet, whatever is asked.
        let bundle = story.bundle.as_deref().filter(|_| *when == When::Written);
        let place = BundlePath::of(&self.store, bundle)
            .map_err(|error| format!("{}: {error}", bundle.unwrap_or_default()))?;
        Ok(Errand {
            words: command.words(),
            environment: story.environment(name, Some(*when), &place),
            input: story.json(name, Some(*when), *timeout, &place),
            timeout: *timeout,
            keep: HOOK_OUTPUT,
        })
    }

    fn run(&self, id: u64, name: &str, errand: &Errand) {
        let began = || self.tell(&Answer::Began { id, name: name.to_owned() });
        match run(errand, self.clock, &self.over, began) {
            Ok(end) => self.tell(&Answer::Ended { id, name: name.to_owned(), end }),
            Err(error) => {
                let program = errand.words.first().map_or("", String::as_str);
                self.not_run(id, name, format!("{program}: {error}"));
            }
        }
    }

    /// Runs all collectors side by side, one collection at a time.
    fn collect<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        id: u64,
        directory: &Path,
        story: HookContext,
    ) {
        let refused = |name: &str, why: String| {
            self.tell(&Answer::Expect { id, names: vec![name.to_owned()] });
            self.not_run(id, name, why);
        };
        const ALL: &str = "collectors";
        let told = story.checked().map_err(str::to_owned).and_then(|story| {
            let place = BundlePath::of(&self.store, None).map_err(|error| error.to_string())?;
            Ok((story, place))
        });
        let (story, place) = match told {
            Ok(told) => told,
            Err(why) => return refused(ALL, why),
        };
        let found = match collectors::list(directory) {
            Ok(found) if found.is_empty() => {
                return self.tell(&Answer::Expect { id, names: Vec::new() });
            }
            Ok(found) => found,
            Err(error) => return refused(ALL, format!("{}: {error}", directory.display())),
        };
        if self.collecting.swap(true, Ordering::AcqRel) {
            return refused(ALL, "those of another incident are still running".to_owned());
        }
        let names = found.iter().map(|collector| collector.name.clone()).collect();
        self.tell(&Answer::Expect { id, names });
        let work = move || {
            self.run_all(id, &found, &story, &place);
            self.collecting.store(false, Ordering::Release);
        };
        let thread = thread::Builder::new().name("collect".to_owned());
        if let Err(error) = thread.spawn_scoped(scope, work) {
            self.collecting.store(false, Ordering::Release);
            tracing::error!("cannot run collectors: {error}");
        }
    }

    fn run_all(&self, id: u64, found: &[Collector], story: &HookContext, place: &BundlePath) {
        thread::scope(|scope| {
            for Collector { name, path, refused } in found {
                if let Some(why) = refused {
                    self.not_run(id, name, why);
                    continue;
                }
                let errand = Errand {
                    words: vec![path.to_string_lossy().into_owned()],
                    environment: story.environment(name, None, place),
                    input: story.json(name, None, COLLECTOR_TIMEOUT, place),
                    timeout: COLLECTOR_TIMEOUT,
                    keep: COLLECTOR_OUTPUT,
                };
                let work = move || {
                    // What it runs inherits the thread's priority (setpriority(2)).
                    let _ = priority::step_back(COLLECTOR_NICE);
                    self.run(id, name, &errand);
                };
                let thread = thread::Builder::new().name("collect/one".to_owned());
                if let Err(error) = thread.spawn_scoped(scope, work) {
                    self.not_run(id, name, error.to_string());
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;
