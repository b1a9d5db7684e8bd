//! Bundles fetched over the bus: as far as the host's operator lets them go, cut off in the middle and gone on with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use dashcap::fleet::notice::Want;
use dashcap::fleet::{AcceptRule, Options};
use dashcap::incident::pcapng::Level;
use dashcap::incident::store::Store;
use dashcap::incident::{Incident, bundle};
use dashcap::observation::Fact;
use dashcap::observation::fetch::PacketShare;
use dashcap::time::Mono;
use serde_json::Value;

use super::member::{Member, STORY, options};
use super::server::Server;
use crate::incidents::{MONO, Story, frame, origin};
use crate::lab::{BINARY, output, until};

/// The packets of a bundle.
const CAPTURE: &str = "capture.pcapng.zst";
/// Bytes of a frame's packet: nothing of them can be compressed.
const LENGTH: usize = 1_400;

/// An incident whose capture has about `frames` times [`LENGTH`] bytes.
pub(crate) fn incident(frames: u64) -> Incident {
    let origin = Arc::new(origin("eth0", 1));
    let mut chance = 0x2545_f491_4f6c_dd1d_u64;
    let mut byte = move || {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        chance as u8
    };
    let frames = (0..frames).map(|number| {
        let mut bytes = vec![2; 12];
        bytes.extend([8, 0, 0x45, 0, 5, 0x5c, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0, 53, 0, 53, 5, 0x48, 0, 0]);
        bytes.extend((0..LENGTH).map(|_| byte()));
        frame(&origin, Mono(MONO + number * 1_000_000), &bytes)
    });
    let frames = frames.collect();
    Story::new().track_of(origin.clone(), frames).incident()
}

/// Writes it into `store`, and tells where it is.
pub(crate) fn written(store: &Path, incident: &Incident) -> PathBuf {
    let store = Store::open(store, 0).expect("a store");
    bundle::write(&store, incident, Level::default()).expect("it is written").path
}

impl Server {
    /// `dashcap fleet fetch STORY ARGUMENTS`, asked by `noc`.
    fn fetching(&self, into: &Path, arguments: &[&str]) -> Command {
        self.about("fetch", into, arguments)
    }

    /// `dashcap fleet WHAT STORY ARGUMENTS`, asked by `noc`.
    fn about(&self, what: &str, into: &Path, arguments: &[&str]) -> Command {
        let file = self.path("noc.toml");
        fs::write(&file, self.configuration("noc", "")).expect("it can be written");
        let mut command = Command::new(BINARY);
        command.args(["fleet", what, STORY, "--as", "noc", "-c"]).arg(file).arg("-o").arg(into);
        command.args(arguments);
        command
    }
}

fn words(told: &[u8]) -> String {
    String::from_utf8_lossy(told).into_owned()
}

fn runs(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().expect("it runs")
}

/// What `dashcap incidents verify` says of a directory.
fn verified(store: &Path) -> String {
    output(BINARY, &["incidents", "-o", store.to_str().expect("text"), "verify"])
}

