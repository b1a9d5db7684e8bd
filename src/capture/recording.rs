//! What the thread `cap/IF` does: reads one interface's source, appends to its lanes, and in between answers the
//! recorder. Without a source it goes on in the waiting room, which answers as well.
//!
//! ```text
//!                   ┌──────────── frames ◄── source (kernel block)
//!   lanes ◄─ append ┤
//!   tap ◄──── look ─┤
//!                   └─ orders ◄── recorder: bind, unbind, hold, slice, report, stop
//! ```
//!
//! The lanes belong to this thread alone, so nothing here waits for a lock: an order is looked at
//! between two kernel blocks, and a slice is a list of references. Per frame there is no allocation, no
//! system call and no formatting.
//!
//! A panic in here is a bug, and costs a gap: whole frames stay, the source is opened anew, and so is the
//! tap; if that does not help, frames are recorded and no longer looked at.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use super::afpacket::RETIRE;
use super::event_queue::EventQueue;
use super::follower::READERS;
use super::lanes::Lanes;
use super::order::{
    CaptureReport, FollowOrder, Hands, NextFrames, Order, ReaderOrder, SliceOrder, Sliced,
    SpoolOrder, Unspooled,
};
use super::packing::{Memory, Packing};
use super::pulse::Pulse;
use super::services::Services;
use super::shortage::Shortage;
use super::source::Source;
use super::tapping::{Tapped, Tapping};
use super::{FrameSink, FrameSource, Interface, Options, Ready, SETTLED, SourceCounters};
use crate::detect::tap::{ClassCount, Health};
use crate::error::{Error, Result};
use crate::frame::{Frame, Origin};
use crate::observation::capture::CaptureEvent;
use crate::ring::{Appended, LaneId};
use crate::stats::CaptureStats;
use crate::sys::wakeup::Wakeup;
use crate::time::{ArrivalClock, Clock, Mono, Stamp};

/// Wakes up this often without frames, to seal segments and repay pages.
const TICK: Duration = Duration::from_millis(100);
/// A slice waits this long for the last frames of its window to be handed over, then goes without.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a source failed, it is opened anew this much later.
const RETRY: Duration = Duration::from_secs(1);
/// After so many panics the detectors of this interface no longer see its frames: they are what looks into
/// bytes from outside, and a recording without findings is better than one with gaps.
const DEAF_AFTER: u64 = 2;

/// Everything the thread owns.
pub(super) struct Recording {
    lanes: Lanes,
    /// None once the interface is gone for long: it has the largest tables.
    tapped: Option<Tapped>,
    /// What passed until there was no tap.
    passed: Vec<ClassCount>,
    tapping: Tapping,
    services: Services,
    arrivals: ArrivalClock,
    source: Option<Source>,
    source_name: &'static str,
    unknowns: &'static [&'static str],
    origin: Arc<Origin>,
    /// What to open when there is no source; none while the interface is gone.
    binding: Option<Interface>,
    retry_at: Option<Mono>,
    was_down: bool,
    shortage: Shortage,
    options: Options,
    wakeup: Wakeup,
    clock: Clock,
    inbox: Receiver<Order>,
    readers: Receiver<ReaderOrder>,
    pending: Vec<SliceOrder>,
    since: Stamp,
    /// Counts of sources that were closed before this one.
    closed_sources: Option<SourceCounters>,
    gaps: u64,
    panics: u64,
    events: EventQueue,
    pulse: Pulse,
    ended: Sender<CaptureReport>,
}

/// Appends what a source hands over, and shows it to the tap.
struct Intake<'a> {
    lanes: &'a mut Lanes,
    /// None once nobody looks any more.
    tapped: Option<&'a mut Tapped>,
    services: &'a mut Services,
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
        let (class, appended) = self.lanes.append(frame, offset);
        self.services.frame(frame, class);
        if let Some(tapped) = &mut self.tapped {
            tapped.frame(frame, class, appended == Appended::Folded, offset);
        }
    }
}

