//! The thread `watch/detect`: hears the taps of all interfaces and sends what their detectors conclude.
//!
//! ```text
//!   cap/eth0  Tap ──► Detectors ┐
//!   cap/eth1  Tap ──► Detectors ├─ watch/detect ──► Fact::Finding ──► recorder
//!        wakeup, once a block ───►┘
//! ```
//!
//! It has no clock of its own: the taps' summaries tell the time, ten times a second each. So a capture
//! thread that does not run makes nobody think that the wire is silent.

use std::fmt;
use std::mem;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::detectors::{Detectors, Roster, Subject};
use super::protocols::{self, Local, Protocols, Together};
use super::tap::Tap;
use super::traffic;
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::observation::{Fact, WatcherEnd};
use crate::sys::wakeup::Wakeup;
use crate::time::Mono;
use crate::watch::{Wake, Watcher, WatcherContext};

/// What is looked for, the same on every interface.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// By counts.
    pub traffic: traffic::Options,
    /// In the frames of protocols.
    pub protocols: protocols::Options,
}

impl Options {
    /// What judges the control frames of an interface; `local` is the host it belongs to.
    pub fn roster(&self, local: &Local) -> Roster {
        let (options, together) = (self.protocols.clone(), Together::on(local.clone()));
        Box::new(move |subject| {
            vec![Box::new(Protocols::new(&subject.interface, &options, &together))]
        })
    }
}

/// Where taps are made; cloning gives a second hand on the same place.
#[derive(Clone)]
pub struct Taps(Arc<Shared>);

struct Shared {
    options: Options,
    protocols: Roster,
    wakeup: Wakeup,
    /// What is known of this host, where frames are its own.
    local: OnceLock<Local>,
    /// Interfaces that the watcher has not met. Locked when one begins and when the watcher looks, never
    /// on the packet path; there are as many as interfaces.
    new: Mutex<Vec<Detectors>>,
}

impl Taps {
    /// A tap for an interface, whose detectors the watcher takes over.
    ///
    /// # Errors
    /// When the options name a class that the interface does not have.
    pub fn tap(&self, subject: Subject) -> Result<Tap> {
        let Shared { options, protocols, wakeup, local, new } = &*self.0;
        let protocols = protocols(&subject);
        let (tap, mut detectors) =
            Detectors::new(subject, &options.traffic, protocols, wakeup.clone())?;
        if let Some(local) = local.get() {
            detectors.know(local.clone());
        }
        new.lock().unwrap_or_else(PoisonError::into_inner).push(detectors);
        Ok(tap)
    }
}

impl Taps {
    /// The watcher looks around: a tap is gone, and so are the tables of its detectors then.
    pub fn wake(&self) {
        self.0.wakeup.notify();
    }
}

impl fmt::Debug for Taps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taps").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// The watcher of the frames.
pub struct DetectWatcher {
    taps: Taps,
    interfaces: Vec<Listened>,
    /// Interfaces whose detectors panicked and were not told of yet.
    broken: Vec<String>,
}

/// An interface, and what its detectors did not get and was not told.
struct Listened {
    detectors: Detectors,
    unseen: u64,
}

impl DetectWatcher {
    /// What found no room is told so often.
    const TELL_UNSEEN: Duration = Duration::from_secs(1);

    /// Ready to listen to taps, of which there are none yet; `protocols` makes the detectors of control
    /// frames for each interface.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn open(options: Options, protocols: Roster) -> Result<Self> {
        let wakeup = Wakeup::new()
            .map_err(|reason| Error::operation("start watcher", Self::NAME, reason))?;
        let (local, new) = (OnceLock::new(), Mutex::default());
        let taps = Taps(Arc::new(Shared { options, protocols, wakeup, local, new }));
        Ok(Self { taps, interfaces: Vec::new(), broken: Vec::new() })
    }

    /// Interfaces that are tapped from now on are those of this host.
    pub fn know(&self, local: Local) {
        // There is one host.
        let _ = self.taps.0.local.set(local);
    }

    /// Where taps are made that this watcher listens to.
    pub fn taps(&self) -> Taps {
        self.taps.clone()
    }

    fn meet(&mut self) {
        let mut new = self.taps.0.new.lock().unwrap_or_else(PoisonError::into_inner);
        let met = mem::take(&mut *new).into_iter();
        self.interfaces.extend(met.map(|detectors| Listened { detectors, unseen: 0 }));
    }

    /// Hears every tap once; true if there is more to hear. Never waits, so that a replay can do it
    /// between two frames.
    pub fn hear(&mut self, findings: &mut Vec<Finding>) -> bool {
        self.meet();
        let (mut more, broken) = (false, &mut self.broken);
        self.interfaces.retain_mut(|listened| {
            // Detectors look into bytes from outside: a defect in one must not deafen the others. What is
            // left half done goes with them.
            let hearing = AssertUnwindSafe(|| listened.detectors.hear(findings));
            let Ok(heard) = catch_unwind(hearing) else {
                broken.push(listened.detectors.interface().to_owned());
                return false;
            };
            listened.unseen += heard.unseen;
            more |= heard.more;
            !heard.gone
        });
        more
    }

    fn tell_unseen(&mut self, context: &mut WatcherContext) {
        for Listened { detectors, unseen } in &mut self.interfaces {
            let count = mem::take(unseen);
            if count > 0 {
                let interface = detectors.interface();
                context.report_missed(format!(
                    "{count} control frames on {interface} found no room on the way to the \
                     detectors; they are recorded"
                ));
            }
        }
    }
}

