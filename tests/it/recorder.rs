//! When incidents open, extend, close and are cut; and that no frame is lost meanwhile.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use dashcap::error::Result;
use dashcap::incident::writer;
use dashcap::observation::Fact;
use dashcap::recorder::{Options, Recorder, WatcherOptions, WindowOptions};
use dashcap::ring::PoolOptions;
use dashcap::time::Clock;
use dashcap::watch::{Watcher, WatcherContext, sysfs};
use dashcap::{api, capture, trigger::Rule};

use crate::lab::{self, Lab, Pace, frame, until, whole_bundles_in};

/// A window that a story ends by itself.
const OPEN_END: [&str; 4] = ["--pre", "1m", "--post", "10m"];
/// Room for every frame of a story: what is missing then was lost by a mistake.
const AMPLE: [&str; 2] = ["--memory", "64MiB"];

#[test]
fn a_pulled_link_leaves_a_bundle_that_tells_the_story() {
    let Some(lab) = Lab::new() else { return };
    let options = ["-i", "eth0", "--interval", "100ms", "--on", "link-down"];
    let dashcap = lab.record(&[&options[..], &OPEN_END].concat());
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(100);
    lab.far.ip("link set far0 down");
    dashcap.wait_for("link-down: eth0: DOWN");
    lab.far.ip("link set far0 up");
    dashcap.wait_for("eth0: UP");
    talker.wait_for_more(100);
    dashcap.finish_well();
    talker.stop();

    let bundle = lab.bundle();
    assert!(bundle.name().ends_with("_link-down_eth0"), "{}", bundle.name());
    assert_eq!(bundle.triggers(), ["link-down eth0"]);
    let trigger = bundle.trigger_at(0);

    let numbers = bundle.numbers("eth0");
    let broken: Vec<_> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert!(broken.len() <= 1, "frames sent while nobody heard them are one hole: {broken:?}");
    let before = bundle.packets.iter().filter(|p| p.number.is_some() && p.at < trigger).count();
    assert!(before >= 100, "{before} frames before the failure");
    assert!(numbers.len() - before >= 50, "{} frames after it", numbers.len() - before);

    let states: Vec<_> = bundle.timeline.iter().map(|row| (row.at, row.state.as_str())).collect();
    let first = states.first().expect("rows");
    assert!(first.0 < trigger && first.1 == "up", "{states:?}");
    // The table has milliseconds.
    let change = trigger.0 / 1_000_000 * 1_000_000;
    let at_change = states.iter().position(|(at, state)| at.0 == change && *state != "up");
    let at_change = at_change.unwrap_or_else(|| panic!("no row at the change: {states:?}"));
    assert!(states[at_change..].iter().any(|(_, state)| *state == "up"), "recovery: {states:?}");

    let journal = bundle.journal();
    let position = |text: &str| {
        let at = journal.iter().position(|line| line.contains(text));
        at.unwrap_or_else(|| panic!("{text}: {journal:#?}"))
    };
    assert!(position("eth0: DOWN, carrier on -> off") < position("TRIGGER link-down"));
    assert!(position("TRIGGER link-down") < position("eth0: UP"));
}

#[test]
fn a_silent_interface_does_not_keep_an_incident_open() {
    let Some(lab) = Lab::new() else { return };
    let dashcap = lab.record(&["-i", "eth0", "--pre", "500ms", "--post", "700ms"]);
    dashcap.snapshot();
    dashcap.wait_for("bundle ");
    dashcap.finish_well();

    let bundle = lab.bundle();
    assert!(bundle.packets.is_empty(), "{:?}", bundle.packets);
    assert_eq!(bundle.jq("[.interfaces[].in_bundle|.frames,.first,.last]"), "[0,null,null]");
    assert_eq!(bundle.jq(".window.ending.how"), "on_time");
    assert_eq!(bundle.length_before(), Duration::from_millis(500));
    assert_eq!(bundle.length_after(0), Duration::from_millis(700));
    // Two ticks of the recorder, and what a frame may be late.
    let late = bundle.mono("/interfaces/0/counted_at/mono_ns").since(bundle.end());
    assert!(late < Duration::from_secs(2), "closed {late:?} late");
}

