//! What `run` and `exec` have in common: the options, from the command line and a file, as each part's
//! own [`recorder::Options`](crate::recorder::Options).
//!
//! One definition serves both: in the file every option is a key of the same name, with `-` as `_`.
//! What is typed wins over the file, the file over the defaults; lists typed replace lists in the file,
//! and triggers typed replace all of the file's.

mod export;
pub(super) mod file;
pub(super) mod fleet;
mod hooks;
mod options;
mod probes;
mod shown;
mod table;
mod traffic;
mod watchers;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use self::export::{Export, Webhook};
use self::fleet::Fleet;
use self::hooks::Hook;
use self::probes::WrittenProbe;
use self::table::TriggerTable;
use self::traffic::{FilterMatch, RateLimit, Silence};
use self::watchers::{Attribute, Log};
use super::values::{Age, On, Part, Size, TimeSpan};
use crate::capture::SourceChoice;
use crate::error::Result;

/// Every option as typed; none means not typed.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Interface to record; repeat for several [default: physical interfaces, bonds, teams and their
    /// ports that are up, or every interface but loopback where there are none].
    #[arg(short, long, value_name = "IF")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interface: Vec<String>,

    /// Memory for frames, allocated and touched at the start [default: 256MiB].
    #[arg(short, long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Size>,

    /// Lock that memory, so that it is never swapped out.
    #[arg(long)]
    lock_memory: bool,

    /// File that holds that memory, so that what it holds outlives dashcap: after a crash the next start
    /// makes a bundle of it. On tmpfs, such as /run/dashcap/ring [default: none].
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ring_file: Option<PathBuf>,

    /// Time kept from before a trigger, as far as memory reaches [default: 2m, as a slow LACP failure
    /// takes 93 s to show; with exec: 0s before the command].
    #[arg(long, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pre: Option<TimeSpan>,

    /// Time kept from after the last trigger [default: 10s; with exec: 1s].
    #[arg(long, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    post: Option<TimeSpan>,

    /// Longest time after the first trigger, however many follow [default: six times --post].
    #[arg(long, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<TimeSpan>,

    /// After an incident, time during which the same trigger opens no other; doubled, up to 1h, while
    /// it keeps coming back as soon as it may [default: 30s].
    #[arg(long, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cool_down: Option<TimeSpan>,

    /// Record only frames that match, in libpcap's syntax: 'vlan 956 and port 1434' [default: all].
    #[arg(short, long, value_name = "EXPR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,

    /// Longest part of a frame that is kept, 64 to 262144 bytes [default: 262144, whole frames].
    #[arg(short, long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    snaplen: Option<u32>,

    /// Make the interfaces promiscuous: record frames to other hosts, too.
    #[arg(long)]
    promiscuous: bool,

    /// Ask the interfaces for hardware stamps, where they can; the bundle tells the clock.
    #[arg(long)]
    hardware_stamps: bool,

    /// Where frames are read from: packet-ring, pnet (slower, knows less), or auto [default: auto, the
    /// packet ring, or pnet where the kernel refuses it].
    #[arg(long, value_name = "SOURCE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceChoice>,

    /// Memory the kernel keeps per interface until frames are read [default: 64MiB].
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_memory: Option<Size>,

    /// Memory for what passed: a row a second for an hour and a row a minute for a week, in traffic.csv of
    /// each bundle; 0 for none [default: 8MiB, two interfaces; with more, spans are shorter].
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic_memory: Option<Size>,

    /// What to do with frames that are identical byte for byte and come fast: exact (count them) or off
    /// (keep every copy) [default: exact].
    #[arg(long, value_name = "HOW")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fold: Option<Fold>,

    /// Copies of a frame kept within a second before further ones are counted, 8 or more [default: 64].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fold_keep: Option<u32>,

    /// What is made of memory that was filled: zstd (packed, so that it holds more) or off [default: zstd].
    #[arg(long, value_name = "HOW")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pack: Option<Pack>,

    /// What happens to the oldest frames before they are forgotten: headers (cut behind the transport
    /// header, 96 bytes at least; control frames keep all) or off [default: headers].
    #[arg(long, value_name = "HOW")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fade: Option<Fade>,

    /// The newest time that is not cut to headers, as far as half of the memory holds it [default: 30s].
    #[arg(long, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<TimeSpan>,

    /// Part of each interface's memory that only control traffic (LACP, STP, LLDP, ARP, VRRP, OSPF, BGP,
    /// ICMP, ...) can take; what it does not use is lent [default: 12.5%].
    #[arg(long, value_name = "PART")]
    #[serde(skip_serializing_if = "Option::is_none")]
    control_memory: Option<Part>,

    /// Classes of the operator's own, in the file only: `[[class]]` with name, filter and memory.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    class: Vec<WrittenClass>,

    /// What to ask whether it is there: HOST or icmp:HOST (ping), arp:HOST[%IF] (the neighbour itself, for
    /// IPv6 by neighbour discovery), tcp:HOST:PORT, http://HOST:PORT/PATH, dns:SERVER:PORT/NAME (their PORT may be left out); %IF
    /// behind any host asks through that interface. Names are resolved once, at the start. Repeat for
    /// several.
    #[arg(short, long, value_name = "PROBE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    probe: Vec<WrittenProbe>,

    /// Time between two pings [default: 1s].
    #[arg(long, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_interval: Option<TimeSpan>,

    /// Time after which a ping counts as lost [default: 1s].
    #[arg(long, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_timeout: Option<TimeSpan>,

    /// Pings lost in a row that fire probe-lost [default: 3].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_fall: Option<u32>,

    /// Log to watch for lines that tell of a failure: kernel, journal, a path with wildcards, or
    /// udp://ADDR:PORT or tcp://ADDR:PORT to take syslog; off for none. Repeat for several [default:
    /// the kernel's, and the journal's where there is one].
    #[arg(long, value_name = "LOG")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log: Vec<Log>,

    /// Address of a neighbour that must answer; the routers on default routes are watched anyway. Repeat
    /// for several.
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    neighbour: Vec<IpAddr>,

    /// Attributes of the kernel, in the file only: `[[attribute]]` with path and above or below.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attribute: Vec<Attribute>,

    /// Interfaces whose counters of trouble are watched, in the file only.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    counter_interface: Vec<String>,

    /// Growth a second below which a counter is not told, in the file only.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    counter_at_least: Option<f64>,

    /// Frames to wait for, in the file only: `[[filter_match]]` with name and filter.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filter_match: Vec<FilterMatch>,

    /// Rates that are not allowed, in the file only: `[[rate_limit]]` with name and above or below.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rate_limit: Vec<RateLimit>,

    /// Classes that may not be silent, in the file only: `[[silence]]` with class and after.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silence: Vec<Silence>,

    /// What opens an incident: link-down, bond-port, default-route-gone, log, counter, probe-lost, signal
    /// (SIGUSR1), ..., or a finding such as lacp-expired or duplicate-storm, for one interface, probe or
    /// log matcher as KIND:NAME with wildcards; default,KIND adds to the default and default,-KIND takes away
    /// from it. Repeat, or put commas between several [default: what is a failure for anybody, as `dashcap
    /// check` lists it, and what the file says to watch; with exec: the command's failure].
    #[arg(long, value_name = "TRIGGER")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    on: Vec<On>,

    /// Triggers with all they can have, in the file only: `[[trigger]]` with kind and further keys.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trigger: Vec<TriggerTable>,

    /// Time between two rows of timeline.csv for an interface; a change gives a row at once [default: 1s].
    #[arg(long, value_name = "DUR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<TimeSpan>,

    /// Directory in which bundles appear; made if it is missing [default: .].
    #[arg(short, long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<PathBuf>,

    /// Compression of capture.pcapng.zst, 1 (fast) to 22 (small) [default: 1].
    #[arg(long, value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<i32>,

    /// Incidents an hour that nobody asked for, 1 to 10000: beyond that triggers open none until one is an
    /// hour old; a snapshot that is asked for always does [default: 60].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    hourly_count: Option<u64>,

    /// Bytes of such bundles an hour, likewise [default: no limit].
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    hourly_bytes: Option<Size>,

    /// Bundles that may stay: beyond that the oldest of the most frequent trigger is removed, the first of
    /// each kind last, marked ones (`dashcap incidents keep`) never [default: all stay].
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_count: Option<u64>,

    /// Bytes that bundles may take together, likewise; the newest stays in any case [default: no limit].
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_bytes: Option<Size>,

    /// Age beyond which a bundle is removed, such as 30d; not while the clock is not kept right, or was
    /// stepped within a day [default: no limit].
    #[arg(long, value_name = "AGE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_age: Option<Age>,

    /// Bytes of the disk that stay free: with less the oldest bundle is removed, never the newest
    /// [default: no limit].
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_free: Option<Size>,

    /// UNIX socket where `dashcap snapshot`, `status`, `events`, `arm` and `disarm` ask, or off [default:
    /// $RUNTIME_DIRECTORY/control.sock or /run/dashcap/control.sock, if no other dashcap has it; with
    /// exec: off].
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<PathBuf>,

    /// Directory in which a file that appears asks for a snapshot: its content is the reason, and it is
    /// removed. Made if it is missing [default: none].
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_directory: Option<PathBuf>,

    /// Port on loopback, or address and port, for POST /trigger and GET /health, such as 9180; needs
    /// --http-token-file [default: none].
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<String>,

    /// File with the token that POST /trigger wants as `Authorization: Bearer TOKEN`, 16 characters or
    /// more.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    http_token_file: Option<PathBuf>,

    /// User that the recorder becomes once what needs root is open; only CAP_NET_RAW is kept. Root without
    /// it stays root, with that capability only [default: who starts it].
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,

    /// Whether `dashcap run` is confined to the files and system calls it needs (Landlock, seccomp): on or
    /// off [default: on].
    #[arg(long, value_name = "HOW")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<Sandbox>,

    /// Directory of executables that tell of the host: run side by side when a window is frozen, what they
    /// print goes into system/ of the bundle; off for none [default: /etc/dashcap/collect.d if it exists].
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    collect_directory: Option<PathBuf>,

    /// Programs that act when a window is frozen or a bundle written, in the file only: `[[hook]]` with
    /// name and command.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hook: Vec<Hook>,

    /// Port on loopback, or address and port, for GET /metrics, such as 9181; no token is asked for
    /// [default: none].
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<String>,

    /// Serve the live page: alone or on for $RUNTIME_DIRECTORY/web.sock or /run/dashcap/web.sock, the path of
    /// another socket, or a port on loopback such as 9182, where a ticket of `dashcap web` lets in [default: off].
    #[arg(long, value_name = "WHERE", num_args = 0..=1, default_missing_value = "on")]
    #[serde(skip_serializing_if = "Option::is_none")]
    web: Option<String>,

    /// Hosts that are told what is seen, in the file only: `[[export]]` with kind and to.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    export: Vec<Export>,

    /// Web servers that are called for each incident, in the file only: `[[webhook]]` with url.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    webhook: Vec<Webhook>,

    /// The fleet of hosts that freeze the same seconds, and the server where it meets: tls://HOST:PORT/NAME, with
    /// what else `[fleet]` in the file says; off to be in none [default: what the file says].
    #[arg(long, value_name = "WHERE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fleet: Option<Fleet>,

    /// TOML file with any of these options as keys, `-` written as `_`: pre = "90s". Read again on SIGHUP
    /// and when it changes; docs/dashcap.toml has every key.
    #[arg(short, long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
}

