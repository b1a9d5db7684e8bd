//! The host: privileges, kernel, clock, logs, disk, and whether a dashcap runs already.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, access};

use super::{Check, State, Subject};
use crate::sys::discipline::{self, Discipline};
use crate::sys::packet_ring::{Geometry, KernelRing};
use crate::sys::packet_socket::PacketSocket;
use crate::sys::{kernel_log, landlock, space};
use crate::watch::logs::journal_runs;
use crate::words::size;

/// Capabilities by number (linux/capability.h), why each is wanted, and how bad it is without.
const CAPABILITIES: [(u32, &str, &str, State); 3] = [
    (13, "CAP_NET_RAW", "no frame can be recorded", State::Fail),
    (12, "CAP_NET_ADMIN", "no hardware stamps, small netlink buffers", State::Note),
    (34, "CAP_SYSLOG", "the kernel's log may be refused", State::Note),
];
/// The smallest ring the kernel makes: a block of a page.
const SMALLEST: Geometry = Geometry { blocks: 1, block_size: 4_096 };
/// A clock that is wrong by more than this is no help when bundles of several hosts are laid side by
/// side: a round trip through a wide area network.
const MOST_WRONG: Duration = Duration::from_millis(100);
/// First kernel with everything that is used without asking: `SO_PEERGROUPS`, TPACKET_V3, extended
/// acknowledgements of netlink.
const OLDEST: (u32, u32) = (4, 13);

pub(super) fn examine(subject: &Subject) -> Vec<Check> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut checks = vec![privileges(&read("/proc/self/status"))];
    checks.push(kernel(read("/proc/sys/kernel/osrelease").trim()));
    checks.push(packet_ring(PacketSocket::new().and_then(|socket| {
        KernelRing::new(socket, SMALLEST, Duration::from_millis(10)).map(drop)
    })));
    checks.push(confinement(landlock::version()));
    checks.extend(compiler(read("/proc/sys/net/core/bpf_jit_enable").trim()));
    checks.push(clock(discipline::read()));
    checks.push(log(&kernel_log::open().map(drop)));
    checks.push(journal(journal_runs()));
    checks.push(disk(&subject.output, subject.memory));
    checks.extend(subject.control.as_deref().map(control));
    checks
}

/// Judges what proc_pid_status(5) says.
fn privileges(status: &str) -> Check {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    let Some(effective) = effective else {
        let advice = "mount /proc";
        return Check::new(State::Warning, "privileges", "the kernel does not tell them", advice);
    };
    let missing = CAPABILITIES.iter().filter(|(bit, ..)| effective & (1 << bit) == 0);
    let missing: Vec<_> = missing.collect();
    let Some(state) = missing.iter().map(|(.., state)| *state).max() else {
        return Check::ok("privileges", CAPABILITIES.map(|(_, name, ..)| name).join(", "));
    };
    let each = missing.iter().map(|(_, name, without, _)| format!("no {name}: {without}"));
    let found = each.collect::<Vec<_>>().join("; ");
    let names = missing.iter().map(|(_, name, ..)| *name).collect::<Vec<_>>().join(" ");
    let advice = format!(
        "run as root, or as a service with AmbientCapabilities={names}, or grant them to the program \
         with setcap"
    );
    Check::new(state, "privileges", found, advice)
}

fn kernel(release: &str) -> Check {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    let (Some(major), Some(minor)) = (number(), number()) else {
        let advice = "mount /proc";
        return Check::new(State::Note, "kernel", "its version is not told", advice);
    };
    if (major, minor) < OLDEST {
        let (major, minor) = OLDEST;
        let advice = format!("Linux {major}.{minor} or newer");
        return Check::new(State::Warning, "kernel", release, advice);
    }
    Check::ok("kernel", release)
}

fn packet_ring(made: io::Result<()>) -> Check {
    match made {
        Ok(()) => Check::ok("packet ring", "TPACKET_V3"),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let advice = "needs CAP_NET_RAW, see privileges";
            Check::new(State::Fail, "packet ring", error.to_string(), advice)
        }
        Err(error) => {
            let advice = "load or build the kernel's af_packet (CONFIG_PACKET); without the ring, \
                          --source pnet records slower and knows less";
            Check::new(State::Warning, "packet ring", error.to_string(), advice)
        }
    }
}

fn confinement(version: io::Result<u32>) -> Check {
    match version {
        Ok(version) => Check::ok("landlock", format!("version {version}")),
        Err(error) => {
            let advice = "a kernel with CONFIG_SECURITY_LANDLOCK, booted with lsm=landlock,... can confine \
                          dashcap's files";
            Check::new(State::Note, "landlock", error.to_string(), advice)
        }
    }
}

/// None where the kernel has no such switch: then it always compiles, or never.
fn compiler(enabled: &str) -> Option<Check> {
    match enabled {
        "" => None,
        "0" => {
            let advice = "sysctl net.core.bpf_jit_enable=1 makes --filter cost less per frame";
            Some(Check::new(State::Note, "filters", "interpreted, not compiled", advice))
        }
        _ => Some(Check::ok("filters", "compiled by the kernel")),
    }
}

fn clock(discipline: io::Result<Discipline>) -> Check {
    let advice = "run an NTP daemon, such as chronyd or systemd-timesyncd: stamps of several hosts, and \
                  logs, can be laid side by side only then";
    match discipline {
        Ok(Discipline { synchronised: false, .. }) => {
            Check::new(State::Warning, "clock", "not synchronised (no NTP daemon)", advice)
        }
        Ok(Discipline { most_wrong, .. }) if most_wrong > MOST_WRONG => {
            let found = format!("synchronised, but wrong by up to {most_wrong:.1?}");
            Check::new(State::Note, "clock", found, advice)
        }
        Ok(Discipline { most_wrong, .. }) => {
            Check::ok("clock", format!("synchronised, wrong by {most_wrong:.1?} at most"))
        }
        Err(error) => {
            let found = format!("the kernel does not tell whether it is right: {error}");
            Check::new(State::Note, "clock", found, advice)
        }
    }
}

