//! Clients and exports: what they ask comes in here, those who wait are told what became of their incident,
//! listeners are told what is seen. Whether triggers count is known here, since a client says so.
//!
//! Nothing here waits for a client: answers go into a place made for one, events into a ring that
//! overtakes slow readers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::broadcast;

use super::progress::{Courses, absolute};
use crate::api::question::{Audience, BEHIND, Fate, Question, RECENT, Reply};
use crate::api::status::Figures;
use crate::api::{self, QUESTIONS, Server};
use crate::capture::CaptureReport;
use crate::error::Result;
use crate::export::{self, choice::What};
use crate::finding::Severity;
use crate::fleet::exchange::Announcement;
use crate::fleet::status::BusStatus;
use crate::incident::journal::Entry;
use crate::incident::progress::IncidentProgress;
use crate::incident::writer::Outcome;
use crate::incident::{Incident, events};
use crate::observation::{Fact, Observation};
use crate::time::{Clock, Mono, Stamp};
use crate::trigger::Trigger;

/// Captures are asked how they stand at most this often, however many clients ask us.
const FRESH: Duration = Duration::from_millis(100);

/// Those who ask and listen, and what they were told.
#[derive(Debug)]
pub(in crate::recorder) struct Clients {
    begun: Stamp,
    questions: Receiver<Question>,
    /// Also keeps the channel open while nobody asks.
    sender: Sender<Question>,
    server: Option<Server>,
    audience: broadcast::Sender<Arc<export::event::Event>>,
    /// Lines between the frames, for those who read frames.
    lines: broadcast::Sender<Entry>,
    /// The latest events, oldest first.
    recent: VecDeque<Published>,
    /// By the observation being judged.
    pulled: Vec<Trigger>,
    /// What it froze.
    frozen: Option<IncidentProgress>,
    courses: Courses,
    /// Who made triggers not count.
    disarmed: Option<String>,
    ignored: u64,
    /// By the name of the incident whose bundle they wait for.
    waiting: Vec<(String, Reply<Fate>)>,
    asked: Option<(Mono, Vec<CaptureReport>)>,
}

/// What listeners hear of.
#[derive(Debug)]
enum Published {
    Seen(Observation),
    Pulled(Trigger),
    Course(Box<IncidentProgress>),
}

impl Published {
    /// As listeners are told it.
    fn told(&self) -> Arc<export::event::Event> {
        let (what, severity, fields) = match self {
            Self::Seen(seen) => {
                let is_finding = matches!(seen.fact, Fact::Finding(_));
                let what = if is_finding { What::Findings } else { What::Observations };
                (what, seen.fact.severity(), events::of_seen(seen))
            }
            Self::Pulled(trigger) => {
                (What::Incidents, trigger.severity(), events::of_pulled(trigger))
            }
            Self::Course(course) => (What::Incidents, course.severity, events::of_course(course)),
        };
        Arc::new(export::event::Event::of(what, severity, fields))
    }

    /// As a line between frames; none of what is no news there.
    fn line(&self) -> Option<Entry> {
        match self {
            Self::Seen(seen) if !matches!(seen.fact, Fact::ProbeAnswered { .. }) => {
                Some(Entry::of_observation(seen))
            }
            Self::Pulled(trigger) => Some(Entry::of_trigger(trigger)),
            Self::Seen(_) | Self::Course(_) => None,
        }
    }
}

impl Clients {
    /// Armed, and nobody asks yet.
    pub(super) fn new(begun: Stamp) -> Self {
        let (sender, questions) = bounded(QUESTIONS);
        let (audience, _) = broadcast::channel(BEHIND);
        let (lines, _) = broadcast::channel(BEHIND);
        Self {
            begun,
            questions,
            sender,
            server: None,
            audience,
            lines,
            recent: VecDeque::with_capacity(RECENT),
            pulled: Vec::new(),
            frozen: None,
            courses: Courses::default(),
            disarmed: None,
            ignored: 0,
            waiting: Vec::new(),
            asked: None,
        }
    }

