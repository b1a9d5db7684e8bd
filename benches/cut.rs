//! Question: how fast is `dashcap cut` beside `editcap` and `cp`?
//! Input: a capture file of gigabytes, and two windows of it, one quiet and one loud, in seconds since 1970.
//! Each pass runs `editcap -A -B` and `dashcap cut` one after the other, to files beside each other; for plain
//! output also `cp` of the result. The input has been read once before, so that it is in memory for all.
//! Unit: seconds; ratios are medians of paired passes.
//!
//! Run: `cargo bench --bench cut -- FULL.pcapng 1512451610 1512451670 1512451680 1512451740`
//! Without arguments it only says so: the file is too big to keep or make for every run.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The binary that cargo built beside this benchmark.
const BINARY: &str = env!("CARGO_BIN_EXE_dashcap");
const PASSES: usize = 3;
/// How many times faster than editcap a quiet and a loud minute are to be, and the part of cp's speed.
const QUIET: f64 = 200.0;
const LOUD: f64 = 5.0;
const COPY: f64 = 0.8;

fn main() {
    // Cargo adds --bench.
    let arguments: Vec<String> = env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [input, quiet_from, quiet_to, loud_from, loud_to] = &arguments[..] else {
        println!("cut: skipped; it wants FILE QUIET-FROM QUIET-TO LOUD-FROM LOUD-TO");
        return;
    };
    let size = fs::File::open(input)
        .and_then(|mut file| io::copy(&mut file, &mut io::sink()))
        .expect("the input can be read");
    println!("cut, {input} of {size} bytes, {PASSES} passes");
    let place = env::temp_dir().join(format!("dashcap-bench-{}", std::process::id()));
    fs::create_dir(&place).expect("a directory can be made");
    let quiet = Window { input, from: quiet_from, to: quiet_to };
    let loud = Window { input, from: loud_from, to: loud_to };
    let faster = |window: &Window<'_>, name: &str| {
        median(|| window.editcap(&place) / window.cut(&place.join(name)))
    };
    report("quiet minute, faster than editcap", faster(&quiet, "cut.pcapng"), QUIET);
    report("loud minute to zstd, faster than editcap", faster(&loud, "cut.pcapng.zst"), LOUD);
    let out = place.join("cut.pcapng");
    let copy = place.join("copy.pcapng");
    let of_cp = median(|| {
        let cut = loud.cut(&out);
        // As the cut's own output: to a name that is not there yet.
        let _ = fs::remove_file(&copy);
        timed(Command::new("cp").arg(&out).arg(&copy)) / cut
    });
    report("loud minute, plain, part of cp's speed", of_cp, COPY);
    fs::remove_dir_all(&place).expect("it can be removed");
}

struct Window<'a> {
    input: &'a str,
    from: &'a str,
    to: &'a str,
}

impl Window<'_> {
    fn editcap(&self, place: &Path) -> f64 {
        let out = place.join("editcap.pcapng");
        let _ = fs::remove_file(&out);
        let window = ["-A", self.from, "-B", self.to, self.input];
        timed(Command::new("editcap").args(window).arg(out))
    }

    fn cut(&self, out: &Path) -> f64 {
        let _ = fs::remove_file(out);
        let window = ["--from", self.from, "--to", self.to];
        timed(Command::new(BINARY).arg("cut").arg(self.input).args(window).arg("-o").arg(out))
    }
}

fn timed(command: &mut Command) -> f64 {
    let begun = Instant::now();
    let done = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let took = begun.elapsed().as_secs_f64();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    println!("  {took:8.3} s {}", command.get_program().to_string_lossy());
    took
}

fn median(pass: impl Fn() -> f64) -> f64 {
    let mut ratios: Vec<f64> = (0..PASSES).map(|_| pass()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[PASSES / 2]
}

fn report(name: &str, ratio: f64, least: f64) {
    let verdict = if ratio >= least { "reached" } else { "MISSED" };
    println!("figure\tcut, {name}\t{ratio:.2}\t>= {least}\t{verdict}");
}
