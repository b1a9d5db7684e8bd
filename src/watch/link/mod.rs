//! Interfaces as rtnetlink tells them: carrier, operational state, flags, master, creation, removal.
//! This watcher is the fastest one of a link failure, so it stamps what it reads before it thinks.
//!
//! What it promises:
//!
//! * **States are compared, messages never counted.** The kernel announces a link for many reasons,
//!   opening a promiscuous capture being one; only what differs is told. A carrier that bounced
//!   between two messages shows in its counters, and that is a difference.
//! * **Nothing between is missed.** It subscribes first, reads the state second, and does so again
//!   until nothing was announced in between. That first state is [`LinkWatcher::links`], the baseline
//!   for the recorder: an interface that appears later is a [`Fact::Link`] without a before.
//! * **The recorder's picture becomes right again** whenever it was not: when the socket overflowed,
//!   or the recorder had no room for an observation, the state is read anew, and what differs from
//!   what was last *told* is told.
//!
//! * **Silent changes are found.** The kernel announces no change of what an LACP partner says, nor of
//!   the aggregator a port is in (drivers/net/bonding/bond_3ad.c calls no notifier for them). While
//!   there is a port that speaks LACP, the state is read anew every [`Options::look_anew`].
//!
//! It never sets anything.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::time::Duration;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::observation::link::LinkState;
use crate::time::{Mono, Stamp};
use crate::watch::netlink::{Heard, Messages, OVERFLOWED, RESYNC, Subscription, dump};
use crate::watch::{Wake, Watcher, WatcherContext};

mod flapping;
mod message;
pub mod role;

use self::flapping::Flapping;
use crate::observation::link_role::Port;
pub(super) use message::{link_header, read_state};

/// `RTNLGRP_LINK` (linux/rtnetlink.h).
const GROUP_LINK: u32 = 1;
/// `RTM_NEWLINK`, `RTM_DELLINK` (linux/rtnetlink.h): message types.
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
/// `IFF_PROMISC` and `IFF_ALLMULTI` (linux/if.h) come and go with captures, ours included.
const NO_NEWS: u32 = (1 << 8) | (1 << 9);

/// What can be tuned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Room for announcements that were not read yet, in bytes of kernel memory. One announcement
    /// takes 2 to 4 KiB of it, so 1 MiB (the kernel grants twice what is asked) outlasts the fall of a
    /// bond with hundreds of VLANs while this thread is not scheduled.
    pub receive_buffer: usize,
    /// How often the state is read anew while there is an LACP port: partners are heard every second or
    /// every 30 s, so once a second finds each of their words.
    pub look_anew: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { receive_buffer: 1 << 20, look_anew: Duration::from_secs(1) }
    }
}

impl Options {
    /// The smallest and the largest buffer that make sense, in bytes: the kernel raises anything below
    /// `SOCK_MIN_RCVBUF` (about 2 KiB, include/net/sock.h) to it.
    const BUFFER: std::ops::RangeInclusive<usize> = 2_048..=(64 << 20);

    /// The state of a thousand interfaces takes 13 ms to read (unoptimised): more often than this it
    /// would be a load of its own, and more rarely than an hour it finds nothing in time.
    const LOOK_ANEW: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_secs(3_600);

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] if the buffer is below 2 KiB or above 64 MiB, or the state is to be read anew
    /// more often than every 100 ms or more rarely than every hour.
    pub fn check(&self) -> Result<()> {
        if !Self::BUFFER.contains(&self.receive_buffer) {
            return Err(Error::usage(
                "netlink receive buffer",
                self.receive_buffer.to_string(),
                "out of range",
                "bytes from 2048 to 67108864, such as 1048576",
            ));
        }
        if !Self::LOOK_ANEW.contains(&self.look_anew) {
            return Err(Error::usage(
                "interval of looks at LACP ports",
                format!("{:?}", self.look_anew),
                "out of range",
                "a duration from 100ms to 1h, such as 1s",
            ));
        }
        Ok(())
    }
}

/// The state of all interfaces now.
///
/// # Errors
/// When the kernel refuses a netlink socket or an answer.
pub fn links() -> Result<Vec<LinkState>> {
    let mut request = LinkMessage::default();
    // Counters of traffic make half of an answer, and nobody here reads them.
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    dump(
        &RouteNetlinkMessage::GetLink(request),
        Options::default().receive_buffer,
        |kind, payload| (kind == RTM_NEWLINK).then(|| read_state(payload)).flatten(),
    )
}

/// The watcher of all interfaces.
#[derive(Debug)]
pub struct LinkWatcher {
    subscription: Subscription<News>,
    told: KnownLinks,
    flapping: Flapping,
    /// The recorder had no room for something; what it was told is behind.
    behind: bool,
    look_anew: Duration,
}

impl LinkWatcher {
    /// Subscribes, and reads the baseline. Nothing that happens from then on is missed, though it is
    /// told only when the watcher runs.
    ///
    /// # Errors
    /// When an option has no meaning, or the kernel refuses a netlink socket.
    pub fn open(options: &Options) -> Result<Self> {
        options.check()?;
        let mut subscription =
            Subscription::open(&[GROUP_LINK], options.receive_buffer, News::read)?;
        let baseline = subscription.baseline(links)?;
        let told = KnownLinks(baseline.into_iter().map(|state| (state.index, state)).collect());
        let flapping = Flapping::default();
        Ok(Self { subscription, told, flapping, behind: false, look_anew: options.look_anew })
    }

