//! The sandbox, tried from inside: each story is a thread that gives up what it has and tries what is
//! forbidden then. All of it belongs to the thread, so nothing is left when the story has ended.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::*;

/// Tells `story` where it may write; none where this process may not give up anything.
fn confined<T: Send>(
    options: &Options,
    also: impl FnOnce(&Path, &mut Grants),
    story: impl FnOnce(&Path, Confinement) -> T + Send,
) -> Option<T> {
    User::nobody_to_become()?;
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let output = home.path().join("bundles");
    let mut grants = Grants::default();
    grants.write(WritableDirectory::new(&output, 0o750));
    for program in ["/bin/uname", "/usr/bin/uname"] {
        grants.run(program);
    }
    also(home.path(), &mut grants);
    let told = std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let account = apply(options, &grants).unwrap();
            story(&output, account)
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    Some(told)
}

fn as_nobody() -> Options {
    Options { user: Some("nobody".to_owned()), sandbox: true }
}

fn denied<T>(tried: io::Result<T>) -> bool {
    let errors = [ErrorKind::PermissionDenied, ErrorKind::CrossesDevices];
    tried.err().is_some_and(|error| errors.contains(&error.kind()))
}

fn status(of: &str) -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(':'));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_remains_is_one_capability_of_another_user() {
    const RAW: &str = "0000000000002000"; // 1 << CAP_NET_RAW, 13
    const NONE: &str = "0000000000000000";
    let told = confined(
        &as_nobody(),
        |_, _| {},
        |output, account| {
            assert_eq!(status("Uid"), "65534 65534 65534 65534");
            assert_eq!(status("Gid"), "65534 65534 65534 65534");
            assert_eq!(status("Groups"), "65534");
            for (set, is) in [
                ("CapPrm", RAW),
                ("CapEff", RAW),
                ("CapInh", NONE),
                ("CapAmb", NONE),
                ("CapBnd", NONE),
            ] {
                assert_eq!(status(set), is, "{set}");
            }
            assert_eq!((&*status("NoNewPrivs"), &*status("Seccomp")), ("1", "2"));
            assert_eq!(fs::metadata(output).unwrap().uid(), 65_534, "it was made for that user");
            assert_eq!(account.limitations, [""; 0]);
            account.to_string()
        },
    );
    let Some(told) = told else { return };
    assert_eq!(told, "user nobody, capabilities: cap_net_raw; confined by Landlock, seccomp");
}

#[test]
fn what_recording_takes_is_still_possible() {
    confined(
        &as_nobody(),
        |_, _| {},
        |output, _| {
            let raw =
                |domain, kind, protocol: i32| Socket::new(domain, kind, Some(protocol.into()));
            raw(Domain::PACKET, Type::RAW, 0).unwrap();
            raw(Domain::PACKET, Type::DGRAM, 0).unwrap();
            raw(Domain::IPV4, Type::RAW, libc::IPPROTO_ICMP).unwrap();
            raw(Domain::IPV6, Type::RAW, libc::IPPROTO_ICMPV6).unwrap();
            TcpListener::bind("127.0.0.1:0").unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap();

            let partial = output.join("x.partial");
            fs::create_dir(&partial).unwrap();
            fs::write(partial.join("a"), "evidence").unwrap();
            fs::rename(&partial, output.join("x")).unwrap();
            assert_eq!(fs::read_to_string(output.join("x/a")).unwrap(), "evidence");
            fs::remove_dir_all(output.join("x")).unwrap();

            for readable in ["/etc/hosts", "/proc/thread-self/net/dev", "/sys/class/net/lo/mtu"] {
                File::open(readable).unwrap_or_else(|e| panic!("{readable}: {e}"));
            }
            let asked = Command::new("uname").output().unwrap();
            assert_eq!(asked.stdout, b"Linux\n", "{asked:?}");
            let child = "grep -E '^(Cap(Prm|Eff|Inh|Amb)|NoNewPrivs)' /proc/self/status";
            let asked = Command::new("sh").args(["-c", child]).output().unwrap();
            let told = String::from_utf8(asked.stdout).unwrap();
            let words: Vec<_> = told.split_whitespace().skip(1).step_by(2).collect();
            assert_eq!(words, [["0000000000000000"; 4].as_slice(), &["1"]].concat(), "{told}");
            std::thread::spawn(|| ()).join().unwrap();
        },
    );
}

