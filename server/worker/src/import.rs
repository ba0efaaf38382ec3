//! Bringing in models: a Hugging Face folder or a GGUF file becomes a model folder, whole or not at all.

mod adapter;
mod folder;
mod gguf;
mod head;

use std::path::{Path, PathBuf};

use contract::Code;
use contract::model::ModelFacts;
use contract::problem::{Problem, name_of};

use crate::facts;
use crate::problems::of_file;

/// Imports `source` as the new folder `target`.
///
/// # Errors
/// One clear problem; then nothing is left at `target`.
pub fn import(source: &Path, target: &Path) -> Result<ModelFacts, Problem> {
    let found = std::fs::metadata(source).map_err(|why| {
        Problem::new(Code::ModelSourceMissing, format!("{} cannot be opened: {why}.", name_of(source)))
            .with("path", name_of(source))
            .with("why", why)
            .hint("Give the full path of a model folder or a .gguf file on the server's disk.")
    })?;
    adapter::refuse(source)?;
    let file = if found.is_dir() { folder::single_gguf(source)? } else { Some(source.to_owned()) };
    in_new_folder(target, |half| match &file {
        Some(file) => {
            let license = gguf::convert(file, half)?;
            facts::write(half, "gguf", license)
        }
        None => {
            folder::copy(source, half)?;
            head::untie(half)?;
            facts::write(half, "folder", folder::license(source))
        }
    })
}

/// Lets `fill` write into a half-made folder beside `target`, then gives it its name; on failure it is removed.
///
/// # Errors
/// Those of `fill`, or when `target` exists or the disk refuses.
pub fn in_new_folder<T>(target: &Path, fill: impl FnOnce(&Path) -> Result<T, Problem>) -> Result<T, Problem> {
    if target.exists() {
        return Err(Problem::new(Code::ModelExists, format!("{} exists already.", name_of(target)))
            .with("name", name_of(target)));
    }
    let half = half_name(target);
    // Left over from a process that was killed.
    let _ = std::fs::remove_dir_all(&half);
    std::fs::create_dir_all(&half).map_err(|why| of_file(&half, "create", &why))?;
    let made = fill(&half).and_then(|made| {
        std::fs::rename(&half, target).map_err(|why| of_file(target, "create", &why))?;
        Ok(made)
    });
    if made.is_err() {
        let _ = std::fs::remove_dir_all(&half);
    }
    made
}

fn half_name(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    target.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_import_leaves_nothing() {
        let place = tempfile::tempdir().expect("a folder");
        let target = place.path().join("new");
        let made: Result<(), _> = in_new_folder(&target, |half| {
            std::fs::write(half.join("config.json"), b"{}").expect("written");
            Err(Problem::new(Code::DiskFull, "no"))
        });
        assert_eq!(made.expect_err("failed").code, Code::DiskFull);
        assert_eq!(std::fs::read_dir(place.path()).expect("lists").count(), 0);
    }

    #[test]
    fn an_existing_model_is_never_overwritten() {
        let place = tempfile::tempdir().expect("a folder");
        assert_eq!(in_new_folder(place.path(), |_| Ok(())).expect_err("exists").code, Code::ModelExists);
    }

    #[test]
    fn a_missing_source_is_named() {
        let place = tempfile::tempdir().expect("a folder");
        let problem =
            import(&place.path().join("nope.gguf"), &place.path().join("new")).expect_err("missing");
        assert!(problem.code == Code::ModelSourceMissing && problem.message.contains("nope.gguf"));
    }
}
