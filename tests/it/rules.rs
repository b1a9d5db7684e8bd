//! What rules make of what happens: waiting, holding, merging; each as an operator writes it.

use std::path::Path;
use std::time::Duration;

use crossbeam_channel::bounded;
use dashcap::capture;
use dashcap::error::Result;
use dashcap::finding::{Finding, FindingKind, Severity};
use dashcap::frame::Direction;
use dashcap::incident::writer;
use dashcap::observation::Fact;
use dashcap::recorder::{Options, Recorder, WatcherOptions, WindowOptions};
use dashcap::ring::PoolOptions;
use dashcap::time::Clock;
use dashcap::trigger::Rule;
use dashcap::watch::{Wake, Watcher, WatcherContext, sysfs};

use crate::lab::{Dashcap, Lab, Pace};

/// A configuration file with these triggers.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    std::fs::write(file.path(), text).expect("it can be written");
    file
}

/// dashcap with `config`, recording both cables.
fn record(lab: &Lab, config: &Path, options: &[&str]) -> Dashcap {
    let config = ["-i", "eth0", "-i", "eth1", "-c", config.to_str().expect("text")];
    lab.record(&[&config[..], options].concat())
}

fn two_cables() -> Option<Lab> {
    let lab = Lab::new()?;
    lab.cable("eth1", "far1");
    Some(lab)
}

const EARLY_AND_LATE: &str = r#"
    [[trigger]]
    name = "early"
    kind = "link-down"
    interface = "eth0"
    hold = { confirm = "late", within = "WITHIN" }
    [[trigger]]
    name = "late"
    kind = "link-down"
    interface = "eth1"
"#;