    /// Lets clients ask from now on.
    pub(in crate::recorder) fn serve(
        &mut self,
        endpoints: api::Endpoints,
        clock: Clock,
    ) -> Result<()> {
        self.server = Some(endpoints.serve(clock, self.sender.clone())?);
        Ok(())
    }

    /// What is asked.
    pub(in crate::recorder) fn questions(&self) -> &Receiver<Question> {
        &self.questions
    }

    /// Makes triggers count, or not.
    pub(super) fn arm(&mut self, armed: bool, who: &str) {
        self.disarmed = (!armed).then(|| who.to_owned());
    }

    /// True if triggers count.
    pub(super) fn are_armed(&self) -> bool {
        self.disarmed.is_none()
    }

    /// Why a trigger does not count, if so; that is counted.
    pub(in crate::recorder) fn refuses(&mut self, trigger: &Trigger) -> Option<String> {
        let by = self.disarmed.as_ref().filter(|_| !trigger.kind.is_explicit())?;
        self.ignored += 1;
        Some(format!("disarmed by {by}"))
    }

    /// Listeners are told of a trigger, after the observation that pulled it.
    pub(in crate::recorder) fn pulled(&mut self, trigger: Trigger) {
        self.courses.pulled(trigger.kind);
        self.pulled.push(trigger);
    }

    /// Listeners are told of an incident, after the trigger that opened it.
    pub(in crate::recorder) fn frozen(&mut self, course: IncidentProgress) {
        self.frozen = Some(course);
    }

    /// The window of an incident is closed; those wait for its bundle.
    pub(super) fn closed(&mut self, incident: &Incident, waiting: Vec<Reply<Fate>>) {
        self.courses.closed(incident);
        let name = incident.name();
        self.waiting.retain(|(_, reply)| !reply.is_closed());
        self.waiting.extend(waiting.into_iter().map(|reply| (name.clone(), reply)));
    }

    /// Somebody waits for the bundle with this name, which is being written.
    pub(in crate::recorder) fn wait(&mut self, incident: &str, fate: Reply<Fate>) {
        self.waiting.retain(|(_, reply)| !reply.is_closed());
        self.waiting.push((incident.to_owned(), fate));
    }

    /// Tells listeners of an observation and the triggers it pulled.
    pub(super) fn publish(&mut self, seen: &Observation) {
        if !matches!(seen.fact, Fact::Sample(_)) {
            self.event(Published::Seen(seen.clone()));
        }
        let severity = match &seen.fact {
            Fact::Finding(finding) => Some(finding.severity),
            _ => None,
        };
        self.tell_pulled(severity);
    }

    /// Tells listeners of the triggers that were pulled, by a finding as bad as that or by something
    /// else, and of the incident they opened.
    pub(in crate::recorder) fn tell_pulled(&mut self, finding: Option<Severity>) {
        for trigger in std::mem::take(&mut self.pulled) {
            self.event(Published::Pulled(trigger));
        }
        if let Some(course) = self.frozen.take() {
            let course = self.courses.frozen(course, finding);
            self.event(Published::Course(course.into()));
        }
    }

    fn tell_course(&mut self, course: Option<IncidentProgress>) {
        if let Some(course) = course {
            self.event(Published::Course(course.into()));
        }
    }

    fn event(&mut self, event: Published) {
        // Nobody listens most of the time: then nothing is worded.
        if self.audience.receiver_count() > 0 {
            // Refused only when the last listener has just left.
            let _ = self.audience.send(event.told());
        }
        if self.lines.receiver_count() > 0
            && let Some(line) = event.line()
        {
            let _ = self.lines.send(line);
        }
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(event);
    }

    /// A place for one more listener.
    pub(in crate::recorder) fn seat(&self) -> Audience {
        let recent = self.recent.iter().map(Published::told).collect();
        Audience { recent, live: self.audience.subscribe() }
    }

