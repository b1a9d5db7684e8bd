//! This host in its fleet: notices of others come in and are answered, incidents of its own are announced.
//!
//! What is decided is decided in [`crate::fleet::keep`]; here it is done, on the recorder's thread, between two
//! observations. Nothing here waits: answers and announcements go into channels with a bound.

mod peers;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::mpsc;

use self::peers::Peers;
use super::audience::Audience;
use super::frame_store::FrameStore;
use super::incidents::fleet::{FleetVerdict, FleetWish, reason};
use super::incidents::{Announced, Incidents};
use crate::fleet::Options;
use crate::fleet::answer::{ClockReading, HostAnswer, OnsetThere, State};
use crate::fleet::exchange::{Announcement, HeardNotice};
use crate::fleet::inquiry::NoticeOutcome;
use crate::fleet::keep::announce::{Announcer, OwnIncident};
use crate::fleet::keep::course::{Answerer, Course};
use crate::fleet::keep::receive::{Accepted, Arrival, Decision, Receiver, WantedWindow};
use crate::fleet::notice::{Mode, Notice, NoticeFields, NoticeKey, Want};
use crate::fleet::subject::Addressee;
use crate::incident::Host;
use crate::incident::writer::Outcome;
use crate::observation::Fact;
use crate::observation::shown::ShownNames;
use crate::ring::HoldId;
use crate::time::{Mono, Stamp, nanos};
use crate::trigger::{Recipient, Trigger, TriggerKind};
use crate::words;

/// Notices whose course is followed; the oldest beyond it are told no more of.
const FOLLOWED: usize = 128;
/// Own holds that other hosts were told of.
const HELD: usize = 16;

/// The recorder's part in a fleet.
#[derive(Debug)]
pub(super) struct FleetDesk {
    options: Options,
    of: Answerer,
    /// Bytes for frames.
    memory: u64,
    receiver: Receiver,
    announcer: Announcer,
    peers: Peers,
    followed: VecDeque<FollowedNotice>,
    /// Notices of own holds, which are confirmed or released by another.
    held: VecDeque<(HoldId, Notice, Mono, Vec<Addressee>)>,
}

/// A notice that may still be answered.
#[derive(Debug)]
struct FollowedNotice {
    key: NoticeKey,
    heard: Stamp,
    /// True if whoever asked wants sentences, and may have them.
    tells: bool,
    course: Course,
    answers: mpsc::Sender<HostAnswer>,
}

impl FleetDesk {
    /// That of `host`, with so many bytes for frames; neighbours have the names that are `shown`.
    pub(super) fn new(options: Options, host: &Host, memory: u64, shown: ShownNames) -> Self {
        let name = options.host.clone().unwrap_or_else(|| host.name.clone());
        Self {
            receiver: Receiver::new(&name, options.late),
            announcer: Announcer::new(&name, &host.boot_id, options.share),
            of: Answerer { host: name, boot: host.boot_id.clone() },
            options,
            memory,
            peers: Peers::new(shown),
            followed: VecDeque::new(),
            held: VecDeque::new(),
        }
    }

