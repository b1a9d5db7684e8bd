//! People and scripts: every door, from the wish to the bundle that names it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::lab::{BINARY, BOUND, Dashcap, Lab, Pace, until};

/// A recording with a control socket, and the commands that ask it.
struct Asked {
    place: TempDir,
    dashcap: Dashcap,
}

impl Asked {
    fn start(lab: &Lab, options: &[&str]) -> Self {
        let place = tempfile::tempdir().expect("a directory can be made");
        let socket = socket(place.path());
        let own = ["-i", "eth0", "--control", socket.to_str().expect("text")];
        let dashcap = lab.record(&[&own[..], options].concat());
        Self { place, dashcap }
    }

    fn socket(&self) -> PathBuf {
        socket(self.place.path())
    }

    /// `dashcap COMMAND --control SOCKET ...`.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(words).arg("--control").arg(self.socket());
        command
    }

    /// What a command prints; it must succeed.
    fn ask(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(words).output().expect("it runs");
        assert!(status.success(), "{words:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("text")
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.ask(&["status", "--json"])).expect("JSON")
    }

    /// A connection of our own.
    fn connect(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(self.socket()).expect("it listens");
        stream.set_read_timeout(Some(BOUND)).expect("a socket");
        BufReader::new(stream)
    }
}

fn socket(place: &Path) -> PathBuf {
    place.join("control.sock")
}

fn next(stream: &mut impl BufRead) -> Value {
    let mut line = String::new();
    stream.read_line(&mut line).expect("an answer in time");
    serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"))
}

#[test]
fn a_snapshot_is_frozen_waited_for_and_names_its_reason() {
    let Some(lab) = Lab::new() else { return };
    let asked = Asked::start(&lab, &["--pre", "1m", "--post", "10m", "--on", "link-up"]);
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(100);
    let wish = ["--reason", "users\ncomplain", "--pre", "30s", "--post", "300ms", "--wait"];
    let told = asked.ask(&[&["snapshot", "--json"][..], &wish].concat());
    let sent = talker.stop();
    asked.dashcap.finish_well();

    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["verdict"], "frozen");
    assert_eq!((&lines[1]["fate"], lines.len()), (&json!("written"), 2));
    let bundle = lab.bundle();
    assert!(bundle.name().ends_with("_snapshot"), "{}", bundle.name());
    assert!(lines[1]["path"].as_str().unwrap().ends_with(&bundle.name()));
    assert_eq!(lines[1]["frames"], bundle.packets.len());
    assert_eq!(bundle.triggers(), ["snapshot"], "though only link-up is armed");
    let sentence = bundle.jq(".triggers[0].sentence");
    assert!(sentence.starts_with("snapshot asked for by uid 0, process "), "{sentence}");
    assert!(sentence.ends_with(" (control socket): users complain"), "{sentence}");
    assert_eq!(bundle.length_before(), Duration::from_secs(30));
    assert_eq!(bundle.length_after(0), Duration::from_millis(300));
    assert_eq!(bundle.jq(".window.asked.seconds"), "30.3");
    let asked_for = bundle.events.iter().find(|event| event["what"]["fact"] == "asked").unwrap();
    assert_eq!(asked_for["what"]["reason"], "users complain");
    assert_eq!(
        (&asked_for["watcher"], &asked_for["what"]["pre_ns"]),
        (&json!("control"), &json!(30_000_000_000_u64))
    );
    bundle.holds_what_was_sent("eth0", &sent);
}

#[test]
fn whoever_waits_is_told_also_when_dashcap_ends() {
    let Some(lab) = Lab::new() else { return };
    let asked = Asked::start(&lab, &["--pre", "1m", "--post", "10m"]);
    let mut waiting = asked.command(&["snapshot", "--wait"]);
    let mut waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    asked.dashcap.wait_for("snapshot: snapshot asked for by");
    let second = asked.ask(&["snapshot", "--reason", "again"]);
    assert!(second.starts_with("the open incident goes on for "), "{second}");
    asked.dashcap.finish_well();
    assert!(waiting.wait().unwrap().success());
    let mut path = String::new();
    waiting.stdout.take().unwrap().read_to_string(&mut path).unwrap();
    let bundle = lab.bundle();
    assert_eq!(Path::new(path.trim()).file_name().unwrap().to_string_lossy(), bundle.name());
    assert_eq!(bundle.triggers(), ["snapshot", "snapshot"]);
}

