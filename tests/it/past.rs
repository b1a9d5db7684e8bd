//! Asked for afterwards: the window around a moment that is over, as it would have been frozen then.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::Duration;

use dashcap::time::{Clock, Wall};
use serde_json::{Value, json};

use crate::lab::{BINARY, BOUND, Bundle, Lab, Pace, until, whole_bundles_in};

const TOKEN: &str = "c3f1a0b2d4e5f60718293a4b5c6d7e8f";

/// A snapshot that is asked for on the near host: exit status, and the lines of its answer.
fn snapshot(socket: &str, words: &[&str]) -> (i32, Vec<Value>) {
    let mut command = Command::new(BINARY);
    command.args(["snapshot", "--json", "--control", socket]).args(words);
    let Output { status, stdout, .. } = command.output().expect("it runs");
    let stdout = String::from_utf8(stdout).expect("text");
    let lines = stdout.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    (status.code().expect("an exit status"), lines.collect())
}

/// The same wish by HTTP.
fn http(lab: &Lab, wish: &Value) -> (u16, Value) {
    let body = wish.to_string();
    let request = format!(
        "POST /trigger HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    lab.near.inside(|| {
        let mut stream = TcpStream::connect("127.0.0.1:9180").expect("it listens");
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        (status, serde_json::from_str(body).expect("JSON"))
    })
}

/// The bundle that a fate names.
fn written(fate: &Value) -> Bundle {
    Bundle::open(fate["path"].as_str().expect("a path").into())
}

/// True if both have the same frames; one at each edge may be on the other side of it, since a moment is told by the
/// wall clock.
fn same_frames(one: &Bundle, other: &Bundle) -> bool {
    let [one, other] = [one, other].map(|bundle| bundle.numbers("eth0"));
    let edges = |of: &[u64]| (of[0], of[of.len() - 1]);
    let ((first, last), (begins, ends)) = (edges(&one), edges(&other));
    first.abs_diff(begins) <= 1 && last.abs_diff(ends) <= 1
}