    /// Another host asks.
    pub(super) fn hear<K: FrameStore>(
        &mut self,
        heard: HeardNotice,
        incidents: &mut Incidents,
        captures: &mut K,
        audience: &mut Audience,
    ) {
        let HeardNotice { notice, at, waited, error, answers } = heard;
        self.announcer.heard(&notice.kind, at.mono);
        let rule = self.options.rule_for(&notice.from);
        let accepted = rule.map(|rule| Accepted { pre: rule.pre, per_hour: rule.per_hour });
        let arrival = Arrival { at, waited: waited.unwrap_or_default(), error };
        let decision = self.receiver.hear(&notice, arrival, accepted);
        if let Decision::Known(known) = decision {
            // A bus that is gone does not want to know.
            known.into_iter().for_each(|answer| drop(answers.try_send(*answer)));
            return;
        }
        if matches!(decision, Decision::Confirm | Decision::Release) {
            let settled = self.settle_hold(&notice, &decision, incidents, captures, audience);
            settled.into_iter().for_each(|answer| drop(answers.try_send(answer)));
            return;
        }
        let lasted = arrival.waited + notice.age;
        let course = Course::new(&self.of, &notice.id, lasted, reading(at));
        let tells = (notice.want, self.options.share) == (Want::Report, Want::Report);
        let mut followed = FollowedNotice { key: notice.key(), heard: at, tells, course, answers };
        let memory = self.memory;
        let mut take = || match accepted {
            Some(accepted) => self.receiver.take(&notice.from, accepted, at.mono),
            None => Err("not accepted from that host".to_owned()),
        };
        let answer = match decision {
            Decision::Freeze(wanted) => {
                let wish = wish(&notice, wanted, at);
                let verdict = incidents.keep_for(wish, memory, &mut take, captures, audience);
                followed.told(verdict, incidents.now())
            }
            Decision::Hold(wanted, until) => {
                let wish = wish(&notice, wanted, at);
                match incidents.hold_for(wish, until, memory, &mut take, captures) {
                    Ok(coverage) => {
                        followed.course.covers(&coverage);
                        followed.course.stands(State::Held, None)
                    }
                    Err(verdict) => followed.told(verdict, incidents.now()),
                }
            }
            Decision::Late(_) => {
                let late = words::duration(self.options.late);
                let why = format!("older than {late}, which is `late` there");
                followed.course.stands(State::Late, Some(&why))
            }
            Decision::Refused(why) => followed.course.stands(State::Refused, Some(&why)),
            Decision::Known(_) | Decision::Confirm | Decision::Release => None,
        };
        if let Some(answer) = answer {
            tracing::info!("fleet: {} asked ({}): {}", notice.from, notice.kind, answer.state);
            self.receiver.answered(&followed.key, &answer);
            followed.send(answer);
        }
        self.follow_on(followed, incidents);
    }

    /// What is held for a notice is written, or given up; what is answered to that, if anything was held.
    fn settle_hold<K: FrameStore>(
        &mut self,
        notice: &Notice,
        decision: &Decision,
        incidents: &mut Incidents,
        captures: &mut K,
        audience: &mut Audience,
    ) -> Option<HostAnswer> {
        let (key, now) = (notice.key(), incidents.now());
        let verdict = match decision {
            Decision::Confirm => Some(incidents.confirm_for(&key, captures, audience)?),
            _ if incidents.release_for(&key, captures) => None,
            _ => return None,
        };
        let mut followed = self.take_followed(&key)?;
        let answer = match verdict {
            Some(verdict) => followed.told(verdict, now),
            None => followed.course.stands(State::Released, Some("whoever asked released it")),
        }?;
        self.receiver.answered(&key, &answer);
        self.follow_on(followed, incidents);
        Some(answer)
    }

    /// Nobody settled what was held, and it is given up.
    fn released(&mut self, key: &NoticeKey, why: &str) {
        let Some(mut followed) = self.take_followed(key) else { return };
        if let Some(answer) = followed.course.stands(State::Released, Some(why)) {
            self.receiver.answered(key, &answer);
            followed.send(answer);
        }
    }

    fn take_followed(&mut self, key: &NoticeKey) -> Option<FollowedNotice> {
        let at = self.followed.iter().position(|followed| followed.key == *key)?;
        self.followed.remove(at)
    }

    /// Follows a notice as long as there is more to come.
    fn follow_on(&mut self, followed: FollowedNotice, incidents: &Incidents) {
        let course = &followed.course;
        let is_written = course.incident().is_some_and(|incident| incidents.is_written(incident));
        if course.is_over() || is_written {
            return;
        }
        if self.followed.len() >= FOLLOWED {
            self.followed.pop_front();
        }
        self.followed.push_back(followed);
    }

