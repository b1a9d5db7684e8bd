//! `dashcap fleet emulate`: sizes a server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::place::Place;
use crate::APPLICATION;
use crate::cli::control::print;
use crate::cli::values::TimeSpan;
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
use crate::observation::Fact;
use crate::time::{Clock, Mono, Wall, nanos};
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

    /// Do nothing for so long before the first one, for whoever watches what members cost that do nothing.
    #[arg(long, value_name = "DUR")]
    idle: Option<TimeSpan>,
}

/// Members that one process can have: each is a connection, and a loopback address has 28,000 ports.
const MOST: usize = 20_000;
/// Open files beside the connections: the terminal, the runtime's own, what reads certificates.
const OTHER_FILES: usize = 64;
/// Members that connect at once. Many more, and those who wait for this one thread give up and begin anew.
const AT_ONCE: usize = 200;
/// Threads that ask a kernel for addresses of interfaces: emulated hosts have none, so none takes long.
const ASKING: usize = 2;
/// The group that all belong to.
const GROUP: &str = "emulated";
/// So many must be connected, or have heard and answered, within this.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks at the accounts of all, for each member: longer than a look, so that looking is not what is
/// measured.
const LOOK: Duration = Duration::from_micros(2);
/// The shortest such pause.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// What all members see of the notice under way.
#[derive(Debug)]
struct HeardCount {
    heard: Mutex<HeardSoFar>,
    /// Members that are to hear it.
    others: usize,
    /// All have.
    complete: Notify,
}

/// Who has heard of it.
#[derive(Debug, Default)]
struct HeardSoFar {
    /// Its identifier: others in the fleet may tell of something, too.
    id: String,
    /// When it happened.
    event: Mono,
    /// How long ago that was for each member as it heard of it.
    after: Vec<Duration>,
}

/// A recorder that keeps everything at once.
#[derive(Debug, Clone)]
struct EmulatedKeeper {
    clock: Clock,
    host: String,
    tally: Arc<HeardCount>,
}

/// A member, and the way to have it announce something.
struct EmulatedMember {
    account: BusAccount,
    announce: mpsc::Sender<Announcement>,
}

impl HeardCount {
    fn begin(&self, id: String, event: Mono) {
        *self.so_far() = HeardSoFar { id, event, after: Vec::new() };
    }

    fn hears(&self, id: &str, at: Mono) {
        let mut heard = self.so_far();
        if heard.id == id {
            let after = at.since(heard.event);
            heard.after.push(after);
            if heard.after.len() == self.others {
                self.complete.notify_one();
            }
        }
    }

    /// How long it took each, the quickest first.
    fn told(&self) -> Vec<Duration> {
        let mut after = self.so_far().after.clone();
        after.sort();
        after
    }

    fn so_far(&self) -> MutexGuard<'_, HeardSoFar> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        self.tally.hears(&heard.notice.id, self.clock.now().mono);
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
        Told::Incidents { bundles: Vec::new(), without: Vec::new() }
    }

    fn store(&self) -> Option<PathBuf> {
        None
    }

    async fn note(&self, _: Fact) {}
}

/// What was measured of one notice.
struct Round {
    /// How long until each member had it, the quickest first.
    after: Vec<Duration>,
    /// How long until all had answered.
    answered: Duration,
}

/// What was measured of all.
struct Measured {
    rounds: Vec<Round>,
    /// Bytes of one notice and its answers over all connections, in the mean: accounts are behind by some messages.
    bytes: u64,
}

impl Emulate {
    pub(super) fn start(self, place: &Place) -> Result<ExitCode> {
        if !(2..=MOST).contains(&self.members) {
            let given = self.members.to_string();
            let reason = "somebody tells somebody else";
            return Err(Error::usage("--members", given, reason, format!("2 to {MOST}")));
        }
        self.open_files()?;
        let options = Options { groups: vec![GROUP.to_owned()], ..place.options()? };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(ASKING)
            .build()
            .map_err(|e| Error::operation("start", "members", e))?;
        let measured = runtime.block_on(self.measure(&options))?;
        runtime.shutdown_background();
        self.tell(&measured, place.json)
    }

    /// Each connection is an open file: as many as this process may have.
    fn open_files(&self) -> Result<()> {
        let wanted = (self.members + OTHER_FILES) as u64;
        let limit = getrlimit(Resource::Nofile);
        if limit.maximum.is_some_and(|most| most < wanted) {
            let given = self.members.to_string();
            let reason = "each is a connection, and so many files may not be open";
            return Err(Error::usage("--members", given, reason, format!("ulimit -n {wanted}")));
        }
        let all = Rlimit { current: limit.maximum, ..limit };
        setrlimit(Resource::Nofile, all).map_err(|e| Error::operation("open", "connections", e))
    }

