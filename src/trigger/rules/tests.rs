//! Every kind, every condition, as tables of what is seen and what fires.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::observation::Fact;
use crate::observation::attribute::{AttributeChange, Condition};
use crate::observation::counter::{Counter, CounterGrowth};
use crate::observation::link::{LinkState, OperState};
use crate::observation::log_line::{Header, LogLine, LogSource};
use crate::observation::neighbour::{Answers, Neighbour, NeighbourChange};
use crate::observation::probe::{ProbeDown, ProbeUp};
use crate::time::Wall;
use crate::trigger::{Bound, Names, Threshold, TriggerKind, Words};

const S: u64 = 1_000_000_000;
const USUAL: Terms = Terms {
    pre: Duration::from_secs(120),
    post: Duration::from_secs(10),
    cool_down: Duration::from_secs(30),
};

fn link(name: &str, up: bool, falls: u32) -> LinkState {
    LinkState {
        name: name.into(),
        flags: LinkState::IFF_UP,
        carrier: Some(up),
        operstate: if up { OperState::Up } else { OperState::Down },
        carrier_up_count: Some(1),
        carrier_down_count: Some(falls),
        ..LinkState::default()
    }
}

fn change(name: &str, before: bool, now: bool) -> Fact {
    let falls = u32::from(before && !now);
    Fact::Link { before: Some(link(name, before, 0)), now: link(name, now, falls) }
}

fn lost(probe: &str, in_a_row: u32) -> Fact {
    Fact::ProbeLost {
        probe: probe.into(),
        address: [192, 0, 2, 1].into(),
        in_a_row,
        waited: Duration::from_secs(1),
        reason: "no answer in 1 s".into(),
    }
}

fn down(probe: &str) -> Fact {
    Fact::ProbeDown(ProbeDown {
        probe: probe.into(),
        address: [192, 0, 2, 1].into(),
        in_a_row: 3,
        lasting: Duration::from_secs(3),
        first_lost: Wall::default(),
        last_answered: None,
        late: None,
        reason: "no answer in 1 s".into(),
    })
}

fn answering(probe: &str) -> Fact {
    let (probe, address, after) = (probe.into(), [192, 0, 2, 1].into(), Duration::from_secs(9));
    Fact::ProbeUp(ProbeUp { probe, address, in_a_row: 2, after })
}

fn neighbour(answers: Answers) -> Fact {
    Fact::Neighbour(Box::new(NeighbourChange {
        interface: "eth0".into(),
        address: [192, 0, 2, 1].into(),
        before: None,
        now: Some(Neighbour { answers, address: None }),
    }))
}

fn grew(interface: &str, per_second: f64) -> Fact {
    Fact::Counter(Box::new(CounterGrowth {
        interface: interface.into(),
        counter: Counter::RxDropped,
        before: 1,
        now: 2,
        per_second,
    }))
}

fn logged(matcher: &str) -> Fact {
    Fact::Log(Box::new(LogLine {
        source: LogSource::Kernel,
        matcher: matcher.into(),
        text: "Entering FAULT STATE".into(),
        fields: BTreeMap::new(),
        header: Header::default(),
        elsewhere: None,
    }))
}

fn of_another_namespace(matcher: &str) -> Fact {
    let Fact::Log(mut line) = logged(matcher) else { unreachable!("it is a line") };
    line.elsewhere = Some("there is no br7".into());
    Fact::Log(line)
}

fn attribute(path: &str, now: &str) -> Fact {
    Fact::Attribute(Box::new(AttributeChange {
        path: path.into(),
        item: None,
        interface: None,
        condition: Condition::Changes,
        before: None,
        now: Some(now.into()),
    }))
}

fn command(success: bool) -> Fact {
    let ran = Duration::from_secs(50);
    Fact::CommandEnded { command: "make".into(), ending: "exit status: 3".into(), success, ran }
}

