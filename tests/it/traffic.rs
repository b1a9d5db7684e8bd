//! The long memory of traffic: counted as it passed, under the interface's name of today, past a restart, and told
//! in reports.

use std::fs;

use dashcap::time::Wall;
use dashcap::traffic::csv::{self, TrafficLine};
use serde_json::Value;

use crate::lab::{BINARY, Bundle, Dashcap, Lab, Pace, output, until, whole_bundles_in};

/// The rows of a second, of the class `data`: talkers send nothing else.
fn data(bundle: &Bundle) -> Vec<TrafficLine> {
    let table = fs::File::open(bundle.file("traffic.csv")).expect("it is there");
    let lines = csv::read(table).map(|line| line.expect("every line has a meaning"));
    lines.filter(|line| line.class == "data" && line.seconds < 10.0).collect()
}

fn snapshot(lab: &Lab, dashcap: &Dashcap) -> Bundle {
    let before = whole_bundles_in(lab.output()).len();
    dashcap.snapshot();
    Bundle::open(until("the bundle", || whole_bundles_in(lab.output()).into_iter().nth(before)))
}

/// Rows between which time is missing.
fn gaps(rows: &[TrafficLine]) -> usize {
    let distance = |pair: &[TrafficLine]| (pair[1].date.0 as f64 - pair[0].date.0 as f64) / 1e9;
    rows.windows(2).filter(|pair| distance(pair) > pair[1].seconds + 0.5).count()
}

#[test]
fn what_passed_is_in_every_bundle_under_the_name_of_today_also_after_a_restart() {
    let Some(lab) = Lab::new() else { return };
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let ring = place.path().join("ring");
    let options = ["--on", "signal", "--post", "200ms", "--ring-file", ring.to_str().unwrap()];
    let dashcap = lab.record(&[&["-i", "eth0"], &options[..]].concat());
    let told = dashcap.wait_for("for the long memory of traffic");
    assert!(told.contains("memory: "), "{told}");
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(800);
    let first = snapshot(&lab, &dashcap);
    assert_eq!(first.jq("[.files[].name | select(. == \"traffic.csv\")] | length"), "1");
    let rows = data(&first);
    assert!(rows.len() >= 2 && rows.iter().all(|row| row.interface == "eth0"), "{rows:?}");
    let busy = rows.iter().max_by_key(|row| row.frames).expect("rows");
    assert_eq!(busy.bytes, 64 * busy.frames, "{busy:?}");
    let table = fs::read_to_string(first.file("traffic.csv")).unwrap();
    let counted = format!(",eth0,data,{},{},0,,0,0x88b5={}", busy.frames, busy.bytes, busy.bytes);
    assert!(table.contains(&counted), "{counted} in {table}");

    lab.near.ip("link set dev eth0 down");
    lab.near.ip("link set dev eth0 name wan");
    lab.near.ip("link set dev wan up");
    talker.wait_for_more(600);
    let second = data(&snapshot(&lab, &dashcap));
    assert!(second.iter().all(|row| row.interface == "wan"), "{second:?}");
    assert!(second.starts_with(&renamed(&rows)), "what it was called before: {second:?}");
    assert!(gaps(&second) >= 1, "the second of the renaming is no row: {second:?}");
    dashcap.finish_well();

    talker.wait_for_more(400);
    let again = lab.record(&[&["-i", "wan"], &options[..]].concat());
    talker.wait_for_more(600);
    let third = data(&snapshot(&lab, &again));
    assert!(third.starts_with(&second), "what was before the restart: {third:?}");
    assert!(third.len() >= second.len() + 2, "{third:?}");
    assert!(gaps(&third) > gaps(&second), "the time in between is no row: {third:?}");
    drop(talker);
    again.finish_well();
}

fn renamed(rows: &[TrafficLine]) -> Vec<TrafficLine> {
    rows.iter().map(|row| TrafficLine { interface: "wan".into(), ..row.clone() }).collect()
}

#[test]
fn a_report_compares_the_window_with_the_time_before() {
    let Some(lab) = Lab::new() else { return };
    let options = ["-i", "eth0", "--on", "signal", "--pre", "90s", "--post", "200ms"];
    let dashcap = lab.record(&options);
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(100);
    let bundle = snapshot(&lab, &dashcap);
    drop(talker);
    dashcap.finish_well();
    let report = output(BINARY, &["report", bundle.path().to_str().unwrap()]);
    assert!(!report.contains("Usual and now"), "seconds are too little to compare with: {report}");

    // As if dashcap had run for hours: a hundred minutes of 50 frames a second, and the window's own seconds.
    let end: Wall = bundle.jq(".window.covered.to.time").parse().expect("a time");
    let row = |before: u64, seconds: u64, frames: u64| {
        let date = Wall(end.0 - before * 1_000_000_000).milliseconds();
        format!("{date},{seconds}.000,eth0,data,{frames},0,0,,0,\n")
    };
    let head = fs::read_to_string(bundle.file("traffic.csv")).unwrap();
    let mut table = format!("{}\n", head.lines().next().unwrap());
    table.extend((2..102).rev().map(|minute| row(minute * 60, 60, 3_000)));
    table.extend((0..61).rev().map(|second| row(second, 1, 200)));
    fs::write(bundle.file("traffic.csv"), table).unwrap();
    let report = output(BINARY, &["report", bundle.path().to_str().unwrap()]);
    let said = "200 frames/s over a minute, 4.0 times the rate of any of the 100 minutes before";
    let words = report.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Usual and now eth0 data ") && words.contains(said), "{report}");
    let json = output(BINARY, &["report", bundle.path().to_str().unwrap(), "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["usual"][0]["before"]["most"], 50.0, "{json:#}");
    let page = bundle.path().join("again.html");
    let page = page.to_str().unwrap();
    output(BINARY, &["report", bundle.path().to_str().unwrap(), "--html", page]);
    // The template writes a slash so.
    let said = said.replace('/', "&#x2f;");
    assert!(fs::read_to_string(page).unwrap().contains(&said));
}
