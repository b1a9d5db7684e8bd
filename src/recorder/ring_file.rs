//! What a recording does so that its frames outlive it, and with what an earlier one left.
//!
//! ```text
//!   ring file there? ─ no ────────────────────────────────────────────► make it, record
//!        │ yes: not ours, in use, no ring file? ────► left as it is ──► record without
//!        ├ ended without stopping ─► bundle written ─► removed ───────►
//!        │                            └ cannot be ───► moved aside ───►
//!        ├ stopped ─► newest frames kept for windows ► moved aside ───►
//!        └ another version ──────────────────────────► moved aside ───►
//! ```
//!
//! An incident that was open when its process died left a spool in the output directory: what that holds is in the
//! bundle of the ring file of the same recording; others become bundles of their own while recording goes on.
//!
//! All of it happens before a frame is recorded, since the memory of the old ring may be needed for the
//! new one. Nothing is removed before its bundle is on the disk. A name never ends a recording: where a ring
//! file cannot be had, frames are kept in the process's own memory, which is told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::{Options, traffic};
use crate::APPLICATION;
use crate::capture::CaptureReport;
use crate::error::{Error, Result};
use crate::incident::bundle::{self, Bundle};
use crate::incident::earlier::Earlier;
use crate::incident::pcapng::Level;
use crate::incident::store::Store;
use crate::incident::{Host, Incident, recovered, spool};
use crate::ring::metadata::{
    ClassMetadata, InterfaceMetadata, Machine, MetadataMoment, RecordingMetadata,
};
use crate::ring::{LeftRing, PAGE_SIZE, Pool, RingFile, WantedFrames, Whose, memory_available};
use crate::time::{Clock, Mono, Stamp};
use crate::trigger::Rules;

/// Of the memory for frames, as much again at most holds the newest frames of the recording before, until no
/// window reaches them any more.
const EARLIER: u64 = 4;

/// The memory of a recording.
pub(super) struct Memory {
    pub(super) pool: Pool,
    /// Where it lies if it is to outlive the process.
    pub(super) file: Option<RingFile>,
    /// What became of what an earlier recording left.
    pub(super) left: Left,
}

/// What became of what an earlier recording left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The bundle of one that died.
    pub(super) recovered: Option<PathBuf>,
    /// Incidents that were open, and are not in that.
    pub(super) spools: Vec<LeftRing>,
    /// The newest frames of one that stopped.
    pub(super) earlier: Option<Earlier>,
    /// Why frames end with the process though a file was asked for.
    pub(super) limitation: Option<String>,
}

impl Memory {
    /// Obtains it, after what an earlier recording left in the ring file was brought to safety.
    ///
    /// # Errors
    /// When the machine has not that much.
    pub(super) fn obtain(options: &Options, store: &Store, clock: &Clock) -> Result<Self> {
        let mut left = Left { spools: spool::left(store.directory()), ..Left::default() };
        if let Some(path) = &options.ring_file {
            let inherited = Heir { options, store, clock }.make_way(path, &mut left);
            match inherited.and_then(|()| in_file(path, options, clock)) {
                Ok((pool, file)) => return Ok(Self { pool, file: Some(file), left }),
                Err(error) => {
                    tracing::warn!("{error}");
                    let told = format!("frames end with the process: {error}");
                    tracing::warn!("recording without ring file: {told}");
                    left.limitation = Some(told);
                }
            }
        }
        Ok(Self { pool: Pool::new(&options.pool)?, file: None, left })
    }
}

/// Makes the ring file, and memory in it.
fn in_file(path: &Path, options: &Options, clock: &Clock) -> Result<(Pool, RingFile)> {
    let file = RingFile::create(path, standing(clock.now()))?;
    let pool = Pool::in_file(&options.pool, &file).inspect_err(|_| file.discard())?;
    tracing::info!("frames are kept in {}", path.display());
    Ok((pool, file))
}

/// Who begins where a ring file may be.
struct Heir<'a> {
    options: &'a Options,
    store: &'a Store,
    clock: &'a Clock,
}

