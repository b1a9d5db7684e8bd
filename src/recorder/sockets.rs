//! Sockets that are opened before privileges are given up: with CAP_NET_ADMIN they get the buffers they ask
//! for (SO_RCVBUFFORCE, socket(7)), else what `net.core.rmem_max` allows, and overflow sooner. Opening them
//! makes no thread.

use super::Options;
use super::witnesses::Early;
use crate::error::Result;
use crate::watch::link::{self, LinkWatcher};

/// The sockets, open; nobody reads them yet.
#[derive(Debug)]
pub struct Sockets {
    pub(super) links: LinkWatcher,
    pub(super) witnesses: Early,
}

impl Sockets {
    /// Opens them.
    ///
    /// # Errors
    /// When one is refused, or a witness has no meaning.
    pub fn open(options: &Options) -> Result<Self> {
        options.witnesses.check()?;
        let links = LinkWatcher::open(&link::Options::default())?;
        Ok(Self { links, witnesses: Early::open(&options.witnesses)? })
    }
}
