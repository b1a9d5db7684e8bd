//! Which capabilities stay (capabilities(7)): those that [`Grants`] names, in the permitted and effective
//! sets of the process itself. Programs it runs get none: inheritable, ambient and bounding sets are empty.
//!
//! Root that stays root has no way around file permissions any more, either. Where it needs one to reach
//! what the operator named (bundles in somebody's home, a log that is another user's), it keeps that
//! one, and says so: a recording that cannot be written would be the worse answer.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::thread::{
    CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

use super::user::User;
use super::{Capabilities, Grants};
use crate::error::{Error, Result};
use crate::sys::attribute;

/// Bits of a set (`_LINUX_CAPABILITY_U32S_3`, linux/capability.h); kernels know fewer and say which.
const BITS: u32 = u64::BITS;

/// Programs that are run from now on get no capability, whatever their files say and whoever runs them.
/// Without CAP_SETPCAP the bounding set stays, which matters little: nothing that is run can gain by it once
/// new privileges are forbidden.
pub(super) fn forget_for_programs() -> io::Result<()> {
    match clear_ambient_capability_set() {
        // Before Linux 4.3 there is no such set.
        Err(rustix::io::Errno::INVAL) | Ok(()) => {}
        Err(error) => return Err(error.into()),
    }
    if !capabilities(None)?.effective.contains(Capabilities::SETPCAP) {
        return Ok(());
    }
    for capability in (0..BITS).map(|bit| Capabilities::from_bits_retain(1 << bit)) {
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            // The first one that this kernel does not know.
            Err(_) => break,
        }
    }
    Ok(())
}

/// Keeps what is granted, proves that it is enough, and tells what is kept.
///
/// # Errors
/// When `user` cannot write where bundles appear, or the kernel refuses.
pub(super) fn settle(
    grants: &Grants,
    user: &User,
    limitations: &mut Vec<String>,
) -> Result<Capabilities> {
    let failed =
        |e: rustix::io::Errno| Error::operation("give up", "capabilities", io::Error::from(e));
    let permitted = capabilities(None).map_err(failed)?.permitted;
    let mut kept = grants.capabilities & permitted;
    // Permitted for a moment longer: what is missing can still be had back.
    set(permitted, kept).map_err(failed)?;
    let refused = Refused::among(grants);
    if user.is_root() {
        kept |= refused.needed() & permitted;
    } else {
        refused.check(user)?;
    }
    set(kept, kept).map_err(failed)?;
    let still =
        if kept.contains(Capabilities::DAC_OVERRIDE) { Refused::default() } else { refused };
    let who = &user.name;
    let unread = still.unread.iter().filter(|_| !kept.contains(Capabilities::DAC_READ_SEARCH));
    limitations.extend(unread.map(|path| format!("{path} cannot be read by user {who}")));
    Ok(kept)
}

/// Keeps only what lets root reach files of others, and tells what is kept.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn keep_file_access() -> Result<Capabilities> {
    let failed =
        |e: rustix::io::Errno| Error::operation("give up", "capabilities", io::Error::from(e));
    let permitted = capabilities(None).map_err(failed)?.permitted;
    let kept = permitted
        & (Capabilities::DAC_OVERRIDE | Capabilities::DAC_READ_SEARCH | Capabilities::FOWNER);
    set(kept, kept).map_err(failed)?;
    Ok(kept)
}

fn set(permitted: Capabilities, effective: Capabilities) -> rustix::io::Result<()> {
    let inheritable = Capabilities::empty();
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable })
}

/// As capabilities(7) calls them.
pub(super) fn names(set: Capabilities) -> Vec<String> {
    set.iter_names().map(|(name, _)| format!("cap_{}", name.to_lowercase())).collect()
}

/// What the operator named and file permissions keep from us.
#[derive(Debug, Default)]
struct Refused {
    unread: Vec<String>,
    unwritten: Vec<String>,
}

impl Refused {
    fn among(grants: &Grants) -> Self {
        let name = |path: &Path| path.display().to_string();
        let denied = |tried: io::Result<()>| {
            tried.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        };
        let unread = grants.to_read().filter(|path| denied(attribute::open(path).map(drop)));
        let unwritten =
            grants.places().map(|place| &*place.path).filter(|path| denied(prove(path)));
        Self { unread: unread.map(name).collect(), unwritten: unwritten.map(name).collect() }
    }

    /// What root needs to get around it.
    fn needed(&self) -> Capabilities {
        match (self.unwritten.is_empty(), self.unread.is_empty()) {
            (false, _) => Capabilities::DAC_OVERRIDE,
            (true, false) => Capabilities::DAC_READ_SEARCH,
            (true, true) => Capabilities::empty(),
        }
    }

    /// Nobody else can.
    fn check(&self, user: &User) -> Result<()> {
        let Some(path) = self.unwritten.first() else { return Ok(()) };
        let (who, reason) = (&user.name, format!("permission denied for user {}", user.name));
        Err(Error::operation("write to", path, reason).hint(format!(
            "give it to that user (chown {who} '{path}') if it can be reached by it, or name another"
        )))
    }
}

/// Writes a file into `directory`, and removes it: only that proves that we may. Where there is no such
/// directory, whoever needs it says so better.
fn prove(directory: &Path) -> io::Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    // Hidden: whatever appears in a trigger directory asks for something, unless its name begins so.
    let path = directory.join(format!(".dashcap-{}.proof", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    made.and_then(|_| fs::remove_file(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_the_names_of_the_manual() {
        let set = Capabilities::NET_RAW | Capabilities::SYSLOG;
        assert_eq!(names(set), ["cap_net_raw", "cap_syslog"]);
        assert!(names(Capabilities::empty()).is_empty());
    }

    #[test]
    fn root_needs_as_little_as_gets_it_there() {
        let some = || vec!["/x".to_owned()];
        for (unread, unwritten, needed) in [
            (vec![], vec![], Capabilities::empty()),
            (some(), vec![], Capabilities::DAC_READ_SEARCH),
            (vec![], some(), Capabilities::DAC_OVERRIDE),
            (some(), some(), Capabilities::DAC_OVERRIDE),
        ] {
            assert_eq!(Refused { unread, unwritten }.needed(), needed);
        }
    }

    #[test]
    fn a_proof_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        prove(directory.path()).unwrap();
        assert!(fs::read_dir(directory.path()).unwrap().next().is_none());
        prove(&directory.path().join("missing")).unwrap();
    }
}
