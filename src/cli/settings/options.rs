//! What the settings mean: each part's own options, with the defaults.

use std::path::PathBuf;

use super::fleet::{self, Fleet};
use super::probes::WrittenProbe;
use super::traffic::{FilterMatch, RateLimit, Silence};
use super::watchers::{Attribute, Log};
use super::{Defaults, Fade, Fold, OFF, Pack, Sandbox, Settings, WrittenClass, export, file};
use crate::api::{self, control, directory, http, web};
use crate::capture::filter::Filter;
use crate::capture::{self, Wanted, afpacket, classes};
use crate::cli::values::{Size, TimeSpan};
use crate::detect;
use crate::error::{Error, Result};
use crate::frame::MAX_SNAPLEN;
use crate::incident::pcapng::Level;
use crate::incident::writer;
use crate::privilege;
use crate::recorder::{self, WindowOptions};
use crate::report;
use crate::ring::{LaneOptions, PoolOptions};
use crate::traffic;
use crate::trigger::{About, Choice, Gate, Names, Rule, TriggerKind, budget, chosen};
use crate::watch::{probe, sysfs};

impl Settings {
    /// The options of a recording. `rules` are armed unless the operator names triggers.
    ///
    /// # Errors
    /// When the file cannot be read, or a value has no meaning.
    pub(in crate::cli) fn options(
        self,
        defaults: Defaults,
        rules: impl FnOnce(&Self) -> Vec<Rule>,
    ) -> Result<recorder::Options> {
        let settings = match self.config.clone() {
            Some(file) => self.or(file::read(&file)?),
            None => self,
        };
        let span = |given: Option<TimeSpan>, default| given.map_or(default, |span| span.0);
        let mut window = WindowOptions::new(
            span(settings.pre, defaults.pre),
            span(settings.post, defaults.post),
        );
        window.limit = span(settings.limit, window.limit);
        window.check()?;
        let tables = settings.trigger.iter().map(|table| Choice::Arm(table.rule().clone().into()));
        let choices: Vec<_> =
            settings.on.iter().flat_map(|on| on.0.clone()).chain(tables).collect();
        let rules = chosen(&choices, || rules(&settings))?;
        Rule::check_all(&rules)?;
        let needs_probe = |rule: &&Rule| rule.kind().about() == About::Probe;
        if let Some(rule) = rules.iter().find(needs_probe).filter(|_| settings.probe.is_empty()) {
            let accepted = "together with a host to ping, such as --probe 192.0.2.1";
            return Err(Error::usage(
                "--on",
                rule.called(),
                "this trigger needs a probe, and there is none",
                accepted,
            ));
        }
        let mut options = recorder::Options {
            pool: settings.pool()?,
            ring_file: settings.ring_file.clone(),
            traffic: settings.traffic()?,
            capture: settings.capture()?,
            window,
            cool_down: span(settings.cool_down, Gate::COOL_DOWN),
            budget: settings.budget()?,
            rules,
            probes: settings.probes()?,
            watchers: settings.watchers()?,
            detect: settings.detect()?,
            wanted: settings.wanted()?,
            timeline: settings.timeline()?,
            writer: settings.writer()?,
            api: settings.api(defaults)?,
            privilege: settings.privilege()?,
            programs: settings.programs()?,
            output: settings.output.unwrap_or_else(|| PathBuf::from(".")),
            interfaces: settings.interface,
            settings: serde_json::Value::Null,
        };
        fleet::check_rules(&options.rules, options.api.fleet.as_ref())?;
        options.settings = serde_json::to_value(Self::of(&options)).unwrap_or_default();
        Ok(options)
    }

    fn privilege(&self) -> Result<privilege::Options> {
        let sandbox = self.sandbox.is_none_or(|sandbox| sandbox == Sandbox::On);
        let options = privilege::Options { user: self.user.clone(), sandbox };
        options.check().map(|()| options)
    }

