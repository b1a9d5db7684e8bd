//! Asks a host whether it is there, in one of the ways of [`Options::host`]: ICMP echo as the operator's loop
//! does with ping(8), ARP or neighbour discovery, a TCP connection, an HTTP status, a DNS answer. Carrier can
//! be fine while nothing gets through; this watcher notices.
//!
//! What it promises:
//!
//! * Each probe is a watcher on a thread of its own that never blocks but to wait, so a dead one never
//!   delays another. Requests leave at regular moments that do not drift, and round trips are measured
//!   on the monotonic clock.
//! * Only the answer to our request is an answer; what others ask and are answered, damaged replies and
//!   duplicates are passed over.
//! * Every request ends as exactly one [`Fact::ProbeAnswered`] or [`Fact::ProbeLost`]. An answer that
//!   comes after its request was told lost is a [`Fact::ProbeLate`], once, and ends no row of losses.
//! * A host that answers late is not down, and is not called so: [`ProbeDown::late`].
//! * What that amounts to is told once for each change: [`Fact::ProbeDown`] and [`Fact::ProbeUp`],
//!   [`Fact::ProbeSlow`] and [`Fact::ProbeLossy`] with their ends.
//! * The name is resolved once: a resolver that fails with the network would look like the failure itself, and
//!   asking it is traffic that nobody wants in an incident. Where it cannot be resolved at the start, recording
//!   begins without this probe, which is told, and it is tried again until it can.
//!
//! ```text
//!   ask            answer             ask                give up: lost    late answer: told as such
//!   ─┬───────────────┬────────────────┬───────── timeout ───┬─────────────────┬───► monotonic
//!    └─ round trip ──┘                └─ the next tick at the latest
//! ```

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};

use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::time::{Mono, Stamp};
use crate::watch::ticks::Ticks;
use crate::watch::{Wake, Watcher, WatcherContext};

mod dns;
mod exchange;
mod http;
mod icmp;
mod ledger;
mod neighbor;
mod options;
mod seeker;
mod state;
mod target;
mod tcp;

use crate::observation::probe::{ProbeDown, ProbeLossy, ProbeSlow, ProbeUp};
pub use options::{Loss, MOST, Options, Slow, check_all};

use dns::Query;
use exchange::{Datagrams, Dialect, Exchange, Heard, Way};
use http::Get;
use icmp::Ping;
use ledger::{AnswerVerdict, Ledger};
use neighbor::Neighbor;
use seeker::Seeker;
use state::{Change, State};
use target::Target;
use tcp::Connections;

/// Datagrams looked at before a request is given up: enough to find an answer among strays, and never
/// so many that a flood from the probed host keeps us from the next request.
const STRAYS: usize = 256;

/// The watcher of one host.
#[derive(Debug)]
pub struct Probe {
    options: Options,
    target: Target,
    /// None while its name is not resolved.
    asker: Option<Asker>,
}

impl Probe {
    /// Resolves the host, waiting `seeker::START` for that at most, and makes sure that this process may ask
    /// it. An interface or a source address need not be there yet; until they are, requests are lost with that
    /// reason.
    ///
    /// # Errors
    /// When an option has no meaning, or the system grants no socket.
    pub fn open(options: Options) -> Result<Self> {
        options.check()?;
        let target: Target = options.host.parse()?;
        let asker = match Seeker::new(&target, &options).wait(seeker::START) {
            Ok(address) => Some(Asker::open(&options, &target, address)?),
            Err(error) => {
                tracing::warn!("{error}; recording begins without this probe");
                None
            }
        };
        Ok(Self { options, target, asker })
    }

    /// The address that is asked; none while its name is not resolved.
    pub fn address(&self) -> Option<IpAddr> {
        self.asker.as_ref().map(|asker| asker.address)
    }

    /// Resolves the name, however long that takes; none if the watcher is to stop before.
    fn find(&self, context: &mut WatcherContext) -> Result<Option<Asker>> {
        let host = &self.options.host;
        context.report_missed(format!("{host} is not asked: its name is not resolved yet"));
        loop {
            let mut seeker = Seeker::new(&self.target, &self.options);
            let again = context.now().mono.plus(seeker::AGAIN);
            while context.now().mono < again {
                let look = context.now().mono.plus(seeker::LOOK);
                if context.wait(&[], Some(look.min(again)))? == Wake::Stop {
                    return Ok(None);
                }
                if let Some(Ok(address)) = seeker.found() {
                    tracing::info!("probe {host} is {address}, and asked from now on");
                    return Asker::open(&self.options, &self.target, address).map(Some);
                }
            }
        }
    }
}