impl Watcher for DetectWatcher {
    const NAME: &'static str = "detect";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        let wakeup = self.taps.0.wakeup.clone();
        let (mut findings, mut tell_at) = (Vec::new(), Mono(0));
        loop {
            match context.wait(&[wakeup.as_fd()], None)? {
                Wake::Stop => return Ok(()),
                Wake::Ready | Wake::Due => wakeup.clear(),
            }
            let mut more = true;
            while more && !context.stopping() {
                more = self.hear(&mut findings);
                for interface in self.broken.drain(..) {
                    context.send(Fact::WatcherEnded {
                        watcher: Self::NAME.to_owned(),
                        interface: Some(interface),
                        why: WatcherEnd::Panicked,
                    });
                }
                for finding in findings.drain(..) {
                    context.send(Fact::Finding(Box::new(finding)));
                }
            }
            let now = context.now().mono;
            if now >= tell_at {
                tell_at = now.plus(Self::TELL_UNSEEN);
                self.tell_unseen(context);
            }
        }
    }
}

impl fmt::Debug for DetectWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DetectWatcher").field("taps", &self.taps).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::detect::tap::{CONTROL, Health};
    use crate::detect::{Detector, Seen};
    use crate::finding::{Finding, FindingKind, Severity};
    use crate::frame::{Direction, Frame, FrameHeader};
    use crate::observation::Observation;
    use crate::time::{Clock, Offset, Stamp, Wall};
    use crate::watch::spawn;

    /// More than any wait here should take.
    const BOUND: Duration = Duration::from_secs(10);

    /// Concludes something from every frame, and that time passes.
    struct Echo;

    impl Detector for Echo {
        fn frame(&mut self, seen: &Seen<'_>, findings: &mut Vec<Finding>) {
            findings.push(conclusion(seen.interface, seen.at, seen.bytes.len()));
        }

        fn tick(&mut self, now: Stamp, findings: &mut Vec<Finding>) {
            findings.push(conclusion("tick", now, 0));
        }
    }

    fn conclusion(interface: &str, at: Stamp, length: usize) -> Finding {
        Finding {
            kind: FindingKind::ArpUnanswered,
            severity: Severity::Info,
            first: at,
            last: at,
            interface: Some(interface.to_owned()),
            direction: Direction::Unknown,
            count: length as u64,
            rate: None,
            what: String::new(),
            sentence: String::new(),
            parties: Vec::new(),
            over: false,
        }
    }

    fn subject(interface: &str) -> Subject {
        let classes = vec!["control".into(), "data".into()];
        Subject { interface: interface.into(), classes, filters: Vec::new() }
    }

    fn frame(bytes: &[u8]) -> Frame<'_> {
        Frame::whole(FrameHeader { wall: Wall(7), ..FrameHeader::default() }, bytes)
    }

    fn next(inbox: &crossbeam_channel::Receiver<Observation>) -> Fact {
        inbox.recv_timeout(BOUND).unwrap().fact
    }

    #[test]
    fn frames_and_ticks_reach_the_detectors_of_their_interface() {
        let watcher =
            DetectWatcher::open(Options::default(), Box::new(|_| vec![Box::new(Echo)])).unwrap();
        let taps = watcher.taps();
        let mut early = taps.tap(subject("early")).unwrap();
        let (outbox, inbox) = bounded(64);
        let watch = spawn(watcher, Clock::system(), outbox).unwrap();
        let mut late = taps.tap(subject("late")).unwrap();
        for (tap, name, length) in [(&mut early, "early", 40_usize), (&mut late, "late", 50)] {
            tap.frame(&frame(&vec![1; length]), 1, false, Offset(0));
            tap.frame(&frame(&vec![1; length]), CONTROL, false, Offset(0));
            tap.block();
            let at = Stamp { mono: Mono(7), wall: Wall(7) };
            let seen = Fact::Finding(Box::new(conclusion(name, at, length)));
            assert_eq!(next(&inbox), seen);
            tap.summary(at, Health { recording: true, ..Health::default() }, Vec::new());
            tap.block();
            assert_eq!(next(&inbox), Fact::Finding(Box::new(conclusion("tick", at, 0))));
        }
        assert_eq!(watch.join(), 0);
    }

    #[test]
    fn what_finds_no_room_is_told() {
        let watcher = DetectWatcher::open(Options::default(), Box::new(|_| Vec::new())).unwrap();
        let mut tap = watcher.taps().tap(subject("eth0")).unwrap();
        for _ in 0..2_000 {
            tap.frame(&frame(&[1; 60]), CONTROL, false, Offset(0));
        }
        let health = Health { recording: true, ..Health::default() };
        tap.summary(Stamp::default(), health, Vec::new());
        tap.block();
        let (outbox, inbox) = bounded(64);
        let watch = spawn(watcher, Clock::system(), outbox).unwrap();
        let Fact::Missed { what, .. } = next(&inbox) else { panic!("not told") };
        assert!(what.starts_with("976 control frames on eth0 found no room"), "{what}");
        watch.join();
    }
}
