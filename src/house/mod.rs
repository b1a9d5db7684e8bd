//! Keeps the arrows of the house honest: which module may know which, and that no two files need each other. A
//! new arrow is a decision, made here first.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use self::imports::Files;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// What every room may know: these know none of the others.
const GROUND: &[(&str, &[&str])] = &[
    ("backoff", &[]),
    ("error", &[]),
    ("feature", &["error"]),
    ("finding", &["frame", "time", "wire"]),
    ("frame", &["time"]),
    ("memory", &[]),
    ("observation", &["error", "finding", "time", "visible"]),
    ("secret", &["error"]),
    ("stats", &[]),
    ("sys", &["time"]),
    ("time", &[]),
    ("visible", &[]),
    ("wire", &["frame"]),
    ("words", &["frame", "wire"]),
];
/// For each other room, the rooms it knows beside the ground. Only the door, `cli`, knows all.
const ARROWS: &[(&str, &[&str])] = &[
    ("api", &["capture", "export", "fleet", "frames", "incident", "watch"]),
    ("capture", &["detect", "ring"]),
    ("capture_file", &[]),
    ("cut", &["capture", "capture_file"]),
    ("detect", &["watch"]),
    ("doctor", &["watch"]),
    ("export", &[]),
    ("fleet", &["capture_file", "incident", "report", "trigger"]),
    ("frames", &["capture", "capture_file", "incident", "ring"]),
    ("hook", &["incident", "trigger", "watch"]),
    ("incident", &["capture_file", "ring", "traffic", "trigger"]),
    ("privilege", &[]),
    (
        "recorder",
        &[
            "api",
            "capture",
            "capture_file",
            "detect",
            "export",
            "fleet",
            "frames",
            "hook",
            "incident",
            "privilege",
            "ring",
            "service",
            "traffic",
            "trigger",
            "watch",
        ],
    ),
    ("report", &["capture_file", "cut", "detect", "incident", "traffic"]),
    ("ring", &[]),
    ("service", &[]),
    ("thin", &["capture_file"]),
    ("top", &["api"]),
    ("traffic", &[]),
    ("trigger", &[]),
    ("watch", &[]),
];

#[test]
fn rooms_know_only_what_they_may() {
    let is_ground = |name: &str| GROUND.iter().any(|(room, _)| *room == name);
    let known = |room: &str| ARROWS.iter().chain(GROUND).find(|(name, _)| *name == room);
    let mut wrong = Vec::new();
    for (file, text) in sources(Path::new(SOURCE)).iter().filter(|(file, _)| !is_test(file)) {
        let room = room(file);
        if matches!(room.as_str(), "cli" | "lib" | "main") {
            continue;
        }
        let Some((_, known)) = known(&room) else {
            wrong.push(format!("{room} has no arrows"));
            continue;
        };
        let ground_for_all = !is_ground(&room);
        for target in mentions(program(text)) {
            if target != room && !known.contains(&target) && !(ground_for_all && is_ground(target))
            {
                wrong.push(format!("{}: {room} must not know {target}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_need_each_other() {
    let text = |text: &str| -> String {
        program(text).lines().map(|line| line.split("//").next().unwrap_or(line)).collect()
    };
    let files: Files = sources(Path::new(SOURCE))
        .iter()
        .filter(|(file, _)| !is_test(file))
        .map(|(file, whole)| (module(file), text(whole)))
        .collect();
    let wrong = imports::circles(imports::of(&files));
    assert!(wrong.is_empty(), "files that need each other: {wrong:#?}");
}

#[test]
fn only_time_reads_clocks_and_only_sys_is_unsafe() {
    let mut wrong = Vec::new();
    for (file, text) in sources(Path::new(SOURCE)) {
        let (room, program) =
            (file.strip_prefix(SOURCE).unwrap().display().to_string(), program(&text));
        if is_test(&file) || room.starts_with("sys/") {
            continue;
        }
        for word in ["Instant::now", "SystemTime::now", "Timestamp::now", "clock_gettime("] {
            if program.contains(word) && room != "time.rs" {
                wrong.push(format!("{room} reads a clock: {word}"));
            }
        }
        if program.contains(concat!("unsafe", " {")) || program.contains("libc::mmap") {
            wrong.push(format!("{room} is unsafe"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Names that mean the same in every room: what can be tuned, and how something stands.
const EVERYWHERE: [&str; 2] = ["Options", "State"];
/// Rooms that may call a type of theirs by the same name: in a third one, nobody knows which is meant.
const ROOMS_OF_A_NAME: usize = 2;

#[test]
fn a_name_of_a_type_stands_in_two_rooms_at_most() {
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources(Path::new(SOURCE)).iter().filter(|(file, _)| !is_test(file)) {
        for name in types(program(text)) {
            rooms.entry(name.to_owned()).or_default().insert(room(file));
        }
    }
    assert!(rooms.contains_key("Recorder"), "types are found");
    rooms.retain(|name, rooms| {
        rooms.len() > ROOMS_OF_A_NAME && !EVERYWHERE.contains(&name.as_str())
    });
    assert!(rooms.is_empty(), "names with too many meanings: {rooms:#?}");
}

/// The first folder of a file, or the file's own name without its ending.
fn room(file: &Path) -> String {
    let inside = file.strip_prefix(SOURCE).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The path of a file's module from the root of the crate: `ring::lane` of ring/lane/mod.rs.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(SOURCE).unwrap().with_extension("");
    let path = inside.to_string_lossy().replace('/', "::");
    path.strip_suffix("::mod").map(str::to_owned).unwrap_or(path)
}

/// True for files that hold nothing but tests, or what only tests need.
fn is_test(file: &Path) -> bool {
    const NAMES: [&str; 3] = ["lab.rs", "lane/model.rs", "tests.rs"];
    let inside = file.strip_prefix(SOURCE).unwrap();
    inside.components().any(|part| ["house", "tests"].iter().any(|name| part.as_os_str() == *name))
        || NAMES.iter().any(|name| file.ends_with(name))
}

/// A file without its tests.
fn program(text: &str) -> &str {
    let tests = ["mod tests {", "impl "].map(|begin| text.find(&format!("#[cfg(test)]\n{begin}")));
    tests.into_iter().flatten().min().map_or(text, |tests| &text[..tests])
}

/// The first segment of every `crate::` path, in code or in a link of the documentation.
fn mentions(text: &str) -> impl Iterator<Item = &str> {
    text.split("crate::").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_')?;
        Some(&rest[..end]).filter(|name| !name.is_empty())
    })
}

/// Names of the structures, enumerations and traits that a text defines.
fn types(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim_start();
        let public = line.strip_prefix("pub").unwrap_or(line);
        let line = public.split_once(") ").filter(|(scope, _)| scope.starts_with('('));
        let line = line.map_or(public, |(_, rest)| rest).trim_start();
        let name =
            ["struct ", "enum ", "trait "].iter().find_map(|kind| line.strip_prefix(kind))?;
        let end = name.find(|c: char| !c.is_alphanumeric())?;
        Some(&name[..end])
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