    /// Lines of the triggers since `from`, and those to come.
    pub(in crate::recorder) fn lines(
        &self,
        from: Mono,
    ) -> (Vec<Entry>, broadcast::Receiver<Entry>) {
        let pulled = self.recent.iter().filter_map(|event| match event {
            Published::Pulled(trigger) if trigger.at.mono >= from => {
                Some(Entry::of_trigger(trigger))
            }
            _ => None,
        });
        (pulled.collect(), self.lines.subscribe())
    }

    /// Tells those who wait.
    pub(super) fn settle(&mut self, outcome: &Outcome, at: Stamp) {
        let course = self.courses.settle(outcome, at);
        self.tell_course(course);
        match outcome {
            Outcome::Written { bundle, .. } => {
                let path = absolute(&bundle.path);
                let name = bundle.path.file_name().unwrap_or_default().to_string_lossy();
                let (frames, bytes) = (bundle.frames, bundle.bytes);
                // A name that was taken has a number behind it.
                self.tell(|of| name.starts_with(of), &Fate::Written { path, frames, bytes });
            }
            Outcome::Retrying { .. } | Outcome::Removed(_) => {}
            Outcome::Lost(lost) => self.tell_lost(&lost.name, &lost.reason.to_string()),
        }
    }

    /// Tells those who wait for the bundle called `name` that it will not be.
    pub(super) fn lost(&mut self, name: &str, reason: &str, at: Stamp) {
        let course = self.courses.lost(name, reason, at);
        self.tell_course(course);
        self.tell_lost(name, reason);
    }

    fn tell_lost(&mut self, name: &str, reason: &str) {
        let fate = Fate::Lost { name: name.to_owned(), reason: reason.to_owned() };
        self.tell(|of| of == name, &fate);
    }

    fn tell(&mut self, is_meant: impl Fn(&str) -> bool, fate: &Fate) {
        let meant = self.waiting.extract_if(.., |(name, _)| is_meant(name));
        for (_, reply) in meant {
            // A client that is gone does not want to know.
            let _ = reply.send(fate.clone());
        }
    }

    /// When it began.
    pub(in crate::recorder) fn begun(&self) -> Stamp {
        self.begun
    }

    /// Who made triggers not count, and how many did not since.
    pub(in crate::recorder) fn disarmed(&self) -> (Option<&String>, u64) {
        (self.disarmed.as_ref(), self.ignored)
    }

    /// What all incidents came to.
    pub(in crate::recorder) fn figures(&self) -> Figures {
        self.courses.figures()
    }

    /// How exports stand.
    pub(in crate::recorder) fn exports(&self) -> Vec<export::DestinationStatus> {
        self.server.as_ref().map(Server::exports).unwrap_or_default()
    }

    /// Tells other hosts of the fleet; false if there is no room.
    pub(in crate::recorder) fn announce(&self, announcement: Announcement) -> bool {
        self.server.as_ref().is_some_and(|server| server.announce(announcement))
    }

    /// How this host stands in its fleet.
    pub(in crate::recorder) fn fleet(&self) -> Option<BusStatus> {
        self.server.as_ref().and_then(Server::fleet)
    }

    /// How the captures stand, or stood a moment ago, and when that was.
    pub(in crate::recorder) fn reports(
        &mut self,
        now: Mono,
        ask: impl FnOnce() -> Vec<CaptureReport>,
    ) -> (Mono, Vec<CaptureReport>) {
        match self.asked.take() {
            Some((at, reports)) if now.since(at) < FRESH => (at, reports),
            _ => (now, ask()),
        }
    }

    /// The next who asks may be told the same, for a moment.
    pub(in crate::recorder) fn keep_reports(&mut self, asked: (Mono, Vec<CaptureReport>)) {
        self.asked = Some(asked);
    }

    /// Ends events, lets the last answers out, and closes the endpoints.
    pub(super) fn close(self) {
        let Self { server, audience, lines, questions, sender, waiting, .. } = self;
        // Whoever still waits learns that nobody will answer.
        drop((audience, lines, questions, sender, waiting));
        if let Some(server) = server {
            server.stop();
        }
    }
}
