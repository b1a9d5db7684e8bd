//! Every route but the default ones: those of one next hop or one protocol that vanish together are a
//! neighbour that was lost, seen from a router that is not next to it.
//!
//! What it promises:
//!
//! * **Losses are told, changes are not.** A route that is replaced, or is back within a second, is no loss;
//!   how routing protocols converge is theirs.
//! * **A table of any size does no harm.** So many routes are followed (`table::MOST`); further ones are
//!   passed over, which is said once. Announcements that overflow the socket lead to one reading of the
//!   whole table, which takes at most a tenth of the time.
//! * **Silent changes are found.** IPv4 routes over an interface that goes down leave without an
//!   announcement; the table is read anew when that may have happened.
//!
//! It never sets anything. What it tells are findings, with the routes by name.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::time::Duration;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteMessage;

use self::table::{News, Table};
use super::netlink::{Heard, Subscription, dump};
use super::{Wake, Watcher, WatcherContext, link};
use crate::error::Result;
use crate::observation::Fact;
use crate::time::Mono;

mod loss;
mod message;
mod route;
mod table;

/// `RTNLGRP_LINK`, `_IPV4_ROUTE`, `_IPV6_ROUTE` (linux/rtnetlink.h).
const GROUPS: [u32; 3] = [1, 7, 11];
/// The table is read anew so long after what may have changed it in silence: one reading for a burst.
const CONFIRM: Duration = Duration::from_millis(20);
/// Of the time, reading the table takes at most one part in so many: a million routes take a second.
const SHARE: u32 = 10;

/// The watcher of routes.
#[derive(Debug)]
pub struct RouteWatcher {
    subscription: Subscription<News>,
    table: Table,
    receive_buffer: usize,
    /// When the table is to be read anew.
    confirm: Option<Mono>,
    /// It is not read before.
    not_before: Mono,
    /// It is full, and that was said.
    full: bool,
}

impl RouteWatcher {
    /// Subscribes, and reads the table, which is not told.
    ///
    /// # Errors
    /// When the kernel refuses a netlink socket.
    pub fn open(receive_buffer: usize) -> Result<Self> {
        let mut watcher = Self {
            subscription: Subscription::open(&GROUPS, receive_buffer, message::read)?,
            table: Table::default(),
            receive_buffer,
            confirm: None,
            not_before: Mono::default(),
            full: false,
        };
        for state in link::links()? {
            watcher.table.name(state.index, state.name.clone(), state.is_up());
        }
        for news in routes(receive_buffer)? {
            watcher.table.begin(news);
        }
        Ok(watcher)
    }

    fn read(&mut self, context: &mut WatcherContext) -> Result<()> {
        let (at, heard) = self.subscription.hear(|| context.now())?;
        let soon = at.mono.plus(CONFIRM).max(self.not_before);
        match heard {
            Heard::Nothing => {}
            Heard::Overflow => {
                self.confirm.get_or_insert(soon);
                context
                    .report_missed("announcements of routes overflowed, so the table is read anew");
            }
            Heard::News(news) => {
                for news in news {
                    if self.table.hear(at, news) {
                        self.confirm.get_or_insert(soon);
                    }
                }
            }
        }
        self.say_if_full(context);
        Ok(())
    }

    /// Reads the whole table; what is missing was lost without an announcement.
    fn confirm(&mut self, context: &mut WatcherContext) -> Result<()> {
        self.confirm = None;
        let begun = context.now();
        let state = routes(self.receive_buffer)?;
        let took = context.now().mono.since(begun.mono);
        self.not_before = begun.mono.plus(took * SHARE);
        self.table.catch_up(begun, state);
        self.say_if_full(context);
        Ok(())
    }

    fn say_if_full(&mut self, context: &mut WatcherContext) {
        if self.table.is_full() && !self.full {
            self.full = true;
            context.report_missed(format!("what goes beyond {} routes", table::MOST));
        }
    }
}

/// All routes that matter, as far as there is room.
fn routes(receive_buffer: usize) -> Result<Vec<News>> {
    let request = RouteNetlinkMessage::GetRoute(RouteMessage::default());
    let room = Cell::new(table::MOST + 1);
    dump(&request, receive_buffer, |kind, payload| {
        let news = message::read(kind, 0, payload).filter(|_| room.get() > 0)?;
        room.set(room.get() - 1);
        Some(news)
    })
}

impl Watcher for RouteWatcher {
    const NAME: &'static str = "routes";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        loop {
            let until = self.confirm.into_iter().chain(self.table.due()).min();
            match context.wait(&[self.subscription.as_fd()], until)? {
                Wake::Stop => return Ok(()),
                Wake::Ready => self.read(context)?,
                Wake::Due if self.confirm.is_some_and(|due| due <= context.now().mono) => {
                    self.confirm(context)?;
                }
                Wake::Due => {}
            }
            for finding in self.table.judge(context.now()) {
                context.send(Fact::Finding(Box::new(finding)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
