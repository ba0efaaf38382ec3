//! Which device a run trains on, decided at run time, and the one place where that becomes a backend.
//!
//! CUDA takes part where the worker was built with the feature `cuda` and the machine has NVIDIA's driver. The
//! driver is looked for as a file: touching the device without one would end a thread of the backend in a panic.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::problem::Problem;
use model::kernels::Kernels;

/// Name of the CPU in events.
pub const CPU: &str = "cpu";
/// Name of an NVIDIA GPU in events.
pub const CUDA: &str = "cuda";

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU; without the feature `cuda` nothing chooses it.
    Cuda,
}

/// The device chosen, with a sentence for the log when it may not be the one expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What computes.
    pub kind: Kind,
    /// Name in events.
    pub name: &'static str,
    /// What the log should say.
    pub notice: Option<String>,
}

/// Work that is the same on every backend.
pub trait Work {
    /// What it gives.
    type Out;

    /// Does it on a device of this backend.
    fn run<B: Kernels>(self, device: B::Device) -> Self::Out;
}

/// Does work on the device chosen.
pub fn on<W: Work>(kind: Kind, work: W) -> W::Out {
    match kind {
        #[cfg(feature = "cuda")]
        Kind::Cuda => work.run::<model::Cuda>(Default::default()),
        _ => work.run::<model::Cpu>(Default::default()),
    }
}

/// Decides for `auto`, `cpu` or `cuda`.
///
/// # Errors
/// `device.no_cuda` when a CUDA GPU is asked for and cannot be used.
pub fn choose(wish: &str) -> Result<Choice, Problem> {
    decide(wish, cfg!(feature = "cuda"), driver().as_deref())
}

fn decide(wish: &str, built: bool, driver: Option<&Path>) -> Result<Choice, Problem> {
    let cpu = |notice: Option<&str>| Choice { kind: Kind::Cpu, name: CPU, notice: notice.map(str::to_owned) };
    let cuda = Choice { kind: Kind::Cuda, name: CUDA, notice: None };
    match (wish, built, driver) {
        ("cuda" | "auto", true, Some(_)) => Ok(cuda),
        ("cuda", _, driver) => {
            let why = match driver {
                Some(path) => {
                    format!("there is a driver ({}), but this worker was built without CUDA", path.display())
                }
                None => "this machine has no CUDA driver (libcuda.so.1)".to_owned(),
            };
            Err(Problem::new(Code::DeviceNoCuda, format!("A CUDA GPU was asked for, but {why}."))
                .field("device")
                .hint("Choose Automatic or CPU and launch the run again."))
        }
        ("auto", true, None) => {
            Ok(cpu(Some("No CUDA driver (libcuda.so.1) was found: computing on the CPU.")))
        }
        ("auto", false, Some(_)) => Ok(cpu(Some(
            "There is a CUDA driver, but this worker was built without CUDA: computing on the CPU.",
        ))),
        _ => Ok(cpu(None)),
    }
}

/// Devices it can train on.
pub fn names() -> Vec<String> {
    let mut names = vec![CPU.to_owned()];
    if cfg!(feature = "cuda") && driver().is_some() {
        names.push(CUDA.to_owned());
    }
    names
}

/// Where CUDA's driver library lies.
fn driver() -> Option<PathBuf> {
    let listed = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let usual = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/nvidia/lib64",
        "/usr/local/cuda/compat",
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
        let somewhere = Path::new("/x/libcuda.so.1");
        for (built, driver, word) in [
            (false, None, "no CUDA driver"),
            (true, None, "no CUDA driver"),
            (false, Some(somewhere), "without CUDA"),
        ] {
            let problem = decide("cuda", built, driver).expect_err("no GPU");
            assert_eq!((problem.code.as_str(), problem.form_key()), ("device.no_cuda", Some("device")));
            assert!(problem.message.contains(word), "{}", problem.message);
        }
    }

    #[test]
    fn automatic_takes_the_gpu_where_it_can_and_says_so_where_it_cannot() {
        let somewhere = Path::new("/x/libcuda.so.1");
        for wish in ["auto", "cuda"] {
            assert_eq!(decide(wish, true, Some(somewhere)).expect("a GPU").name, CUDA);
        }
        for (built, driver) in [(true, None), (false, Some(somewhere))] {
            let choice = decide("auto", built, driver).expect("the CPU");
            assert_eq!(choice.name, CPU);
            assert!(choice.notice.expect("a sentence").contains("CPU"));
        }
        assert_eq!(decide("auto", false, None).expect("the CPU").notice, None);
        assert_eq!(decide("cpu", true, Some(somewhere)).expect("the CPU").notice, None);
    }

    #[test]
    fn work_runs_on_the_backend_chosen() {
        struct Add;
        impl Work for Add {
            type Out = Vec<f32>;
            fn run<B: Kernels>(self, device: B::Device) -> Vec<f32> {
                let x = B::from_host(vec![1.0, 2.0], 1, 2, &device);
                B::to_host(&(x.clone() + x))
            }
        }
        assert_eq!(on(Kind::Cpu, Add), [2.0, 4.0]);
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