#[test]
fn bundles_come_as_far_as_they_may_and_every_fetch_is_told() {
    let Some(mut server) = Server::prepared(&["a", "b", "c", "d"], &["noc"]) else { return };
    server.start();
    server.asked(&["init"]);
    let incident = incident(300);
    let join = |host: &str, share, packets| {
        let rule = AcceptRule { packets, ..AcceptRule::default() };
        let fetch_rate = 64 << 20;
        let options = Options { share, accept: vec![rule], fetch_rate, ..options(&server, host) };
        let store = server.path(&format!("store-{host}"));
        let path = written(&store, &incident);
        (Member::join_with(options, "routers", host, Some(store)).there(), path)
    };
    let (a, _) = join("a", Want::State, PacketShare::Never);
    let (_b, _) = join("b", Want::Report, PacketShare::Never);
    let (_c, _) = join("c", Want::State, PacketShare::Headers);
    let (d, original) = join("d", Want::State, PacketShare::Full);
    let name = original.file_name().expect("it has one").to_owned();
    let here = server.path("here");

    let fetched = runs(server.fetching(&here, &[]));
    let (told, complaint) = (words(&fetched.stdout), words(&fetched.stderr));
    assert_eq!(fetched.status.code(), Some(1), "one refuses: {complaint}");
    assert!(
        complaint.contains("a: ") && complaint.contains("shares its state only"),
        "{complaint}"
    );
    assert!(complaint.contains("packets = \"headers\" }"), "how it is allowed: {complaint}");
    assert!(!here.join("a").exists(), "{told}");
    assert!(!complaint.contains("the same command again"), "nothing goes on: {complaint}");
    let copy = |host: &str| here.join(host).join(&name);
    let next = told.lines().last().expect("what comes next");
    assert!(next.starts_with("next: dashcap fleet report "), "{told}");
    assert!(["b", "c", "d"].iter().all(|host| next.contains(&*copy(host).to_string_lossy())));

    // The frames stay, are cut, or come whole.
    assert!(!copy("b").join(CAPTURE).exists() && copy("b").join("system/uname.txt").exists());
    assert!(verified(&here.join("b")).contains("capture.pcapng.zst stayed on b"));
    assert!(
        complaint.contains("b: ") && complaint.contains("its frames stay there"),
        "{complaint}"
    );
    let cut = copy("c").join(CAPTURE);
    let fields = ["-T", "fields", "-e", "frame.cap_len", "-Y", "udp"];
    let lengths = output("tshark", &[&["-r", cut.to_str().expect("text")][..], &fields].concat());
    assert_eq!(lengths.lines().count(), 300);
    assert!(lengths.lines().all(|length| length == "96"), "{lengths}");
    assert!(verified(&here.join("c")).contains("was cut to headers on c"));
    for file in fs::read_dir(&original).expect("a bundle").flatten().filter(|f| f.path().is_file())
    {
        let [there, here] = [file.path(), copy("d").join(file.file_name())].map(fs::read);
        assert_eq!(there.expect("it is read"), here.expect("it is read"), "{file:?}");
    }
    assert!(verified(&here.join("d")).contains("in order"));
    let listed = output(BINARY, &["incidents", "-o", here.join("d").to_str().expect("text")]);
    assert!(listed.contains("link-down"), "{listed}");

    // Both what went and what did not.
    let facts = until("it is told", || Some(d.noted()).filter(|facts| !facts.is_empty()));
    let [Fact::Fetched(fetch)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!((&*fetch.by, fetch.packets, &fetch.refused), ("noc", PacketShare::Full, &None));
    let facts = until("it is told", || Some(a.noted()).filter(|facts| !facts.is_empty()));
    assert!(facts[0].to_string().starts_with("noc may not fetch "), "{facts:?}");
    assert_eq!((d.standing().fetches, a.standing().fetches_refused), (1, 1));
    assert!(d.standing().to_string().contains("fetches: 1 begun"), "{}", d.standing());

    // The same in one step, with what is here and what came; who gave nothing is told in the report.
    let first = copy("b").to_string_lossy().into_owned();
    let reported = server.about(
        "report",
        &server.path("reported"),
        &[&first, "--host", "a", "--host", "d", "--json"],
    );
    let reported = runs(reported);
    assert_eq!(reported.status.code(), Some(1), "{}", words(&reported.stderr));
    let report: Value = serde_json::from_slice(&reported.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", words(&reported.stderr)));
    let files = report["hosts"].to_string();
    assert!(files.contains("/reported/d/") && files.contains("/here/b/"), "{report}");
    let note = report["notes"].to_string();
    assert!(note.contains("from a: ") && note.contains("shares its state only"), "{report}");
    let unknown =
        runs(server.about("report", &server.path("reported"), &["nonsense", "--host", "d"]));
    assert_eq!(unknown.status.code(), Some(2), "{}", words(&unknown.stderr));

    // Headers are enough, then all of it is wanted after all.
    let again = server.path("again");
    for (arguments, whole) in [(&["--host", "d", "--headers"][..], false), (&["--host", "d"], true)]
    {
        let fetched = runs(server.fetching(&again, arguments));
        assert!(fetched.status.success(), "{}", words(&fetched.stderr));
        let [there, here] = [original.clone(), again.join("d").join(&name)]
            .map(|bundle| fs::read(bundle.join(CAPTURE)).expect("it is read"));
        assert_eq!(there == here, whole, "{arguments:?}");
    }
}

/// Whoever asks is killed, then the server, then the recorder is another one: the same bytes come, and none of them twice.
#[test]
fn a_fetch_that_is_cut_off_goes_on_where_it_stopped() {
    let Some(mut server) = Server::prepared(&["d"], &["noc"]) else { return };
    server.start();
    server.asked(&["init"]);
    let store = server.path("store");
    let original = written(&store, &incident(3_000));
    let join = |server: &Server| {
        let rule = AcceptRule { packets: PacketShare::Full, ..AcceptRule::default() };
        let options = Options { accept: vec![rule], fetch_rate: 64 << 20, ..options(server, "d") };
        Member::join_with(options, "routers", "d", Some(store.clone())).there()
    };
    let d = join(&server);
    let here = server.path("here");
    let name = original.file_name().expect("a name").to_string_lossy();
    let partial = here.join("d").join(format!("{name}.partial"));
    let length = || fs::metadata(partial.join(CAPTURE)).map_or(0, |about| about.len());
    let grows = |from: u64| until("some of it came", || Some(length()).filter(|now| *now > from));

    // All of which take a quarter of a minute.
    let slow = |server: &Server| {
        let mut asker = server.fetching(&here, &["--rate", "300KB"]);
        let said = fs::File::create(server.path("said")).expect("a file");
        asker.stderr(said).spawn().expect("it runs")
    };
    let mut asker = slow(&server);
    let first = grows(0);
    asker.kill().expect("it is ours");
    asker.wait().expect("it ends");
    // The recorder goes, and that is said; both it and the server come back, and the fetch goes on by itself.
    let mut asker = slow(&server);
    grows(first.max(length()));
    d.leave();
    until("it says that it waits", || {
        let said = fs::read_to_string(server.path("said")).ok()?;
        said.contains("d: nothing came for 5s, waiting").then_some(())
    });
    server.kill();
    server.start();
    let d = join(&server);
    let third = grows(length());
    asker.kill().expect("it is ours");
    asker.wait().expect("it ends");
    d.leave();

    let d = join(&server);
    assert!(length() >= third, "what came stays");
    let missing = fs::metadata(original.join(CAPTURE)).expect("it is there").len() - length();
    let fetched = runs(server.fetching(&here, &[]));
    assert!(fetched.status.success(), "{}", words(&fetched.stderr));
    d.wait_for("nothing came twice", |status| status.fetched_bytes == missing);
    let copy = here.join("d").join(&*name);
    let [there, came] = [&original, &copy].map(|bundle| fs::read(bundle.join(CAPTURE)));
    assert_eq!(there.expect("it is read"), came.expect("it is read"));
    assert!(verified(&here.join("d")).contains("in order") && !partial.exists());
}