impl Watcher for Probe {
    const NAME: &'static str = "probe";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        let asker = match self.asker.take() {
            Some(asker) => Some(asker),
            None => self.find(context)?,
        };
        asker.map_or(Ok(()), |asker| asker.run(context))
    }
}

/// Asks a host whose address is known.
#[derive(Debug)]
struct Asker {
    options: Options,
    address: IpAddr,
    exchange: Box<dyn Exchange>,
    ledger: Ledger,
    state: State,
    /// What the network said since the request: an ICMP error that the kernel passes on.
    complaint: Option<String>,
}

impl Asker {
    fn open(options: &Options, target: &Target, address: IpAddr) -> Result<Self> {
        let way = Way {
            far: SocketAddr::new(address, target.host().1),
            interface: options.through(target),
            source: options.source,
        };
        let exchange = exchange(target, way, options)?;
        let (options, state) = (options.clone(), State::new(options));
        Ok(Self { options, address, exchange, ledger: Ledger::new(), state, complaint: None })
    }

    /// Sends the next request; what the system refuses is a loss like any other, with its reason.
    fn ask(&mut self, context: &mut WatcherContext) {
        self.complaint = None;
        let sequence = self.ledger.ask(context.now().mono);
        if let Err(reason) = self.exchange.ask(sequence) {
            self.give_up(context, reason);
        }
    }

    /// Hears one thing; false if there was none.
    fn hear(&mut self, context: &mut WatcherContext) -> bool {
        let heard = self.exchange.hear();
        let at = context.now();
        match heard {
            Heard::Nothing => return false,
            Heard::Stray => {}
            Heard::Answer(sequence) => {
                if let Some(verdict) = self.ledger.judge(sequence, at.mono) {
                    self.tell(context, at, verdict);
                }
            }
            Heard::Refused(sequence, reason) => {
                // One that was told lost already is as lost as before.
                if self.ledger.is_waiting_for(sequence) {
                    self.give_up(context, reason);
                }
            }
            Heard::Complaint(complaint) => self.complaint = Some(complaint),
        }
        true
    }

    fn tell(&mut self, context: &mut WatcherContext, at: Stamp, verdict: AnswerVerdict) {
        let (probe, address) = (self.options.host.clone(), self.address);
        match verdict {
            AnswerVerdict::Answered(sent, round_trip) => {
                context.send_at(at, Fact::ProbeAnswered { probe, address, round_trip });
                for change in self.state.answer(sent, round_trip) {
                    context.send_at(at, self.fact(at, change));
                }
            }
            AnswerVerdict::Late(sent, round_trip) => {
                self.state.late(sent, round_trip);
                context.send_at(at, Fact::ProbeLate { probe, address, round_trip });
            }
        }
    }

    /// The time for an answer is over. An answer that is there but was not read yet counts: it is we
    /// who are late.
    fn time_out(&mut self, context: &mut WatcherContext) {
        for _ in 0..STRAYS {
            if self.ledger.waiting().is_none() || !self.hear(context) {
                break;
            }
        }
        if self.ledger.waiting().is_some() {
            let mut reason = format!("no answer in {} s", self.options.timeout.as_secs_f64());
            if let Some(complaint) = self.complaint.take() {
                reason = format!("{reason}; the network says: {complaint}");
            }
            self.give_up(context, reason);
        }
    }

    fn give_up(&mut self, context: &mut WatcherContext, reason: String) {
        let Some(sent) = self.ledger.give_up() else { return };
        let at = context.now();
        let changes = self.state.lose(sent, &reason);
        context.send_at(
            at,
            Fact::ProbeLost {
                probe: self.options.host.clone(),
                address: self.address,
                in_a_row: self.state.lost_in_a_row(),
                waited: at.mono.since(sent),
                reason,
            },
        );
        for change in changes {
            context.send_at(at, self.fact(at, change));
        }
    }

