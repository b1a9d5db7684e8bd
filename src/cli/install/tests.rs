//! Installations into directories that stand for whole systems.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;

/// A system without dashcap.
fn system() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for directory in ["etc/systemd/system", "usr/local/bin", "var/lib"] {
        fs::create_dir_all(root.path().join(directory)).unwrap();
    }
    fs::write(root.path().join("usr/local/bin/other"), "not ours").unwrap();
    root
}

fn place(root: &TempDir) -> Place {
    Place { prefix: "/usr/local".into(), root: Some(root.path().to_owned()) }
}

fn install(root: &TempDir) -> Result<String> {
    let mut told = Vec::new();
    Install { place: place(root), no_start: false, wireshark: false }.into(&mut told)?;
    Ok(String::from_utf8(told).unwrap())
}

fn uninstall(root: &TempDir, purge: bool) -> Result<String> {
    let mut told = Vec::new();
    Uninstall { place: place(root), purge, wireshark: false }.from(&mut told)?;
    Ok(String::from_utf8(told).unwrap())
}

/// Every path below `root`, with what files have.
fn tree(root: &TempDir) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.path().to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let content = if path.is_dir() {
                left.push(path.clone());
                None
            } else {
                Some(fs::read(&path).unwrap())
            };
            found.insert(path.strip_prefix(root.path()).unwrap().to_owned(), content);
        }
    }
    found
}

#[test]
fn what_was_made_is_told_and_taken_back_and_nothing_else() {
    let root = system();
    let before = tree(&root);
    let told = install(&root).unwrap();
    let after = tree(&root);
    for path in [
        "usr/local/bin/dashcap",
        "usr/local/share/man/man1/dashcap.1",
        "usr/local/share/man/man1/dashcap-run.1",
        "usr/local/share/bash-completion/completions/dashcap",
        "etc/systemd/system/dashcap.service",
        "etc/systemd/system/dashcap.socket",
        "etc/sysusers.d/dashcap.conf",
        "etc/tmpfiles.d/dashcap.conf",
        "etc/dashcap/dashcap.toml",
    ] {
        assert!(after.contains_key(Path::new(path)), "{path}: {told}");
        assert!(told.contains(&format!("wrote {}", root.path().join(path).display())), "{told}");
    }
    let mode = fs::metadata(root.path().join("usr/local/bin/dashcap")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o7777, 0o755);
    // Security review M7: everybody could read the secrets in the configuration.
    for (path, expected) in [("etc/dashcap", 0o750), ("etc/dashcap/dashcap.toml", 0o640)] {
        let mode = fs::metadata(root.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, expected, "{path}");
    }
    assert!(told.ends_with("systemctl enable dashcap.service\n"), "{told}");
    assert!(!after.keys().any(|path| path.to_string_lossy().ends_with(PART)), "{after:?}");

    // Incidents and configuration stay.
    let incident = root.path().join("var/lib/dashcap/incident");
    fs::create_dir_all(&incident).unwrap();
    let told = uninstall(&root, false).unwrap();
    assert!(told.contains("kept ") && told.contains("etc/dashcap/dashcap.toml"), "{told}");
    assert!(incident.is_dir());
    fs::remove_dir_all(root.path().join("var/lib/dashcap")).unwrap();
    fs::remove_dir_all(root.path().join("etc/dashcap")).unwrap();
    assert_eq!(tree(&root), before);
    assert!(uninstall(&root, false).unwrap_err().to_string().contains("--prefix"), "{told}");
}

#[test]
fn purging_leaves_nothing() {
    let root = system();
    let before = tree(&root);
    install(&root).unwrap();
    fs::create_dir_all(root.path().join("var/lib/dashcap/incident")).unwrap();
    fs::write(root.path().join("etc/dashcap/dashcap.toml"), "pre = \"1s\"\n").unwrap();
    uninstall(&root, true).unwrap();
    assert_eq!(tree(&root), before);
}

