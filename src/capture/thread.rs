//! The recorder's hand on a capture thread: orders in, answers out.
//!
//! A dead or stuck thread answers nothing; nobody here waits for it longer than a moment.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::follower::{Follower, READERS};
use super::order::{CaptureReport, Hands, Order, ReaderOrder, SliceOrder, Sliced};
use super::packing::Memory;
use super::pulse::Pulse;
use super::recording::Recording;
use super::source::Source;
use super::tapping::Tapping;
use super::waiting::CaptureThreads;
use super::{Interface, Options, afpacket};
use crate::error::{Error, Result};
use crate::observation::Observation;
use crate::ring::{HoldId, LaneId};
use crate::sys::wakeup::Wakeup;
use crate::time::{Clock, Mono, Window};

/// Orders of the recorder under way; it has a handful at a time.
const ORDERS: usize = 64;
/// A thread that makes no room for an order for this long is stuck.
const ORDER: Duration = Duration::from_millis(100);

/// What all captures share.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where frames are kept.
    pub memory: Memory,
    /// Where they get their threads.
    pub threads: CaptureThreads,
    /// What time it is.
    pub clock: Clock,
    /// Where events go.
    pub events: Sender<Observation>,
    /// Where the detectors' taps are made.
    pub tapping: Tapping,
}

/// The recorder's hand on a capture thread.
#[derive(Debug)]
pub struct Capture {
    interface: String,
    first_lane: LaneId,
    classes: Vec<Arc<str>>,
    orders: Sender<Order>,
    readers: Sender<ReaderOrder>,
    wakeup: Wakeup,
    pulse: Pulse,
    ended: Receiver<CaptureReport>,
}

impl Capture {
    /// Opens the interface and starts recording it into lanes numbered from `first_lane` on.
    ///
    /// # Errors
    /// When the interface cannot be captured, or the process is out of threads or descriptors.
    pub fn start(
        first_lane: LaneId,
        binding: Interface,
        options: Options,
        around: &Surroundings,
    ) -> Result<Self> {
        let interface = binding.name.clone();
        let failed =
            |e: std::io::Error| Error::operation("start the capture thread of", &*interface, e);
        let Surroundings { memory, threads, clock, events, tapping } = around.clone();
        let wakeup = Wakeup::new().map_err(failed)?;
        let source = Source::open(&binding, &options, &wakeup, &clock)?;
        let (orders, inbox) = bounded(ORDERS);
        let (readers, read) = bounded(READERS);
        let (ended, end) = bounded(1);
        let classes = options.classes.names();
        let pulse = Pulse::default();
        let hands = Hands {
            wakeup: wakeup.clone(),
            clock,
            inbox,
            readers: read,
            events,
            tapping,
            pulse: pulse.clone(),
            ended,
        };
        let recording = Recording::new(first_lane, binding, source, options, &memory, hands)?;
        threads.begin(Box::new(recording)).map_err(|(_, e)| failed(e))?;
        Ok(Self { interface, first_lane, classes, orders, readers, wakeup, pulse, ended: end })
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Whether its thread moves.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// The interface was created (again), or has another name: record it.
    pub fn bind(&mut self, binding: Interface) {
        self.interface.clone_from(&binding.name);
        self.order(Order::Bind(binding));
    }

    /// The interface is gone: mark the gap and wait.
    pub fn unbind(&self) {
        self.order(Order::Unbind);
    }

    /// The interface that is gone will not be back soon: what only new frames need goes.
    pub fn rest(&self) {
        self.order(Order::Rest);
    }

    /// How large the kernel's ring is to be when the interface is back.
    pub fn set_ring(&self, ring: afpacket::Options) {
        self.order(Order::Ring(ring));
    }

    /// Numbers of its lanes.
    pub fn lanes(&self) -> Range<u32> {
        let first = u32::from(self.first_lane.0);
        first..first + self.classes.len() as u32
    }

    /// How many bytes of the pool this interface may hold when memory is scarce.
    pub fn set_quota(&self, bytes: u64) {
        self.order(Order::Quota(bytes));
    }

    /// Keeps everything from `from` on, as [`Lane::hold`](crate::ring::Lane::hold). The reply, within a kernel
    /// block's time, says from when on that is; it never comes if the thread died.
    pub fn hold(&self, hold: HoldId, from: Mono, yields: bool) -> Receiver<Mono> {
        self.ask(|reply| Order::Hold { hold, from, yields, reply })
    }

    /// The window of a hold is over, as [`Lane::bound`](crate::ring::Lane::bound).
    pub fn bound(&self, hold: HoldId, to: Mono) {
        self.order(Order::Bound { hold, to });
    }

    /// Pins the frames of `window` and gives up the hold `release`. The reply comes when the window's
    /// last frames were handed over by the kernel; it never comes if the thread died.
    pub fn slice(&self, window: Window, release: Option<HoldId>) -> Receiver<Sliced> {
        self.ask(|reply| Order::Slice(SliceOrder { window, release, reply }))
    }

    /// How it stands.
    pub fn report(&self) -> Receiver<CaptureReport> {
        self.ask(|reply| Order::Report { reply })
    }

    /// A hand for somebody who reads what it records, for as long as it does.
    pub fn follower(&self) -> Follower {
        let (interface, classes) = (self.interface.clone(), self.classes.clone());
        Follower::new(
            interface,
            self.first_lane,
            classes,
            self.readers.clone(),
            self.wakeup.clone(),
        )
    }

    /// Stops after the last frame the kernel has. What comes then says how it ended; nothing comes if the thread
    /// panicked.
    pub fn stop(self) -> Receiver<CaptureReport> {
        // Without a sender its inbox is disconnected, which is how it learns of the end.
        drop(self.orders);
        self.wakeup.notify();
        self.ended
    }

    fn ask<T>(&self, order: impl FnOnce(Sender<T>) -> Order) -> Receiver<T> {
        let (reply, answer) = bounded(1);
        self.order(order(reply));
        answer
    }

    fn order(&self, order: Order) {
        // A dead or stuck thread takes no orders: then nobody answers, which the caller must handle.
        let _ = self.orders.send_timeout(order, ORDER);
        self.wakeup.notify();
    }
}
