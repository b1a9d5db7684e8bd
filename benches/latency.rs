//! Question: how long after a failure is the evidence pinned?
//!
//! Input: `dashcap run` in a network namespace of its own, recording two veth pairs; the far end of one
//! is set down (rtnetlink, RTM_SETLINK) and up again, event after event, each awaited whole with its
//! bundle; then SIGUSR1, a snapshot over the control socket, and a frame that matches a filter, likewise.
//! First while all is idle, then while the other pair receives half a million 64-byte frames a second
//! (see `inject`). 1,000 events each, or `--events N`.
//!
//! Unit: microseconds, median and 99th percentile. *Pinned* is from the moment the watcher heard of it
//! until every lane holds its frames (`pinned_after_ns` of the manifest). *In all* is from just before
//! the kernel is asked, so it has the kernel's own work to bring the link down and to tell of it; and for
//! a frame, the 10 ms after which the kernel hands over a block that is not full.
//!
//! `cargo bench --bench latency`

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashcap::time::{Clock, Mono};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::signal::Signal;

mod inject;
mod lab;
#[path = "inject/numbered.rs"]
mod numbered;
#[path = "lab/quantile.rs"]
mod quantile;

use inject::{Flood, Injector};
use lab::{Outcome, Process};

const EVENTS: usize = 1_000;
/// Between two falls of the link: a log that is flooded tells no longer that it is up again.
const PAUSE: Duration = Duration::from_millis(100);
/// Frames per second while it is busy.
const LOAD: u64 = 500_000;
/// Microseconds, at the median.
const TARGET: f64 = 1_000.0;

fn main() -> Outcome<()> {
    let Some(cores) = lab::enter()? else { return Ok(()) };
    lab::veth("busy")?;
    lab::veth("link")?;
    let mut arguments = std::env::args().skip_while(|argument| argument != "--events").skip(1);
    let events = arguments.next().map_or(Ok(EVENTS), |number| number.parse())?;
    println!(
        "{:<24} {:>7} {:>10} {:>10} {:>10} {:>10}",
        "event", "events", "pinned", "p99", "in all", "p99"
    );
    for (load, name) in [(0, "idle"), (LOAD, "0.5 Mpps")] {
        let bundles = tempfile::tempdir()?;
        let place = tempfile::tempdir()?;
        let socket = place.path().join("control.sock");
        let config = place.path().join("dashcap.toml");
        std::fs::write(&config, Marked::filters())?;
        let options = "--interface busy0 --interface link0 --memory 256MiB --pre 20ms --post 5ms \
             --cool-down 0s --on link-down:link0 --on signal --on filter-match";
        let (socket_path, config) = (socket.display(), config.display());
        let options = format!("{options} --control {socket_path} --config {config}");
        let mut dashcap = Process::dashcap(&options, bundles.path())?;
        let flood = match load {
            0 => None,
            rate => {
                let (index, frame) = (lab::index("busy0")?, numbered::frame(64));
                let injector = Injector::new(index, frame, &numbered::making())?;
                Some(Flood::start(&Arc::new(injector), rate, cores.sending)?)
            }
        };
        let mut far_end = FarEnd::open("link1")?;
        let down = measure(events, &mut dashcap, |dashcap| {
            if far_end.is_down {
                std::thread::sleep(PAUSE);
                far_end.set(true)?;
                dashcap.wait_for("link0: UP")?;
            }
            let asked = now();
            far_end.set(false)?;
            Ok(asked)
        });
        tell(&format!("link down, {name}"), &down?);
        far_end.set(true)?;
        let signal = measure(events, &mut dashcap, |dashcap| {
            let asked = now();
            dashcap.signal(Signal::SIGUSR1)?;
            Ok(asked)
        });
        tell(&format!("SIGUSR1, {name}"), &signal?);
        let mut client = UnixStream::connect(&socket)?;
        let snapshot = measure(events, &mut dashcap, |_| {
            let asked = now();
            client.write_all(b"{\"v\":1,\"command\":\"snapshot\"}\n")?;
            Ok(asked)
        });
        tell(&format!("control socket, {name}"), &snapshot?);
        let mut marked = Marked::open("link1")?;
        let matched = measure(events, &mut dashcap, |_| marked.send());
        tell(&format!("filter match, {name}"), &matched?);
        flood.map(Flood::stop).transpose()?;
        dashcap.finish(Signal::SIGTERM)?;
    }
    Ok(())
}

/// Microseconds until the frames of an event were pinned.
struct Latency {
    /// Since the watcher saw it.
    seen: f64,
    /// Since it was caused.
    asked: f64,
}