    fn pool(&self) -> Result<PoolOptions> {
        let memory = self.memory.map_or(PoolOptions::default().memory, |size| size.0);
        let pool = PoolOptions { memory, lock: self.lock_memory };
        pool.check().map(|()| pool)
    }

    fn traffic(&self) -> Result<traffic::Options> {
        let usual = traffic::Options::default();
        let memory = self.traffic_memory.map_or(usual.memory, |Size(bytes)| bytes);
        let options = traffic::Options { memory };
        options.check().map(|()| options)
    }

    fn capture(&self) -> Result<capture::Options> {
        let mut ring = afpacket::Options {
            snaplen: self.snaplen.unwrap_or(MAX_SNAPLEN),
            promiscuous: self.promiscuous,
            hardware_stamps: self.hardware_stamps,
            filter: self.filter.as_deref().map(Filter::parse).transpose()?,
            ..afpacket::Options::default()
        };
        if let Some(Size(bytes)) = self.kernel_memory {
            ring.blocks = u32::try_from(bytes / u64::from(ring.block_size)).unwrap_or(u32::MAX);
        }
        let mut lane = LaneOptions::default();
        lane.fold.enabled = self.fold.is_none_or(|fold| fold == Fold::Exact);
        lane.fold.keep = self.fold_keep.unwrap_or(lane.fold.keep);
        lane.pack.enabled = self.pack.is_none_or(|pack| pack == Pack::Zstd);
        lane.pack.fade = self.fade.map_or(lane.pack.enabled, |fade| fade == Fade::Headers);
        lane.pack.full = self.full.map_or(lane.pack.full, |span| span.0);
        let classes = self.classes()?;
        let source = self.source.unwrap_or_default();
        let options = capture::Options { source, ring, classes, lane };
        options.check().map(|()| options)
    }

    fn classes(&self) -> Result<classes::Options> {
        let own = |class: &WrittenClass| {
            let filter = Filter::parse(&class.filter)?;
            Ok(classes::Class { name: (&*class.name).into(), filter, memory: class.memory.0 })
        };
        let mut options = classes::Options::default();
        options.control = self.control_memory.map_or(options.control, |part| part.0);
        options.own = self.class.iter().map(own).collect::<Result<_>>()?;
        Ok(options)
    }

    fn probes(&self) -> Result<Vec<probe::Options>> {
        let mut usual = usual_probe(None);
        usual.fall = self.probe_fall.unwrap_or(usual.fall);
        usual.interval = self.probe_interval.map_or(usual.interval, |span| span.0);
        usual.timeout = self.probe_timeout.map_or(usual.timeout, |span| span.0);
        let probes: Vec<_> = self.probe.iter().map(|probe| probe.options(&usual)).collect();
        probe::check_all(&probes).map(|()| probes)
    }

    fn watchers(&self) -> Result<recorder::WatcherOptions> {
        let refuse = |key: &str, reason: String| Error::usage(key, "", reason, "one or the other");
        let mut watchers = recorder::WatcherOptions {
            logs: Log::all(&self.log).map_err(|reason| refuse("log", reason))?,
            attributes: Attribute::all(&self.attribute)
                .map_err(|reason| refuse("attribute", reason))?,
            ..recorder::WatcherOptions::default()
        };
        watchers.ip.neighbours.clone_from(&self.neighbour);
        let counters = &mut watchers.counters;
        counters.at_least = self.counter_at_least.unwrap_or(counters.at_least);
        // What is recorded are names, and no wildcards, though a name may have their characters.
        counters.interfaces = match &self.counter_interface[..] {
            [] => self.interface.iter().map(|name| globset::escape(name)).collect(),
            named => named.to_vec(),
        };
        watchers.check().map(|()| watchers)
    }

    fn detect(&self) -> Result<detect::watcher::Options> {
        let mut options = detect::watcher::Options::default();
        let traffic = &mut options.traffic;
        traffic.limits = self.rate_limit.iter().map(RateLimit::limit).collect::<Result<_>>()?;
        traffic.silent_classes = self.silence.iter().map(Silence::class).collect();
        traffic.check(&self.classes()?.names()).map(|()| options)
    }

