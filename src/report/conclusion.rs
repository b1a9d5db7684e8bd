//! The report, once everything was read: what the pass counted and what hosts told, put together.

use super::findings::Findings;
use super::host::BundleFacts;
use super::interface::{Judged, Shared};
use super::model::{self, Count, InterfaceReport, Report, Series, Span, seconds_between};
use super::pass::Pass;
use super::relations::Relations;
use super::series::Columns;
use super::talkers::Talkers;
use super::{Options, headline, last_heard, link_types, onset};
use crate::capture_file::merge::Merged;
use crate::cut::Moment;
use crate::error::{Error, Result};
use crate::frame::Direction;
use crate::time::{Offset, Wall};
use crate::words;

/// As `directions` are numbered.
const DIRECTIONS: [Direction; 3] = [Direction::Unknown, Direction::Inbound, Direction::Outbound];

impl Pass<'_> {
    /// The end of the files.
    ///
    /// # Errors
    /// Wrong usage, when the moment that the operator named is not in the files.
    pub(super) fn finish(
        mut self,
        options: &Options,
        files: &Merged,
        mut told: BundleFacts,
    ) -> Result<Report> {
        self.settle(told.covered);
        let notes = self.notes(files);
        told.losses.extend(self.losses(files));
        let span = self.span(told.covered);
        let end = span.map_or(self.last, |span| span.to);
        let not_judged = self.not_judged();
        let Self { interfaces, shared, damage, .. } = self;
        let Shared { columns, talkers, mut tracks, ledger, questions, mut relations, .. } = shared;
        relations.answered(questions.last_answers());
        told.probes(&mut tracks);
        let (mut findings, findings_more) = all_findings(ledger, &mut told, &relations);
        let at = options.at.as_ref().map(|at| within(at, span)).transpose()?;
        let chain = onset::of(&mut findings, told.trigger.take(), at, &relations);
        let since = chain.onset.as_ref().map_or(end, |onset| onset.time);
        let total = |count: fn(&Count) -> u64| -> u64 {
            interfaces.iter().flat_map(|judged| &judged.counts).map(count).sum()
        };
        let tracks = tracks.finish(end);
        let last_heard = last_heard::of(&interfaces, &tracks, end);
        let mut report = Report {
            format: model::FORMAT,
            version: model::VERSION,
            written_by: concat!("dashcap ", env!("CARGO_PKG_VERSION")).to_owned(),
            files: options.files.iter().map(|file| file.display().to_string()).collect(),
            headline: String::new(),
            span,
            frames: total(|count| count.frames),
            bytes: total(|count| count.bytes),
            trigger: chain.trigger,
            onset: chain.onset,
            chain: chain.steps,
            chain_more: chain.more,
            findings,
            findings_more,
            looked_at: questions.looked_at(end),
            not_judged,
            last_heard,
            usual: told.usual,
            series: all_series(&interfaces, &talkers, columns),
            talkers: talkers.flows(),
            protocols: talkers.protocols().into_iter().map(|(share, _)| share).collect(),
            sizes: talkers.sizes(),
            interfaces: interfaces.iter().map(described).collect(),
            tracks,
            events: told.events,
            events_more: told.events_more,
            losses: told.losses,
            damage: damage.iter().map(ToString::to_string).collect(),
            notes: notes.into_iter().chain(told.notes).collect(),
        };
        report.headline = headline::of(&report, &relations, &questions.answered_since(since));
        Ok(report)
    }

    /// Time passes until the end of what bundles cover, and what lasts until then is told once more.
    fn settle(&mut self, covered: Option<Span>) {
        if let Some(covered) = covered {
            self.pass_until(covered.to);
        }
        let Some(passage) = self.passage else { return };
        let now = passage.now();
        let column = self.column(now);
        for (interface, feed) in self.interfaces.iter_mut().zip(&self.feeds) {
            if let Some(own) = feed.last(now) {
                self.shared.offset = Offset::of(own);
                interface.finish(own, column, &mut self.shared);
            }
        }
    }

    /// From the first frame to the last, and all that bundles cover: also where no frame came.
    fn span(&self, covered: Option<Span>) -> Option<Span> {
        let frames = self.first.map(|first| Span::new(first, self.last));
        let (Some(covered), Some(frames)) = (covered, frames) else { return covered.or(frames) };
        let within = frames.from >= covered.from && frames.to <= covered.to;
        // Then its length is the one that passed, whatever clocks were set to.
        Some(if within {
            covered
        } else {
            Span::new(covered.from.min(frames.from), covered.to.max(frames.to))
        })
    }

    /// What could not be judged, a sentence each.
    fn not_judged(&self) -> Vec<String> {
        let mut all = Vec::new();
        for judged in self.interfaces.iter().filter(|judged| judged.unread > 0) {
            let (frames, name) = (words::counted(judged.unread, "frame"), &judged.name);
            let of: u64 = judged.counts.iter().map(|count| count.frames).sum();
            let why = if judged.unread == of {
                format!("link type {} is not decoded", link_types::named(judged.link_type))
            } else {
                "they end within their link header, or it is not understood".to_owned()
            };
            all.push(format!("{frames} of {name}: {why}; they are counted only"));
        }
        let unknown: u64 = self.interfaces.iter().map(|judged| judged.counts[0].frames).sum();
        if unknown > 0 && self.stations.is_empty() {
            let why = "the files do not tell directions, and addresses do not either";
            all.push(format!("whether traffic goes one way only: {why}"));
        }
        let unseen: u64 = self.interfaces.iter().map(|judged| judged.unseen).sum();
        let passed_over = self.shared.questions.passed_over();
        for (count, what) in [
            (self.not_judged, "of interfaces beyond the first 64"),
            (unseen, "of control protocols that came too fast"),
            (passed_over, "that ask, too many at a time to wait for their answers"),
        ] {
            if count > 0 {
                all.push(format!("{} {what}", words::counted(count, "frame")));
            }
        }
        all
    }

    /// What one must know to read the report.
    fn notes(&self, files: &Merged) -> Vec<String> {
        let mut notes = Vec::new();
        if self.guessed > 0 {
            notes.push(format!(
                "the files do not tell directions; they follow from {}, which is at one end of nearly \
                 every frame to a single station",
                self.stations.names()
            ));
        }
        for (judged, again) in self.interfaces.iter().map(|judged| (judged, judged.repeated())) {
            if again > 0 {
                notes.push(format!(
                    "packets of {} are there more than once, as a capture of all interfaces has those of bonds \
                     and VLANs; {} copies are counted and not judged",
                    judged.name,
                    words::count(again)
                ));
            }
        }
        let refused: u64 = self.interfaces.iter().map(Judged::refused).sum();
        let steps = self.passage.map_or(0, |passage| passage.steps());
        for (count, what) in [
            (files.unstamped(), "frames without a stamp, taken to be as old as the one before"),
            (steps, "times the stamps went back"),
            (refused, "frames that came fast while 64 others did, not counted as copies"),
        ] {
            if count > 0 {
                notes.push(format!("{} {what}", words::count(count)));
            }
        }
        notes
    }
}

