//! A runner in this process, asked through pipes.

use std::fs::{self, Permissions};
use std::io::{self, BufReader, PipeReader, PipeWriter};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::JoinHandle;

use proptest::prelude::*;

use super::super::context::tests::story;
use super::super::options::CommandLine;
use super::*;

struct Asked {
    requests: Option<PipeWriter>,
    answers: BufReader<PipeReader>,
    runner: Option<JoinHandle<Result<()>>>,
    next: u64,
}

impl Asked {
    fn new(hooks: Vec<Hook>, collect: Option<&Path>) -> Self {
        Self::with_store(hooks, collect, Path::new("/var/lib/dashcap"))
    }

    fn with_store(hooks: Vec<Hook>, collect: Option<&Path>, store: &Path) -> Self {
        let (input, requests) = io::pipe().unwrap();
        let (answers, output) = io::pipe().unwrap();
        let clock = Clock::system();
        let runner = thread::spawn(move || serve(BufReader::new(input), output, &clock));
        let mut asked = Self {
            requests: Some(requests),
            answers: BufReader::new(answers),
            runner: Some(runner),
            next: 0,
        };
        let (collect, output) = (collect.map(Path::to_owned), store.to_owned());
        asked.say(&Request::Roster { hooks, collect, output });
        asked
    }

    fn say(&mut self, request: &Request) {
        self.requests.as_mut().unwrap().write_all(line(request).as_bytes()).unwrap();
    }

    fn hook(&mut self, name: &str) -> u64 {
        self.next += 1;
        self.say(&Request::Hook { id: self.next, name: name.to_owned(), story: story() });
        self.next
    }

    fn answer(&mut self) -> Answer {
        let line = next_line(&mut self.answers).unwrap().expect("the runner answers");
        serde_json::from_str(&line).unwrap()
    }

    /// The next end or refusal, of whomever.
    fn told(&mut self) -> (String, String) {
        loop {
            match self.answer() {
                Answer::Ended { name, end, .. } => {
                    return (name, format!("{}|{}", end.ending, end.output));
                }
                Answer::NotRun { name, why, .. } => return (name, why),
                Answer::Began { .. } | Answer::Expect { .. } => {}
            }
        }
    }

    fn close(&mut self) -> Result<()> {
        drop(self.requests.take());
        self.runner.take().unwrap().join().unwrap()
    }
}

fn hook(name: &str, command: &str) -> Hook {
    Hook::new(name, CommandLine::Shell(command.to_owned()))
}

#[test]
fn hooks_run_by_name_and_nothing_else_does() {
    let free = Hook { at_most: 5, ..hook("free", "echo $DASHCAP_WHEN $DASHCAP_BUNDLE") };
    let written = Hook { when: When::Written, ..hook("written", "echo $DASHCAP_BUNDLE") };
    let missing = Hook::new("missing", CommandLine::Words(vec!["/no/such".to_owned()]));
    let store = tempfile::tempdir().unwrap();
    let bundle = store.path().join("b");
    fs::create_dir(&bundle).unwrap();
    let mut asked = Asked::with_store(vec![free, written, missing], None, store.path());
    let story = HookContext { bundle: Some("b".to_owned()), ..story() };
    let whole = format!("exit status: 0|{}\n", bundle.display());
    for (name, expected) in [
        ("free", "exit status: 0|frozen\n"),
        ("written", &whole),
        ("free; reboot", "there is no such hook"),
        ("missing", "/no/such: No such file or directory (os error 2)"),
    ] {
        asked.say(&Request::Hook { id: 1, name: name.to_owned(), story: story.clone() });
        assert_eq!(asked.told(), (name.to_owned(), expected.to_owned()));
    }
    let hooks = vec![hook("mine", "echo no")];
    let mine = Request::Roster { hooks, collect: None, output: "/".into() };
    asked.say(&mine);
    asked.hook("mine");
    assert_eq!(asked.told().1, "there is no such hook", "the first roster holds");
    asked.close().unwrap();
}

/// Security review M3: root's hook was made to read any file.
#[test]
fn a_story_cannot_name_a_file_of_its_choice() {
    let store = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc", store.path().join("link")).unwrap();
    let reads = Hook { when: When::Written, ..hook("reads", "cat \"$DASHCAP_BUNDLE\"") };
    let mut asked = Asked::with_store(vec![reads], None, store.path());
    for bundle in ["/etc/shadow", "../../etc/shadow", "link", "missing"] {
        let story = HookContext { bundle: Some(bundle.to_owned()), ..story() };
        asked.say(&Request::Hook { id: 1, name: "reads".to_owned(), story });
        let (name, why) = asked.told();
        assert!(name == "reads" && !why.contains("exit status"), "{bundle}: {why}");
    }
    asked.close().unwrap();
}

