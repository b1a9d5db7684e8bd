//! The live page: in a real Chromium, through a real ssh, and for strangers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::lab::{BINARY, BOUND, Lab, Pace, needs, skip, until, whole_bundles_in};
use crate::wireshark::{Desk, SshServer};

/// The port of the page, in a namespace of its own.
const PORT: u16 = 9182;
/// A name and a reason that would be markup.
const NAME: &str = "<u>&amp;\"x";
const REASON: &str = "<img src=x onerror=alert(1)>";

/// Status, head and body of what is answered.
fn http(
    mut stream: impl Read + Write,
    head: &str,
    headers: &str,
    body: &str,
) -> (u16, String, String) {
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    // A request that is refused unread may be answered before all is sent.
    let _ = stream.write_all(request.as_bytes());
    let (mut answer, mut chunk) = (Vec::new(), [0; 4_096]);
    while !is_whole(&answer)
        && let Ok(length @ 1..) = stream.read(&mut chunk)
    {
        answer.extend_from_slice(&chunk[..length]);
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// True if all is there that the head announces: not everybody closes the connection then.
fn is_whole(answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length
        .and_then(|length| length.trim().parse().ok())
        .is_some_and(|length: usize| body.len() >= length)
}

/// What the page answers on loopback of the near host.
fn ask(lab: &Lab, head: &str, headers: &str, body: &str) -> (u16, String, String) {
    lab.near.inside(|| {
        let stream = TcpStream::connect(("127.0.0.1", PORT)).expect("it listens");
        stream.set_read_timeout(Some(BOUND)).expect("a socket");
        http(stream, head, headers, body)
    })
}

/// The address that `dashcap web` prints on the near host.
fn address(socket: &str) -> String {
    let told = Command::new(BINARY).args(["web", "--no-open", "--control", socket]).output();
    let told = told.expect("it runs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8(told.stdout).expect("text").trim().to_owned()
}

/// A browser on the near host, driven as WebDriver says (W3C).
struct Browser<'a> {
    lab: &'a Lab,
    driver: Child,
    session: String,
}

impl<'a> Browser<'a> {
    const PORT: u16 = 9515;

    fn start(lab: &'a Lab) -> Self {
        let port = format!("--port={}", Self::PORT);
        let driver = lab.on_near(&["chromedriver", &port]).stdout(Stdio::null()).spawn();
        let mut browser = Self { lab, driver: driver.expect("it runs"), session: String::new() };
        until("the driver", || {
            let at = ("127.0.0.1", Self::PORT);
            lab.near.inside(|| TcpStream::connect(at).is_ok()).then_some(())
        });
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let always = json!({"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}});
        let wanted = json!({"capabilities": {"alwaysMatch": always}});
        let made = browser.send("POST /session", &wanted);
        browser.session = made["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    fn send(&self, head: &str, body: &Value) -> Value {
        let body = if head.starts_with("GET") { String::new() } else { body.to_string() };
        let (status, _, told) = self.lab.near.inside(|| {
            let stream = TcpStream::connect(("127.0.0.1", Self::PORT)).expect("it listens");
            stream.set_read_timeout(Some(BOUND)).expect("a socket");
            let headers = "Host: localhost\r\nContent-Type: application/json\r\n";
            http(stream, head, headers, &body)
        });
        let mut told: Value = serde_json::from_str(&told).expect("JSON");
        assert_eq!(status, 200, "{head}: {told}");
        told["value"].take()
    }

    fn tell(&self, what: &str, body: &Value) -> Value {
        self.send(&format!("POST /session/{}/{what}", self.session), body)
    }

    fn visit(&self, address: &str) {
        self.tell("url", &json!({"url": address}));
    }

    /// What a script returns.
    fn run(&self, script: &str) -> Value {
        self.tell("execute/sync", &json!({"script": format!("return {script};"), "args": []}))
    }

    /// Waits until a script returns something that is true.
    fn wait_for(&self, script: &str) -> Value {
        until(script, || {
            Some(self.run(script)).filter(|told| told.as_bool() != Some(false) && !told.is_null())
        })
    }

    /// The text of an element that there is, or comes.
    fn text(&self, selector: &str) -> String {
        let told =
            self.wait_for(&format!("document.querySelector({selector:?})?.textContent ?? null"));
        told.as_str().expect("text").trim().to_owned()
    }

    fn click(&self, selector: &str) {
        self.wait_for(&format!("(document.querySelector({selector:?})?.click(), !!document.querySelector({selector:?}))"));
    }

    fn width(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700});
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics});
        self.tell("goog/cdp/execute", &command);
    }

    /// Keeps what is seen, in base64, where `DASHCAP_KEEP_SCREEN` says.
    fn keep_screen(&self, name: &str) {
        if let Some(folder) = std::env::var_os("DASHCAP_KEEP_SCREEN") {
            let seen =
                self.send(&format!("GET /session/{}/screenshot", self.session), &Value::Null);
            let file = PathBuf::from(folder).join(name);
            std::fs::write(file, seen.as_str().expect("text")).expect("it can be written");
        }
    }

    /// What the console said, which is nothing good.
    fn complaints(&self) -> Vec<String> {
        let log = self.tell("se/log", &json!({"type": "browser"}));
        let log = log.as_array().expect("a list").iter();
        log.map(|line| line["message"].as_str().expect("text").to_owned()).collect()
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.send(&format!("DELETE /session/{}", self.session), &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[test]
fn a_browser_sees_rates_move_and_a_snapshot_appear() {
    let Some(lab) = Lab::new() else { return };
    if !needs("chromium") || !needs("chromedriver") {
        return;
    }
    lab.near.ip("link set dev lo up");
    lab.cable(NAME, "far1");
    let place = tempfile::tempdir().expect("a directory can be made");
    let socket = place.path().join("control.sock");
    let socket = socket.to_str().expect("text");
    let dashcap = lab.record(&[
        "-i",
        "eth0",
        "-i",
        NAME,
        "--control",
        socket,
        "--web=9182",
        "--post",
        "200ms",
    ]);
    let talker = lab.far.talk("far0", Pace::GENTLE);
    let browser = Browser::start(&lab);
    browser.width(1_100, 1_400);
    browser.visit(&address(socket));
    assert_eq!(browser.run("location.pathname + location.search"), "/", "the ticket is gone");
    assert!(browser.text("#state").starts_with("recording 2 interfaces, armed"));
    // Rates move, in a cell that had none.
    let cell = "[...document.querySelectorAll('#interfaces tr')].find((row) => \
                row.firstElementChild.textContent === 'eth0').querySelector('td.n').textContent";
    browser.wait_for(&format!("/^[1-9]/.test({cell})"));
    browser.wait_for("document.querySelectorAll('#plots svg.chart path').length >= 2");
    let drawn = browser.run("document.querySelector('#plots path').getAttribute('d')");
    browser
        .wait_for(&format!("document.querySelector('#plots path').getAttribute('d') !== {drawn}"));
    let names = browser
        .run("[...document.querySelectorAll('#interfaces th')].map((th) => th.textContent).sort()");
    assert_eq!(names, json!([NAME, "eth0"]), "a name is text");
    assert_eq!(browser.run("document.querySelector('u, img')"), Value::Null);

    // By keyboard: the first stop is the first page's link, and the form is reached.
    let tab = json!({"actions": [{"type": "key", "id": "k", "actions": [
        {"type": "keyDown", "value": "\u{e004}"}, {"type": "keyUp", "value": "\u{e004}"}]}]});
    browser.tell("actions", &tab);
    assert_eq!(browser.run("document.activeElement.textContent"), "Now");
    browser.run("document.getElementById('reason').focus()");
    let typed: Vec<_> = REASON.chars().chain(['\u{e007}']).collect();
    let typed: Vec<_> = typed
        .iter()
        .flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()}))
        })
        .collect();
    browser.tell("actions", &json!({"actions": [{"type": "key", "id": "k", "actions": typed}]}));
    browser.wait_for("document.getElementById('verdict').textContent.startsWith('window frozen')");
    browser.wait_for(&format!(
        "[...document.querySelectorAll('#events td')].some((cell) => cell.textContent.includes({REASON:?}))"
    ));
    browser.keep_screen("web.png.base64");

    // It appears in the list, and opens: its report in a sandbox without origin.
    browser.click("nav a[href='/incidents']");
    let listed = until("the bundle", || {
        let told = browser.text("#list");
        told.contains("snapshot").then_some(told)
    });
    assert!(listed.contains("frames"), "{listed}");
    browser.click("#list a");
    assert!(browser.text("main").contains(REASON), "a reason is text");
    browser.click("main form button");
    browser.wait_for("document.querySelector('#list strong')?.textContent === 'kept'");
    browser.click("#list a[href$='/report']");
    browser.wait_for("document.documentElement.dataset.drawn !== undefined");
    assert_eq!(browser.run("self.origin"), "null", "it has no origin");
    assert_eq!(browser.run("document.querySelectorAll('svg.chart').length > 0"), true);
    browser.visit(&format!("http://localhost:{PORT}/about"));
    assert_eq!(
        browser.run("document.querySelector('main') === null"),
        true,
        "another host has another cookie"
    );
    browser.visit(&format!("http://127.0.0.1:{PORT}/about"));
    assert!(browser.text("main").contains("kernel drop"));

    // On a phone nothing is beside the screen.
    browser.width(360, 740);
    for page in ["", "incidents", "about"] {
        browser.visit(&format!("http://127.0.0.1:{PORT}/{page}"));
        browser.wait_for("document.querySelector('main') !== null");
        let wide = browser.run("document.documentElement.scrollWidth");
        assert!(wide.as_u64().is_some_and(|wide| wide <= 360), "/{page} is {wide} wide");
    }
    browser.visit(&format!("http://127.0.0.1:{PORT}/"));
    browser.wait_for("document.querySelectorAll('#plots svg.chart path').length >= 2");
    browser.keep_screen("web-phone.png.base64");
    let complaints = browser.complaints();
    let complaints: Vec<_> = complaints.iter().filter(|line| !line.contains("401")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");

    // It says when nobody answers, and that somebody does again.
    talker.stop();
    dashcap.finish_well();
    browser.wait_for("document.getElementById('state').textContent.startsWith('no answer since')");
    // The mark is a file that no bundle has of itself.
    let mark = whole_bundles_in(lab.output()).remove(0).join(".keep");
    std::fs::remove_file(mark).expect("it was kept");
    assert!(lab.bundle().jq(".triggers[0].sentence").contains("(live page)"));
}