impl Heir<'_> {
    /// Brings to safety what is at `path`, so that a new ring file can be made there.
    fn make_way(&self, path: &Path, into: &mut Left) -> Result<()> {
        let Some(left) = LeftRing::open(path, Whose::Ours)? else { return Ok(()) };
        if left.standing().is_some_and(|standing| standing.stopped) {
            return self.inherit(left, into);
        }
        if let Some(available) = memory_available()
            && available < left.size()
        {
            return aside(left, "there is not enough memory to recover it now");
        }
        self.rescue(left, into)
    }

    /// Keeps the newest frames of a recording that had stopped for windows that reach back to them.
    fn inherit(&self, left: LeftRing, into: &mut Left) -> Result<()> {
        let now = self.clock.now();
        let reach =
            self.options.reach(&Rules::new(self.options.rules.clone(), self.options.usual()));
        let room = self.options.pool.memory / EARLIER / PAGE_SIZE as u64;
        let pages = usize::try_from(room).unwrap_or(usize::MAX);
        let recovery = match left.recover(WantedFrames { since: now.mono.minus(reach), pages }) {
            Ok(recovery) => recovery,
            Err(error) => {
                tracing::error!("{error}");
                return aside(left, "it could not be read");
            }
        };
        if recovery.is_blank {
            return left.remove();
        }
        // Monotonic times of another boot cannot be compared.
        let is_same_boot = recovery.standing.machine.boot_id == Host::read().boot_id;
        let until = now.mono.plus(reach);
        into.earlier = is_same_boot.then(|| Earlier::of(recovery, now, until)).flatten();
        if let Some(earlier) = &into.earlier {
            tracing::info!("{earlier}");
        }
        aside(left, "the recording before had stopped as it should")
    }

    /// Makes a bundle of a recording that ended without stopping, with what its spools hold.
    fn rescue(&self, left: LeftRing, into: &mut Left) -> Result<()> {
        let begun = self.clock.now().mono;
        let of = |left: &LeftRing| {
            left.standing().map(|standing| (standing.process, standing.machine.boot_id))
        };
        let recording = of(&left);
        let own: Vec<LeftRing> =
            into.spools.extract_if(.., |spool| of(spool) == recording).collect();
        let recovery = match left.recover_with(&own, WantedFrames::ALL) {
            Ok(recovery) => recovery,
            Err(error) => {
                tracing::error!("{error}");
                return aside(left, "it could not be read");
            }
        };
        let incident = recovered::incident(left.path(), recovery);
        let Some(incident) = incident else { return left.remove() };
        let incident = Incident { traffic: traffic::left_beside(left.path()), ..incident };
        tracing::warn!("{}", incident.opened_by.sentence);
        match write(self.store, &incident, self.options.writer.level) {
            Ok(bundle) => {
                into.recovered = Some(bundle.path.clone());
                self.tell(&bundle, begun);
                own.into_iter().for_each(remove);
                left.remove()
            }
            Err(error) => {
                tracing::error!("{error}");
                aside(left, "no bundle could be made of it")
            }
        }
    }

    fn tell(&self, bundle: &Bundle, begun: Mono) {
        let took = self.clock.now().mono.since(begun).as_secs_f64();
        let Bundle { path, frames, .. } = bundle;
        tracing::warn!("bundle {} ({frames} frames, recovered in {took:.2} s)", path.display());
    }
}

/// Removes a spool; one that cannot be removed is read again by the next start.
fn remove(spool: LeftRing) {
    if let Err(error) = spool.remove() {
        tracing::warn!("{error}");
    }
}

fn aside(left: LeftRing, why: &str) -> Result<()> {
    let aside = left.move_aside()?;
    let aside = aside.display();
    tracing::warn!("{why}: it is {aside} now; `dashcap recover {aside}` makes a bundle of it");
    Ok(())
}

/// A defect in reading what died must not keep the next recording from starting.
fn write(store: &Store, incident: &Incident, level: Level) -> Result<Bundle> {
    let write = AssertUnwindSafe(|| bundle::write(store, incident, level));
    catch_unwind(write).unwrap_or_else(|_| {
        Err(Error::operation("write bundle", incident.name(), "dashcap panicked"))
    })
}

/// Of a recording that begins.
pub(super) fn standing(now: Stamp) -> RecordingMetadata {
    let Host { name, kernel, architecture, boot_id } = Host::read();
    RecordingMetadata {
        program: APPLICATION.to_owned(),
        process: std::process::id(),
        machine: Machine { name, kernel, architecture, boot_id },
        started: now.into(),
        at: now.into(),
        stopped: false,
        lanes: Vec::new(),
        interfaces: Vec::new(),
        incident: None,
    }
}

/// Tells the file how the captures stand.
pub(super) fn note(file: &RingFile, now: Stamp, reports: &[CaptureReport]) {
    file.note(|standing| {
        standing.at = now.into();
        standing.interfaces = reports.iter().map(interface).collect();
    });
}

/// Tells the file that the recording ended as it should.
pub(super) fn stopped(file: &RingFile, now: Stamp) {
    file.note(|standing| {
        standing.at = now.into();
        standing.stopped = true;
    });
}

/// How an interface stood.
pub(super) fn interface(report: &CaptureReport) -> InterfaceMetadata {
    let class = |class: &crate::capture::ClassReport| ClassMetadata {
        name: class.name.to_string(),
        counters: class.counters,
        quota: class.quota,
    };
    InterfaceMetadata {
        name: report.origin.interface.clone(),
        source: report.source.to_owned(),
        since: MetadataMoment::from(report.since),
        stats: report.stats,
        classes: report.classes.iter().map(class).collect(),
    }
}
