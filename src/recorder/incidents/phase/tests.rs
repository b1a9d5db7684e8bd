//! When windows open, extend and close.

use super::*;
use crate::time::{Stamp, Wall};
use crate::trigger::TriggerKind;

const S: u64 = 1_000_000_000;

const TERMS: Terms = Terms {
    pre: Duration::from_secs(30),
    post: Duration::from_secs(10),
    cool_down: Duration::from_secs(30),
};

fn phase() -> Phase {
    Phase::new(Duration::from_secs(25))
}

/// What a trigger of the usual terms led to.
fn take(phase: &mut Phase, trigger: Trigger) -> Effect {
    phase.trigger(trigger, TERMS, Duration::ZERO)
}

fn extended(until: u64, triggers: u64) -> Effect {
    Effect::Extended { until: Mono(until * S), from: None, triggers }
}

fn at(second: u64) -> Trigger {
    Trigger {
        kind: TriggerKind::LinkDown,
        object: None,
        at: Stamp { mono: Mono(second * S), wall: Wall(second) },
        told_after: Duration::ZERO,
        sentence: String::new(),
    }
}

#[test]
fn a_lone_trigger_gives_its_window() {
    let mut phase = phase();
    assert_eq!(take(&mut phase, at(100)), Effect::Opened { from: Mono(70 * S) });
    assert_eq!(phase.close_if_due(Mono(110 * S - 1)), None);
    let closed = phase.close_if_due(Mono(117 * S)).unwrap();
    assert_eq!(closed.window, Window { from: Mono(70 * S), to: Mono(110 * S) });
    assert_eq!(closed.ending, Ending::OnTime);
    assert!(!phase.is_collecting());
}

#[test]
fn further_triggers_extend_up_to_the_limit() {
    let mut phase = phase();
    take(&mut phase, at(100));
    assert_eq!(take(&mut phase, at(105)), extended(115, 2));
    assert_eq!(take(&mut phase, at(114)), extended(124, 3));
    assert_eq!(take(&mut phase, at(120)), extended(125, 4));
    let closed = phase.close_if_due(Mono(125 * S)).unwrap();
    assert_eq!(closed.window, Window { from: Mono(70 * S), to: Mono(125 * S) });
    assert_eq!((closed.extended_by.len(), closed.ending), (3, Ending::Limit));
}

#[test]
fn a_storm_of_triggers_is_counted() {
    let mut phase = phase();
    for _ in 0..=Phase::MAX_TRIGGERS + 5 {
        take(&mut phase, at(100));
    }
    let closed = phase.close_if_due(Mono(110 * S)).unwrap();
    assert_eq!((closed.extended_by.len(), closed.further_triggers), (Phase::MAX_TRIGGERS, 5));
    assert_eq!(closed.counts.len(), 1);
    assert_eq!(closed.counts[0].tally.count, Phase::MAX_TRIGGERS as u64 + 6);
}

#[test]
fn a_cut_ends_now_and_says_by_whom() {
    let mut phase = phase();
    assert_eq!(phase.cut(Mono(1), "SIGTERM"), None);
    take(&mut phase, at(100));
    let closed = phase.cut(Mono(103 * S), "SIGTERM").unwrap();
    assert_eq!(closed.window.to, Mono(103 * S));
    assert_eq!(closed.ending, Ending::Cut { by: "SIGTERM".into() });
}

#[test]
fn the_window_of_a_command_reaches_back_to_its_beginning() {
    let ran = Duration::from_secs(50);
    let effect = phase().trigger(at(100), TERMS, ran);
    assert_eq!(effect, Effect::Opened { from: Mono(20 * S) });
}

#[test]
fn a_window_at_boot_begins_at_boot() {
    assert_eq!(take(&mut phase(), at(5)), Effect::Opened { from: Mono(0) });
}

#[test]
fn only_windows_that_can_be_meant() {
    assert!(WindowOptions::default().check().is_ok());
    let day = Duration::from_secs(24 * 3600 + 1);
    assert!(WindowOptions { pre: day, ..WindowOptions::default() }.check().is_err());
    let short = WindowOptions { limit: Duration::from_secs(1), ..WindowOptions::default() };
    assert!(short.check().is_err());
}

#[test]
fn a_storm_of_objects_is_bounded_too() {
    let mut phase = phase();
    for n in 0..Phase::MAX_COUNTS + 10 {
        take(&mut phase, Trigger { object: Some(format!("eth{n}")), ..at(100) });
    }
    let closed = phase.close_if_due(Mono(110 * S)).unwrap();
    assert_eq!(closed.counts.len(), Phase::MAX_COUNTS);
    let told = 1 + closed.extended_by.len() as u64 + closed.further_triggers;
    assert_eq!(told, Phase::MAX_COUNTS as u64 + 10);
}

