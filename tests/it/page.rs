//! The page in a real browser: no error, marks that lead somewhere, zoom and values under the pointer.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pcap_file::pcap::{PcapPacket, PcapWriter};

use crate::lab::{BINARY, frame, ipv4_udp, needs, output};

/// What a person would do with the page; what came of it is put into its title.
const VISIT: &str = r##"<script nonce="visit">
const told = [];
const chart = () => document.querySelector("#traffic svg");
told.push("marks " + (document.querySelectorAll("#traffic .mark.failure").length > 0));
told.push("over " + (document.querySelectorAll("#traffic .mark.recovery").length > 0));
const labels = () => [...chart().querySelectorAll("text")].map((text) => text.textContent).join();
const before = labels();
chart().dispatchEvent(new PointerEvent("pointermove", { clientX: 400, bubbles: true }));
told.push("values " + /UTC.*: .*\/s/.test(document.getElementById("values").textContent));
document.getElementById("incident").click();
told.push("zoom " + (labels() !== before));
chart().dispatchEvent(new KeyboardEvent("keydown", { key: "0", bubbles: true }));
told.push("back " + (labels() === before));
document.querySelector("#traffic .mark").dispatchEvent(new MouseEvent("click", { bubbles: true }));
told.push("chosen " + (document.querySelectorAll("tr.chosen").length === 1));
document.title = "TOLD " + told.join(" ");
</script>"##;

/// Somebody talks for a minute; from second 30 on one frame storms for two seconds.
fn storm(file: &Path) {
    let mut writer = PcapWriter::new(File::create(file).unwrap()).unwrap();
    let mut write = |micros: u64, bytes: &[u8]| {
        let at = Duration::from_micros(1_795_356_860_000_000 + micros);
        writer.write_packet(&PcapPacket::new(at, bytes.len() as u32, bytes)).unwrap();
    };
    for number in 0..600 {
        let at = number * 100_000;
        write(at, &frame(number, &[], 60));
        for copy in (0..200).filter(|_| (300..320).contains(&number)) {
            write(at + 2 + copy * 500, &ipv4_udp(5_000, &[]));
        }
    }
}

#[test]
fn a_browser_shows_marks_values_and_zooms_without_an_error() {
    if !needs("chromium") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (capture, path) = (folder.path().join("router.pcap"), folder.path().join("report.html"));
    storm(&capture);
    output(BINARY, &["report", capture.to_str().unwrap(), "--html", path.to_str().unwrap()]);
    let page = fs::read_to_string(&path).unwrap();
    // The page lets no script run but its own.
    let page = page.replace("script-src ", "script-src 'nonce-visit' ");
    fs::write(&path, page.replace("</body>", &format!("{VISIT}</body>"))).unwrap();
    let visited = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
        .args(["--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}", path.display()))
        .output()
        .unwrap();
    let (page, log) =
        (String::from_utf8_lossy(&visited.stdout), String::from_utf8_lossy(&visited.stderr));
    let title = page.split("TOLD ").nth(1).and_then(|rest| rest.split('<').next());
    // The script's own text comes behind the title.
    assert_eq!(
        title,
        Some("marks true over true values true zoom true back true chosen true"),
        "{log}"
    );
    assert!(!log.contains("CONSOLE"), "{log}");
}
