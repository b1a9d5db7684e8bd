//! Question: is each of `dashcap thin` and `dashcap report` no slower than one pass of tcpdump that drops one
//! flow, which is what an operator would type?
//! Input: a capture file of gigabytes, which has been read once before, so that it is in memory for all.
//! Each pass runs `tcpdump -r IN -w OUT 'not (vlan and ip and port 1434)'`, `dashcap thin`, the same with
//! `--target 50MiB`, and `dashcap report`, one after the other.
//! Unit: seconds; ratios are medians of paired passes.
//!
//! Run: `cargo bench --bench thin -- FULL.pcapng`
//! Without arguments it only says so: the file is too big to keep or make for every run.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The binary that cargo built beside this benchmark.
const BINARY: &str = env!("CARGO_BIN_EXE_dashcap");
const PASSES: usize = 3;
const FILTER: &str = "not (vlan and ip and port 1434)";
/// As fast as tcpdump, at least.
const LEAST: f64 = 1.0;

fn main() {
    // Cargo adds --bench.
    let arguments: Vec<String> = env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [input] = &arguments[..] else {
        println!("thin: skipped; it wants FILE");
        return;
    };
    let size = fs::File::open(input)
        .and_then(|mut file| io::copy(&mut file, &mut io::sink()))
        .expect("the input can be read");
    println!("thin, {input} of {size} bytes, {PASSES} passes");
    let place = env::temp_dir().join(format!("dashcap-bench-{}", std::process::id()));
    fs::create_dir(&place).expect("a directory can be made");
    let mut ratios = [const { Vec::new() }; 3];
    for _ in 0..PASSES {
        let rival = tcpdump(input, &place.join("tcpdump.pcap"));
        let out = place.join("thin.pcapng.zst");
        let thin = |more: &[&str]| {
            let _ = fs::remove_file(&out);
            quietly(Command::new(BINARY).args(["thin", input, "-o"]).arg(&out).args(more))
        };
        let report = || quietly(Command::new(BINARY).args(["report", input]));
        let ours = [thin(&[]), thin(&["--target", "50MiB"]), report()];
        ours.iter().zip(&mut ratios).for_each(|(took, ratios)| ratios.push(rival / took));
    }
    for (name, ratios) in ["thin", "thin --target 50MiB", "report"].iter().zip(&mut ratios) {
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[PASSES / 2];
        let verdict = if ratio >= LEAST { "reached" } else { "MISSED" };
        println!("figure\t{name}, faster than tcpdump\t{ratio:.2}\t>= {LEAST}\t{verdict}");
    }
    fs::remove_dir_all(&place).expect("it can be removed");
}

fn tcpdump(input: &str, out: &Path) -> f64 {
    let _ = fs::remove_file(out);
    // It writes to standard output because as root it becomes another user, who may not write there.
    let file = fs::File::create(out).expect("a file can be made");
    let mut command = Command::new("tcpdump");
    command.args(["-r", input, "-w", "-", FILTER]).stdout(file);
    timed(&mut command)
}

fn quietly(command: &mut Command) -> f64 {
    timed(command.stdout(Stdio::null()))
}

fn timed(command: &mut Command) -> f64 {
    let begun = Instant::now();
    let done = command.status().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let took = begun.elapsed().as_secs_f64();
    assert!(done.success(), "{command:?}: {done}");
    println!("  {took:8.3} s {}", command.get_program().to_string_lossy());
    took
}
