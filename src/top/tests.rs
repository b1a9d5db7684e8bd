//! The screen as a terminal shows it, and what keys do.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::*;
use crate::api::status::{Class, Depth, Interface, OpenIncident, Traffic, Watcher};

fn standing(uptime_seconds: f64, frames: u64) -> RecorderStatus {
    let class = |name: &str, frames: u64| Class {
        name: name.into(),
        inbound: Traffic { frames, bytes: frames * 100 },
        outbound: Traffic { frames: frames / 2, bytes: frames * 50 },
        stored: frames,
        full_seconds: 12.0,
        seconds: 7_300.0,
        is_known: true,
        held_seconds: 7_300.0,
        ..Class::default()
    };
    let interface = |name: &str, up: bool| Interface {
        name: name.into(),
        up: Some(up),
        classes: vec![class("control", frames / 100), class("data", frames)],
        ..Interface::default()
    };
    RecorderStatus {
        program: "dashcap 0.1.0".into(),
        host: "router".into(),
        process: 7,
        uptime_seconds,
        armed: true,
        memory_bytes: 256 << 20,
        pre_seconds: 120.0,
        depths: vec![Depth::default()],
        interfaces: vec![interface("dp0s0", true), interface("dp0bond0.956", false)],
        watchers: ["link", "ip", "probe", "probe"]
            .map(|name| Watcher { name: name.into(), missed: 0, running: true })
            .into(),
        ..RecorderStatus::default()
    }
}

fn screen(top: &Top, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(top, frame)).unwrap();
    terminal.backend().to_string()
}

fn running() -> Top {
    let mut top = Top::new(true, None);
    for second in 1..=20_u32 {
        top.stands(standing(f64::from(second), u64::from(second * second) * 1_000));
    }
    top.saw(&json!({
        "time": "2026-11-22T14:14:20.811089123Z", "kind": "observation", "watcher": "link",
        "sentence": "dp0bond0: DOWN",
    }));
    top.saw(&json!({
        "time": "2026-11-22T14:14:20.811089123Z", "kind": "trigger", "trigger": "link-down",
        "sentence": "dp0bond0:\nDOWN",
    }));
    top
}

#[test]
fn everything_fits_eighty_by_twenty_four() {
    let shown = screen(&running(), 80, 24);
    for expected in [
        "dashcap 0.1.0 on router, for 20 s  armed",
        "traffic   0 frames/s; 0 dropped; memory 256 MiB; 2 min pre wanted",
        "bundles   0 written, 0 pending, 0 lost",
        "watchers  link ip probe ",
        "interface         is     in/s  bit/s  out/s  bit/s     drops gaps",
        "> dp0s0           up      39k    32M    20k    16M         0    0 ",
        "  dp0bond0.956    DOWN",
        "of dp0s0        frames/s  bit/s    whole      all stored folded  drops   gone",
        "  data               58k    47M     12 s      2 h   400k      0      0      0",
        "14:14:20.811 link      dp0bond0: DOWN",
        "14:14:20.811 TRIGGER   link-down: dp0bond0: DOWN",
        "s snapshot   ↑↓ interface   ? help   q quit",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    assert!(shown.contains('█'), "a sparkline\n{shown}");
    assert_eq!(shown.lines().count(), 24);
}

#[test]
fn any_size_is_drawn() {
    let mut top = running();
    let _ = top.key(Key::Char('?'));
    for (width, height) in [(1, 1), (20, 5), (66, 24), (80, 24), (300, 100)] {
        let shown = screen(&top, width, height);
        assert_eq!(shown.lines().count(), usize::from(height), "{width}x{height}");
    }
    assert!(screen(&top, 80, 24).contains("freeze a snapshot"));
}

#[test]
fn what_is_wrong_is_a_word() {
    let mut top = running();
    let mut bad = standing(21.0, 500_000);
    bad.armed = false;
    bad.bundles.lost = 2;
    bad.interfaces[0].counts.lane_dropped = 9;
    bad.watchers[1].running = false;
    bad.watchers[2].missed = 4;
    top.stands(bad.clone());
    let shown = screen(&top, 100, 24);
    for expected in ["DISARMED", "9 dropped", "2 lost", "ip ENDED", "probe missed 4"] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    bad.incident = Some(OpenIncident { sentence: "it fell".into(), ..OpenIncident::default() });
    top.stands(bad);
    assert!(screen(&top, 80, 24).contains("COLLECTING, 0 s left: it fell"));
    top.is_gone("it hung up".into());
    let shown = screen(&top, 80, 24);
    assert!(shown.contains("GONE, trying again: it hung up"), "{shown}");
    let mut other = standing(1.0, 0);
    other.process = 8;
    top.stands(other);
    assert!(!screen(&top, 80, 24).contains('█'), "another process begins anew");
}

#[test]
fn keys_select_ask_and_leave() {
    let mut top = running();
    assert_eq!(top.key(Key::Down), None);
    assert_eq!(top.key(Key::Down), None);
    assert!(screen(&top, 80, 24).contains("> dp0bond0.956"));
    assert_eq!(top.key(Key::Up), None);
    assert_eq!(top.key(Key::Char('s')), None);
    for c in "quit".chars() {
        assert_eq!(top.key(Key::Char(c)), None, "letters are the reason now");
    }
    assert!(screen(&top, 80, 24).contains("why? quit"));
    assert_eq!(top.key(Key::Backspace), None);
    assert_eq!(top.key(Key::Enter), Some(Wish::Snapshot("qui".into())));
    top.came_of_it(Ok(Verdict::Ignored { why: "disarmed".into() }));
    assert!(screen(&top, 80, 24).contains("snapshot: nothing frozen: disarmed"));
    assert_eq!(top.key(Key::Char('s')), None);
    assert_eq!(top.key(Key::Enter), Some(Wish::Snapshot(USUAL_REASON.into())));
    assert_eq!(top.key(Key::Char('s')), None);
    assert_eq!(top.key(Key::Escape), None, "only the question is left");
    assert_eq!(top.key(Key::Char('q')), Some(Wish::Quit));
    assert_eq!(top.key(Key::Interrupt), Some(Wish::Quit));
}

#[test]
fn what_is_kept_is_bounded() {
    let mut top = Top::new(true, None);
    for n in 0..u32::try_from(2 * HISTORY).unwrap() {
        top.stands(standing(f64::from(n), 0));
        top.missed(1);
    }
    assert_eq!((top.history["dp0s0"].len(), top.events.len()), (HISTORY, EVENTS));
    top.events_begin();
    assert_eq!(top.events.len(), 0);
}
