//! Which system calls are left: a seccomp filter (seccomp(2)) that refuses, with EPERM, those that no part
//! of dashcap needs and that attacks on kernels and neighbours are made of.
//!
//! It lists what is forbidden, not what is allowed. A list of everything that is needed would have to know
//! two C libraries, `ip`, `ethtool` and `journalctl` in every version, on every kernel: what it forgets ends
//! a recording at an upgrade, perhaps in the middle of an incident. What is listed here fails at an
//! attacker's hands only.
//!
//! `execve` is not listed where frames are recorded: the host is asked by programs. Which ones, Landlock says.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter, sock_filter,
};

/// Everywhere.
const FORBIDDEN: &[libc::c_long] = &[
    // Other processes' memory and descriptors.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // What is mounted, and where the root is.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // Namespaces: what a kernel bug is reached through without privileges. See also `NAMESPACES`.
    libc::SYS_setns,
    libc::SYS_unshare,
    // Another kernel, or more of this one.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Large interfaces with a history of holes.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    // Other processes, by descriptor; another personality; memory that others see.
    libc::SYS_pidfd_open,
    libc::SYS_personality,
    libc::SYS_vmsplice,
    libc::SYS_shmget,
    libc::SYS_shmat,
    // Files by number, past all permissions; programs without a file, past Landlock.
    libc::SYS_open_by_handle_at,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_execveat,
    libc::SYS_mknodat,
    // The machine's own affairs.
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
];

#[cfg(target_arch = "x86_64")]
const FORBIDDEN_HERE: &[libc::c_long] = &[
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_mknod,
];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_HERE: &[libc::c_long] = &[];

/// Calls of the x32 ABI have this bit, and reach the same kernel past every filter that knows the numbers of
/// x86-64 (arch/x86/entry/syscalls/syscall_64.tbl). Nothing here uses them.
const X32: u32 = 0x4000_0000;
/// The newest call that was thought about: mseal(2), Linux 6.10. Newer ones are answered as a kernel without
/// them would, which every C library is ready for.
const NEWEST: u32 = 462;

/// Flags of clone(2), its first argument, that make namespaces (linux/sched.h).
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];
/// Which sockets a process may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sockets {
    /// Those of a recording.
    Recording,
    /// Those that ask the name service; and no programs are run.
    Names,
    /// None at all; and no programs are run.
    None,
}

impl Sockets {
    /// Families that are used, socket(2)'s first argument: captures, links and routes, the control socket,
    /// probes and exports, and interfaces by name (netdevice(7)). All others are refused.
    fn families(self) -> &'static [libc::c_int] {
        match self {
            Self::Recording => {
                &[libc::AF_PACKET, libc::AF_NETLINK, libc::AF_UNIX, libc::AF_INET, libc::AF_INET6]
            }
            // Which addresses there are is asked by netlink (getaddrinfo(3)).
            Self::Names => &[libc::AF_NETLINK, libc::AF_UNIX, libc::AF_INET, libc::AF_INET6],
            Self::None => &[],
        }
    }
}
/// Requests of ioctl(2), its second argument, that type on somebody's terminal (ioctl_tty(2)).
const TYPING: [u64; 2] = [0x5412, 0x541C]; // TIOCSTI, TIOCLINUX

/// Filters the calling thread, and all that it makes.
///
/// # Errors
/// When this machine has no such filter, in words.
pub(super) fn confine(sockets: Sockets) -> Result<Option<String>, String> {
    for filter in [Ok(refused_numbers()), refused_flags(), refused_calls(sockets)] {
        let program = filter.map_err(|error| error.to_string())?;
        apply_filter(&program).map_err(|error| error.to_string())?;
    }
    Ok(None)
}

type Filter = Result<BpfProgram, seccompiler::BackendError>;
type Rules = BTreeMap<libc::c_long, Vec<SeccompRule>>;

