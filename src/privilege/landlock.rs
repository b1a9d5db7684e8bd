//! Which files are left: a Landlock domain (landlock(7), since Linux 5.13) of this thread and everything it
//! makes, programs it runs included.
//!
//! Rules are about directories rather than files, where others replace files by renaming new ones over
//! them: a rule is about what has the path now. An upgrade of `iproute2`, a DHCP client that writes
//! `resolv.conf` and logrotate must not blind a recorder that runs for months. That is why /etc may be read
//! as a whole, as far as its permissions let the user, and why programs may be run that lie beside those
//! that are.
//!
//! Descriptors that are open already (the log on standard error) are not touched. Networking is not
//! restricted where frames are recorded, since probes connect where the operator says, and is for commands on
//! files. Signals and abstract sockets end at the domain: programs that were started before are out of reach.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use glob::glob;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, make_bitflags, path_beneath_rules,
};

use super::{Files, Grants};

/// The newest rights that were thought about: signals to processes outside, and their abstract sockets (Linux
/// 6.12). Older kernels enforce what they know.
const KNOWN: ABI = ABI::V6;
/// What programs read wherever they run: libraries, name service, time zones, what the kernel shows.
/// /run has the resolver's files and the journal's; /var/log the logs, whose directories come and go with
/// packages.
const SYSTEM: [&str; 11] = [
    "/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/run",
    "/var/log",
];
/// What a command on files reads beside them: time zones, libraries of the name service and what they read,
/// for names in filters; how many processors it may use, and which boot this is.
const BASE: [&str; 20] = [
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/etc/services",
    "/etc/protocols",
    "/etc/ethers",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/ld.so.cache",
    "/etc/passwd",
    "/etc/group",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/proc/self",
    "/proc/sys/kernel",
    "/sys/fs/cgroup",
];
/// Devices that every program may use.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];
/// Where the loader of dynamic programs is (ld.so(8)), of glibc and of musl: it is run with them.
const LOADERS: [&str; 3] = ["/lib*/ld-*.so*", "/lib/*/ld-*.so*", "/usr/lib*/ld-*.so*"];

/// Confines the calling thread; tells what this kernel cannot enforce.
///
/// # Errors
/// When it enforces nothing, in words.
pub(super) fn confine(grants: &Grants) -> Result<Option<String>, String> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let change = AccessFs::from_all(KNOWN) & !refused();
    let own = std::env::current_exe().ok();
    let readable = SYSTEM.iter().map(Path::new).chain(grants.readable()).chain(own.as_deref());
    let writable = grants.places().map(|place| &*place.path);
    let programs = directories_of(grants);
    let rules = rules(readable, read)
        .chain(rules(writable, change))
        .chain(rules(DEVICES.iter().map(Path::new), AccessFs::ReadFile | AccessFs::WriteFile))
        .chain(rules(programs.iter().map(PathBuf::as_path), read | AccessFs::Execute));
    enforce(rules, Network::Any)
}

/// The same for a command that reads and writes `files` and nothing else.
pub(super) fn confine_to(files: &Files) -> Result<Option<String>, String> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let change = AccessFs::from_all(KNOWN) & !refused();
    let own = std::env::current_exe().ok();
    let readable = BASE.iter().map(Path::new).chain(files.read()).chain(own.as_deref());
    let (directories, devices): (Vec<_>, _) = files.write().partition(|path| path.is_dir());
    let devices = devices.into_iter().chain(DEVICES.iter().map(Path::new));
    let rules = rules(readable, read)
        .chain(rules(directories.into_iter(), change))
        .chain(rules(devices, AccessFs::ReadFile | AccessFs::WriteFile));
    enforce(rules, if files.ask_names { Network::Any } else { Network::None })
}

/// Whether there is any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    Any,
    None,
}

/// Allows what `rules` say, and nothing else.
fn enforce(
    rules: impl Iterator<Item = Result<PathBeneath<PathFd>, RulesetError>>,
    network: Network,
) -> Result<Option<String>, String> {
    let restrict = || {
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(KNOWN))?
            .scope(Scope::from_all(KNOWN))?;
        if network == Network::None {
            ruleset = ruleset.handle_access(AccessNet::from_all(KNOWN))?;
        }
        ruleset.create()?.add_rules(rules)?.restrict_self()
    };
    let status = restrict().map_err(|error: RulesetError| error.to_string())?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => Ok(None),
        (RulesetStatus::PartiallyEnforced, LandlockStatus::Available { effective_abi, .. }) => {
            let version = effective_abi as i32;
            Ok(Some(format!("Landlock enforces only what its version {version} knows")))
        }
        (_, LandlockStatus::NotEnabled) => Err("the kernel has it switched off".to_owned()),
        _ => Err("the kernel does not have it (Linux 5.13)".to_owned()),
    }
}

/// A rule for each of `paths` that is there. Pipes and sockets that were inherited (`/dev/fd/63`) need none, and
/// take none: they lie in no file system (landlock(7), "File system access").
fn rules<'a>(
    paths: impl Iterator<Item = &'a Path>,
    access: BitFlags<AccessFs>,
) -> impl Iterator<Item = Result<PathBeneath<PathFd>, RulesetError>> {
    path_beneath_rules(paths.filter(|path| !is_nowhere(path)), access)
}

/// True for what has no name in any file system.
fn is_nowhere(path: &Path) -> bool {
    let target = fs::read_link(path).unwrap_or_default();
    let target = target.as_os_str().as_bytes();
    target.starts_with(b"pipe:") || target.starts_with(b"socket:")
}

/// What nobody needs to make in a directory of bundles, and nothing there is to be run.
fn refused() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{Execute | MakeChar | MakeBlock | MakeFifo | MakeSym | IoctlDev})
}

/// Where the programs are, links followed, and the loader.
fn directories_of(grants: &Grants) -> Vec<PathBuf> {
    let loaders = LOADERS.iter().filter_map(|pattern| glob(pattern).ok()).flatten().flatten();
    let programs = grants.programs().map(Path::to_owned).chain(loaders);
    let real = programs.filter_map(|program| program.canonicalize().ok());
    let mut directories: Vec<_> =
        real.filter_map(|program| program.parent().map(Path::to_owned)).collect();
    directories.sort();
    directories.dedup();
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_run_where_they_really_are_and_with_their_loader() {
        let mut grants = Grants::default();
        grants.run("/bin/sh");
        grants.run("/no/such/program");
        let directories = directories_of(&grants);
        let shell = Path::new("/bin/sh").canonicalize().unwrap();
        assert!(directories.iter().any(|directory| Some(&**directory) == shell.parent()));
        assert!(directories.len() >= 2, "no loader: {directories:?}");
        assert!(!directories.iter().any(|directory| directory.starts_with("/no")));
    }
}
