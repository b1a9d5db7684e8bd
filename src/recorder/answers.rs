//! What a client asks, answered between two observations from all three owners.

use super::Recorder;
use super::audience::progress::absolute;
use super::audience::status_line::{classes, depths};
use super::frame_store::FrameStore;
use crate::APPLICATION;
use crate::api::question::Question;
use crate::api::status::{Bundles, Depth, Figures, Interface, RecorderStatus, Watcher};
use crate::capture::CaptureReport;
use crate::frames::FrameFeed;
use crate::incident::journal::{Entry, worth_a_line};
use crate::time::{Mono, Window};
use crate::trigger::Rule;
use crate::watch::RunningWatcher;

impl Recorder {
    /// Answers a question; the answer is refused only by a client that is gone.
    pub(super) fn answer(&mut self, question: Question) {
        match question {
            Question::Tell { seen, verdict, fate } => {
                let found = self.observe(*seen);
                if let (Some(fate), Some(incident)) = (fate, found.incident()) {
                    self.incidents.tell_fate(incident, fate, &mut self.audience);
                }
                let _ = verdict.send(found);
            }
            Question::Standing(reply) => {
                let _ = reply.send(Box::new(self.standing()));
            }
            Question::Listen(reply) => {
                let _ = reply.send(self.audience.clients.seat());
            }
            Question::Frames { from, reply } => {
                let _ = reply.send(self.feed(from));
            }
            Question::Notice(heard) => self.hear(*heard),
            Question::WithoutBundle { id, reply } => {
                let fleet = self.fleet.as_ref();
                let told = fleet.map(|fleet| fleet.without_bundle(id.as_deref()));
                let _ = reply.send(told.unwrap_or_default());
            }
            Question::Captures(reply) => {
                let _ = reply.send(self.captures.followers());
            }
        }
    }

    /// What somebody reads frames from, since then.
    fn feed(&mut self, from: Mono) -> FrameFeed {
        let at = self.clock.now();
        let observations = self.incidents.seen(Window { from, to: at.mono });
        let inside = worth_a_line(&observations).into_iter().filter(|seen| seen.at.mono >= from);
        let (pulled, live) = self.audience.clients.lines(from);
        let mut seen: Vec<_> = inside.map(Entry::of_observation).chain(pulled).collect();
        seen.sort_by_key(|line| line.at.mono);
        let captures = &mut self.captures;
        let asked = self.audience.clients.reports(at.mono, || captures.reports());
        let complete = asked.1.iter().filter_map(|report| {
            let since = report.classes.iter().map(|class| class.complete_from).max()?;
            Some((report.origin.interface.clone(), since))
        });
        let complete = complete.collect();
        self.audience.clients.keep_reports(asked);
        FrameFeed {
            complete,
            at,
            followers: self.captures.followers(),
            seen,
            live,
            host: self.incidents.host().clone(),
            memory: self.captures.memory(),
        }
    }

    fn standing(&mut self) -> RecorderStatus {
        let now = self.clock.now();
        let captures = &mut self.captures;
        let asked = self.audience.clients.reports(now.mono, || captures.reports());
        let (begun, rules) = (self.audience.clients.begun(), &self.options.rules);
        let (disarmed, ignored_triggers) = self.audience.clients.disarmed();
        let standing = RecorderStatus {
            program: APPLICATION.to_owned(),
            host: self.incidents.host().name.clone(),
            process: std::process::id(),
            since: begun.wall.to_string(),
            uptime_seconds: now.mono.since(begun.mono).as_secs_f64(),
            armed: disarmed.is_none(),
            disarmed_by: disarmed.cloned(),
            ignored_triggers,
            rules: rules.iter().map(Rule::to_string).collect(),
            rules_in_lines: Rule::in_lines(rules),
            unarmed: Rule::unarmed(rules).iter().map(ToString::to_string).collect(),
            incident: self.incidents.open(now.mono),
            waiting: self.incidents.waiting(now.mono),
            frames_per_second: self.audience.status_line.frames_per_second(),
            memory_bytes: self.captures.memory(),
            pre_seconds: self.options.window.pre.as_secs_f64(),
            depths: depths(&asked.1, now.mono).iter().map(Depth::from).collect(),
            interfaces: self.interfaces(&asked.1, now.mono),
            bundles: self.bundles(),
            watchers: self.watchers.iter().map(watcher).collect(),
            forgotten_observations: self.incidents.forgotten(),
            limitations: self.watchers.limitations().to_vec(),
            figures: self.figures(),
            exports: self.audience.clients.exports(),
            fleet: self.audience.clients.fleet(),
        };
        self.audience.clients.keep_reports(asked);
        standing
    }

    fn interfaces(&self, reports: &[CaptureReport], now: Mono) -> Vec<Interface> {
        let interface = |report: &CaptureReport| Interface {
            name: report.origin.interface.clone(),
            up: self.captures.is_up(&report.origin.interface),
            source: report.source.to_owned(),
            counts: report.stats,
            classes: classes(report, now),
        };
        let mut interfaces: Vec<_> = reports.iter().map(interface).collect();
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        interfaces
    }

    fn figures(&self) -> Figures {
        let summary = self.incidents.summary();
        Figures {
            cooling: summary.cooling,
            over_budget: summary.over_budget,
            holds_released: summary.holds_released,
            holds_refused: summary.holds_refused,
            ..self.audience.clients.figures()
        }
    }

    fn bundles(&self) -> Bundles {
        let summary = self.incidents.summary();
        Bundles {
            directory: absolute(&self.options.output),
            written: summary.bundles.len() as u64,
            pending: self.incidents.pending() as u64,
            lost: summary.lost,
            removed: summary.removed,
            last: summary.bundles.last().map(|last| absolute(last)),
        }
    }
}

fn watcher(watch: &RunningWatcher) -> Watcher {
    Watcher { name: watch.name().to_owned(), missed: watch.missed(), running: watch.is_running() }
}
