//! Witnesses beside the link.

use crate::lab::{FAR_ADDRESS, Lab, Pace};

#[test]
fn a_lost_probe_opens_an_incident_while_the_carrier_stays() {
    let Some(lab) = Lab::new() else { return };
    lab.address();
    let probe = ["--probe", FAR_ADDRESS, "--probe-interval", "50ms", "--probe-fall", "3"];
    let window = ["--pre", "1m", "--post", "10m", "--interval", "100ms"];
    let dashcap = lab.record(&[&["-i", "eth0"][..], &probe, &window].concat());
    let talker = lab.far.talk("far0", Pace::GENTLE);
    // Half a second of answers: ten pings and five rows.
    talker.wait_for(100);
    lab.far.ip(&format!("addr del {FAR_ADDRESS}/24 dev far0"));
    dashcap.wait_for(&format!("probe-lost: probe {FAR_ADDRESS} lost"));
    talker.wait_for_more(100);
    talker.stop();
    dashcap.finish_well();

    let bundle = lab.bundle();
    assert!(bundle.name().ends_with(&format!("_probe-lost_{FAR_ADDRESS}")), "{}", bundle.name());
    assert_eq!(bundle.triggers(), [format!("probe-lost {FAR_ADDRESS}")]);
    let rows = || bundle.timeline.iter().map(|row| (row.carrier.as_str(), row.pings[0].as_str()));
    assert!(rows().all(|(carrier, _)| carrier == "1"), "the carrier stays");
    let first_lost = rows().position(|(_, ping)| ping == "lost").expect("a lost ping in a row");
    let answered = |ping: &str| ping.parse::<f64>().is_ok_and(|ms| ms > 0.0);
    assert!(rows().take(first_lost).any(|(_, ping)| answered(ping)), "{:?}", bundle.timeline);
    assert!(rows().skip(first_lost).all(|(_, ping)| ping == "lost"), "{:?}", bundle.timeline);
    let lost = bundle.journal().iter().filter(|line| line.contains("in a row")).count();
    assert!(lost >= 3, "lost probes stand between the packets");
    assert!(!bundle.tshark("icmp.type == 0", &["frame.number"]).is_empty(), "echo replies");
}