    /// The baseline: every interface as it was when the watcher was opened, by index.
    pub fn links(&self) -> Vec<LinkState> {
        self.told.0.values().cloned().collect()
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
        if let Some(fact) = self.told.differs(&news)
            && !context.send_at(at, fact)
        {
            self.behind = true;
            return;
        }
        self.tell_flapping(context, at, &news);
        self.told.learn(news);
    }

    /// Tells that a link flaps, before `news` are learnt.
    fn tell_flapping(&mut self, context: &mut WatcherContext, at: Stamp, news: &News) {
        match news {
            News::Gone(index) => self.flapping.gone(*index),
            News::State(now) => {
                let before = self.told.0.get(&now.index);
                let begins = before.and_then(|before| self.flapping.changed(before, now, at));
                if let Some(finding) = begins {
                    context.send_at(at, Fact::Finding(Box::new(finding)));
                }
            }
        }
    }

    /// Reads the state anew and tells what differs from what was told.
    fn resync(&mut self, context: &mut WatcherContext) -> Result<()> {
        self.behind = false;
        let (announced, now) = self.subscription.resync(|| context.now(), links)?;
        for (at, news) in announced {
            self.tell(context, at, news);
        }
        let at = context.now();
        for news in self.told.catch_up(now) {
            self.tell(context, at, news);
        }
        Ok(())
    }
}

impl Watcher for LinkWatcher {
    const NAME: &'static str = "link";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        let mut look = context.now().mono.plus(self.look_anew);
        loop {
            let retry = self.behind.then(|| context.now().mono.plus(RESYNC));
            let look_due = self.told.has_lacp_ports().then_some(look);
            let dues = retry.into_iter().chain(look_due).chain(self.flapping.due());
            let wake = context.wait(&[self.subscription.as_fd()], dues.min())?;
            for finding in self.flapping.over(context.now().mono) {
                context.send(Fact::Finding(Box::new(finding)));
            }
            let is_due = |due: Option<Mono>| due.is_some_and(|due| due <= context.now().mono);
            match wake {
                Wake::Stop => return Ok(()),
                Wake::Due if !is_due(retry) && !is_due(look_due) => {}
                Wake::Due => {
                    self.resync(context)?;
                    look = context.now().mono.plus(self.look_anew);
                }
                Wake::Ready => self.read(context)?,
            }
        }
    }
}

/// What the messages of a datagram tell somebody who knew nothing before it. Pure, and bears any bytes.
pub fn told_by(datagram: &[u8]) -> Vec<Fact> {
    let mut told = KnownLinks::default();
    let mut facts = Vec::new();
    for news in Messages::of(datagram).read(News::read) {
        facts.extend(told.differs(&news));
        told.learn(news);
    }
    facts
}

/// What one message says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum News {
    State(LinkState),
    Gone(u32),
}

impl News {
    fn read(kind: u16, _flags: u16, payload: &[u8]) -> Option<Self> {
        match kind {
            RTM_NEWLINK => read_state(payload).map(Self::State),
            RTM_DELLINK => link_header(payload).map(|header| Self::Gone(header.index)),
            _ => None,
        }
    }
}

/// What the recorder was told, by interface index. Pure: the whole judgement of what is news.
#[derive(Debug, Default)]
struct KnownLinks(BTreeMap<u32, LinkState>);

impl KnownLinks {
    /// What `news` changes in the recorder's picture, if anything.
    fn differs(&self, news: &News) -> Option<Fact> {
        match news {
            News::Gone(index) => Some(Fact::LinkGone { last: self.0.get(index)?.clone() }),
            News::State(now) => {
                let before = self.0.get(&now.index);
                let same = before.is_some_and(|before| {
                    let flags = (now.flags & !NO_NEWS) | (before.flags & NO_NEWS);
                    *before == LinkState { flags, ..now.clone() }
                });
                (!same).then(|| Fact::Link { before: before.cloned(), now: now.clone() })
            }
        }
    }

    fn has_lacp_ports(&self) -> bool {
        self.0.values().any(
            |link| matches!(link.port.as_deref(), Some(Port::Bond(port)) if port.actor.is_some()),
        )
    }

    fn learn(&mut self, news: News) {
        match news {
            News::State(now) => {
                self.0.insert(now.index, now);
            }
            News::Gone(index) => {
                self.0.remove(&index);
            }
        }
    }

    /// The news that lead from what was told to `state`: removals first, because names are reused.
    fn catch_up(&self, state: Vec<LinkState>) -> Vec<News> {
        let here: BTreeSet<u32> = state.iter().map(|link| link.index).collect();
        let gone = self.0.keys().filter(|index| !here.contains(index));
        let mut news: Vec<News> = gone.map(|index| News::Gone(*index)).collect();
        news.extend(state.into_iter().map(News::State));
        news
    }
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
