//! A member of the fleet without a recorder: keeps at once what it hears, and remembers it.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use dashcap::finding::Severity;
use dashcap::fleet::answer::{AnswerFields, ClockReading, HostAnswer, State};
use dashcap::fleet::bus::{Bus, BusAccount};
use dashcap::fleet::exchange::{Announcement, HeardNotice, Keeper};
use dashcap::fleet::inquiry::{FleetBundle, Inquiry, Told};
use dashcap::fleet::notice::{Mode, Notice, NoticeFields, Want};
use dashcap::fleet::status::{BusStatus, Presence};
use dashcap::fleet::subject::Addressee;
use dashcap::fleet::{Options, ServerAddress};
use dashcap::incident::store::Listing;
use dashcap::observation::Fact;
use dashcap::time::{Clock, Mono, Wall};
use tokio::runtime::Builder;
use tokio::sync::mpsc;

use super::server::Server;
use crate::lab::{BOUND, until};

/// The notice of which every member has a bundle.
pub(super) const STORY: &str = "a-story-1";

/// What a member heard.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) notice: Notice,
    /// When it happened, as far as that can be told.
    pub(super) event: Mono,
    pub(super) waited: Option<Duration>,
    pub(super) error: Duration,
}

#[derive(Debug, Clone)]
struct Memory {
    clock: Clock,
    host: String,
    group: String,
    identity: String,
    heard: Sender<Heard>,
    store: Option<PathBuf>,
    noted: Sender<Fact>,
}

pub(super) struct Member {
    account: BusAccount,
    announce: mpsc::Sender<Announcement>,
    heard: Receiver<Heard>,
    noted: Receiver<Fact>,
    clock: Clock,
    host: String,
    thread: Option<thread::JoinHandle<()>>,
}

impl Keeper for Memory {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn hear(&self, heard: HeardNotice) -> Result<(), String> {
        let HeardNotice { notice, at, waited, error, answers } = heard;
        if !matches!(notice.mode, Mode::Keep) {
            // Nothing is held here.
            return Ok(());
        }
        let answer = HostAnswer::new(AnswerFields {
            id: notice.id.clone(),
            host: self.host.clone(),
            boot: "story".into(),
            state: State::Pinned,
            why: None,
            incident: None,
            from: None,
            to: None,
            held_from: None,
            full: true,
            missing: Vec::new(),
            frames: None,
            bytes: None,
            arrived_after: notice.age,
            pinned_after: None,
            clock: self.reading(),
            onset: None,
        });
        let event = at.mono.minus(notice.age + waited.unwrap_or_default());
        let _ = self.heard.send(Heard { notice, event, waited, error });
        answers.try_send(answer.expect("within bounds")).map_err(|error| error.to_string())
    }

    async fn presence(&self) -> Option<Presence> {
        Some(Presence {
            host: self.host.clone(),
            boot: "story".into(),
            program: "story".into(),
            groups: vec![self.group.clone()],
            armed: true,
            depth_seconds: Some(90.0),
            interfaces: 1,
            bundles: 0,
            clock: self.reading(),
        })
    }

    fn identities(&self) -> Vec<String> {
        vec![self.identity.clone()]
    }

    fn tell(&self, inquiry: &Inquiry) -> Told {
        let stored = self.store.iter().flat_map(|store| {
            Listing::read(store).expect("a store").bundles.into_iter().map(|bundle| bundle.name)
        });
        let usual = || format!("2026-11-30T05-27-51.447Z_fleet_{}", self.host);
        let bundle = FleetBundle {
            name: stored.last().unwrap_or_else(usual),
            ids: vec![STORY.into()],
            kind: "link-down".into(),
            at: Wall(1_796_000_000_000_000_000),
            frames: 7,
            bytes: 7_000,
            kept: false,
            onset: None,
        };
        match inquiry {
            Inquiry::Incidents { id } if id.as_deref().is_none_or(|id| id == STORY) => {
                Told::Incidents { bundles: vec![bundle], without: Vec::new() }
            }
            Inquiry::Keep { id } if id == STORY => Told::Kept { count: 1 },
            Inquiry::Release { id } if id == STORY => Told::Released { count: 1 },
            _ => Told::Incidents { bundles: Vec::new(), without: Vec::new() },
        }
    }

