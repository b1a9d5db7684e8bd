//! A panic in a capture thread, by a source that is there in tests only: a gap, and nothing else.

use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};

use super::net::{Net, Sender, interface};
use super::{frame, open, small};
use crate::capture::order::{Hands, Order, SliceOrder};
use crate::capture::pulse::Pulse;
use crate::capture::recording::Recording;
use crate::capture::source::Source;
use crate::capture::{CaptureReport, Memory, Options, Sliced, Tapping, WaitingRoom};
use crate::detect::watcher::{self, DetectWatcher};
use crate::frame::StoredFrame;
use crate::lab::BOUND;
use crate::observation::capture::CaptureEvent;
use crate::observation::{Fact, Observation};
use crate::ring::{LaneId, PackThread, Pool, PoolOptions};
use crate::sys::wakeup::Wakeup;
use crate::time::{Clock, Mono, Window};

/// The next thing that capture says of itself.
fn next(events: &Receiver<Observation>) -> CaptureEvent {
    let seen = events.recv_deadline(Instant::now() + BOUND).expect("an event in time");
    match seen.fact {
        Fact::Capture { event, .. } => event,
        other => panic!("{other}"),
    }
}

fn fills(sliced: &Sliced) -> Vec<u8> {
    let frames = sliced.classes.iter().flat_map(|(_, slice)| slice.frames());
    let mut frames: Vec<StoredFrame> = frames.collect();
    frames.sort_by_key(|frame| frame.mono);
    frames.iter().filter_map(|frame| frame.bytes.last().copied()).collect()
}

#[test]
fn a_panic_in_capture_marks_a_gap_and_keeps_the_history() {
    let Some(net) = Net::new() else { return };
    let clock = Clock::system();
    let (outbox, events) = bounded(64);
    let (orders, inbox) = bounded(8);
    let (_followers, readers) = bounded(8);
    let detectors =
        DetectWatcher::open(watcher::Options::default(), Box::new(|_| Vec::new())).unwrap();
    let tapping = Tapping::new(detectors.taps(), Vec::new()).unwrap();
    let pool = Pool::new(&PoolOptions { memory: 8 << 20, lock: false }).unwrap();
    let pack = PackThread::start(pool.clone()).unwrap();
    let memory = Memory { pool, requests: pack.requests() };
    let wakeup = Wakeup::new().unwrap();
    let pulse = Pulse::default();
    let (ended, end) = bounded(1);
    let hands = Hands {
        wakeup: wakeup.clone(),
        clock,
        inbox,
        readers,
        events: outbox,
        tapping,
        pulse,
        ended,
    };
    let mut sender = net.inside(|| Sender::on("b"));
    let mut send = |fill: u8| sender.send(&frame(&[], 100, fill));

    let waiting = net.inside(|| {
        let source = Source::Breaking(open("a", &small()), 3);
        let options = Options { ring: small(), ..Options::default() };
        let recording =
            Recording::new(LaneId(0), interface("a"), source, options, &memory, hands).unwrap();
        // Its thread stays in the namespace, where it opens the source anew.
        let waiting = WaitingRoom::open(|| Ok(())).unwrap();
        assert!(waiting.threads().begin(Box::new(recording)).is_ok());
        waiting
    });
    assert!(matches!(next(&events), CaptureEvent::Started { .. }));
    (0..4).for_each(&mut send);
    assert!(matches!(next(&events), CaptureEvent::Failed { defect: true, .. }), "told as a defect");
    assert!(matches!(next(&events), CaptureEvent::Started { .. }), "opened anew");
    (10..15).for_each(&mut send);

    let (reply, sliced) = bounded(1);
    let window = Window { from: Mono(0), to: Clock::system().now().mono };
    orders.send(Order::Slice(SliceOrder { window, release: None, reply })).unwrap();
    wakeup.notify();
    let sliced = sliced.recv_deadline(Instant::now() + BOUND).expect("it lives");
    assert_eq!(fills(&sliced), [0, 1, 2, 10, 11, 12, 13, 14]);
    drop(orders);
    wakeup.notify();
    let CaptureReport { stats, .. } = end.recv_deadline(Instant::now() + BOUND).unwrap();
    waiting.close();
    assert_eq!((stats.gaps, stats.stored, stats.lane_dropped), (1, 8, 0));
    drop(memory);
    pack.join();
}
