//! What grew, in tables; and an interface that drops, in a network namespace.

use std::net::UdpSocket;

use crossbeam_channel::bounded;
use proptest::prelude::*;

use super::*;
use crate::lab::{Namespace, wait_for};
use crate::observation::Observation;
use crate::time::Clock;
use crate::watch::spawn;

#[test]
fn growth_has_a_rate_and_standing_still_is_silence() {
    use Counter::{RxCrcErrors, RxErrors, TxDropped};
    let before = [(RxCrcErrors, 5), (RxErrors, 7), (TxDropped, 100)];
    for (now, seconds, told) in [
        (vec![(RxCrcErrors, 5), (RxErrors, 7)], 1, vec![]),
        (
            vec![(RxCrcErrors, 15), (RxErrors, 8)],
            4,
            vec![
                "eth0: rx_crc_errors 5 -> 15, 2.5 a second",
                "eth0: rx_errors 7 -> 8, 0.2 a second",
            ],
        ),
        (vec![(TxDropped, 3)], 1, vec![]), // the driver began again
        (vec![(Counter::Collisions, 3)], 1, vec![]), // never seen before
        (vec![(RxErrors, 9)], 0, vec![]),
        (
            vec![(RxErrors, u64::MAX)],
            1,
            vec!["eth0: rx_errors 7 -> 18446744073709551615, 18446744073709551616.0 a second"],
        ),
    ] {
        let reading = Reading { index: 2, name: "eth0".to_owned(), loopback: false, values: now };
        let grown = growths(&reading, &before, Duration::from_secs(seconds));
        let words: Vec<String> = grown.map(|growth| growth.to_string()).collect();
        assert_eq!(words, told);
    }
}

#[test]
fn options_have_bounds() {
    let good = Options::default();
    let patterns = |pattern: &str| vec![pattern.to_owned()];
    for (options, accepted) in [
        (good.clone(), true),
        (Options { interfaces: patterns("dp0*"), ..good.clone() }, true),
        (Options { interfaces: patterns("["), ..good.clone() }, false),
        (Options { interval: Duration::from_millis(9), ..good.clone() }, false),
        (Options { at_least: f64::NAN, ..good.clone() }, false),
        (Options { at_least: -1.0, ..good }, false),
    ] {
        assert_eq!(options.check().is_ok(), accepted, "{options:?}");
    }
}

#[test]
fn drops_and_carrier_changes_are_told_with_their_rate() {
    let Some(ns) = Namespace::new() else { return };
    ns.ip("link add c0 type veth peer name c1");
    for line in ["link set c0 up", "addr add 10.0.0.2/24 dev c0", "link set c1 up"] {
        ns.ip(line);
    }
    ns.ip("neigh add 10.0.0.1 lladdr 02:00:00:00:00:09 dev c0 nud permanent");
    let options = Options {
        interval: Duration::from_millis(50),
        interfaces: vec!["c0".to_owned()],
        ..Options::default()
    };
    let (outbox, inbox) = bounded(crate::watch::CHANNEL);
    let watch = ns.inside(|| {
        let watcher = CounterWatcher::open(options).unwrap();
        spawn(watcher, Clock::system(), outbox).unwrap()
    });
    let grew = |counter: Counter| move |seen: &Observation| matches!(&seen.fact, Fact::Counter(told) if told.counter == counter);
    // The first change may come before the first round, whose values are the baseline.
    let mut seen = None;
    for _ in 0..100 {
        ns.ip("link set c1 down");
        ns.ip("link set c1 up");
        seen = inbox.try_iter().find(|seen| grew(Counter::CarrierChanges)(seen));
        if seen.is_some() {
            break;
        }
    }
    let seen = seen.expect("carrier changes");
    assert_eq!((seen.fact.interface(), seen.fact.watcher()), (Some("c0"), "counters"));

    // A veth drops what its peer, being down, cannot take.
    ns.ip("link set c0 mtu 1400");
    ns.ip("link set c1 mtu 1000");
    ns.inside(|| {
        let socket = UdpSocket::bind("10.0.0.2:0").unwrap();
        for _ in 0..10 {
            socket.send_to(&[0; 1_300], "10.0.0.1:9").unwrap();
        }
    });
    let (seen, _) = wait_for(&inbox, "drops", grew(Counter::TxDropped));
    let Fact::Counter(growth) = &seen.fact else { panic!("{seen:?}") };
    assert!(growth.per_second > 0.0 && growth.now > growth.before, "{growth:?}");
    let json = serde_json::to_value(&seen.fact).unwrap();
    assert_eq!((&json["fact"], &json["counter"]), (&"counter".into(), &"tx_dropped".into()));
    watch.join();
}

#[test]
fn a_bare_message_has_a_name_and_no_counters() {
    let name = [[8, 0, 3, 0], *b"lo0\0"].concat();
    let reading = read(&[&[0; IFINFOMSG][..], &name].concat()).unwrap();
    assert_eq!((reading.name.as_str(), reading.values.len()), ("lo0", 0));
    assert_eq!(read(&[0; IFINFOMSG]), None);
}

proptest! {
    #[test]
    fn random_messages_never_panic(bytes: Vec<u8>) {
        let _ = read(&bytes);
    }
}
