//! Watchers of the host and the traffic, each of which notices a failure alone: the bundle names it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::UdpSocket;

use tempfile::{NamedTempFile, TempDir};

use crate::lab::{FAR_ADDRESS, Lab, NEAR_ADDRESS, Pace, Sender, ipv4_udp};

/// What the incident's own daemon said.
const LINE: &str = "Kernel is reporting: interface dp0bond0 DOWN";

fn config(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file can be made");
    file.write_all(text.as_bytes()).expect("it can be written");
    file
}

/// Records, lets something `happen`, waits for the trigger, and returns the one bundle's cause: the
/// trigger as `KIND OBJECT`, and its sentence.
fn cause(lab: &Lab, options: &[&str], happen: impl FnOnce(), trigger: &str) -> (String, String) {
    let fixed = ["-i", "eth0", "--pre", "5s", "--post", "200ms"];
    let dashcap = lab.record(&[&fixed[..], options].concat());
    happen();
    dashcap.wait_for(&format!("WARN {trigger}: "));
    dashcap.wait_for("bundle /");
    dashcap.finish_well();
    let bundle = lab.bundle();
    assert!(bundle.name().contains(trigger), "{}", bundle.name());
    let triggers = bundle.triggers();
    (triggers[0].clone(), bundle.jq(".triggers[0].sentence"))
}

#[test]
fn a_line_in_a_log_file_is_a_cause() {
    let Some(lab) = Lab::new() else { return };
    let folder = TempDir::new().expect("a directory can be made");
    let path = folder.path().join("messages");
    fs::write(&path, "before\n").expect("it can be written");
    let pattern = folder.path().join("mess*");
    let append = || {
        let file = OpenOptions::new().append(true).open(&path);
        writeln!(file.expect("it is there"), "{LINE}").expect("it can be written");
    };
    let options = ["--log", pattern.to_str().expect("text")];
    let (trigger, sentence) = cause(&lab, &options, append, "log");
    assert_eq!(trigger, "log vrrp-interface-down");
    assert_eq!(sentence, format!("{}: {LINE} (vrrp-interface-down)", path.display()));
}

#[test]
fn a_syslog_message_from_another_host_is_a_cause() {
    let Some(lab) = Lab::new() else { return };
    lab.address();
    let log = format!("udp://{NEAR_ADDRESS}:5514");
    let send = || {
        lab.far.inside(|| {
            let socket = UdpSocket::bind((FAR_ADDRESS, 0)).expect("an address of its own");
            let message = format!("<28>Nov 22 14:14:20 router vrrpd[812]: {LINE}");
            socket.send_to(message.as_bytes(), (NEAR_ADDRESS, 5514)).expect("it can be sent");
        });
    };
    let (trigger, sentence) = cause(&lab, &["--log", &log], send, "log");
    assert_eq!(trigger, "log vrrp-interface-down");
    assert!(sentence.starts_with(&format!("syslog from {FAR_ADDRESS}: ")), "{sentence}");
    assert!(sentence.contains(LINE), "{sentence}");
}

#[test]
fn an_attribute_of_the_kernel_is_a_cause() {
    let Some(lab) = Lab::new() else { return };
    let file = config("[[attribute]]\npath = \"/sys/class/net/eth*/mtu\"\nbelow = 2000\n");
    let options = ["-c", file.path().to_str().expect("text")];
    let change = || lab.near.ip("link set eth0 mtu 1400");
    let (trigger, sentence) = cause(&lab, &options, change, "attribute");
    assert_eq!(trigger, "attribute /sys/class/net/eth0/mtu");
    // From 9000, where the watcher had read that before.
    let told = ["is below 2000: 9000 -> 1400", "is below 2000: 1400"];
    assert!(told.iter().any(|told| sentence.ends_with(told)), "{sentence}");
}

#[test]
fn a_neighbour_that_does_not_answer_is_a_cause() {
    let Some(lab) = Lab::new() else { return };
    lab.near.ip(&format!("addr add {NEAR_ADDRESS}/24 dev eth0"));
    let ask = || {
        lab.near.inside(|| {
            let socket = UdpSocket::bind((NEAR_ADDRESS, 0)).expect("an address of its own");
            socket.send_to(b"anybody there?", (FAR_ADDRESS, 9)).expect("it can be sent");
        });
    };
    let (trigger, sentence) = cause(&lab, &["--neighbour", FAR_ADDRESS], ask, "neighbour-failed");
    assert_eq!(trigger, format!("neighbour-failed {FAR_ADDRESS}"));
    assert!(sentence.ends_with(" FAILED"), "{sentence}");
}