impl Recording {
    /// Begins with an open `source` of `binding`.
    ///
    /// # Errors
    /// When a class does not suit the interface.
    pub(super) fn new(
        first_lane: LaneId,
        binding: Interface,
        source: Source,
        options: Options,
        memory: &Memory,
        hands: Hands,
    ) -> Result<Self> {
        let Hands { wakeup, clock, inbox, readers, events, tapping, pulse, ended } = hands;
        let now = clock.now();
        let origin = Arc::new(source.origin().clone());
        let classes = options.classes.clone();
        let packing = Packing::by_thread(memory.requests.clone(), usize::from(classes.lanes()));
        let (pool, lane) = (&memory.pool, options.lane);
        let lanes = Lanes::new(first_lane, pool, packing, classes, lane, &origin, now.mono)?;
        let mut recording = Self {
            tapped: Some(tapping.tap(&binding.name, lanes.names())?),
            passed: Vec::new(),
            lanes,
            tapping,
            services: Services::new(),
            arrivals: ArrivalClock::new(now),
            source_name: source.name(),
            unknowns: source.unknowns(),
            source: None,
            retry_at: None,
            was_down: false,
            shortage: Shortage::default(),
            origin,
            events: EventQueue::new(binding.name.clone(), events),
            binding: Some(binding),
            options,
            wakeup,
            clock,
            inbox,
            readers,
            pending: Vec::new(),
            since: now,
            closed_sources: None,
            gaps: 0,
            panics: 0,
            pulse,
            ended,
        };
        recording.begin(source)?;
        // Before the first frame: what the detectors count from.
        recording.tell_detectors_if_due(now);
        Ok(recording)
    }

    /// Until the recorder lets go, or there is no source: then it is to wait for one.
    pub(super) fn run(mut self: Box<Self>) -> Option<Box<Self>> {
        while self.source.is_some() {
            if !self.unbroken(Self::round) {
                self.end();
                return None;
            }
        }
        Some(self)
    }

    /// A round without a source, which is opened when it is due; none when the recorder lets go.
    pub(super) fn wait(mut self: Box<Self>) -> Option<Box<Self>> {
        let attended = self.unbroken(|waiting| {
            let goes_on = waiting.attend(waiting.lanes.dropped());
            waiting.reopen_if_due(waiting.clock.now().mono);
            goes_on
        });
        if attended {
            return Some(self);
        }
        self.end();
        None
    }

    /// True if there is something to read.
    pub(super) fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// The interface's name.
    pub(super) fn name(&self) -> &str {
        &self.origin.interface
    }

    /// What wakes whoever has it, when there is something to answer.
    pub(super) fn wakeup(&self) -> &Wakeup {
        &self.wakeup
    }

    /// What a panic leaves half done is put in order before it is used again.
    fn unbroken(&mut self, round: impl FnOnce(&mut Self) -> bool) -> bool {
        catch_unwind(AssertUnwindSafe(|| round(self))).unwrap_or_else(|_| self.panicked())
    }

    /// After the last frame that the kernel has.
    fn end(mut self: Box<Self>) {
        if catch_unwind(AssertUnwindSafe(|| self.drain())).is_err() {
            self.panicked();
        }
        self.answer_slices(Mono(u64::MAX));
        self.lanes.keep();
        let report = self.report();
        // Nobody may wait for it.
        let _ = self.ended.send(report);
    }

    /// False when the recorder is gone.
    fn round(&mut self) -> bool {
        let dropped_before = self.lanes.dropped();
        self.read();
        self.attend(dropped_before)
    }

    /// What there is to do beside reading; false when the recorder is gone.
    fn attend(&mut self, dropped_before: u64) -> bool {
        if let Some(tapped) = &mut self.tapped {
            tapped.block();
        }
        let stamp = self.clock.now();
        let now = stamp.mono;
        self.lanes.tick(now);
        self.tell_detectors_if_due(stamp);
        if let Some(event) = self.shortage.look(dropped_before, self.lanes.dropped(), now) {
            self.tell(event);
        }
        self.answer_slices(now);
        self.events.flush();
        self.pulse.beat();
        self.take_orders()
    }

    /// Begins anew, with the history of whole frames; true, as there is more to do.
    fn panicked(&mut self) -> bool {
        self.panics += 1;
        self.lanes.salvage();
        // Its detectors begin anew as well: the old ones end with the old tap.
        match self.tapping.tap(&self.origin.interface, self.lanes.names()) {
            Ok(tapped) => self.tapped = Some(tapped),
            Err(error) => tracing::error!("{error}"),
        }
        let name = &self.origin.interface;
        let deaf = if self.panics < DEAF_AFTER { "" } else { "; its frames are no longer judged" };
        let reason = format!(
            "dashcap panicked there, which is a bug; what was recorded stays, and it is opened anew{deaf}"
        );
        tracing::error!("capture on {name}: {reason}");
        self.close_source();
        self.retry_at = Some(self.clock.now().mono.plus(RETRY));
        self.gaps += 1;
        self.tell(CaptureEvent::Failed { reason, defect: true });
        true
    }

