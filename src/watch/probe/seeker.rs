//! Finds the address of a probe's host. The system's resolver (getaddrinfo(3)) blocks as long as it likes, so
//! it is asked on a thread of its own, which ends when it has answered: nobody waits for it who has better to
//! do, least of all the start of a recording while the network is down.

use std::net::{IpAddr, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::Options;
use super::target::Target;
use crate::error::{Error, Result};

/// A start waits so long for a name: a resolver that is there answers within milliseconds.
pub(super) const START: Duration = Duration::from_secs(1);
/// A name is asked for again after this. resolv.conf(5) has two attempts of five seconds, so that no more than
/// a few threads ever wait.
pub(super) const AGAIN: Duration = Duration::from_secs(15);
/// How often is looked whether there is an answer.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// Somebody who asks the resolver.
#[derive(Debug)]
pub(super) struct Seeker {
    name: String,
    answer: Receiver<Result<IpAddr>>,
}

impl Seeker {
    /// Begins to look for the host of `target`; an address is found at once.
    pub(super) fn new(target: &Target, options: &Options) -> Self {
        let (name, source) = (target.host().0.name.clone(), options.source);
        let (outbox, answer) = bounded(1);
        if let Ok(address) = name.parse() {
            let _ = outbox.send(Ok(address));
            return Self { name, answer };
        }
        let asked = name.clone();
        // Who asked may be gone by the time of the answer; without a thread nobody answers.
        let ask = move || drop(outbox.send(resolve(&asked, source)));
        let _ = thread::Builder::new().name("watch/resolve".to_owned()).spawn(ask);
        Self { name, answer }
    }

    /// The answer, if it comes within `limit`.
    pub(super) fn wait(&self, limit: Duration) -> Result<IpAddr> {
        self.answer.recv_timeout(limit).unwrap_or_else(|_| {
            Err(failed(&self.name, format!("no answer within {} s", limit.as_secs_f64())))
        })
    }

    /// The answer, if it is there.
    pub(super) fn found(&mut self) -> Option<Result<IpAddr>> {
        self.answer.try_recv().ok()
    }
}

fn failed(name: &str, reason: String) -> Error {
    Error::operation("resolve probe", name, reason)
        .hint("give its address instead, or check the name and the resolver")
}

/// The first address of `name` by the system's order of preference (RFC 6724), of the same family as
/// `source` if that is given.
fn resolve(name: &str, source: Option<IpAddr>) -> Result<IpAddr> {
    /// Addresses alone are asked for; the resolver wants a port.
    const NO_PORT: u16 = 0;
    let addresses = (name, NO_PORT).to_socket_addrs().map_err(|e| failed(name, e.to_string()))?;
    addresses
        .map(|address| address.ip())
        .find(|address| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4()))
        .ok_or_else(|| {
            failed(name, "the name has no address that can be asked from here".to_owned())
        })
}