#[test]
fn strangers_get_nothing() {
    let Some(lab) = Lab::new() else { return };
    lab.near.ip("link set dev lo up");
    let place = tempfile::tempdir().expect("a directory can be made");
    let socket = place.path().join("control.sock");
    let socket = socket.to_str().expect("text");
    let dashcap = lab.record(&["-i", "eth0", "--control", socket, "--web=9182"]);
    let host = format!("Host: localhost:{PORT}\r\n");
    let status =
        |head: &str, headers: &str| ask(&lab, head, &format!("{host}{headers}"), "reason=x").0;
    // Without a cookie.
    for page in
        ["/", "/incidents", "/about", "/live", "/page.js", "/incidents/x/files/manifest.json"]
    {
        assert_eq!(status(&format!("GET {page}"), ""), 401, "{page}");
    }
    assert_eq!(status("GET /enter?ticket=0123", ""), 401);
    let ticket = address(socket);
    let (_, path) = ticket.split_at(ticket.find("/enter").expect("the way in"));
    let (entered, head, _) = ask(&lab, &format!("GET {path}"), &host, "");
    assert_eq!(entered, 303, "{head}");
    for said in
        ["httponly", "samesite=strict", "location: /\r", "frame-ancestors 'none'", "nosniff"]
    {
        assert!(head.contains(said), "{said}: {head}");
    }
    assert_eq!(status(&format!("GET {path}"), ""), 401, "a ticket is good once");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().expect("a pair"));
    // With it, but not from this page, or not meaning this machine.
    assert_eq!(status("GET /", &cookie), 200);
    assert_eq!(ask(&lab, "GET /", &format!("Host: evil.example\r\n{cookie}"), "").0, 421);
    for from in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "",
    ] {
        assert_eq!(status("POST /snapshot", &format!("{cookie}{from}")), 403, "{from}");
    }
    assert_eq!(status("GET /live", &format!("{cookie}Sec-Fetch-Site: cross-site\r\n")), 403);
    // A name in an address is no path.
    for name in ["..%2f..%2fetc", "%2e%2e", "nothing", "manifests.sha256"] {
        assert_eq!(status(&format!("GET /incidents/{name}/files/passwd"), &cookie), 404, "{name}");
    }
    assert_eq!(
        ask(
            &lab,
            "POST /snapshot",
            &format!("{host}{cookie}Sec-Fetch-Site: same-origin\r\n"),
            &"x".repeat(20_000)
        )
        .0,
        413
    );
    dashcap.finish_well();
    assert!(lab.bundles().is_empty(), "nobody froze anything");
}