    /// One kernel block at most, or a nap.
    fn read(&mut self) {
        let timeout = if self.pending.is_empty() { TICK } else { RETIRE };
        let Some(source) = &mut self.source else { return };
        let mut intake = Intake {
            lanes: &mut self.lanes,
            tapped: self.tapped.as_mut().filter(|_| self.panics < DEAF_AFTER),
            services: &mut self.services,
            arrivals: &mut self.arrivals,
            clock: &self.clock,
        };
        let ready = source.read(timeout, &mut intake);
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

    /// What it cannot see in frames, the detectors learn here, ten times a second.
    fn tell_detectors_if_due(&mut self, now: Stamp) {
        if !self.tapped.as_ref().is_some_and(|tapped| tapped.is_due(now)) {
            return;
        }
        let health = Health {
            recording: self.source.is_some(),
            gaps: self.gaps,
            kernel_dropped: self.source_counters().kernel_dropped.unwrap_or_default(),
            lane_dropped: self.lanes.dropped(),
        };
        if let Some(tapped) = &mut self.tapped {
            tapped.tell(now, health, &self.lanes);
            tapped.block();
        }
        self.services.tick();
    }

    /// There is no source any more; another is tried in a while.
    pub(super) fn failed(&mut self, error: &Error) {
        self.close_source();
        self.retry_at = Some(self.clock.now().mono.plus(RETRY));
        self.gaps += 1;
        self.tell(CaptureEvent::Failed { reason: error.to_string(), defect: false });
    }

    fn reopen_if_due(&mut self, now: Mono) {
        let Some(binding) = &self.binding else { return };
        if self.source.is_some() || self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let opened = Source::open(binding, &self.options, &self.wakeup, &self.clock);
        match opened.and_then(|source| self.begin(source)) {
            Ok(()) => {}
            Err(error) => {
                // Told once per binding: the operator knows by now, and the next try is a second away.
                if self.retry_at.is_none() {
                    self.tell(CaptureEvent::Failed { reason: error.to_string(), defect: false });
                }
                self.retry_at = Some(now.plus(RETRY));
            }
        }
    }

    fn begin(&mut self, source: Source) -> Result<()> {
        self.origin = Arc::new(source.origin().clone());
        self.lanes.begin(&self.origin)?;
        if self.tapped.is_none() {
            let name = &self.origin.interface;
            self.tapped = Some(self.tapping.tap(name, self.lanes.names())?);
        }
        if let Some(tapped) = &mut self.tapped {
            tapped.begin(self.origin.link_type)?;
        }
        self.services.begin(self.origin.link_type);
        self.arrivals = ArrivalClock::new(self.clock.now());
        self.source_name = source.name();
        self.unknowns = source.unknowns();
        self.retry_at = None;
        self.was_down = false;
        let started =
            CaptureEvent::Started { index: self.origin.index, source: self.source_name.to_owned() };
        self.tell(started);
        self.source = Some(source);
        Ok(())
    }

    fn close_source(&mut self) {
        if let Some(mut source) = self.source.take() {
            self.closed_sources = Some(self.with_closed(source.counters()));
        }
    }

    /// Of all sources so far.
    fn source_counters(&mut self) -> SourceCounters {
        match self.source.as_mut().map(FrameSource::counters) {
            Some(open) => self.with_closed(open),
            None => self.closed_sources.unwrap_or_default(),
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
        self.wakeup.clear();
        self.answer_readers();
        loop {
            match self.inbox.try_recv() {
                Ok(order) => self.handle(order),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn handle(&mut self, order: Order) {
        // Who asked may be gone by the time of the answer; then nobody needs it.
        match order {
            Order::Bind(binding) => match &self.binding {
                Some(bound) if bound.index != binding.index => self.bind(binding),
                Some(bound) if bound.name != binding.name => self.rename(binding),
                Some(_) => {}
                None => self.bind(binding),
            },
            Order::Unbind => self.unbind(),
            Order::Rest => self.rest(),
            Order::Ring(ring) => self.options.ring = ring,
            Order::Quota(bytes) => self.lanes.set_quota(bytes),
            Order::Hold { hold, from, yields, reply } => {
                let _ = reply.send(self.lanes.hold(hold, from, yields));
            }
            Order::Bound { hold, to } => self.lanes.bound(hold, to),
            Order::Slice(order) => self.pending.push(order),
            Order::Report { reply } => drop(reply.send(self.report())),
        }
    }

    fn bind(&mut self, binding: Interface) {
        self.unbind();
        self.retry_at = None;
        self.binding = Some(binding);
    }

    /// The interface has another name. A packet socket is bound to its index (packet(7)), so it goes on and
    /// no frame is lost; frames are of the new name from now on. Detectors judge by name: new ones begin.
    fn rename(&mut self, binding: Interface) {
        let name = binding.name.clone();
        self.origin = Arc::new(Origin { interface: name.clone(), ..(*self.origin).clone() });
        self.lanes.rename(&self.origin);
        let (link_type, classes) = (self.origin.link_type, self.lanes.names());
        let tapped = self.tapped.as_mut();
        let renamed = tapped.map(|tapped| tapped.rename(&self.tapping, &name, classes, link_type));
        if let Some(Err(error)) = renamed {
            tracing::error!("{error}");
        }
        self.events.rename(name);
        self.binding = Some(binding);
    }

    /// The interface is gone for long: all that only new frames need goes as well.
    fn rest(&mut self) {
        if self.binding.is_none()
            && let Some(tapped) = self.tapped.take()
        {
            self.passed = tapped.counts();
            drop(tapped);
            self.tapping.dropped();
            self.lanes.rest();
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
        let mut intake = Intake {
            lanes: &mut self.lanes,
            tapped: self.tapped.as_mut().filter(|_| self.panics < DEAF_AFTER),
            services: &mut self.services,
            arrivals: &mut self.arrivals,
            clock: &self.clock,
        };
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

    /// Up to then the kernel has handed over every frame.
    fn done_until(&self) -> Mono {
        match &self.source {
            Some(_) => self.arrivals.done_until(),
            None => Mono(u64::MAX),
        }
    }

    /// Readers that wait: of each a question in a round, answered with references, so that capture goes on.
    fn answer_readers(&mut self) {
        for _ in 0..READERS {
            match self.readers.try_recv() {
                Ok(ReaderOrder::Follow(order)) => self.answer_follower(order),
                Ok(ReaderOrder::Spool(order)) => self.answer_spooler(order),
                Err(_) => return,
            }
        }
    }

    /// A segment of each class.
    fn answer_follower(&mut self, FollowOrder { classes, reply }: FollowOrder) {
        let done_until = self.done_until().min(self.clock.now().mono);
        let (classes, lanes) = (classes.into_iter(), &mut self.lanes);
        let next = classes.filter_map(|(class, position)| lanes.follow(class, position));
        let _ = reply.send(NextFrames { classes: next.collect(), done_until });
    }

    fn answer_spooler(&mut self, SpoolOrder { hold, spooled, room, reply }: SpoolOrder) {
        self.lanes.spooled(hold, spooled);
        let classes = self.lanes.unspooled(hold, room);
        let _ = reply.send(Unspooled { classes, report: self.report() });
    }

    fn answer_slices(&mut self, now: Mono) {
        let done_until = self.done_until();
        let ready = |order: &SliceOrder| {
            done_until >= order.window.to || now >= order.window.to.plus(PATIENCE)
        };
        while let Some(at) = self.pending.iter().position(ready) {
            let SliceOrder { window, release, reply } = self.pending.swap_remove(at);
            let classes = self.lanes.slice(window, release);
            let _ = reply.send(Sliced { classes, report: self.report() });
        }
    }

    fn report(&mut self) -> CaptureReport {
        let source = self.source_counters();
        let mut stats = CaptureStats {
            kernel_received: source.kernel_received,
            kernel_dropped: source.kernel_dropped,
            filtered: source.filtered,
            damaged: source.damaged,
            kernel_ring_full: source.kernel_ring_full,
            gaps: self.gaps,
            ..self.lanes.stats()
        };
        stats.settle();
        CaptureReport {
            origin: Arc::clone(&self.origin),
            source: self.source_name,
            unknowns: self.unknowns,
            at: self.clock.now(),
            since: self.since,
            stats,
            classes: self.lanes.report(),
            traffic: self.tapped.as_ref().map_or_else(|| self.passed.clone(), Tapped::counts),
            services: self.services.counts(),
            spent: self.binding.is_none() && self.lanes.are_empty(),
        }
    }
}
