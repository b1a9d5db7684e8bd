//! The incident that decides everything: the cause is 89 s older than the symptom, and a storm of three
//! frames lies in between. The memory must reach back behind it, with every frame that is no copy.

use std::fs;
use std::io::BufWriter;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::lab::{BINARY, Bundle, Lab, Pace, bundles_in};
use crate::story::{
    Counts, PHASES_BEGIN, Plan, judge, lacp_from_router, lacp_from_switch, runs, storm, table,
    which, write,
};

/// Copies kept of each run by default.
const KEPT: u64 = 64;
/// Ten minutes and the storm, at a fiftieth of the incident's rate.
const PLAN: Plan = Plan { quiet: Duration::from_secs(600), ordinary: 15_625, rate: 7_440 };
/// Largest capture in bytes: the same part of 16 MiB as 32 MiB are of 256.
const LARGEST: u64 = 2 << 20;

/// What tshark shows of the three, each to the exclusion of the others.
const FILTERS: [&str; 3] = [
    "vlan.id == 956 && tcp.dstport == 1434",
    "arp && eth.dst != ff:ff:ff:ff:ff:ff",
    "arp && eth.dst == ff:ff:ff:ff:ff:ff",
];

#[test]
fn the_incident_in_a_file_keeps_every_frame_that_is_no_copy() {
    let Replayed { bundle, told, thinned, _place } = replayed(PLAN);
    assert_eq!(thinned, 0);
    // The same, as others read it.
    for (filter, frames) in [
        ("slow && lacp", told.lacp),
        ("hsrp", told.hsrp),
        ("vrrp", told.vrrp),
        ("_ws.malformed", 0),
        ("lacp.actor.state.expired == 1", 1),
    ] {
        assert_eq!(shown(&bundle, filter), frames, "{filter}");
    }
    assert_eq!(FILTERS.map(|filter| alone(&bundle, filter)), [KEPT; 3]);
    let size = bundle.number("/files/0/size");
    assert!(size < LARGEST, "{size} bytes");
}

#[test]
fn a_memory_that_is_too_small_for_payloads_keeps_every_frame_of_the_incident() {
    let plan = Plan { ordinary: 400_000, ..PLAN };
    let Replayed { bundle, told, thinned, _place } = replayed(plan);
    assert!(thinned > 0 && thinned < told.ordinary, "{thinned} cut");
    assert_eq!(bundle.number("/interfaces/0/counts/faded"), thinned);
}

/// A story that went through `dashcap replay`.
struct Replayed {
    bundle: Bundle,
    told: Counts,
    /// Frames that were cut to their headers.
    thinned: u64,
    /// Where the bundle is.
    _place: TempDir,
}

/// Replays a story with 16 MiB. The counts of its bundle are exact, and nothing was evicted.
fn replayed(plan: Plan) -> Replayed {
    let place = TempDir::new().expect("a directory can be made");
    let (capture, host) = (place.path().join("story.pcapng"), place.path().join("host.csv"));
    let file = fs::File::create(&capture).expect("it can be made");
    let told = write(plan, &mut BufWriter::new(file)).expect("it can be written");
    fs::write(&host, table(plan)).expect("it can be written");
    let bundles = place.path().join("bundles");
    let replay = Command::new(BINARY)
        .args(["replay", "--memory", "16MiB", "--pre", "15m", "--post", "10s"])
        .args(["--on", "link-down", "--events", text(&host), "--output", text(&bundles)])
        .arg(&capture)
        .stdin(Stdio::null())
        .output()
        .expect("it can be started");
    let said = String::from_utf8_lossy(&replay.stdout);
    assert!(replay.status.success(), "{said}{}", String::from_utf8_lossy(&replay.stderr));
    let bundle = only(&bundles);
    assert_eq!(bundle.triggers(), ["link-down dp0bond0"]);
    let held = judge(Path::new(&bundle.capture()), plan).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(held.counts.storm, [KEPT; 3]);
    assert_eq!(held.counts.quiet(), told.quiet());
    let folded = folded(&bundle);
    assert_eq!(folded, told.storm.map(|copies| copies - KEPT), "exact, each of the three");
    let counts = |name: &str| -> u64 {
        (0..2).map(|n| bundle.number(&format!("/interfaces/{n}/counts/{name}"))).sum()
    };
    assert_eq!(counts("stored") + counts("folded"), told.all());
    assert_eq!(counts("folded"), folded.iter().sum::<u64>());
    assert_eq!((counts("lane_dropped"), counts("evicted")), (0, 0));
    Replayed { bundle, told, thinned: held.thinned, _place: place }
}

