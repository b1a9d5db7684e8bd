//! Socket options that no safe crate offers.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};

/// Asks for a receive buffer of `bytes`: past `net.core.rmem_max` where the process may
/// (`SO_RCVBUFFORCE`, CAP_NET_ADMIN, socket(7)), else as much of it as the limit allows.
///
/// # Errors
/// When `socket` is none.
pub fn receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let forced = set_socket_recv_buffer_size_force(socket, bytes);
    Ok(forced.or_else(|_| set_socket_recv_buffer_size(socket, bytes))?)
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
