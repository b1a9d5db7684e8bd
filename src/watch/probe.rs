//! Asks a host whether it is there: ICMP echo (RFC 792, RFC 4443 §4), as the operator's loop does
//! with ping(8). Carrier can be fine while nothing gets through; this witness notices.
//!
//! What it promises:
//!
//! * Each probe is a watcher on a thread of its own, so a dead one never delays another. Requests
//!   leave at regular moments that do not drift, and round trips are measured on the monotonic clock.
//! * Only the answer to our request is an answer: the sequence and a random cookie must match (and
//!   the identifier, where the kernel leaves it to us). What others ask and are answered, damaged
//!   replies and duplicates are passed over.
//! * Every request ends as exactly one [`Fact::ProbeAnswered`] or [`Fact::ProbeLost`]. An answer that
//!   comes after its request was told lost is a [`Fact::ProbeLate`], once, and ends no row of losses.
//! * The name is resolved once, at the start: a resolver that fails with the network would look like
//!   the failure itself, and asking it is traffic that nobody wants in an incident.
//!
//! ```text
//!   ask            answer             ask                give up: lost    late answer: told as such
//!   ─┬───────────────┬────────────────┬───────── timeout ───┬─────────────────┬───► monotonic
//!    └─ round trip ──┘                └─ the next tick at the latest
//! ```

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::{Error, Result};
use crate::time::{Mono, Stamp};
use crate::watch::ticks::Ticks;
use crate::watch::{Desk, Fact, Wake, Watcher};
use crate::wire::icmp::{Echo, Family, behind_ipv4};

mod ledger;

use ledger::{Ledger, Verdict};

/// Longer than any answer to us with the longest IPv4 header; what is longer is none of ours.
const DATAGRAM: usize = 256;
/// Datagrams looked at before a request is given up: enough to find an answer among strays, and never
/// so many that a flood from the probed host keeps us from the next request.
const STRAYS: usize = 256;

/// What can be tuned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Host name or address; `fe80::1%eth0` for a link-local one.
    pub host: String,
    /// Time between two requests.
    pub interval: Duration,
    /// Time after which a request is lost.
    pub timeout: Duration,
}

impl Options {
    /// Probes `host` every second, and gives each request a second, as ping(8) does.
    pub fn new(host: impl Into<String>) -> Self {
        let second = Duration::from_secs(1);
        Self { host: host.into(), interval: second, timeout: second }
    }

    /// Faster than this a probe is a load test; slower than an hour it tells nothing.
    const INTERVAL: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(10)..=Duration::from_secs(3_600);

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no host, the interval is not within 10 ms to 1 h, or the timeout is
    /// zero or longer than the interval: one request is on its way at a time.
    pub fn check(&self) -> Result<()> {
        if self.host.trim().is_empty() {
            let accepted = "a host name or address, such as 192.0.2.1";
            return Err(Error::usage("--probe", &self.host, "no host", accepted));
        }
        if !Self::INTERVAL.contains(&self.interval) {
            let given = format!("{:?}", self.interval);
            let accepted = "a duration from 10ms to 1h, such as 1s";
            return Err(Error::usage("--probe-interval", given, "out of range", accepted));
        }
        if self.timeout.is_zero() || self.timeout > self.interval {
            let given = format!("{:?}", self.timeout);
            let accepted =
                format!("a duration up to the probe interval, which is {:?}", self.interval);
            return Err(Error::usage("--probe-timeout", given, "out of range", accepted));
        }
        Ok(())
    }
}

/// The witness of one host.
#[derive(Debug)]
pub struct Probe {
    options: Options,
    address: SocketAddr,
    /// None while the host cannot be reached at all.
    session: Option<Session>,
    ledger: Ledger,
    /// What the network said since the request: an ICMP error that the kernel passes on.
    complaint: Option<String>,
}

impl Probe {
    /// Resolves the host, which may take as long as the system's resolver does, and makes sure that
    /// this process may ask it.
    ///
    /// # Errors
    /// When an option has no meaning, the name has no address, or the system grants no ICMP socket.
    pub fn open(options: Options) -> Result<Self> {
        options.check()?;
        let address = resolve(&options.host)?;
        Session::open(address).map_err(|reason| {
            Error::operation("open an ICMP socket to probe", &options.host, reason).hint(
                "needs CAP_NET_RAW: run as root, or let this group ping with \
                 sysctl net.ipv4.ping_group_range",
            )
        })?;
        let ledger = Ledger::new(RandomState::new().build_hasher().finish());
        Ok(Self { options, address, session: None, ledger, complaint: None })
    }

    /// The address that is asked.
    pub fn address(&self) -> IpAddr {
        self.address.ip()
    }

    /// Sends the next request; what the system refuses is a loss like any other, with its reason. A
    /// socket that refused is replaced, because its source address may be the reason.
    fn ask(&mut self, desk: &mut Desk) {
        self.complaint = None;
        if let Err(error) = self.try_ask(desk) {
            self.session = None;
            self.give_up(desk, format!("cannot send: {error}"));
        }
    }

    fn try_ask(&mut self, desk: &Desk) -> io::Result<()> {
        // Stale errors of earlier requests would be taken for this one's.
        if let Some(session) = &self.session {
            session.socket.take_error()?;
        }
        let sequence = self.ledger.ask(desk.now().mono);
        let session = match self.session.take() {
            Some(session) => session,
            None => Session::connect(self.address)?,
        };
        let echo =
            Echo { identifier: self.ledger.identifier(), sequence, payload: &self.ledger.cookie() };
        session.socket.send(&Family::from(self.address.ip()).request(&echo))?;
        self.session = Some(session);
        Ok(())
    }