#[test]
fn a_live_storm_of_three_frames_hides_no_other() {
    let Some(lab) = Lab::new() else { return };
    let window = ["--pre", "5m", "--post", "200ms", "--on", "signal"];
    // The whole storm waits in the kernel, should the capture thread not be run.
    let kernel = ["--kernel-memory", "128MiB"];
    let dashcap = lab.record(&[&["-i", "eth0"][..], &window, &kernel].concat());
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(100);
    let copies = storm().to_vec();
    let repeater = lab.near.repeat("eth0", copies, |number| which(number, PHASES_BEGIN[2]));
    // LACPDUs of both ends, all through the storm.
    let mut router = lab.near.inside(|| crate::lab::Sender::on("eth0"));
    let mut switch = lab.far.inside(|| crate::lab::Sender::on("far0"));
    const EACH: u64 = 10;
    for number in 0..EACH {
        router.send(&lacp_from_router());
        switch.send(&lacp_from_switch(number + 1 == EACH, false));
        repeater.wait_for_more(10_000);
        talker.wait_for_more(20);
    }
    let sent_copies = repeater.stop();
    talker.wait_for_more(20);
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    let sent = talker.stop();
    let end = dashcap.finish_well();
    let (received, accounted) = end.received("eth0");
    let all = sent_copies.iter().sum::<u64>() + sent.len() as u64 + 2 * EACH;
    assert_eq!((received, accounted), (all, all), "{end:?}");

    let bundle = lab.bundle();
    bundle.holds_what_was_sent("eth0", &sent);
    assert_eq!(bundle.numbers("eth0").first(), Some(&0), "from the beginning");
    assert_eq!(shown(&bundle, "lacp"), 2 * EACH);
    assert_eq!(shown(&bundle, "lacp.actor.state.expired == 1"), 1);
    let kept = FILTERS.map(|filter| alone(&bundle, filter));
    let folded = folded(&bundle);
    for which in 0..3 {
        assert_eq!(kept[which] + folded[which], sent_copies[which], "copies of frame {which}");
        // More where the thread that sends was not run for a second, and the storm began anew.
        assert!(kept[which] >= KEPT && kept[which] < sent_copies[which] / 2, "{kept:?}");
    }
    assert_eq!(bundle.number("/interfaces/0/counts/kernel_dropped"), 0);
    assert_eq!(bundle.number("/interfaces/0/counts/lane_dropped"), 0);
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn only(place: &Path) -> Bundle {
    let found = bundles_in(place);
    let [bundle] = &found[..] else { panic!("bundles: {found:?}") };
    Bundle::open(bundle.clone())
}

fn folded(bundle: &Bundle) -> [u64; 3] {
    let events = fs::read_to_string(bundle.file("events.jsonl")).expect("it is there");
    runs(&events).unwrap_or_else(|why| panic!("{why}"))
}

/// Frames that tshark shows.
fn shown(bundle: &Bundle, filter: &str) -> u64 {
    bundle.tshark(filter, &["frame.number"]).len() as u64
}

/// Those that stand for no others.
fn alone(bundle: &Bundle, filter: &str) -> u64 {
    shown(bundle, &format!("({filter}) && not frame.comment"))
}