#[test]
fn a_default_route_that_goes_is_a_cause() {
    let Some(lab) = Lab::new() else { return };
    lab.address();
    lab.near.ip(&format!("route add default via {FAR_ADDRESS} metric 7"));
    let remove = || lab.near.ip("route del default");
    let (trigger, sentence) = cause(&lab, &[], remove, "default-route-gone");
    assert_eq!(trigger, "default-route-gone");
    assert!(sentence.starts_with("IPv4 default route (metric 7) GONE"), "{sentence}");
}

#[test]
fn a_counter_that_grows_is_a_cause() {
    let Some(lab) = Lab::new() else { return };
    let text = "[[trigger]]\nkind = \"counter\"\nwhat = \"^carrier_changes$\"\nabove = 0.5\n";
    let file = config(text);
    let options = ["-c", file.path().to_str().expect("text")];
    // A counter that is told is told from its second round on, so it changes until it was.
    let dashcap = lab.record(&[&["-i", "eth0", "--post", "200ms"][..], &options].concat());
    while !dashcap.has_said("counter: eth0: carrier_changes") {
        lab.far.ip("link set far0 down");
        dashcap.wait_for("eth0: DOWN");
        lab.far.ip("link set far0 up");
        dashcap.wait_for("eth0: UP");
    }
    dashcap.wait_for("bundle /");
    dashcap.finish_well();
    let bundle = lab.bundle();
    assert_eq!(bundle.triggers()[0], "counter eth0");
    let sentence = bundle.jq(".triggers[0].sentence");
    assert!(sentence.starts_with("eth0: carrier_changes "), "{sentence}");
}

#[test]
fn a_frame_that_is_waited_for_is_a_cause() {
    let Some(lab) = Lab::new() else { return };
    let file =
        config("[[filter_match]]\nname = \"slammer\"\nfilter = \"vlan 956 and udp port 1434\"\n");
    let options = ["-c", file.path().to_str().expect("text")];
    let send = || {
        lab.far.inside(|| {
            let mut sender = Sender::on("far0");
            sender.send(&ipv4_udp(1434, &[]));
            sender.send(&ipv4_udp(1434, &[(0x8100, 956)]));
        });
    };
    let (trigger, sentence) = cause(&lab, &options, send, "filter-match");
    assert_eq!(trigger, "filter-match eth0");
    assert!(sentence.contains("slammer: VLAN 956: 192.0.2.7"), "{sentence}");
}

#[test]
fn a_rate_that_is_not_allowed_is_a_cause() {
    let Some(lab) = Lab::new() else { return };
    let text = "[[rate_limit]]\nname = \"quiet\"\ninterface = \"eth*\"\nclass = \"data\"\n\
                direction = \"inbound\"\nabove = 50\n";
    let file = config(text);
    let options = ["-c", file.path().to_str().expect("text")];
    let mut talker = None;
    let talk = || talker = Some(lab.far.talk("far0", Pace::GENTLE));
    let (trigger, sentence) = cause(&lab, &options, talk, "rate-limit");
    drop(talker);
    assert_eq!(trigger, "rate-limit eth0");
    assert!(sentence.starts_with("rate quiet: "), "{sentence}");
}

#[test]
fn what_was_asked_for_and_is_refused_ends_the_start() {
    let Some(lab) = Lab::new() else { return };
    lab.address();
    let address = format!("{NEAR_ADDRESS}:5514");
    let taken = lab.near.inside(|| UdpSocket::bind(&address).expect("it is free"));
    let end = lab.dashcap("run", &["-i", "eth0", "--log", &format!("udp://{address}")]).end();
    drop(taken);
    assert_eq!(end.code(), 1, "{end:?}");
    assert!(end.log.contains(&format!("cannot listen for syslog on {address}")), "{end:?}");
}

#[test]
fn logs_change_while_frames_are_recorded() {
    let Some(lab) = Lab::new() else { return };
    lab.address();
    let log = |name: &str| {
        format!(
            "post = \"200ms\"\n[[log]]\nsyslog = \"udp://{NEAR_ADDRESS}:5514\"\n\
             [[log.match]]\nname = \"{name}\"\npattern = \"link {name}\"\n"
        )
    };
    let file = config(&log("one"));
    let path = file.path().to_str().expect("text").to_owned();
    let dashcap = lab.record_with_logs(&["-i", "eth0", "-c", &path]);
    fs::write(&path, log("two")).expect("it can be written");
    dashcap.wait_for(", two");
    lab.far.inside(|| {
        let socket = UdpSocket::bind((FAR_ADDRESS, 0)).expect("an address of its own");
        for message in ["<28>link one", "<28>link two"] {
            socket.send_to(message.as_bytes(), (NEAR_ADDRESS, 5514)).expect("it can be sent");
        }
    });
    dashcap.wait_for("bundle /");
    dashcap.finish_well();
    assert_eq!(lab.bundle().triggers(), ["log two"]);
}
