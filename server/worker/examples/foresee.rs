//! Runs of drawn settings: memory and time foreseen against what they took. `foresee WORKER FOLDER [SEED] [COUNT]`.
#![expect(clippy::expect_used, reason = "a tool of the bench: it fails by panicking")]

#[path = "../tests/worker/drawn.rs"]
mod drawn;

use std::path::PathBuf;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut path = || PathBuf::from(args.next().expect("WORKER and FOLDER"));
    let (worker, folder) = (path(), path());
    let mut number = |default: u64| args.next().map_or(default, |text| text.parse().expect("a number"));
    let (seed, count) = (number(1), number(8));
    std::fs::create_dir_all(&folder).expect("a folder");
    let place = drawn::Place::new(&worker, &folder);
    let speed = place.speed();
    println!("   {:.0} GFLOP/s in products of matrices; foreseen by measured:", speed / 1e9);
    for (at, setting) in drawn::draw(seed, usize::try_from(count).expect("few")).into_iter().enumerate() {
        let made = place.try_out(&format!("run-{seed}-{at}"), &setting, speed);
        let (memory, foreseen) = (made.peak as f64 / 1e6, made.foreseen.bytes() as f64 / 1e6);
        let load = made.foreseen.load;
        println!(
            "   memory {:.2} ({foreseen:.0} of {memory:.0} MB), time {:.2} ({:.1} of {:.1} s): {} {} {}, {} sequences, {} tokens {:?}",
            foreseen / memory,
            made.seconds / made.took,
            made.seconds,
            made.took,
            setting.size,
            setting.stage.key(),
            setting.tuning.key(),
            load.sequences,
            load.tokens,
            setting.values,
        );
    }
}