#[test]
fn a_second_trigger_in_the_post_window_extends_the_incident() {
    let Some(lab) = Lab::new() else { return };
    // The kernel may tell of a carrier a second late (linkwatch_schedule_work, net/core/link_watch.c).
    let post = Duration::from_secs(3);
    let dashcap = lab.record(&["-i", "eth0", "--pre", "1s", "--post", "3s"]);
    dashcap.snapshot();
    lab.far.ip("link set far0 down");
    dashcap.wait_for("link-down: eth0: DOWN");
    dashcap.wait_for("bundle ");
    dashcap.finish_well();

    let bundle = lab.bundle();
    assert_eq!(bundle.triggers(), ["signal", "link-down eth0"]);
    assert_eq!(bundle.length_after(1), post, "it counts from the last trigger");
    assert!(bundle.length_after(0) > post);
    assert_eq!(bundle.jq(".window.asked.seconds"), "4");
    assert_eq!(bundle.jq(".window.ending.how"), "on_time");
    let told = bundle.events.iter().filter(|event| event["kind"] == "trigger");
    let told: Vec<_> = told.map(|event| event["trigger"].as_str().unwrap()).collect();
    assert_eq!(told, ["signal", "link-down"]);
}

#[test]
fn a_flapping_link_gives_one_bundle_up_to_the_limit_and_then_cools_down() {
    let Some(lab) = Lab::new() else { return };
    let window = ["--pre", "1s", "--post", "2s", "--limit", "3s", "--cool-down", "1h"];
    let dashcap = lab.record(&[&["-i", "eth0"][..], &window].concat());
    until("cooling down", || {
        lab.far.ip("link set far0 down");
        lab.far.ip("link set far0 up");
        dashcap.has_said("link-down: not frozen, cooling down").then_some(())
    });
    dashcap.wait_for("bundle ");
    dashcap.finish_well();

    let bundle = lab.bundle();
    let triggers = bundle.triggers();
    assert!(triggers.len() > 1, "{triggers:?}");
    let flaps = ["link-down eth0", "link-flapping eth0"];
    assert!(triggers.iter().all(|trigger| flaps.contains(&&**trigger)), "{triggers:?}");
    assert_eq!(bundle.jq(".window.ending.how"), "limit");
    assert_eq!(bundle.length_after(0), Duration::from_secs(3));
}

#[test]
fn sigterm_before_any_trigger_leaves_nothing_behind() {
    let Some(lab) = Lab::new() else { return };
    let dashcap = lab.record(&["-i", "eth0"]);
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(50);
    let sent = talker.stop().len() as u64;
    let end = dashcap.finish_well();
    assert_eq!(end.received("eth0"), (sent, sent));
    assert!(lab.bundles().is_empty());
}

#[test]
fn sigterm_in_the_post_window_cuts_the_incident_and_the_bundle_says_so() {
    let Some(lab) = Lab::new() else { return };
    let dashcap = lab.record(&["-i", "eth0", "--pre", "1s", "--post", "10m"]);
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(50);
    dashcap.snapshot();
    talker.wait_for_more(50);
    dashcap.finish_well();
    let sent = talker.stop();

    let bundle = lab.bundle();
    assert_eq!(bundle.jq(".window.ending|[.how,.by]|join(\" by \")"), "cut by a stop signal");
    assert_eq!(bundle.jq("[.missing[].reason]|last"), "cut short by a stop signal");
    assert!(bundle.journal().iter().any(|line| line.contains("stop asked for by signal")));
    bundle.holds_what_was_sent("eth0", &sent);
}

