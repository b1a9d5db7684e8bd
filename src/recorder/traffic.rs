//! The long memory of traffic: obtained at the start, told once a second how the captures stand.

use std::path::Path;
use std::sync::Arc;

use super::{Options, Recorder};
use crate::capture::{CaptureReport, ClassReport};
use crate::detect::tap::{CONTROL, ClassCount};
use crate::error::{Error, Result};
use crate::incident::Host;
use crate::ring::{RingFile, Whose};
use crate::traffic::{
    ClassTotals, InterfaceTotals, Left, LongMemory, Shape, TrafficFile, TrafficMemory,
};

/// Obtains it for so many interfaces and a few more, and takes over what an earlier recording left beside its ring
/// file; none where the operator wants none, or allows too little.
pub(super) fn obtain(
    options: &Options,
    interfaces: usize,
    ring: Option<&RingFile>,
) -> Option<TrafficMemory> {
    let wanted = options.traffic;
    let Some(shape) = Shape::within(wanted, interfaces, options.capture.classes.lanes().into())
    else {
        if wanted.memory > 0 {
            tracing::warn!(
                "no long memory of traffic: for {interfaces} interfaces it needs more --traffic-memory"
            );
        }
        return None;
    };
    let mut memory = LongMemory::new(shape);
    if let Some(ring) = ring
        && let Err(error) = keep(&mut memory, shape, &TrafficFile::beside(ring.path()))
    {
        tracing::warn!("the long memory of traffic ends with the process: {error}");
    }
    tracing::info!("long memory of traffic: {shape}");
    Some(TrafficMemory::new(memory))
}

/// What a recording that died left beside its ring file, for its bundle; none where nothing is understood.
pub(super) fn left_beside(ring: &Path) -> Option<TrafficMemory> {
    let file = Whose::Ours.open(&TrafficFile::beside(ring)).ok()??;
    let left = Left::read(file).ok()??;
    let mut memory = LongMemory::new(left.shape);
    memory.inherit(left, true);
    Some(TrafficMemory::new(memory))
}

/// Takes over what is in a file of ours, and makes it anew.
fn keep(memory: &mut LongMemory, shape: Shape, path: &Path) -> Result<()> {
    let boot = Host::read().boot_id;
    let failed = |e| Error::operation("read", path.display().to_string(), e);
    if let Some(file) = Whose::Ours.open(path)?
        && let Some(left) = Left::read(file).map_err(failed)?
    {
        let is_same_boot = left.boot == boot;
        memory.inherit(left, is_same_boot);
    }
    memory.keep_in(TrafficFile::create(path, shape, &boot)?);
    Ok(())
}

impl Recorder {
    /// Tells the long memory how the captures stand.
    pub(super) fn remember_traffic(&mut self, reports: &[CaptureReport]) {
        let Some(memory) = &self.traffic else { return };
        let totals = reports.iter().map(|report| {
            let is_there = self.captures.is_up(&report.origin.interface).is_some();
            totals(report, is_there)
        });
        let limitation = memory.take(self.clock.now(), &totals.collect::<Vec<_>>());
        self.watchers.limit(limitation.map(str::to_owned));
    }
}

fn totals(report: &CaptureReport, is_there: bool) -> InterfaceTotals {
    let CaptureReport { origin, stats, classes, traffic, services, .. } = report;
    let class = |(number, (class, traffic)): (usize, (&ClassReport, &ClassCount))| {
        let services = services.iter().filter(|count| usize::from(count.class) == number);
        ClassTotals {
            class: Arc::clone(&class.name),
            frames: traffic.iter().map(|way| way.frames).sum(),
            bytes: traffic.iter().map(|way| way.bytes).sum(),
            folded: class.counters.folded,
            dropped: class.counters.dropped,
            kernel_dropped: stats.kernel_dropped.filter(|_| number == CONTROL),
            services: services.map(|count| (count.lease, count.service, count.bytes)).collect(),
        }
    };
    InterfaceTotals {
        interface: origin.interface.clone(),
        index: origin.index,
        at: report.at,
        since: (report.since, stats.gaps),
        is_there,
        classes: classes.iter().zip(traffic).enumerate().map(class).collect(),
    }
}
