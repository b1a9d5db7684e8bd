//! Keeps the arrows of the house honest: which room may know which. A new arrow is a decision, made
//! here first.

use std::fs;
use std::path::{Path, PathBuf};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// For each room, the rooms it knows beside the ground (error, finding, frame, stats, sys, time, wire). Only
/// the door, `cli`, knows all.
const ARROWS: &[(&str, &[&str])] = &[
    ("ring", &[]),
    ("watch", &[]),
    ("capture", &["detect", "ring", "watch"]),
    ("trigger", &["watch"]),
    ("incident", &["ring", "trigger", "watch"]),
    ("report", &["capture", "detect", "incident"]),
    ("api", &["export", "watch"]),
    ("export", &[]),
    ("top", &["api"]),
    (
        "recorder",
        &[
            "api",
            "capture",
            "detect",
            "hook",
            "incident",
            "privilege",
            "ring",
            "service",
            "trigger",
            "watch",
        ],
    ),
    ("privilege", &[]),
    ("detect", &["watch"]),
    ("doctor", &["watch"]),
    ("hook", &["trigger", "watch"]),
    ("service", &[]),
    ("wire", &[]),
    ("cut", &["capture"]),
    ("thin", &["capture", "cut"]),
];
const GROUND: [&str; 7] = ["error", "finding", "frame", "stats", "sys", "time", "wire"];

#[test]
fn rooms_know_only_what_they_may() {
    let mut wrong = Vec::new();
    for (room, known) in ARROWS.iter().copied() {
        for (file, text) in sources(&Path::new(SOURCE).join(room)) {
            for target in mentions(&text) {
                if target != room && !GROUND.contains(&target) && !known.contains(&target) {
                    wrong.push(format!("{}: {room} must not know {target}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_time_reads_clocks_and_only_sys_is_unsafe() {
    let mut wrong = Vec::new();
    for (file, text) in sources(Path::new(SOURCE)) {
        let program = text.split("#[cfg(test)]").next().unwrap_or_default();
        let room = file.strip_prefix(SOURCE).unwrap().to_string_lossy().into_owned();
        let is_test = file.components().any(|c| c.as_os_str() == "tests")
            || ["tests.rs", "lab.rs", "fixture.rs", "interop.rs", "house.rs"]
                .iter()
                .any(|name| room.ends_with(name));
        if is_test || room.starts_with("sys/") {
            continue;
        }
        for word in ["Instant::now", "SystemTime::now", "Timestamp::now", "clock_gettime"] {
            if program.contains(word) {
                wrong.push(format!("{room} reads a clock: {word}"));
            }
        }
        if room != "time.rs" && program.contains("sys::clock") {
            wrong.push(format!("{room} reads the kernel's clocks"));
        }
        if program.contains(concat!("unsafe", " {")) || program.contains("libc::mmap") {
            wrong.push(format!("{room} is unsafe"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The first segment of every `crate::` path, in code or in a link of the documentation.
fn mentions(text: &str) -> impl Iterator<Item = &str> {
    text.split("crate::").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_')?;
        Some(&rest[..end]).filter(|name| !name.is_empty())
    })
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}