fn finding(kind: FindingKind, interface: &str) -> Finding {
    Finding {
        kind,
        severity: Severity::Warning,
        first: Stamp::default(),
        last: Stamp::default(),
        interface: Some(interface.into()),
        direction: Direction::Inbound,
        count: 1,
        rate: None,
        what: "arp 192.0.2.9".into(),
        sentence: "a sentence".into(),
        parties: Vec::new(),
        over: false,
    }
}

fn found(finding: Finding) -> Fact {
    Fact::Finding(Box::new(finding))
}

fn bad(severity: Severity) -> Fact {
    found(Finding { severity, ..finding(FindingKind::LacpExpired, "eth0") })
}

fn at_rate(rate: f64) -> Fact {
    found(Finding { rate: Some(rate), ..finding(FindingKind::DuplicateStorm, "eth0") })
}

fn over() -> Fact {
    found(Finding { over: true, ..finding(FindingKind::DuplicateStorm, "eth0") })
}

fn seen(second: u64, fact: Fact) -> Observation {
    let at = Stamp { mono: Mono(second * S), wall: Wall((1_000_000 + second) * S) };
    Observation { at, fact }
}

fn rules(rules: Vec<Rule>) -> Rules {
    Rules::new(rules, USUAL)
}

fn judge(rules: &mut Rules, second: u64, fact: Fact) -> Vec<Fired> {
    let watched = BTreeSet::from(["eth0".to_owned()]);
    rules.judge(&seen(second, fact), Circumstances { watched: &watched })
}

