//! Options as the operator would write them, defaults included: what the manifest shows.

use super::export::{Export, Webhook};
use super::fleet::Fleet;
use super::hooks::Hook;
use super::options::usual_probe;
use super::probes::WrittenProbe;
use super::table::TriggerTable;
use super::traffic::{FilterMatch, RateLimit, Silence};
use super::watchers::{Attribute, Log};
use super::{Fade, Fold, OFF, Pack, Sandbox, Settings, WrittenClass};
use crate::api::web;
use crate::capture;
use crate::cli::values::{Age, On, Part, Size, TimeSpan};
use crate::recorder;
use crate::ring::LaneOptions;
use crate::trigger::Choice;

impl Settings {
    /// These options as the operator would write them, defaults included: what the manifest shows.
    pub(super) fn of(options: &recorder::Options) -> Self {
        let capture::Options { source, ring, classes, lane } = &options.capture;
        let LaneOptions { fold, pack } = lane;
        let probe = options.probes.first();
        let recorder::WatcherOptions { logs, attributes, ip, counters } = &options.watchers;
        let usual_probe = usual_probe(probe);
        let looked_for = &options.detect.traffic;
        let kernel_memory = u64::from(ring.blocks) * u64::from(ring.block_size);
        Self {
            interface: options.interfaces.clone(),
            memory: Some(Size(options.pool.memory)),
            lock_memory: options.pool.lock,
            ring_file: options.ring_file.clone(),
            pre: Some(TimeSpan(options.window.pre)),
            post: Some(TimeSpan(options.window.post)),
            limit: Some(TimeSpan(options.window.limit)),
            cool_down: Some(TimeSpan(options.cool_down)),
            filter: options.capture.filter(),
            snaplen: Some(ring.snaplen),
            promiscuous: ring.promiscuous,
            hardware_stamps: ring.hardware_stamps,
            source: Some(*source),
            kernel_memory: Some(Size(kernel_memory)),
            traffic_memory: Some(Size(options.traffic.memory)),
            fold: Some(if fold.enabled { Fold::Exact } else { Fold::Off }),
            fold_keep: Some(fold.keep),
            pack: Some(if pack.enabled { Pack::Zstd } else { Pack::Off }),
            fade: Some(if pack.fade { Fade::Headers } else { Fade::Off }),
            full: Some(TimeSpan(pack.full)),
            control_memory: Some(Part(classes.control)),
            class: classes
                .own
                .iter()
                .map(|class| WrittenClass {
                    name: class.name.to_string(),
                    filter: class.filter.to_string(),
                    memory: Part(class.memory),
                })
                .collect(),
            probe: options.probes.iter().map(|p| WrittenProbe::of(p, &usual_probe)).collect(),
            probe_interval: probe.map(|probe| TimeSpan(probe.interval)),
            probe_timeout: probe.map(|probe| TimeSpan(probe.timeout)),
            probe_fall: Some(usual_probe.fall),
            log: Log::of(logs),
            neighbour: ip.neighbours.clone(),
            attribute: Attribute::of(attributes),
            // Without a choice they follow the recorded interfaces.
            counter_interface: Some(&counters.interfaces)
                .filter(|names| **names != options.interfaces)
                .cloned()
                .unwrap_or_default(),
            counter_at_least: Some(counters.at_least),
            filter_match: options.wanted.iter().map(FilterMatch::of).collect(),
            rate_limit: looked_for.limits.iter().map(RateLimit::of).collect(),
            silence: looked_for.silent_classes.iter().map(Silence::of).collect(),
            on: options
                .rules
                .iter()
                .filter(|rule| rule.is_short())
                .map(|rule| On(vec![Choice::Arm(rule.clone().into())]))
                .collect(),
            trigger: options
                .rules
                .iter()
                .filter(|rule| !rule.is_short())
                .map(TriggerTable::of)
                .collect(),
            interval: Some(TimeSpan(options.timeline.interval)),
            output: Some(options.output.clone()),
            compression: Some(options.writer.level.0),
            hourly_count: Some(options.budget.count),
            hourly_bytes: options.budget.bytes.map(Size),
            keep_count: options.writer.retention.count,
            keep_bytes: options.writer.retention.bytes.map(Size),
            keep_age: options.writer.retention.age.map(Age),
            keep_free: options.writer.retention.free.map(Size),
            control: Some(
                options.api.control.as_ref().map_or(OFF.into(), |control| control.path.clone()),
            ),
            trigger_directory: options.api.directory.as_ref().map(|o| o.path.clone()),
            http: options.api.http.as_ref().map(|http| http.listen.to_string()),
            http_token_file: options.api.http.as_ref().map(|http| http.token_file.clone()),
            user: options.privilege.user.clone(),
            sandbox: Some(if options.privilege.sandbox { Sandbox::On } else { Sandbox::Off }),
            collect_directory: Some(options.programs.collect.clone().unwrap_or(OFF.into())),
            hook: options.programs.hooks.iter().map(Hook::of).collect(),
            metrics: options.api.metrics.as_ref().map(|metrics| metrics.listen.to_string()),
            web: options.api.web.as_ref().map(web::Options::place),
            export: options.api.export.remotes.iter().map(Export::of).collect(),
            webhook: options.api.export.webhooks.iter().map(Webhook::of).collect(),
            fleet: options.api.fleet.as_ref().map(Fleet::of),
            config: None,
        }
    }
}