/// What is refused whatever its arguments, or for one of them.
fn refused_calls(sockets: Sockets) -> Filter {
    let mut rules: Rules =
        FORBIDDEN.iter().chain(FORBIDDEN_HERE).map(|call| (*call, Vec::new())).collect();
    let namespaces = NAMESPACES.iter().map(|flag| {
        let flag = u64::from(flag.cast_unsigned());
        argument(0, SeccompCmpOp::MaskedEq(flag), flag)
    });
    rules.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
    let families = sockets.families().iter().map(|family| {
        let family = u64::from(family.cast_unsigned());
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family)
    });
    let others = families.collect::<Result<Vec<_>, _>>()?;
    // Without a condition it is refused whatever its arguments.
    let others = if others.is_empty() { Vec::new() } else { vec![SeccompRule::new(others)?] };
    rules.insert(libc::SYS_socket, others);
    if sockets != Sockets::Recording {
        rules.insert(libc::SYS_execve, Vec::new());
    }
    let typing = TYPING.iter().map(|request| argument(1, SeccompCmpOp::Eq, *request));
    rules.insert(libc::SYS_ioctl, typing.collect::<Result<_, _>>()?);
    compile(rules, libc::EPERM)
}

/// What no list can name: calls of another ABI end the process, calls newer than this program do not exist.
fn refused_numbers() -> BpfProgram {
    /// Instructions (linux/filter.h): load a word, jump if greater or equal, jump if greater, return.
    const LOAD: u16 = 0x20;
    const AT_LEAST: u16 = 0x35;
    const ABOVE: u16 = 0x25;
    const RETURN: u16 = 0x06;
    /// Where the number is (struct seccomp_data, linux/seccomp.h).
    const NUMBER: u32 = 0;
    /// Answers (linux/seccomp.h).
    const KILL: u32 = 0x8000_0000;
    const ERRNO: u32 = 0x0005_0000;
    const ALLOW: u32 = 0x7fff_0000;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD, 0, 0, NUMBER),
        step(AT_LEAST, 2, 0, X32),
        step(ABOVE, 2, 0, NEWEST),
        step(RETURN, 0, 0, ALLOW),
        step(RETURN, 0, 0, KILL),
        step(RETURN, 0, 0, ERRNO | libc::ENOSYS.cast_unsigned()),
    ]
}

/// clone3(2) has its flags where no filter sees them. Told that there is no such call, C libraries use
/// clone(2), as they do in containers and on old kernels.
fn refused_flags() -> Filter {
    compile(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

/// The kernel compares 32 bits of either.
fn argument(
    index: u8,
    is: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(index, SeccompCmpArgLen::Dword, is, value)?])
}

fn compile(rules: Rules, answer: libc::c_int) -> Filter {
    let refuse = SeccompAction::Errno(answer.cast_unsigned());
    let here = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, here)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::packet_socket::MAX_INSTRUCTIONS;

    #[test]
    fn the_filters_fit_the_kernel() {
        let calls = [Sockets::Recording, Sockets::Names, Sockets::None].map(refused_calls);
        for filter in calls.into_iter().chain([refused_flags(), Ok(refused_numbers())]) {
            let length = filter.unwrap().len();
            assert!((4..MAX_INSTRUCTIONS).contains(&length), "{length} instructions");
        }
    }

    /// What a program of loads, jumps and returns answers to a call of this number.
    fn answer(program: &[sock_filter], number: u32) -> u32 {
        let mut at = 0;
        loop {
            let step = &program[at];
            let jumps = match step.code {
                0x20 => None,
                0x35 => Some(number >= step.k),
                0x25 => Some(number > step.k),
                0x06 => return step.k,
                code => panic!("instruction {code:#x}"),
            };
            at += 1 + jumps.map_or(0, |yes| usize::from(if yes { step.jt } else { step.jf }));
        }
    }

    /// Security review L1 and L2: calls of x32, and calls newer than the list.
    #[test]
    fn calls_by_other_numbers_and_unknown_ones_do_not_pass() {
        let enosys = 0x0005_0000 | libc::ENOSYS.cast_unsigned();
        let clone = u32::try_from(libc::SYS_clone).unwrap();
        for (number, expected) in [
            (0, 0x7fff_0000),
            (clone, 0x7fff_0000),
            (NEWEST, 0x7fff_0000),
            (NEWEST + 1, enosys),
            (X32 - 1, enosys),
            (X32 | clone, 0x8000_0000),
            (X32 | 521, 0x8000_0000),
            (u32::MAX, 0x8000_0000),
        ] {
            assert_eq!(answer(&refused_numbers(), number), expected, "call {number:#x}");
        }
    }

    #[test]
    fn no_call_is_named_twice() {
        let mut all: Vec<_> = FORBIDDEN.iter().chain(FORBIDDEN_HERE).collect();
        let named = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), named);
    }
}
