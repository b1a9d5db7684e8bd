//! What a recording does so that its frames outlive it, and with what an earlier one left.
//!
//! ```text
//!   ring file there? ─ no ────────────────────────────────────────────► make it, record
//!        │ yes: locked by another? refused. not a ring file? refused.
//!        ├ ended without stopping ─► bundle written ─► removed ───────►
//!        │                            └ cannot be ───► moved aside ───►
//!        └ stopped, or another version ──────────────► moved aside ───►
//! ```
//!
//! All of it happens before a frame is recorded, since the memory of the old ring may be needed for the
//! new one. Nothing is removed before its bundle is on the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::Options;
use crate::APPLICATION;
use crate::capture::Report;
use crate::error::{Error, Result};
use crate::incident::bundle::{self, Bundle};
use crate::incident::pcapng::Level;
use crate::incident::store::Store;
use crate::incident::{Host, Incident, recovered};
use crate::ring::metadata::{ClassStanding, InterfaceStanding, Machine, Moment, Standing};
use crate::ring::{LeftRing, Pool, RingFile};
use crate::time::{Clock, Stamp};

/// The memory of a recording.
pub(super) struct Memory {
    pub(super) pool: Pool,
    /// Where it lies if it is to outlive the process.
    pub(super) file: Option<RingFile>,
    /// The bundle of what an earlier recording left.
    pub(super) recovered: Option<PathBuf>,
}

impl Memory {
    /// Obtains it, after what an earlier recording left in the ring file was brought to safety.
    pub(super) fn obtain(options: &Options, store: &Store, clock: &Clock) -> Result<Self> {
        let Some(path) = &options.ring_file else {
            return Ok(Self { pool: Pool::new(&options.pool)?, file: None, recovered: None });
        };
        let recovered = make_way(path, store, options.writer.level, clock)?;
        let file = RingFile::create(path, standing(clock.now()))?;
        let pool = Pool::in_file(&options.pool, &file);
        let pool = pool.inspect_err(|_| file.discard())?;
        tracing::info!("frames are kept in {}", path.display());
        Ok(Self { pool, file: Some(file), recovered })
    }
}

/// Brings to safety what is at `path`, so that a new ring file can be made there; tells the bundle.
fn make_way(path: &Path, store: &Store, level: Level, clock: &Clock) -> Result<Option<PathBuf>> {
    let Some(left) = LeftRing::open(path)? else { return Ok(None) };
    let begun = clock.now().mono;
    let recovery = match left.recover() {
        Ok(recovery) => recovery,
        Err(error) => {
            tracing::error!("{error}");
            return aside(left, "it could not be read");
        }
    };
    let stopped = recovery.standing.stopped;
    let Some(incident) = recovered::incident(path, recovery) else {
        left.remove()?;
        return Ok(None);
    };
    if stopped {
        drop(incident);
        return aside(left, "the recording before had stopped as it should");
    }
    tracing::warn!("{}", incident.opened_by.sentence);
    match write(store, &incident, level) {
        Ok(bundle) => {
            drop(incident);
            left.remove()?;
            let took = clock.now().mono.since(begun).as_secs_f64();
            let Bundle { path, frames, .. } = bundle;
            tracing::warn!("bundle {} ({frames} frames, recovered in {took:.2} s)", path.display());
            Ok(Some(path))
        }
        Err(error) => {
            tracing::error!("{error}");
            drop(incident);
            aside(left, "no bundle could be made of it")
        }
    }
}

fn aside(left: LeftRing, why: &str) -> Result<Option<PathBuf>> {
    let aside = left.move_aside()?;
    let aside = aside.display();
    tracing::warn!("{why}: it is {aside} now; `dashcap recover {aside}` makes a bundle of it");
    Ok(None)
}

/// A defect in reading what died must not keep the next recording from starting.
fn write(store: &Store, incident: &Incident, level: Level) -> Result<Bundle> {
    let write = AssertUnwindSafe(|| bundle::write(store, incident, level));
    catch_unwind(write).unwrap_or_else(|_| {
        Err(Error::operation("write bundle", incident.name(), "dashcap panicked"))
    })
}

/// Of a recording that begins.
fn standing(now: Stamp) -> Standing {
    let Host { name, kernel, architecture, boot_id } = Host::read();
    Standing {
        program: APPLICATION.to_owned(),
        process: std::process::id(),
        machine: Machine { name, kernel, architecture, boot_id },
        started: now.into(),
        at: now.into(),
        stopped: false,
        lanes: Vec::new(),
        interfaces: Vec::new(),
    }
}

/// Tells the file how the captures stand.
pub(super) fn note(file: &RingFile, now: Stamp, reports: &[Report]) {
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

fn interface(report: &Report) -> InterfaceStanding {
    let class = |class: &crate::capture::ClassReport| ClassStanding {
        name: class.name.to_string(),
        counters: class.counters,
        quota: class.quota,
    };
    InterfaceStanding {
        name: report.origin.interface.clone(),
        source: report.source.to_owned(),
        since: Moment::from(report.since),
        stats: report.stats,
        classes: report.classes.iter().map(class).collect(),
    }
}
