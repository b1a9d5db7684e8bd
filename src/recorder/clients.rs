//! The recorder's side of the doors: answers questions between two observations, tells those who wait
//! what became of their incident, tells listeners what is seen, and knows whether triggers count.
//!
//! Nothing here waits for a client: answers go into a place made for one, events into a ring that
//! overtakes slow readers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::broadcast;

use super::frame_store::Keeper;
use super::progress::{Courses, absolute};
use super::status_line::{self, depths};
use super::{ClassDepth, Recorder, Summary};
use crate::APPLICATION;
use crate::api::question::{Audience, BEHIND, Fate, Question, RECENT, Reply, Verdict};
use crate::api::status::{Bundles, Depth, Figures, Interface, OpenIncident, Standing, Watcher};
use crate::api::{self, QUESTIONS, Server};
use crate::capture::Report;
use crate::error::Result;
use crate::export::{self, choice::What};
use crate::finding::Severity;
use crate::incident::progress::Course;
use crate::incident::writer::Outcome;
use crate::incident::{Incident, events};
use crate::observation::{Fact, Observation};
use crate::time::{Clock, Mono, Stamp};
use crate::trigger::{Fired, Rule, Terms, Trigger};
use crate::watch::Watch;

/// Captures are asked how they stand at most this often, however many clients ask us.
const FRESH: Duration = Duration::from_millis(100);

/// What the recorder knows of those who ask.
#[derive(Debug)]
pub(super) struct Doors {
    begun: Stamp,
    questions: Receiver<Question>,
    /// Also keeps the channel open while nobody asks.
    desk: Sender<Question>,
    server: Option<Server>,
    audience: broadcast::Sender<Arc<export::event::Event>>,
    /// The latest events, oldest first.
    recent: VecDeque<Event>,
    /// By the observation being judged.
    pulled: Vec<Trigger>,
    /// What it froze.
    frozen: Option<Course>,
    courses: Courses,
    /// Who made triggers not count.
    disarmed: Option<String>,
    ignored: u64,
    /// By the name of the incident whose bundle they wait for.
    waiting: Vec<(String, Reply<Fate>)>,
    asked: Option<(Mono, Vec<Report>)>,
}

/// What listeners hear of.
#[derive(Debug)]
enum Event {
    Seen(Observation),
    Pulled(Trigger),
    Course(Box<Course>),
}

impl Event {
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
}

