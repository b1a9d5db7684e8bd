//! Who is told elsewhere: metrics scraped, messages received, connections broken, webhooks called.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::lab::{BINARY, BOUND, Dashcap, Lab, Pace, output, until};

/// A recording whose file says `config`; loopback inside is up.
fn record(lab: &Lab, config: &str, options: &[&str]) -> (Dashcap, NamedTempFile) {
    let file = NamedTempFile::new().expect("a file can be made");
    fs::write(&file, config).expect("it can be written");
    let path = file.path().to_str().expect("text");
    let own = ["-i", "eth0", "--post", "200ms", "-c", path];
    (lab.record(&[&own[..], options].concat()), file)
}

fn with_loopback() -> Option<Lab> {
    let lab = Lab::new()?;
    lab.near.ip("link set lo up");
    Some(lab)
}

fn listener(lab: &Lab, address: &str) -> TcpListener {
    lab.near.inside(|| TcpListener::bind(address).expect("nobody else is there"))
}

/// The next connection, with a bound on every read.
fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    listener.set_nonblocking(true).expect("a socket");
    let (stream, _) = until("a connection", || listener.accept().ok());
    stream.set_nonblocking(false).expect("a socket");
    stream.set_read_timeout(Some(BOUND)).expect("a socket");
    BufReader::new(stream)
}

fn datagram(socket: &UdpSocket) -> String {
    let mut bytes = [0; 65_536];
    let length = socket.recv(&mut bytes).expect("a datagram in time");
    String::from_utf8(bytes[..length].to_vec()).expect("text")
}

/// Flaps the link, so that there is something to tell.
fn flap(lab: &Lab, dashcap: &Dashcap, nth: usize) {
    lab.far.ip("link set far0 down");
    dashcap.wait_for_nth(nth, "eth0: DOWN");
    lab.far.ip("link set far0 up");
    dashcap.wait_for_nth(nth, "eth0: UP");
}

fn scrape(lab: &Lab, accept: &str) -> String {
    lab.near.inside(|| {
        let mut stream = TcpStream::connect("127.0.0.1:9181").expect("it listens");
        stream.set_read_timeout(Some(BOUND)).expect("a socket");
        let head =
            format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9181\r\nAccept: {accept}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it takes it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer in time");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        answer
    })
}

/// The samples of a page, by name and labels as written.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let (_, body) = page.split_once("\r\n\r\n").expect("a head");
    let lines = body.lines().filter(|line| line.starts_with("dashcap_"));
    let sample = |line: &str| {
        let (series, number) = line.rsplit_once(' ').expect("a number");
        (series.to_owned(), number.parse().unwrap_or_else(|e| panic!("{line}: {e}")))
    };
    lines.map(sample).collect()
}

#[test]
fn metrics_are_scraped_and_add_up() {
    let Some(lab) = with_loopback() else { return };
    let (dashcap, _config) = record(&lab, "", &["--metrics", "9181"]);
    dashcap.wait_for("metrics on http://127.0.0.1:9181/metrics");
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(100);
    let sent = talker.stop().len() as f64;
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    let frames = "dashcap_frames_total{interface=\"eth0\",class=\"data\",direction=\"inbound\"}";
    let page = until("all frames counted", || {
        let page = scrape(&lab, "*/*");
        (samples(&page).get(frames) == Some(&sent)).then_some(page)
    });
    let scraped = samples(&page);
    assert!(page.contains("text/plain; version=0.0.4"), "{page}");
    let of = |name: &str| {
        let found = scraped.iter().filter(|(series, _)| series.split('{').next() == Some(name));
        found.map(|(_, number)| number).sum::<f64>()
    };
    let parts = ["stored", "folded", "filtered", "damaged", "lane_dropped", "kernel_dropped"];
    let sum: f64 = parts.map(|part| of(&format!("dashcap_{part}_frames_total"))).iter().sum();
    let waiting = of("dashcap_kernel_waiting_frames");
    assert_eq!(of("dashcap_kernel_received_frames_total"), sum + waiting, "{page}");
    for (series, number) in [
        ("dashcap_triggers_total{kind=\"signal\"}", 1.0),
        ("dashcap_incidents_frozen_total", 1.0),
        ("dashcap_incidents_written_total", 1.0),
        ("dashcap_store_bundles", 1.0),
        ("dashcap_watchers{watcher=\"link\"}", 1.0),
        ("dashcap_armed", 1.0),
    ] {
        assert_eq!(scraped.get(series), Some(&number), "{series} in {page}");
    }
    assert!(of("dashcap_store_bytes") > 0.0 && of("dashcap_store_free_bytes") > 0.0);
    assert!(of("dashcap_depth_seconds") > 0.0 && of("dashcap_write_seconds_sum") > 0.0);
    let open = scrape(&lab, "application/openmetrics-text; version=1.0.0");
    assert!(
        open.contains("application/openmetrics-text; version=1.0.0") && open.ends_with("# EOF\n")
    );
    dashcap.finish_well();
}

