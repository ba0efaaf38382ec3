//! `burnish doctor`: looks at everything Burnish needs and says what to do about what is missing.

use std::fmt::Write;

use rustix::fs::Access;

use crate::config::Config;
use crate::store::Store;
use crate::{executor, proc};

/// One finding.
struct Check {
    good: bool,
    what: &'static str,
    found: String,
}

/// Looks at everything; returns the report and whether all that is needed is there.
pub async fn examine(config: &Config) -> (String, bool) {
    let mut checks = vec![worker(config).await, site(config), folder(config)];
    checks.push(database(config).await);
    let free = proc::disk_free(&config.data_dir);
    checks.push(Check { good: free > 2 << 30, what: "disk", found: format!("{} MiB free", free >> 20) });
    let well = checks.iter().all(|check| check.good);
    let (device, starter) = (devices(config).await, starter(config));
    let mut report = String::new();
    for check in checks.iter().chain([&device, &starter]) {
        let mark = if check.good { "ok  " } else { "MISS" };
        // writing to a string cannot fail
        let _ = writeln!(report, "{mark} {:<14} {}", check.what, check.found);
    }
    (report, well)
}

async fn worker(config: &Config) -> Check {
    let path = config.worker.display();
    let output = executor::command(config).arg("--version").output().await;
    let (good, found) = match output {
        Ok(output) if output.status.success() => {
            (true, format!("{} at {path}", String::from_utf8_lossy(&output.stdout).trim()))
        }
        Ok(output) => (false, format!("{path} ended with {}; build it anew", output.status)),
        Err(why) => (false, format!("{path}: {why}; build it, or name it with BURNISH_WORKER")),
    };
    Check { good, what: "worker", found }
}

fn site(config: &Config) -> Check {
    let wasm = config.site_root.join("pkg/burnish_bg.wasm");
    let found = config.site_root.display().to_string();
    let good = wasm.is_file();
    let found = if good { found } else { format!("no browser side in {found}; make site builds it") };
    Check { good, what: "browser side", found }
}

/// Whether the data folder can be written; nothing is written or made (N7).
fn folder(config: &Config) -> Check {
    let path = &config.data_dir;
    let there = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(path);
    let tried = rustix::fs::access(there, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK);
    let found = match &tried {
        Ok(()) if there == path => format!("{} can be written", path.display()),
        Ok(()) => format!("{} will be made by the first start", path.display()),
        Err(why) => format!("{}: {why}; choose another with --data-dir", there.display()),
    };
    Check { good: tried.is_ok(), what: "data folder", found }
}

async fn database(config: &Config) -> Check {
    let path = config.database();
    if !path.exists() {
        return Check { good: true, what: "database", found: "will be made by the first start".to_owned() };
    }
    let looked = Store::look(&path).await;
    let found = match &looked {
        Ok(0) => "SQLite opens, schema is current".to_owned(),
        Ok(missing) => format!("SQLite opens; the next start brings it up to date ({missing} migrations)"),
        Err(fault) => {
            format!("{}: {fault}; it is another program's, or a newer Burnish has used it", path.display())
        }
    };
    Check { good: looked.is_ok(), what: "database", found }
}

async fn devices(config: &Config) -> Check {
    let output = executor::command(config).arg("devices").output().await;
    let names: Vec<String> =
        output.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok()).unwrap_or_default();
    let gpu = names.iter().any(|name| !name.to_ascii_lowercase().starts_with("cpu"));
    let note = if gpu { "" } else { " (no CUDA: it trains on the CPU)" };
    Check { good: !names.is_empty(), what: "devices", found: format!("{}{note}", names.join(", ")) }
}

fn starter(config: &Config) -> Check {
    let good = config.starter.as_ref().is_some_and(|path| path.is_file());
    let path = config.starter.as_ref().map(|path| path.display().to_string());
    let none = || {
        "not given; the tour makes a small model from scratch instead (make starter fetches it)".to_owned()
    };
    Check { good, what: "starter model", found: path.filter(|_| good).unwrap_or_else(none) }
}