    /// What time brings: holds that nobody confirmed, windows that are over.
    pub(super) fn follow<K: FrameStore>(&mut self, incidents: &mut Incidents, captures: &mut K) {
        for key in incidents.expire_for(incidents.now().mono, captures) {
            self.released(&key, "nothing confirmed it");
        }
        for (key, why) in incidents.released_for() {
            self.released(&key, why);
        }
        for followed in &mut self.followed {
            let closed = followed.course.incident().is_some_and(|name| incidents.is_closed(name));
            if closed && let Some(answer) = followed.course.stands(State::Writing, None) {
                self.receiver.answered(&followed.key, &answer);
                followed.send(answer);
            }
        }
    }

    /// What became of an incident.
    pub(super) fn settle(&mut self, outcome: &Outcome) {
        let (name, bundle) = match outcome {
            Outcome::Written { bundle, .. } => {
                let name = bundle.path.file_name().unwrap_or_default().to_string_lossy();
                (name.into_owned(), Some(bundle))
            }
            Outcome::Lost(lost) => (lost.name.clone(), None),
            Outcome::Retrying { .. } | Outcome::Removed(_) => return,
        };
        // A name that was taken has a number behind it.
        let is_it = |one: &FollowedNotice| {
            let rest = one.course.incident().and_then(|incident| name.strip_prefix(incident));
            let is_number = |rest: &str| rest.bytes().all(|digit| digit.is_ascii_digit());
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix('-').is_some_and(is_number)
            })
        };
        let (over, left) = std::mem::take(&mut self.followed).into_iter().partition(is_it);
        self.followed = left;
        let over: VecDeque<FollowedNotice> = over;
        for mut followed in over {
            let answer = match bundle {
                Some(bundle) => {
                    followed.course.belongs_to(&name);
                    let onset = bundle.onset.as_ref();
                    let onset = onset.map(|onset| OnsetThere::of(onset, followed.tells));
                    followed.course.written(bundle.frames, bundle.bytes, onset)
                }
                None => {
                    followed.course.stands(State::Lost, Some("its bundle could not be written"))
                }
            };
            if let Some(answer) = answer {
                self.receiver.answered(&followed.key, &answer);
                followed.send(answer);
            }
        }
    }

    /// What became of notices that no bundle belongs to: of `id`, or of any.
    pub(super) fn without_bundle(&self, id: Option<&str>) -> Vec<NoticeOutcome> {
        self.receiver.without_bundle(id)
    }

    /// Learns who the neighbours are.
    pub(super) fn meet(&mut self, fact: &Fact) {
        self.peers.meet(fact);
    }

    /// Tells others of an own incident.
    pub(super) fn announce(&mut self, announced: Announced, now: Mono) -> Option<Announcement> {
        match announced {
            Announced::Opened { incident, to, event } => {
                let to = self.addressees(&to.to, &incident, now);
                self.said(&incident, to, event, now)
            }
            Announced::Held { hold, incident, to, event } => {
                let to = self.addressees(&to.to, &incident, now);
                let said = self.said(&incident, to, event, now)?;
                if self.held.len() >= HELD {
                    self.held.pop_front();
                }
                self.held.push_back((hold, said.notice.clone(), event, said.to.clone()));
                Some(said)
            }
            Announced::Confirmed(hold) => self.follows(hold, Mode::Confirm),
            Announced::Released(hold) => self.follows(hold, Mode::Release),
        }
    }

    fn said(
        &mut self,
        incident: &OwnIncident,
        to: Vec<Addressee>,
        event: Mono,
        now: Mono,
    ) -> Option<Announcement> {
        if to.is_empty() {
            return None;
        }
        let notice = self.announcer.notice(incident, now)?;
        let notice = notice.inspect_err(|error| tracing::warn!("not announced: {error}")).ok()?;
        Some(Announcement { notice, event, to })
    }

    /// What was held is confirmed or released.
    fn follows(&mut self, hold: HoldId, mode: Mode) -> Option<Announcement> {
        let at = self.held.iter().position(|(held, ..)| *held == hold)?;
        let (_, notice, event, to) = self.held.remove(at)?;
        let notice = Notice::new(NoticeFields { mode, ..(*notice).clone() }).ok()?;
        Some(Announcement { notice, event, to })
    }

    /// Whom a notice goes to; groups that have just heard of the same are left out.
    fn addressees(&self, to: &[Recipient], of: &OwnIncident, now: Mono) -> Vec<Addressee> {
        let is_echo = self.announcer.is_echo(&of.kind, now);
        let mut addressees = Vec::new();
        for recipient in to {
            match recipient {
                Recipient::Peers => {
                    let about = of.object.as_deref().and_then(host_of);
                    let about = about.map(|address| address.to_string());
                    let mut shown = self.peers.identities();
                    shown.extend(about.filter(|about| !shown.contains(about)));
                    addressees.extend(shown.into_iter().map(Addressee::Identity));
                }
                Recipient::Group(_) if is_echo => {}
                Recipient::Group(name) => addressees.push(Addressee::Group(name.clone())),
                Recipient::Host(name) => addressees.push(Addressee::Host(name.clone())),
            }
        }
        addressees
    }
}

