//! Tables of an hour and more, and what is said of them.

use super::*;

const S: u64 = 1_000_000_000;
/// When the window begins.
const FROM: u64 = 1_795_356_860;

fn covered() -> Span {
    Span::new(Wall(FROM * S), Wall((FROM + 130) * S))
}

/// A table of so many minutes before the window with that many frames a second, and of the window's seconds.
fn table(minutes: &[u64], seconds: impl Iterator<Item = (u64, u64)>) -> String {
    let mut table =
        "date,seconds,if,class,frames,bytes,dropped,kernel_dropped,folded,services\n".to_owned();
    let mut line = |end: u64, seconds: u64, frames: u64| {
        let date = Wall(end * S).milliseconds();
        table.push_str(&format!("{date},{seconds}.001,eth0,data,{frames},0,0,,0,\n"));
    };
    for (number, rate) in (1..).zip(minutes) {
        line(FROM - 60 * (minutes.len() as u64 + 1 - number), 60, 60 * rate);
    }
    for (second, frames) in seconds {
        line(FROM + second, 1, frames);
    }
    table
}

fn remark(table: &str) -> Option<String> {
    let found = of(table.as_bytes(), covered());
    assert_eq!(found.len(), 1);
    found[0].remark.clone()
}

/// A window that has `rate` frames a second, and `burst` of them for so many seconds.
fn window(rate: u64, burst: u64, lasts: u64) -> impl Iterator<Item = (u64, u64)> {
    (1..130)
        .map(move |second| (second, if (60..60 + lasts).contains(&second) { burst } else { rate }))
}

#[test]
fn what_is_far_from_usual_is_said_and_what_is_near_is_not() {
    let usual: Vec<u64> = (0..240).map(|minute| 80 + minute % 41).collect();
    for (rate, burst, lasts, said) in [
        (100, 100, 0, None),
        (100, 230, 60, None),
        (
            100,
            480,
            60,
            Some(
                "480 frames/s over a minute, 4.0 times the rate of any of the 240 minutes before (at most 120 frames/s)",
            ),
        ),
        // A storm of five seconds is compared as what it was over a minute.
        (
            100,
            10_000,
            5,
            Some(
                "938 frames/s over a minute, 7.8 times the rate of any of the 240 minutes before (at most 120 frames/s)",
            ),
        ),
        (
            100,
            0,
            60,
            Some(
                "0.0 frames/s over a minute, fewer than in any of the 240 minutes before (at least 80 frames/s)",
            ),
        ),
        (100, 50, 60, None),
    ] {
        let told = remark(&table(&usual, window(rate, burst, lasts)));
        assert_eq!(told.as_deref(), said, "{rate} {burst} {lasts}");
    }
    let quiet = vec![0; 90];
    let told = remark(&table(&quiet, window(0, 600, 60)));
    let said = "599 frames/s over a minute; fewer than one in any of the 90 minutes before";
    assert_eq!(told.as_deref(), Some(said));
    assert_eq!(remark(&table(&quiet, window(0, 9, 60))), None, "a few hellos more");
}

#[test]
fn the_figures_are_those_of_whole_minutes() {
    let usual: Vec<u64> = (1..=61).collect();
    let found = of(table(&usual, window(30, 300, 60)).as_bytes(), covered());
    let Usual { interface, class, minutes, since, before, now, .. } = &found[0];
    assert_eq!((&**interface, &**class, *minutes), ("eth0", "data", 61));
    assert_eq!(*since, Wall((FROM - 61 * 60) * S));
    let rounded = |rates: &MinuteRates| {
        [Some(rates.least), rates.median, Some(rates.most)].map(|rate| rate.map(f64::round))
    };
    assert_eq!(rounded(before), [Some(1.0), Some(31.0), Some(61.0)]);
    assert_eq!(rounded(now), [Some(30.0), None, Some(300.0)]);
}

#[test]
fn where_there_is_too_little_to_compare_nothing_is_said() {
    let hour = vec![100; 60];
    let said = |table: &str| of(table.as_bytes(), covered()).len();
    assert_eq!(said(&table(&hour[..59], window(9_000, 0, 0))), 0, "less than an hour");
    assert_eq!(said(&table(&hour, window(9_000, 0, 0).take(50))), 0, "no whole minute");
    // A gap is not zero: two halves of a minute with a pause between them are none.
    let halves =
        window(9_000, 0, 0).filter(|(second, _)| (20..60).contains(second) || *second > 90);
    assert_eq!(said(&table(&hour, halves)), 0);
    assert_eq!(said(&table(&hour, window(9_000, 0, 0))), 1);
    assert_eq!(said(""), 0);
    assert_eq!(said("nonsense\n\u{0}\n"), 0);
}
