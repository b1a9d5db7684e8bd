//! Addresses, default routes and next hops as rtnetlink tells them: what makes a host unreachable while
//! all of its interfaces are up.
//!
//! What it promises:
//!
//! * **States are compared, messages never counted**, as the link watcher does: it subscribes first,
//!   reads the state second, and tells what differs from what it told last.
//! * **Only what matters is told.** Of routes the default ones of every table, of neighbours those that
//!   the operator names and the routers on default routes, of a neighbour's states only whether it
//!   answers. A million routes of BGP never reach this thread: a filter in the kernel drops them.
//! * **Silent changes are found.** IPv4 routes over an interface that goes down, or from an address that
//!   is removed, go without an announcement; routes are read anew when that may have happened.
//! * **The picture becomes right again** after an overflow of the socket and after an observation for
//!   which the recorder had no room: the state is read anew, and what differs is told.
//!
//! It never sets anything.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::time::{Mono, Stamp};
use crate::watch::link;
use crate::watch::netlink::{Heard, Messages, OVERFLOWED, RESYNC, Subscription};
use crate::watch::{Wake, Watcher, WatcherContext};

pub mod address;
mod kernel;
mod known;
pub mod neighbour;
pub mod route;
pub mod routers;

pub(crate) use kernel::addresses;
use kernel::{everything, read_news, routes, subscribe};
use known::{KnownNetwork, News};

/// Routes are read anew so long after what may have moved them: one read for the whole burst of
/// announcements that a falling interface makes, and soon enough to be part of the same failure.
const CONFIRM: Duration = Duration::from_millis(20);
/// Of the time, reading routes takes at most one part in so many: a million of them take a second.
const CONFIRM_SHARE: u32 = 10;

/// What can be tuned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Neighbours to watch beside the routers on default routes.
    pub neighbours: Vec<IpAddr>,
    /// Room for announcements that were not read yet, in bytes of kernel memory, as
    /// [`link::Options::receive_buffer`].
    pub receive_buffer: usize,
}

impl Default for Options {
    fn default() -> Self {
        let receive_buffer = link::Options::default().receive_buffer;
        Self { neighbours: Vec::new(), receive_buffer }
    }
}

impl Options {
    /// More neighbours than this are a subnet, and better watched by their silence.
    const NEIGHBOURS: usize = 1_024;

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] if the buffer is out of range, a neighbour is no single host, or there are more
    /// than 1,024 of them.
    pub fn check(&self) -> Result<()> {
        let receive_buffer = self.receive_buffer;
        link::Options { receive_buffer, ..link::Options::default() }.check()?;
        let accepted = "addresses of up to 1024 single hosts, such as 192.0.2.1";
        if self.neighbours.len() > Self::NEIGHBOURS {
            let given = self.neighbours.len().to_string();
            return Err(Error::usage(
                "watched neighbours",
                given,
                "the number of neighbours has a bound",
                accepted,
            ));
        }
        match self.neighbours.iter().find(|ip| ip.is_multicast() || ip.is_unspecified()) {
            Some(wrong) => {
                let given = wrong.to_string();
                Err(Error::usage(
                    "watched neighbour",
                    given,
                    "a neighbour is a single host",
                    accepted,
                ))
            }
            None => Ok(()),
        }
    }
}

/// The watcher of addresses, default routes and next hops.
#[derive(Debug)]
pub struct IpWatcher {
    subscription: Subscription<News>,
    told: KnownNetwork,
    receive_buffer: usize,
    /// The recorder had no room for something; what it was told is behind.
    behind: bool,
    /// When routes are to be read anew.
    confirm: Option<Mono>,
    /// Routes are not read before.
    not_before: Mono,
    /// A table is full, and that was said.
    full: bool,
}

