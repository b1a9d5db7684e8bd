//! A replay: capture files take the road of a live recording, through the same lanes, rules, gate,
//! phases and bundles, in their own time and as fast as it goes.
//!
//! ```text
//!   files ── merged by time ──┐                 ┌─► reels (lanes, folding, eviction) ── slices ─┐
//!                             ├─► one conductor ┤                                               ▼
//!   events.jsonl, timeline ───┘   sets the clock└─► recorder (rule, gate, phase) ── incident ─► writer
//! ```
//!
//! One loop takes whatever happened next, lets time pass until then, closing what is due on the way,
//! and shows it to the [`Recorder`], which cannot tell it from the present. Nothing here asks a clock:
//! the same files and options give the same bundles. The loop waits for the writer after each incident,
//! so pinned memory never makes a replay drop what a slower disk would not.
//!
//! Not as live: nobody asks this host anything (`system/` is empty), and what the kernel dropped then
//! is not known. Copies that a bundle holds as one frame and a count are one frame here.

mod host;
mod reels;
#[cfg(test)]
mod tests;

use std::io::BufRead;
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::bounded;

use self::host::HostEvents;
use self::reels::Reels;
use super::frame_store::FrameStore;
use super::{Recorder, Summary};
use crate::capture::Tapping;
use crate::capture_file::Damage;
use crate::capture_file::file_clock::FileClock;
use crate::capture_file::inputs::{self, Progress};
use crate::capture_file::merge::{Ended, Merged};
use crate::detect::protocols::Local;
use crate::detect::watcher::DetectWatcher;
use crate::error::Result;
use crate::finding::Finding;
use crate::incident::Host;
use crate::incident::store::Store;
use crate::incident::writer::Writer;
use crate::observation::{Fact, Observation};
use crate::ring::Pool;
use crate::stats::CaptureStats;
use crate::time::{Clock, ClockHand, Mono, Stamp, Wall};
use crate::trigger::Rule;
use crate::watch;
use crate::watch::table::Table;

/// The lanes are looked after this often, as a capture thread does.
const TICK: Duration = Duration::from_millis(100);
/// Time passes tick by tick through a silence of this length, and in one step through the rest: what falls
/// silent was noticed by then.
const LONGEST_SILENCE: Duration = Duration::from_secs(600);
/// Progress is shown after so many frames or events, some ten times a second.
const SHOWN_EVERY: u64 = 1 << 16;
/// Who tells what happened to the files.
const WATCHER: &str = "replay";

/// What to replay.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Capture files; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Where the host's own events are.
    pub events: Events,
}

/// Files with what a host saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Events {
    /// `events.jsonl` and `timeline.csv` in the folders of the capture files, where there are any.
    #[default]
    Beside,
    /// These.
    Named(Vec<PathBuf>),
    /// None.
    None,
}

/// What the host saw, in order of time, as a file named `name` of either kind of [`Events`] tells it:
/// lines of `events.jsonl`, or a table.
///
/// # Errors
/// When it is neither, or has a line without meaning.
pub fn host_events(name: &str, file: impl BufRead) -> Result<Vec<(Wall, Fact)>> {
    let mut events = HostEvents::from_readers(vec![(PathBuf::from(name), file)], &[])?;
    Ok(std::iter::from_fn(|| events.next_at().zip(events.next())).collect())
}

impl Options {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// Wrong usage, when there is no file, or standard input is named twice.
    pub fn check(&self) -> Result<()> {
        inputs::check(&self.files)
    }
}

/// A replay under way.
#[derive(Debug)]
pub struct Replay {
    recorder: Recorder<Reels>,
    hand: ClockHand,
    passage: FileClock,
    ticked: Mono,
    /// When the last frame or event was.
    happened: Mono,
    detectors: DetectWatcher,
    findings: Vec<Finding>,
    files: Merged,
    /// Files that ended, and are to be told when time has come to their end.
    ended: Vec<Ended>,
    events: HostEvents,
    frames: u64,
    damage: Vec<Damage>,
    first: Option<Wall>,
    last: Option<Wall>,
}

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplaySummary {
    /// Bundles and counts.
    pub recording: Summary,
    /// Per interface, in the same order: frames that were read, equal to stored, folded, filtered and
    /// dropped ones together.
    pub read: Vec<u64>,
    /// Frames of interfaces that were not selected.
    pub passed_over: u64,
    /// Selected interfaces of which there was no frame.
    pub unseen: Vec<String>,
    /// Frames that had no stamp and got that of the frame before.
    pub unstamped: u64,
    /// How often the stamps went back by more than lateness explains.
    pub steps: u64,
    /// Stamps of the first and of the last frame.
    pub span: Option<(Wall, Wall)>,
    /// What was damaged.
    pub damage: Vec<Damage>,
    /// Observations of the host that were replayed.
    pub observations: u64,
    /// Lines that were not, by kind.
    pub not_replayed: Vec<(String, u64)>,
}

