//! What a reading process may take, set by itself when it starts: nothing that a file does afterwards can widen it.

use std::time::Duration;

use contract::Code;
use contract::problem::Problem;
use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// How much it stands behind training and answering, of 19: on a busy core it still has a quarter, for people wait for it.
const NICENESS: i32 = 5;

/// Stack of the thread that reads, bytes: parsers go down a level for every level of a file. It costs addresses, and
/// memory only where it is used.
pub(crate) const STACK: usize = 64 << 20;

/// Threads that tokenise: half the cores.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// Bounds the process: `memory` bytes beyond what it has now, no core file, a rank behind them.
///
/// # Errors
/// Where the system refuses, `reading.no_limits`: without limits nothing is read.
pub(crate) fn set(memory: u64) -> Result<(), Problem> {
    let refused = |why: String| {
        Problem::new(Code::ReadingNoLimits, format!("A reading process could not limit itself: {why}."))
            .with("why", why)
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads())
        .stack_size(STACK)
        .build_global()
        .map_err(|why| refused(why.to_string()))?;
    let stacks = STACK as u64 * (threads() as u64 + 1);
    let all = size()?.saturating_add(memory).saturating_add(stacks);
    let lower = |resource, most: u64| {
        let now = getrlimit(resource);
        let most = now.maximum.map_or(most, |maximum| maximum.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(|why| refused(why.to_string()))
    };
    lower(Resource::As, all)?;
    lower(Resource::Core, 0)?;
    nice(NICENESS).map(drop).map_err(|why| refused(why.to_string()))
}

/// Addresses the process uses now, bytes.
fn size() -> Result<u64, Problem> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    let page = rustix::param::page_size() as u64;
    pages.map(|pages| pages * page).ok_or_else(|| {
        Problem::new(Code::ReadingNoLimits, "A reading process could not limit itself: no /proc.")
            .with("why", "/proc")
    })
}

/// Lets the process use that much processor time from now on before the system ends it: the last resort where not even
/// the watching thread gets its turn. Every thread may be at work, and the watch comes first.
pub(crate) fn processor_time(within: Duration) {
    let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec.unsigned_abs();
    let most = used + (within.as_secs() + 2) * (threads() as u64 + 1);
    let maximum = getrlimit(Resource::Cpu).maximum;
    let current = Some(maximum.map_or(most, |maximum| maximum.min(most)));
    // the watch is the limit that speaks; without this one it still does
    let _ = setrlimit(Resource::Cpu, Rlimit { current, maximum });
}
