//! What is worth telling, in tables; and files that change, in a directory and in a namespace.

use std::fs;

use crossbeam_channel::{Receiver, bounded};

use super::*;
use crate::lab::{Namespace, wait_for};
use crate::observation::Observation;
use crate::time::Clock;
use crate::watch::{RunningWatcher, spawn};

const QUICK: Duration = Duration::from_millis(20);

#[test]
fn conditions_say_what_is_worth_telling() {
    use Condition::{Above, Below, Changes};
    for (condition, before, now, sentence) in [
        (Changes, Some("3"), Some("3"), None),
        (Changes, Some("3"), Some("4"), Some("/p: 3 -> 4")),
        (Changes, None, Some("4"), Some("/p appeared: 4")),
        (Changes, Some("4"), None, Some("/p vanished, was 4")),
        (Above(10.0), Some("9"), Some("10"), None),
        (Above(10.0), Some("9"), Some("10.5"), Some("/p is above 10: 9 -> 10.5")),
        (Above(10.0), Some("11"), Some("12"), None),
        (Above(10.0), Some("11"), Some("-1"), Some("/p is no longer above 10: 11 -> -1")),
        (Above(10.0), None, Some("11"), Some("/p is above 10: 11")),
        (Above(10.0), Some("11"), None, Some("/p is no longer above 10 vanished, was 11")),
        (Below(-5.0), Some("0"), Some("-6"), Some("/p is below -5: 0 -> -6")),
        (Below(-5.0), Some("0"), Some("unreadable: gone"), None),
        (Below(-5.0), None, Some("NaN"), None),
    ] {
        let change = AttributeChange {
            path: "/p".to_owned(),
            item: None,
            interface: None,
            condition,
            before: before.map(str::to_owned),
            now: now.map(str::to_owned),
        };
        let json = serde_json::to_value(Fact::Attribute(Box::new(change.clone()))).unwrap();
        assert_eq!((&json["fact"], &json["path"]), (&"attribute".into(), &"/p".into()));
        let told = condition.is_news(before, now).then(|| change.to_string());
        assert_eq!(told.as_deref(), sentence, "{condition:?} {before:?} {now:?}");
    }
}

#[test]
fn only_attributes_of_the_kernel_can_be_watched() {
    let pattern = |pattern: &str| Options {
        watched: vec![Watched { pattern: pattern.to_owned(), condition: Condition::Changes }],
        ..Options::default()
    };
    for (options, refused) in [
        (Options::default(), None),
        (pattern("/sys/class/net/dp0*/opstate_changes"), None),
        (pattern("/etc/passwd"), Some("an attribute is a file in /sys or /proc")),
        (pattern("sys/class"), Some("an attribute is a file in /sys or /proc")),
        (pattern("/sys/../etc/passwd"), Some("may lead out")),
        (pattern("/sys/**/carrier"), Some("whole trees")),
        (pattern("/sys/class/net/[/carrier"), Some("invalid range")),
        (Options { interval: Duration::ZERO, ..Options::default() }, Some("10ms to 1h")),
        (
            Options {
                watched: vec![Watched {
                    pattern: "/sys/x".to_owned(),
                    condition: Condition::Above(f64::NAN),
                }],
                ..Options::default()
            },
            Some("a finite number"),
        ),
    ] {
        let error = options.check().err().map(|error| error.to_string());
        assert_eq!(error.is_some(), refused.is_some(), "{options:?}: {error:?}");
        assert!(error.unwrap_or_default().contains(refused.unwrap_or_default()), "{options:?}");
    }
}

#[test]
fn paths_name_their_interface_and_long_values_are_cut() {
    for (path, expected) in [
        ("/sys/class/net/dp0s0/carrier", Some("dp0s0")),
        ("/proc/net/bonding/dp0bond0", Some("dp0bond0")),
        ("/proc/loadavg", None),
        ("/sys/class/net", None),
    ] {
        assert_eq!(interface(Path::new(path)).as_deref(), expected, "{path}");
    }
    assert_eq!(cut("ääää", 5), "ää...");
    assert_eq!(cut("abc", 3), "abc");
}

