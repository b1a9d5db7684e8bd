//! What needs privileges, begun before they are given up, while there is one thread: sockets that get the
//! buffers they ask for with CAP_NET_ADMIN only (SO_RCVBUFFORCE, socket(7); else what `net.core.rmem_max`
//! allows, and they overflow sooner), and the process that runs the operator's programs, which keeps all.

use super::Options;
use super::watchers::options::Early;
use crate::error::Result;
use crate::hook::Runner;
use crate::watch::link::{self, LinkWatcher};

/// The sockets, open, and the process; nobody reads them yet.
#[derive(Debug)]
pub struct Privileged {
    pub(super) links: LinkWatcher,
    pub(super) watchers: Early,
    pub(super) runner: Option<Runner>,
}

impl Privileged {
    /// Opens and starts them.
    ///
    /// # Errors
    /// When one is refused, or a watcher has no meaning.
    pub fn open(options: &Options) -> Result<Self> {
        options.watchers.check()?;
        let links = LinkWatcher::open(&link::Options::default())?;
        let runner = Runner::start(&options.programs)?;
        Ok(Self { links, watchers: Early::open(&options.watchers)?, runner })
    }
}
