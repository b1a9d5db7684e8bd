//! Windows that other hosts ask for: the same road as a local trigger's, behind bounds that keep local ones first.
//!
//! ```text
//!   covered by a bundle? ─► left in memory? ─► two at a time, a quarter of memory ─► rate ─► frozen, or held
//! ```

use super::Incidents;
use super::phase::Phase;
use super::reach::Reach;
use super::recent::RecentWindows;
use crate::api::question::Verdict;
use crate::fleet::keep::receive::{AT_A_TIME, MEMORY_PART, WantedWindow, fitting};
use crate::fleet::notice::{Mode, Notice, NoticeKey};
use crate::incident::coverage::Coverage;
use crate::incident::fleet::FleetReason;
use crate::incident::name::name_of;
use crate::recorder::audience::Audience;
use crate::recorder::frame_store::FrameStore;
use crate::ring::HoldId;
use crate::time::{Mono, Wall, Window};
use crate::trigger::{Fired, Terms, Trigger, TriggerKind};

/// A window that another host wants, and why.
#[derive(Debug, Clone)]
pub(in crate::recorder) struct FleetWish {
    pub(in crate::recorder) reason: FleetReason,
    pub(in crate::recorder) wanted: WantedWindow,
    /// What opens the incident.
    pub(in crate::recorder) trigger: Trigger,
}

/// What came of a wish.
#[derive(Debug)]
pub(in crate::recorder) enum FleetVerdict {
    /// A bundle has the window, or will have it.
    Covered(String),
    /// Memory begins then, after the window.
    Late(Wall),
    /// Nothing is frozen, for this reason.
    Refused(String),
    /// It is frozen, for the bundle with this name; less than was wanted, for a reason.
    Frozen(String, Box<Coverage>, Option<String>),
}

/// A window that waits whether it is confirmed.
#[derive(Debug)]
pub(super) struct FleetHold {
    hold: HoldId,
    wish: FleetWish,
    /// What is pinned of its window, and why that is less than what was wanted.
    window: Window,
    why: Option<String>,
    until: Mono,
}

impl FleetHold {
    fn key(&self) -> NoticeKey {
        let FleetReason { from, id, .. } = &self.wish.reason;
        NoticeKey { from: from.clone(), id: id.clone() }
    }
}

impl Incidents {
    /// Freezes the window, of a memory of so many bytes; `take` takes it out of the rates, last of all.
    pub(in crate::recorder) fn keep_for<K: FrameStore>(
        &mut self,
        wish: FleetWish,
        memory: u64,
        take: impl FnOnce() -> Result<(), String>,
        captures: &mut K,
        audience: &mut Audience,
    ) -> FleetVerdict {
        if let Some(incident) = self.covers_for(&wish) {
            return FleetVerdict::Covered(incident);
        }
        let (window, why) = match self.room_for(&wish, memory, captures) {
            Ok(room) => room,
            Err(verdict) => return verdict,
        };
        if let Err(why) = take() {
            return FleetVerdict::Refused(why);
        }
        self.freeze_for(wish, window, why, captures, audience)
    }

    /// Freezes the window until then, to wait whether it is confirmed; what of it is there.
    pub(in crate::recorder) fn hold_for<K: FrameStore>(
        &mut self,
        wish: FleetWish,
        until: Mono,
        memory: u64,
        take: impl FnOnce() -> Result<(), String>,
        captures: &mut K,
    ) -> Result<Coverage, FleetVerdict> {
        if self.ending {
            return Err(FleetVerdict::Refused("dashcap is ending".to_owned()));
        }
        let (window, why) = self.room_for(&wish, memory, captures)?;
        take().map_err(FleetVerdict::Refused)?;
        let hold = self.next_hold();
        let held = captures.hold(hold, window.from, false);
        let reports = captures.reports();
        let reach = self.reach(wish.wanted.window, wish.trigger.at.offset(), &reports);
        let coverage = reach.coverage(held.complete_from, wish.wanted.window, None);
        self.fleet_holds.push(FleetHold { hold, wish, window, why, until });
        Ok(coverage)
    }