#[test]
fn files_elsewhere_are_neither_written_nor_read_nor_run() {
    let also = |home: &Path, _: &mut Grants| {
        fs::write(home.join("secret"), "hush").unwrap();
        fs::set_permissions(home.join("secret"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::create_dir(home.join("open")).unwrap();
        fs::set_permissions(home.join("open"), fs::Permissions::from_mode(0o777)).unwrap();
    };
    confined(&as_nobody(), also, |output, _| {
        let home = output.parent().unwrap();
        // Its permissions would allow all of it.
        assert!(denied(fs::read(home.join("secret"))));
        assert!(denied(fs::read_dir(home)));
        assert!(denied(fs::write(home.join("open/x"), "")));
        assert!(denied(fs::write("/tmp/dashcap-must-not-be", "")));
        assert!(denied(fs::create_dir(home.join("open/x"))));
        fs::write(output.join("program"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(output.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(denied(Command::new(output.join("program")).status()), "what it writes, it runs");
        assert!(denied(fs::rename(output.join("program"), home.join("open/program"))));
        assert!(denied(fs::hard_link(output.join("program"), home.join("open/program"))));
        assert!(denied(symlink("/etc/shadow", output.join("link"))));
        assert!(denied(File::open("/dev/kmsg")));
    });
}

#[test]
fn system_calls_of_attackers_are_refused() {
    confined(
        &as_nobody(),
        |_, _| {},
        |_, _| {
            use rustix::mount::{MountFlags, UnmountFlags};
            let eperm = |tried: rustix::io::Result<()>, what: &str| {
                assert_eq!(tried.unwrap_err(), Errno::PERM, "{what}");
            };
            let mounted = rustix::mount::mount("none", "/proc", "tmpfs", MountFlags::empty(), None);
            eperm(mounted, "mount");
            eperm(rustix::mount::unmount("/proc", UnmountFlags::empty()), "umount2");
            eperm(rustix::process::chroot("/proc"), "chroot");
            let unshared = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER);
            assert_eq!(unshared.unwrap_err(), nix::errno::Errno::EPERM, "unshare");
            let made = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::empty());
            eperm(made.map(drop), "memfd_create");
            let ring = Command::new("sh").args(["-c", "exec unshare -U true"]).output();
            assert!(
                ring.map_or(true, |done| !done.status.success()),
                "unshare in a program it runs"
            );
        },
    );
}

#[test]
fn without_a_sandbox_the_user_is_another_all_the_same() {
    let options = Options { sandbox: false, ..as_nobody() };
    confined(
        &options,
        |_, _| {},
        |_, account| {
            assert_eq!((&*status("CapEff"), &*status("Seccomp")), ("0000000000002000", "0"));
            assert_eq!(status("Uid"), "65534 65534 65534 65534");
            assert_eq!(account.limitations, ["no sandbox, because it was switched off"]);
            assert!(File::open("/").is_ok());
        },
    );
}

#[test]
fn root_that_stays_keeps_what_it_needs_to_reach_what_was_named() {
    let nobodys = |path: &Path| std::os::unix::fs::chown(path, Some(65_534), None).unwrap();
    let root = Options::default();
    confined(
        &root,
        |_, _| {},
        |_, account| {
            assert_eq!((&*account.user, &*status("CapEff")), ("root", "0000000000002000"));
            assert_eq!(account.limitations, [""; 0]);
        },
    );
    let log = |home: &Path, grants: &mut Grants| {
        fs::write(home.join("log"), "").unwrap();
        fs::set_permissions(home.join("log"), fs::Permissions::from_mode(0o600)).unwrap();
        nobodys(&home.join("log"));
        grants.needs_to_read(home.join("log"));
    };
    confined(&root, log, |_, account| {
        assert_eq!(account.capabilities, ["cap_dac_read_search", "cap_net_raw"]);
        assert_eq!(account.limitations, [""; 0]);
    });
    let home = |home: &Path, grants: &mut Grants| {
        fs::create_dir(home.join("theirs")).unwrap();
        nobodys(&home.join("theirs"));
        grants.write(WritableDirectory::new(home.join("theirs"), 0o750));
    };
    confined(&root, home, |_, account| {
        assert_eq!(account.capabilities, ["cap_dac_override", "cap_net_raw"]);
    });
}

#[test]
fn what_the_user_cannot_reach_is_told_before_it_is_missed() {
    let Some(_) = User::nobody_to_become() else { return };
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(home.path().join("roots")).unwrap();
    fs::write(home.path().join("dashcap.toml"), "").unwrap();
    fs::set_permissions(home.path().join("dashcap.toml"), fs::Permissions::from_mode(0o600))
        .unwrap();
    let give_up = |grants: &Grants| {
        std::thread::scope(|scope| scope.spawn(|| apply(&as_nobody(), grants)).join().unwrap())
    };
    let mut grants = Grants::default();
    grants.needs_to_read(home.path().join("dashcap.toml"));
    let account = give_up(&grants).unwrap();
    let [limitation] = &account.limitations[..] else { panic!("{account:?}") };
    assert!(limitation.ends_with("dashcap.toml cannot be read by user nobody"), "{limitation}");
    grants.write(WritableDirectory::new(home.path().join("roots"), 0o750));
    let refused = give_up(&grants).unwrap_err().to_string();
    let command = format!("chown nobody '{}'", home.path().join("roots").display());
    assert!(refused.contains(&command), "{refused}");
}

#[test]
fn a_process_of_many_threads_is_refused() {
    let refused = std::thread::spawn(|| give_up(&Options::default(), &Grants::default()));
    let refused = refused.join().unwrap().unwrap_err().to_string();
    assert!(refused.contains("threads are there"), "{refused}");
}

/// Security review L2: what Landlock knows since Linux 6.12.
#[test]
fn processes_and_abstract_sockets_outside_are_out_of_reach() {
    if landlock_version() < 6 {
        return;
    }
    let mut outside = Command::new("sleep").arg("600").spawn().unwrap();
    let name = format!("dashcap-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let pid = rustix::process::Pid::from_child(&outside);
    confined(
        &Options::default(),
        |_, _| {},
        |_, _| {
            let signal = rustix::process::Signal::CONT;
            assert_eq!(rustix::process::kill_process(pid, signal), Err(Errno::PERM));
            assert!(denied(UnixStream::connect_addr(&address).map(drop)));
        },
    );
    outside.kill().unwrap();
    outside.wait().unwrap();
}

fn landlock_version() -> u32 {
    crate::sys::landlock::version().unwrap_or(0)
}

/// Security review M5: commands on files read bytes of strangers as whoever typed them.
#[test]
fn a_command_on_files_reaches_nothing_but_its_files() {
    if landlock_version() < 5 {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    for directory in ["in", "out", "elsewhere"] {
        fs::create_dir(at(directory)).unwrap();
    }
    for file in ["in/a", "in/b", "elsewhere/secret"] {
        fs::write(at(file), "frames").unwrap();
    }
    let files =
        Files::default().reading([at("in/a"), "-".into(), at("missing")]).writing(&at("out/x"));
    let tell = |ask_names: bool| {
        let files = files.clone().asking_names(ask_names);
        let story = || {
            let account = apply_for_files(&files).unwrap();
            assert_eq!(account.confined_by, ["Landlock", "seccomp"]);
            fs::read(at("in/a")).unwrap();
            fs::write(at("out/x.partial"), "cut").unwrap();
            fs::rename(at("out/x.partial"), at("out/x")).unwrap();
            File::open("/proc/self/cgroup").unwrap();
            for path in ["in/b", "elsewhere/secret"] {
                assert!(denied(fs::read(at(path))), "{path}");
            }
            for path in ["/etc/shadow", "/root", "/var/log"] {
                assert!(denied(File::open(path)), "{path}");
            }
            assert!(denied(fs::write(at("elsewhere/x"), "")));
            assert!(denied(Command::new("/bin/true").status()));
            let socket = UdpSocket::bind("127.0.0.1:0");
            assert_eq!(socket.is_ok(), ask_names);
            assert!(denied(Socket::new(Domain::PACKET, Type::RAW, None)));
            std::thread::spawn(|| std::thread::available_parallelism().unwrap()).join().unwrap();
        };
        std::thread::scope(|scope| scope.spawn(story).join().unwrap());
    };
    tell(false);
    tell(true);
}