#[test]
fn sigterm_while_a_bundle_is_written_waits_for_it() {
    let Some(lab) = Lab::new() else { return };
    // The slowest compression, so that writing takes long enough to be met.
    let window = ["--pre", "1m", "--post", "0s", "--compression", "22"];
    let dashcap = lab.record(&[&["-i", "eth0"][..], &AMPLE, &window].concat());
    let pace = Pace { burst: 50, pause: Duration::from_millis(1), len: 1_500, from: 0 };
    let talker = lab.far.talk("far0", pace);
    talker.wait_for(5_000);
    dashcap.signal(nix::sys::signal::Signal::SIGUSR1);
    until("a bundle being written", || {
        let mut entries = std::fs::read_dir(lab.output()).unwrap().flatten();
        entries.any(|e| e.file_name().to_string_lossy().ends_with(".partial")).then_some(())
    });
    let end = dashcap.finish_well();
    let sent = talker.stop();

    let place = |text: &str| end.log.find(text).unwrap_or_else(|| panic!("{text}: {end:?}"));
    assert!(place("stop asked for by signal") < place("bundle /"), "it met the writing: {end:?}");
    let bundle = lab.bundle();
    assert_eq!(bundle.jq(".window.ending.how"), "on_time");
    bundle.holds_what_was_sent("eth0", &sent);
}

#[test]
fn numbered_frames_are_all_there_once_across_freezes() {
    const FRAMES: u64 = 200_000;
    const SNAPSHOTS: u64 = 4;
    let Some(lab) = Lab::new() else { return };
    let window = ["--pre", "300ms", "--post", "200ms"];
    let dashcap = lab.record(&[&["-i", "eth0"][..], &AMPLE, &window].concat());
    let pace = Pace { burst: 100, pause: Duration::from_millis(1), len: 64, from: 0 };
    let talker = lab.far.talk("far0", pace);
    for part in 1..=SNAPSHOTS {
        talker.wait_for(FRAMES / SNAPSHOTS * part);
        dashcap.snapshot();
        let nth = usize::try_from(part).unwrap();
        // Frames go on while it is written.
        dashcap.wait_for_nth(nth, "bundle /");
    }
    let sent = talker.stop();
    let end = dashcap.finish_well();

    let (received, accounted) = end.received("eth0");
    assert_eq!((received, accounted), (sent.len() as u64, sent.len() as u64));
    assert!(end.log.contains("+ 0 dropped by the lane + 0 dropped by the kernel"), "{end:?}");
    let bundles = lab.bundles();
    assert_eq!(bundles.len() as u64, SNAPSHOTS);
    for bundle in bundles {
        assert_eq!(bundle.jq("[.interfaces[].counts|.lane_dropped,.kernel_dropped]"), "[0,0]");
        bundle.holds_what_was_sent("eth0", &sent);
    }
}

#[test]
fn a_storm_is_counted_exactly_and_drowns_nothing() {
    const COPIES: u64 = 30_000;
    let Some(lab) = Lab::new() else { return };
    // The storm alone would open an incident.
    let dashcap = lab.record(&["-i", "eth0", "--pre", "1m", "--post", "10m", "--on", "signal"]);
    let mut far = lab.far.inside(|| lab::Sender::on("far0"));
    let storm = frame(u64::MAX, &[], 200);
    // A LACPDU's head: slow protocols, subtype 1 (IEEE 802.3, annex 57A).
    let mut lacpdu = frame(0, &[], 124);
    lacpdu[12..16].copy_from_slice(&[0x88, 0x09, 1, 1]);
    let (mut numbers, mut lacpdus) = (0, 0);
    for n in 0..COPIES {
        far.send(&storm);
        if n % 100 == 0 {
            far.send(&frame(numbers, &[], 64));
            numbers += 1;
        }
        if n % 10_000 == 0 {
            far.send(&lacpdu);
            lacpdus += 1;
        }
    }
    dashcap.snapshot();
    let end = dashcap.finish_well();
    let (received, accounted) = end.received("eth0");
    assert_eq!((received, accounted), (COPIES + numbers + lacpdus, received));

    let bundle = lab.bundle();
    let folded: u64 = bundle.jq(".interfaces[0].counts.folded").parse().unwrap();
    let kept = COPIES - folded;
    assert!((64..1_000).contains(&kept), "{kept} copies were kept");
    assert_eq!(bundle.jq(".interfaces[0].in_bundle.folded"), folded.to_string());
    let run: Vec<_> = bundle.events.iter().filter(|event| event["kind"] == "run").collect();
    assert_eq!(run.len(), 1, "{run:?}");
    assert_eq!(
        (run[0]["count"].as_u64(), run[0]["original_len"].as_u64()),
        (Some(folded), Some(200))
    );
    let bins = run[0]["per_100ms"].as_array().unwrap().iter();
    assert_eq!(bins.map(|bin| bin.as_u64().unwrap()).sum::<u64>(), folded);
    assert!(!bundle.tshark("frame.comment contains \"folded\"", &["frame.number"]).is_empty());

    let others = bundle.numbers("eth0").into_iter().filter(|number| *number < u64::MAX);
    assert_eq!(others.collect::<Vec<_>>(), (0..numbers).collect::<Vec<_>>());
    assert_eq!(bundle.tshark("eth.type == 0x8809", &["frame.number"]).len() as u64, lacpdus);
    let control = bundle.jq(".interfaces[0].classes[]|select(.name==\"control\").stored");
    assert_eq!(control, lacpdus.to_string());
}