    /// Writes what is held for this notice; none if nothing is.
    pub(in crate::recorder) fn confirm_for<K: FrameStore>(
        &mut self,
        key: &NoticeKey,
        captures: &mut K,
        audience: &mut Audience,
    ) -> Option<FleetVerdict> {
        let FleetHold { hold, wish, window, why, .. } = self.take_fleet_hold(key)?;
        let verdict = match self.covers_for(&wish) {
            Some(incident) => FleetVerdict::Covered(incident),
            None => self.freeze_for(wish, window, why, captures, audience),
        };
        self.unpin(hold, captures);
        Some(verdict)
    }

    /// Gives up what is held for this notice; false if nothing is.
    pub(in crate::recorder) fn release_for<K: FrameStore>(
        &mut self,
        key: &NoticeKey,
        captures: &mut K,
    ) -> bool {
        let held = self.take_fleet_hold(key);
        held.as_ref().inspect(|held| self.unpin(held.hold, captures)).is_some()
    }

    /// What nobody confirmed in time, which is given up.
    pub(in crate::recorder) fn expire_for<K: FrameStore>(
        &mut self,
        now: Mono,
        captures: &mut K,
    ) -> Vec<NoticeKey> {
        let over = |held: &FleetHold| held.until < now;
        let due = self.fleet_holds.iter().filter(|held| over(held));
        let due: Vec<_> = due.map(FleetHold::key).collect();
        for key in &due {
            self.release_for(key, captures);
        }
        due
    }

    /// Gives up what may never be wanted.
    pub(super) fn release_fleet_holds<K: FrameStore>(
        &mut self,
        why: &'static str,
        captures: &mut K,
    ) {
        for held in std::mem::take(&mut self.fleet_holds) {
            self.unpin(held.hold, captures);
            self.fleet_released.push((held.key(), why));
        }
    }

    /// What was given up because memory was short, or at the end, and why.
    pub(in crate::recorder) fn released_for(&mut self) -> Vec<(NoticeKey, &'static str)> {
        std::mem::take(&mut self.fleet_released)
    }

    /// True while the bundle of an incident whose window is closed is on its way to the disk.
    pub(in crate::recorder) fn is_closed(&self, incident: &str) -> bool {
        self.recent.named(incident).is_some_and(|known| known.written.is_none())
    }

    /// True once its bundle is there.
    pub(in crate::recorder) fn is_written(&self, incident: &str) -> bool {
        self.recent.named(incident).is_some_and(|known| known.written.is_some())
    }

    /// The open incident is known to others by this notice.
    pub(in crate::recorder) fn announced_as(&mut self, notice: &Notice) {
        if let (Some(open), Mode::Keep | Mode::Confirm) = (&mut self.open, notice.mode) {
            add(&mut open.fleet, &reason(notice, 0, None));
        }
    }

    fn take_fleet_hold(&mut self, key: &NoticeKey) -> Option<FleetHold> {
        let at = self.fleet_holds.iter().position(|held| held.key() == *key)?;
        Some(self.fleet_holds.remove(at))
    }

    /// The incident that has enough of the window; it belongs to this host, too, from now on, as far as its bundle is
    /// still to be written.
    fn covers_for(&mut self, wish: &FleetWish) -> Option<String> {
        let (window, reason) = (wish.wanted.window, &wish.reason);
        let so_far = |phase: &Phase| phase.window().filter(|_| phase.is_collecting());
        if let (Some(open), Some(has)) = (&mut self.open, so_far(&self.phase))
            && RecentWindows::is_enough(has, window)
        {
            add(&mut open.fleet, reason);
            return self.phase.opened_by().map(|(trigger, _)| name_of(trigger));
        }
        let incident = self.recent.covers(window)?.incident.clone();
        if let Some(closing) = self.closing.iter_mut().find(|closing| closing.name() == incident) {
            closing.belongs_to(reason);
        }
        Some(incident)
    }

