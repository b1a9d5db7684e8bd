//! What an interface's driver was told to do with frames: ioctl(2) SIOCETHTOOL (linux/ethtool.h), only
//! the commands that read.

use std::ffi::{c_char, c_int};
use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

/// Longest interface name and its zero byte (`IFNAMSIZ`, linux/if.h).
const NAME: usize = 16;
/// `ETHTOOL_GRINGPARAM`.
const RINGS: u32 = 0x10;
/// `ETHTOOL_GTSO`.
const TSO: u32 = 0x1e;
/// `ETHTOOL_GGSO`.
const GSO: u32 = 0x23;
/// `ETHTOOL_GFLAGS`.
const FLAGS: u32 = 0x25;
/// `ETHTOOL_GGRO`.
const GRO: u32 = 0x2b;
/// `ETH_FLAG_LRO` of `ETHTOOL_GFLAGS`.
const FLAG_LRO: u32 = 1 << 15;
/// `ETH_FLAG_RXVLAN`, likewise.
const FLAG_RX_VLAN: u32 = 1 << 8;

/// `struct ethtool_value`, and room for what else is asked.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct EthtoolAnswer {
    command: u32,
    /// Of `struct ethtool_ringparam`: most received, mini, jumbo, sent, then the same as they are. A
    /// value has only the first.
    values: [u32; 8],
}

/// `struct ifreq` with `ifr_data` (linux/if.h).
#[repr(C)]
struct Request {
    name: [c_char; NAME],
    data: *mut EthtoolAnswer,
    rest: [u64; 2],
}

/// What is done to frames between the wire and a reader; none where the driver does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offloads {
    /// Frames received are joined, so that they can be taken apart again.
    pub gro: Option<bool>,
    /// Frames received are joined by the device, for good.
    pub lro: Option<bool>,
    /// The device takes VLAN tags off.
    pub rx_vlan: Option<bool>,
    /// The device cuts long TCP segments when they are sent.
    pub tso: Option<bool>,
    /// The kernel does, for whatever protocol.
    pub gso: Option<bool>,
    /// Frames the device's receive ring holds, and the most it could; none where there is no such ring.
    pub receive_ring: Option<(u32, u32)>,
}

/// Asks about the interface called `name`.
///
/// # Errors
/// ENODEV where there is none in this network namespace.
pub fn offloads(name: &str) -> io::Result<Offloads> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM.cloexec(), None)?;
    let value = |command| match ask(&socket, name, command) {
        Ok(answer) => Ok(Some(answer.values[0])),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    };
    let is_on = |command| value(command).map(|told| told.map(|value| value != 0));
    let flags = value(FLAGS)?;
    let flag = |flag| flags.map(|flags| flags & flag != 0);
    let rings = ask(&socket, name, RINGS).ok().map(|rings| (rings.values[4], rings.values[0]));
    Ok(Offloads {
        gro: is_on(GRO)?,
        lro: flag(FLAG_LRO),
        rx_vlan: flag(FLAG_RX_VLAN),
        tso: is_on(TSO)?,
        gso: is_on(GSO)?,
        receive_ring: rings.filter(|(_, most)| *most > 0),
    })
}

fn ask(socket: &Socket, name: &str, command: u32) -> io::Result<EthtoolAnswer> {
    let mut request = Request { name: [0; NAME], data: std::ptr::null_mut(), rest: [0; 2] };
    if name.len() >= NAME {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (place, byte) in request.name.iter_mut().zip(name.bytes()) {
        *place = byte.cast_signed() as c_char;
    }
    let mut answer = EthtoolAnswer { command, ..EthtoolAnswer::default() };
    request.data = &raw mut answer;
    let place = &raw mut request;
    // SAFETY: the socket is open; the request is one ifreq in size and layout, its name ends with a zero
    // byte, and its data points to room for the largest structure that the commands above fill (36
    // bytes, ethtool_ringparam); both outlive the call.
    let done: c_int = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, place) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_tells_and_what_is_not_there_does_not() {
        let told = offloads("lo").unwrap();
        assert!(told.gro.is_some() && told.tso.is_some(), "{told:?}");
        assert_eq!(told.receive_ring, None);
        for name in ["no-such-if", "a-name-that-is-too-long"] {
            assert_eq!(offloads(name).unwrap_err().raw_os_error(), Some(libc::ENODEV));
        }
    }
}
