//! What a report says of simulated pairs, whose truth is known; and of files.

use super::answered::AnsweredClock;
use super::clocks::{Clocks, FoundBy, Testimony};
use super::pair::{Pair, Random, World, world};

const S: i64 = 1_000_000_000;
const MS: i64 = 1_000_000;

/// A world in which nothing goes wrong.
const CALM: World = World {
    seconds: 6,
    rate: 60,
    offset: 90 * S,
    drift: 30_000,
    step: 0,
    lost_in: 0,
    twice_in: 0,
    dropped_in: 0,
    offloads: false,
    dead_from: None,
};

#[test]
fn a_way_that_dies_is_told_with_its_moment_and_that_the_other_way_works() {
    for offloads in [false, true] {
        let mut pair = Pair::play(World { dead_from: Some(3), offloads, ..CALM }, 5);
        let compared = pair.compared();
        let [link] = &compared.links[..] else { panic!("{:?}", compared.links) };
        let dead = link.ways[0].dead.expect("nothing of a arrives");
        assert!(dead.from.0.abs_diff(3_000_000_000) < 40_000_000, "{dead:?}");
        assert!(dead.bar_ns.is_some_and(|bar| bar < 100_000), "{dead:?}");
        assert!(dead.other_way > 50 && dead.other_way_lost == 0, "{dead:?}");
        assert_eq!((link.ways[1].dead, link.ways[1].lost), (None, Some(0)));
        assert!(link.differences[0].contains("what a/eth0 sends does not arrive at b/eth1"));
        assert!(link.differences[0].contains("what b/eth1 sends does arrive"));
        // Ninety seconds away by its own clock, b is known as well as ever.
        assert!(compared.offset(1).is_some_and(|(_, wrong)| wrong < 100_000), "{compared:?}");
        assert!(link.least_delay_sum_ns.is_some_and(|sum| (40_000..70_000).contains(&sum)));
    }
}

#[test]
fn where_all_is_well_everything_is_at_both_ends() {
    let mut pair = Pair::play(CALM, 6);
    let compared = pair.compared();
    let ways = &compared.links[0].ways;
    assert!(ways.iter().all(|way| way.lost == Some(0) && way.receiver_only == Some(0)), "{ways:?}");
    assert!(ways.iter().all(|way| way.both > Some(300)), "{ways:?}");
    assert!(compared.links[0].differences.is_empty());
}

#[test]
fn the_truth_is_in_the_band_and_nothing_is_called_lost_that_was_not() {
    const PAIRS: u64 = 10;
    let mut random = Random(1);
    for seed in 0..PAIRS {
        let world = world(&mut random);
        let mut pair = Pair::play(world, seed);
        let compared = pair.compared();
        for pairing in compared.pairings() {
            for second in 0..=world.seconds {
                let (told, truth) = (pairing.band.at(second * S), pair.truth(second * S));
                let below = told.low.is_none_or(|low| low <= truth);
                let above = told.high.is_none_or(|high| truth <= high);
                assert!(below && above, "{seed} {world:?} {second}: {truth} not in {told:?}");
            }
        }
        for link in &compared.links {
            for (way, lost) in link.ways.iter().zip(pair.lost) {
                let most = if pair.dropped > 0 && way == &link.ways[0] { 0 } else { lost };
                assert!(way.lost <= Some(most), "{seed} {world:?}: {way:?}, {most} in truth");
            }
        }
    }
}

/// Hosts without any frames in common, each with how its clock answered, over ten seconds from 1,000 s on.
fn clocks(answered: &[Option<AnsweredClock>]) -> Clocks {
    let readings = vec![Vec::new(); answered.len()];
    let spans = vec![(1_000 * S, 1_010 * S); answered.len()];
    let testimony = Testimony { readings: &readings, answered, assumed: None };
    Clocks::of(Vec::new(), testimony, &spans)
}

fn answer(at: i64, ahead: i64, wrong: i64) -> Option<AnsweredClock> {
    Some(AnsweredClock { at, ahead, wrong })
}

#[test]
fn clocks_that_answered_are_compared_the_less_the_longer_ago_that_was() {
    for (after, most) in [(0, 13 * MS), (60, 133 * MS), (3_600, 7_213 * MS)] {
        let told = clocks(&[
            answer((1_010 + after) * S, 0, MS),
            answer((4_610 + after) * S, 3_600 * S, 2 * MS),
            None,
        ]);
        assert_eq!(told.known(1), FoundBy::Answered);
        let (ahead, wrong) = told.offset(1).unwrap();
        assert_eq!(ahead, 3_600 * S, "an hour ahead, and no wider for it");
        assert!((3 * MS..most + 5 * MS).contains(&(wrong as i64)), "{after} s: {wrong}");
        assert_eq!((told.known(2), told.offset(2)), (FoundBy::Nothing, None));
        let slow = told.place(1, 4_605 * S);
        assert!(slow.time.abs_diff(1_005 * S) <= slow.bar.unwrap().unsigned_abs());
        let fast = told.place_fast(1, 4_605 * S);
        assert!(fast.bar >= slow.bar, "{fast:?} {slow:?}");
    }
}

#[test]
fn the_truth_lies_in_the_bar_whatever_the_rates_are() {
    for (a, b) in [(0, 0), (500, -500), (-500, 500), (500, 500)] {
        // Parts in a million; both clocks show the same at 1,010 s, when they answer.
        let shows = |rate: i64, at: i64| at + (at - 1_010 * S) / 1_000_000 * rate;
        let told = clocks(&[answer(1_010 * S, 0, 0), answer(1_010 * S, 0, 0)]);
        for at in [1_000 * S, 1_005 * S] {
            let placed = told.place(1, shows(b, at));
            let apart = placed.time.abs_diff(shows(a, at));
            assert!(apart <= placed.bar.unwrap().unsigned_abs(), "{a} {b} {at}: {placed:?}");
        }
    }
}
