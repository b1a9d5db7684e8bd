//! `dashcap doctor`, asked on a host of which everything is known.

use serde_json::Value;

use crate::lab::{BINARY, Lab, output};

/// What it says, and its exit status.
fn doctor(lab: &Lab, options: &[&str]) -> (Value, i32) {
    let place = lab.output().to_str().expect("text");
    let words = [&[BINARY, "doctor", "--json", "-o", place][..], options].concat();
    let told = lab.on_near(&words).output().expect("it runs");
    let json = serde_json::from_slice(&told.stdout);
    let json = json.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&told.stderr)));
    (json, told.status.code().expect("it was not killed"))
}

/// States and findings about `subject`.
fn of<'a>(told: &'a Value, subject: &str) -> Vec<(&'a str, &'a str)> {
    let checks = told["checks"].as_array().expect("a list").iter();
    let word = |check: &'a Value, key: &str| check[key].as_str().expect("text");
    checks
        .filter(|check| check["subject"] == subject)
        .map(|check| (word(check, "state"), word(check, "found")))
        .collect()
}

#[test]
fn a_doctor_tells_what_is_wrong_and_what_was_changed() {
    let Some(lab) = Lab::new() else { return };
    let (told, status) = doctor(&lab, &["-i", "eth0", "-i", "eth9"]);
    assert_eq!(status, 0, "{told:#}");
    assert_eq!(of(&told, "configuration"), [("ok", "valid, see dashcap check")]);
    assert_eq!(of(&told, "packet ring"), [("ok", "TPACKET_V3")]);
    assert_eq!(of(&told, "privileges")[0].0, "ok");
    assert_eq!(of(&told, "eth9"), [("warning", "not there")]);
    let eth0 = of(&told, "eth0");
    assert!(eth0[0].0 == "ok" && eth0[0].1.starts_with("up, ") && eth0[0].1.ends_with("MTU 9000"));
    let has =
        |told: &Value, words: &str| of(told, "eth0").iter().any(|(_, found)| found.contains(words));
    assert!(has(&told, "TSO or GSO"), "a veth has both: {told:#}");

    lab.near.inside(|| output("ethtool", &["-K", "eth0", "tso", "off", "gso", "off", "gro", "on"]));
    let (told, _) = doctor(&lab, &["-i", "eth0"]);
    assert!(!has(&told, "TSO or GSO") && has(&told, "GRO: "), "{told:#}");
    lab.near.ip("link set eth0 down");
    let (told, status) = doctor(&lab, &["-i", "eth0"]);
    assert_eq!((of(&told, "eth0")[0].0, status), ("warning", 0));

    let (told, status) = doctor(&lab, &["-i", "eth0", "--memory", "900TiB"]);
    assert_eq!((of(&told, "memory")[0].0, status), ("fail", 1));
    let (told, status) = doctor(&lab, &["--pre", "90s", "--limit", "1s"]);
    assert_eq!((of(&told, "configuration")[0].0, status), ("fail", 1), "{told:#}");
}