#[test]
fn json_and_syslog_arrive_over_udp() {
    let Some(lab) = with_loopback() else { return };
    let [json, syslog] = ["127.0.0.1:7001", "127.0.0.1:7002"].map(|address| {
        let socket = lab.near.inside(|| UdpSocket::bind(address).expect("nobody else is there"));
        socket.set_read_timeout(Some(BOUND)).expect("a socket");
        socket
    });
    let config = "[[export]]\nkind = \"json\"\nto = \"udp://127.0.0.1:7001\"\ninterval = \"1s\"\n\
                  what = [\"traffic\", \"incidents\", \"observations\"]\n\
                  [[export]]\nkind = \"syslog\"\nto = \"udp://127.0.0.1:7002\"\nfacility = 16\n\
                  what = [\"incidents\"]\nseverity = \"warning\"\n";
    let (dashcap, _config) = record(&lab, config, &[]);
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(100);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let next = |kind: &str| -> Value {
        loop {
            let told: Value = serde_json::from_str(&datagram(&json)).expect("a JSON object");
            assert_eq!((&told["v"], &told["host"]), (&json!(1), &json!(host.trim())));
            if told["kind"] == kind {
                return told;
            }
        }
    };
    let traffic = until("traffic", || {
        let told = next("traffic");
        (told["interface"] == "eth0" && told["rxpck_s"].as_f64() > Some(0.0)).then_some(told)
    });
    assert!(traffic["rxkB_s"].as_f64() > Some(0.0) && traffic["seconds"].as_f64() > Some(0.9));
    talker.stop();
    flap(&lab, &dashcap, 1);
    assert_eq!(next("trigger")["trigger"], "link-down");
    let frozen = next("incident");
    assert_eq!((&frozen["state"], &frozen["severity"]), (&json!("frozen"), &json!("warning")));
    let written = next("incident");
    assert_eq!((&written["state"], &written["incident"]), (&json!("written"), &frozen["incident"]));
    let path = written["path"].as_str().expect("a path");
    assert!(path.ends_with(frozen["incident"].as_str().unwrap()), "{path}");

    let told: Vec<String> = (0..3).map(|_| datagram(&syslog)).collect();
    for (message, kind) in told.iter().zip(["trigger", "incident", "incident"]) {
        // local0 (16) and warning (4).
        assert!(message.starts_with("<132>1 20"), "{message}");
        let parts: Vec<&str> = message.splitn(8, ' ').collect();
        assert_eq!((parts[2], parts[3], parts[5]), (host.trim(), "dashcap", kind), "{message}");
        assert!(parts[6].starts_with("[dashcap@32473"), "{message}");
    }
    assert!(told[1].contains("state=\"frozen\"") && told[2].contains("state=\"written\""));
    assert!(
        told[2].contains("object=\"eth0\"") && told[2].contains("] incident written: link-down")
    );
    dashcap.finish_well();
}

/// A message of a stream, by its count of octets.
fn counted(stream: &mut BufReader<TcpStream>) -> String {
    let mut count = Vec::new();
    stream.read_until(b' ', &mut count).expect("a count in time");
    let count: usize = String::from_utf8_lossy(&count).trim().parse().expect("a number");
    let mut message = vec![0; count];
    stream.read_exact(&mut message).expect("all of it");
    String::from_utf8(message).expect("text")
}

/// The next one that says `text`: counters of trouble are told between, as their rounds come.
fn counted_with(stream: &mut BufReader<TcpStream>, text: &str) -> String {
    until(text, || Some(counted(stream)).filter(|message| message.contains(text)))
}

#[test]
fn tcp_is_connected_again_and_nothing_that_waited_is_lost() {
    let Some(lab) = with_loopback() else { return };
    let config = "[[export]]\nkind = \"syslog\"\nto = \"tcp://localhost:7003\"\n\
                  what = [\"observations\"]\nseverity = \"warning\"\n";
    let (dashcap, _config) = record(&lab, config, &["--on", "signal"]);
    flap(&lab, &dashcap, 1);
    dashcap.wait_for("cannot export to syslog tcp://localhost:7003: Connection refused");
    let first = listener(&lab, "127.0.0.1:7003");
    let mut stream = accept(&first);
    let message = counted_with(&mut stream, "] eth0: DOWN");
    assert!(message.contains(" observation [dashcap@32473"), "{message}");
    // The collector goes away, and comes back.
    drop((stream, first));
    flap(&lab, &dashcap, 2);
    let second = listener(&lab, "127.0.0.1:7003");
    let mut stream = accept(&second);
    counted_with(&mut stream, "] eth0: DOWN");
    let end = dashcap.finish_well();
    assert!(!end.log.contains("panic"), "{end:?}");
}

