//! Files as logrotate, editors and operators treat them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::observation::log_line::LogSource;
use crate::time::Clock;
use crate::watch::logs::lab::{Watching, show};
use crate::watch::logs::{LogWatcher, Matcher, Options, Place};

fn options(pattern: &Path) -> Options {
    let pattern = pattern.to_str().unwrap().to_owned();
    let matchers = vec![Matcher::new("news", "news (?<number>\\d+)")];
    Options { matchers, per_second: 1_000, ..Options::new(Place::Files(pattern)) }
}

fn add(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn patterns_are_absolute_paths() {
    for (pattern, good) in [
        ("/var/log/messages", true),
        ("/var/log/*/[a-f]*.log", true),
        ("messages", false),
        ("/var/log/", false),
        ("/var/log/[", false),
        ("", false),
    ] {
        assert_eq!(check(pattern).is_ok(), good, "{pattern:?}");
    }
}

#[test]
fn what_is_added_is_told_and_history_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    add(&path, "news 1\n");
    let watcher = Watching::of(&options(&path));
    add(&path, "nothing\nnews 2\nnews");
    let (_, line) = watcher.line();
    assert_eq!((line.text.as_str(), line.fields["number"].as_str()), ("news 2", "2"));
    assert_eq!(line.source, LogSource::File(path.to_str().unwrap().to_owned()));
    add(&path, " 3\n");
    assert_eq!(watcher.texts(1), ["news 3"]);
    let counts = watcher.counters.read();
    assert_eq!((counts.read, counts.unmatched, counts.sent), (3, 1, 2));
    assert_eq!(watcher.stop(), [""; 0]);
}

#[test]
fn rotation_by_rename_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    add(&path, "");
    // The rotated names match, too.
    let watcher = Watching::of(&options(&folder.path().join("messages*")));
    let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
    writer.write_all(b"news 1\n").unwrap();
    assert_eq!(watcher.texts(1), ["news 1"]);
    fs::rename(&path, folder.path().join("messages.1")).unwrap();
    writer.write_all(b"news 2\n").unwrap();
    assert_eq!(watcher.texts(1), ["news 2"]);
    add(&path, "news 3\n");
    assert_eq!(watcher.texts(1), ["news 3"]);
    writer.write_all(b"news 4\n").unwrap();
    assert_eq!(watcher.texts(1), ["news 4"]);
    fs::rename(folder.path().join("messages.1"), folder.path().join("messages.2")).unwrap();
    fs::rename(&path, folder.path().join("messages.1")).unwrap();
    add(&path, "news 5\n");
    assert_eq!(watcher.texts(1), ["news 5"]);
    assert_eq!(watcher.stop(), [""; 0], "each was told once");
}

#[test]
fn a_single_name_is_followed_through_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    add(&path, "");
    let watcher = Watching::of(&options(&path));
    let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
    fs::rename(&path, folder.path().join("old")).unwrap();
    add(&path, "news 1\n");
    assert_eq!(watcher.texts(1), ["news 1"]);
    // Not reopened yet: rsyslog waits for SIGHUP.
    writer.write_all(b"news 2\n").unwrap();
    assert_eq!(watcher.texts(1), ["news 2"]);
    fs::remove_file(&path).unwrap();
    add(&path, "news 3\n");
    assert_eq!(watcher.texts(1), ["news 3"]);
    assert_eq!(watcher.stop(), [""; 0]);
}

#[test]
fn rotations_in_quick_succession_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    add(&path, "");
    let watcher = Watching::of(&options(&path));
    let mut seen = BTreeSet::new();
    for number in 1..=20 {
        add(&path, &format!("news {number}\n"));
        // A file that is made and renamed between two looks never had the name, as far as we know.
        while !seen.contains(&format!("news {number}")) {
            seen.extend(watcher.texts(1));
        }
        let mut late = OpenOptions::new().append(true).open(&path).unwrap();
        fs::rename(&path, folder.path().join(format!("messages.{number}"))).unwrap();
        add(&path, "");
        late.write_all(format!("news 0{number}").as_bytes()).unwrap();
    }
    // Each but the last one, which is still read on, has a late line without an end.
    while seen.len() < 20 + 19 {
        seen.extend(watcher.texts(1));
    }
    assert!((1..20).all(|number| seen.contains(&format!("news 0{number}"))), "{seen:?}");
    watcher.stop();
}