fn log(opened: &io::Result<()>) -> Check {
    match opened {
        Ok(()) => Check::ok("kernel log", "/dev/kmsg can be read"),
        Err(error) => {
            let advice = "needs CAP_SYSLOG, or sysctl kernel.dmesg_restrict=0; the service gets it from dashcap.socket";
            Check::new(State::Warning, "kernel log", format!("/dev/kmsg: {error}"), advice)
        }
    }
}

fn journal(runs: bool) -> Check {
    if runs {
        return Check::ok("journal", "systemd-journald runs");
    }
    let advice = "where routing daemons log to files, name them: --log '/var/log/frr/*.log'";
    Check::new(State::Note, "journal", "systemd-journald does not run here", advice)
}

/// The output directory, or the directory in which it would be made.
fn disk(output: &Path, memory: u64) -> Check {
    let subject = format!("output {}", output.display());
    let absolute = std::path::absolute(output).unwrap_or_else(|_| output.to_owned());
    let Some(place) = absolute.ancestors().find(|place| place.exists()) else {
        return Check::new(
            State::Fail,
            subject,
            "it cannot be reached",
            "mount it, or name another with -o",
        );
    };
    if let Err(error) = access(place, Access::WRITE_OK | Access::EXEC_OK) {
        let found = format!("{} cannot be written: {error}", place.display());
        let advice = "give dashcap's user write permission, or name another directory with -o";
        return Check::new(State::Fail, subject, found, advice);
    }
    match space::free(place) {
        Err(error) => Check::new(State::Warning, subject, error.to_string(), "is it mounted?"),
        Ok(free) => room(subject, free, memory),
    }
}

/// A bundle is at most about as large as the memory it was frozen in.
fn room(subject: String, free: u64, memory: u64) -> Check {
    let found = format!("{} free", size(free));
    let advice = |what: &str| {
        format!(
            "{what}: a bundle may take {}; free space there, or name another with -o",
            size(memory)
        )
    };
    if free == 0 {
        return Check::new(State::Fail, subject, found, advice("no bundle can be written"));
    }
    if free < memory {
        return Check::new(State::Warning, subject, found, advice("a large bundle will not fit"));
    }
    Check::ok(subject, found)
}

fn control(socket: &Path) -> Check {
    let subject = "control socket";
    let path = socket.display();
    match UnixStream::connect(socket) {
        Ok(_) => Check::ok(subject, format!("a dashcap answers at {path}")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let advice = "ask as root, or as a member of its group";
            Check::new(State::Note, subject, format!("{path}: {error}"), advice)
        }
        Err(_) => Check::ok(subject, format!("no dashcap runs at {path}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_told_by_name() {
        let status = |bits: u64| format!("Name:\tx\nCapEff:\t{bits:016x}\n");
        for (bits, state, told) in [
            (u64::MAX, State::Ok, "CAP_NET_RAW, CAP_NET_ADMIN, CAP_SYSLOG"),
            (0, State::Fail, "no CAP_NET_RAW: no frame can be recorded; no CAP_NET_ADMIN"),
            (1 << 13 | 1 << 34, State::Note, "no CAP_NET_ADMIN: no hardware stamps"),
            (1 << 13 | 1 << 12, State::Note, "no CAP_SYSLOG"),
        ] {
            let check = privileges(&status(bits));
            assert!(check.state == state && check.found.starts_with(told), "{check:?}");
        }
        assert_eq!(privileges("").state, State::Warning);
    }

    #[test]
    fn kernels_are_compared_by_number() {
        for (release, state) in [
            ("6.18.0-rc1", State::Ok),
            ("4.13.0", State::Ok),
            ("4.4.302-vyatta", State::Warning),
            ("10.0", State::Ok),
            ("next", State::Note),
            ("", State::Note),
        ] {
            assert_eq!(kernel(release).state, state, "{release}");
        }
    }

    #[test]
    fn verdicts() {
        let wrong = |synchronised, millis| {
            Ok(Discipline { synchronised, most_wrong: Duration::from_millis(millis) })
        };
        let denied = || Err(io::ErrorKind::PermissionDenied.into());
        for (check, state) in [
            (clock(wrong(true, 5)), State::Ok),
            (clock(wrong(true, 500)), State::Note),
            (clock(wrong(false, 16_000)), State::Warning),
            (clock(Err(io::ErrorKind::PermissionDenied.into())), State::Note),
            (packet_ring(Ok(())), State::Ok),
            (packet_ring(denied()), State::Fail),
            (packet_ring(Err(io::Error::from_raw_os_error(97))), State::Warning),
            (confinement(Ok(7)), State::Ok),
            (confinement(Err(io::Error::from_raw_os_error(95))), State::Note),
            (log(&denied()), State::Warning),
            (journal(false), State::Note),
            (room(String::new(), 0, 1), State::Fail),
            (room(String::new(), 5, 9), State::Warning),
            (room(String::new(), 9, 9), State::Ok),
            (disk(Path::new("/proc/x"), 1), State::Fail),
            (control(Path::new("/no/such")), State::Ok),
        ] {
            assert_eq!(check.state, state, "{check:?}");
            assert_eq!(check.advice.is_none(), state == State::Ok, "{check:?}");
        }
        assert_eq!(compiler("0").unwrap().state, State::Note);
        assert_eq!((compiler("1").unwrap().state, compiler("")), (State::Ok, None));
    }
}
