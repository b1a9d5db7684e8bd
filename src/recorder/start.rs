//! The start: whatever can be refused is obtained here, so that an operator learns of it now and not at the
//! failure.

use std::fmt;

use crossbeam_channel::bounded;

use super::captures::Captures;
use super::fleet::FleetDesk;
use super::frame_store::FrameStore;
use super::incidents::Incidents;
use super::ring_file::Memory;
use super::{Options, Privileged, Recorder, Selection, traffic};
use crate::api::directory::DirectoryWatcher;
use crate::capture::{Surroundings, WaitingRoom};
use crate::detect::protocols::Local;
use crate::detect::watcher::DetectWatcher;
use crate::error::Result;
use crate::incident::Host;
use crate::incident::store::Store;
use crate::incident::writer::Writer;
use crate::memory;
use crate::ring::PackThread;
use crate::sys::heap;
use crate::time::Clock;
use crate::traffic::TrafficMemory;
use crate::trigger::Rule;
use crate::watch::probe::{self, Probe};
use crate::watch::sysfs::Sampler;
use crate::watch::table::Table;
use crate::watch::{self, Watcher};
use crate::{api, capture, privilege};

/// The memory that a recording takes, in bytes.
struct Budget {
    frames: u64,
    kernel: u64,
    observations: u64,
    traffic: u64,
    /// How many are recorded from the start.
    interfaces: u64,
    /// Of each of these.
    lanes: u64,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frames, kernel, observations, traffic, interfaces, lanes } = *self;
        let interface = memory::INTERFACE + lanes * memory::LANE;
        let beside = memory::BESIDE + interfaces * interface;
        let all = frames + kernel + observations + traffic + beside;
        let told = [frames, kernel, observations, traffic, beside, all];
        let [frames, kernel, observations, traffic, beside, all] = told.map(mebibytes);
        let [later, gone] = [interface, memory::GONE].map(mebibytes);
        write!(
            f,
            "memory: {all} MiB at most: {frames} obtained for frames, {kernel} of the kernel's rings, \
             {observations} for observations, {traffic} for the long memory of traffic, {beside} for everything else; \
             each interface that comes later takes {later} MiB and a ring of the kernel more, those that are gone \
             {gone} MiB together"
        )
    }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Says what is armed, and of what is detected what is not.
pub(super) fn tell_armed(rules: &[Rule]) {
    for line in Rule::in_lines(rules) {
        tracing::info!("armed: {line}");
    }
    let unarmed = Rule::unarmed(rules);
    if !unarmed.is_empty() {
        let kinds: Vec<_> = unarmed.iter().map(ToString::to_string).collect();
        tracing::info!("not armed: {}; --on default,KIND adds one", kinds.join(", "));
    }
}

impl Recorder {
    /// Obtains everything that can be refused: memory, sockets, names, the output directory. When this
    /// returns, frames are being recorded.
    ///
    /// # Errors
    /// When anything is refused; nothing is left running then.
    pub fn start(options: Options, clock: Clock) -> Result<Self> {
        let privileged = Privileged::open(&options)?;
        Self::start_with(privileged, options, clock)
    }

