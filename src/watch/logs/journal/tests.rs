//! Entries as journalctl prints them, and children that end.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::lab::lacks;
use crate::time::Clock;
use crate::watch::logs::lab::{Watching, show};
use crate::watch::logs::{LogWatcher, Matcher, Options, Place};

fn entry(text: &str, more: &str) -> String {
    format!(
        "{{\"__CURSOR\":\"s=1;i=2\",\"__REALTIME_TIMESTAMP\":\"1795356860811089\",\
         \"MESSAGE\":{text},\"PRIORITY\":\"3\",\"SYSLOG_IDENTIFIER\":\"Keepalived_vrrp\",\
         \"_PID\":\"812\",\"_HOSTNAME\":\"router\"{more}}}"
    )
}

#[test]
fn fields_are_text_or_bytes_or_several() {
    for (message, text) in [
        (r#""Entering FAULT STATE""#, "Entering FAULT STATE"),
        ("[72,105,255]", "Hi\u{fffd}"),
        (r#"["first","second"]"#, "first"),
        ("[72,999]", "H"),
        ("[]", ""),
        ("null", ""),
        ("{}", ""),
    ] {
        let parsed = parse_entry(&entry(message, "")).unwrap();
        assert_eq!(parsed.text, text, "{message}");
        assert_eq!(
            (parsed.cursor.as_str(), parsed.pid, parsed.by_kernel),
            ("s=1;i=2", Some(812), false)
        );
        assert_eq!(parsed.header.priority, Some(Priority::Err));
        assert_eq!(parsed.header.program.as_deref(), Some("Keepalived_vrrp[812]"));
        assert_eq!(parsed.header.host.as_deref(), Some("router"));
    }
    assert!(parse_entry(&entry("\"\"", ",\"_TRANSPORT\":\"kernel\"")).unwrap().by_kernel);
    for bad in ["", "{}", "[]", "null", "{\"__CURSOR\":5}", "{\"__CURSOR\":\"a\""] {
        assert!(parse_entry(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let noise = String::from_utf8_lossy(&noise).into_owned();
        let _ = parse_entry(&noise);
        let _ = parse_entry(&entry(&serde_json::to_string(&noise).unwrap(), ""));
    }
}

/// A program in place of journalctl: a shell script, with the arguments it was given in `$*`.
fn program(folder: &Path, script: &str) -> Options {
    let path = folder.join("journalctl");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Options::new(Place::Journal { journalctl: path })
}

#[test]
fn a_journal_that_ends_is_told_and_followed_again_behind_its_last_entry() {
    let folder = tempfile::tempdir().unwrap();
    let first = entry("\"(VI_1) Entering FAULT STATE\"", "");
    let kernel = entry("\"eth0: Link is Down\"", ",\"_TRANSPORT\":\"kernel\"");
    let second = entry("\"Netlink reports eth0 down\"", "");
    let script = format!(
        "case \"$*\" in\n\
         *--lines=0*) echo '{kernel}'; echo '{first}'; echo 'no room' >&2; exit 3;;\n\
         *--after-cursor='s=1;i=2'*) echo '{second}'; exec sleep 1000;;\n\
         esac"
    );
    let watcher = Watching::of(&program(folder.path(), &script));
    let (_, line) = watcher.line();
    assert_eq!(
        (line.text.as_str(), line.fields["instance"].as_str()),
        ("(VI_1) Entering FAULT STATE", "VI_1")
    );
    assert_eq!(line.source, LogSource::Journal);
    let told = watcher.missed("journalctl ended");
    assert!(told.contains("(exit status: 3: no room), it will be started again in 1 s"), "{told}");
    assert_eq!(watcher.line().1.interface(), Some("eth0"));
    assert_eq!(watcher.stop(), [""; 0]);
}

#[test]
fn what_is_no_entry_is_told_and_our_own_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let own = entry("\"Entering FAULT STATE\"", "").replace("812", &process::id().to_string());
    let news = entry("\"NSM Interface is Down\"", "");
    let script = format!("echo '{{'; echo '{own}'; echo '{news}'; exec sleep 1000");
    let watcher = Watching::of(&program(folder.path(), &script));
    watcher.missed("a record could not be read");
    assert_eq!(watcher.line().1.matcher, "nsm-interface-down");
    let counts = watcher.counters.read();
    assert_eq!((counts.read, counts.own, counts.unreadable, counts.sent), (3, 1, 1, 1));
    assert_eq!(watcher.stop(), [""; 0]);
}

/// The real one, with a line that systemd-cat(1) writes.
#[test]
fn the_journal_of_this_host_is_followed() {
    if !journal_runs() {
        return lacks("no journald runs here");
    }
    let mark = format!("dashcap test {}", process::id());
    let matchers = vec![Matcher::new("test", format!("{mark} (?<number>\\d+)"))];
    let options = Options { matchers, per_second: 1_000, ..Options::new(Place::journal()) };
    let (watcher, clock) = (Watching::of(&options), Clock::system());
    let write = |number: usize| {
        let line = format!("echo '{mark} {number}'");
        let written = clock.now();
        let done = Command::new("systemd-cat")
            .args(["--identifier=vrrp", "--priority=err", "sh", "-c", &line])
            .status();
        assert!(done.expect("systemd-cat(1) comes with journald").success());
        written
    };
    // journalctl says nothing when it has begun, so lines are written until one is seen.
    let mut number = 0;
    while watcher.counters.read().sent == 0 {
        write(number);
        number += 1;
        assert!(number < 1_000, "nothing of {number} lines was seen");
    }
    write(number);
    while watcher.line().1.fields["number"] != number.to_string() {}
    let mut latencies = Vec::new();
    for number in 1_000..1_005 {
        let written = write(number);
        let (at, line) = watcher.line();
        assert_eq!(line.fields["number"], number.to_string());
        assert_eq!(line.header.priority, Some(Priority::Err));
        // A process that is gone when journald asks leaves no number.
        assert!(line.header.program.is_some_and(|program| program.starts_with("vrrp")));
        assert!(line.header.stamp.is_some() && line.header.host.is_some());
        latencies.push(at.mono.since(written.mono));
    }
    show("journal: from before systemd-cat was started to the stamp", latencies);
    assert_eq!(watcher.stop(), [""; 0]);
}

#[test]
fn a_missing_journalctl_is_refused_with_advice() {
    let options = Options::new(Place::Journal { journalctl: "/does/not/exist".into() });
    let error = LogWatcher::open(&options).unwrap_err().to_string();
    assert!(error.starts_with("cannot follow the journal: /does/not/exist: "), "{error}");
    assert!(error.contains("needs systemd's journalctl"), "{error}");
}
