//! Datagrams that a socket had no room for: `SO_MEMINFO` (include/linux/sock_diag.h, since Linux 4.12).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `SK_MEMINFO_VARS` words, the last of which is `SK_MEMINFO_DROPS`.
const WORDS: usize = 9;

/// How many datagrams `socket` dropped since it was made; wraps at 2^32.
///
/// # Errors
/// When `socket` is none, or the kernel is older.
pub(crate) fn dropped(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut words = [0_u32; WORDS];
    let mut length = size_of_val(&words) as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_MEMINFO);
    let room = words.as_mut_ptr().cast();
    // SAFETY: `socket` is open while borrowed; `room` points to `length` writable bytes, which outlive
    // the call, and the kernel writes no more than `length` says.
    match unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, room, &raw mut length) } {
        0 => Ok(words[WORDS - 1]),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_finds_no_room_is_counted() {
        let full = UdpSocket::bind("127.0.0.1:0").unwrap();
        crate::sys::socket::receive_buffer(full.as_fd(), 4_096).unwrap();
        assert_eq!(dropped(full.as_fd()).unwrap(), 0);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1_000], full.local_addr().unwrap()).unwrap();
        }
        assert!(dropped(full.as_fd()).unwrap() > 0);
    }
}
