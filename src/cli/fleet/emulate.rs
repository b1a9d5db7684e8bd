//! `dashcap fleet emulate`: sizes a server.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::place::Place;
use crate::APPLICATION;
use crate::cli::control::print;
use crate::error::{Error, Result};
use crate::finding::Severity;
use crate::fleet::Options;
use crate::fleet::answer::{AnswerFields, ClockReading, HostAnswer, State};
use crate::fleet::bus::{Bus, BusAccount};
use crate::fleet::exchange::{Announcement, HeardNotice, Keeper};
use crate::fleet::inquiry::{Inquiry, Told};
use crate::fleet::notice::{Mode, Notice, NoticeFields, Want};
use crate::fleet::status::Presence;
use crate::fleet::subject::Addressee;
use crate::time::{Clock, Mono};
use crate::trigger::TriggerKind;
use crate::words;

/// Run many members of the fleet in this process, and measure how one notice reaches all of them.
///
/// Each is the task of a real recorder with a connection of its own; what they hear they keep at once, without frames.
/// One of them announces a failure to the group `emulated`, again and again. The server must let `--as NAME` speak as
/// any of them (a server without permissions does), with open files for all connections on both sides.
#[derive(Debug, Args)]
pub(super) struct Emulate {
    /// Members, up to 20000.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    members: usize,

    /// Notices that are measured, one after the other.
    #[arg(long, value_name = "N", default_value_t = 20)]
    notices: usize,
}

/// Members that one process can have: each is a connection, and a loopback address has 28,000 ports.
const MOST: usize = 20_000;
/// The group that all belong to.
const GROUP: &str = "emulated";
/// All must be connected within this.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A recorder that keeps everything at once.
#[derive(Debug, Clone)]
struct EmulatedKeeper {
    clock: Clock,
    host: String,
    /// How long ago what was heard had happened, of all members.
    heard: Arc<Mutex<Vec<Duration>>>,
    event: Arc<Mutex<Mono>>,
}

impl EmulatedKeeper {
    fn reading(&self) -> ClockReading {
        let now = self.clock.now();
        let source = "unknown".to_owned();
        ClockReading { wall: now.wall, mono_ns: now.mono.0, source, max_ns: None, stepped: false }
    }
}

impl Keeper for EmulatedKeeper {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn hear(&self, heard: HeardNotice) -> Result<(), String> {
        let event = *self.event.lock().unwrap_or_else(PoisonError::into_inner);
        let after = self.clock.now().mono.since(event);
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(after);
        let notice = &heard.notice;
        let fields = AnswerFields {
            id: notice.id.clone(),
            host: self.host.clone(),
            boot: "emulated".to_owned(),
            state: State::Pinned,
            why: None,
            incident: Some(format!("{}_fleet_{}", notice.at.file_name(), notice.from)),
            from: Some(notice.at.minus(notice.pre)),
            to: Some(notice.at.plus(notice.post)),
            held_from: Some(notice.at.minus(notice.pre)),
            full: true,
            missing: Vec::new(),
            frames: None,
            bytes: None,
            arrived_after: notice.age,
            pinned_after: Some(Duration::ZERO),
            clock: self.reading(),
            onset: None,
        };
        let answer = HostAnswer::new(fields).map_err(|error| error.to_string())?;
        heard.answers.try_send(answer).map_err(|error| error.to_string())
    }

    async fn presence(&self) -> Option<Presence> {
        Some(Presence {
            host: self.host.clone(),
            boot: "emulated".to_owned(),
            program: APPLICATION.to_owned(),
            groups: vec![GROUP.to_owned()],
            armed: true,
            depth_seconds: None,
            interfaces: 0,
            bundles: 0,
            clock: self.reading(),
        })
    }

    fn identities(&self) -> Vec<String> {
        Vec::new()
    }

    fn tell(&self, _: &Inquiry) -> Told {
        Told::Incidents { bundles: Vec::new() }
    }
}

/// What was measured of one notice.
struct Round {
    /// How long until each member had it, the quickest first.
    after: Vec<Duration>,
    /// Bytes that went over all connections, answers included.
    bytes: u64,
}

