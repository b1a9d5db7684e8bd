//! Who is at the other end of a UNIX socket, beyond what `SO_PEERCRED` tells: its supplementary groups.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Groups a process can have (`NGROUPS_MAX`, linux/limits.h).
const MOST: usize = 65_536;

/// The supplementary groups the peer had when it connected (`SO_PEERGROUPS`, Linux 4.13, unix(7)).
///
/// # Errors
/// When `socket` is no UNIX socket, or the kernel is older.
pub fn groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 32];
    loop {
        let mut length = size_of_val(&groups[..]) as libc::socklen_t;
        let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERGROUPS);
        let place = groups.as_mut_ptr().cast();
        // SAFETY: `socket` is open while borrowed; `place` is `length` writable bytes of numbers, and
        // `length` one writable number; both outlive the call.
        let done =
            unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, place, &raw mut length) };
        let count = length as usize / size_of::<libc::gid_t>();
        if done == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // Too small: the kernel told how many there are (sk_getsockopt, net/core/sock.c).
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() || count > MOST {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_peer_has_the_groups_the_kernel_tells_in_proc() {
        let (here, _there) = UnixStream::pair().unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let told = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        let told: Vec<u32> = told.split_whitespace().map(|group| group.parse().unwrap()).collect();
        assert_eq!(groups(here.as_fd()).unwrap(), told);
        let no_socket = std::fs::File::open("/dev/null").unwrap();
        assert!(groups(no_socket.as_fd()).is_err());
    }
}
