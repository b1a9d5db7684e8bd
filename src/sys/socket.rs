//! Socket options that no safe crate offers.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Asks for a receive buffer of `bytes`: past `net.core.rmem_max` where the process may
/// (`SO_RCVBUFFORCE`, CAP_NET_ADMIN, socket(7)), else as much of it as the limit allows.
///
/// # Errors
/// When `socket` is none.
pub fn receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    set(socket, libc::SO_RCVBUFFORCE, bytes).or_else(|_| set(socket, libc::SO_RCVBUF, bytes))
}

fn set(socket: BorrowedFd<'_>, option: libc::c_int, bytes: usize) -> io::Result<()> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let length = size_of_val(&value) as libc::socklen_t;
    let value = (&raw const value).cast();
    // SAFETY: `socket` is open while borrowed; `value` points to `length` readable bytes, an int, as
    // both options want it, and outlives the call.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_kernel_doubles_what_it_grants() {
        const ASKED: usize = 65_536;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        receive_buffer(socket.as_fd(), ASKED).unwrap();
        let granted = socket2::SockRef::from(&socket).recv_buffer_size().unwrap();
        assert_eq!(granted, 2 * ASKED, "socket(7): doubled to leave room for bookkeeping");
    }
}