#[test]
fn what_is_held_and_confirmed_is_one_bundle_that_begins_with_the_early_watcher() {
    let Some(lab) = two_cables() else { return };
    let file = file(&EARLY_AND_LATE.replace("WITHIN", "10m"));
    let dashcap = record(&lab, file.path(), &["--pre", "300ms", "--post", "10m"]);
    let talker = lab.far.talk("far1", Pace::GENTLE);
    talker.wait_for(100);
    lab.far.ip("link set far0 down");
    dashcap.wait_for("held, kept if late follows within");
    // Longer than the window reaches back from the second trigger.
    talker.wait_for_more(200);
    assert!(lab.bundles().is_empty());
    lab.far.ip("link set far1 down");
    dashcap.wait_for("link-down: eth1: DOWN");
    dashcap.wait_for("link-down: confirmed by link-down");
    dashcap.finish_well();
    talker.stop();

    let bundle = lab.bundle();
    assert!(bundle.name().ends_with("_link-down_eth0"), "{}", bundle.name());
    assert_eq!(bundle.triggers(), ["link-down eth0", "link-down eth1"]);
    assert_eq!(bundle.length_before(), Duration::from_millis(300), "from the early watcher on");
    let between = bundle.mono("/triggers/1/mono_ns").since(bundle.mono("/triggers/0/mono_ns"));
    assert!(between > Duration::from_millis(900), "200 frames, 5 ms each: {between:?}");
    assert_eq!(bundle.jq("[.missing[].reason]|unique"), r#"["cut short by a stop signal"]"#);
    assert!(bundle.numbers("eth1").len() >= 200);
}

#[test]
fn what_is_held_and_not_confirmed_leaves_nothing_but_a_count() {
    let Some(lab) = two_cables() else { return };
    let file = file(&EARLY_AND_LATE.replace("WITHIN", "200ms"));
    let dashcap = record(&lab, file.path(), &[]);
    let talker = lab.far.talk("far1", Pace::GENTLE);
    talker.wait_for(50);
    lab.far.ip("link set far0 down");
    dashcap.wait_for("link-down: released, nothing confirmed it: eth0: DOWN");
    // Too late for it, and a bundle of its own.
    talker.wait_for_more(50);
    let sent = talker.stop();
    lab.far.ip("link set far1 down");
    dashcap.wait_for("link-down: eth1: DOWN");
    let end = dashcap.finish_well();
    assert_eq!(end.received("eth1"), (sent.len() as u64, sent.len() as u64));
    assert!(end.log.contains("1 held windows were released unconfirmed"), "{end:?}");
    let bundle = lab.bundle();
    assert_eq!(bundle.triggers(), ["link-down eth1"]);
    bundle.holds_what_was_sent("eth1", &sent);
}

#[test]
fn a_rule_with_a_time_waits_and_its_window_reaches_back_to_the_beginning() {
    let Some(lab) = Lab::new() else { return };
    // The kernel may tell of a carrier a second late (linkwatch_schedule_work, net/core/link_watch.c).
    let file = file(
        "[[trigger]]\nkind = \"link-down\"\nfor = \"4s\"\npre = \"500ms\"\npost = \"300ms\"\n",
    );
    let config = file.path().to_str().unwrap();
    let dashcap = lab.record(&["-i", "eth0", "-c", config]);
    lab.far.ip("link set far0 down");
    dashcap.wait_for("eth0: DOWN");
    lab.far.ip("link set far0 up");
    dashcap.wait_for("eth0: UP");
    lab.far.ip("link set far0 down");
    dashcap.wait_for("; so for 4s; window frozen");
    dashcap.wait_for("bundle /");
    dashcap.finish_well();
    let bundle = lab.bundle();
    assert_eq!(bundle.triggers(), ["link-down eth0"]);
    assert_eq!(bundle.length_before(), Duration::from_millis(4_500));
    assert_eq!(bundle.length_after(0), Duration::from_millis(300));
    let down = bundle.jq(".triggers[0].sentence");
    assert!(down.starts_with("eth0: DOWN") && down.ends_with("; so for 4s"), "{down}");
}

/// A detector that has gone mad: so many findings a second, of so many kinds.
struct Storm {
    findings: u64,
}

impl Watcher for Storm {
    const NAME: &'static str = "storm";

    fn run(self, context: &mut WatcherContext) -> Result<()> {
        const PAUSE: Duration = Duration::from_millis(1);
        for n in 0..self.findings {
            let at = context.now();
            let kind = [FindingKind::Drops, FindingKind::VrrpSilence][usize::from(n % 10 == 0)];
            let finding = Finding {
                kind,
                severity: Severity::Critical,
                first: at,
                last: at,
                interface: Some("eth0".to_owned()),
                direction: Direction::Inbound,
                count: 1,
                rate: None,
                what: format!("number {n}"),
                sentence: format!("finding {n}"),
                parties: Vec::new(),
                over: false,
            };
            context.send_until_taken(at, &Fact::Finding(Box::new(finding)))?;
            if context.wait(&[], Some(at.mono.plus(PAUSE)))? == Wake::Stop {
                return Ok(());
            }
        }
        context.send_until_taken(context.now(), &Fact::StopSignal)
    }
}

#[test]
fn a_storm_of_triggers_is_one_incident_with_counts_and_no_frame_is_lost() {
    const FINDINGS: u64 = 3_000;
    let Some(lab) = Lab::new() else { return };
    let (ready, is_ready) = bounded(1);
    let options = Options {
        ring_file: None,
        traffic: dashcap::traffic::Options::default(),
        interfaces: vec!["eth0".to_owned()],
        api: dashcap::api::Options::default(),
        programs: dashcap::hook::Options::default(),
        pool: PoolOptions { memory: 32 << 20, lock: false },
        capture: capture::Options::default(),
        window: WindowOptions::new(Duration::from_secs(60), Duration::from_secs(600)),
        cool_down: Duration::from_secs(30),
        rules: Rule::defaults(false),
        probes: Vec::new(),
        watchers: WatcherOptions::default(),
        detect: dashcap::detect::watcher::Options::default(),
        wanted: Vec::new(),
        timeline: sysfs::Options::default(),
        output: lab.output().to_owned(),
        writer: writer::Options::default(),
        budget: dashcap::trigger::budget::Options::default(),
        privilege: dashcap::privilege::Options::default(),
        settings: serde_json::Value::Null,
    };
    let (sent, summary) = std::thread::scope(|scope| {
        let recording = scope.spawn(|| {
            lab.near.inside(|| {
                let mut recorder = Recorder::start(options, Clock::system()).unwrap();
                let _ = ready.send(());
                recorder.add_watcher(Storm { findings: FINDINGS }).unwrap();
                recorder.run(|_| {})
            })
        });
        is_ready.recv().expect("it started");
        let talker = lab.far.talk("far0", Pace::GENTLE);
        let summary = recording.join().unwrap();
        (talker.stop(), summary)
    });
    assert!(!sent.is_empty());

    let bundle = lab.bundle();
    assert_eq!(summary.bundles.len(), 1);
    assert_eq!(bundle.jq(".triggers|length"), "101", "the first and a hundred more");
    assert_eq!(bundle.jq(".further_triggers"), (FINDINGS - 101).to_string());
    assert_eq!(
        bundle.jq("[.trigger_counts[]|[.kind,.object,.count]]"),
        r#"[["vrrp-silence","eth0",300],["drops","eth0",2700]]"#
    );
    assert_eq!(bundle.jq(".observations.missed"), "0");
    let told = bundle.events.iter().filter(|event| event["what"]["fact"] == "finding").count();
    assert_eq!(told as u64, FINDINGS, "each finding is told, however many");
    // Frames after the stop signal are not recorded.
    let last = *bundle.numbers("eth0").last().expect("frames");
    let held: Vec<_> = sent.into_iter().filter(|frame| frame.number <= last).collect();
    bundle.holds_what_was_sent("eth0", &held);
}
