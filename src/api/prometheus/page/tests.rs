//! What is scraped, read back by a small parser of both formats, and compared with the documentation.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::api::prometheus::store::Contents;
use crate::api::status::{
    Class, Interface, RecorderStatus, Timing, Traffic, TriggerFigures, Watcher,
};
use crate::export;
use crate::fleet::status::BusStatus;

const DOCUMENTATION: &str = include_str!("../../../../docs/metrics.md");

fn scraped() -> Scraped {
    let class = Class {
        name: "da\"ta\\".into(),
        inbound: Traffic { frames: 7, bytes: 700 },
        seconds: 41.5,
        full_seconds: 12.0,
        ..Class::default()
    };
    let mut standing = RecorderStatus {
        program: "dashcap 0.1.0".into(),
        since: "2026-11-22T14:14:20.811089123Z".into(),
        armed: true,
        interfaces: vec![Interface {
            name: "eth0".into(),
            up: Some(true),
            classes: vec![class, Class { name: "quiet".into(), ..Class::default() }],
            ..Interface::default()
        }],
        watchers: ["probe", "probe", "link"]
            .map(|name| Watcher { name: name.into(), missed: 2, running: true })
            .into(),
        exports: vec![export::DestinationStatus {
            to: "json udp://x:1".into(),
            ..Default::default()
        }],
        fleet: Some(BusStatus { fleet: "edge".into(), heard: 9, ..BusStatus::default() }),
        ..RecorderStatus::default()
    };
    standing.interfaces[0].counts.kernel_dropped = Some(3);
    standing.figures.triggers = vec![TriggerFigures { kind: "link-down".into(), count: 5 }];
    let mut buckets = Bucket::between(&[0.1, 1.0]);
    buckets[0].count = 1;
    buckets[1].count = 1;
    let incident = "2026-11-22T14-14-20.811Z_link-down_eth0".to_owned();
    buckets[1].latest = Some(Exemplar { incident, value: 0.45, at_seconds: 1_795_356_860.811 });
    standing.figures.freezing =
        Timing { count: 2, sum_seconds: 0.5, last_seconds: 0.45, most_seconds: 0.45, buckets };
    Scraped { standing, store: Some(Contents { bundles: 1, bytes: 2, free: None }) }
}

/// Samples by name and labels as written; fails on a line that no reader would take.
fn parse(page: &str) -> BTreeMap<String, f64> {
    let mut described = BTreeSet::new();
    let mut samples = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(described.insert(name.to_owned()), "{name} is described twice");
        } else if !line.starts_with('#') {
            let line = line.split(" # ").next().expect("what is before an exemplar");
            let (series, number) = line.rsplit_once(' ').expect("a number");
            let name = series.split('{').next().expect("a name");
            let ending =
                ["_total", "_bucket", "_sum", "_count"].iter().find(|&e| name.ends_with(e));
            let plain = ending.map_or(name, |ending| name.trim_end_matches(ending));
            assert!(described.contains(name) || described.contains(plain), "{line}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
            let number = number.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(samples.insert(series.to_owned(), number), None, "{series} comes twice");
        }
    }
    samples
}

#[test]
fn both_formats_say_the_same() {
    let scraped = scraped();
    let open = page(&scraped, Form::OpenMetrics);
    let text = page(&scraped, Form::Text);
    let samples = parse(&open);
    assert_eq!(samples, parse(&text));
    assert!(open.ends_with("# EOF\n") && !text.contains("# EOF"));
    for (series, number) in [
        ("dashcap_build_info{version=\"0.1.0\"}", 1.0),
        ("dashcap_start_time_seconds", 1_795_356_860.811),
        (
            "dashcap_frames_total{interface=\"eth0\",class=\"da\\\"ta\\\\\",direction=\"inbound\"}",
            7.0,
        ),
        ("dashcap_kernel_dropped_frames_total{interface=\"eth0\"}", 3.0),
        ("dashcap_depth_seconds{interface=\"eth0\",class=\"da\\\"ta\\\\\"}", 41.5),
        ("dashcap_triggers_total{kind=\"link-down\"}", 5.0),
        ("dashcap_freeze_seconds_bucket{le=\"0.1\"}", 1.0),
        ("dashcap_freeze_seconds_bucket{le=\"1.0\"}", 2.0),
        ("dashcap_freeze_seconds_bucket{le=\"+Inf\"}", 2.0),
        ("dashcap_freeze_seconds_sum", 0.5),
        ("dashcap_freeze_seconds_count", 2.0),
        ("dashcap_incidents_frozen_total", 2.0),
        ("dashcap_observations_missed_total{watcher=\"probe\"}", 4.0),
        ("dashcap_store_bytes", 2.0),
        ("dashcap_export_reached{to=\"json udp://x:1\"}", 0.0),
        ("dashcap_fleet_connected{fleet=\"edge\"}", 0.0),
        ("dashcap_fleet_notices_heard_total{fleet=\"edge\"}", 9.0),
    ] {
        assert_eq!(samples.get(series), Some(&number), "{series} in {samples:#?}");
    }
    for absent in ["kernel_received", "store_free", "quiet\"} NaN", "write_most"] {
        let found = samples.keys().find(|series| series.contains(absent));
        assert_eq!(found, None, "what is not known is not told");
    }
    assert!(text.contains(
        "# HELP dashcap_triggers_total Triggers that counted.\n\
         # TYPE dashcap_triggers_total counter\n"
    ));
}

#[test]
fn a_bucket_names_its_latest_incident_where_the_format_can() {
    let scraped = scraped();
    let line = "dashcap_freeze_seconds_bucket{le=\"1.0\"} 2";
    let incident = "2026-11-22T14-14-20.811Z_link-down_eth0";
    let open = page(&scraped, Form::OpenMetrics);
    let named = format!("{line} # {{incident=\"{incident}\"}} 0.45 1795356860.811\n");
    assert!(open.contains(&named), "{open}");
    assert!(page(&scraped, Form::Text).contains(&format!("{line}\n")));
    let named = |length| {
        let incident = "x".repeat(length);
        behind(&Exemplar { incident, ..Exemplar::default() }).is_some()
    };
    // Longer than that is no name of a bundle: time, kind and 64 characters of an object.
    assert!(named(120) && !named(121), "what Prometheus would refuse is left out");
}

#[test]
fn the_documentation_lists_every_metric_as_it_is() {
    let mut expected = BTreeSet::new();
    for metric in ALL {
        let (ending, kind) = match metric.kind {
            MetricKind::Counter => ("_total", "counter"),
            MetricKind::Gauge => ("", "gauge"),
            MetricKind::Histogram => ("", "histogram"),
        };
        let labels = metric.labels.iter().map(|label| format!("`{label}`"));
        let labels = labels.collect::<Vec<_>>().join(", ");
        let Metric { name, help, .. } = metric;
        expected.insert(format!("| `{PREFIX}_{name}{ending}` | {kind} | {labels} | {help} |"));
    }
    let rows = DOCUMENTATION.lines().filter(|line| line.starts_with("| `dashcap_"));
    let documented: BTreeSet<String> = rows.map(str::to_owned).collect();
    let missing: Vec<_> = expected.difference(&documented).collect();
    let wrong: Vec<_> = documented.difference(&expected).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "missing: {missing:#?}, wrong: {wrong:#?}");
}

#[test]
fn the_format_is_the_one_that_is_accepted() {
    // As Prometheus 3 asks, and as curl does.
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
    assert_eq!(Form::accepted(prometheus), Form::OpenMetrics);
    assert_eq!(Form::accepted("*/*"), Form::Text);
    assert_eq!(Form::accepted(""), Form::Text);
}