#[test]
fn through_ssh_it_is_a_page_of_the_desk() {
    let Some(lab) = Lab::new() else { return };
    if !std::path::Path::new("/usr/sbin/sshd").exists() {
        return skip("sshd is not here");
    }
    lab.address();
    lab.far.ip("link set dev lo up");
    let page = tempfile::tempdir().expect("a directory can be made");
    let page = page.path().join("web.sock");
    let option = format!("--web={}", page.display());
    let desk = Desk::with(&lab, &[&option]);
    let _server = SshServer::start(&lab, &desk);
    let there = format!("near env RUNTIME_DIRECTORY={} {BINARY}\n", desk.home());
    std::fs::write(desk.path(".config/dashcap/hosts"), there).expect("it can be written");
    // Here, for who is root.
    let stream = UnixStream::connect(&page).expect("it listens");
    let (status, _, body) = http(stream, "GET /", "Host: localhost\r\n", "");
    assert!(status == 200 && body.contains("recording 1 interface"), "{status}: {body}");
    // There, once the server takes somebody.
    let mut tunnel = until("the tunnel", || {
        let mut web = desk.of(Command::new("ip"));
        web.args(["netns", "exec", lab.far.name(), BINARY, "web", "near", "--no-open"]);
        let mut child = web.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
        let mut told = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
        std::io::BufRead::read_line(&mut out, &mut told).expect("text");
        match told.trim().strip_prefix("http://localhost:").and_then(|rest| rest.strip_suffix('/'))
        {
            Some(port) => Some((child, port.parse::<u16>().expect("a port"))),
            None => {
                child.wait().expect("it ends");
                None
            }
        }
    });
    let (status, _, body) = lab.far.inside(|| {
        let stream = TcpStream::connect(("127.0.0.1", tunnel.1)).expect("it listens");
        http(stream, "GET /", &format!("Host: localhost:{}\r\n", tunnel.1), "")
    });
    assert!(status == 200 && body.contains("recording 1 interface"), "{status}: {body}");
    // Both ends of the tunnel go with the server.
    let _ = tunnel.0.kill();
    tunnel.0.wait().expect("it ends");
    desk.finish();
}
