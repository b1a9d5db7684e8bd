use std::io::Write;

use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::*;
use crate::observation::link::LinkState;

fn file(text: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    file
}

fn read(texts: &[&str]) -> Result<HostEvents> {
    let files: Vec<_> = texts.iter().map(|text| file(text.as_bytes())).collect();
    let paths: Vec<_> = files.iter().map(|file| file.path().to_owned()).collect();
    HostEvents::read(&paths, &[])
}

/// What is told, in order: seconds and milliseconds of the minute, and the sentence.
fn told(mut events: HostEvents) -> Vec<String> {
    std::iter::from_fn(|| {
        let at = events.next_at()?;
        let fact = events.next()?;
        Some(format!("{} {fact}", &at.milliseconds()[17..23]))
    })
    .filter(|line| !line.contains(" carrier 1, up for") && !line.contains(" carrier 0, down for"))
    .collect()
}

const HEADER: &str = "date,if,carr,state,age,chngs,ping 192.0.2.1\n";

fn table(rows: &[&str]) -> String {
    let row = |row: &&str| format!("2026-11-22T14:14:{row}\n");
    HEADER.to_owned() + &rows.iter().map(row).collect::<String>()
}

#[test]
fn tables_tell_what_happened_between_their_rows() {
    for (name, rows, expected) in [
        ("nothing", &["10Z,eth0,1,up,5.0,3,", "20Z,eth0,1,up,15.0,3,"][..], &[][..]),
        (
            "a change is as old as the state",
            &["10Z,eth0,1,up,5.0,3,", "20Z,eth0,0,down,2.5,4,"],
            &["17.500 eth0: DOWN, carrier on -> off, operstate up -> down, carrier changes 3 -> 4"],
        ),
        (
            "but not older than the row before",
            &["10Z,eth0,1,up,5.0,3,", "20Z,eth0,0,down,99,4,"],
            &["10.000 eth0: DOWN, carrier on -> off, operstate up -> down, carrier changes 3 -> 4"],
        ),
        (
            "a bounce",
            &["10Z,eth0,1,up,5.0,4,", "20Z,eth0,1,up,1.0,6,"],
            &["19.000 eth0: carrier changes 4 -> 6"],
        ),
        (
            "removed and back",
            &["10Z,eth0,1,up,5.0,3,", "20Z,eth0,,gone,0,4,", "30Z,eth0,1,up,0,5,"],
            &[
                "20.000 eth0 removed (index 1)",
                "20.000 eth0: carrier unknown, gone for 0.0 s, 4 changes",
                "30.000 eth0 appeared (index 1, carrier, operstate up)",
            ],
        ),
        (
            "set down by the administrator",
            &["10Z,eth0,1,up,5.0,3,", "20.25Z,eth0,,down,0,4,"],
            &[
                "20.250 eth0: DOWN, set down by the administrator, carrier on -> unknown, operstate \
                 up -> down, carrier changes 3 -> 4",
                "20.250 eth0: carrier unknown, down for 0.0 s, 4 changes",
            ],
        ),
        (
            "probes of one interface's rows",
            &[
                "10Z,a,1,up,5.0,3,0.412",
                "10Z,b,1,up,5.0,3,0.412",
                "20Z,a,1,up,15.0,3,lost",
                "30Z,a,1,up,25.0,3,lost",
            ],
            &[
                "10.000 probe 192.0.2.1 answered after 0.412 ms",
                "20.000 probe 192.0.2.1 lost (no answer, says the table), 1 in a row",
                "30.000 probe 192.0.2.1 lost (no answer, says the table), 2 in a row",
            ],
        ),
    ] {
        assert_eq!(told(read(&[&table(rows)]).unwrap()), expected, "{name}");
    }
}

#[test]
fn a_bounce_in_a_table_is_a_fall_and_an_odd_change_is_none() {
    let falls = |before: u32, now: u32| {
        let rows = [format!("10Z,eth0,1,up,5,{before},"), format!("20Z,eth0,1,unknown,1,{now},")];
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let mut events = read(&[&table(&rows)]).unwrap();
        let Some(Fact::Link { before: Some(before), now }) =
            std::iter::from_fn(|| events.next()).find(|fact| matches!(fact, Fact::Link { .. }))
        else {
            panic!("no change")
        };
        let count = |link: &LinkState| link.carrier_down_count.unwrap();
        count(&now) - count(&before)
    };
    assert_eq!([falls(3, 4), falls(4, 5), falls(3, 5), falls(4, 6), falls(4, 8)], [0, 0, 1, 1, 2]);
}

#[test]
fn an_operators_own_table_will_do() {
    let text =
        "operstate,interface,date\nup,bond0,2026-11-22 14:14:10\ndown,bond0,2026-11-22T14:15:10\n";
    let events = read(&[text]).unwrap();
    assert!(events.has_rows && events.watched.contains("bond0"));
    let told = told(events);
    assert!(
        told.iter().any(|line| line
            == "10.000 bond0: DOWN, set down by the administrator, operstate up -> down"),
        "{told:?}"
    );
}