    fn fact(&self, at: Stamp, change: Change) -> Fact {
        let (probe, address) = (self.options.host.clone(), self.address);
        match change {
            Change::Down { in_a_row, first, last_answered, late, reason } => {
                let wall = |sent| at.offset().wall(sent);
                Fact::ProbeDown(ProbeDown {
                    probe,
                    address,
                    in_a_row,
                    lasting: at.mono.since(first),
                    first_lost: wall(first),
                    last_answered: last_answered.map(wall),
                    late,
                    reason,
                })
            }
            Change::Up { in_a_row, after } => {
                Fact::ProbeUp(ProbeUp { probe, address, in_a_row, after })
            }
            Change::Slow { limit: Slow { above, in_a_row }, round_trip, over } => {
                Fact::ProbeSlow(ProbeSlow { probe, address, round_trip, above, in_a_row, over })
            }
            Change::Lossy { limit: Loss { percent, .. }, lost, of, over } => {
                Fact::ProbeLossy(ProbeLossy { probe, address, lost, of, percent, over })
            }
        }
    }

    fn wait(&self, context: &mut WatcherContext, until: Mono) -> Result<Wake> {
        match self.exchange.descriptor() {
            Some(descriptor) => context.wait(&[descriptor], Some(until)),
            None => context.wait(&[], Some(until)),
        }
    }
}

impl Asker {
    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        let mut ticks = Ticks::new(context.now().mono, self.options.interval);
        loop {
            let deadline = self.ledger.waiting().map(|sent| sent.plus(self.options.timeout));
            let until = deadline.map_or(ticks.due(), |deadline| deadline.min(ticks.due()));
            match self.wait(context, until)? {
                Wake::Stop => return Ok(()),
                Wake::Ready => {
                    self.hear(context);
                }
                Wake::Due => {
                    self.time_out(context);
                    let now = context.now().mono;
                    if ticks.due() <= now {
                        let skipped = ticks.served(now);
                        if skipped > 0 {
                            context.report_missed(format!(
                                "{skipped} requests to {}: the host was too busy to ask in time",
                                self.options.host
                            ));
                        }
                        self.ask(context);
                    }
                }
            }
        }
    }
}

/// The exchange that a target wants, once the system has shown that it grants the sockets.
fn exchange(target: &Target, way: Way, options: &Options) -> Result<Box<dyn Exchange>> {
    let refused = |reason| {
        let doing = "open a socket to probe";
        let error = Error::operation(doing, &options.host, format!("{}: {reason}", target.kind()));
        match target {
            Target::Icmp(_) => error.hint(
                "needs CAP_NET_RAW: run as root, or let this group ping with \
                 sysctl net.ipv4.ping_group_range",
            ),
            Target::Neighbor(_) => error.hint("needs CAP_NET_RAW: run as root"),
            _ => error,
        }
    };
    // Random, so that no other process on this host or beyond has the same.
    let cookie = RandomState::new().build_hasher().finish();
    Ok(match target {
        Target::Icmp(_) => {
            Ping::socket(way.far).map_err(refused)?;
            Box::new(Datagrams::new(Ping::new(way, cookie)))
        }
        Target::Neighbor(_) => {
            Neighbor::socket(way.far.ip()).map_err(refused)?;
            Box::new(Datagrams::new(Neighbor::new(way)))
        }
        Target::Tcp(..) => Box::new(Connections::new(way, None).map_err(refused)?),
        Target::Http(url) => {
            let get = Get::new(url, options.status.clone());
            Box::new(Connections::new(way, Some(get)).map_err(refused)?)
        }
        Target::Dns(_, _, name) => Box::new(Datagrams::new(Query::new(way, name, cookie))),
    })
}

/// Whether `heard` answers a request, whichever, that a probe of `options` sends to `address`: a datagram
/// as its socket hands it over, or what came of an HTTP answer so far. No neighbour's answer is one here,
/// because it must name an interface that asked. Opens nothing, and bears any bytes.
///
/// # Errors
/// When the host is none of the accepted forms.
pub fn is_answer(options: &Options, address: IpAddr, heard: &[u8]) -> Result<bool> {
    let target: Target = options.host.parse()?;
    let far = SocketAddr::new(address, target.host().1);
    let way = Way { far, interface: options.through(&target), source: options.source };
    let cookie = u64::default();
    let said = match &target {
        Target::Icmp(_) => Ping::new(way, cookie).heard(heard),
        Target::Neighbor(_) => Neighbor::new(way).heard(heard),
        Target::Dns(_, _, name) => Query::new(way, name, cookie).heard(heard),
        // A connection is the answer.
        Target::Tcp(..) => return Ok(true),
        Target::Http(url) => {
            let judged = Get::new(url, options.status.clone()).judge(heard);
            return Ok(matches!(judged, Some(Ok(()))));
        }
    };
    Ok(matches!(said, Heard::Answer(_)))
}

#[cfg(test)]
mod tests;