    fn wanted(&self) -> Result<Vec<Wanted>> {
        self.filter_match.iter().map(FilterMatch::wanted).collect()
    }

    /// What is armed unless the operator names triggers: what always is, and what he said to watch.
    pub(in crate::cli) fn usual_rules(&self) -> Vec<Rule> {
        let plain = [
            (TriggerKind::ProbeSlow, self.probe.iter().any(WrittenProbe::has_slow)),
            (TriggerKind::ProbeLossy, self.probe.iter().any(WrittenProbe::has_loss)),
        ];
        let plain = plain.into_iter().filter(|(_, wanted)| *wanted);
        let mut rules = Rule::defaults(!self.probe.is_empty());
        rules.extend(plain.map(|(kind, _)| Rule::new(kind)));
        let named = self.log.iter().any(Log::is_somewhere);
        let down = Rule::LOGS_NAMED.into_iter().filter(|_| named);
        let logs = down.chain(self.log.iter().flat_map(Log::own_names));
        let paths = self.attribute.iter().filter_map(|watched| {
            // What is no pattern is refused where it is opened.
            let object = Some(Names::parse(watched.path()).ok()?);
            Some(Rule { object, ..Rule::new(TriggerKind::Attribute) })
        });
        for rule in logs.filter_map(Rule::of_log).chain(paths) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        rules
    }

    fn timeline(&self) -> Result<sysfs::Options> {
        let mut options = sysfs::Options::default();
        options.interval = self.interval.map_or(options.interval, |span| span.0);
        options.check().map(|()| options)
    }

    fn budget(&self) -> Result<budget::Options> {
        let mut options = budget::Options::default();
        options.count = self.hourly_count.unwrap_or(options.count);
        options.bytes = self.hourly_bytes.map(|size| size.0);
        options.check().map(|()| options)
    }

    fn writer(&self) -> Result<writer::Options> {
        let mut options = writer::Options::default();
        options.level = self.compression.map_or(options.level, Level);
        options.report = Some(report::of_bundle);
        let retention = &mut options.retention;
        retention.count = self.keep_count;
        retention.bytes = self.keep_bytes.map(|size| size.0);
        retention.age = self.keep_age.map(|age| age.0);
        retention.free = self.keep_free.map(|size| size.0);
        options.check().map(|()| options)
    }

    fn api(&self, defaults: Defaults) -> Result<api::Options> {
        let control = match &self.control {
            Some(path) if path.as_os_str() == OFF => None,
            Some(path) => Some(control::Options::at(path.clone())),
            None => defaults.control.then(control::Options::default),
        };
        let directory = self.trigger_directory.clone().map(|path| directory::Options { path });
        let listen = self.http.as_deref().map(http::Options::address).transpose()?;
        let token_file = self.http_token_file.clone().unwrap_or_default();
        let http = listen.map(|listen| http::Options { listen, token_file });
        let listen = self.metrics.as_deref().map(http::MetricsOptions::address).transpose()?;
        let metrics = listen.map(|listen| http::MetricsOptions { listen });
        let web = self.web.as_deref().map(web::Options::parse).transpose()?.flatten();
        let export = export::options(&self.export, &self.webhook)?;
        let fleet = self.fleet.as_ref().map(Fleet::options).transpose()?.flatten();
        let options = api::Options { control, directory, http, metrics, web, export, fleet };
        options.check().map(|()| options)
    }
}

/// What a probe is that says nothing but its host: as `first`, if there is one.
pub(super) fn usual_probe(first: Option<&probe::Options>) -> probe::Options {
    let mut usual = probe::Options::new("");
    if let Some(probe::Options { fall, interval, timeout, .. }) = first {
        (usual.fall, usual.interval, usual.timeout) = (*fall, *interval, *timeout);
    }
    usual
}
