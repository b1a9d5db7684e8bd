//! WatcherOptions beside the link.

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

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
    dashcap.wait_for(&format!("probe-lost: probe {FAR_ADDRESS} is down"));
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

#[test]
fn every_kind_of_probe_opens_an_incident_that_names_it() {
    for (probe, asked) in [
        (format!("arp:{FAR_ADDRESS}%eth0"), "arp.opcode == 1"),
        (format!("tcp:{FAR_ADDRESS}:8080"), "tcp.flags.syn == 1 and tcp.dstport == 8080"),
        (format!("http://{FAR_ADDRESS}:8080/health"), "http.request.uri == \"/health\""),
        (format!("dns:{FAR_ADDRESS}/example.org"), "dns.qry.name == \"example.org\""),
    ] {
        let Some(lab) = Lab::new() else { return };
        lab.address();
        let options =
            ["-i", "eth0", "--probe", &probe, "--probe-interval", "150ms", "--post", "1m"];
        let _servers = lab.far.inside(Servers::start);
        let dashcap = lab.record(&options);
        let talker = lab.far.talk("far0", Pace::GENTLE);
        // A second of answers.
        talker.wait_for(200);
        // Carrier and servers stay; only the address goes.
        lab.far.ip(&format!("addr del {FAR_ADDRESS}/24 dev far0"));
        dashcap.wait_for(&format!("probe-lost: probe {probe} is down"));
        talker.stop();
        dashcap.finish_well();

        let bundle = lab.bundle();
        assert_eq!(bundle.triggers(), [format!("probe-lost {probe}")]);
        let count = |fact| bundle.events.iter().filter(|e| e["what"]["fact"] == fact).count();
        assert!(count("probe_answered") > 0, "{probe} was answered before");
        assert_eq!(count("probe_down"), 1, "{probe} went down once");
        assert!(!bundle.tshark(asked, &["frame.number"]).is_empty(), "{probe} is in the capture");
    }
}

/// A web server and a name server on every address of this namespace, until dropped.
struct Servers {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Servers {
    fn start() -> Self {
        let web = TcpListener::bind("0.0.0.0:8080").expect("a free port");
        web.set_nonblocking(true).expect("it can");
        let names = UdpSocket::bind("0.0.0.0:53").expect("a free port");
        // The pace of the loop.
        names.set_read_timeout(Some(Duration::from_millis(5))).expect("it can");
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let serve = move || {
            while !told.load(Ordering::Relaxed) {
                if let Ok((mut client, _)) = web.accept() {
                    // Asked or not, the answer is the same; who only connected is gone by now.
                    let _ = client.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                }
                let mut query = [0; 512];
                if let Ok((length, client)) = names.recv_from(&mut query) {
                    query[2] |= 0x80; // QR: now it is an answer, RFC 1035 §4.1.1
                    let _ = names.send_to(&query[..length], client);
                }
            }
        };
        Self { over, thread: Some(std::thread::spawn(serve)) }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
