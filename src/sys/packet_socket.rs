//! An AF_PACKET socket (packet(7)) and its options, each a safe call that owns what it passes.
//!
//! It promises that nothing is captured before [`PacketSocket::bind`]: the socket is made with protocol
//! 0, so the kernel calls it for no frame at all, and every option and filter is in place before the
//! first frame can come. It never reads frames itself; [`super::packet_ring`] does.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, SockFilter, Socket, Type};

use super::wakeup::Wakeup;

/// Most instructions of a classic BPF program (`BPF_MAXINSNS`, linux/bpf_common.h).
pub(crate) const MAX_INSTRUCTIONS: usize = 4096;

/// One instruction of a classic BPF program (`struct sock_filter`, linux/filter.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// Operation.
    pub(crate) code: u16,
    /// Instructions to skip when true.
    pub(crate) jump_true: u8,
    /// Instructions to skip when false.
    pub(crate) jump_false: u8,
    /// Operand.
    pub(crate) k: u32,
}

/// `ret #k` (`BPF_RET | BPF_K`, linux/bpf_common.h): how many bytes of the frame to keep, 0 = none.
pub(crate) const RETURN: u16 = 0x06;

impl Instruction {
    /// Keeps the first `bytes` of a frame; none refuses it.
    pub(crate) fn keep(bytes: u32) -> Self {
        Self { code: RETURN, jump_true: 0, jump_false: 0, k: bytes }
    }
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Frames, the wake-up or the end of the time: look again.
    Look,
    /// The interface went down or away (ENETDOWN); told once by the kernel.
    Down,
}

/// `struct ifreq` with `ifr_data`, as SIOCSHWTSTAMP takes it (netdevice(7)). The kernel reads and
/// writes 40 bytes on 64-bit machines, whatever the request.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    data: *mut libc::hwtstamp_config,
    rest: [u64; 2],
}

/// The socket; closed when dropped.
#[derive(Debug)]
pub(crate) struct PacketSocket(Socket);

impl PacketSocket {
    /// A raw socket that captures nothing yet.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW, EAFNOSUPPORT where the kernel has no packet sockets.
    pub(crate) fn new() -> io::Result<Self> {
        let nothing_yet = Some(Protocol::from(0));
        Socket::new(Domain::PACKET, Type::RAW.cloexec(), nothing_yet).map(Self)
    }

    /// A second hand on the same socket.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Starts to capture every protocol on the interface with this index. On an interface that is down
    /// it succeeds, and [`PacketSocket::wait`] tells that it is down.
    ///
    /// # Errors
    /// ENODEV when there is no such interface.
    pub(crate) fn bind(&self, index: u32) -> io::Result<()> {
        let mut storage = SockAddrStorage::zeroed();
        // SAFETY: sockaddr_ll is plain numbers, any bit pattern is valid, and it is smaller than the
        // storage.
        let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
        address.sll_family = libc::AF_PACKET.cast_unsigned() as libc::sa_family_t;
        address.sll_protocol = (libc::ETH_P_ALL.cast_unsigned() as u16).to_be();
        address.sll_ifindex = index.cast_signed();
        let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the first `len` bytes of the storage are an initialised sockaddr_ll.
        let address = unsafe { SockAddr::new(storage, len) };
        self.0.bind(&address)
    }

    /// Selects TPACKET_V3 and lets the kernel allocate the ring.
    ///
    /// # Errors
    /// EINVAL for sizes the kernel refuses, ENOMEM, ENOPROTOOPT where there is no packet ring.
    pub(crate) fn ring(&self, request: &libc::tpacket_req3) -> io::Result<()> {
        let version = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
        self.set(libc::PACKET_VERSION, &version)?;
        self.set(libc::PACKET_RX_RING, request)
    }

    /// Replaces the filter; frames it refuses are not counted by the kernel.
    ///
    /// # Errors
    /// EINVAL for an unsound program, ENOMEM above `net.core.optmem_max`.
    pub(crate) fn filter(&self, program: &[Instruction]) -> io::Result<()> {
        if program.is_empty() || program.len() > MAX_INSTRUCTIONS {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let program: Vec<SockFilter> = program
            .iter()
            .map(|i| SockFilter::new(i.code, i.jump_true, i.jump_false, i.k))
            .collect();
        self.0.attach_filter(&program)
    }

    /// Makes the interface take frames addressed to others, until this socket closes.
    ///
    /// # Errors
    /// ENODEV when there is no such interface.
    pub(crate) fn promiscuous(&self, index: u32) -> io::Result<()> {
        let membership = libc::packet_mreq {
            mr_ifindex: index.cast_signed(),
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::PACKET_ADD_MEMBERSHIP, &membership)
    }

    /// Leaves out frames that this host sends.
    ///
    /// # Errors
    /// ENOPROTOOPT before Linux 4.20.
    pub(crate) fn ignore_outgoing(&self) -> io::Result<()> {
        self.set(libc::PACKET_IGNORE_OUTGOING, &1_i32)
    }

    /// Asks for stamps by the interface's clock, where a frame has one.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub(crate) fn hardware_stamps(&self) -> io::Result<()> {
        self.set(libc::PACKET_TIMESTAMP, &libc::SOF_TIMESTAMPING_RAW_HARDWARE)
    }