#[test]
fn a_moment_that_is_over_gives_the_window_that_it_had_then() {
    let Some(lab) = Lab::new() else { return };
    lab.near.ip("link set dev lo up");
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (socket, token) = (path("control.sock"), path("token"));
    fs::write(&token, TOKEN).unwrap();
    let doors = ["--control", &socket, "--http", "9180", "--http-token-file", &token];
    let options = ["-i", "eth0", "--on", "link-up"];
    let dashcap = lab.record(&[&options[..], &doors].concat());
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(300);

    // What a live one gives.
    let window = ["--pre", "500ms", "--post", "300ms"];
    let (status, told) = snapshot(&socket, &[&window[..], &["--wait"]].concat());
    assert_eq!((status, &told[0]["verdict"]), (0, &json!("frozen")), "{told:?}");
    assert_eq!(told[0]["coverage"]["full"], true, "{told:?}");
    let live = written(&told[1]);
    assert_eq!(told[0]["incident"], *live.name());
    let at = live.jq(".triggers[0].time");
    talker.wait_for_more(100);

    // The same moment again is the same bundle, whoever asks.
    let past = [&window[..], &["--at", &at]].concat();
    let (status, told) = snapshot(&socket, &[&past[..], &["--wait"]].concat());
    assert_eq!((status, &told[0]["verdict"]), (0, &json!("covered")), "{told:?}");
    assert_eq!(told[0]["incident"], *live.name());
    assert_eq!(written(&told[1]).name(), live.name());
    let wish = json!({ "pre": 0.5, "post": 0.3, "at": at });
    let (status, answer) = http(&lab, &wish);
    assert_eq!((status, &answer), (200, &told[0]), "HTTP and control socket say the same");

    // A second one that is wanted is as the live one was.
    let (status, told) = snapshot(&socket, &[&past[..], &["--again", "--wait"]].concat());
    assert_eq!((status, &told[0]["verdict"]), (0, &json!("frozen")), "{told:?}");
    let coverage = &told[0]["coverage"];
    assert_eq!((&coverage["full"], &told[0]["left_ns"]), (&json!(true), &json!(0)), "{told:?}");
    let late = written(&told[1]);
    assert!(same_frames(&live, &late), "{:?} {:?}", live.numbers("eth0"), late.numbers("eth0"));
    let told_after = late.number("/triggers/0/told_after_ns");
    assert_eq!(coverage["asked_after_ns"], told_after);
    assert!(told_after > 300_000_000 && late.number("/pinned_after_ns") < told_after);
    assert!(late.jq(".triggers[0].sentence").contains("s afterwards"));
    assert_eq!(late.jq(".triggers[0].time"), at);
    assert_eq!(live.jq(".triggers[0].told_after_ns"), "null");

    // What is no longer there, was never there, or is still to come.
    let (status, told) =
        snapshot(&socket, &["--ago", "1ms", "--pre", "1h", "--post", "0s", "--wait"]);
    let coverage = &told[0]["coverage"];
    assert_eq!((status, &coverage["full"]), (0, &json!(false)), "{told:?}");
    assert_eq!(coverage["missing"][0]["reason"], "not recorded yet");
    assert_eq!(coverage["missing"][0]["interface"], "eth0");
    let (status, told) = snapshot(&socket, &["--at", "2026-01-01T00:00:00Z"]);
    assert_eq!((status, &told[0]["verdict"]), (4, &json!("late")), "{told:?}");
    let (status, answer) = http(&lab, &json!({ "at": "2026-01-01T00:00:00Z" }));
    assert_eq!((status, &answer["verdict"]), (410, &json!("late")));
    let window = |of: &Value| (of["from"].clone(), of["to"].clone());
    assert_eq!(window(&answer), window(&told[0]));
    let ahead = Clock::system().now().wall.plus(Duration::from_secs(3_600)).to_string();
    assert_eq!(snapshot(&socket, &["--at", &ahead]), (2, Vec::new()));
    let (status, answer) = http(&lab, &json!({ "at": ahead }));
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("a moment that is over"), "{answer}");

    // While an incident is open: what touches it belongs to it, what does not stands apart.
    let (_, opened) = snapshot(&socket, &["--pre", "200ms", "--post", "10m"]);
    assert_eq!(opened[0]["verdict"], "frozen");
    let wish = ["--ago", "300ms", "--pre", "1500ms", "--post", "300ms", "--again"];
    let (status, told) = snapshot(&socket, &wish);
    let wanted_from: Wall = told[0]["coverage"]["from"].as_str().unwrap().parse().unwrap();
    assert_eq!((status, &told[0]["verdict"]), (0, &json!("extended")), "{told:?}");
    assert_eq!(told[0]["incident"], opened[0]["incident"]);
    assert_eq!(told[0]["coverage"]["full"], true, "{told:?}");
    let (status, told) = snapshot(&socket, &[&past[..], &["--again", "--wait"]].concat());
    assert_eq!((status, &told[0]["verdict"]), (0, &json!("frozen")), "{told:?}");
    let apart = written(&told[1]);
    assert!(same_frames(&live, &apart) && apart.triggers() == ["snapshot"]);
    until("four bundles, the open one not among them", || {
        (whole_bundles_in(lab.output()).len() == 4).then_some(())
    });
    talker.stop();
    dashcap.finish_well();
    let open = lab.bundles().pop().expect("the open one");
    assert_eq!(open.triggers(), ["snapshot", "snapshot"]);
    let from: Wall =
        open.manifest["window"]["closed"]["from"]["time"].as_str().unwrap().parse().unwrap();
    assert!(
        from.0.abs_diff(wanted_from.0) < 5_000_000,
        "where the second wanted: {from} {wanted_from}"
    );
}
