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
//! restricted: probes connect where the operator says.

use std::path::{Path, PathBuf};

use glob::glob;
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, make_bitflags, path_beneath_rules,
};

use super::Grants;

/// The newest rights that were thought about: ioctl(2) on devices (Linux 6.10). Older kernels enforce what
/// they know.
const KNOWN: ABI = ABI::V5;
/// What programs read wherever they run: libraries, name service, time zones, what the kernel shows.
/// /run has the resolver's files and the journal's; /var/log the logs, whose directories come and go with
/// packages.
const SYSTEM: [&str; 11] = [
    "/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/run",
    "/var/log",
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
    let restrict = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(KNOWN))?
            .create()?
            .add_rules(path_beneath_rules(readable, read))?
            .add_rules(path_beneath_rules(writable, change))?
            .add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile))?
            .add_rules(path_beneath_rules(directories_of(grants), read | AccessFs::Execute))?
            .restrict_self()
    };
    let status = restrict().map_err(|error: landlock::RulesetError| error.to_string())?;
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