    /// Makes the interface stamp every frame it receives, and leaves its transmit stamps as they are:
    /// a PTP daemon may depend on them (Documentation/networking/timestamping.rst).
    ///
    /// # Errors
    /// EOPNOTSUPP without such hardware, EPERM without CAP_NET_ADMIN, ERANGE when the driver stamps
    /// only some frames.
    pub(crate) fn stamp_all(&self, interface: &str) -> io::Result<()> {
        const ALL: libc::c_int = libc::HWTSTAMP_FILTER_ALL.cast_signed();
        let mut config = libc::hwtstamp_config { flags: 0, tx_type: 0, rx_filter: 0 };
        // A driver that cannot tell its state may still accept one.
        let told = self.timestamp_request(libc::SIOCGHWTSTAMP, interface, &mut config);
        if told.is_ok() && config.rx_filter == ALL {
            return Ok(());
        }
        config.rx_filter = ALL;
        self.timestamp_request(libc::SIOCSHWTSTAMP, interface, &mut config)?;
        if config.rx_filter == ALL {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(libc::ERANGE))
    }

    fn timestamp_request(
        &self,
        request: libc::c_ulong,
        interface: &str,
        config: &mut libc::hwtstamp_config,
    ) -> io::Result<()> {
        let mut name = [0; libc::IFNAMSIZ];
        let bytes = interface.as_bytes();
        if bytes.len() >= name.len() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        name[..bytes.len()].copy_from_slice(bytes);
        let mut call = InterfaceRequest { name, data: config, rest: [0; 2] };
        // SAFETY: `call` has the layout and at least the size of struct ifreq, its name ends with a
        // zero byte, and `data` points to a hwtstamp_config that outlives the call and that nobody
        // else uses meanwhile.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), request as _, &raw mut call) })
    }

    /// Frames had, frames dropped and times the ring was full since the last call, which the kernel
    /// forgets by telling (`PACKET_STATISTICS`, packet(7)).
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub(crate) fn statistics(&self) -> io::Result<libc::tpacket_stats_v3> {
        let mut told = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let mut len = size_of::<libc::tpacket_stats_v3>() as libc::socklen_t;
        // SAFETY: `told` and `len` outlive the call, and `len` is the size of `told`.
        check(unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut told).cast(),
                &raw mut len,
            )
        })?;
        Ok(told)
    }

    /// Sleeps until the socket or the wake-up is readable or `timeout` has passed.
    ///
    /// A socket in error makes poll(2) return at once for ever, so the error is taken out of it here.
    ///
    /// # Errors
    /// When the socket is broken for another reason than an interface that is down.
    pub(crate) fn wait(&self, timeout: Duration, wakeup: &Wakeup) -> io::Result<Woken> {
        let entry = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut fds = [entry(self.0.as_raw_fd()), entry(wakeup.as_fd().as_raw_fd())];
        // Rounded up: rounding down would poll without sleeping in the last millisecond.
        let millis = timeout.as_nanos().div_ceil(1_000_000);
        let millis = i32::try_from(millis).unwrap_or(i32::MAX);
        let count = fds.len() as libc::nfds_t;
        // SAFETY: `fds` outlives the call and has `count` entries, whose descriptors are open.
        if let Err(error) = check(unsafe { libc::poll(fds.as_mut_ptr(), count, millis) }) {
            return if error.kind() == io::ErrorKind::Interrupted {
                Ok(Woken::Look)
            } else {
                Err(error)
            };
        }
        if fds[0].revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) == 0 {
            return Ok(Woken::Look);
        }
        match self.0.take_error()? {
            Some(error) if error.raw_os_error() == Some(libc::ENETDOWN) => Ok(Woken::Down),
            Some(error) => Err(error),
            None => Err(io::Error::other("the socket is in error and does not say which")),
        }
    }

    fn set<T>(&self, option: libc::c_int, value: &T) -> io::Result<()> {
        let len = size_of::<T>() as libc::socklen_t;
        let pointer = (&raw const *value).cast();
        // SAFETY: `value` is `len` readable bytes that outlive the call; the kernel copies them and
        // checks that the length fits the option.
        check(unsafe {
            libc::setsockopt(self.0.as_raw_fd(), libc::SOL_PACKET, option, pointer, len)
        })
    }

    /// Gives the descriptor away, to somebody who will close it.
    pub(crate) fn into_raw_fd(self) -> i32 {
        std::os::fd::IntoRawFd::into_raw_fd(self.0)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