#[test]
fn each_trigger_has_a_window_of_its_own() {
    let far = Terms { pre: Duration::from_secs(60), post: Duration::from_secs(20), ..TERMS };
    let mut phase = phase();
    take(&mut phase, at(100));
    let effect = phase.trigger(at(102), far, Duration::ZERO);
    let (until, from) = (Mono(122 * S), Some(Mono(42 * S)));
    assert_eq!(effect, Effect::Extended { until, from, triggers: 2 });
    assert_eq!(take(&mut phase, at(104)), extended(122, 3), "what is shorter changes nothing");
    let closed = phase.close_if_due(Mono(122 * S)).unwrap();
    assert_eq!(closed.window, Window { from: Mono(42 * S), to: Mono(122 * S) });
    assert_eq!(closed.asked, Window { from: Mono(42 * S), to: Mono(110 * S) });
    // A rule may collect for longer than the limit of extensions.
    let long = Terms { post: Duration::from_secs(60), ..TERMS };
    phase.trigger(at(200), long, Duration::ZERO);
    let closed = phase.close_if_due(Mono(260 * S)).unwrap();
    assert_eq!((closed.window.to, closed.ending), (Mono(260 * S), Ending::OnTime));
}

#[test]
fn what_was_held_stands_before_what_confirmed_it() {
    let mut phase = phase();
    assert_eq!(phase.precede(at(1), Mono(0), Duration::ZERO), None, "nothing is open");
    take(&mut phase, at(100));
    let held = Trigger { kind: TriggerKind::LinkUp, ..at(40) };
    assert_eq!(phase.precede(held.clone(), Mono(10 * S), TERMS.cool_down), Some(Mono(10 * S)));
    assert_eq!(phase.deadline(), Some(Mono(110 * S)), "the limit counts from what is sure");
    let closed = phase.close_if_due(Mono(110 * S)).unwrap();
    assert_eq!((closed.opened_by, closed.extended_by), (held, vec![at(100)]));
    assert_eq!((closed.window.from, closed.ending), (Mono(10 * S), Ending::OnTime));
    let counts: Vec<_> = closed.counts.iter().map(|c| (c.tally.kind, c.tally.count)).collect();
    assert_eq!(counts, [(TriggerKind::LinkDown, 1), (TriggerKind::LinkUp, 1)]);
}

#[test]
fn a_moment_that_is_over_gives_the_window_that_it_had() {
    let late = |second, after| Trigger { told_after: Duration::from_secs(after), ..at(second) };
    let mut phase = phase();
    // Its window is over: it closes at once, and whatever happens now does not rest.
    assert_eq!(take(&mut phase, late(100, 60)), Effect::Opened { from: Mono(70 * S) });
    let closed = phase.close_if_due(Mono(160 * S)).unwrap();
    assert_eq!(closed.window, Window { from: Mono(70 * S), to: Mono(110 * S) });
    assert_eq!((closed.ending, closed.counts[0].cool_down), (Ending::OnTime, None));
    assert_eq!(closed.counts[0].told, Mono(160 * S));
    // A part of it is still to come.
    take(&mut phase, late(200, 4));
    assert_eq!(phase.close_if_due(Mono(204 * S)), None);
    let closed = phase.close_if_due(Mono(210 * S)).unwrap();
    assert_eq!(
        (closed.window.to, closed.counts[0].cool_down),
        (Mono(210 * S), Some(TERMS.cool_down))
    );
}

#[test]
fn the_past_makes_an_open_incident_begin_earlier_or_stands_apart() {
    let late = |second, after| Trigger { told_after: Duration::from_secs(after), ..at(second) };
    let window =
        |second: u64| Window { from: Mono((second - 30) * S), to: Mono((second + 10) * S) };
    let mut phase = phase();
    assert!(!phase.is_apart(window(100), Mono(300 * S)), "nothing is open");
    take(&mut phase, at(200));
    let now = Mono(205 * S);
    for (second, apart) in [(100, true), (159, true), (160, false), (190, false), (200, false)] {
        assert_eq!(phase.is_apart(window(second), now), apart, "{second}");
    }
    let effect = take(&mut phase, late(165, 40));
    let (until, from) = (Mono(210 * S), Some(Mono(135 * S)));
    assert_eq!(effect, Effect::Extended { until, from, triggers: 2 }, "its end stays");
    let closed = phase.close_if_due(Mono(210 * S)).unwrap();
    assert_eq!(closed.window, Window { from: Mono(135 * S), to: Mono(210 * S) });
    assert_eq!(closed.counts[0].cool_down, Some(TERMS.cool_down), "one of them was about now");
    assert_eq!(closed.counts[0].tally.first.mono, Mono(165 * S));
}
