//! The thread `cap/IF`: reads one interface's source, appends to its lane, and in between answers the
//! recorder.
//!
//! ```text
//!                  ┌──────────── frames ◄── source (kernel block)
//!   lane ◄─ append ┤
//!                  └─ orders ◄── recorder: bind, unbind, hold, slice, report, stop
//! ```
//!
//! The lane belongs to this thread alone, so nothing here waits for a lock: an order is looked at
//! between two kernel blocks, and a slice is a list of references. Per frame there is no allocation, no
//! system call and no formatting.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};

use super::source::Source;
use super::{FrameSink, FrameSource, Interface, Options, RETIRE, Ready, SETTLED, SourceCounters};
use crate::error::{Error, Result};
use crate::frame::{Frame, Origin};
use crate::ring::{HoldId, Lane, LaneId, Pool, Slice};
use crate::stats::CaptureStats;
use crate::sys::poll;
use crate::sys::wakeup::Wakeup;
use crate::time::{ArrivalClock, Clock, Mono, Stamp, Window};
use crate::watch::{CaptureEvent, Fact, Observation};

/// Wakes up this often without frames, to seal segments and repay pages.
const TICK: Duration = Duration::from_millis(100);
/// A slice waits this long for the last frames of its window to be handed over, then goes without.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a source failed, it is opened anew this much later.
const RETRY: Duration = Duration::from_secs(1);
/// Frames are called stored again when none was dropped for this long.
const SHORTAGE_OVER: Duration = Duration::from_secs(1);
/// While frames are dropped, this is told again so often: an incident that holds the memory is given up
/// each time, and half a second shows whether that was enough.
const SHORTAGE_RETOLD: Duration = Duration::from_millis(500);
/// Orders of the recorder under way; it has a handful at a time.
const ORDERS: usize = 64;
/// A thread that makes no room for an order for this long is stuck.
const ORDER: Duration = Duration::from_millis(100);
/// Events that wait for room in the recorder's channel; older ones are dropped and the number told.
const EVENTS: usize = 64;

/// What the recorder asks of a capture thread.
enum Order {
    Bind(Interface),
    Unbind,
    Quota(u64),
    Hold { hold: HoldId, from: Mono, reply: Sender<Mono> },
    Slice(SliceOrder),
    Report { reply: Sender<Report> },
}

struct SliceOrder {
    window: Window,
    release: Option<HoldId>,
    reply: Sender<(Slice, Report)>,
}

/// What a capture thread says of itself.
#[derive(Debug, Clone)]
pub struct Report {
    /// The binding in force, or the last one.
    pub origin: Arc<Origin>,
    /// Kind of source in a word or two.
    pub source: &'static str,
    /// What that source cannot know.
    pub unknowns: &'static [&'static str],
    /// When this report was made.
    pub at: Stamp,
    /// When the recording of this interface began.
    pub since: Stamp,
    /// Counts since then.
    pub stats: CaptureStats,
    /// Bytes that everything stored took in the ring, whether or not it is still there.
    pub ring_bytes: u64,
    /// From then on nothing stored was evicted.
    pub complete_from: Mono,
}

/// The recorder's hand on a capture thread.
#[derive(Debug)]
pub struct Capture {
    interface: String,
    orders: Sender<Order>,
    bell: Wakeup,
    thread: JoinHandle<Report>,
}

