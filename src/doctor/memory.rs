//! Whether the memory that is asked for is there, and stays there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Check, State, Subject};
use crate::memory::{BESIDE, INTERFACE, LANE};
use crate::sys::space;
use crate::words::size;

/// Where control groups are (Documentation/admin-guide/cgroup-v2.rst).
const CGROUPS: &str = "/sys/fs/cgroup";
/// What hooks and collectors may take in the same control group, and files that are being written.
const PROGRAMS: u64 = 256 << 20;
/// With a ring file there can be the old one and a copy that is being recovered beside the new one.
const RINGS: u64 = 3;
/// Observations take an eighth of the memory for frames at most, those of waiting incidents included
/// (`recorder::history`).
const OBSERVATIONS: u64 = 8;
/// `CAP_IPC_LOCK` (linux/capability.h): memory may be locked without a limit.
const IPC_LOCK: u32 = 14;

pub(super) fn examine(subject: &Subject) -> Vec<Check> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let count = subject.recorded.len().max(1) as u64;
    let interfaces = (subject.kernel_memory + INTERFACE + subject.lanes * LANE) * count;
    let wanted = subject.memory + subject.traffic_memory + interfaces + BESIDE;
    let mut checks = vec![available(&read("/proc/meminfo"), wanted)];
    let ours = [subject.memory, subject.traffic_memory];
    checks.push(enough(ours, interfaces, subject.ring_file.is_some()));
    checks.extend(control_group(&read("/proc/self/cgroup"), wanted, |path| {
        fs::read_to_string(path).ok()
    }));
    if subject.lock {
        checks.push(lock(&read("/proc/self/limits"), &read("/proc/self/status"), subject.memory));
    }
    if let Some(file) = subject.ring_file.as_deref() {
        let directory = file.parent().filter(|path| !path.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let free = space::free(directory);
        // A file that is there is replaced by one of its size, or moved aside.
        let room = ring_file(file, free.as_ref().ok().copied(), subject.memory);
        let mode = fs::metadata(directory).map(|found| found.mode()).unwrap_or_default();
        checks.push(room);
        checks.extend(strangers(directory, mode));
    }
    checks
}

/// Judges how many bytes are free where the ring file is to be.
fn ring_file(file: &Path, free: Option<u64>, memory: u64) -> Check {
    let subject = format!("ring file {}", file.display());
    match free {
        None => {
            let advice = "make its directory, or name another with --ring-file";
            Check::new(State::Fail, subject, "its directory cannot be reached", advice)
        }
        Some(free) if free < memory && !file.exists() => {
            let found = format!("{} wanted, {} free", size(memory), size(free));
            let advice = "a smaller --memory, or a larger file system: mount -o remount,size=";
            Check::new(State::Fail, subject, found, advice)
        }
        Some(free) => Check::ok(subject, format!("{} free", size(free))),
    }
}

/// Judges who may take the ring file's name by the mode of its directory (inode(7)); none if nobody may.
fn strangers(directory: &Path, mode: u32) -> Option<Check> {
    const OTHERS_WRITE: u32 = 0o022;
    (mode & OTHERS_WRITE != 0).then(|| {
        let found =
            "others may make files there, and take the name; frames then end with the process";
        let advice = "a directory of its own, as RuntimeDirectory=dashcap makes: /run/dashcap/ring";
        Check::new(State::Warning, format!("ring directory {}", directory.display()), found, advice)
    })
}

/// Judges what proc_meminfo(5) says.
fn available(meminfo: &str, wanted: u64) -> Check {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let Some(available) = kib.map(|kib| kib * 1024) else {
        let advice = "mount /proc";
        return Check::new(State::Note, "memory", "the kernel does not tell what is left", advice);
    };
    let found = format!("{} wanted with the kernel's, {} available", size(wanted), size(available));
    let advice = "a smaller --memory or --kernel-memory, or fewer interfaces";
    if wanted > available {
        return Check::new(State::Fail, "memory", found, advice);
    }
    if wanted > available / 2 {
        return Check::new(State::Warning, "memory", found, advice);
    }
    Check::ok("memory", found)
}

/// A limit that holds whatever floods come, and never ends a recorder that is as it should be.
fn enough([memory, traffic]: [u64; 2], interfaces: u64, ring_file: bool) -> Check {
    // The long memory has a file beside the ring file, and takes over what an earlier one left.
    let rings = if ring_file { RINGS } else { 1 };
    let limit = (memory + traffic) * rings + memory / OBSERVATIONS + interfaces + BESIDE + PROGRAMS;
    let mib = limit.div_ceil(1 << 20);
    Check::ok("memory limit", format!("MemoryMax={mib}M in the service is enough"))
}

