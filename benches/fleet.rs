//! Questions: are a million frames a side matched within two seconds? Is the true offset of two clocks always inside
//! the band that their frames prove, and is no frame called lost that was not?
//! Input: simulated pairs of hosts (`tests/lab/pair.rs`) with clocks that are up to an hour apart, drift and are set,
//! a network that loses and duplicates, offloads, stripped tags, a recorder that drops, a way that dies.
//! Unit: seconds from the frames in memory to matches, clocks and links, the median of [`PASSES`]; frames.
//!
//! Run: `cargo bench --bench fleet [PAIRS]` (default 10,000)

#[path = "../tests/lab/pair.rs"]
mod pair;

use std::env;
use std::time::Instant;

use pair::{Pair, Random, World, world};

const S: i64 = 1_000_000_000;
const PASSES: usize = 3;
const PAIRS: u64 = 10_000;
/// Seconds for a million frames a side.
const MOST: f64 = 2.0;

fn main() {
    // Cargo adds --bench.
    let pairs = env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(PAIRS);
    million();
    truth(pairs);
}

/// A minute of a link with a million frames at each end.
fn million() {
    let world = World {
        seconds: 60,
        rate: 9_000,
        offset: 90 * S,
        drift: 30_000,
        step: 0,
        lost_in: 1_000,
        twice_in: 0,
        dropped_in: 0,
        offloads: true,
        dead_from: None,
    };
    let mut times = Vec::new();
    for pass in 0..PASSES {
        let mut pair = Pair::play(world, pass as u64);
        let frames = pair.sightings.len();
        let begun = Instant::now();
        let compared = pair.compared();
        times.push(begun.elapsed().as_secs_f64());
        let link = compared.links.first().expect("it is proven");
        println!("{frames} frames of both sides, {} matches, {:.3} s", link.matches, times[pass]);
    }
    times.sort_by(f64::total_cmp);
    let took = times[PASSES / 2];
    let verdict = if took <= MOST { "reached" } else { "MISSED" };
    println!("figure\t1 M frames a side matched and compared\t{took:.2} s\t<= {MOST} s\t{verdict}");
}

fn truth(pairs: u64) {
    let mut random = Random(20_261_130);
    let (mut outside, mut wrong, mut compared, mut lost, mut widths) = (0, 0, 0, 0, Vec::new());
    for seed in 0..pairs {
        let world = world(&mut random);
        let mut pair = Pair::play(world, seed);
        let report = pair.compared();
        for pairing in report.pairings() {
            compared += 1;
            for moment in 0..=2 * world.seconds {
                let at = moment * S / 2;
                let (told, truth) = (pairing.band.at(at), pair.truth(at));
                let inside = told.low.is_none_or(|low| low <= truth)
                    && told.high.is_none_or(|high| truth <= high);
                if !inside {
                    outside += 1;
                    println!("outside: seed {seed}, {at}, {truth}, {told:?}, {world:?}");
                }
            }
            widths.extend(pairing.band.at(S).width());
        }
        for link in &report.links {
            for (n, way) in link.ways.iter().enumerate() {
                let most = if pair.dropped > 0 && n == 0 { 0 } else { pair.lost[n] };
                let told = way.lost.unwrap_or_default();
                lost += told;
                wrong += told.saturating_sub(most);
            }
        }
    }
    widths.sort_unstable();
    let middle = widths.get(widths.len() / 2).copied().unwrap_or_default() as f64 / 1e3;
    let verdict = |bad: u64| if bad == 0 { "reached" } else { "MISSED" };
    println!(
        "{pairs} pairs, {compared} of them proven; bands of {middle:.1} µs in the middle; {lost} frames told lost"
    );
    println!("figure\ttruth outside the band\t{outside}\t0\t{}", verdict(outside));
    println!("figure\tframes told lost that were not\t{wrong}\t0\t{}", verdict(wrong));
}
