//! The store: bundles that explain themselves, limits that hold, and the command that shows it all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::lab::{BINARY, Bundle, Lab, Pace, SmallDisk, bundles_in, output, until};

/// `dashcap incidents WORDS` over `store`.
fn incidents(store: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("incidents").args(words).arg("-o").arg(store).env("TZ", "UTC");
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").stdin(Stdio::null());
    command.output().expect("it can be run")
}

/// What it prints; it must succeed.
fn told(store: &Path, words: &[&str]) -> String {
    let output = incidents(store, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Why it refuses.
fn refused(store: &Path, words: &[&str]) -> String {
    let output = incidents(store, words);
    assert!(!output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn every_bundle_explains_itself() {
    let Some(lab) = Lab::new() else { return };
    let dashcap = lab.record(&["-i", "eth0", "--pre", "10s", "--post", "200ms"]);
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(50);
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    dashcap.finish_well();
    talker.stop();

    // Its files are those of the manifest, to the byte: the report's, too.
    let bundle = lab.bundle();
    assert_eq!(bundle.jq(".report_missing"), "null");
    let name = bundle.name();
    let text = fs::read_to_string(bundle.file("report.txt")).unwrap();
    assert!(text.starts_with(&format!("dashcap report of {name}\n")), "{text}");
    assert!(text.contains("Onset and symptom 2") && !text.contains(".partial"), "{text}");
    assert!(!text.contains("not whole") && !text.contains("has no meaning"), "{text}");
    let page = fs::read_to_string(bundle.file("report.html")).unwrap();
    assert!(page.contains(&name) && !page.contains(".partial"));
    for (file, most) in [("", 0o750), ("report.html", 0o640), ("report.txt", 0o640)] {
        let mode = fs::metadata(bundle.file(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & !most, 0, "{file}: {mode:o}");
    }
    // What the command reports of it is what lies in it, but for the place it was read from.
    let now = output(BINARY, &["report", "--width", "80", &bundle.file("")]);
    let findings = |text: &str| text.split_once("Interfaces\n").map(|(_, rest)| rest.to_owned());
    assert_eq!(findings(&now), findings(&text));
}

#[test]
fn the_store_is_listed_shown_marked_and_cleared() {
    let Some(lab) = Lab::new() else { return };
    let store = lab.output();
    let dashcap = lab.record(&["-i", "eth0", "--pre", "0s", "--post", "50ms", "--keep-count", "2"]);
    for nth in 1..=2 {
        dashcap.snapshot();
        dashcap.wait_for_nth(nth, "bundle /");
    }
    fs::create_dir(store.join("thesis")).unwrap();
    fs::create_dir(store.join("2026-11-22T14-14-20.811Z_signal")).unwrap();
    fs::create_dir(store.join("2026-11-22T14-14-20.811Z_signal-2.partial")).unwrap();
    let names = || -> Vec<String> {
        let listing = told(store, &["--json"]);
        let listing: serde_json::Value = serde_json::from_str(&listing).expect("JSON");
        let bundles = listing["bundles"].as_array().expect("a list").clone();
        bundles.iter().map(|b| b["name"].as_str().expect("a name").to_owned()).collect()
    };
    let first = names();
    assert_eq!(told(store, &["keep", &first[0]]), format!("{} is kept\n", first[0]));
    // The marked one does not count: two others may stay.
    for nth in 3..=4 {
        dashcap.snapshot();
        dashcap.wait_for_nth(nth, "bundle /");
    }
    let gone = dashcap.wait_for("removed bundle ");
    assert!(gone.contains(&first[1]) && gone.contains("keep_count is 2"), "{gone}");
    until("the removal", || (names().len() == 3).then_some(()));
    let bundles = names();
    assert_eq!(bundles[0], first[0]);

    let table = told(store, &["list"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("NAME ") && lines[1].ends_with("kept"), "{table}");
    assert!(lines[3].starts_with(&bundles[2]) && lines[3].contains(" eth0 "), "{table}");
    assert!(table.contains("_signal-2.partial: a bundle that is being built"), "{table}");
    assert!(table.contains("_signal: damaged: manifest.json"), "{table}");
    assert!(table.contains("not bundles: thesis"), "{table}");

    let shown = told(store, &["show"]);
    for part in
        [&*bundles[2], "by               signal: ", "\ndashcap report of ", "kept             no"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let page = told(store, &["open", "last"]);
    assert!(page.ends_with("/report.html\n") && Path::new(page.trim()).is_file(), "{page}");

    for (words, reason) in [
        (vec!["rm", "last"], "there is no terminal to ask on"),
        (vec!["rm", "--yes", &first[0]], "marked to be kept"),
        (
            vec!["rm", "--yes", "--force", "2026-11-22T14-14-20.811Z_signal-2.partial"],
            "being built",
        ),
        (vec!["rm", "--yes", "2026-11-22T14-14-20.811Z_signal"], "damaged"),
        (vec!["rm", "--yes", "thesis"], "not a bundle of dashcap"),
        (vec!["show", "2"], "3 bundles begin with this"),
    ] {
        let why = refused(store, &words);
        assert!(why.contains(reason), "{words:?}: {why}");
    }
    told(store, &["rm", "--yes", "last"]);
    told(store, &["rm", "-y", "--force", &first[0]]);
    assert_eq!(names(), [bundles[1].clone()]);
    assert!(store.join("thesis").is_dir());
    let end = dashcap.finish_well();
    assert!(end.log.contains("1 old bundles were removed"), "{end:?}");
}

#[test]
fn a_report_is_opened_where_there_is_a_display() {
    let Some(lab) = Lab::new() else { return };
    let dashcap = lab.record(&["-i", "eth0", "--pre", "0s", "--post", "50ms"]);
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    dashcap.finish_well();
    let tools = tempfile::tempdir().unwrap();
    let (tool, seen) = (tools.path().join("xdg-open"), tools.path().join("seen"));
    fs::write(&tool, format!("#!/bin/sh\necho \"$1\" > {}\n", seen.display())).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let printed = Command::new(BINARY)
        .args(["incidents", "open", "-o"])
        .arg(lab.output())
        .env("DISPLAY", ":7")
        .env("PATH", format!("{}:{path}", tools.path().display()))
        .output()
        .expect("it can be run");
    let printed = String::from_utf8(printed.stdout).expect("text");
    until("the page to be opened", || {
        fs::read_to_string(&seen).ok().filter(|seen| *seen == printed)
    });
}

#[test]
fn a_full_disk_gives_old_bundles_for_the_new_one() {
    let Some(lab) = Lab::new() else { return };
    let disk = SmallDisk::mount(4 << 20);
    let options = ["-i", "eth0", "--pre", "1s", "--post", "200ms", "--keep-count", "100"];
    let dashcap = lab.record(&[&options[..], &["--output", disk.text()]].concat());
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(50);
    for nth in 1..=2 {
        dashcap.snapshot();
        dashcap.wait_for_nth(nth, "bundle /");
    }
    disk.fill();
    dashcap.snapshot();
    let gone = dashcap.wait_for("removed bundle ");
    assert!(gone.contains("the disk is full, and a new bundle is worth more"), "{gone}");
    // Without its report, maybe: evidence first.
    dashcap.wait_for_nth(3, "bundle /");
    let end = dashcap.finish_well();
    let (received, accounted) = end.received("eth0");
    assert_eq!(received, accounted);
    let sent = talker.stop();
    disk.make_room();
    let newest = bundles_in(disk.path()).pop().expect("there is one");
    Bundle::open(newest).holds_what_was_sent("eth0", &sent);
}

/// Security review M6: bundles could be rewritten without a trace.
#[test]
fn bundles_are_verified_against_their_sums_the_record_and_each_other() {
    let Some(lab) = Lab::new() else { return };
    let dashcap = lab.record(&["-i", "eth0", "--post", "50ms"]);
    for nth in 1..=3 {
        dashcap.snapshot();
        dashcap.wait_for_nth(nth, "bundle /");
    }
    dashcap.finish_well();
    let store = lab.output();
    let bundles = lab.bundles();
    assert_eq!(bundles[0].jq(".previous"), "null");
    for pair in bundles.windows(2) {
        assert_eq!(pair[1].jq(".previous.name"), pair[0].name());
        let sum = output("sha256sum", &[&pair[0].file("manifest.json")]);
        assert_eq!(pair[1].jq(".previous.sha256"), sum.split(' ').next().unwrap());
    }
    // Stock tools check the record, too.
    let check = format!("cd {} && sha256sum --check --strict manifests.sha256", store.display());
    assert_eq!(output("sh", &["-c", &check]).matches(": OK").count(), 3);
    assert!(told(store, &["verify"]).ends_with("3 in order\n"));

    told(store, &["rm", "--yes", &bundles[0].name()]);
    assert!(told(store, &["verify"]).ends_with("2 in order\n"), "its removal is recorded");
    let json: serde_json::Value =
        serde_json::from_str(&told(store, &["verify", "last", "--json"])).unwrap();
    assert_eq!(
        (&json["in_order"], &json["bundles"][0]["name"]),
        (&true.into(), &bundles[2].name().into())
    );

    let events = bundles[1].file("events.jsonl");
    let text = fs::read_to_string(&events).unwrap();
    fs::write(&events, text.replace("eth0", "eth1")).unwrap();
    fs::write(bundles[1].file("evil"), "").unwrap();
    fs::remove_dir_all(bundles[2].path()).unwrap();
    let found = incidents(store, &["verify"]);
    assert_eq!(found.status.code(), Some(1));
    let found = String::from_utf8(found.stdout).unwrap();
    for line in ["  changed: events.jsonl\n", "  added: evil\n", ": MISSING: it is recorded"] {
        assert!(found.contains(line), "{line:?} in {found}");
    }
    assert!(found.ends_with("2 NOT IN ORDER of 2\n"), "{found}");
}

/// A hook signs, and stock tools agree with what `verify` says.
#[test]
fn manifests_are_signed_by_a_hook_and_verified() {
    let Some(lab) = Lab::new() else { return };
    let place = tempfile::tempdir().expect("a directory can be made");
    let at = |name: &str| place.path().join(name).to_str().expect("text").to_owned();
    for key in ["key", "other"] {
        output("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "router1", "-f", &at(key)]);
    }
    let public = |key: &str| fs::read_to_string(at(&format!("{key}.pub"))).unwrap();
    fs::write(at("signers"), format!("router1 namespaces=\"dashcap\" {}", public("key"))).unwrap();
    fs::write(at("others"), format!("router2 {}", public("other"))).unwrap();
    let config = format!(
        "[[hook]]\nname = \"sign\"\nwhen = \"written\"\ncommand = 'exec ssh-keygen -q -Y sign -n dashcap -f {} \
         \"$DASHCAP_BUNDLE/manifest.json\"'\n",
        at("key")
    );
    fs::write(at("dashcap.toml"), config).unwrap();
    let dashcap = lab.record(&["-i", "eth0", "--post", "50ms", "-c", &at("dashcap.toml")]);
    dashcap.snapshot();
    dashcap.wait_for("bundle /");
    let bundle = lab.bundle();
    until("the signature", || fs::metadata(bundle.file("manifest.json.sig")).ok());
    dashcap.finish_well();
    let store = lab.output();
    let verdict = told(store, &["verify", "--signers", &at("signers")]);
    assert!(verdict.contains("manifest.json is signed by router1\n"), "{verdict}");
    assert!(told(store, &["verify"]).ends_with("1 in order\n"), "a signature is no stranger");
    for (signers, change, complaint) in [
        ("others", false, "is of nobody who may sign"),
        ("signers", true, "is not that of manifest.json"),
    ] {
        if change {
            let manifest = bundle.file("manifest.json");
            let text = fs::read_to_string(&manifest).unwrap();
            fs::write(&manifest, text + "\n").unwrap();
        }
        let found = incidents(store, &["verify", "--signers", &at(signers)]);
        assert_eq!(found.status.code(), Some(1));
        let found = String::from_utf8(found.stdout).unwrap();
        assert!(found.contains(complaint), "{complaint}: {found}");
    }
    fs::remove_file(bundle.file("manifest.json.sig")).unwrap();
    let found = incidents(store, &["verify", "--signers", &at("signers")]);
    assert!(String::from_utf8(found.stdout).unwrap().contains("is not signed"));
}

/// F2 of the faults: SIGXFSZ ended the recorder.
#[test]
fn a_file_beyond_the_limit_is_an_error_and_not_the_end() {
    let pages = tempfile::tempdir().unwrap();
    let limited = format!("ulimit -f 1; exec {BINARY} man {}", pages.path().display());
    let output = Command::new("sh").args(["-c", &limited]).output().expect("it can be run");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("File too large"), "{told}");
}