/// A class of the operator's own, as the file has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenClass {
    name: String,
    filter: String,
    memory: Part,
}

/// How copies of a frame are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fold {
    Exact,
    Off,
}

/// What is made of sealed memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Pack {
    Zstd,
    Off,
}

/// What happens to the oldest frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fade {
    Headers,
    Off,
}

/// Whether the process is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sandbox {
    On,
    Off,
}

/// What differs between the commands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    pub(super) pre: Duration,
    pub(super) post: Duration,
    /// Whether there is a control socket if nobody says so.
    pub(super) control: bool,
}

/// Instead of a path: no control socket.
const OFF: &str = "off";

impl Settings {
    /// The file, if there is one that can be read again: a pipe cannot.
    pub(super) fn file(&self) -> Option<&Path> {
        self.config.as_deref().filter(|file| file.is_file())
    }

    /// Where bundles appear if a recording is told no more than this `file`.
    pub(super) fn output_of(file: Option<&Path>) -> Result<PathBuf> {
        let settings = file.map(file::read).transpose()?.unwrap_or_default();
        Ok(settings.output.unwrap_or_else(|| PathBuf::from(".")))
    }

    /// The fleet that `file` says.
    pub(super) fn fleet_of(file: Option<&Path>) -> Result<Option<Fleet>> {
        Ok(file.map(file::read).transpose()?.and_then(|settings| settings.fleet))
    }