impl Replay {
    /// Obtains everything that can be refused: files, memory, the output directory.
    ///
    /// # Errors
    /// When anything is refused.
    pub fn open(options: &Options, recording: super::Options) -> Result<Self> {
        options.check()?;
        recording.window.check()?;
        Rule::check_all(&recording.rules)?;
        let events = match &options.events {
            Events::Beside => HostEvents::beside(&options.files),
            Events::Named(paths) => paths.clone(),
            Events::None => Vec::new(),
        };
        for path in &events {
            tracing::info!("host events of {}", path.display());
        }
        let events = HostEvents::read(&events, &recording.probes)?;
        let (files, ended) = Merged::open(&options.files)?;
        let store = Store::open(&recording.output, recording.pool.memory)?;
        let pool = Pool::new(&recording.pool)?;
        let writer = Writer::start(store, Clock::system(), recording.writer.clone())?;

        let first = files.next_at().into_iter().chain(events.next_at()).min().unwrap_or_default();
        let passage = FileClock::begin(first);
        let (clock, hand) = Clock::by_hand(passage.now());
        let selected = recording.interfaces.clone();
        let detect = &recording.detect;
        let local = Local::default();
        let detectors = DetectWatcher::open(detect.clone(), detect.roster(&local))?;
        let tapping = Tapping::new(detectors.taps(), recording.wanted.clone())?;
        let capture = recording.capture.clone();
        let mut reels = Reels::new(capture, pool, clock.clone(), tapping, selected);
        reels.watch(events.watched.clone(), !events.has_rows);
        for link in events.links() {
            reels.follow(link)?;
        }
        let mut recorder =
            Recorder::around(reels, recording, clock, writer, bounded(watch::CHANNEL));
        let names: Vec<_> = options.files.iter().map(|file| file.display().to_string()).collect();
        recorder.watchers.limit([format!("replayed from {}", names.join(", "))]);
        recorder.watchers.of_host(local, Table::default());
        recorder.incidents.of_host(elsewhere());
        recorder.follow_names();
        Ok(Self {
            recorder,
            hand,
            passage,
            ticked: passage.now().mono,
            happened: passage.now().mono,
            detectors,
            findings: Vec::new(),
            first: files.next_at(),
            last: None,
            files,
            ended,
            events,
            frames: 0,
            damage: Vec::new(),
        })
    }

    /// Replays everything; `show` is told how far it is.
    ///
    /// # Errors
    /// When an interface of the files cannot be replayed as configured.
    pub fn run(mut self, mut show: impl FnMut(&Progress)) -> Result<ReplaySummary> {
        for happened in 0_u64.. {
            self.tell_ended();
            match (self.files.next_at(), self.events.next_at()) {
                (Some(frame), event) if event.is_none_or(|event| frame <= event) => self.frame()?,
                (_, Some(event)) => self.event(event),
                // Only one without a frame comes here, and then there is no event either.
                (_, None) => break,
            }
            if happened.is_multiple_of(SHOWN_EVERY) {
                show(&self.progress());
            }
        }
        show(&self.progress());
        Ok(self.finish())
    }

    /// The next frame, on the packet's road.
    fn frame(&mut self) -> Result<()> {
        let Some(wall) = self.files.next_at() else { return Ok(()) };
        let arrival = self.passage.next(wall);
        self.pass(arrival);
        if let Some(head) = self.files.head()
            && self.recorder.captures.append(&head, self.passage.offset())?
        {
            self.recorder.follow_names();
        }
        self.conclude();
        self.frames += 1;
        self.last = Some(wall);
        self.ended.extend(self.files.pass());
        Ok(())
    }