    /// The same with sockets that were opened before, when the process had privileges that it gave up.
    ///
    /// # Errors
    /// As [`Recorder::start`].
    pub fn start_with(privileged: Privileged, options: Options, clock: Clock) -> Result<Self> {
        heap::share();
        let Privileged { links, watchers, runner } = privileged;
        options.window.check()?;
        Rule::check_all(&options.rules)?;
        options.budget.check()?;
        let (sender, seen) = bounded(watch::CHANNEL);
        let selection = Selection::new(&options.interfaces, &links.links())?;
        let table = Table::default();
        let sampler = Sampler::open(options.timeline.clone(), table.clone())?;
        let open = |probe: &probe::Options| Ok((probe.clone(), Probe::open(probe.clone())?));
        let probes = options.probes.iter().map(open).collect::<Result<Vec<_>>>()?;
        let local = Local::of_host(&links.links(), &watchers.picture());
        let roster = options.detect.roster(&local);
        let detectors = DetectWatcher::open(options.detect.clone(), roster)?;
        let shown = local.shown();
        detectors.know(local.clone());
        let tapping = capture::Tapping::new(detectors.taps(), options.wanted.clone())?;
        options.watchers.check()?;
        let watchers = options.watchers.open(watchers)?;
        let (retention, now) = (options.writer.retention, clock.now());
        let store = Store::open_within(&options.output, options.pool.memory, retention, now)?;
        let endpoints = api::Endpoints::open(&options.api, &Host::read(), &options.output, &shown)?;
        let directory = options.api.directory.as_ref();
        let directory = directory.map(|o| DirectoryWatcher::open(o, &clock)).transpose()?;
        let Memory { pool, file, left } = Memory::obtain(&options, &store, &clock)?;
        let frames = pool.obtained_bytes();

        let words = selection.in_words();
        let pack = PackThread::start(pool.clone())?;
        let waiting = WaitingRoom::open(privilege::confine_to_reading)?;
        let around = Surroundings {
            memory: capture::Memory { pool, requests: pack.requests() },
            threads: waiting.threads(),
            clock: clock.clone(),
            events: sender.clone(),
            tapping,
        };
        let mut captures = Captures::new(selection, options.capture.clone(), around, pack, waiting);
        captures.keep_in(file.clone());
        captures.begin(&links.links())?;
        let names = captures.names();
        if names.is_empty() {
            tracing::warn!("no interface is up yet; those that come up are recorded ({words})");
        } else {
            tracing::info!("recording {} ({words})", names.join(", "));
        }
        let kernel = captures.kernel_memory();
        let traffic = traffic::obtain(&options, names.len(), file.as_ref());
        tracing::info!(
            "{}",
            Budget {
                frames,
                kernel,
                observations: Incidents::observations(frames),
                traffic: traffic.as_ref().map_or(0, TrafficMemory::bytes),
                interfaces: names.len() as u64,
                lanes: options.capture.classes.lanes().into(),
            }
        );
        tell_armed(&options.rules);
        tracing::info!("bundles appear in {}", store.directory().display());
        let spools = store.directory().to_owned();
        let writer = Writer::start(store, clock.clone(), options.writer.clone())?;
        let mut recorder = Self::around(captures, options, clock, writer, (sender, seen));
        recorder.ring_file = file;
        recorder.incidents.tell_traffic(traffic.clone());
        recorder.traffic = traffic;
        recorder.incidents.inherit(left.recovered, left.earlier);
        recorder.incidents.take_over(left.spools);
        recorder.incidents.spool_to(spools)?;
        recorder.watchers.limit(left.limitation);
        recorder.watchers.of_host(local, table);
        recorder.watchers.limit(sampler.limitation().map(str::to_owned));
        recorder.follow_names();
        recorder.audience.run_programs(runner, recorder.watchers.sender())?;
        recorder.watchers.add(links)?;
        recorder.watchers.add(sampler)?;
        recorder.watchers.add(detectors)?;
        for (options, probe) in probes {
            recorder.watchers.add_probe(options, probe)?;
        }
        recorder.watchers.add_all(watchers)?;
        if let Some(directory) = directory {
            recorder.watchers.add(directory)?;
        }
        let fleet = recorder.options.api.fleet.clone();
        let desk = |fleet| FleetDesk::new(fleet, recorder.incidents.host(), frames, shown);
        recorder.fleet = fleet.map(|fleet| Box::new(desk(fleet)));
        if let Some(endpoints) = endpoints {
            recorder.audience.clients.serve(endpoints, recorder.clock.clone())?;
        }
        Ok(recorder)
    }

    /// What was done with the privileges, for `dashcap status` and every bundle.
    pub fn confined(&mut self, account: privilege::Confinement) {
        self.watchers.limit(account.limitations);
    }

    /// Puts a further watcher to work.
    ///
    /// # Errors
    /// When the process is out of threads or descriptors.
    pub fn add_watcher(&mut self, watcher: impl Watcher) -> Result<()> {
        self.watchers.add(watcher)
    }
}