#[test]
fn what_the_operator_changed_is_kept_and_the_program_is_not() {
    let root = system();
    install(&root).unwrap();
    let at = |path: &str| root.path().join(path);
    let (program, unit) = (at("usr/local/bin/dashcap"), at("etc/systemd/system/dashcap.service"));
    let (configuration, sysusers) =
        (at("etc/dashcap/dashcap.toml"), at("etc/sysusers.d/dashcap.conf"));
    fs::write(&configuration, "pre = \"1s\"\n").unwrap();
    fs::write(&unit, "[Service]\n").unwrap();
    fs::write(&program, "an older one").unwrap();
    let told = install(&root).unwrap();
    assert_eq!(fs::read_to_string(&configuration).unwrap(), "pre = \"1s\"\n");
    assert_eq!(fs::read_to_string(&unit).unwrap(), "[Service]\n");
    for (path, what) in [
        (&configuration, "kept {}, which was changed"),
        (&unit, "kept {}, which was changed"),
        (&sysusers, "kept {}, it is the same"),
        (&program, "wrote {}"),
    ] {
        let line = what.replace("{}", &path.display().to_string());
        assert!(told.contains(&line), "{line}: {told}");
    }
    assert!(fs::metadata(&program).unwrap().len() > 1_000);
    let told = uninstall(&root, false).unwrap();
    assert!(unit.exists() && configuration.exists() && !program.exists(), "{told}");
}

#[test]
fn one_as_we_wrote_it_is_upgraded() {
    let root = system();
    install(&root).unwrap();
    let configuration = root.path().join("etc/dashcap/dashcap.toml");
    let new = fs::read(&configuration).unwrap();
    // As an older dashcap wrote it, and wrote down.
    fs::write(&configuration, "# older\n").unwrap();
    let record_file = root.path().join("usr/local").join(RECORD);
    let text = fs::read_to_string(&record_file).unwrap();
    let older = digest(&b"# older\n"[..]).unwrap();
    fs::write(&record_file, text.replace(&digest(&new[..]).unwrap(), &older)).unwrap();
    let told = install(&root).unwrap();
    assert!(told.contains(&format!("wrote {}", configuration.display())), "{told}");
    assert_eq!(fs::read(&configuration).unwrap(), new);
}

#[test]
fn beside_a_package_nothing_is_installed() {
    let root = system();
    let unit = root.path().join("usr/lib/systemd/system/dashcap.service");
    fs::create_dir_all(unit.parent().unwrap()).unwrap();
    fs::write(&unit, "").unwrap();
    let before = tree(&root);
    let refused = install(&root).unwrap_err().to_string();
    assert!(refused.contains("the package's unit") && refused.contains("apt"), "{refused}");
    assert_eq!(tree(&root), before);
}

#[test]
fn a_prefix_that_is_no_place_is_refused() {
    let mut place = place(&system());
    place.prefix = "opt".into();
    let refused =
        Install { place, no_start: true, wireshark: false }.into(&mut Vec::new()).unwrap_err();
    assert_eq!(refused.exit_status(), 2, "{refused}");
}

/// Security review L13: what somebody put beside a file of ours was written through.
#[test]
fn l13_a_link_in_place_of_a_file_being_written_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let (victim, path) = (root.path().join("victim"), root.path().join("dashcap"));
    fs::write(&victim, "as it was").unwrap();
    std::os::unix::fs::symlink(&victim, root.path().join(format!("dashcap{PART}"))).unwrap();
    write(&path, b"new", 0o644).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
}

/// Security review L9: programs of hooks took their settings from a home that the confined recorder could write.
#[test]
fn l9_the_home_of_the_user_is_nothing_that_it_may_write() {
    let user = pieces::SYSUSERS.lines().find(|line| line.starts_with("u ")).unwrap();
    assert_eq!(user, "u dashcap - \"dashcap\" /");
}
