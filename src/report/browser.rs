//! The page in a real browser: no error, marks that lead somewhere, zoom and values under the pointer.

use std::env;
use std::fs;
use std::process::Command;

use super::tests::{reported, stormy};

/// A test that could not run is a failure where this is set.
const MUST_RUN: &str = "DASHCAP_TESTS_MUST_RUN";

/// What a person would do with the page; what came of it is put into its title.
const VISIT: &str = r##"<script>
const told = [];
const chart = () => document.querySelector("#traffic svg");
told.push("marks " + (document.querySelectorAll("#traffic .mark.failure").length > 0));
told.push("over " + (document.querySelectorAll("#traffic .mark.recovery").length > 0));
const labels = () => [...chart().querySelectorAll("text")].map((text) => text.textContent).join();
const before = labels();
chart().dispatchEvent(new PointerEvent("pointermove", { clientX: 400, bubbles: true }));
told.push("values " + /UTC.*: .* in .*\/s/.test(document.getElementById("values").textContent));
document.getElementById("incident").click();
told.push("zoom " + (labels() !== before));
chart().dispatchEvent(new KeyboardEvent("keydown", { key: "0", bubbles: true }));
told.push("back " + (labels() === before));
document.querySelector("#traffic .mark").dispatchEvent(new MouseEvent("click", { bubbles: true }));
told.push("chosen " + (document.querySelectorAll("tr.chosen").length === 1));
document.title = "TOLD " + told.join(" ");
</script>"##;

#[test]
fn a_browser_shows_marks_values_and_zooms_without_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let report = reported(vec![stormy().save(folder.path())]);
    let page = super::html(&report, None).unwrap();
    let path = folder.path().join("report.html");
    fs::write(&path, page.replace("</body>", &format!("{VISIT}</body>"))).unwrap();
    let visited = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
        .args(["--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}", path.display()))
        .output();
    let visited = match visited {
        Ok(visited) => visited,
        Err(error) => {
            assert!(env::var_os(MUST_RUN).is_none(), "chromium must run here: {error}");
            eprintln!("skipped: cannot run chromium: {error}");
            return;
        }
    };
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