    async fn measure(&self, options: &Options) -> Result<Measured> {
        let clock = Clock::system();
        let tally = Arc::new(HeardCount {
            heard: Mutex::default(),
            others: self.members - 1,
            complete: Notify::new(),
        });
        let members = self.join(options, &clock, &tally).await?;
        if let Some(TimeSpan(idle)) = self.idle {
            eprintln!("{} members are connected, and do nothing for {idle:?}", members.len());
            sleep(idle).await;
        }
        let (mut rounds, before) = (Vec::new(), figures(&members).bytes);
        for number in 0..self.notices {
            rounds.push(round(number, &members, &clock, &tally).await?);
        }
        let bytes = (figures(&members).bytes - before) / self.notices.max(1) as u64;
        Ok(Measured { rounds, bytes })
    }

    /// All members, connected.
    async fn join(
        &self,
        options: &Options,
        clock: &Clock,
        tally: &Arc<HeardCount>,
    ) -> Result<Vec<EmulatedMember>> {
        let mut members: Vec<EmulatedMember> = Vec::new();
        while members.len() < self.members {
            let begin = members.len();
            for number in begin..self.members.min(begin + AT_ONCE) {
                let host = format!("emulated-{number}");
                let options = Options { host: Some(host.clone()), ..options.clone() };
                let bus = Bus::open(&options, &host)?;
                let (announce, announced) = mpsc::channel(1);
                members.push(EmulatedMember { account: bus.account(), announce });
                let (clock, tally) = (clock.clone(), Arc::clone(tally));
                tokio::spawn(bus.run(announced, EmulatedKeeper { clock, host, tally }));
            }
            // It has looked into the stream when it knows of one.
            let is_there = |member: &EmulatedMember| member.account.standing().stream.is_some();
            wait_until("connect", &members[begin..], |all| all.iter().all(is_there)).await?;
        }
        Ok(members)
    }

    fn tell(&self, measured: &Measured, json: bool) -> Result<ExitCode> {
        let Measured { rounds, bytes } = measured;
        let mut medians: Vec<_> =
            rounds.iter().map(|round| round.after[round.after.len() / 2]).collect();
        medians.sort();
        let worst = rounds.iter().filter_map(|round| round.after.last()).max();
        let (Some(median), Some(worst)) = (medians.get(medians.len() / 2), worst) else {
            return Ok(ExitCode::SUCCESS);
        };
        let answered = rounds.iter().map(|round| round.answered).max().unwrap_or_default();
        let told = if json {
            json!({
                "members": self.members,
                "notices": rounds.len(),
                "pinned_median_ns": nanos(*median),
                "pinned_worst_ns": nanos(*worst),
                "answered_worst_ns": nanos(answered),
                "bytes": bytes,
            })
            .to_string()
        } else {
            format!(
                "{} members, {} notices: pinned after {} (median), {} (worst), all answered after {} (worst); \
                 {} for one notice and its answers",
                self.members,
                rounds.len(),
                words::duration(*median),
                words::duration(*worst),
                words::duration(answered),
                words::bytes(*bytes)
            )
        };
        print(&told)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// One notice, from its event until the last member has answered.
async fn round(
    number: usize,
    members: &[EmulatedMember],
    clock: &Clock,
    tally: &HeardCount,
) -> Result<Round> {
    let before = figures(members).answered;
    let now = clock.now();
    let first = &members[0];
    let to = vec![Addressee::Group(GROUP.to_owned())];
    let notice = notice(number, &first.account, now.wall)?;
    tally.begin(notice.id.clone(), now.mono);
    let announcement = Announcement { notice, event: now.mono, to };
    first.announce.try_send(announcement).map_err(|e| Error::operation("announce", "", e))?;
    // Nobody looks at the accounts meanwhile: at ten thousand members that would be most of what is measured.
    let heard = timeout(PATIENCE, tally.complete.notified()).await;
    heard.map_err(|_| too_long("hear"))?;
    let answered = before + tally.others as u64;
    wait_until("answer", members, |all| figures(all).answered >= answered).await?;
    let answered = clock.now().mono.since(now.mono);
    Ok(Round { after: tally.told(), answered })
}

/// What all members did.
struct Sum {
    answered: u64,
    bytes: u64,
}

fn figures(members: &[EmulatedMember]) -> Sum {
    let each = members.iter().map(|member| member.account.standing());
    each.fold(Sum { answered: 0, bytes: 0 }, |sum, member| Sum {
        answered: sum.answered + member.answered,
        bytes: sum.bytes + member.bytes_in + member.bytes_out,
    })
}

async fn wait_until(
    doing: &'static str,
    members: &[EmulatedMember],
    is_so: impl Fn(&[EmulatedMember]) -> bool,
) -> Result<()> {
    let pause = (LOOK * members.len() as u32).max(SHORTEST_LOOK);
    let waiting = async {
        while !is_so(members) {
            sleep(pause).await;
        }
    };
    timeout(PATIENCE, waiting).await.map_err(|_| too_long(doing))
}

fn too_long(doing: &'static str) -> Error {
    Error::operation(doing, "all members", format!("not within {PATIENCE:?}"))
}

fn notice(number: usize, member: &BusAccount, at: Wall) -> Result<Notice> {
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
