//! The whole conversation with a service manager, on a socket of its own, in milliseconds of time that is
//! told.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// What systemd would be.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _directory: TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, path, _directory: directory }
    }

    fn service(&self, watchdog: Duration) -> Service {
        let environment = Environment {
            socket: Some(self.path.clone().into()),
            watchdog: Some(watchdog.as_micros().to_string().into()),
            ..Environment::default()
        };
        Service::open(&environment, 1, Mono(0)).unwrap()
    }

    /// Everything that was said since, in a row.
    fn heard(&self) -> String {
        let mut words = Vec::new();
        let mut bytes = [0; 512];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            words.push(String::from_utf8(bytes[..length].to_vec()).unwrap().replace('\n', " "));
        }
        words.join(", ")
    }
}

fn ms(n: u64) -> Mono {
    Mono(n * 1_000_000)
}

const WATCHDOG: Duration = Duration::from_secs(4);

#[test]
fn ready_is_said_once_every_capture_has_read_and_the_watchdog_fed_in_time() {
    let manager = Manager::new();
    let mut service = manager.service(WATCHDOG);
    for (now, [a, b], expected) in [
        (0, [0, 0], ""),
        (250, [3, 0], ""),
        (500, [5, 1], "READY=1, WATCHDOG=1"),
        (750, [8, 4], ""),
        (2_499, [9, 5], ""),
        (2_500, [10, 6], "WATCHDOG=1"),
        (4_500, [11, 7], "WATCHDOG=1"),
    ] {
        service.attend(ms(now), [("a", a), ("b", b)]);
        assert_eq!(manager.heard(), expected, "at {now} ms");
    }
}

#[test]
fn a_capture_that_stands_still_starves_the_watchdog_until_it_moves() {
    let manager = Manager::new();
    let mut service = manager.service(WATCHDOG);
    let mut fed = Vec::new();
    for now in (0..20_000).step_by(500) {
        // It stands from 3 s to 14 s; the other one never does.
        let rounds = if (3_000..14_000).contains(&now) { 7 } else { 100 + now };
        service.attend(ms(now), [("a", rounds), ("b", now + 1)]);
        service.status(ms(now), false, "armed");
        for said in manager.heard().split(", ").filter(|said| !said.is_empty()) {
            fed.push(format!("{now} {said}"));
        }
    }
    let stands = "STATUS=STANDS STILL: the capture of a · armed";
    let expected = [
        "0 READY=1".to_owned(),
        "0 WATCHDOG=1".to_owned(),
        "0 STATUS=armed".to_owned(),
        "2000 WATCHDOG=1".to_owned(),
        // Due at 4 s, and it stood for one second only by then; due at 6 s, and it stood for three.
        "4000 WATCHDOG=1".to_owned(),
        format!("5000 {stands}"),
        "14000 WATCHDOG=1".to_owned(),
        "14000 STATUS=armed".to_owned(),
        "16000 WATCHDOG=1".to_owned(),
        "18000 WATCHDOG=1".to_owned(),
    ];
    assert_eq!(fed, expected);
}

#[test]
fn a_reload_ends_ready_and_a_stop_says_so_once() {
    let manager = Manager::new();
    let mut service = manager.service(Duration::from_secs(60));
    service.reloaded();
    assert_eq!(manager.heard(), "", "it is not ready yet");
    service.attend(ms(0), []);
    assert_eq!(manager.heard(), "READY=1, WATCHDOG=1", "without interfaces it waits for them");
    let notifier = service.notifier().unwrap();
    notifier.say(&[Word::Reloading(ms(7))]);
    service.reloaded();
    assert_eq!(manager.heard(), "RELOADING=1 MONOTONIC_USEC=7000, READY=1");
    service.stopping();
    service.reloaded();
    service.stopping();
    service.attend(ms(250), []);
    assert_eq!(manager.heard(), "STOPPING=1");
    let leaving = service.leave();
    drop(leaving);
    assert_eq!(manager.heard(), "EXTEND_TIMEOUT_USEC=30000000 WATCHDOG=1");
}

#[test]
fn nobody_asks_for_more_time_for_a_capture_that_stands() {
    let manager = Manager::new();
    let mut service = manager.service(WATCHDOG);
    for now in 0..4 {
        service.attend(ms(1_000 * now), [("a", 1)]);
    }
    manager.heard();
    assert!(service.leave().is_none());
    assert_eq!(manager.heard(), "STOPPING=1");
}

#[test]
fn what_a_busy_manager_did_not_take_is_said_again() {
    let manager = Manager::new();
    let mut service = manager.service(WATCHDOG);
    let notifier = service.notifier().unwrap();
    while notifier.say(&[Word::Status("noise")]) {}
    service.attend(ms(0), [("a", 1)]);
    assert!(service.is_due(ms(1)), "it owes READY=1");
    manager.heard();
    service.attend(ms(1), [("a", 1)]);
    assert_eq!(manager.heard(), "READY=1, WATCHDOG=1");
    assert!(!service.is_due(ms(2)));
}

#[test]
fn figures_are_told_now_and_then_and_changes_at_once() {
    let manager = Manager::new();
    let mut service = manager.service(Duration::from_secs(600));
    service.attend(ms(0), []);
    manager.heard();
    for (now, changed, expected) in [
        (0, false, "STATUS=0"),
        (1_000, false, ""),
        (2_000, true, "STATUS=2000"),
        (3_000, false, ""),
        (12_000, false, "STATUS=12000"),
    ] {
        service.status(ms(now), changed, &now.to_string());
        assert_eq!(manager.heard(), expected, "at {now} ms");
    }
}

#[test]
fn without_a_service_manager_nobody_is_told() {
    let environment = Environment { watchdog: Some("4000000".into()), ..Environment::default() };
    let mut service = Service::open(&environment, 1, Mono(0)).unwrap();
    service.attend(ms(0), [("a", 1)]);
    service.status(ms(0), true, "armed");
    assert!(!service.is_due(ms(1)));
    assert!(service.leave().is_none());
}