    fn store(&self) -> Option<PathBuf> {
        self.store.clone()
    }

    async fn note(&self, fact: Fact) {
        let _ = self.noted.send(fact);
    }
}

impl Memory {
    fn reading(&self) -> ClockReading {
        let now = self.clock.now();
        let source = "unknown".to_owned();
        ClockReading { wall: now.wall, mono_ns: now.mono.0, source, max_ns: None, stepped: false }
    }
}

/// The way to a server as `host` speaks to it.
pub(super) fn options(server: &Server, host: &str) -> Options {
    let address: ServerAddress = format!("tls://127.0.0.1:{}", server.port).parse().expect("one");
    Options {
        host: Some(host.to_owned()),
        ca_file: Some(server.path("ca.pem")),
        password_file: Some(server.path("password")),
        ..Options::new("edge", vec![address])
    }
}

impl Member {
    /// At work: in `group`, with `identity` on the wire.
    pub(super) fn join(options: Options, group: &str, identity: &str) -> Self {
        Self::join_with(options, group, identity, None)
    }

    /// The same, with bundles in `store`.
    pub(super) fn join_with(
        options: Options,
        group: &str,
        identity: &str,
        store: Option<PathBuf>,
    ) -> Self {
        let options = Options { groups: vec![group.to_owned()], ..options };
        let host = options.host.clone().expect("a name");
        let bus = Bus::open(&options, &host).expect("options with a meaning");
        let (clock, account) = (Clock::system(), bus.account());
        let (announce, announced) = mpsc::channel(64);
        let (told, heard) = channel();
        let (note, noted) = channel();
        let keeper = Memory {
            clock: clock.clone(),
            host: host.clone(),
            group: group.to_owned(),
            identity: identity.to_owned(),
            heard: told,
            store,
            noted: note,
        };
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(bus.run(announced, keeper));
            runtime.shutdown_background();
        });
        Self { account, announce, heard, noted, clock, host, thread: Some(thread) }
    }

    /// The same, once it is connected and has looked into the stream.
    pub(super) fn there(self) -> Self {
        self.wait_for("it has looked", |status| status.connected && status.stream.is_some());
        self
    }

    pub(super) fn standing(&self) -> BusStatus {
        self.account.standing()
    }

    pub(super) fn wait_for(&self, what: &str, is_so: impl Fn(&BusStatus) -> bool) -> BusStatus {
        until(what, || Some(self.standing()).filter(&is_so))
    }

    /// Announces what happened so long ago. Returns when that was.
    pub(super) fn announce(&self, number: u32, ago: Duration, to: Vec<Addressee>) -> Mono {
        let now = self.clock.now();
        let id = format!("{}-story-{number}", self.host);
        let notice = Notice::new(NoticeFields {
            root: id.clone(),
            id,
            hops: 0,
            from: self.host.clone(),
            boot: "story".into(),
            kind: "link-down".into(),
            object: None,
            sentence: None,
            severity: Severity::Warning,
            at: now.wall.minus(ago),
            error: Duration::ZERO,
            age: ago,
            pre: Duration::from_secs(60),
            post: Duration::from_secs(1),
            mode: Mode::Keep,
            within: Duration::ZERO,
            want: Want::State,
            spread: Duration::ZERO,
        });
        let event = now.mono.minus(ago);
        let announcement = Announcement { notice: notice.expect("within bounds"), event, to };
        self.announce.try_send(announcement).expect("room");
        event
    }

    pub(super) fn hears(&self) -> Heard {
        self.heard
            .recv_timeout(BOUND)
            .unwrap_or_else(|_| panic!("{}: {:?}", self.host, self.standing()))
    }

    /// Everything that it heard and nobody asked for yet.
    pub(super) fn has_heard(&self) -> Vec<Heard> {
        self.heard.try_iter().collect()
    }

    /// What it told its recorder, and nobody asked for yet.
    pub(super) fn noted(&self) -> Vec<Fact> {
        self.noted.try_iter().collect()
    }

    /// Leaves, having said everything.
    pub(super) fn leave(mut self) {
        let thread = self.thread.take();
        drop(self);
        thread.expect("it was there").join().expect("it ends in peace");
    }
}
