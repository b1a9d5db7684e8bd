//! Link-level addresses for packet sockets of the datagram type (packet(7)): the kernel puts the link
//! header before what is sent and takes it off what is received, whatever the kind of link.

use socket2::{SockAddr, SockAddrStorage};

/// Bytes of a hardware address, of Ethernet and everything like it.
pub const HARDWARE: usize = 6;

/// `protocol` (`ETH_P_*`, linux/if_ether.h) on the interface with this index, to `hardware`; to bind, the
/// hardware address does not matter.
pub fn link_address(index: u32, protocol: u16, hardware: [u8; HARDWARE]) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is plain numbers, any bit pattern is valid, and it is smaller than the
    // storage.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET.cast_unsigned() as libc::sa_family_t;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index.cast_signed();
    address.sll_halen = HARDWARE as u8;
    address.sll_addr[..HARDWARE].copy_from_slice(&hardware);
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the first `length` bytes of the storage are an initialised sockaddr_ll.
    unsafe { SockAddr::new(storage, length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_family_and_protocol() {
        let address = link_address(7, 0x0806, [2, 0, 0, 0, 0, 9]);
        assert_eq!(i32::from(address.family()), libc::AF_PACKET);
        assert_eq!(address.len() as usize, size_of::<libc::sockaddr_ll>());
        assert!(address.as_socket().is_none());
    }
}
