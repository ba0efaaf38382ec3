//! A checkpoint to take away: the folder that PEFT or transformers opens, as a zip, as it lies on the disk. What only a
//! resumed run needs stays here.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use axum::body::Body;
use contract::RunId;
use contract::spec::CheckpointKey;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::chain;
use super::streamed::streamed;
use crate::error::Fault;
use crate::state::AppState;

/// Files that a resumed run alone reads: moments, and what lies beside them.
const KEPT_HERE: [&str; 2] = ["manifest.json", "optimizer.safetensors"];

/// The zip of a checkpoint, as it is being made.
///
/// # Errors
/// A run or a checkpoint that is gone, a disk that fails.
pub async fn zip(state: &AppState, run: RunId, step: u64) -> Result<Body, Fault> {
    let found = chain::find(state, &CheckpointKey { run, step }, "step").await?;
    let folder = PathBuf::from(found.folder);
    let listed = {
        let folder = folder.clone();
        tokio::task::spawn_blocking(move || files(&folder)).await?
    };
    let files = listed.map_err(Fault::disk("read", &folder))?;
    Ok(streamed(move |out| write(&files, out)))
}

/// Files of a checkpoint by name; links are passed over.
fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && !KEPT_HERE.contains(&name.as_str()) {
            files.push((name, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

fn write(files: &[(String, PathBuf)], out: &mut dyn Write) -> io::Result<()> {
    let mut zip = ZipWriter::new_stream(out);
    for (name, path) in files {
        let mut file = File::open(path)?;
        // Weights do not become smaller by packing.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .unix_permissions(0o644)
            .large_file(file.metadata()?.len() > u64::from(u32::MAX) / 2);
        zip.start_file(name, options).map_err(io::Error::other)?;
        io::copy(&mut file, &mut zip)?;
    }
    zip.finish().map_err(io::Error::other)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn s_019_a_checkpoint_is_packed_as_others_open_it() {
        let place = tempfile::tempdir().expect("a folder");
        let write_in =
            |name: &str, text: &str| std::fs::write(place.path().join(name), text).expect("written");
        write_in("adapter_config.json", "{}");
        write_in("adapter_model.safetensors", "weights");
        KEPT_HERE.into_iter().for_each(|name| write_in(name, "moments"));
        std::os::unix::fs::symlink("/etc/passwd", place.path().join("link")).expect("linked");
        let mut packed = Vec::new();
        write(&files(place.path()).expect("listed"), &mut packed).expect("written");
        let mut zip = zip::ZipArchive::new(io::Cursor::new(packed)).expect("a zip");
        let names: Vec<String> = zip.file_names().map(str::to_owned).collect();
        assert_eq!(names, ["adapter_config.json", "adapter_model.safetensors"]);
        let mut text = String::new();
        zip.by_name("adapter_model.safetensors").expect("there").read_to_string(&mut text).expect("reads");
        assert_eq!(text, "weights");
    }
}