impl Doors {
    /// Armed, and nobody asks yet.
    pub(super) fn new(begun: Stamp) -> Self {
        let (desk, questions) = bounded(QUESTIONS);
        let (audience, _) = broadcast::channel(BEHIND);
        Self {
            begun,
            questions,
            desk,
            server: None,
            audience,
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
    pub(super) fn serve(&mut self, doors: api::Doors, clock: Clock) -> Result<()> {
        self.server = Some(doors.serve(clock, self.desk.clone())?);
        Ok(())
    }

    /// What is asked.
    pub(super) fn questions(&self) -> &Receiver<Question> {
        &self.questions
    }

    /// Makes triggers count, or not.
    pub(super) fn arm(&mut self, armed: bool, who: &str) {
        self.disarmed = (!armed).then(|| who.to_owned());
    }

    /// True if triggers count.
    pub(super) fn is_armed(&self) -> bool {
        self.disarmed.is_none()
    }

    /// Why a trigger does not count, if so; that is counted.
    pub(super) fn refuses(&mut self, trigger: &Trigger) -> Option<String> {
        let by = self.disarmed.as_ref().filter(|_| !trigger.kind.is_explicit())?;
        self.ignored += 1;
        Some(format!("disarmed by {by}"))
    }

    /// Listeners are told of a trigger, after the observation that pulled it.
    pub(super) fn pulled(&mut self, trigger: Trigger) {
        self.courses.pulled(trigger.kind);
        self.pulled.push(trigger);
    }

    /// Listeners are told of an incident, after the trigger that opened it.
    pub(super) fn frozen(&mut self, course: Course) {
        self.frozen = Some(course);
    }

    /// The window of an incident is closed.
    pub(super) fn closed(&mut self, incident: &Incident) {
        self.courses.closed(incident);
    }

    /// Tells listeners of an observation and the triggers it pulled.
    pub(super) fn publish(&mut self, seen: &Observation) {
        if !matches!(seen.fact, Fact::Sample(_)) {
            self.event(Event::Seen(seen.clone()));
        }
        let severity = match &seen.fact {
            Fact::Finding(finding) => Some(finding.severity),
            _ => None,
        };
        self.tell_pulled(severity);
    }

    /// Tells listeners of the triggers that were pulled, by a finding as bad as that or by something
    /// else, and of the incident they opened.
    pub(super) fn tell_pulled(&mut self, finding: Option<Severity>) {
        for trigger in std::mem::take(&mut self.pulled) {
            self.event(Event::Pulled(trigger));
        }
        if let Some(course) = self.frozen.take() {
            let course = self.courses.frozen(course, finding);
            self.event(Event::Course(course.into()));
        }
    }

    fn tell_course(&mut self, course: Option<Course>) {
        if let Some(course) = course {
            self.event(Event::Course(course.into()));
        }
    }

    fn event(&mut self, event: Event) {
        // Nobody listens most of the time: then nothing is worded.
        if self.audience.receiver_count() > 0 {
            // Refused only when the last listener has just left.
            let _ = self.audience.send(event.told());
        }
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(event);
    }

    /// A place for one more listener.
    fn seat(&self) -> Audience {
        let recent = self.recent.iter().map(Event::told).collect();
        Audience { recent, live: self.audience.subscribe() }
    }

    /// Those wait for the bundle called `name`.
    pub(super) fn wait_for(&mut self, name: &str, waiting: Vec<Reply<Fate>>) {
        self.waiting.retain(|(_, reply)| !reply.is_closed());
        self.waiting.extend(waiting.into_iter().map(|reply| (name.to_owned(), reply)));
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

    /// Ends events, lets the last answers out, and closes the doors.
    pub(super) fn close(self) {
        let Self { server, audience, questions, desk, waiting, .. } = self;
        // Whoever still waits learns that nobody will answer.
        drop((audience, questions, desk, waiting));
        if let Some(server) = server {
            server.stop();
        }
    }
}

impl Recorder {
    /// Answers a question.
    pub(super) fn answer(&mut self, question: Question) {
        // Refused only by a client that is gone.
        match question {
            Question::Tell { seen, verdict, fate } => {
                let found = self.observe(*seen);
                let froze = matches!(found, Verdict::Frozen { .. } | Verdict::Extended { .. });
                if let (Some(fate), Some(open), true) = (fate, &mut self.open, froze) {
                    open.waiting.retain(|reply| !reply.is_closed());
                    open.waiting.push(fate);
                }
                let _ = verdict.send(found);
            }
            Question::Standing(reply) => {
                let _ = reply.send(Box::new(self.standing()));
            }
            Question::Listen(reply) => {
                let _ = reply.send(self.doors.seat());
            }
        }
    }

    fn standing(&mut self) -> Standing {
        let now = self.clock.now();
        let (asked_at, reports) = self.fresh_reports(now.mono);
        let depths = depths(&reports, now.mono);
        let depth = |depth: &ClassDepth| Depth {
            class: depth.class.to_string(),
            full_seconds: depth.full.as_secs_f64(),
            seconds: depth.all.as_secs_f64(),
            is_known: depth.is_known,
        };
        let interface = |report: &Report| Interface {
            name: report.origin.interface.clone(),
            up: self.captures.is_up(&report.origin.interface),
            source: report.source.to_owned(),
            counts: report.stats,
            classes: status_line::classes(report, now.mono),
        };
        let watcher = |watch: &Watch| Watcher {
            name: watch.name().to_owned(),
            missed: watch.missed(),
            running: watch.is_running(),
        };
        let logs = self.logs.iter().map(|(_, watch)| watch);
        let probes = self.probes.iter().map(|(_, watch)| watch);
        let mut interfaces: Vec<_> = reports.iter().map(interface).collect();
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        let standing = Standing {
            program: APPLICATION.to_owned(),
            host: self.host.name.clone(),
            process: std::process::id(),
            since: self.doors.begun.wall.to_string(),
            uptime_seconds: now.mono.since(self.doors.begun.mono).as_secs_f64(),
            armed: self.doors.is_armed(),
            disarmed_by: self.doors.disarmed.clone(),
            ignored_triggers: self.doors.ignored,
            rules: self.options.rules.iter().map(Rule::to_string).collect(),
            rules_in_lines: Rule::in_lines(&self.options.rules),
            unarmed: Rule::unarmed(&self.options.rules).iter().map(ToString::to_string).collect(),
            incident: self.open_incident(now.mono),
            frames_per_second: self.glance.per_second,
            memory_bytes: self.captures.memory(),
            pre_seconds: self.options.window.pre.as_secs_f64(),
            depths: depths.iter().map(depth).collect(),
            interfaces,
            bundles: self.bundles(),
            watchers: self.watches.iter().chain(logs).chain(probes).map(watcher).collect(),
            forgotten_observations: self.history.forgotten(),
            limitations: self.limitations.clone(),
            figures: self.figures(),
            exports: self.doors.server.as_ref().map(Server::exports).unwrap_or_default(),
        };
        self.doors.asked = Some((asked_at, reports));
        standing
    }

    fn figures(&self) -> Figures {
        let Summary { cooling, holds_released, holds_refused, .. } = self.summary;
        Figures { cooling, holds_released, holds_refused, ..self.doors.courses.figures() }
    }

    /// How the captures stand, or stood a moment ago, and when that was.
    fn fresh_reports(&mut self, now: Mono) -> (Mono, Vec<Report>) {
        match self.doors.asked.take() {
            Some((at, reports)) if now.since(at) < FRESH => (at, reports),
            _ => (now, self.captures.reports()),
        }
    }

    fn open_incident(&self, now: Mono) -> Option<OpenIncident> {
        let (trigger, more) = self.phase.opened_by()?;
        let left = self.phase.deadline().map(|deadline| deadline.since(now));
        Some(OpenIncident {
            kind: trigger.kind.to_string(),
            sentence: trigger.sentence.clone(),
            since: trigger.at.wall.to_string(),
            triggers: 1 + more,
            left_seconds: left.unwrap_or_default().as_secs_f64(),
        })
    }

    fn bundles(&self) -> Bundles {
        let Summary { bundles, lost, removed, .. } = &self.summary;
        Bundles {
            directory: absolute(&self.options.output),
            written: bundles.len() as u64,
            pending: (self.closing.len() + self.writer.pending()) as u64,
            lost: *lost,
            removed: *removed,
            last: bundles.last().map(|last| absolute(last)),
        }
    }
}

impl<K: Keeper> Recorder<K> {
    /// Listeners are told that an incident was opened.
    pub(super) fn tell_frozen(&mut self, pinned_after: Duration, from: Mono) {
        let Some((trigger, _)) = self.phase.opened_by() else { return };
        let offset = trigger.at.offset();
        let to = self.phase.deadline().unwrap_or(trigger.at.mono);
        let (from, to) = (offset.wall(from), offset.wall(to));
        self.doors.frozen(Course::frozen(trigger, pinned_after, from, to));
    }
}

/// What somebody asked for, with the window they want; the `usual` one where they say nothing.
pub(super) fn fired(trigger: Trigger, fact: &Fact, usual: Terms) -> Fired {
    let (pre, post) = match fact {
        Fact::Asked(ask) => (ask.pre, ask.post),
        _ => (None, None),
    };
    let terms = Terms { pre: pre.unwrap_or(usual.pre), post: post.unwrap_or(usual.post), ..usual };
    Fired { trigger, rules: Vec::new(), terms, lasted: Duration::ZERO, hold: None }
}