#[test]
fn the_status_tells_what_is_recorded_lost_armed_and_open() {
    let Some(lab) = Lab::new() else { return };
    let asked = Asked::start(&lab, &["--pre", "1m", "--post", "10m"]);
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(100);
    let sent = talker.stop().len();
    let status = until("all frames counted", || {
        let status = asked.status();
        (status["interfaces"][0]["counts"]["stored"] == sent).then_some(status)
    });
    let interface = &status["interfaces"][0];
    assert_eq!((&interface["name"], &interface["up"]), (&json!("eth0"), &json!(true)));
    assert_eq!(interface["counts"]["kernel_received"], sent);
    assert_eq!(interface["counts"]["kernel_dropped"], 0);
    assert_eq!((&status["armed"], &status["incident"]), (&json!(true), &Value::Null));
    let rules = status["rules"].as_array().unwrap();
    assert!(rules.contains(&json!("link-down")) && rules.contains(&json!("signal")), "{rules:?}");
    assert_eq!(status["depths"][0]["class"], "data");
    let names = status["watchers"].as_array().unwrap().iter().map(|w| w["name"].as_str().unwrap());
    assert!(names.clone().any(|name| name == "link") && names.clone().any(|name| name == "signal"));
    asked.ask(&["snapshot"]);
    let status = asked.status();
    assert_eq!(
        (&status["incident"]["kind"], &status["incident"]["triggers"]),
        (&json!("snapshot"), &json!(1))
    );
    let table = asked.ask(&["status"]);
    assert!(table.contains("\neth0            up ") && table.lines().count() <= 24, "{table}");
    asked.dashcap.finish_well();
}

#[test]
fn listeners_hear_what_was_and_what_is_until_the_end() {
    let Some(lab) = Lab::new() else { return };
    let asked = Asked::start(&lab, &["--pre", "1m", "--post", "10m"]);
    let mut listener = asked.command(&["events", "--follow", "--json"]);
    let mut listener = listener.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(listener.stdout.take().unwrap());
    assert_eq!(next(&mut lines)["what"]["fact"], "capture", "what was");
    lab.far.ip("link set dev far0 down");
    let mut heard = Vec::new();
    while heard.last().is_none_or(|event: &Value| event["kind"] != "trigger") {
        heard.push(next(&mut lines));
    }
    assert_eq!(heard.last().unwrap()["trigger"], "link-down");
    let before = &heard[heard.len() - 2];
    assert_eq!(before["what"]["fact"], "link", "what pulled it stands before it");
    let recent = asked.ask(&["events"]);
    assert!(
        recent.lines().any(|line| line.contains(" TRIGGER    link-down: for the line above")),
        "{recent}"
    );
    asked.dashcap.finish_well();
    assert!(lines.lines().any(|line| line.unwrap().contains("stop asked for")));
    assert!(listener.wait().unwrap().success(), "it ends when dashcap does");
}

#[test]
fn a_slow_listener_loses_events_is_told_and_holds_nobody_up() {
    const EVENTS: u64 = 4_000;
    let Some(lab) = Lab::new() else { return };
    let asked = Asked::start(&lab, &[]);
    let mut slow = asked.connect();
    slow.get_mut().write_all(b"{\"v\":1,\"command\":\"events\",\"follow\":true}\n").unwrap();
    while !next(&mut slow)["event"]["sentence"].as_str().unwrap().contains("packet ring") {}
    let mut busy = asked.connect();
    for n in 0..EVENTS {
        let command = if n % 2 == 0 { "disarm" } else { "arm" };
        let request = format!("{{\"v\":1,\"command\":\"{command}\"}}\n");
        busy.get_mut().write_all(request.as_bytes()).unwrap();
        assert_eq!(next(&mut busy)["answer"], "arming");
    }
    let (mut heard, mut missed) = (0, 0);
    while heard + missed < EVENTS {
        let said = next(&mut slow);
        match said["answer"].as_str().unwrap() {
            "event" if said["event"]["what"]["fact"] == "arming" => heard += 1,
            "event" | "alive" => {}
            "missed" => missed += said["count"].as_u64().unwrap(),
            other => panic!("{other}"),
        }
    }
    assert!(missed > 0 && heard > 1_000, "{heard} heard, {missed} missed");
    asked.dashcap.finish_well();
}

#[test]
fn disarmed_only_who_asks_gets_a_bundle() {
    let Some(lab) = Lab::new() else { return };
    let drop = tempfile::tempdir().unwrap();
    let directory = drop.path().to_str().unwrap();
    let asked = Asked::start(&lab, &["--trigger-directory", directory, "--post", "10m"]);
    assert!(asked.ask(&["disarm"]).starts_with("disarmed: "));
    lab.far.ip("link set dev far0 down");
    asked.dashcap.wait_for("link-down: not frozen, disarmed by uid 0, process ");
    fs::write(drop.path().join("x"), "y").unwrap();
    asked.dashcap.wait_for("file: not frozen, disarmed by uid 0, process ");
    let status = asked.status();
    assert_eq!((&status["armed"], &status["ignored_triggers"]), (&json!(false), &json!(2)));
    let snapshot = asked.ask(&["snapshot"]);
    assert!(snapshot.starts_with("window frozen after "), "{snapshot}");
    assert_eq!(asked.ask(&["arm"]), "armed\n");
    lab.far.ip("link set dev far0 up");
    asked.dashcap.wait_for("eth0: UP");
    lab.far.ip("link set dev far0 down");
    asked.dashcap.wait_for("link-down: eth0: DOWN");
    asked.dashcap.finish_well();
    let bundle = lab.bundle();
    assert_eq!(bundle.triggers(), ["snapshot", "link-down eth0"]);
    let journal = bundle.journal();
    let told = |words: &str| journal.iter().any(|line| line.starts_with(words));
    assert!(told("disarmed by uid 0") && told("armed again by uid 0"), "{journal:?}");
}

