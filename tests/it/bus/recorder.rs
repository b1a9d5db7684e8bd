//! Two recorders at one link: what one of them sees fail, the other keeps, too, with the seconds before it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use dashcap::fleet::subject::Addressee;
use nix::sys::signal::Signal;

use super::member::{Member, options};
use super::server::Server;
use crate::lab::{Bundle, Dashcap, Lab, Pace, until, whole_bundles_in};

/// Notices of a storm, and how many are said at once: the outbox holds 64, one for each addressee.
const STORM: u32 = 200;
const AT_ONCE: u32 = 25;
/// Between two recorders on one machine that does much else.
const APART: Duration = Duration::from_secs(2);

/// A recorder called `host`, with bundles in `output`; `more` ends its configuration.
fn record(lab: &Lab, server: &Server, host: &str, output: &Path, more: &str) -> Dashcap {
    let file = server.path(&format!("{host}.toml"));
    let share = if host == "b" { "report" } else { "state" };
    let member = format!("groups = [\"routers\"]\nshare = \"{share}\"");
    let member = server.configuration(host, &member);
    fs::write(&file, format!("post = \"300ms\"\npre = \"4s\"\n{member}\n{more}")).expect("written");
    let (file, output) = (file.to_str().expect("text"), output.to_str().expect("text"));
    let dashcap = lab.record(&["-i", "eth0", "-c", file, "--output", output]);
    dashcap.wait_for("connected to fleet edge");
    dashcap
}

fn bundle_in(place: &Path) -> Bundle {
    Bundle::open(until("a bundle", || whole_bundles_in(place).pop()))
}

#[test]
fn one_failure_freezes_the_same_seconds_on_another_recorder() {
    let Some(lab) = Lab::new() else { return };
    let Some(server) = Server::prepared(&["a", "b", "c"], &["noc"]) else { return };
    lab.near.ip("link set lo up");
    let mut server = server.within(lab.near.name());
    server.start();
    server.asked(&["init"]);
    let [first, second] = ["first", "second"].map(|name| lab.output().join(name));
    let rule = "[[trigger]]\nkind = \"link-down\"\nfleet = { to = [\"group:routers\"] }\n";
    let a = record(&lab, &server, "a", &first, rule);
    let b = record(&lab, &server, "b", &second, "[[trigger]]\nkind = \"signal\"\n");
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for_more(200);
    lab.far.ip("link set far0 down");
    let [seen, asked] = [bundle_in(&first), bundle_in(&second)];
    talker.stop();

    assert_eq!(seen.triggers(), ["link-down eth0"]);
    assert!(asked.triggers()[0].starts_with("fleet"), "{:?}", asked.triggers());
    for pointer in ["/window/closed/from/mono_ns", "/window/closed/to/mono_ns"] {
        let apart = seen.mono(pointer).0.abs_diff(asked.mono(pointer).0);
        assert!(Duration::from_nanos(apart) < APART, "{pointer}: {apart} ns apart");
    }
    assert_eq!(seen.jq(".fleet.ids"), asked.jq(".fleet.ids"));
    let shown = server.asked(&["incidents"]);
    assert!(shown.contains("link-down  a-") && shown.contains("2 hosts: a, b"), "{shown}");
    let id = shown.split("  ").nth(2).expect("an identifier");
    let shown = server.asked(&["show", id]);
    let [of_a, of_b] = ["a: ", "b: "].map(|host| {
        let line = shown.lines().find(|line| line.starts_with(host)).expect("its bundle");
        line.split("; began ").nth(1).unwrap_or_else(|| panic!("no onset: {shown}"))
    });
    assert!(of_a.contains(" ± ") && of_b.contains(" ± "), "{shown}");
    assert!(!of_a.contains("eth0"), "share = \"state\": {shown}");
    assert!(of_b.contains("eth0"), "share = \"report\": {shown}");
    let reports = server.asked(&["show", id, "--report"]);
    assert!(reports.contains("b: 2") && !reports.contains("a: 2"), "{reports}");

    // A storm: whoever asks for the same seconds again and again gets them once, and no frame is missed for it.
    lab.far.ip("link set far0 up");
    let talker = lab.far.talk("far0", Pace::GENTLE);
    let c = lab.near.inside(|| Member::join(options(&server, "c"), "others", "x").there());
    let both = ["a", "b"].map(|host| Addressee::Host(host.into())).to_vec();
    for number in 0..STORM {
        if number % AT_ONCE == 0 {
            c.wait_for("there is room", |status| status.sent >= 2 * u64::from(number));
        }
        c.announce(number, Duration::from_secs(1), both.clone());
    }
    c.wait_for("all is said", |status| status.sent >= 2 * u64::from(STORM));
    for place in [&first, &second] {
        until("one more bundle", || (whole_bundles_in(place).len() == 2).then_some(()));
    }
    a.wait_for_nth(STORM as usize, "fleet: c asked");
    b.wait_for_nth(STORM as usize, "fleet: c asked");
    talker.stop();

    // Held, and given up by who asked; held again, and written.
    let held = || {
        let typed = ["freeze", "--host", "b", "--hold", "--pre", "2s", "--post", "100ms"];
        let told = server.asked(&typed);
        assert!(told.contains("b: held"), "{told}");
        let id = told.split('`').nth(1).and_then(|command| command.split(' ').next_back());
        id.expect("what to type next").to_owned()
    };
    assert_eq!(server.asked(&["release", &held()]).trim(), "b: released");
    let told = server.asked(&["keep", &held()]);
    assert!(told.starts_with("b: pinned; ") || told.starts_with("b: partial; "), "{told}");
    until("what was held", || (whole_bundles_in(&second).len() == 3).then_some(()));

    // Killed in the middle: what was said meanwhile lies in the stream, and is not said to be there when it is gone.
    b.signal(Signal::SIGKILL);
    b.wait_until_killed();
    c.announce(STORM, Duration::from_secs(5), vec![Addressee::Host("b".into())]);
    c.wait_for("it waits in the stream", |status| status.sent > 2 * u64::from(STORM));
    let b = record(&lab, &server, "b", &second, "");
    // It reads the storm again, too, more than one look takes.
    b.wait_for_nth(STORM as usize + 1, "fleet: c asked (link-down): late");
    b.finish_well();
    let (received, accounted) = a.finish_well().received("eth0");
    assert_eq!(received, accounted, "each frame is known of");
    for (place, bundles) in [(&first, 2), (&second, 3)] {
        assert_eq!(whole_bundles_in(place).len(), bundles, "one for all of the storm");
    }
}
