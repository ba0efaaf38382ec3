//! `burnish-worker gpu-check`: the recorded training runs on the GPU, number against number, then a model of a
//! billion weights with LoRA and QLoRA, with memory and tokens per second. Without a GPU it says so and succeeds.

mod large;
mod traces;

use std::path::{Path, PathBuf};

use contract::Code;
use contract::problem::Problem;
use model::kernels::Kernels;

use crate::device::{self, Kind};
use crate::problems::of_file;

/// What is to be checked, and where.
struct Check<'a> {
    /// The folder with the recorded runs (`train/*/case.json`).
    reference: Option<PathBuf>,
    /// Shape and length of the large training.
    size: large::Size,
    /// Takes lines for people.
    say: &'a mut dyn FnMut(&str),
}

/// Checks the GPU, if there is one; lines for people go to `say`.
///
/// # Errors
/// A recorded number that the device does not reproduce, or files that cannot be read.
pub fn run(reference: Option<PathBuf>, say: &mut dyn FnMut(&str)) -> Result<(), Problem> {
    let choice = device::choose("auto")?;
    if choice.kind == Kind::Cpu {
        let why = choice.notice.unwrap_or_else(|| "no CUDA driver (libcuda.so.1) was found".to_owned());
        say(&format!("NOTICE: SKIPPED, no GPU to check: {why}"));
        return Ok(());
    }
    device::on(choice.kind, Check { reference, size: large::Size::billion(), say })
}

impl device::Work for Check<'_> {
    type Out = Result<(), Problem>;

    fn run<B: Kernels>(self, device: B::Device) -> Self::Out {
        match &self.reference {
            Some(folder) => {
                let count = traces::check::<B>(folder, &device, self.say)?;
                (self.say)(&format!("{count} recorded runs reproduced."));
            }
            None => (self.say)("NOTICE: SKIPPED, no recorded runs: set BURNISH_REFERENCE."),
        }
        large::measure::<B>(&self.size, &device, self.say)
    }
}

/// A JSON file.
fn json(path: &Path) -> Result<serde_json::Value, Problem> {
    let bytes = std::fs::read(path).map_err(|why| of_file(path, "read", &why))?;
    serde_json::from_slice(&bytes).map_err(|why| {
        Problem::new(Code::GpuCheckReference, format!("{} is not JSON: {why}.", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_itself_holds_on_the_cpu() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/data");
        let mut lines = Vec::new();
        let check = Check {
            reference: Some(data),
            size: large::Size::tiny(),
            say: &mut |line| lines.push(line.to_owned()),
        };
        device::on(Kind::Cpu, check).expect("the CPU reproduces the recorded runs");
        let text = lines.join("\n");
        assert!(text.contains("recorded runs reproduced") && !text.contains("\n0 recorded"), "{text}");
        assert!(text.contains("QLoRA") && text.contains("tokens/s"), "{text}");
    }

    #[test]
    fn without_a_gpu_it_says_so_and_succeeds() {
        let mut lines = Vec::new();
        if device::choose("auto").expect("a device").kind == Kind::Cpu {
            run(None, &mut |line| lines.push(line.to_owned())).expect("nothing to check is no error");
            assert!(lines[0].starts_with("NOTICE: SKIPPED"), "{lines:?}");
        }
    }
}
