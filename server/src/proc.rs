//! What the kernel says about processes and the machine, read from `/proc`.

use std::path::Path;
use std::sync::Mutex;

/// When a process started, in kernel ticks since boot; with its id it names a process for good.
/// `None` when there is no such process (a zombie counts as gone).
pub fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

/// The command name may hold spaces and parentheses: fields count from its last `)`.
fn parse_stat(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let state = fields.first()?;
    (!matches!(*state, "Z" | "X" | "x")).then_some(())?;
    fields.get(19)?.parse().ok()
}

/// Whether the process with this id and start still runs.
pub fn is_alive(pid: u32, start: u64) -> bool {
    start_ticks(pid) == Some(start)
}

/// What a process has done so far, to see whether it does anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Its state, a letter of the kernel.
    pub state: char,
    /// Processor time, in ticks.
    pub ticks: u64,
    /// What it has read and written, in the kernel's words.
    pub io: String,
}

impl Activity {
    /// Whether somebody has stopped it (SIGSTOP, a debugger).
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }

    /// Whether it waits for the disk and can do nothing else.
    pub fn waits_for_disk(&self) -> bool {
        self.state == 'D'
    }
}

/// What a process has done so far; `None` when there is no such process.
pub fn activity(pid: u32) -> Option<Activity> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    Some(Activity { state: fields.first()?.chars().next()?, ticks: ticks(11)? + ticks(12)?, io })
}

/// Memory used and in all, bytes.
pub fn memory() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
    };
    let total = kib("MemTotal:") * 1024;
    (total.saturating_sub(kib("MemAvailable:") * 1024), total)
}

/// Free bytes for us on the disk of `path`; 0 when unknown.
pub fn disk_free(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |stat| stat.f_bavail * stat.f_frsize)
}

/// Measures how busy the cores are between two calls.
#[derive(Debug, Default)]
pub struct CpuMeter(Mutex<(u64, u64, f64)>);

impl CpuMeter {
    /// Share of all cores busy since the last call, 0 to 1.
    pub fn read(&self) -> f64 {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks: Vec<u64> = text
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .filter_map(|word| word.parse().ok())
            .collect();
        // guest time is already part of user time
        let total: u64 = ticks.iter().take(8).sum();
        let idle = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (spent, rested) = (total.saturating_sub(last.0), idle.saturating_sub(last.1));
        let share = if spent == 0 { last.2 } else { 1.0 - (rested as f64 / spent as f64).clamp(0.0, 1.0) };
        *last = (total, idle, share);
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_is_seen_to() {
        let pid = std::process::id();
        let before = activity(pid).expect("this process runs");
        assert!(!before.is_stopped() && !before.waits_for_disk());
        let mut sum = 0_u64;
        while activity(pid).expect("it runs").ticks == before.ticks {
            sum = (0..1_000_000).fold(sum, |sum: u64, at| sum.wrapping_mul(31).wrapping_add(at));
        }
        assert!(std::hint::black_box(sum) > 0);
        assert_eq!(activity(u32::MAX), None);
    }

    #[test]
    fn a_process_is_known_by_id_and_start() {
        let pid = std::process::id();
        let start = start_ticks(pid).expect("this process runs");
        assert!(is_alive(pid, start));
        assert!(!is_alive(pid, start + 1), "the id was given to another process");
    }

    #[test]
    fn odd_command_names_and_zombies() {
        let tail = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        assert_eq!(parse_stat(&format!("9 (a) b (c)) S {tail}")), Some(777));
        assert_eq!(parse_stat(&format!("9 (a) Z {tail}")), None);
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn the_machine_has_memory_and_its_cores_are_between_idle_and_busy() {
        let (used, total) = memory();
        assert!(used > 0 && used < total);
        assert!((0.0..=1.0).contains(&CpuMeter::default().read()));
        assert!(disk_free(Path::new("/")) > 0);
    }
}