/// A watcher that sees what the story tells it, and a wish to stop when the story has ended.
struct Told(Receiver<Fact>);

impl Watcher for Told {
    const NAME: &'static str = "story";

    fn run(self, context: &mut WatcherContext) -> Result<()> {
        self.0
            .iter()
            .chain([Fact::StopSignal])
            .try_for_each(|fact| context.send_until_taken(context.now(), &fact))
    }
}

/// dashcap as a library, with a clock that the story steps.
fn record_inside(lab: &Lab, clock: Clock, facts: Receiver<Fact>, ready: &Sender<()>) {
    let options = Options {
        interfaces: vec!["eth0".to_owned()],
        pool: PoolOptions { memory: 16 << 20, lock: false },
        ring_file: None,
        traffic: dashcap::traffic::Options::default(),
        capture: capture::Options::default(),
        window: WindowOptions::new(Duration::from_millis(500), Duration::from_millis(1_500)),
        cool_down: Duration::ZERO,
        rules: Rule::defaults(false),
        probes: Vec::new(),
        watchers: WatcherOptions::default(),
        detect: dashcap::detect::watcher::Options::default(),
        wanted: Vec::new(),
        timeline: sysfs::Options::default(),
        output: lab.output().to_owned(),
        writer: writer::Options::default(),
        api: api::Options::default(),
        budget: dashcap::trigger::budget::Options::default(),
        privilege: dashcap::privilege::Options::default(),
        programs: dashcap::hook::Options::default(),
        settings: serde_json::Value::Null,
    };
    let mut recorder = Recorder::start(options, clock).unwrap();
    recorder.add_watcher(Told(facts)).unwrap();
    ready.send(()).unwrap();
    recorder.run(|_| {});
}

#[test]
fn a_clock_that_steps_moves_neither_the_window_nor_its_end() {
    const HOUR: i64 = 3_600;
    let Some(lab) = Lab::new() else { return };
    let (clock, step) = Clock::stepping();
    let (tell, facts) = bounded(1);
    let (ready, is_ready) = bounded(1);
    let sent = std::thread::scope(|scope| {
        scope.spawn(|| lab.near.inside(|| record_inside(&lab, clock, facts, &ready)));
        is_ready.recv().expect("it started");
        let talker = lab.far.talk("far0", Pace::GENTLE);
        talker.wait_for(100);
        tell.send(Fact::SnapshotSignal).unwrap();
        talker.wait_for_more(20);
        step.by(-HOUR);
        talker.wait_for_more(20);
        step.by(3 * HOUR);
        until("the bundle", || whole_bundles_in(lab.output()).pop());
        drop(tell);
        talker.stop()
    });

    let bundle = lab.bundle();
    assert_eq!(bundle.jq(".window.ending.how"), "on_time");
    assert_eq!(bundle.jq(".host.clock_stepped"), "true");
    assert_eq!(bundle.length_before(), Duration::from_millis(500));
    assert_eq!(bundle.length_after(0), Duration::from_millis(1_500));
    let late = bundle.mono("/interfaces/0/counted_at/mono_ns").since(bundle.end());
    assert!(late < Duration::from_secs(2), "closed {late:?} late");
    bundle.holds_what_was_sent("eth0", &sent);
}
