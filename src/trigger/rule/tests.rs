//! What can be written as a rule, how it reads back, and what is refused.

use super::*;
use crate::trigger::terms::Bound;

fn rule(short: &str) -> Rule {
    short.parse().unwrap()
}

#[test]
fn a_rule_reads_back_as_typed_and_nonsense_names_the_accepted_form() {
    for good in [
        "link-down",
        "link-up:eth[01]",
        "probe-lost:192.0.2.*",
        "signal",
        "drops:eth0",
        "log:{a,b-*}",
        "attribute:/sys/*",
    ] {
        assert_eq!(good.parse::<Rule>().unwrap().to_string(), good);
        assert!(rule(good).is_short());
    }
    for bad in ["", "linkdown", "link-down:", "link-down:[", "signal:USR1", "command-failed"] {
        let error = bad.parse::<Rule>().unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert!(error.to_string().contains("such as link-down:dp0*"), "{error}");
    }
}

#[test]
fn defaults_can_stand_together_and_say_what_they_are() {
    for with_probes in [false, true] {
        let rules = Rule::defaults(with_probes);
        Rule::check_all(&rules).unwrap();
        let said: Vec<_> = rules.iter().map(ToString::to_string).collect();
        assert!(said.contains(&"lacp-expired (warning or worse)".to_owned()), "{said:?}");
        assert_eq!(said.contains(&"probe-lost".to_owned()), with_probes);
        let lines = Rule::in_lines(&rules);
        let begins = [
            "link-down, bond-port, default-route-gone, ",
            "log lines of vrrp-*, nsm-",
            "findings at",
        ];
        assert!(lines.iter().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{lines:?}");
        assert_eq!(
            lines[2],
            "findings at warning or worse: every kind but tcp-reset-burst, icmp-unreachable-burst, \
             capture-gap"
        );
        let unarmed = Rule::unarmed(&rules);
        assert!(
            unarmed.contains(&TriggerKind::LinkUp) && !unarmed.contains(&TriggerKind::LinkDown)
        );
    }
}

/// Regression: a BGP session that ended (critical), two VRRP masters, a new root bridge, a conflict, DHCP
/// without answer and a silence opened nothing.
#[test]
fn whatever_is_a_warning_is_armed_by_default_and_no_notice_is() {
    let rules = Rule::defaults(false);
    for kind in FindingKind::ALL {
        let of_it: Vec<_> =
            rules.iter().filter(|rule| rule.kind == TriggerKind::Finding(*kind)).collect();
        assert_eq!(of_it.len(), usize::from(!Rule::UNARMED.contains(kind)), "{kind}");
        assert!(of_it.iter().all(|rule| rule.severity == Some(Severity::Warning)), "{kind}");
    }
}

#[test]
fn few_rules_are_told_by_name() {
    let rules = ["signal", "log:vrrp-*", "log:mine", "drops"].map(rule);
    assert_eq!(Rule::in_lines(&rules), ["signal, drops", "log lines of vrrp-*, mine"]);
    let floor = Rule { severity: Some(Severity::Critical), ..rule("drops") };
    assert_eq!(Rule::in_lines(&[floor]), ["findings at critical or worse: drops"]);
    assert_eq!(Rule::in_lines(&[]), [""; 0]);
}

#[test]
fn a_rule_says_everything_about_itself() {
    let second = Duration::from_secs(1);
    let all = Rule {
        name: Some("storm".into()),
        severity: Some(Severity::Critical),
        what: Some(Words::parse("arp").unwrap()),
        threshold: Some(Threshold { bound: Bound::Above(1e3), hysteresis: 100.0 }),
        lasting: 5 * second,
        pre: Some(second),
        cool_down: Some(60 * second),
        hold: Some(Hold { confirm: "link-down".into(), within: 90 * second }),
        ..rule("duplicate-storm:eth*")
    };
    assert_eq!(
        all.to_string(),
        "duplicate-storm:eth* \"storm\" (critical or worse, what matches arp, above 1000 by 100, \
         for 5s, pre 1s, cool-down 60s, kept if link-down follows within 90s)"
    );
    assert!(!all.is_short() && all.called() == "storm");
    Rule::check_all(&[all, rule("link-down")]).unwrap();
}

#[test]
fn rules_that_cannot_be_meant_are_refused() {
    let day = Duration::from_secs(24 * 3600 + 1);
    let hold = |confirm: &str, seconds| {
        Some(Hold { confirm: confirm.into(), within: Duration::from_secs(seconds) })
    };
    let above = Some(Threshold { bound: Bound::Above(1.0), hysteresis: 0.0 });
    let nan = Some(Threshold { bound: Bound::Below(f64::NAN), hysteresis: 0.0 });
    let back = Some(Threshold { bound: Bound::Below(1.0), hysteresis: -1.0 });
    let named = |short| Rule { name: Some("same".into()), ..rule(short) };
    for (rules, told) in [
        (vec![Rule { severity: Some(Severity::Info), ..rule("link-up") }], "this kind is none"),
        (vec![Rule { what: Words::parse("x").ok(), ..rule("link-up") }], "this one does not"),
        (vec![Rule { severity: Some(Severity::Info), ..rule("log") }], "this kind is none"),
        (vec![Rule { lasting: Duration::from_secs(1), ..rule("counter") }], "over at once"),
        (vec![Rule { threshold: above, ..rule("link-up") }], "kinds with a number"),
        (vec![Rule { threshold: nan, ..rule("drops") }], "a finite number"),
        (vec![Rule { threshold: back, ..rule("drops") }], "a finite number"),
        (vec![Rule { lasting: Duration::from_secs(1), ..rule("signal") }], "over at once"),
        (vec![Rule { object: Names::parse("x").ok(), ..rule("signal") }], "about no interface"),
        (vec![Rule { pre: Some(day), ..rule("link-up") }], "at most a day"),
        (vec![Rule { post: Some(day), ..rule("link-up") }], "at most a day"),
        (vec![Rule { lasting: day, ..rule("link-up") }], "at most a day"),
        (vec![Rule { cool_down: Some(day), ..rule("link-up") }], "at most a day"),
        (vec![Rule { hold: hold("link-up", 0), ..rule("drops") }], "at most an hour"),
        (vec![Rule { hold: hold("link-up", 3601), ..rule("drops") }], "at most an hour"),
        (vec![Rule { hold: hold("link-up", 1), ..rule("signal") }], "asked for"),
        (vec![Rule { hold: hold("link-up", 1), ..rule("drops") }], "a further [[trigger]]"),
        (vec![Rule { hold: hold("drops", 1), ..rule("drops") }], "a further [[trigger]]"),
        (
            vec![Rule { hold: hold("linkup", 1), ..rule("drops") }, rule("link-up")],
            "one of link-up",
        ),
        (vec![named("link-up"), named("link-down")], "this one twice"),
        (vec![rule("link-up"); Rule::MOST + 1], "number of rules"),
    ] {
        let error = Rule::check_all(&rules).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert!(error.to_string().contains(told), "{told}: {error}");
    }
}