fn words(fired: &[Fired]) -> String {
    let one = |f: &Fired| {
        let object = f.trigger.object.as_deref().map(|o| format!(" {o}")).unwrap_or_default();
        format!("{}{object}", f.trigger.kind)
    };
    fired.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn rule(short: &str) -> Rule {
    short.parse().unwrap()
}

#[test]
fn rules_pick_what_they_are_about() {
    let bounce = Fact::Link { before: Some(link("eth0", true, 0)), now: link("eth0", true, 1) };
    let appeared = |up| Fact::Link { before: None, now: link("eth0", up, 0) };
    let expired = |interface: &str| found(finding(FindingKind::LacpExpired, interface));
    let nowhere = Finding { interface: None, ..finding(FindingKind::Drops, "") };
    for (rule, fact, fires) in [
        ("link-down", change("eth0", true, false), "link-down eth0"),
        ("link-down", change("eth9", true, false), ""),
        ("link-down:eth9", change("eth9", true, false), "link-down eth9"),
        ("link-down:dp0*", change("dp0bond0.956", true, false), "link-down dp0bond0.956"),
        ("link-down", change("eth0", false, false), ""),
        ("link-down", change("eth0", false, true), ""),
        ("link-down", bounce, "link-down eth0"),
        ("link-down", Fact::LinkGone { last: link("eth0", true, 0) }, "link-down eth0"),
        ("link-down", Fact::LinkGone { last: link("eth0", false, 1) }, ""),
        ("link-up", change("eth0", false, true), "link-up eth0"),
        ("link-up", change("eth0", true, false), ""),
        ("link-up", appeared(true), "link-up eth0"),
        ("link-up", appeared(false), ""),
        ("probe-lost", lost("gw", 3), ""),
        ("probe-lost", down("gw"), "probe-lost gw"),
        ("probe-lost:dns*", down("gw"), ""),
        ("probe-lost", answering("gw"), ""),
        ("log", logged("mine"), "log mine"),
        ("log:vrrp-*", logged("vrrp-fault"), "log vrrp-fault"),
        ("log:vrrp-*", logged("stall"), ""),
        (
            "attribute:/sys/class/*",
            attribute("/sys/class/net/eth0/x", "1"),
            "attribute /sys/class/net/eth0/x",
        ),
        ("attribute:/proc/*", attribute("/sys/x", "1"), ""),
        ("counter", grew("eth0", 1.0), "counter eth0"),
        ("counter", grew("eth9", 1.0), ""),
        ("counter:eth9", grew("eth9", 1.0), "counter eth9"),
        ("neighbour-failed", neighbour(Answers::No), "neighbour-failed 192.0.2.1"),
        ("neighbour-failed:2001:*", neighbour(Answers::No), ""),
        ("signal", Fact::SnapshotSignal, "signal"),
        ("signal", Fact::StopSignal, ""),
        ("lacp-expired", expired("eth7"), "lacp-expired eth7"),
        ("lacp-expired:dp0*", expired("eth7"), ""),
        ("lacp-defaulted", expired("eth7"), ""),
        ("duplicate-storm", over(), ""),
        ("drops", found(nowhere.clone()), "drops"),
        ("drops:eth0", found(nowhere), ""),
    ] {
        let shown = fact.to_string();
        let fired = judge(&mut rules(vec![self::rule(rule)]), 1, fact);
        assert_eq!(words(&fired), fires, "{rule} on {shown}");
    }
}

#[test]
fn every_kind_of_finding_fires_its_own_rule_and_no_other() {
    for kind in FindingKind::ALL {
        let all: Vec<_> = TriggerKind::armable().map(Rule::new).collect();
        let fired = judge(&mut rules(all), 1, found(finding(*kind, "eth0")));
        assert_eq!(words(&fired), format!("{} eth0", kind.name().replace('_', "-")));
    }
}

#[test]
fn what_is_armed_without_configuration() {
    let finding = |kind, severity| found(Finding { severity, ..finding(kind, "eth0") });
    for (fact, fires) in [
        (change("eth0", true, false), "link-down eth0"),
        (change("eth0", false, true), ""),
        (Fact::SnapshotSignal, "signal"),
        (neighbour(Answers::No), "neighbour-failed 192.0.2.1"),
        (logged("vrrp-fault"), "log vrrp-fault"),
        (logged("lacp-no-partner"), "log lacp-no-partner"),
        (logged("vrrp-transition"), "log vrrp-transition"),
        (logged("routing-neighbor-down"), "log routing-neighbor-down"),
        (logged("nic-link-down"), ""),
        (logged("stall"), ""),
        (grew("eth0", 1e6), ""),
        (attribute("/proc/net/bonding/bond0", "x"), ""),
        (finding(FindingKind::LacpExpired, Severity::Warning), "lacp-expired eth0"),
        (finding(FindingKind::LacpDefaulted, Severity::Critical), "lacp-defaulted eth0"),
        (finding(FindingKind::LacpSilence, Severity::Warning), "lacp-silence eth0"),
        (finding(FindingKind::LacpOutOfSync, Severity::Notice), ""),
        (finding(FindingKind::LacpRecovered, Severity::Info), ""),
        (finding(FindingKind::BgpNotification, Severity::Critical), "bgp-notification eth0"),
        (finding(FindingKind::DuplicateStorm, Severity::Critical), "duplicate-storm eth0"),
        (finding(FindingKind::VrrpSilence, Severity::Warning), "vrrp-silence eth0"),
        (finding(FindingKind::Drops, Severity::Warning), "drops eth0"),
        (finding(FindingKind::StpTopologyChange, Severity::Notice), ""),
        (finding(FindingKind::TcpResetBurst, Severity::Warning), ""),
        (finding(FindingKind::LinkFlapping, Severity::Warning), "link-flapping eth0"),
        (
            found(Finding {
                severity: Severity::Warning,
                ..self::finding(FindingKind::LinkFlapping, "veth7")
            }),
            "",
        ),
        (of_another_namespace("bridge-loop"), ""),
    ] {
        let shown = fact.to_string();
        let fired = judge(&mut rules(Rule::defaults(false)), 1, fact);
        assert_eq!(words(&fired), fires, "{shown}");
    }
}

#[test]
fn a_finding_must_be_bad_enough_and_about_the_right_thing() {
    let floor = |severity| Rule { severity: Some(severity), ..rule("lacp-expired") };
    for (floor_is, told, fires) in [
        (Severity::Info, Severity::Info, true),
        (Severity::Notice, Severity::Info, false),
        (Severity::Warning, Severity::Notice, false),
        (Severity::Warning, Severity::Warning, true),
        (Severity::Warning, Severity::Critical, true),
        (Severity::Critical, Severity::Warning, false),
    ] {
        let fired = judge(&mut rules(vec![floor(floor_is)]), 1, bad(told));
        assert_eq!(!fired.is_empty(), fires, "{told:?} for {floor_is:?}");
    }
    for (expression, fires) in [("192\\.0\\.2\\.9$", true), ("^arp", true), ("ARP", false)] {
        let what = Some(Words::parse(expression).unwrap());
        let mut rules = rules(vec![Rule { what, ..rule("lacp-expired") }]);
        let fired = judge(&mut rules, 1, bad(Severity::Info));
        assert_eq!(!fired.is_empty(), fires, "{expression}");
    }
}

#[test]
fn a_number_fires_when_it_crosses_and_again_only_from_further_back() {
    let threshold = Some(Threshold { bound: Bound::Above(1_000.0), hysteresis: 200.0 });
    let mut rules = rules(vec![Rule { threshold, ..rule("duplicate-storm") }]);
    for (second, fact, fires) in [
        (1, at_rate(900.0), false),
        (2, at_rate(1_100.0), true),
        (3, at_rate(5_000.0), false),
        (4, at_rate(900.0), false),
        (5, at_rate(1_100.0), false),
        (6, at_rate(800.0), false),
        (7, at_rate(1_100.0), true),
        (8, over(), false),
        (9, at_rate(1_100.0), true),
        (10, found(finding(FindingKind::DuplicateStorm, "eth0")), false),
    ] {
        assert_eq!(!judge(&mut rules, second, fact).is_empty(), fires, "second {second}");
    }
}

#[test]
fn numbers_that_stay_are_crossed_and_rates_are_judged_each_time() {
    let above = Some(Threshold { bound: Bound::Above(100.0), hysteresis: 0.0 });
    let of = |short| rules(vec![Rule { threshold: above, ..rule(short) }]);
    let mut values = of("attribute");
    for (value, fires) in [
        ("99", false),
        ("101", true),
        ("102", false),
        ("no number", false),
        ("9", false),
        ("200", true),
    ] {
        assert_eq!(!judge(&mut values, 1, attribute("/sys/x", value)).is_empty(), fires, "{value}");
    }
    let mut rates = of("counter");
    for (rate, fires) in [(99.0, false), (101.0, true), (101.0, true), (1.0, false), (200.0, true)]
    {
        assert_eq!(!judge(&mut rates, 1, grew("eth0", rate)).is_empty(), fires, "{rate}");
    }
}

#[test]
fn what_is_told_again_and_again_fires_once_until_it_has_ended() {
    let mut rules = rules(vec![rule("neighbour-failed")]);
    for (second, answers, fires) in [
        (1, Answers::No, true),
        (2, Answers::NotYet, false),
        (3, Answers::No, false),
        (4, Answers::Yes, false),
        (5, Answers::No, true),
        (6, Answers::No, false),
    ] {
        let fired = judge(&mut rules, second, neighbour(answers));
        assert_eq!(!fired.is_empty(), fires, "second {second}");
    }
}

#[test]
fn exact_words_can_be_asked_of_lines_and_counters() {
    for (short, words, fact, fires) in [
        ("counter", "^rx_", grew("eth0", 1.0), true),
        ("counter", "^tx_", grew("eth0", 1.0), false),
        ("log", "FAULT", logged("any"), true),
        ("log", "MASTER", logged("any"), false),
    ] {
        let what = Some(Words::parse(words).unwrap());
        let mut rules = rules(vec![Rule { what, ..rule(short) }]);
        assert_eq!(!judge(&mut rules, 1, fact).is_empty(), fires, "{short} {words}");
    }
}

#[test]
fn what_must_last_fires_once_it_has() {
    let lasting = Duration::from_secs(10);
    let mut rules = rules(vec![Rule { lasting, ..rule("link-down") }]);
    let due = |rules: &mut Rules, second: u64| words(&rules.due(Mono(second * S)));
    assert_eq!(judge(&mut rules, 100, change("eth0", true, false)), []);
    assert_eq!(rules.next_due(), Some(Mono(110 * S)));
    assert_eq!(due(&mut rules, 109), "");
    // Told again, it is not counted anew.
    judge(&mut rules, 105, change("eth0", true, false));
    let fired = rules.due(Mono(117 * S));
    assert_eq!(words(&fired), "link-down eth0");
    let at = Stamp { mono: Mono(110 * S), wall: Wall(1_000_110 * S) };
    assert_eq!((fired[0].trigger.at, fired[0].lasted), (at, lasting));
    assert!(fired[0].trigger.sentence.ends_with("; so for 10s"), "{}", fired[0].trigger.sentence);
    // It fires again only after it ended.
    judge(&mut rules, 118, change("eth0", true, false));
    assert_eq!((due(&mut rules, 200), rules.next_due()), (String::new(), None));
    judge(&mut rules, 201, change("eth0", false, true));
    judge(&mut rules, 202, change("eth0", true, false));
    judge(&mut rules, 206, change("eth0", false, true));
    assert_eq!((due(&mut rules, 300), rules.next_due()), (String::new(), None));
    // A bounce is over before it is seen.
    let bounce = Fact::Link { before: Some(link("eth0", true, 0)), now: link("eth0", true, 1) };
    judge(&mut rules, 301, bounce);
    assert_eq!(rules.next_due(), None);
}

#[test]
fn every_lasting_kind_waits_and_ends() {
    let lasting = Duration::from_secs(10);
    for (short, begins, ends) in [
        ("link-down", change("eth0", true, false), change("eth0", false, true)),
        ("link-down", Fact::LinkGone { last: link("eth0", true, 0) }, change("eth0", false, true)),
        ("link-up", change("eth0", false, true), change("eth0", true, false)),
        ("link-up", change("eth0", false, true), Fact::LinkGone { last: link("eth0", true, 0) }),
        ("probe-lost", down("gw"), answering("gw")),
        ("neighbour-failed", neighbour(Answers::No), neighbour(Answers::Yes)),
        ("duplicate-storm", at_rate(1.0), over()),
    ] {
        let mut rules = rules(vec![Rule { lasting, ..rule(short) }]);
        judge(&mut rules, 1, begins.clone());
        judge(&mut rules, 2, ends);
        assert_eq!(rules.due(Mono(60 * S)), [], "{short} ended");
        judge(&mut rules, 61, begins);
        assert_eq!(rules.due(Mono(80 * S)).len(), 1, "{short} lasted");
    }
}

#[test]
fn objects_are_timed_apart() {
    let lasting = Duration::from_secs(10);
    let mut rules = rules(vec![Rule { lasting, ..rule("link-down:eth*") }]);
    judge(&mut rules, 1, change("eth0", true, false));
    judge(&mut rules, 3, change("eth1", true, false));
    judge(&mut rules, 4, change("eth0", false, true));
    let fired = rules.due(Mono(60 * S));
    assert_eq!(words(&fired), "link-down eth1");
    let storm = |what: &str| {
        found(Finding { what: what.into(), ..finding(FindingKind::DuplicateStorm, "eth0") })
    };
    let mut rules = self::rules(vec![Rule { lasting, ..rule("duplicate-storm") }]);
    judge(&mut rules, 1, storm("a"));
    judge(&mut rules, 1, storm("b"));
    judge(&mut rules, 2, over());
    assert_eq!(rules.due(Mono(60 * S)).len(), 1, "two storms on one interface are one trigger");
}

#[test]
fn the_window_of_a_command_reaches_back_to_its_beginning() {
    let mut rules = rules(vec![Rule::command_failed()]);
    assert_eq!(judge(&mut rules, 100, command(true)), []);
    let fired = judge(&mut rules, 100, command(false));
    assert_eq!(words(&fired), "command-failed make");
    assert_eq!(fired[0].lasted, Duration::from_secs(50));
}

#[test]
fn terms_are_the_rules_own_and_else_the_usual() {
    let second = Duration::from_secs(1);
    let own = Rule {
        pre: Some(5 * second),
        post: Some(60 * second),
        cool_down: Some(600 * second),
        name: Some("own".into()),
        ..rule("link-down")
    };
    let fired = judge(&mut rules(vec![own.clone()]), 1, change("eth0", true, false));
    let terms = Terms { pre: 5 * second, post: 60 * second, cool_down: 600 * second };
    assert_eq!((fired[0].terms, &fired[0].rules[..]), (terms, &["own".to_owned()][..]));
    let fired = judge(&mut rules(vec![rule("link-down")]), 1, change("eth0", true, false));
    assert_eq!(fired[0].terms, USUAL);
    // Both at once: one trigger, the longest window, the shortest cool-down.
    let both = vec![own.clone(), rule("link-down:eth0")];
    let fired = judge(&mut rules(both), 1, change("eth0", true, false));
    assert_eq!(fired.len(), 1);
    assert_eq!(fired[0].rules, ["own", "link-down:eth0"]);
    assert_eq!(fired[0].terms, Terms { post: 60 * second, ..USUAL });
    let reaching = Rule { lasting: 30 * second, ..own };
    assert_eq!(rules(vec![reaching, rule("link-down")]).reach(), USUAL.pre);
}

#[test]
fn a_rule_that_holds_stands_for_itself() {
    let hold = Hold { confirm: "link-down".into(), within: Duration::from_secs(90) };
    let unsure = Rule { hold: Some(hold.clone()), name: Some("early".into()), ..rule("link-down") };
    let mut rules = rules(vec![unsure, rule("link-down")]);
    let fired = judge(&mut rules, 1, change("eth0", true, false));
    let holds: Vec<_> = fired.iter().map(|f| (f.hold.as_ref(), &f.rules[0][..])).collect();
    assert_eq!(holds, [(Some(&hold), "early"), (None, "link-down")]);
    assert_eq!(rules.reach(), USUAL.pre + hold.within);
}

#[test]
fn a_rule_that_stays_goes_on_where_it_was() {
    let waiting = Rule { lasting: Duration::from_secs(10), ..rule("link-down") };
    let mut rules = rules(vec![rule("signal"), waiting.clone()]);
    judge(&mut rules, 1, change("eth0", true, false));
    rules.replace(vec![waiting.clone(), rule("link-up")], USUAL);
    assert_eq!(rules.next_due(), Some(Mono(11 * S)));
    assert_eq!(
        rules.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["link-down (for 10s)", "link-up"]
    );
    let object = Some(Names::parse("eth*").unwrap());
    rules.replace(vec![Rule { object, ..waiting }], USUAL);
    assert_eq!(rules.next_due(), None, "another rule begins anew");
}

#[test]
fn memory_is_bounded_whatever_happens() {
    let lasting = Duration::from_secs(10);
    let mut rules = rules(vec![Rule { lasting, ..rule("link-down:*") }]);
    for n in 0..Rules::MOST_COURSES + 10 {
        judge(&mut rules, 1, change(&format!("eth{n}"), true, false));
    }
    assert_eq!(rules.armed[0].courses.len(), Rules::MOST_COURSES);
    assert_eq!(rules.due(Mono(20 * S)).len(), Rules::MOST_COURSES);
}

proptest! {
    /// A lasting rule fires exactly where a plain reading of the story says: after ten seconds without
    /// an end, once.
    #[test]
    fn a_story_of_ups_and_downs_fires_where_it_should(
        turns in prop::collection::vec((1_u64..20, any::<bool>()), 1..60),
    ) {
        let mut rules = rules(vec![Rule { lasting: Duration::from_secs(10), ..rule("link-down") }]);
        let (mut now, mut since, mut told, mut expected, mut fired) = (0, None, false, 0, 0);
        for (pause, down) in turns {
            now += pause;
            fired += rules.due(Mono(now * S)).len();
            if since.is_some_and(|since| now - since >= 10) && !told {
                expected += 1;
                told = true;
            }
            judge(&mut rules, now, change("eth0", down, !down));
            since = if down { since.or(Some(now)) } else { None };
            told &= down;
        }
        prop_assert_eq!(fired, expected);
    }
}