const EVENTS: &str = r#"{"time":"2026-11-22T14:14:20.811089123Z","mono_ns":1,"kind":"observation","watcher":"link","interface":"bond0","sentence":"","what":{"fact":"link","before":{"index":4,"name":"bond0","hardware":1,"kind":"bond","master":null,"lower":null,"physical":false,"carrier":true,"operstate":"up","flags":69699,"mtu":1500,"carrier_up_count":1,"carrier_down_count":0,"later":1},"now":{"index":4,"name":"bond0","hardware":1,"kind":"bond","master":null,"lower":null,"physical":false,"carrier":false,"operstate":"lower_layer_down","flags":69635,"mtu":1500,"carrier_up_count":1,"carrier_down_count":1}}}
{"time":"2026-11-22T14:14:19Z","kind":"observation","what":{"fact":"probe_answered","probe":"gw","address":"192.0.2.1","round_trip_ns":412000}}
{"time":"2026-11-22T14:14:21Z","kind":"observation","what":{"fact":"probe_lost","probe":"gw","address":"192.0.2.1","in_a_row":3,"waited_ns":1000000000,"reason":"no answer in 1 s"}}
{"time":"2026-11-22T14:14:22Z","kind":"observation","what":{"fact":"probe_late","probe":"gw","address":"192.0.2.1","round_trip_ns":1412000}}

{"time":"2026-11-22T14:14:23Z","kind":"observation","what":{"fact":"snapshot_signal"}}
{"time":"2026-11-22T14:14:24Z","kind":"observation","sentence":"capture on eth0: gap","what":{"fact":"capture","interface":"eth0","event":{"event":"gap"}}}
{"time":"2026-11-22T14:14:25Z","kind":"observation","what":{"fact":"capture","interface":"eth0","event":{"event":"started","index":1,"source":"packet ring"}}}
{"time":"2026-11-22T14:14:26Z","kind":"observation","what":{"fact":"missed","watcher":"link","what":"all"}}
{"time":"2026-11-22T14:14:27Z","kind":"observation","what":{"fact":"link_gone","last":{"name":"eth9","operstate":"up"}}}
{"time":"2026-11-22T14:14:28Z","kind":"observation","what":{"fact":"from_the_future","x":[1]}}
{"time":"2026-11-22T14:14:28Z","kind":"observation","what":{"fact":"stop_signal"}}
{"time":"2026-11-22T14:14:29Z","kind":"trigger","trigger":"link-down","object":"bond0","sentence":""}
{"time":"2026-11-22T14:14:29Z","kind":"trigger","trigger":"probe-lost","object":"gw","sentence":""}
{"time":"2026-11-22T14:14:29Z","kind":"run","interface":"eth0","count":7}
"#;

#[test]
fn events_are_the_facts_they_were() {
    let events = read(&[EVENTS]).unwrap();
    assert_eq!(events.watched.iter().collect::<Vec<_>>(), ["bond0"]);
    assert_eq!(events.total(), 8);
    let passed_over: Vec<_> = events.passed_over.iter().map(|(k, n)| (k.as_str(), *n)).collect();
    let expected =
        [("capture", 1), ("from_the_future", 1), ("run", 1), ("stop_signal", 1), ("trigger", 2)];
    assert_eq!(passed_over, expected);
    assert_eq!(
        told(events),
        [
            "19.000 probe gw answered after 0.412 ms",
            "20.811 bond0: DOWN, carrier on -> off, operstate up -> lowerlayerdown, carrier changes 1 -> 2",
            "21.000 probe gw lost (no answer in 1 s), 3 in a row",
            "21.000 probe gw is down: 3 lost in a row within 1.000 s, the last one: no answer in 1 s; \
             the first was sent at 14:14:20.000, the last answered one at 14:14:18.999",
            "22.000 probe gw answered late, after 1.412 ms",
            "23.000 snapshot asked for by SIGUSR1",
            "24.000 capture missed something: capture on eth0: gap",
            "26.000 link missed something: all",
            "27.000 eth9 removed (index 0)",
        ]
    );
}

#[test]
fn beside_events_a_table_only_gives_rows() {
    let rows = table(&["10Z,eth0,1,up,5.0,3,0.4", "20Z,eth0,0,down,2.5,4,lost"]);
    let mut events = read(&[EVENTS, &rows]).unwrap();
    assert!(events.has_rows);
    let facts: Vec<Fact> = std::iter::from_fn(|| events.next()).collect();
    let samples = facts.iter().filter(|fact| matches!(fact, Fact::Sample(_))).count();
    assert_eq!((samples, facts.len()), (2, 11));
}

#[test]
fn what_cannot_be_meant_names_the_line_and_the_accepted_form() {
    for (text, named) in [
        ("{\"time\":\"now\",\"kind\":\"run\"}\n", "line 1: \"now\" is no time"),
        ("{\n", "line 1: EOF"),
        ("{}\n", "line 1: missing field `time`"),
        ("date,if\n", "line 1: there is no column \"state\""),
        ("date,if,state\nyesterday,eth0,up\n", "line 2: \"yesterday\" is no date"),
        ("date,if,state\n2026-11-22T14:14:10Z,,up\n", "line 2: an interface or a state"),
        ("", "there is no column \"date\""),
    ] {
        let error = read(&[text]).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("accepted: "), "{error}");
    }
    let long = format!("{{\"time\":\"{}\"}}", "x".repeat(70_000));
    assert!(read(&[&long]).unwrap_err().to_string().contains("longer than 65536 bytes"));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        begin in prop::sample::select(vec!["{", "", HEADER, "date,if,state\n2026-11-22T14:14:10Z,"]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cut in 0..EVENTS.len(),
    ) {
        let file = file(&[begin.as_bytes(), &bytes].concat());
        let _ = HostEvents::read(&[file.path().to_owned()], &[]);
        let _ = read(&[&EVENTS[..cut]]);
    }
}
