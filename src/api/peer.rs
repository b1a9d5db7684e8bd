//! Who is at the other end of the control socket, and whether they may ask.

use std::fmt;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::UnixStream;

use crate::sys::peer;

/// To whom the socket belongs, looked at for every client: an operator may give it to a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Owner {
    /// None if the socket was removed under our feet: then only root is known for sure.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let there = fs::symlink_metadata(path).ok()?;
        Some(Self { user: there.uid(), group: there.gid() })
    }
}

/// The process at the other end, when it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) user: u32,
    pub(super) groups: Vec<u32>,
    pub(super) process: Option<i32>,
}

impl Peer {
    /// Who it is, if it may ask; else why not, counted in `refused`.
    pub(super) fn of(
        stream: &UnixStream,
        owner: Option<Owner>,
        refused: &AtomicU64,
    ) -> Result<Self, String> {
        let known = stream.peer_cred().map_err(|e| format!("who you are is unknown: {e}"))?;
        let mut groups = peer::groups(stream.as_fd()).unwrap_or_default();
        groups.push(known.gid());
        let peer = Self { user: known.uid(), groups, process: known.pid() };
        if peer.may(owner) {
            return Ok(peer);
        }
        // Said less and less often: whoever tries must not fill the log.
        let refused = refused.fetch_add(1, Ordering::Relaxed) + 1;
        if refused.is_power_of_two() {
            tracing::warn!("control socket: refused {peer}; {refused} so far");
        }
        Err("only root, dashcap's own user and the socket's group may ask".to_owned())
    }

    pub(super) fn may(&self, owner: Option<Owner>) -> bool {
        const ROOT: u32 = 0;
        self.user == ROOT
            || owner
                .is_some_and(|owner| self.user == owner.user || self.groups.contains(&owner.group))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.user)?;
        self.process.map_or(Ok(()), |process| write!(f, ", process {process}"))
    }
}
