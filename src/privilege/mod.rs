//! Least privilege: what a process that reads bytes of strangers may still do once it records.
//!
//! ```text
//!   root, or a user with CAP_NET_RAW          one thread                        many threads
//!   ──────────────────────────────────┬──────────────────────────────────────┬──────────────────►
//!   programs that need privileges are │ directories made, kernel log kept     │ ring, captures,
//!   started; sockets whose buffers    │ user ─► capabilities ─► no new ones   │ watchers, endpoints,
//!   need CAP_NET_ADMIN are opened     │ ─► Landlock ─► seccomp ─► proven      │ writer
//! ```
//!
//! Users, capabilities, Landlock's domains and seccomp's filters belong to threads, and threads inherit
//! them: so all of it happens while there is only one ([`give_up`] refuses otherwise), and no later thread
//! has more. What dashcap reads and writes from then on, it reads and writes as the user, also what it
//! opens while it starts: nothing is opened by root that the user could not open again.
//!
//! What remains is [`Grants`]: CAP_NET_RAW, because interfaces that appear later are recorded too, and what
//! the operator's settings prove to need. What the kernel does not offer is left out, never half-done in
//! silence: it is a line of [`Confinement::limitations`], for the log, `dashcap status` and every bundle.
//! `docs/security.md` tells which threat each part answers.

mod capabilities;
mod files;
mod grants;
mod landlock;
mod reading;
mod seccomp;
mod trust;
mod user;

use std::fmt;
use std::fs;
use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;

pub use self::files::Files;
pub use self::grants::{Grants, WritableDirectory};
pub use self::reading::confine_to_reading;
pub use self::trust::is_roots_alone;
pub use rustix::thread::CapabilitySet as Capabilities;

use self::seccomp::Sockets;
use self::user::User;
use crate::error::{Error, Result};
use crate::sys::kernel_log;

/// What the operator decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whom root becomes; none = nobody else.
    pub user: Option<String>,
    /// Whether files and system calls that are not needed are forbidden.
    pub sandbox: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { user: None, sandbox: true }
    }
}

impl Options {
    /// Refuses what no user is called.
    ///
    /// # Errors
    /// [`Error::Usage`] when the name is empty or holds a zero byte.
    pub fn check(&self) -> Result<()> {
        match &self.user {
            Some(name) if name.is_empty() || name.contains('\0') => {
                let accepted = "the name of a user of this host, such as dashcap";
                Err(Error::usage("--user", name, "a user has a name without zero bytes", accepted))
            }
            _ => Ok(()),
        }
    }
}

/// What became of the privileges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Confinement {
    /// As whom the process goes on.
    pub user: String,
    /// Capabilities it still has, as capabilities(7) calls them.
    pub capabilities: Vec<String>,
    /// What confines it: "Landlock", "seccomp".
    pub confined_by: Vec<String>,
    /// What could not be done here, a sentence each.
    pub limitations: Vec<String>,
}

/// Gives up everything but `grants`, for this thread and all that it will make.
///
/// # Errors
/// When there is another thread already, the user is not known or cannot be become, or that user cannot
/// write where bundles appear.
pub fn give_up(options: &Options, grants: &Grants) -> Result<Confinement> {
    options.check()?;
    check_alone()?;
    undumpable();
    apply(options, grants)
}

/// Gives up everything but `files`, for this thread and all that it will make: for commands that read what
/// strangers sent. What this kernel cannot enforce is among the limitations.
///
/// # Errors
/// When there is another thread already, or the kernel refuses.
pub fn give_up_for_files(files: &Files) -> Result<Confinement> {
    check_alone()?;
    undumpable();
    apply_for_files(files)
}

/// The same for the calling thread alone.
fn apply_for_files(files: &Files) -> Result<Confinement> {
    let mut account = Confinement { user: User::current().name, ..Confinement::default() };
    capabilities::forget_for_programs().map_err(|e| failed("give up", "capabilities", e))?;
    let kept = capabilities::keep_file_access()?;
    account.capabilities = capabilities::names(kept);
    set_no_new_privs(true).map_err(|e| failed("forbid", "new privileges", e.into()))?;
    note("Landlock", landlock::confine_to(files), &mut account);
    let sockets = if files.ask_names { Sockets::Names } else { Sockets::None };
    note("seccomp", seccomp::confine(sockets), &mut account);
    Ok(account)
}

/// True if this process is root.
pub fn is_root() -> bool {
    User::current().is_root()
}

/// Refuses a process of several threads: each would have to.
fn check_alone() -> Result<()> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads == 1 {
        return Ok(());
    }
    let reason = format!("{threads} threads are there, and each would have to");
    Err(Error::operation("give up", "privileges", reason).hint("this is a bug"))
}

/// Nobody but root looks into the memory of this process any more, with a debugger or a core file: it holds
/// what was captured. What is refused here would only have made it harder.
fn undumpable() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
}

/// The same for the calling thread alone.
fn apply(options: &Options, grants: &Grants) -> Result<Confinement> {
    let before = User::current();
    let next = user::next(&before, options.user.as_deref())?;
    let mut account = Confinement { user: next.name.clone(), ..Confinement::default() };
    if before.is_root() {
        grants.make(Some(&next));
    } else {
        grants.make(None);
    }
    kernel_log::keep();
    capabilities::forget_for_programs().map_err(|e| failed("give up", "capabilities", e))?;
    if next.uid != before.uid {
        next.become_it().map_err(|e| failed("become", &next.name, e))?;
    }
    let kept = capabilities::settle(grants, &next, &mut account.limitations)?;
    account.capabilities = capabilities::names(kept);
    set_no_new_privs(true).map_err(|e| failed("forbid", "new privileges", e.into()))?;
    if options.sandbox {
        confine(grants, &mut account);
    } else {
        account.limitations.push("no sandbox, because it was switched off".to_owned());
    }
    Ok(account)
}

/// Landlock before seccomp, whose filter need not let it through.
fn confine(grants: &Grants, account: &mut Confinement) {
    note("Landlock", landlock::confine(grants), account);
    note("seccomp", seccomp::confine(Sockets::Recording), account);
}

/// What confines, or why it does not.
fn note(name: &str, done: Result<Option<String>, String>, account: &mut Confinement) {
    match done {
        Ok(limitation) => {
            account.confined_by.push(name.to_owned());
            account.limitations.extend(limitation);
        }
        Err(reason) => account.limitations.push(format!("no {name}: {reason}")),
    }
}

fn failed(doing: &'static str, object: &str, error: io::Error) -> Error {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let failed = Error::operation(doing, object, error);
    if denied {
        failed.hint("is this a container without CAP_SETUID and CAP_SETGID?")
    } else {
        failed
    }
}

/// `nobody, cap_net_raw; confined by Landlock, seccomp`.
impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |words: &[String]| match words {
            [] => "nothing".to_owned(),
            words => words.join(", "),
        };
        let (kept, by) = (listed(&self.capabilities), listed(&self.confined_by));
        write!(f, "user {}, capabilities: {kept}; confined by {by}", self.user)
    }
}

#[cfg(test)]
mod tests;