#[test]
fn truncation_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    add(&path, "a long history\n");
    let watcher = Watching::of(&options(&path));
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    watcher.missed("was truncated");
    add(&path, "news 1\n");
    assert_eq!(watcher.texts(1), ["news 1"]);
    assert_eq!(watcher.stop(), [""; 0]);
}

#[test]
fn files_and_directories_may_come_later() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a/b");
    let watcher = Watching::of(&options(&place.join("*.log")));
    fs::create_dir_all(&place).unwrap();
    add(&place.join("one.log"), "news 1\n");
    assert_eq!(watcher.texts(1), ["news 1"]);
    add(&place.join("two.log"), "news 2\n");
    add(&place.join("two.txt"), "news 0\n");
    add(&place.join("three.log.gz"), "news 0\n");
    assert_eq!(watcher.texts(1), ["news 2"]);
    fs::remove_dir_all(&place).unwrap();
    fs::create_dir(&place).unwrap();
    add(&place.join("one.log"), "news 3\n");
    assert_eq!(watcher.texts(1), ["news 3"]);
    assert_eq!(watcher.stop(), [""; 0]);
}

#[test]
fn links_are_followed_and_told_once() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = elsewhere.path().join("target");
    add(&target, "");
    symlink(&target, folder.path().join("a.log")).unwrap();
    symlink(&target, folder.path().join("b.log")).unwrap();
    let watcher = Watching::of(&options(&folder.path().join("*.log")));
    for number in 1..=3 {
        add(&target, &format!("news {number}\n"));
        assert_eq!(watcher.texts(1), [format!("news {number}")]);
    }
    assert_eq!(watcher.stop(), [""; 0]);
}

#[test]
fn long_lines_and_noise_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    add(&path, "");
    let watcher = Watching::of(&options(&path));
    add(&path, &format!("news 1{}\nnews 2\n", "x".repeat(100_000)));
    let (_, line) = watcher.line();
    assert_eq!((line.text.len(), line.header.cut), (crate::observation::log_line::KEPT, true));
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"\xff\0\xfe news 3\n").unwrap();
    assert_eq!(watcher.texts(2), ["news 2", "\u{fffd}\0\u{fffd} news 3"]);
    assert_eq!(watcher.counters.read().cut, 1);
    assert_eq!(watcher.stop(), [""; 0]);
}

#[test]
fn a_flood_is_counted_and_our_own_words_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    add(&path, "");
    let watcher = Watching::of(&Options { per_second: 10, ..options(&path) });
    let own = format!("dashcap[{}]: news 0\n", std::process::id());
    add(&path, &own);
    let flood: String = (0..5_000).map(|number| format!("news {number}\n")).collect();
    add(&path, &flood);
    assert_eq!(watcher.texts(10).len(), 10);
    let told = watcher.missed("more lines within a second matched news");
    assert!(told.starts_with("log missed something: "), "{told}");
    let counters = watcher.counters.clone();
    watcher.stop();
    let counts = counters.read();
    assert_eq!((counts.read, counts.own, counts.sent + counts.held), (5_001, 1, 5_000));
    assert!(counts.held >= 4_000, "{counts:?}");
}

#[test]
fn without_inotify_it_looks_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    add(&path, "");
    let mut files = Files::open(path.to_str().unwrap()).unwrap();
    files.hints = Hints::deaf(Wakeup::new().unwrap());
    assert!(files.limitation().unwrap().contains("looked at every 250 ms"));
    let mut watcher = LogWatcher::open(&options(&path)).unwrap();
    watcher.source = crate::watch::logs::Source::Files(Box::new(files));
    let watcher = Watching::employ(watcher);
    watcher.missed("because no inotify");
    add(&path, "news 1\n");
    assert_eq!(watcher.texts(1), ["news 1"]);
    assert_eq!(watcher.stop(), [""; 0], "told once");
}

#[test]
fn from_line_to_observation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    add(&path, "");
    let (watcher, clock) = (Watching::of(&options(&path)), Clock::system());
    let mut latencies = Vec::new();
    for number in 0..200 {
        let written = clock.now();
        add(&path, &format!("news {number}\n"));
        let (at, line) = watcher.line();
        assert_eq!(line.fields["number"], number.to_string());
        latencies.push(at.mono.since(written.mono));
    }
    show("file: from before the write to the observation's stamp", latencies);
    assert_eq!(watcher.stop(), [""; 0]);
}
