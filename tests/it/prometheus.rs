//! What is shipped for Prometheus, with Debian's Prometheus and Alertmanager: rules, dashboard, and the way an alert
//! takes to a bundle.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{BOUND, Lab, Pace, needs, output, until};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/prometheus");
const METRICS: &str = include_str!("../../docs/metrics.md");
const DASHBOARD: &str = include_str!("../../packaging/prometheus/dashboard.json");

/// What an operator adds: a rule of his own that asks for a snapshot.
const RULE: &str = r#"
groups:
- name: ours
  rules:
  - alert: ManyFrames
    expr: dashcap_frames_total{class="data", direction="inbound"} > 50
    labels: {severity: critical, dashcap: snapshot}
    annotations: {summary: more than fifty frames}
"#;

/// A program of the near host; stopped when dropped.
struct Server(Child);

impl Server {
    fn start(lab: &Lab, words: &[&str], log: &Path) -> Self {
        let log = fs::File::create(log).expect("a log can be made");
        let mut command = lab.on_near(words);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self(command.spawn().unwrap_or_else(|e| panic!("{words:?}: {e}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is shipped, as an operator adapts it: his token, his rule, and everything at once instead of soon.
fn adapted(place: &TempDir, token: &Path) -> impl Fn(&str) -> PathBuf {
    let changed = |name: &str, changes: &[(&str, &str)]| {
        let mut text = fs::read_to_string(Path::new(SHIPPED).join(name)).unwrap();
        for (before, now) in changes {
            assert!(text.contains(before), "{name} says {before}");
            text = text.replace(before, now);
        }
        fs::write(place.path().join(name), text).unwrap();
    };
    changed("dashcap.rules.yml", &[]);
    changed(
        "prometheus.yml",
        &[("15s", "1s"), ("[dashcap.rules.yml]", "[dashcap.rules.yml, ours.yml]")],
    );
    changed("alertmanager.yml", &[("/etc/dashcap/token", token.to_str().unwrap())]);
    fs::write(place.path().join("ours.yml"), RULE).unwrap();
    let folder = place.path().to_owned();
    move |name| folder.join(name)
}

/// What Prometheus answers; none while it does not.
fn asked(lab: &Lab, path: &str) -> Option<Value> {
    let answer = lab.near.inside(|| {
        let mut stream = TcpStream::connect("127.0.0.1:9090").ok()?;
        stream.set_read_timeout(Some(BOUND)).ok()?;
        // 1.0, so that the body comes in one piece.
        let head = format!("GET /api/v1/{path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    })?;
    let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    (answer["status"] == "success").then(|| answer["data"].clone())
}

/// The series of an expression; none while there are none.
fn series(lab: &Lab, expression: &str) -> Option<Vec<Value>> {
    let letter = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let expression: String = expression.bytes().map(letter).collect();
    let found = asked(lab, &format!("query?query={expression}"))?;
    found["result"].as_array().filter(|found| !found.is_empty()).cloned()
}

/// The expressions of a dashboard's panels and annotations.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let annotations = dashboard["annotations"]["list"].as_array().expect("annotations");
    let all = targets.chain(annotations);
    all.map(|of| of["expr"].as_str().expect("an expression").to_owned()).collect()
}

/// An expression as Grafana asks it, with everything chosen.
fn chosen(expression: &str) -> String {
    let choices = [
        ("$job", "dashcap"),
        ("$instance", ".+"),
        ("$interface", ".+"),
        ("$__rate_interval", "5m"),
    ];
    choices.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value))
}

#[test]
fn a_real_prometheus_shows_every_panel_and_its_alert_comes_back_as_a_snapshot() {
    if !["prometheus", "prometheus-alertmanager"].into_iter().all(needs) {
        return;
    }
    let Some(lab) = Lab::new() else { return };
    lab.near.ip("link set lo up");
    let place = tempfile::tempdir().unwrap();
    let token = place.path().join("token");
    fs::write(&token, "c3f1a0b2d4e5f60718293a4b5c6d7e8f\n").unwrap();
    let file = adapted(&place, &token);
    let at = |option: &str, path: &str| format!("--{option}={}", file(path).display());
    let door =
        ["--metrics", "9181", "--http", "9180", "--http-token-file", token.to_str().unwrap()];
    let dashcap = lab.record(&[&["-i", "eth0", "--post", "200ms"], &door[..]].concat());
    let _alertmanager = Server::start(
        &lab,
        &[
            "prometheus-alertmanager",
            &at("config.file", "alertmanager.yml"),
            &at("storage.path", "alerts"),
            "--cluster.listen-address=", // alone
        ],
        &file("alertmanager.log"),
    );
    let _prometheus = Server::start(
        &lab,
        &[
            "prometheus",
            &at("config.file", "prometheus.yml"),
            &at("storage.tsdb.path", "series"),
            "--enable-feature=exemplar-storage",
        ],
        &file("prometheus.log"),
    );
    // Before anything happens, so that what happens is an increase.
    until("a scrape", || series(&lab, "dashcap_incidents_frozen_total"));
    let talker = lab.far.talk("far0", Pace::GENTLE);
    dashcap.wait_for("ManyFrames (critical)");
    dashcap.wait_for("bundle /");

    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    for expression in expressions(&dashboard) {
        until(&expression, || series(&lab, &chosen(&expression)));
    }
    let bundle = lab.bundle();
    let name = until("the incident beside the histogram", || {
        let found = asked(&lab, "query_exemplars?query=dashcap_freeze_seconds_bucket")?;
        found[0]["exemplars"][0]["labels"]["incident"].as_str().map(str::to_owned)
    });
    assert_eq!(name, bundle.name());
    assert!(name.ends_with("_http_ManyFrames"), "{name}");
    let rules = asked(&lab, "rules").expect("rules");
    let rules =
        rules["groups"].as_array().unwrap().iter().flat_map(|g| g["rules"].as_array().unwrap());
    let ill: Vec<_> = rules.filter(|rule| rule["health"] != "ok").collect();
    assert!(ill.is_empty(), "{ill:#?}");
    drop(talker);
    dashcap.finish_well();
}

#[test]
fn rules_fire_when_they_should_and_examples_are_understood() {
    if !["promtool", "amtool"].into_iter().all(needs) {
        return;
    }
    let file = |name: &str| format!("{SHIPPED}/{name}");
    output("promtool", &["test", "rules", &file("dashcap.rules.test.yml")]);
    output("promtool", &["check", "config", &file("prometheus.yml")]);
    output("amtool", &["check-config", &file("alertmanager.yml")]);
}

/// The metrics that a text of PromQL names.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(move |c| !is_word(c));
    words.filter(|word| word.starts_with("dashcap_"))
}

#[test]
fn every_metric_that_is_used_is_documented() {
    let rules = fs::read_to_string(format!("{SHIPPED}/dashcap.rules.yml")).unwrap();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let used = expressions(&dashboard).join("\n") + &rules;
    let mut count = 0;
    for name in named(&used).filter(|name| *name != "dashcap_") {
        let endings = ["_bucket", "_sum", "_count"];
        let family = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
        assert!(METRICS.contains(&format!("| `{family}` |")), "{name} is in docs/metrics.md");
        count += 1;
    }
    assert!(count > 30, "names are found");
}

#[test]
fn each_panel_says_what_it_shows_and_asks_for_what_is_chosen() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let (mut ids, mut places) = (Vec::new(), Vec::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let text = |name: &str| panel[name].as_str().unwrap_or_default();
        let title = text("title");
        assert!(!title.is_empty() && !text("description").is_empty(), "{panel}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has a unit");
        assert_eq!(panel["datasource"]["uid"], "${DS_PROMETHEUS}", "{title}");
        let place = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24, "{title} is within the 24 columns");
        ids.push(panel["id"].as_u64().expect("a number"));
        places.push(24 * place("y") + place("x"));
    }
    for of_panels in [&mut ids, &mut places] {
        let count = of_panels.len();
        of_panels.sort_unstable();
        of_panels.dedup();
        assert_eq!(of_panels.len(), count, "each panel has a number and a place of its own");
    }
    for expression in expressions(&dashboard) {
        let is_chosen = expression.contains(r#"job="$job", instance=~"$instance""#);
        assert!(is_chosen, "{expression}");
        let is_fixed = expression.contains("rate(") && !expression.contains("[$__rate_interval]");
        assert!(!is_fixed, "a rate over what is shown: {expression}");
    }
}