#[test]
fn what_finds_no_room_is_counted_and_told() {
    let Some(lab) = with_loopback() else { return };
    let config = "[[export]]\nkind = \"json\"\nto = \"tcp://127.0.0.1:7004\"\n\
                  what = [\"observations\"]\n";
    let (dashcap, _config) = record(&lab, config, &["--on", "signal", "--metrics", "9181"]);
    dashcap.wait_for("cannot export to json tcp://127.0.0.1:7004");
    // Nobody takes any; each address is an observation.
    let dropped = "dashcap_export_dropped_total{to=\"json tcp://127.0.0.1:7004\"}";
    let mut round = 0;
    until("a full queue", || {
        round += 1;
        let lines = |verb: &str| {
            let line = |n: u32| format!("addr {verb} 10.{}.{}.1/32 dev eth0\n", round % 200, n);
            (0..200).map(line).collect::<String>()
        };
        let batch = NamedTempFile::new().expect("a file can be made");
        fs::write(&batch, lines("add") + &lines("del")).expect("it can be written");
        lab.near.ip(&format!("-batch {}", batch.path().display()));
        (samples(&scrape(&lab, "*/*")).get(dropped)? > &0.0).then_some(())
    });
    let mut stream = accept(&listener(&lab, "127.0.0.1:7004"));
    let told = until("word of what was dropped", || {
        let mut line = String::new();
        stream.read_line(&mut line).expect("a line in time");
        let told: Value = serde_json::from_str(&line).expect("a JSON object");
        (told["kind"] == "dropped").then_some(told)
    });
    assert!(told["count"].as_u64() > Some(0), "{told}");
    let end = dashcap.finish_well();
    assert!(end.log.contains("not everything was exported: json tcp://127.0.0.1:7004"), "{end:?}");
}

/// Answers one call with `status`; returns its head and its body.
fn answer(listener: &TcpListener, status: &str) -> (String, Value) {
    let mut stream = accept(listener);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).expect("a head in time") > 0, "{head}");
    }
    let lower = head.to_ascii_lowercase();
    let length =
        lower.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("told");
    let mut body = vec![0; length.parse().expect("a number")];
    stream.read_exact(&mut body).expect("a body in time");
    let said = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.get_mut().write_all(said.as_bytes()).expect("it listens");
    (head, serde_json::from_slice(&body).expect("a JSON object"))
}