impl FollowedNotice {
    /// What a verdict amounts to.
    fn told(&mut self, verdict: FleetVerdict, now: Stamp) -> Option<HostAnswer> {
        let pinned_after = now.mono.since(self.heard.mono);
        match verdict {
            FleetVerdict::Covered(incident) => {
                self.course.belongs_to(&incident);
                self.course.stands(State::Covered, None)
            }
            FleetVerdict::Late(oldest) => {
                let why = format!("memory begins at {}", oldest.milliseconds());
                self.course.stands(State::Late, Some(&why))
            }
            FleetVerdict::Refused(why) => self.course.stands(State::Refused, Some(&why)),
            FleetVerdict::Frozen(incident, coverage, why) => {
                self.course.frozen(&incident, &coverage, pinned_after, why.as_deref())
            }
        }
    }

    fn send(&self, answer: HostAnswer) {
        // A bus that is gone, or behind by all states there are, does without.
        let _ = self.answers.try_send(answer);
    }
}

/// The host that a failure is about, if its object is an address, with or without a port.
fn host_of(object: &str) -> Option<IpAddr> {
    let with_port = || object.parse().map(|address: SocketAddr| address.ip());
    object.parse().or_else(|_| with_port()).ok()
}

/// What a notice asks for here.
fn wish(notice: &Notice, wanted: WantedWindow, heard: Stamp) -> FleetWish {
    let at = wanted.event.at;
    let told_after = heard.mono.since(at.mono);
    let reason = reason(notice, nanos(told_after), wanted.event.ahead);
    let sentence = sentence(notice, wanted.event.ahead, told_after);
    let object = Some(notice.from.clone());
    let trigger = Trigger { kind: TriggerKind::Fleet, object, at, told_after, sentence };
    FleetWish { reason, wanted, trigger }
}

/// Why the window is frozen, for a person.
fn sentence(notice: &Notice, ahead: Option<i64>, told_after: Duration) -> String {
    /// Shorter than that is at once.
    const AFTERWARDS: Duration = Duration::from_secs(1);
    let from = &notice.from;
    let what = match (&notice.sentence, &notice.object) {
        (Some(sentence), _) => sentence.clone(),
        (None, Some(object)) => format!("{} of {object}", notice.kind),
        (None, None) => notice.kind.clone(),
    };
    let mut told = format!("frozen because {from} asked");
    if told_after >= AFTERWARDS {
        told.push_str(&format!(" {told_after:.1?} afterwards"));
    }
    let is_a_person = notice.kind == TriggerKind::Snapshot.to_string();
    told.push_str(&format!("{}: {what}", if is_a_person { "" } else { "; it saw" }));
    if let Some(ahead) = ahead {
        let apart = Duration::from_nanos(ahead.unsigned_abs());
        let way = if ahead > 0 { "ahead of" } else { "behind" };
        told.push_str(&format!("; its clock is {apart:.1?} {way} ours"));
    }
    told
}

/// The clock of this host as a notice arrives; the bus tells what the kernel knows of its error.
fn reading(at: Stamp) -> ClockReading {
    let source = "unknown".to_owned();
    ClockReading { wall: at.wall, mono_ns: at.mono.0, source, max_ns: None, stepped: false }
}