/// Starts a watcher of `files`, which [`Options::check`] need not like.
fn start(watched: Vec<Watched>) -> (RunningWatcher, Receiver<Observation>) {
    let options = Options { interval: QUICK, watched };
    let (outbox, inbox) = bounded(crate::watch::CHANNEL);
    let watcher = AttributeWatcher { options, told: BTreeMap::new(), too_many: false };
    (spawn(watcher, Clock::system(), outbox).unwrap(), inbox)
}

fn wait_for_words(inbox: &Receiver<Observation>, words: &str) {
    wait_for(inbox, words, |seen| seen.fact.to_string() == words);
}

#[test]
fn files_that_appear_change_and_vanish_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let file = |name: &str| folder.path().join(name);
    fs::create_dir(file("a-directory")).unwrap();
    let watched =
        |pattern: &str, condition| Watched { pattern: format!("{root}/{pattern}"), condition };
    let (watch, inbox) =
        start(vec![watched("a*", Condition::Changes), watched("t", Condition::Above(85.0))]);
    fs::write(file("a0"), "1\n").unwrap();
    wait_for_words(&inbox, &format!("{root}/a0 appeared: 1"));
    fs::rename(file("a0"), file("b0")).unwrap();
    wait_for_words(&inbox, &format!("{root}/a0 vanished, was 1"));
    fs::write(file("t.new"), "85.5").unwrap();
    fs::rename(file("t.new"), file("t")).unwrap();
    wait_for_words(&inbox, &format!("{root}/t is above 85: 85.5"));
    fs::remove_file(file("t")).unwrap();
    wait_for_words(&inbox, &format!("{root}/t is no longer above 85 vanished, was 85.5"));
    watch.join();
}

#[test]
fn more_files_than_are_watched_are_told_as_missed_once() {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..=FILES {
        fs::write(folder.path().join(file.to_string()), "0").unwrap();
    }
    let pattern = format!("{}/*", folder.path().display());
    let (watch, inbox) = start(vec![Watched { pattern, condition: Condition::Changes }]);
    let missed = |seen: &Observation| seen.fact.to_string().contains("beyond the first 1024 files");
    wait_for(&inbox, "the bound", missed);
    watch.join();
    let files = inbox.try_iter().inspect(|seen| assert!(!missed(seen), "{seen:?}")).count();
    assert!(files >= FILES);
}

#[test]
fn attributes_of_the_kernel_in_a_namespace() {
    let Some(ns) = Namespace::new() else { return };
    ns.ip("link add n0 type veth peer name n1");
    let pattern = "/proc/sys/net/ipv4/conf/n*/forwarding".to_owned();
    let watched = vec![Watched { pattern, condition: Condition::Changes }];
    let options = Options { interval: QUICK, watched };
    let (outbox, inbox) = bounded(crate::watch::CHANNEL);
    let watch = ns.inside(|| {
        let watcher = AttributeWatcher::open(options).unwrap();
        assert_eq!(watcher.told.len(), 2, "{:?}", watcher.told);
        spawn(watcher, Clock::system(), outbox).unwrap()
    });
    let path = |name: &str| format!("/proc/sys/net/ipv4/conf/{name}/forwarding");
    ns.inside(|| {
        let old = fs::read_to_string(path("n0")).unwrap();
        fs::write(path("n0"), if old.trim() == "0" { "1" } else { "0" }).unwrap();
    });
    let changed =
        |seen: &Observation| seen.fact.to_string().starts_with(&format!("{}: ", path("n0")));
    let (_, before) = wait_for(&inbox, "forwarding", changed);
    assert_eq!(before, [], "the baseline is not told");
    ns.ip("link del n0");
    let vanished =
        |seen: &Observation| seen.fact.to_string().starts_with(&format!("{} vanished", path("n1")));
    wait_for(&inbox, "n1 vanished", vanished);
    watch.join();
}

#[test]
fn what_cannot_be_read_says_why() {
    // The first page of a process is never mapped.
    let values = read(Path::new("/proc/self/mem"));
    let [(None, why)] = &values[..] else { panic!("{values:?}") };
    assert!(why.starts_with("unreadable: "), "{why}");
    assert_eq!(read(Path::new("/proc/does/not/exist")), []);
}