#[test]
fn a_file_triggers_and_its_content_is_the_reason() {
    let Some(lab) = Lab::new() else { return };
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("trigger");
    let options = ["-i", "eth0", "--pre", "1m", "--post", "200ms", "--trigger-directory"];
    let dashcap = lab.record(&[&options[..], &[directory.to_str().unwrap()]].concat());
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(50);
    fs::write(directory.join(".disk"), "disk is full\n").unwrap();
    fs::rename(directory.join(".disk"), directory.join("disk")).unwrap();
    dashcap.wait_for(" bundle ");
    talker.stop();
    dashcap.finish_well();
    let bundle = lab.bundle();
    assert_eq!(bundle.triggers(), ["file"]);
    let sentence = "snapshot asked for by file disk (trigger directory): disk is full";
    assert_eq!(bundle.jq(".triggers[0].sentence"), sentence);
    assert!(bundle.journal().contains(&format!("TRIGGER file: {sentence}")));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "it is taken away");
}

#[test]
fn the_socket_is_for_root_the_user_and_the_group() {
    const NOBODY: u32 = 65_534;
    let Some(lab) = Lab::new() else { return };
    let asked = Asked::start(&lab, &[]);
    fs::set_permissions(asked.place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = asked.place.path().join("dashcap");
    // By a process of its own: while this one has the copy open for writing, another test may fork.
    assert!(Command::new("cp").arg(BINARY).arg(&program).status().unwrap().success());
    let nobody = || {
        let mut command = Command::new(&program);
        command.arg("status").arg("--control").arg(asked.socket()).uid(NOBODY).gid(NOBODY);
        let Output { status, stderr, .. } = command.output().unwrap();
        (status.success(), String::from_utf8(stderr).unwrap())
    };
    let (told, why) = nobody();
    assert!(!told && why.contains("Permission denied"), "{why}");
    fs::set_permissions(asked.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let (told, why) = nobody();
    assert!(!told && why.contains("only root, dashcap's own user and the socket's group"), "{why}");
    asked.dashcap.wait_for("control socket: refused uid 65534");
    chown(asked.socket(), None, Some(NOBODY)).unwrap();
    fs::set_permissions(asked.socket(), fs::Permissions::from_mode(0o660)).unwrap();
    assert_eq!(nobody(), (true, String::new()));
    asked.dashcap.finish_well();
}

#[test]
fn a_socket_is_taken_over_from_the_dead_only() {
    let Some(lab) = Lab::new() else { return };
    let asked = Asked::start(&lab, &[]);
    let path = asked.socket();
    let second = || lab.dashcap("run", &["-i", "eth0", "--control", path.to_str().unwrap()]);
    let refused = second().end();
    assert_eq!(refused.code(), 1);
    assert!(refused.log.contains("another dashcap listens there"), "{refused:?}");
    asked.ask(&["status"]);
    asked.dashcap.signal(Signal::SIGKILL);
    asked.dashcap.wait_until_killed();
    assert!(path.exists(), "left behind");
    let heir = second();
    heir.wait_for("armed: ");
    assert!(heir.has_said("replacing the socket"));
    asked.ask(&["status"]);
    heir.finish_well();
    assert!(!path.exists(), "taken away");
    let nobody = asked.command(&["status"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert!(said.contains("is dashcap running?"), "{said}");
}

#[test]
fn strange_clients_are_told_and_sent_away() {
    let Some(lab) = Lab::new() else { return };
    let asked = Asked::start(&lab, &[]);
    let mut stream = asked.connect();
    stream.get_mut().write_all(b"\n\xff\n{\"v\":1}\n{\"v\":1,\"command\":\"status\"}\n").unwrap();
    for _ in 0..3 {
        assert_eq!(next(&mut stream)["error"], "bad_request");
    }
    assert_eq!(next(&mut stream)["answer"], "status", "and may go on");
    stream.get_mut().write_all(&vec![b'x'; 8_192]).unwrap();
    assert_eq!(next(&mut stream)["message"], "a request has at most 8192 bytes");
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest);
    assert!(ended.is_err() || rest.is_empty(), "{rest:?}");
    let nothing = asked.command(&["snapshot", "--pre", "25h"]).output().unwrap();
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("at most a day"), "{nothing:?}");
    // Half closed, as by `echo ... | socat - UNIX:...`, the answer still comes.
    let mut stream = asked.connect();
    stream.get_mut().write_all(b"{\"v\":1,\"command\":\"arm\"}").unwrap();
    stream.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(next(&mut stream), json!({ "v": 1, "answer": "arming", "armed": true }));
    asked.dashcap.finish_well();
}