    /// The window that is frozen, and why it is less than what was wanted.
    fn room_for<K: FrameStore>(
        &self,
        wish: &FleetWish,
        memory: u64,
        captures: &mut K,
    ) -> Result<(Window, Option<String>), FleetVerdict> {
        let (window, at) = (wish.wanted.window, wish.trigger.at);
        let (reports, now) = (captures.reports(), self.clock.now());
        if let Some(oldest) = self.reach(window, at.offset(), &reports).is_after() {
            return Err(FleetVerdict::Late(now.offset().wall(oldest)));
        }
        let pinned = self.fleet_windows();
        if pinned.len() >= AT_A_TIME {
            let why = format!("memory: {AT_A_TIME} windows of the fleet are pinned already");
            return Err(FleetVerdict::Refused(why));
        }
        let bytes = |window| Reach::bytes(&reports, window, now.mono);
        let taken: u64 = pinned.into_iter().map(bytes).sum();
        let room = (memory / MEMORY_PART).saturating_sub(taken);
        let Some(fits) = fitting(&wish.wanted, room, bytes) else {
            let why = format!("memory: the fleet may pin one part in {MEMORY_PART}");
            return Err(FleetVerdict::Refused(why));
        };
        let before = |window: Window| at.mono.since(window.from);
        let why = if fits.from > window.from {
            let before = before(fits);
            Some(format!(
                "memory: the fleet may pin one part in {MEMORY_PART}, {before:.1?} before it"
            ))
        } else {
            wish.wanted.is_cut.then(|| format!("{:.1?} before it are accepted", before(window)))
        };
        Ok((fits, why))
    }

    /// Windows of the fleet that are pinned: held, collecting, or on their way to the disk.
    fn fleet_windows(&self) -> Vec<Window> {
        let held = self.fleet_holds.iter().map(|held| held.window);
        let is_theirs = self.phase.opened_by().is_some_and(|(by, _)| by.kind == TriggerKind::Fleet);
        let open = self.phase.window().filter(|_| is_theirs);
        held.chain(open).chain(self.recent.unwritten(TriggerKind::Fleet)).collect()
    }

    fn freeze_for<K: FrameStore>(
        &mut self,
        wish: FleetWish,
        window: Window,
        why: Option<String>,
        captures: &mut K,
        audience: &mut Audience,
    ) -> FleetVerdict {
        let FleetWish { reason, wanted, trigger } = wish;
        let at = trigger.at;
        let pre = at.mono.since(window.from);
        let terms = Terms { pre, post: window.to.since(at.mono), ..self.usual };
        let verdict = self.fire(Fired::asked(trigger, terms), captures, audience);
        if let Verdict::Ignored { why } = verdict {
            return FleetVerdict::Refused(why);
        }
        let incident = verdict.incident().unwrap_or_default().to_owned();
        let Some((held_from, closed)) = self.pinned(&incident) else {
            return FleetVerdict::Refused("nothing was frozen".to_owned());
        };
        match self.closing.iter_mut().rev().find(|closing| closing.name() == incident) {
            Some(closing) => closing.belongs_to(&reason),
            None => self.open.iter_mut().for_each(|open| add(&mut open.fleet, &reason)),
        }
        let reports = captures.reports();
        let unseen = self.history.gap(wanted.window);
        let reach = self.reach(wanted.window, at.offset(), &reports);
        let coverage = reach.coverage(held_from.max(window.from), closed, unseen);
        FleetVerdict::Frozen(incident, Box::new(coverage), why)
    }
}

/// What a notice says that arrived so long after its moment, from a clock so far ahead of ours.
pub(in crate::recorder) fn reason(
    notice: &Notice,
    arrived_after_ns: u64,
    clock_disagrees_ns: Option<i64>,
) -> FleetReason {
    FleetReason {
        id: notice.id.clone(),
        root: notice.root.clone(),
        from: notice.from.clone(),
        kind: notice.kind.clone(),
        object: notice.object.clone(),
        at: notice.at,
        arrived_after_ns,
        clock_disagrees_ns,
    }
}

/// One reason more, up to the bound.
pub(super) fn add(reasons: &mut Vec<FleetReason>, reason: &FleetReason) {
    if reasons.len() < FleetReason::MOST {
        reasons.push(reason.clone());
    }
}
