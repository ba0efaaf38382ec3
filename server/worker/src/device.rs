//! Which device a run trains on. The computing kernels exist for the CPU; a GPU asked for by name is a clear
//! error, and a GPU that happens to be there is mentioned and left alone.

use std::path::{Path, PathBuf};

use contract::problem::Problem;

/// Name of the CPU in events.
pub const CPU: &str = "cpu";

/// The device chosen, with a sentence for the log when it may not be the one expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Name in events.
    pub name: &'static str,
    /// What the log should say.
    pub notice: Option<String>,
}

/// Decides for `auto`, `cpu` or `cuda`.
///
/// # Errors
/// `device.no_cuda` when a CUDA GPU is asked for.
pub fn choose(wish: &str) -> Result<Choice, Problem> {
    let driver = driver();
    match wish {
        "cuda" => {
            let why = match driver {
                Some(path) => {
                    format!("there is a driver ({}), but this worker computes on the CPU", path.display())
                }
                None => "this machine has no CUDA driver (libcuda.so.1)".to_owned(),
            };
            Err(Problem::new("device.no_cuda", format!("A CUDA GPU was asked for, but {why}."))
                .field("device")
                .hint("Choose Automatic or CPU and launch the run again."))
        }
        "auto" => Ok(Choice {
            name: CPU,
            notice: driver.map(|_| "There is a CUDA driver, but this worker computes on the CPU.".to_owned()),
        }),
        _ => Ok(Choice { name: CPU, notice: None }),
    }
}

/// Devices it can train on.
pub fn names() -> Vec<String> {
    vec![CPU.to_owned()]
}

/// Where CUDA's driver library lies. It is looked for as a file; loading it would need unsafe code.
fn driver() -> Option<PathBuf> {
    let listed = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let usual = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/lib/wsl/lib",
    ];
    find_driver(std::env::split_paths(&listed).chain(usual.iter().map(PathBuf::from)))
}

fn find_driver(folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.map(|folder| folder.join(Path::new("libcuda.so.1"))).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_cannot_be_used_is_one_clear_problem() {
        let problem = choose("cuda").expect_err("no CUDA kernels");
        assert_eq!((problem.code.as_str(), problem.form_key()), ("device.no_cuda", Some("device")));
        assert_eq!(choose("auto").expect("the CPU").name, CPU);
    }

    #[test]
    fn the_driver_is_found_where_the_path_says() {
        let place = tempfile::tempdir().expect("a folder");
        let empty = place.path().join("empty");
        assert_eq!(find_driver([empty.clone()].into_iter()), None);
        std::fs::write(place.path().join("libcuda.so.1"), b"").expect("written");
        let found = find_driver([empty, place.path().to_owned()].into_iter());
        assert_eq!(found, Some(place.path().join("libcuda.so.1")));
    }
}
