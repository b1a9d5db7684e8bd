//! Everything that judges one interface, at the end of its tap: live on the thread `watch/detect`, in a
//! replay between two frames.

use std::net::IpAddr;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::protocols::Local;
use super::tap::{CONTROL, Noticed, Outlet, Shown, Storm, Summary, Tap, Why};
use super::traffic::{self, Traffic};
use super::{Detector, Seen};
use crate::error::Result;
use crate::finding::Finding;
use crate::frame::{FrameHeader, LinkType};
use crate::sys::wakeup::Wakeup;
use crate::time::{Mono, Stamp};
use crate::wire::Mac;

/// An interface to judge.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name.
    pub interface: Arc<str>,
    /// Names of its classes; the first is control.
    pub classes: Vec<Arc<str>>,
    /// Names of the operator's filters on it.
    pub filters: Vec<Arc<str>>,
}

/// What judges the control frames of one interface: made anew for each.
pub type Roster = Box<dyn Fn(&Subject) -> Vec<Box<dyn Detector>> + Send + Sync>;

/// All detectors of one interface.
pub struct Detectors {
    subject: Subject,
    outlet: Outlet,
    traffic: Traffic,
    protocols: Vec<Box<dyn Detector>>,
    /// Of [`Summary::unseen`], what was returned.
    unseen: u64,
}

/// How it stands after listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// There is more to hear.
    pub more: bool,
    /// Control frames that found no room on the way here since it was last asked.
    pub unseen: u64,
    /// The tap is gone, and nothing more will come.
    pub gone: bool,
}

impl Detectors {
    /// A tap, and what judges what it says.
    ///
    /// # Errors
    /// When the options name a class that the interface does not have.
    pub fn new(
        subject: Subject,
        options: &traffic::Options,
        protocols: Vec<Box<dyn Detector>>,
        wakeup: Wakeup,
    ) -> Result<(Tap, Self)> {
        options.check(&subject.classes)?;
        let Subject { interface, classes, filters } = &subject;
        let (tap, outlet) = Tap::new(classes.len(), filters.len(), wakeup);
        let traffic = Traffic::new(Arc::clone(interface), classes, filters.clone(), options);
        Ok((tap, Self { outlet, traffic, protocols, unseen: 0, subject }))
    }

    /// The interface is one of this host.
    pub(super) fn know(&mut self, local: Local) {
        self.traffic.know(local);
    }

    /// The address of a station, as far as frames or the host told it; 0 = without a tag.
    pub fn address_of(&self, station: Mac, vlan: u16) -> Option<IpAddr> {
        self.traffic.addresses().of(station, vlan)
    }

    /// The host that a station was asked for last.
    pub fn asked_of(&self, station: Mac, vlan: u16) -> Option<IpAddr> {
        self.traffic.addresses().asked(station, vlan)
    }

    /// When a host was heard last, of the frames that were shown to the detectors.
    pub fn heard(&self, host: IpAddr) -> Option<Mono> {
        self.traffic.addresses().heard(host)
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.subject.interface
    }

    /// Hears what came from the tap; never waits.
    pub fn hear(&mut self, findings: &mut Vec<Finding>) -> Heard {
        // A summary speaks of the frames before it, so these are heard first.
        let summaries: Vec<Summary> = self.outlet.summaries.try_iter().collect();
        let mut heard = Heard { gone: summaries.is_empty(), ..Heard::default() };
        // Questions first: what ICMP says of them is control.
        for way in [self.outlet.exchanges.clone(), self.outlet.frames.clone()] {
            self.listen(&way, &mut heard, findings);
        }
        for summary in summaries {
            heard.unseen += summary.unseen - self.unseen;
            self.unseen = summary.unseen;
            self.judge(&summary, findings);
        }
        heard
    }

    /// Tells once more what was told to begin and has not ended by `now`, with its frames until then.
    pub fn standing(&self, now: Stamp, findings: &mut Vec<Finding>) {
        self.protocols.iter().for_each(|protocol| protocol.standing(findings));
        self.traffic.standing(now, findings);
    }

    /// Hears what came one way until now: all that a summary speaks of, and no more, so that one busy
    /// interface does not keep the others waiting.
    fn listen(&mut self, frames: &Receiver<Shown>, heard: &mut Heard, findings: &mut Vec<Finding>) {
        for _ in 0..frames.len().max(1) {
            match frames.try_recv() {
                Ok(shown) => {
                    match shown.why {
                        Why::Control | Why::Exchange => {
                            let Shown { link_type, header, at, noticed, .. } = shown;
                            let bytes = shown.bytes();
                            self.show((link_type, header, at, bytes), noticed, findings);
                        }
                        Why::Match(filter) => {
                            self.traffic.matched(filter.into(), &shown, findings);
                        }
                    }
                    heard.gone = false;
                }
                Err(error) => {
                    heard.gone &= error.is_disconnected();
                    break;
                }
            }
        }
        heard.more |= !frames.is_empty();
    }

    fn judge(&mut self, summary: &Summary, findings: &mut Vec<Finding>) {
        // Copies that are folded are not shown one by one; who counts hellos and requests must know that
        // they go on, so one of them is shown each time.
        let clock = summary.at.offset();
        for storm in summary.storms.iter().filter(|storm| storm.class == CONTROL) {
            let Storm { header, bytes, last, .. } = storm;
            if summary.at.mono.since(*last) < Tap::INTERVAL {
                let at = Stamp { mono: *last, wall: clock.wall(*last) };
                self.show((summary.link_type, *header, at, bytes), None, findings);
            }
        }
        for protocol in &mut self.protocols {
            protocol.counts(summary);
            protocol.tick(summary.at, findings);
        }
        self.traffic.judge(summary, findings);
    }

    fn show(
        &mut self,
        (link_type, header, at, bytes): (LinkType, FrameHeader, Stamp, &[u8]),
        noticed: Option<Noticed>,
        findings: &mut Vec<Finding>,
    ) {
        let interface = &self.subject.interface;
        let seen = Seen { interface, link_type, header, at, bytes, noticed };
        self.traffic.shown(&seen);
        for protocol in &mut self.protocols {
            protocol.frame(&seen, findings);
        }
    }
}