/// Lets an event happen again and again; `cause` says when it asked for it.
fn measure(
    events: usize,
    dashcap: &mut Process,
    mut cause: impl FnMut(&mut Process) -> Outcome<Mono>,
) -> Outcome<Vec<Latency>> {
    let mut latencies = Vec::with_capacity(events);
    for _ in 0..events {
        let asked = cause(dashcap)?;
        let bundle = dashcap.bundle()?;
        let manifest = lab::manifest(&bundle)?;
        let number = |value: &serde_json::Value| value.as_u64().ok_or("no number in the manifest");
        let pinned_after = number(&manifest["pinned_after_ns"])?;
        let pinned = number(&manifest["triggers"][0]["mono_ns"])? + pinned_after;
        latencies.push(Latency {
            seen: pinned_after as f64 / 1e3,
            asked: pinned.saturating_sub(asked.0) as f64 / 1e3,
        });
        // Hundreds of bundles would fill the disk.
        std::fs::remove_dir_all(bundle)?;
    }
    Ok(latencies)
}

fn tell(name: &str, latencies: &[Latency]) {
    let seen: Vec<_> = latencies.iter().map(|latency| latency.seen).collect();
    let asked: Vec<_> = latencies.iter().map(|latency| latency.asked).collect();
    println!(
        "{name:<24} {:>7} {:>7.0} us {:>7.0} us {:>7.0} us {:>7.0} us",
        latencies.len(),
        quantile::median(&seen),
        quantile::quantile(&seen, 0.99),
        quantile::median(&asked),
        quantile::quantile(&asked, 0.99)
    );
    lab::figure(&format!("{name}: pinned, median"), quantile::median(&seen), "us", TARGET);
}

/// Frames that filters wait for, one after the other: each filter tells its next match only when none came
/// for a second.
struct Marked {
    sender: Box<dyn pnet::datalink::DataLinkSender>,
    sent: usize,
    last: [Option<Instant>; Marked::FILTERS],
}

impl Marked {
    /// As many as there may be.
    const FILTERS: usize = 16;
    /// After it a filter tells its match again.
    const QUIET: Duration = Duration::from_millis(1_300);
    /// UDP port of the first.
    const PORT: u16 = 40_000;

    fn filters() -> String {
        let filter = |n| {
            let port = Self::PORT + n as u16;
            format!("[[filter_match]]\nname = \"mark{n}\"\nfilter = \"udp port {port}\"\n")
        };
        (0..Self::FILTERS).map(filter).collect()
    }

    fn open(interface: &str) -> Outcome<Self> {
        let interfaces = pnet::datalink::interfaces();
        let interface = interfaces.iter().find(|i| i.name == interface).ok_or("no interface")?;
        match pnet::datalink::channel(interface, pnet::datalink::Config::default())? {
            pnet::datalink::Channel::Ethernet(sender, _) => {
                Ok(Self { sender, sent: 0, last: [None; Self::FILTERS] })
            }
            _ => Err("not Ethernet".into()),
        }
    }

    fn send(&mut self) -> Outcome<Mono> {
        /// Of the destination in UDP over IPv4 over Ethernet.
        const PORT_AT: usize = 36;
        let number = self.sent % Self::FILTERS;
        if let Some(last) = self.last[number] {
            std::thread::sleep(Self::QUIET.saturating_sub(last.elapsed()));
        }
        let mut frame = numbered::frame(64);
        frame[PORT_AT..PORT_AT + 2].copy_from_slice(&(Self::PORT + number as u16).to_be_bytes());
        let asked = now();
        self.sender.send_to(&frame, None).ok_or("no room")??;
        self.last[number] = Some(Instant::now());
        self.sent += 1;
        Ok(asked)
    }
}

fn now() -> Mono {
    Clock::system().now().mono
}

/// The other end of the link, and a hand on it.
struct FarEnd {
    socket: Socket,
    index: u32,
    is_down: bool,
}

impl FarEnd {
    fn open(interface: &str) -> Outcome<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, index: lab::index(interface)?, is_down: false })
    }

    /// Sets it up or down and waits for the kernel's word: `struct nlmsghdr` and `struct ifinfomsg`
    /// (rtnetlink(7)) are all of the message.
    fn set(&mut self, up: bool) -> io::Result<()> {
        const LENGTH: u32 = 32;
        const RTM_SETLINK: u16 = 19;
        const NLM_F_REQUEST_ACK: u16 = 1 | 4;
        const IFF_UP: u32 = 1;
        self.is_down = !up;
        let mut message = [0; LENGTH as usize];
        message[..4].copy_from_slice(&LENGTH.to_ne_bytes());
        message[4..6].copy_from_slice(&RTM_SETLINK.to_ne_bytes());
        message[6..8].copy_from_slice(&NLM_F_REQUEST_ACK.to_ne_bytes());
        message[20..24].copy_from_slice(&self.index.to_ne_bytes());
        message[24..28].copy_from_slice(&u32::from(up).to_ne_bytes());
        message[28..].copy_from_slice(&IFF_UP.to_ne_bytes());
        self.socket.send(&message, 0)?;
        let (answer, _) = self.socket.recv_from_full()?;
        // NLMSG_ERROR carries a negative error number behind its header, 0 for done.
        match answer
            .get(16..20)
            .map(|code| i32::from_ne_bytes([code[0], code[1], code[2], code[3]]))
        {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(-code)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
