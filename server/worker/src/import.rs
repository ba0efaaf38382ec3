//! Bringing in models: a Hugging Face folder or a GGUF file becomes a model folder, whole or not at all. Either may come as
//! a zip; an adapter is told apart and kept as what it is.

mod archive;
mod folder;
mod gguf;
mod head;

use std::path::Path;

use contract::Code;
use contract::adapter::Imported;
use contract::files::{self, Unread};
use contract::problem::{Problem, name_of};
use contract::worker::half_made;

use crate::problems::{of_file, of_unread};
use crate::{adapter, facts};

/// Folder within a half-made one that a zip is unpacked to; it is gone before the whole one has its name.
const UNPACKED: &str = "unpacked";

/// Imports `source` as the new folder `target`.
///
/// # Errors
/// One clear problem; then nothing is left at `target`.
pub fn import(source: &Path, target: &Path) -> Result<Imported, Problem> {
    look(source)?;
    in_new_folder(target, |half| match archive::find(source) {
        Some(zip) => {
            let unpacked = half.join(UNPACKED);
            archive::unpack(&zip, &unpacked)?;
            let made = take_in(&unpacked, half)?;
            std::fs::remove_dir_all(&unpacked).map_err(|why| of_file(&unpacked, "remove", &why))?;
            Ok(made)
        }
        None => take_in(source, half),
    })
}

fn take_in(source: &Path, half: &Path) -> Result<Imported, Problem> {
    if let Some(adapter) = adapter::look(source)? {
        return adapter::keep(adapter, source, half);
    }
    let file = if look(source)? { folder::single_gguf(source)? } else { Some(source.to_owned()) };
    let facts = match &file {
        Some(file) => {
            let license = gguf::convert(file, half)?;
            facts::write(half, "gguf", license)?
        }
        None => {
            folder::copy(source, half)?;
            head::untie(half)?;
            facts::write(half, "folder", folder::license(source))?
        }
    };
    Ok(Imported::Model(Box::new(facts)))
}

/// Whether the source is a folder; otherwise it is a regular file.
fn look(source: &Path) -> Result<bool, Problem> {
    if std::fs::metadata(source).is_ok_and(|found| found.is_dir()) {
        return Ok(true);
    }
    match files::regular(source) {
        Ok(_) => Ok(false),
        Err(Unread::Io(why)) => {
            let name = name_of(source);
            Err(Problem::new(Code::ModelSourceMissing, format!("{name} cannot be opened: {why}."))
                .with("path", name)
                .with("why", why)
                .hint("Give the full path of a model folder or a .gguf file on the server's disk."))
        }
        Err(why) => Err(of_unread(source, &why)),
    }
}

/// Lets `fill` write into a half-made folder beside `target`, then gives it its name; on failure it is removed.
///
/// # Errors
/// Those of `fill`, or when `target` exists or the disk refuses.
pub fn in_new_folder<T>(target: &Path, fill: impl FnOnce(&Path) -> Result<T, Problem>) -> Result<T, Problem> {
    if target.exists() {
        let name = name_of(target);
        return Err(Problem::new(Code::ModelExists, format!("{name} exists already.")).with("name", name));
    }
    let half = half_made(target);
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