#[test]
fn a_hook_runs_so_often_and_the_rest_is_told() {
    let often = Hook { at_most: 2, ..hook("often", "true") };
    let mut asked = Asked::new(vec![hook("once", "true"), often], None);
    for (name, runs) in [("once", true), ("once", false), ("often", true), ("often", true)] {
        asked.hook(name);
        let told = asked.told().1;
        assert_eq!(told == "exit status: 0|", runs, "{told}");
    }
    asked.hook("once");
    assert!(asked.told().1.starts_with("it runs once in 60s at most, again in "));
    asked.hook("often");
    assert!(asked.told().1.starts_with("it runs 2 times in 60s at most, again in "));
}

#[test]
fn hooks_run_side_by_side_up_to_a_bound_and_end_with_dashcap() {
    let many = u32::try_from(MOST_RUNNING).unwrap() + 1;
    let slow = Hook { at_most: many, ..hook("slow", "sleep 1000") };
    let mut asked = Asked::new(vec![slow], None);
    for _ in 0..MOST_RUNNING {
        asked.hook("slow");
    }
    for _ in 0..MOST_RUNNING {
        assert!(matches!(asked.answer(), Answer::Began { .. }), "none waits for another");
    }
    asked.hook("slow");
    assert_eq!(asked.told().1, format!("{MOST_RUNNING} hooks are running"));
    asked.close().unwrap();
    for _ in 0..MOST_RUNNING {
        assert_eq!(asked.told().1, "stopped, dashcap ended|");
    }
    assert_eq!(next_line(&mut asked.answers).unwrap(), None);
}

fn script(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn collectors_run_side_by_side_and_each_is_told() {
    let directory = tempfile::tempdir().unwrap();
    // Each waits for the other, so that they end only if they run together.
    let waits = |mine: &str, other: &str| {
        format!(
            "echo x > \"$(dirname \"$0\")/{mine}\"; while ! [ -s \"$(dirname \"$0\")/{other}\" ]; do sleep 0.01; done; echo done"
        )
    };
    script(directory.path(), "a", &waits("a.out", "b.out"));
    script(directory.path(), "b", &waits("b.out", "a.out"));
    script(directory.path(), "c-fails", "echo $DASHCAP_WHEN $DASHCAP_NAME; exit 3");
    script(directory.path(), "d-floods", "head -c 1000000 /dev/zero | tr '\\0' x");
    let mut asked = Asked::new(Vec::new(), Some(directory.path()));
    asked.say(&Request::Collect { id: 9, story: story() });
    let names = ["a", "b", "c-fails", "d-floods"].map(str::to_owned).to_vec();
    assert_eq!(asked.answer(), Answer::Expect { id: 9, names });
    let mut told: Vec<_> = (0..4).map(|_| asked.told()).collect();
    told.sort();
    let expected = [
        ("a", "exit status: 0|done\n"),
        ("b", "exit status: 0|done\n"),
        ("c-fails", "exit status: 3|collect c-fails\n"),
    ];
    for ((name, what), (wanted, ending)) in told.iter().zip(expected) {
        assert_eq!((name.as_str(), what.as_str()), (wanted, ending));
    }
    assert_eq!(told[3].1.len(), "exit status: 0|".len() + COLLECTOR_OUTPUT);
    // The directory is read each time.
    for name in ["a", "b", "c-fails", "d-floods"] {
        fs::remove_file(directory.path().join(name)).unwrap();
    }
    asked.say(&Request::Collect { id: 10, story: story() });
    assert_eq!(asked.answer(), Answer::Expect { id: 10, names: Vec::new() });
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    asked.say(&Request::Collect { id: 11, story: story() });
    assert!(asked.told().1.contains("chmod go-w"));
    asked.close().unwrap();
}

#[test]
fn what_is_not_understood_ends_the_runner() {
    let mut asked = Asked::new(Vec::new(), None);
    asked.requests.as_mut().unwrap().write_all(b"run everything\n").unwrap();
    assert_eq!(asked.runner.take().unwrap().join().unwrap().unwrap_err().exit_status(), 1);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let roster = Request::Roster { hooks: Vec::new(), collect: None, output: "/".into() };
        let mut input = line(&roster).into_bytes();
        input.extend(bytes);
        let _ = serve(&input[..], io::sink(), &Clock::system());
    }
}