impl Capture {
    /// Opens the interface and starts recording it into a lane of `pool`. Events go to `events`.
    ///
    /// # Errors
    /// When the interface cannot be captured, or the process is out of threads or descriptors.
    pub fn start(
        lane: LaneId,
        binding: Interface,
        options: Options,
        pool: Pool,
        clock: Clock,
        events: Sender<Observation>,
    ) -> Result<Self> {
        let failed =
            |e: std::io::Error| Error::operation("start the capture thread of", &*binding.name, e);
        let bell = Wakeup::new().map_err(failed)?;
        let source = Source::open(&binding, &options, &bell, &clock)?;
        let now = clock.now();
        let origin = Arc::new(source.origin().clone());
        let interface = binding.name.clone();
        let (orders, inbox) = bounded(ORDERS);
        let mut recording = Recording {
            lane: Lane::new(lane, pool, Arc::clone(&origin), now.mono),
            arrivals: ArrivalClock::new(now),
            source_name: source.name(),
            unknowns: source.unknowns(),
            source: None,
            retry_at: None,
            was_down: false,
            shortage: None,
            origin,
            binding: Some(binding),
            options,
            bell: bell.clone(),
            clock,
            inbox,
            pending: Vec::new(),
            since: now,
            closed_sources: None,
            gaps: 0,
            events: EventQueue::new(interface.clone(), events),
        };
        recording.begin(source);
        let thread = thread::Builder::new()
            .name(format!("cap/{interface}"))
            .spawn(move || recording.run())
            .map_err(|e| Error::operation("start the capture thread of", &*interface, e))?;
        Ok(Self { interface, orders, bell, thread })
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The interface was created (again): record it.
    pub fn bind(&self, binding: Interface) {
        self.order(Order::Bind(binding));
    }

    /// The interface is gone: mark the gap and wait.
    pub fn unbind(&self) {
        self.order(Order::Unbind);
    }

    /// How many bytes of the pool this lane may hold when memory is scarce.
    pub fn set_quota(&self, bytes: u64) {
        self.order(Order::Quota(bytes));
    }

    /// Keeps everything from `from` on. The reply, within a kernel block's time, says from when on that
    /// is; it never comes if the thread died.
    pub fn hold(&self, hold: HoldId, from: Mono) -> Receiver<Mono> {
        self.ask(|reply| Order::Hold { hold, from, reply })
    }

    /// Pins the frames of `window` and gives up the hold `release`. The reply comes when the window's
    /// last frames were handed over by the kernel; it never comes if the thread died.
    pub fn slice(&self, window: Window, release: Option<HoldId>) -> Receiver<(Slice, Report)> {
        self.ask(|reply| Order::Slice(SliceOrder { window, release, reply }))
    }

    /// How it stands.
    pub fn report(&self) -> Receiver<Report> {
        self.ask(|reply| Order::Report { reply })
    }

    /// Stops after the last frame the kernel has; none if the thread panicked.
    pub fn stop(self) -> Option<Report> {
        // Without a sender the thread's inbox is disconnected, which is how it learns of the end.
        drop(self.orders);
        self.bell.ring();
        self.thread.join().ok()
    }

    fn ask<T>(&self, order: impl FnOnce(Sender<T>) -> Order) -> Receiver<T> {
        let (reply, answer) = bounded(1);
        self.order(order(reply));
        answer
    }

    fn order(&self, order: Order) {
        // A dead or stuck thread takes no orders: then nobody answers, which the caller must handle.
        let _ = self.orders.send_timeout(order, ORDER);
        self.bell.ring();
    }
}

/// Everything the thread owns.
struct Recording {
    lane: Lane,
    arrivals: ArrivalClock,
    source: Option<Source>,
    source_name: &'static str,
    unknowns: &'static [&'static str],
    origin: Arc<Origin>,
    /// What to open when there is no source; none while the interface is gone.
    binding: Option<Interface>,
    retry_at: Option<Mono>,
    was_down: bool,
    shortage: Option<Shortage>,
    options: Options,
    bell: Wakeup,
    clock: Clock,
    inbox: Receiver<Order>,
    pending: Vec<SliceOrder>,
    since: Stamp,
    /// Counts of sources that were closed before this one.
    closed_sources: Option<SourceCounters>,
    gaps: u64,
    events: EventQueue,
}

/// Frames are being dropped because pinned incidents have all the memory.
struct Shortage {
    /// The lane's drop count before it.
    before: u64,
    /// When the last frame was dropped.
    last: Mono,
    /// When it was last told.
    told: Mono,
}

/// Appends what a source hands over.
struct Intake<'a> {
    lane: &'a mut Lane,
    arrivals: &'a mut ArrivalClock,
    clock: &'a Clock,
}

impl FrameSink for Intake<'_> {
    fn batch(&mut self) {
        self.arrivals.read(self.clock.now());
    }

    #[inline]
    fn frame(&mut self, frame: &Frame<'_>) {
        let offset = self.arrivals.offset(frame.header.wall);
        // A frame that is dropped was counted by the lane.
        let _ = self.lane.append(frame, offset);
    }
}

impl Recording {
    fn run(mut self) -> Report {
        loop {
            let dropped_before = self.lane.counters().dropped;
            self.read();
            let now = self.clock.now().mono;
            self.lane.tick(now);
            self.tell_about_drops(dropped_before, now);
            self.reopen_if_due(now);
            self.answer_slices(now);
            self.events.flush();
            if !self.take_orders() {
                break;
            }
        }
        self.drain();
        self.answer_slices(Mono(u64::MAX));
        self.report()
    }

