//! Small files of other people: regular ones only, and never more of them than is expected.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use contract::Code;
use contract::problem::Problem;

use crate::problems::of_file;

/// Whether a regular file (or a link to one) stands there: a pipe or a device would be read for ever.
pub(super) fn is_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file())
}

/// The bytes of a file of at most `most` bytes.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Problem> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !is_file(path) {
        return Err(Problem::new(Code::ModelFileMissing, format!("The folder holds no {name}."))
            .file(name)
            .hint("An adapter is adapter_config.json with adapter_model.safetensors, as PEFT writes them."));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|why| of_file(path, "read", &why))?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(|why| of_file(path, "read", &why))?;
    if bytes.len() as u64 > most {
        let why = format!("{name} is larger than {most} bytes");
        return Err(Problem::new(Code::LoraConfig, format!("{why}.")).with("why", why));
    }
    Ok(bytes)
}