impl Emulate {
    pub(super) fn start(self, place: &Place) -> Result<ExitCode> {
        if !(2..=MOST).contains(&self.members) {
            let given = self.members.to_string();
            let reason = "somebody tells somebody else";
            return Err(Error::usage("--members", given, reason, format!("2 to {MOST}")));
        }
        let options = Options { groups: vec![GROUP.to_owned()], ..place.options()? };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::operation("start", "members", e))?;
        let rounds = runtime.block_on(self.measure(&options))?;
        runtime.shutdown_background();
        self.tell(&rounds)
    }

    async fn measure(&self, options: &Options) -> Result<Vec<Round>> {
        let clock = Clock::system();
        let (heard, event) = (Arc::default(), Arc::new(Mutex::new(clock.now().mono)));
        let mut members: Vec<(BusAccount, mpsc::Sender<Announcement>)> = Vec::new();
        for number in 0..self.members {
            let host = format!("emulated-{number}");
            let options = Options { host: Some(host.clone()), ..options.clone() };
            let bus = Bus::open(&options, &host)?;
            let (announce, announced) = mpsc::channel(1);
            members.push((bus.account(), announce));
            let (heard, event) = (Arc::clone(&heard), Arc::clone(&event));
            tokio::spawn(
                bus.run(announced, EmulatedKeeper { clock: clock.clone(), host, heard, event }),
            );
        }
        let others = self.members as u64 - 1;
        wait_until("connect", || {
            members.iter().all(|(member, _)| member.standing().stream.is_some())
        })
        .await?;
        let mut rounds = Vec::new();
        for number in 0..self.notices {
            let before = figures(&members);
            heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let now = clock.now();
            *event.lock().unwrap_or_else(PoisonError::into_inner) = now.mono;
            let notice = notice(number, &members[0].0, now.wall)?;
            let to = vec![Addressee::Group(GROUP.to_owned())];
            let announcement = Announcement { notice, event: now.mono, to };
            members[0].1.try_send(announcement).map_err(|e| Error::operation("announce", "", e))?;
            wait_until("hear", || figures(&members).answered >= before.answered + others).await?;
            let mut after = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
            after.sort();
            rounds.push(Round { after, bytes: figures(&members).bytes - before.bytes });
        }
        Ok(rounds)
    }

    fn tell(&self, rounds: &[Round]) -> Result<ExitCode> {
        let mut medians: Vec<_> =
            rounds.iter().map(|round| round.after[round.after.len() / 2]).collect();
        medians.sort();
        let worst = rounds.iter().filter_map(|round| round.after.last()).max();
        let (Some(median), Some(worst)) = (medians.get(medians.len() / 2), worst) else {
            return Ok(ExitCode::SUCCESS);
        };
        let bytes = rounds.iter().map(|round| round.bytes).max().unwrap_or_default();
        print(&format!(
            "{} members, {} notices: pinned after {} (median), {} (worst); {} for one notice and its answers",
            self.members,
            rounds.len(),
            words::duration(*median),
            words::duration(*worst),
            words::bytes(bytes)
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What all members did.
struct Sum {
    answered: u64,
    bytes: u64,
}

fn figures(members: &[(BusAccount, mpsc::Sender<Announcement>)]) -> Sum {
    let each = members.iter().map(|(member, _)| member.standing());
    each.fold(Sum { answered: 0, bytes: 0 }, |sum, member| Sum {
        answered: sum.answered + member.answered,
        bytes: sum.bytes + member.bytes_in + member.bytes_out,
    })
}

async fn wait_until(doing: &'static str, mut is_so: impl FnMut() -> bool) -> Result<()> {
    let waiting = async {
        while !is_so() {
            sleep(LOOK).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.map_err(|_| Error::operation(doing, "all members", format!("not within {PATIENCE:?}")))
}

fn notice(number: usize, member: &BusAccount, at: crate::time::Wall) -> Result<Notice> {
    let from = member.standing().host;
    let id = format!("{from}-{}-{number}", at.0);
    Notice::new(NoticeFields {
        root: id.clone(),
        id,
        hops: 0,
        from,
        boot: "emulated".to_owned(),
        kind: TriggerKind::LinkDown.to_string(),
        object: Some("emulated0".to_owned()),
        sentence: None,
        severity: Severity::Warning,
        at,
        error: Duration::ZERO,
        age: Duration::ZERO,
        pre: Duration::from_secs(120),
        post: Duration::from_secs(10),
        mode: Mode::Keep,
        within: Duration::ZERO,
        want: Want::State,
        spread: Duration::ZERO,
    })
}