impl IpWatcher {
    /// Subscribes, and reads the baseline, which is not told.
    ///
    /// # Errors
    /// When an option has no meaning, or the kernel refuses a netlink socket.
    pub fn open(options: &Options) -> Result<Self> {
        options.check()?;
        let mut subscription = subscribe(options.receive_buffer)?;
        let mut told = KnownNetwork::new(options.neighbours.iter().copied());
        for news in subscription.baseline(|| everything(options.receive_buffer))? {
            told.learn(news);
        }
        Ok(Self {
            subscription,
            told,
            receive_buffer: options.receive_buffer,
            behind: false,
            confirm: None,
            not_before: Mono::default(),
            full: false,
        })
    }

    /// Addresses, default routes and watched neighbours, as they are known now.
    pub fn picture(&self) -> Vec<Fact> {
        self.told.picture()
    }

    fn read(&mut self, context: &mut WatcherContext) -> Result<()> {
        match self.subscription.hear(|| context.now())? {
            (_, Heard::Nothing) => {}
            (_, Heard::Overflow) => {
                self.resync(context)?;
                context.report_missed(OVERFLOWED);
            }
            (at, Heard::News(news)) => {
                news.into_iter().for_each(|news| self.tell(context, at, news));
            }
        }
        Ok(())
    }

    fn tell(&mut self, context: &mut WatcherContext, at: Stamp, news: News) {
        if self.confirm.is_none() && self.told.moves_routes(&news) {
            self.confirm = Some(at.mono.plus(CONFIRM).max(self.not_before));
        }
        self.settle(context, at, news);
    }

    /// Tells `news` and takes it into the picture, unless there was no room to tell it.
    fn settle(&mut self, context: &mut WatcherContext, at: Stamp, news: News) {
        if let Some(fact) = self.told.differs(&news)
            && !context.send_at(at, fact)
        {
            self.behind = true;
            return;
        }
        if !self.told.learn(news) && !self.full {
            self.full = true;
            context
                .report_missed(format!("what goes beyond {} addresses or neighbours", known::MAX));
        }
    }

    /// Reads the whole state anew and tells what differs from what was told.
    fn resync(&mut self, context: &mut WatcherContext) -> Result<()> {
        self.behind = false;
        self.confirm = None;
        let receive_buffer = self.receive_buffer;
        let read = || everything(receive_buffer);
        let (announced, state) = self.subscription.resync(|| context.now(), read)?;
        for (at, news) in announced {
            self.settle(context, at, news);
        }
        let at = context.now();
        for news in self.told.catch_up(state) {
            self.settle(context, at, news);
        }
        Ok(())
    }

    /// Reads the routes anew.
    fn confirm(&mut self, context: &mut WatcherContext) -> Result<()> {
        self.confirm = None;
        let begun = context.now();
        let state = routes(self.receive_buffer)?;
        let at = context.now();
        self.not_before = at.mono.plus(at.mono.since(begun.mono) * CONFIRM_SHARE);
        for news in self.told.catch_up_routes(state) {
            self.settle(context, at, news);
        }
        Ok(())
    }
}

/// What the messages of a datagram tell somebody who knew nothing before it, and watches `neighbours`.
/// Pure, and bears any bytes.
pub fn told_by(datagram: &[u8], neighbours: &[IpAddr]) -> Vec<Fact> {
    let mut told = KnownNetwork::new(neighbours.iter().copied());
    let mut facts = Vec::new();
    for news in Messages::of(datagram).read(read_news) {
        facts.extend(told.differs(&news));
        told.learn(news);
    }
    facts
}

impl Watcher for IpWatcher {
    const NAME: &'static str = "ip";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        loop {
            let retry = self.behind.then(|| context.now().mono.plus(RESYNC));
            let until = retry.into_iter().chain(self.confirm).min();
            match context.wait(&[self.subscription.as_fd()], until)? {
                Wake::Stop => return Ok(()),
                Wake::Due if self.behind => self.resync(context)?,
                Wake::Due => self.confirm(context)?,
                Wake::Ready => self.read(context)?,
            }
        }
    }
}

#[cfg(test)]
mod tests;