/// The smallest limit of the process's control groups, from its own up; none without a limit.
fn control_group(
    groups: &str,
    wanted: u64,
    read: impl Fn(&Path) -> Option<String>,
) -> Option<Check> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = PathBuf::from(CGROUPS).join(own);
    let above = own.ancestors().take_while(|place| place.starts_with(CGROUPS));
    let limit = above.filter_map(|place| read(&place.join("memory.max"))?.trim().parse().ok());
    let limit: u64 = limit.min()?;
    let found = format!("memory.max is {}, {} wanted", size(limit), size(wanted));
    Some(if wanted > limit {
        let advice = "raise MemoryMax= of the service, or give a smaller --memory";
        Check::new(State::Fail, "control group", found, advice)
    } else {
        Check::ok("control group", found)
    })
}

/// Judges what proc_pid_limits(5) says.
fn lock(limits: &str, status: &str, memory: u64) -> Check {
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = capabilities.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    if effective.is_some_and(|effective| effective & (1 << IPC_LOCK) != 0) {
        return Check::ok("locked memory", "CAP_IPC_LOCK: no limit");
    }
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    match soft {
        Some("unlimited") => Check::ok("locked memory", "no limit"),
        Some(limit) if limit.parse::<u64>().is_ok_and(|limit| limit >= memory) => {
            Check::ok("locked memory", format!("the limit is {limit} bytes"))
        }
        limit => {
            let limit = limit.unwrap_or("unknown");
            let found = format!("the limit is {limit} bytes, {memory} are to be locked");
            let advice = "LimitMEMLOCK=infinity in the service, ulimit -l, or CAP_IPC_LOCK";
            Check::new(State::Fail, "locked memory", found, advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn memory_must_be_there() {
        const MIB: u64 = 1 << 20;
        let meminfo = "MemTotal:  9999999 kB\nMemAvailable:    1048576 kB\n";
        for (wanted, state) in
            [(100 * MIB, State::Ok), (600 * MIB, State::Warning), (2_000 * MIB, State::Fail)]
        {
            assert_eq!(available(meminfo, wanted).state, state, "{wanted}");
        }
        assert_eq!(available("", 1).state, State::Note);
    }

    #[test]
    fn the_ring_file_must_have_room() {
        let file = Path::new("/does/not/exist/ring");
        for (free, state) in [(None, State::Fail), (Some(99), State::Fail), (Some(100), State::Ok)]
        {
            assert_eq!(ring_file(file, free, 100).state, state, "{free:?}");
        }
    }

    #[test]
    fn l17_a_limit_leaves_room_for_every_ring_there_can_be() {
        const MIB: u64 = 1 << 20;
        for (ring_file, told) in [(false, "MemoryMax=680M"), (true, "MemoryMax=1208M")] {
            let check = enough([256 * MIB, 8 * MIB], 64 * MIB, ring_file);
            assert!(check.found.contains(told), "{}", check.found);
        }
    }

    #[test]
    fn h2_a_directory_that_others_write_to_is_told() {
        for (mode, told) in
            [(0o40_755, false), (0o40_700, false), (0o41_777, true), (0o40_775, true)]
        {
            let check = strangers(Path::new("/dev/shm"), mode);
            assert_eq!(check.is_some(), told, "{mode:o}");
        }
    }

    #[test]
    fn the_smallest_limit_of_the_groups_counts() {
        let read = |path: &Path| match path.to_str()? {
            "/sys/fs/cgroup/system.slice/dashcap.service/memory.max" => Some("max\n".to_owned()),
            "/sys/fs/cgroup/system.slice/memory.max" => Some("1000\n".to_owned()),
            _ => None,
        };
        let own = "0::/system.slice/dashcap.service\n";
        for (groups, wanted, state) in [
            (own, 1_000, Some(State::Ok)),
            (own, 1_001, Some(State::Fail)),
            ("0::/\n", 1, None),
            ("12:memory:/x\n", 1, None),
        ] {
            assert_eq!(control_group(groups, wanted, read).map(|check| check.state), state);
        }
    }

    #[test]
    fn what_is_locked_needs_a_limit_that_allows_it() {
        let limits =
            |soft: &str| format!("Max locked memory         {soft}      8388608    bytes\n");
        for (soft, bits, state) in [
            ("unlimited", 0_u64, State::Ok),
            ("4096", 0, State::Ok),
            ("4095", 0, State::Fail),
            ("4095", 1 << IPC_LOCK, State::Ok),
        ] {
            let status = format!("CapEff:\t{bits:016x}\n");
            assert_eq!(lock(&limits(soft), &status, 4_096).state, state, "{soft}");
        }
        assert_eq!(lock("", "", 1).state, State::Fail);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\PC|\\n){0,200}") {
            let _ = available(&format!("MemAvailable:{text}"), 1);
            let _ = control_group(&format!("0::/{text}"), 1, |_| Some(text.clone()));
            let _ = lock(&format!("Max locked memory{text}"), &format!("CapEff:{text}"), 1);
        }
    }
}
