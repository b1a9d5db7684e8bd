//! Whom the process becomes: a user of this host, with the groups that an administrator gave it (`adm` to
//! read logs, `systemd-journal` to read the journal).

use std::ffi::CString;
use std::io;

use nix::unistd;
use rustix::fs::{Gid, Uid};
use rustix::process::getuid;
use rustix::thread::{
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::error::{Error, Result};

/// A user, as the name service knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
}

/// Who goes on: the one that is named, or who we are.
pub(super) fn next(current: &User, named: Option<&str>) -> Result<User> {
    let Some(name) = named else { return Ok(current.clone()) };
    let next = User::named(name)?;
    if next.uid == current.uid || current.is_root() {
        return Ok(next);
    }
    let reason =
        format!("only root can become another user, and this process runs as {}", current.name);
    Err(Error::usage("--user", name, reason, "no --user, or a start as root"))
}

impl User {
    /// Who this process is; a number where the host has no name for it.
    pub(super) fn current() -> Self {
        let (uid, gid) = (getuid(), rustix::process::getgid());
        let known = unistd::User::from_uid(unistd::Uid::from_raw(uid.as_raw())).ok().flatten();
        let name = known.map_or_else(|| uid.as_raw().to_string(), |user| user.name);
        Self { name, uid, gid }
    }

    fn named(name: &str) -> Result<Self> {
        let accepted = "the name of a user of this host; to make one: useradd --system \
                        --shell /usr/sbin/nologin dashcap";
        let known = unistd::User::from_name(name)
            .map_err(|e| Error::operation("look up user", name, io::Error::from(e)))?;
        let user = known
            .ok_or_else(|| Error::usage("--user", name, "this host has no such user", accepted))?;
        let (uid, gid) = (Uid::from_raw(user.uid.as_raw()), Gid::from_raw(user.gid.as_raw()));
        Ok(Self { name: user.name, uid, gid })
    }

    pub(super) fn is_root(&self) -> bool {
        self.uid.is_root()
    }

    /// The calling thread is this user from now on and cannot go back: real, effective and saved ids, and
    /// the groups first, since afterwards we may not. Permitted capabilities stay, for whoever takes them
    /// away; effective ones are gone (capabilities(7), "Effect of user ID changes on capabilities").
    pub(super) fn become_it(&self) -> io::Result<()> {
        set_thread_groups(&self.groups()?)?;
        set_thread_res_gid(self.gid, self.gid, self.gid)?;
        set_keep_capabilities(true)?;
        set_thread_res_uid(self.uid, self.uid, self.uid)?;
        Ok(set_keep_capabilities(false)?)
    }

    fn groups(&self) -> io::Result<Vec<Gid>> {
        let name = CString::new(self.name.as_str())?;
        let groups = unistd::getgrouplist(&name, unistd::Gid::from_raw(self.gid.as_raw()))?;
        Ok(groups.into_iter().map(|group| Gid::from_raw(group.as_raw())).collect())
    }
}

#[cfg(test)]
impl User {
    /// A user for tests; none, with the reason printed, where this process is not root.
    pub(super) fn nobody_to_become() -> Option<Self> {
        let may = crate::lab::is_root("becoming somebody else");
        may.then(|| Self::named("nobody").expect("every Linux has it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody(uid: u32) -> User {
        User { name: "somebody".into(), uid: Uid::from_raw(uid), gid: Gid::from_raw(uid) }
    }

    #[test]
    fn only_root_becomes_somebody_else() {
        let (root, user) = (somebody(0), somebody(4_711));
        assert_eq!(next(&user, None).unwrap(), user);
        assert_eq!(next(&root, Some("nobody")).unwrap().name, "nobody");
        let refused = next(&user, Some("nobody")).unwrap_err();
        assert!(refused.to_string().contains("only root can"), "{refused}");
        let unknown = next(&root, Some("no-such-user")).unwrap_err();
        assert!(unknown.to_string().contains("useradd"), "{unknown}");
        assert_eq!(unknown.exit_status(), 2);
        let nobody = User::named("nobody").unwrap();
        assert_eq!(next(&nobody, Some("nobody")).unwrap(), nobody, "it is already");
    }
}