    /// One kernel block at most, or a nap.
    fn read(&mut self) {
        let timeout = if self.pending.is_empty() { TICK } else { RETIRE };
        let Some(source) = &mut self.source else {
            // Out of kernel memory this returns at once, and the next round sleeps again.
            let _ = poll::readable(&[self.bell.as_fd()], Some(timeout));
            return;
        };
        let (lane, arrivals) = (&mut self.lane, &mut self.arrivals);
        let ready = source.read(timeout, &mut Intake { lane, arrivals, clock: &self.clock });
        match ready {
            Ok(Ready::Frames) => self.is_up(),
            Ok(Ready::Idle) => self.arrivals.drained(self.clock.now().mono.minus(SETTLED)),
            Ok(Ready::Down) => {
                self.was_down = true;
                self.tell(CaptureEvent::Down);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn is_up(&mut self) {
        if std::mem::take(&mut self.was_down) {
            self.tell(CaptureEvent::Up);
        }
    }

    /// Says when frames begin to be dropped, again while they are, and when they have not been for a
    /// while. Again, because the recorder may not be able to make room at first, or not enough.
    fn tell_about_drops(&mut self, dropped_before: u64, now: Mono) {
        let dropped = self.lane.counters().dropped;
        match &mut self.shortage {
            None if dropped > dropped_before => {
                self.shortage = Some(Shortage { before: dropped_before, last: now, told: now });
                self.tell(CaptureEvent::Dropping);
            }
            Some(shortage) if dropped > dropped_before => {
                shortage.last = now;
                if now.since(shortage.told) >= SHORTAGE_RETOLD {
                    shortage.told = now;
                    self.tell(CaptureEvent::Dropping);
                }
            }
            Some(shortage) if now.since(shortage.last) >= SHORTAGE_OVER => {
                let dropped = dropped - shortage.before;
                self.shortage = None;
                self.tell(CaptureEvent::Storing { dropped });
            }
            _ => {}
        }
    }

    fn failed(&mut self, error: &Error) {
        self.close_source();
        self.retry_at = Some(self.clock.now().mono.plus(RETRY));
        self.gaps += 1;
        self.tell(CaptureEvent::Failed { reason: error.to_string() });
    }

    fn reopen_if_due(&mut self, now: Mono) {
        let Some(binding) = &self.binding else { return };
        if self.source.is_some() || self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        match Source::open(binding, &self.options, &self.bell, &self.clock) {
            Ok(source) => self.begin(source),
            Err(error) => {
                // Told once per binding: the operator knows by now, and the next try is a second away.
                if self.retry_at.is_none() {
                    self.tell(CaptureEvent::Failed { reason: error.to_string() });
                }
                self.retry_at = Some(now.plus(RETRY));
            }
        }
    }

    fn begin(&mut self, source: Source) {
        self.origin = Arc::new(source.origin().clone());
        self.lane.begin(Arc::clone(&self.origin));
        self.arrivals = ArrivalClock::new(self.clock.now());
        self.source_name = source.name();
        self.unknowns = source.unknowns();
        self.retry_at = None;
        self.was_down = false;
        let started =
            CaptureEvent::Started { index: self.origin.index, source: self.source_name.to_owned() };
        self.tell(started);
        self.source = Some(source);
    }

    fn close_source(&mut self) {
        if let Some(mut source) = self.source.take() {
            self.closed_sources = Some(self.with_closed(source.counters()));
        }
    }

    fn with_closed(&self, open: SourceCounters) -> SourceCounters {
        self.closed_sources.map_or(open, |closed| closed.and(open))
    }

    fn tell(&mut self, event: CaptureEvent) {
        self.events.push(self.clock.now(), event);
    }

    /// False when the recorder is gone: the end.
    fn take_orders(&mut self) -> bool {
        self.bell.hear();
        loop {
            match self.inbox.try_recv() {
                Ok(order) => self.obey(order),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn obey(&mut self, order: Order) {
        // Who asked may be gone by the time of the answer; then nobody needs it.
        match order {
            Order::Bind(binding) => {
                let known = self.binding.as_ref().is_some_and(|b| b.index == binding.index);
                if !known {
                    self.unbind();
                    self.retry_at = None;
                    self.binding = Some(binding);
                }
            }
            Order::Unbind => self.unbind(),
            Order::Quota(bytes) => self.lane.set_quota(bytes),
            Order::Hold { hold, from, reply } => drop(reply.send(self.lane.hold(hold, from))),
            Order::Slice(order) => self.pending.push(order),
            Order::Report { reply } => drop(reply.send(self.report())),
        }
    }

    fn unbind(&mut self) {
        if self.binding.take().is_some() {
            self.drain();
            self.close_source();
            self.gaps += 1;
            self.tell(CaptureEvent::Gap);
        }
    }

    /// Takes what the kernel has, and nothing that arrives from now on. What an interface that is being
    /// removed makes of that is told by its removal, so events of the source are passed over.
    fn drain(&mut self) {
        let Some(source) = &mut self.source else { return };
        // If the kernel refuses, frames go on coming and the loop ends by time.
        let _ = source.stop();
        let until = self.clock.now().mono.plus(PATIENCE);
        let (lane, arrivals) = (&mut self.lane, &mut self.arrivals);
        let mut intake = Intake { lane, arrivals, clock: &self.clock };
        let mut idle_since = None;
        loop {
            let ready = source.read(RETIRE, &mut intake);
            let now = self.clock.now().mono;
            match ready {
                Ok(Ready::Frames) => idle_since = None,
                // An interface that is gone is down as well; blocks are still handed over in time.
                Ok(Ready::Idle | Ready::Down) => {
                    if now.since(*idle_since.get_or_insert(now)) >= SETTLED {
                        break;
                    }
                }
                Err(_) => break,
            }
            if now >= until {
                break;
            }
        }
    }

    fn answer_slices(&mut self, now: Mono) {
        let done_until = match &self.source {
            Some(_) => self.arrivals.done_until(),
            None => Mono(u64::MAX),
        };
        let ready = |order: &SliceOrder| {
            done_until >= order.window.to || now >= order.window.to.plus(PATIENCE)
        };
        while let Some(at) = self.pending.iter().position(ready) {
            let SliceOrder { window, release, reply } = self.pending.swap_remove(at);
            let slice = self.lane.slice(window, release);
            let _ = reply.send((slice, self.report()));
        }
    }

    fn report(&mut self) -> Report {
        let source = match self.source.as_mut().map(FrameSource::counters) {
            Some(open) => self.with_closed(open),
            None => self.closed_sources.unwrap_or_default(),
        };
        let lane = self.lane.counters();
        let mut stats = CaptureStats {
            kernel_received: source.kernel_received,
            kernel_dropped: source.kernel_dropped,
            waiting_in_kernel: None,
            stored: lane.stored,
            stored_bytes: lane.stored_bytes,
            filtered: source.filtered,
            damaged: source.damaged,
            lane_dropped: lane.dropped,
            truncated: lane.truncated,
            kernel_ring_full: source.kernel_ring_full,
            gaps: self.gaps,
            evicted: lane.evicted,
        };
        stats.settle();
        Report {
            origin: Arc::clone(&self.origin),
            source: self.source_name,
            unknowns: self.unknowns,
            at: self.clock.now(),
            since: self.since,
            stats,
            ring_bytes: lane.ring_bytes,
            complete_from: self.lane.complete_from(),
        }
    }
}

/// Events on their way to the recorder: capture does not wait for room there.
struct EventQueue {
    interface: String,
    outbox: Sender<Observation>,
    queue: VecDeque<Observation>,
    lost: u64,
}

impl EventQueue {
    fn new(interface: String, outbox: Sender<Observation>) -> Self {
        Self { interface, outbox, queue: VecDeque::new(), lost: 0 }
    }

    fn push(&mut self, at: Stamp, event: CaptureEvent) {
        if self.queue.len() >= EVENTS {
            self.queue.pop_front();
            self.lost += 1;
        }
        let fact = Fact::Capture { interface: self.interface.clone(), event };
        self.queue.push_back(Observation { at, fact });
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            let at = event.at;
            match self.outbox.try_send(event) {
                Ok(()) => self.tell_lost(at),
                Err(TrySendError::Full(event)) => return self.queue.push_front(event),
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }

    fn tell_lost(&mut self, at: Stamp) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let watcher = format!("capture on {}", self.interface);
            let what = format!("{lost} events found no room on the way to the recorder");
            self.queue.push_front(Observation { at, fact: Fact::Missed { watcher, what } });
        }
    }
}