    /// What is typed here, and for the rest what `file` says.
    fn or(self, file: Self) -> Self {
        fn list<T>(typed: Vec<T>, file: Vec<T>) -> Vec<T> {
            if typed.is_empty() { file } else { typed }
        }
        Self {
            interface: list(self.interface, file.interface),
            memory: self.memory.or(file.memory),
            lock_memory: self.lock_memory || file.lock_memory,
            ring_file: self.ring_file.or(file.ring_file),
            pre: self.pre.or(file.pre),
            post: self.post.or(file.post),
            limit: self.limit.or(file.limit),
            cool_down: self.cool_down.or(file.cool_down),
            filter: self.filter.or(file.filter),
            snaplen: self.snaplen.or(file.snaplen),
            promiscuous: self.promiscuous || file.promiscuous,
            hardware_stamps: self.hardware_stamps || file.hardware_stamps,
            source: self.source.or(file.source),
            kernel_memory: self.kernel_memory.or(file.kernel_memory),
            traffic_memory: self.traffic_memory.or(file.traffic_memory),
            fold: self.fold.or(file.fold),
            fold_keep: self.fold_keep.or(file.fold_keep),
            pack: self.pack.or(file.pack),
            fade: self.fade.or(file.fade),
            full: self.full.or(file.full),
            control_memory: self.control_memory.or(file.control_memory),
            class: list(self.class, file.class),
            probe: list(self.probe, file.probe),
            probe_interval: self.probe_interval.or(file.probe_interval),
            probe_timeout: self.probe_timeout.or(file.probe_timeout),
            probe_fall: self.probe_fall.or(file.probe_fall),
            log: list(self.log, file.log),
            neighbour: list(self.neighbour, file.neighbour),
            attribute: file.attribute,
            counter_interface: file.counter_interface,
            counter_at_least: file.counter_at_least,
            filter_match: file.filter_match,
            rate_limit: file.rate_limit,
            silence: file.silence,
            trigger: if self.on.is_empty() { file.trigger } else { Vec::new() },
            on: list(self.on, file.on),
            interval: self.interval.or(file.interval),
            output: self.output.or(file.output),
            compression: self.compression.or(file.compression),
            hourly_count: self.hourly_count.or(file.hourly_count),
            hourly_bytes: self.hourly_bytes.or(file.hourly_bytes),
            keep_count: self.keep_count.or(file.keep_count),
            keep_bytes: self.keep_bytes.or(file.keep_bytes),
            keep_age: self.keep_age.or(file.keep_age),
            keep_free: self.keep_free.or(file.keep_free),
            control: self.control.or(file.control),
            trigger_directory: self.trigger_directory.or(file.trigger_directory),
            http: self.http.or(file.http),
            http_token_file: self.http_token_file.or(file.http_token_file),
            user: self.user.or(file.user),
            sandbox: self.sandbox.or(file.sandbox),
            collect_directory: self.collect_directory.or(file.collect_directory),
            hook: file.hook,
            metrics: self.metrics.or(file.metrics),
            web: self.web.or(file.web),
            export: file.export,
            webhook: file.webhook,
            fleet: match (self.fleet, file.fleet) {
                (Some(typed), file) => Some(typed.over(file.unwrap_or_default())),
                (None, file) => file,
            },
            config: self.config,
        }
    }
}

#[cfg(test)]
mod tests;
