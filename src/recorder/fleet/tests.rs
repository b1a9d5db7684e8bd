use std::collections::BTreeSet;

use crossbeam_channel::bounded;
use tempfile::TempDir;

use super::*;
use crate::capture::{CaptureReport, Sliced};
use crate::error::Result;
use crate::finding::Severity;
use crate::incident::store::Store;
use crate::incident::writer::Writer;
use crate::observation::Observation;
use crate::observation::capture::CaptureEvent;
use crate::recorder::Recorder;
use crate::recorder::frame_store::Held;
use crate::recorder::options::fixture;
use crate::time::{Clock, ClockHand, Wall, Window};
use crate::trigger::Announce;

const S: u64 = 1_000_000_000;
/// When every story begins.
const BEGIN: u64 = 1_795_356_840;

/// What is pinned, without any frames.
#[derive(Debug, Default)]
struct Pins(BTreeSet<u64>);

impl FrameStore for Pins {
    const LIVE: bool = false;

    fn follow(&mut self, _: &Fact) -> Result<bool> {
        Ok(false)
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn watched(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }

    fn listed(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }

    fn hold(&mut self, hold: HoldId, from: Mono, _: bool) -> Held {
        self.0.insert(hold.0);
        Held { complete_from: from, silent: 0 }
    }

    fn slice(&mut self, _: Window, release: HoldId) -> Vec<crossbeam_channel::Receiver<Sliced>> {
        self.0.remove(&release.0);
        Vec::new()
    }

    fn reports(&mut self) -> Vec<CaptureReport> {
        Vec::new()
    }

    fn stop(self) -> Vec<CaptureReport> {
        Vec::new()
    }
}

/// A recorder called router-b, told the time.
struct Story {
    recorder: Recorder<Pins>,
    hand: ClockHand,
    _place: TempDir,
}

/// What becomes of one notice.
type Told = mpsc::Receiver<HostAnswer>;

impl Story {
    fn new() -> Self {
        let place = TempDir::new().unwrap();
        let recording = fixture::options(place.path());
        let (clock, hand) = Clock::by_hand(second(0));
        let store = Store::open(&recording.output, recording.pool.memory).unwrap();
        let writer = Writer::start(store, Clock::system(), recording.writer.clone()).unwrap();
        let mut recorder = Recorder::around(Pins::default(), recording, clock, writer, bounded(1));
        let of = Options {
            host: Some("router-b".into()),
            ..Options::new("edge", vec!["nats://127.0.0.1".parse().unwrap()])
        };
        let host = recorder.incidents.host().clone();
        recorder.fleet = Some(Box::new(FleetDesk::new(of, &host, 1 << 30, ShownNames::default())));
        Self { recorder, hand, _place: place }
    }

    /// `from` says it now; what is answered to that.
    fn says(&mut self, from: &str, id: &str, mode: Mode) -> Told {
        let now = self.recorder.clock.now();
        let notice = Notice::settling(from, id, Mode::Confirm, now.wall).unwrap();
        let notice = Notice::new(NoticeFields {
            mode,
            pre: Duration::from_secs(8),
            post: Duration::from_secs(2),
            within: Duration::from_secs(90),
            ..(*notice).clone()
        });
        let (answers, told) = mpsc::channel(8);
        let (waited, error) = (None, Duration::ZERO);
        let notice = notice.unwrap();
        self.recorder.hear(HeardNotice { notice, at: now, waited, error, answers });
        told
    }

    fn passes(&mut self, to: u64) {
        self.hand.set(second(to));
        self.recorder.judge_time();
        self.recorder.attend_fleet();
        self.recorder.close_if_due();
        self.recorder.collect_slices();
        self.recorder.attend_fleet();
    }

    fn sees(&mut self, fact: Fact) {
        let at = self.recorder.clock.now();
        self.recorder.observe(Observation { at, fact });
        self.recorder.attend_fleet();
    }

