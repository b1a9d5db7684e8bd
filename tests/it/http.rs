//! Triggers over HTTP, from the request to the bundle that names who asked.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::lab::{BOUND, Lab};

const TOKEN: &str = "c3f1a0b2d4e5f60718293a4b5c6d7e8f";

/// What HTTP answers on the near host: status and body.
fn http(lab: &Lab, head: &str, headers: &str, body: &str) -> (u16, String) {
    let request = format!(
        "{head} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    lab.near.inside(|| {
        let mut stream = TcpStream::connect("127.0.0.1:9180").expect("it listens");
        stream.set_read_timeout(Some(BOUND)).unwrap();
        // A body that is refused unread may be answered, and the connection reset, before all is sent.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        (status, body.to_owned())
    })
}

#[test]
fn http_triggers_for_who_knows_the_token() {
    let Some(lab) = Lab::new() else { return };
    lab.near.ip("link set dev lo up");
    let place = tempfile::tempdir().unwrap();
    let token = place.path().join("token");
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let options = ["-i", "eth0", "--pre", "1m", "--post", "10m", "--http", "9180"];
    let file = ["--http-token-file", token.to_str().unwrap()];
    let dashcap = lab.record(&[&options[..], &file].concat());
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let long = "x".repeat(300 * 1024);
    let status = |head, headers, body| http(&lab, head, headers, body).0;
    let health = http(&lab, "GET /health", "", "");
    assert_eq!((health.0, health.1.contains("recording")), (200, true), "{health:?}");
    assert_eq!(status("POST /trigger", "", "{}"), 401);
    assert_eq!(status("POST /trigger", "Authorization: Bearer nonsense-nonsense\r\n", "{}"), 401);
    assert_eq!(status("GET /trigger", &bearer, ""), 405);
    assert_eq!(status("POST /else", &bearer, "{}"), 404);
    assert_eq!(status("POST /trigger", &bearer, "{\"raison\":1}"), 400);
    assert_eq!(status("POST /trigger", &bearer, &long), 413);
    let alert = |status: &str| {
        json!({
            "version": "4", "status": status, "receiver": "dashcap",
            "groupLabels": { "alertname": "BgpDown" }, "commonLabels": { "severity": "critical" },
            "commonAnnotations": { "summary": "the peer is gone" },
            "alerts": [{ "status": status, "labels": { "instance": "leaf1" } }],
        })
        .to_string()
    };
    let resolved = http(&lab, "POST /trigger", &bearer, &alert("resolved"));
    assert_eq!((resolved.0, resolved.1.contains("noted")), (200, true), "{resolved:?}");
    let firing = http(&lab, "POST /trigger", &bearer, &alert("firing"));
    assert_eq!((firing.0, firing.1.contains("frozen")), (202, true), "{firing:?}");
    let plain = http(&lab, "POST /trigger", &bearer, "{\"reason\":\"deploy failed\"}");
    assert_eq!((plain.0, plain.1.contains("extended")), (202, true), "{plain:?}");
    dashcap.finish_well();

    let bundle = lab.bundle();
    assert!(bundle.name().ends_with("_http_BgpDown"), "{}", bundle.name());
    assert_eq!(bundle.triggers(), ["http BgpDown", "http"]);
    let sentences = bundle.jq("[.triggers[].sentence]");
    let told = "snapshot asked for by 127.0.0.1 (HTTP): ";
    let alert = "BgpDown (critical): the peer is gone; leaf1";
    assert_eq!(sentences, format!("[\"{told}{alert}\",\"{told}deploy failed\"]"));
    let resolved = format!("127.0.0.1 (HTTP) says: resolved: {alert}");
    assert!(bundle.journal().contains(&resolved), "{:?}", bundle.journal());
}