    /// The next event of the host.
    fn event(&mut self, wall: Wall) {
        let mono = self.passage.of(wall);
        self.pass(mono);
        if let Some(fact) = self.events.next() {
            self.observe(Observation { at: Stamp { mono, wall }, fact });
        }
    }

    fn observe(&mut self, seen: Observation) {
        let _now = tracing::info_span!("replay", at = %seen.at.wall.milliseconds()).entered();
        self.recorder.observe(seen);
        self.recorder.collect_slices();
    }

    /// Hears the detectors: what they conclude is an observation like any other.
    fn conclude(&mut self) {
        while self.recorder.captures.has_news() {
            while self.detectors.hear(&mut self.findings) {}
            for finding in std::mem::take(&mut self.findings) {
                let fact = Fact::Finding(Box::new(finding));
                self.observe(Observation { at: self.passage.now(), fact });
            }
        }
    }

    /// Lets time pass until `mono`, and does what is due on the way.
    fn pass(&mut self, mono: Mono) {
        while let Some(due) = self.due(mono).filter(|due| *due < mono) {
            self.stand_at(due);
            self.recorder.judge_time();
            self.close();
        }
        self.stand_at(mono);
        self.happened = mono;
    }

    /// What is due first by itself, on the way to `mono`.
    fn due(&self, mono: Mono) -> Option<Mono> {
        // Nobody waits through the hours between two captures.
        let silent = self.ticked.since(self.happened) > LONGEST_SILENCE;
        let next = self.ticked.plus(TICK);
        let tick = if silent { next.max(mono.minus(TICK)) } else { next };
        self.recorder.incidents.next_due().into_iter().chain([tick]).min()
    }

    fn stand_at(&mut self, mono: Mono) {
        self.passage.pass(mono);
        let now = self.passage.now();
        self.hand.set(now);
        if now.mono.since(self.ticked) >= TICK {
            self.ticked = now.mono;
            self.recorder.captures.tick(now);
            self.conclude();
        }
    }

    /// Closes the open incident if it is due, and waits until it is on the disk.
    fn close(&mut self) {
        self.recorder.close_if_due();
        self.recorder.collect_slices();
        self.recorder.incidents.write_all();
    }

    /// What became of files that ended belongs to the evidence.
    fn tell_ended(&mut self) {
        for Ended { file, frames, damage, .. } in std::mem::take(&mut self.ended) {
            let what = match &damage {
                Some(damage) => damage.to_string(),
                None if self.files.next_at().or(self.events.next_at()).is_none() => continue,
                None => format!("{file} ends here, after {frames} frames"),
            };
            let fact = Fact::Missed { watcher: WATCHER.to_owned(), what };
            self.observe(Observation { at: self.passage.now(), fact });
            self.damage.extend(damage);
        }
    }

    fn progress(&self) -> Progress {
        let (read, size) = self.files.progress();
        Progress { read, size, frames: self.frames, at: self.passage.now().wall }
    }

    /// The end of the files cuts what is open.
    fn finish(mut self) -> ReplaySummary {
        self.close();
        let Recorder { incidents, captures, .. } = &mut self.recorder;
        incidents.cut("the end of the files", captures);
        self.close();
        let reels = &self.recorder.captures;
        let mut account = ReplaySummary {
            read: reels.read(),
            passed_over: reels.passed_over(),
            unseen: reels.unseen(),
            unstamped: self.files.unstamped(),
            steps: self.passage.steps(),
            span: self.first.zip(self.last),
            damage: self.damage,
            observations: self.events.total(),
            not_replayed: self.events.passed_over.into_iter().collect(),
            recording: Summary::default(),
        };
        account.recording = self.recorder.stop();
        account
    }
}

impl ReplaySummary {
    /// Each interface, what was read of it, and what became of that.
    pub fn interfaces(&self) -> impl Iterator<Item = (&str, u64, &CaptureStats)> {
        let each = self.recording.interfaces.iter().zip(&self.read);
        each.map(|((name, stats), read)| (name.as_str(), *read, stats))
    }
}

/// The machine that recorded the files: nobody knows.
fn elsewhere() -> Host {
    Host {
        name: String::new(),
        kernel: String::new(),
        architecture: String::new(),
        boot_id: String::new(),
    }
}