/// The moment that the operator named, which must be in the files.
fn within(at: &Moment, span: Option<Span>) -> Result<Wall> {
    let Some(Span { from, to, .. }) = span else { return Ok(at.wall(Wall(0), Wall(0))) };
    let wall = at.wall(from, to);
    if (from..=to).contains(&wall) {
        return Ok(wall);
    }
    let accepted = format!("a moment from {from} to {to}");
    Err(Error::usage("--at", wall.to_string(), "the moment lies outside the files", accepted))
}

/// Those of frames and those that hosts told, in order of time, and how many more there were.
fn all_findings(
    mut ledger: Findings,
    told: &mut BundleFacts,
    relations: &Relations,
) -> (Vec<model::Entry>, u64) {
    ledger.add_loops(relations);
    told.entries.drain(..).for_each(|entry| ledger.add_told(entry));
    ledger.finish()
}

fn described(judged: &Judged) -> InterfaceReport {
    let (first, last) = judged.span.unwrap_or_default();
    let [unknown, received, sent] = judged.counts;
    InterfaceReport {
        name: judged.name.to_string(),
        link_type: judged.link_type.0,
        span: Span { from: first, to: last, seconds: seconds_between(first, last) },
        received,
        sent,
        unknown,
        last_received: judged.heard[Direction::Inbound as usize],
        last_sent: judged.heard[Direction::Outbound as usize],
    }
}

/// Everything over time; what was never counted is left out.
fn all_series(interfaces: &[Judged], talkers: &Talkers, columns: Columns) -> Vec<Series> {
    /// Protocols over time: as many as colours can be told apart.
    const PROTOCOLS: usize = 8;
    let begin = Wall(columns.begin());
    let step_s = columns.width() as f64 / 1e9;
    let mut all = Vec::new();
    for judged in interfaces {
        for (kind, series) in [("frames", &judged.frames), ("bytes", &judged.bytes)] {
            for (direction, values) in DIRECTIONS.into_iter().zip(series) {
                if !values.is_empty() {
                    let interface = Some(judged.name.to_string());
                    let (protocol, values) = (None, values.clone());
                    all.push(Series {
                        kind,
                        interface,
                        direction,
                        protocol,
                        begin,
                        step_s,
                        values,
                    });
                }
            }
        }
    }
    for (share, values) in talkers.protocols().into_iter().take(PROTOCOLS) {
        let (interface, direction, protocol) = (None, Direction::Unknown, Some(share.name));
        all.push(Series {
            kind: "protocol",
            interface,
            direction,
            protocol,
            begin,
            step_s,
            values,
        });
    }
    all
}