    /// Looks at one datagram; false if there was none.
    fn read(&mut self, desk: &mut Desk) -> bool {
        let Some(session) = &mut self.session else { return false };
        let mut datagram = [0; DATAGRAM];
        let read = session.socket.read(&mut datagram);
        let at = desk.now();
        match read {
            Ok(length) => {
                let family = Family::from(self.address.ip());
                let verdict = session
                    .icmp(family, &datagram[..length])
                    .and_then(|bytes| family.reply(bytes))
                    .and_then(|echo| self.ledger.judge(&echo, session.raw, at.mono));
                if let Some(verdict) = verdict {
                    self.tell(desk, at, verdict);
                }
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => {
                self.complaint = Some(error.to_string());
                true
            }
        }
    }

    fn tell(&self, desk: &mut Desk, at: Stamp, verdict: Verdict) {
        let (probe, address) = (self.options.host.clone(), self.address());
        desk.send_at(
            at,
            match verdict {
                Verdict::Answered(round_trip) => Fact::ProbeAnswered { probe, address, round_trip },
                Verdict::Late(round_trip) => Fact::ProbeLate { probe, address, round_trip },
            },
        );
    }

    /// The time for an answer is over. An answer that is there but was not read yet counts: it is we
    /// who are late.
    fn time_out(&mut self, desk: &mut Desk) {
        for _ in 0..STRAYS {
            if self.ledger.waiting().is_none() || !self.read(desk) {
                break;
            }
        }
        if self.ledger.waiting().is_some() {
            let mut reason = format!("no answer in {} s", self.options.timeout.as_secs_f64());
            if let Some(complaint) = self.complaint.take() {
                reason = format!("{reason}; the network says: {complaint}");
            }
            self.give_up(desk, reason);
        }
    }

    fn give_up(&mut self, desk: &mut Desk, reason: String) {
        let in_a_row = self.ledger.give_up();
        let (probe, address) = (self.options.host.clone(), self.address());
        desk.send(Fact::ProbeLost { probe, address, in_a_row, reason });
    }

    fn wait(&self, desk: &mut Desk, until: Mono) -> Result<Wake> {
        match &self.session {
            Some(session) => desk.wait(&[session.socket.as_fd()], Some(until)),
            None => desk.wait(&[], Some(until)),
        }
    }
}

impl Watcher for Probe {
    const NAME: &'static str = "probe";

    fn run(mut self, desk: &mut Desk) -> Result<()> {
        let mut ticks = Ticks::new(desk.now().mono, self.options.interval);
        loop {
            let deadline = self.ledger.waiting().map(|sent| sent.plus(self.options.timeout));
            let until = deadline.map_or(ticks.due(), |deadline| deadline.min(ticks.due()));
            match self.wait(desk, until)? {
                Wake::Stop => return Ok(()),
                Wake::Ready => {
                    self.read(desk);
                }
                Wake::Due => {
                    self.time_out(desk);
                    let now = desk.now().mono;
                    if ticks.due() <= now {
                        let skipped = ticks.served(now);
                        if skipped > 0 {
                            desk.confess(format!(
                                "{skipped} requests to {}: the host was too busy to ask in time",
                                self.options.host
                            ));
                        }
                        self.ask(desk);
                    }
                }
            }
        }
    }
}

/// The first address of `host` by the system's order of preference (RFC 6724).
fn resolve(host: &str) -> Result<SocketAddr> {
    /// ICMP has no ports; the resolver wants one.
    const NO_PORT: u16 = 0;
    let failed = |reason: String| {
        Error::operation("resolve probe", host, reason)
            .hint("give its address instead, or check the name and the resolver")
    };
    let mut addresses =
        (host.trim(), NO_PORT).to_socket_addrs().map_err(|e| failed(e.to_string()))?;
    addresses.next().ok_or_else(|| failed("the name has no address".to_owned()))
}

/// A socket that is connected to the host, so the kernel hands over what comes from there and nothing
/// else, and passes on what routers complain.
#[derive(Debug)]
struct Session {
    socket: Socket,
    /// A raw socket shows the IPv4 header and leaves the identifier to us (raw(7)); a ping socket
    /// does neither (icmp(7)).
    raw: bool,
}

impl Session {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let session = Self::open(address)?;
        session.socket.connect(&address.into())?;
        Ok(session)
    }

    /// A raw socket; where that is refused, the ping socket that some systems grant to everybody. The
    /// error is that of the raw one, which is what an operator can grant.
    fn open(address: SocketAddr) -> io::Result<Self> {
        Self::of_type(address, Type::RAW)
            .or_else(|refused| Self::of_type(address, Type::DGRAM).map_err(|_| refused))
    }

    fn of_type(address: SocketAddr, kind: Type) -> io::Result<Self> {
        let protocol = if address.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, raw: kind == Type::RAW })
    }

    fn icmp<'a>(&self, family: Family, datagram: &'a [u8]) -> Option<&'a [u8]> {
        if self.raw && family == Family::V4 { behind_ipv4(datagram) } else { Some(datagram) }
    }
}

#[cfg(test)]
mod tests;