#[test]
fn a_webhook_is_called_until_it_takes_it() {
    let Some(lab) = with_loopback() else { return };
    let server = listener(&lab, "127.0.0.1:7005");
    let token = NamedTempFile::new().expect("a file can be made");
    fs::write(&token, "s3cret\n").expect("it can be written");
    let config = format!(
        "[[webhook]]\nurl = \"http://127.0.0.1:7005/hook?key=hidden\"\ntoken_file = \"{}\"\n\
         headers = {{ X-Team = \"network\" }}\n",
        token.path().display()
    );
    let (dashcap, _config) = record(&lab, &config, &[]);
    dashcap.signal(Signal::SIGUSR1);
    let (_, first) = answer(&server, "503 Service Unavailable");
    dashcap.wait_for("cannot export to webhook http://127.0.0.1:7005: the server answers 503");
    let (head, frozen) = answer(&server, "204 No Content");
    assert_eq!(frozen, first, "the same again");
    assert!(head.starts_with("POST /hook?key=hidden HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    for line in
        ["authorization: bearer s3cret", "x-team: network", "content-type: application/json"]
    {
        assert!(head.contains(line), "{line}: {head}");
    }
    let (_, written) = answer(&server, "200 OK");
    assert_eq!((&frozen["v"], &frozen["event"]), (&json!(1), &json!("frozen")));
    assert_eq!(frozen["trigger"]["kind"], "signal");
    assert_eq!(frozen["severity"], "notice", "somebody asked for it");
    assert_eq!((&written["event"], &written["incident"]), (&json!("written"), &frozen["incident"]));
    let bundle = lab.bundle();
    assert!(written["path"].as_str().unwrap().ends_with(&bundle.name()));
    assert_eq!(written["frames"], bundle.packets.len());
    assert_eq!(bundle.jq(".settings.webhook[0].url"), "http://127.0.0.1:7005");
    assert_eq!(bundle.jq(".settings.webhook[0].headers"), "{\"X-Team\":\"(hidden)\"}");
    let end = dashcap.finish_well();
    assert!(!end.log.contains("key=hidden") && !end.log.contains("s3cret"), "{end:?}");
}

/// Security review M4: services put their secret into the path of a URL, which was shown everywhere.
#[test]
fn no_word_of_an_address_path_gets_out() {
    let Some(lab) = with_loopback() else { return };
    let address = NamedTempFile::new().expect("a file can be made");
    fs::write(&address, "http://127.0.0.1:1/services/SECRETFILE\n").expect("it can be written");
    let config = format!(
        "[[webhook]]\nurl = \"http://127.0.0.1:1/services/SECRETPATH?a=SECRETQUERY\"\ntries = 1\n\
         [[webhook]]\nname = \"pager\"\nurl_file = \"{}\"\ntries = 1\n",
        address.path().display()
    );
    let home = tempfile::tempdir().expect("a directory");
    let control = home.path().join("control.sock");
    let control = control.to_str().expect("text");
    let options = ["--metrics", "9181", "--control", control];
    let (dashcap, _config) = record(&lab, &config, &options);
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    dashcap.wait_for("webhook http://127.0.0.1:1 was not told of ");
    dashcap.wait_for("webhook pager was not told of ");
    let status = output(BINARY, &["status", "--json", "--control", control]);
    let page = scrape(&lab, "*/*");
    assert!(page.contains("to=\"webhook pager\""), "{page}");
    let bundle = lab.bundle();
    let files = ["manifest.json", "events.jsonl", "report.txt", "report.json", "report.html"];
    let mut told: Vec<String> = files
        .iter()
        .map(|name| fs::read_to_string(bundle.file(name)).expect("it is there"))
        .collect();
    assert_eq!(bundle.jq(".settings.webhook[1].name"), "pager");
    assert!(status.contains("webhook pager"), "{status}");
    told.extend([status, page, dashcap.finish_well().log]);
    for text in told {
        assert!(!text.contains("SECRET"), "{text}");
    }
}

#[test]
fn a_web_server_that_says_no_is_not_asked_again() {
    let Some(lab) = with_loopback() else { return };
    let server = listener(&lab, "127.0.0.1:7006");
    let config = "[[webhook]]\nurl = \"http://127.0.0.1:7006/\"\non = [\"written\"]\n";
    let (dashcap, _config) = record(&lab, config, &[]);
    dashcap.snapshot();
    let (_, told) = answer(&server, "404 Not Found");
    assert_eq!(told["event"], "written", "frozen was not asked for");
    dashcap.wait_for("webhook http://127.0.0.1:7006 was not told of ");
    let end = dashcap.finish_well();
    assert!(end.log.contains("0 sent, 1 dropped, 1 failures"), "{end:?}");
}

/// Fault F13 and security review L12: names of live interfaces came out raw.
#[test]
fn the_name_of_an_interface_controls_nothing() {
    let Some(lab) = with_loopback() else { return };
    lab.cable("=\u{1b}[7m\"\u{202e}x", "far1");
    let home = tempfile::tempdir().expect("a directory");
    let control = home.path().join("control.sock");
    let control = control.to_str().expect("text");
    let options = ["--on", "signal", "--post", "200ms", "--metrics", "9181", "--control", control];
    let dashcap = lab.record(&options);
    lab.far.ip("link set far1 down");
    dashcap.wait_for("m\"\\u{202e}x: DOWN");
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    let page = scrape(&lab, "*/*");
    let asked = [&["status"][..], &["status", "--json"], &["events"], &["events", "--json"]];
    let mut told: Vec<String> = asked
        .iter()
        .map(|words| output(BINARY, &[words, &["--control", control][..]].concat()))
        .collect();
    let log = dashcap.finish_well().log;
    let bundle = lab.bundles().pop().expect("there is one");
    let files = [
        "manifest.json",
        "events.jsonl",
        "timeline.csv",
        "report.txt",
        "report.json",
        "report.html",
    ];
    told.extend(files.map(|name| fs::read_to_string(bundle.file(name)).expect("it is there")));
    let table = fs::read_to_string(bundle.file("timeline.csv")).expect("it is there");
    assert!(table.contains("\"'=\\u{1b}[7m\"\"\\u{202e}x\""), "{table}");
    told.extend([page, log, output(BINARY, &["report", &bundle.file("")])]);
    for text in told {
        assert!(text.contains("[7m"), "it is told of: {text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
}