    fn pinned(&self) -> usize {
        self.recorder.captures.0.len()
    }
}

fn second(second: u64) -> Stamp {
    Stamp { mono: Mono((1_000 + second) * S), wall: Wall((BEGIN + second) * S) }
}

/// What others are told of, to be held for 90 s.
fn incident(object: Option<&str>) -> OwnIncident {
    OwnIncident {
        kind: "link-down".into(),
        object: object.map(str::to_owned),
        sentence: String::new(),
        severity: Severity::Warning,
        at: second(0).wall,
        pre: Duration::from_secs(8),
        post: Duration::from_secs(2),
        within: Some(Duration::from_secs(90)),
    }
}

/// The states that were told since the last time, and why.
fn states(told: &mut Told) -> Vec<(State, Option<String>)> {
    std::iter::from_fn(|| told.try_recv().ok())
        .map(|answer| (answer.state, answer.why.clone()))
        .collect()
}

fn only(state: State) -> Vec<(State, Option<String>)> {
    vec![(state, None)]
}

#[test]
fn nobody_but_who_had_a_window_held_may_settle_it() {
    let mut story = Story::new();
    let mut held = story.says("router-a", "a-1", Mode::Hold);
    assert_eq!((states(&mut held), story.pinned()), (only(State::Held), 1));
    let mut again = story.says("router-a", "a-1", Mode::Hold);
    assert_eq!((states(&mut again), story.pinned()), (only(State::Held), 1), "a copy");
    for mode in [Mode::Confirm, Mode::Release] {
        let mut other = story.says("router-x", "a-1", mode);
        assert_eq!((states(&mut other), story.pinned()), (vec![], 1), "{mode:?} of another");
    }
    let mut released = story.says("router-a", "a-1", Mode::Release);
    let why = Some("whoever asked released it".to_owned());
    let released = states(&mut released);
    assert_eq!((released, story.pinned()), (vec![(State::Released, why)], 0));
    assert_eq!(states(&mut held), vec![], "told where it was asked");
    for mode in [Mode::Confirm, Mode::Release] {
        assert_eq!(states(&mut story.says("router-a", "a-1", mode)), vec![], "it is gone");
    }
    let mut again = story.says("router-a", "a-1", Mode::Hold);
    assert_eq!((states(&mut again)[0].0, story.pinned()), (State::Released, 0), "a late copy");
}

#[test]
fn what_is_confirmed_is_written() {
    let mut story = Story::new();
    let mut held = story.says("router-a", "a-1", Mode::Hold);
    assert_eq!(states(&mut held), only(State::Held));
    story.passes(60);
    let mut confirmed = story.says("router-a", "a-1", Mode::Confirm);
    assert_eq!(states(&mut confirmed), only(State::Pinned));
    let mut again = story.says("router-a", "a-1", Mode::Confirm);
    assert_eq!(states(&mut again), vec![], "once");
    story.passes(61);
    assert_eq!((states(&mut held), story.pinned()), (only(State::Writing), 0));
    let outcome = story.recorder.incidents.outcomes().recv().unwrap();
    story.recorder.settle(outcome);
    assert_eq!(states(&mut held), only(State::Written));
}

#[test]
fn what_nobody_settles_is_given_up_and_told() {
    let dropping = Fact::Capture { interface: "eth0".into(), event: CaptureEvent::Dropping };
    for (until, fact, why) in [
        (91, None, "nothing confirmed it"),
        (9, Some(dropping), "new frames need its memory"),
        (9, Some(Fact::StopSignal), "the recording ends"),
    ] {
        let mut story = Story::new();
        let mut held = story.says("router-a", "a-1", Mode::Hold);
        assert_eq!(states(&mut held), only(State::Held));
        story.passes(until.min(89));
        assert_eq!((states(&mut held), story.pinned()), (vec![], 1));
        story.passes(until);
        fact.into_iter().for_each(|fact| story.sees(fact));
        let told = states(&mut held);
        assert_eq!((told, story.pinned()), (vec![(State::Released, Some(why.into()))], 0));
        assert_eq!(states(&mut story.says("router-a", "a-1", Mode::Confirm)), vec![]);
        assert!(held.is_closed(), "nothing more will become of it");
    }
}

#[test]
fn two_windows_are_held_at_a_time() {
    let mut story = Story::new();
    let held = |story: &mut Story, from| states(&mut story.says(from, "x-1", Mode::Hold)).remove(0);
    assert_eq!(held(&mut story, "router-a").0, State::Held);
    assert_eq!(held(&mut story, "router-c").0, State::Held);
    let (state, why) = held(&mut story, "router-d");
    assert_eq!((state, story.pinned()), (State::Refused, 2));
    assert!(why.unwrap().starts_with("memory: 2 windows"));
}

/// A peer far away shows no link address here.
#[test]
fn the_host_that_a_failure_is_about_is_a_peer() {
    for (object, addressed) in [
        ("192.0.2.7", Some("192.0.2.7")),
        ("192.0.2.7:53", Some("192.0.2.7")),
        ("[2001:db8::7]:53", Some("2001:db8::7")),
        ("eth0", None),
        ("gateway", None),
    ] {
        let mut story = Story::new();
        let desk = story.recorder.fleet.as_mut().unwrap();
        let to = Announce { to: vec![Recipient::Peers], hold: false };
        let (incident, event) = (incident(Some(object)), second(0).mono);
        let said = desk.announce(Announced::Opened { incident, to, event }, event);
        let to = said.map(|said| said.to);
        let expected = addressed.map(|address| vec![Addressee::Identity(address.to_owned())]);
        assert_eq!(to, expected, "{object}");
    }
}

/// Memory is needed here: what others hold for it is given up there, too.
#[test]
fn an_own_hold_that_goes_is_released_elsewhere() {
    let mut story = Story::new();
    let desk = story.recorder.fleet.as_mut().unwrap();
    let incident = incident(None);
    let to = Announce { to: vec![Recipient::Group("routers".into())], hold: true };
    let (hold, event) = (HoldId(7), second(0).mono);
    let held = desk.announce(Announced::Held { hold, incident, to, event }, event).unwrap();
    assert_eq!((held.notice.mode, held.notice.want), (Mode::Hold, Want::State));
    assert!(desk.announce(Announced::Released(HoldId(8)), event).is_none());
    let released = desk.announce(Announced::Released(hold), event).unwrap();
    assert_eq!(released.notice.mode, Mode::Release);
    assert_eq!((released.notice.key(), released.to), (held.notice.key(), held.to));
    assert!(desk.announce(Announced::Confirmed(hold), event).is_none(), "it is gone");
}
