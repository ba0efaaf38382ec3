//! Several files that become one dataset (S-073). They come in one by one, each as an upload of its own, which may be a
//! resumable one, into a folder that a client names; the last call makes a dataset of all of them. What a client has sent
//! stays for a day, so that nothing is sent twice, also when the server was away.

use std::path::{Path, PathBuf};

use contract::dataset::DatasetView;
use contract::origin::{by_name, is_hidden};
use contract::reading::{Gather, Named};
use contract::{Code, Problem, label};
use serde::{Deserialize, Serialize};

use super::incoming::{self, Temporary};
use super::remove_folder;
use super::uploads::{self, Declared, Incoming, Lineage, is_worth_asking_again};
use crate::error::Fault;
use crate::readers::Lane;
use crate::state::AppState;

/// How the folder of a set's files begins.
pub const SET: &str = "set-";
/// Longest name with its folders, characters.
const MAX_NAME: usize = 400;
/// How many times larger than the largest file the rows of a set may come to: text that was packed takes more room.
const UNPACKED: u64 = 4;

/// What is known of a file of a set, beside it.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    name: String,
    bytes: u64,
    sha256: String,
}

/// The folder of a set. The id comes from the client.
fn folder(state: &AppState, upload: &str) -> Result<PathBuf, Fault> {
    Ok(state.config.folder("uploads").join(format!("{SET}{}", uploads::upload_id(upload)?)))
}

/// A name as it is kept: its folders with it, none of them a way out.
fn name_of(name: &str) -> Result<String, Problem> {
    let parts: Vec<&str> = name.split('/').collect();
    let plain = |part: &&str| !part.is_empty() && *part != "." && *part != "..";
    let odd = name.chars().count() > MAX_NAME || name.contains(['\\', '\0']) || !parts.iter().all(plain);
    if odd {
        return Err(Problem::new(Code::UploadBadName, "A file of a dataset may not be called that.")
            .with("name", name)
            .field("name")
            .hint("Give its name with the folders it lies in, below the one that was chosen."));
    }
    Ok(label::cleaned(name, MAX_NAME))
}

/// Takes a file of a set in and says how many bytes it has; nothing of a hidden one, which is passed over. A file that
/// comes again, because an answer was lost, is the same file.
pub async fn take(state: &AppState, upload: &str, name: &str, file: Incoming) -> Result<Option<u64>, Fault> {
    let folder = folder(state, upload)?;
    let name = name_of(name)?;
    if is_hidden(&name) {
        return Ok(None);
    }
    uploads::file_name(&name)?;
    let file = file.file(state).await?;
    std::fs::create_dir_all(&folder).map_err(Fault::disk("create", &folder))?;
    let place = folder.join(uploads::digest_of(&name));
    let about = About { name, bytes: file.bytes, sha256: file.sha256.clone() };
    let beside = place.with_extension("json");
    if let Some(there) = read(&beside).filter(|there| there.sha256 != about.sha256) {
        return Err(Problem::new(Code::UploadNameTwice, format!("Two files are called {}.", there.name))
            .with("name", &there.name)
            .field("name")
            .hint("Rename one of them.")
            .into());
    }
    std::fs::rename(file.path(), &place).map_err(Fault::disk("move", &place))?;
    let half = place.with_extension("new");
    std::fs::write(&half, serde_json::to_vec(&about)?).map_err(Fault::disk("write", &half))?;
    std::fs::rename(&half, &beside).map_err(Fault::disk("move", &half))?;
    Ok(Some(about.bytes))
}

fn read(beside: &Path) -> Option<About> {
    serde_json::from_slice(&std::fs::read(beside).ok()?).ok()
}

/// The files that are there, whole.
fn files(folder: &Path) -> Vec<(PathBuf, About)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let besides = entries.filter(|path| path.extension().is_some_and(|end| end == "json"));
    besides.filter_map(|beside| Some((beside.with_extension(""), read(&beside)?))).collect()
}

/// Names and bytes of the files of a set that have come.
///
/// # Errors
/// An id that is none.
pub fn there(state: &AppState, upload: &str) -> Result<Vec<(String, u64)>, Fault> {
    let all = files(&folder(state, upload)?);
    Ok(all.into_iter().map(|(_, about)| (about.name, about.bytes)).collect())
}

/// Makes one dataset of the files of a set. Where a person is asked something, and where the server failed, the files stay
/// for the next try.
///
/// # Errors
/// `form.missing` where the set is empty; what [`uploads::keep`] and the reading of several files find wrong.
pub async fn finish(state: &AppState, upload: &str, declared: Declared) -> Result<DatasetView, Fault> {
    let folder = folder(state, upload)?;
    let listed = folder.clone();
    let all = tokio::task::spawn_blocking(move || files(&listed)).await?;
    let bytes = all.iter().map(|(_, about)| about.bytes).sum::<u64>();
    let made = match all.as_slice() {
        [] => return Err(Problem::new(Code::FormMissing, "Choose at least one file.").field("files").into()),
        [(path, about)] => {
            // What goes back where it came from lies there still.
            let mut file = Temporary::returning(path.clone(), about.bytes, Box::new(|| {}));
            file.sha256.clone_from(&about.sha256);
            uploads::named(state, &about.name, declared, file).await
        }
        _ => {
            let named = all.iter().map(|(path, about)| Named {
                path: path.to_string_lossy().into_owned(),
                name: about.name.clone(),
            });
            gather(state, named.collect(), bytes, declared).await
        }
    };
    let again = match &made {
        Ok(_) => false,
        Err(Fault::Problems(problems)) => problems.iter().any(is_worth_asking_again),
        Err(_) => true,
    };
    if !again {
        remove_folder(&folder);
    }
    made
}

/// Makes one dataset of files that lie on the disk, `bytes` of them in all, and leaves them as they are.
///
/// # Errors
/// What reading them finds wrong, naming the file.
pub async fn gather(
    state: &AppState,
    mut files: Vec<Named>,
    bytes: u64,
    declared: Declared,
) -> Result<DatasetView, Fault> {
    files.sort_by(|a, b| by_name(&a.name, &b.name));
    if bytes > state.config.max_upload {
        return Err(incoming::too_large(state.config.max_upload).into());
    }
    let common = common_name(files.iter().map(|file| file.name.as_str()));
    let target = uploads::place(state);
    // removes the file whatever ends this early
    let mut made = Temporary::made(target.clone());
    let asked = Gather {
        files,
        mapping: declared.mapping,
        open: declared.open,
        digest: declared.digest,
        encoding: declared.encoding,
        sheet: declared.sheet,
        target: target.to_string_lossy().into_owned(),
        most: state.config.max_upload.saturating_mul(UNPACKED),
    };
    let read = state.readers.ask(Lane::of_bytes(bytes), asked).await?;
    let Some(written) = read.written else {
        return Err(Problem::new(Code::WorkerOddAnswer, "The files were not written.").into());
    };
    made.written(written);
    let title = declared.title.map(|title| label::cleaned(&title, label::MAX_NAME));
    let title = title.filter(|title| !title.is_empty()).unwrap_or_else(|| common.clone());
    let lineage =
        Lineage { file_name: common, title, findings: read.findings, files: read.files, before: None };
    uploads::store(state, made, lineage, read.inspection).await
}

/// What to call files by: the folder or the beginning that they share, else the first name.
fn common_name<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names = names.into_iter();
    let first = names.next().unwrap_or_default();
    let shared = names.fold(first, |shared, name| {
        let same = shared.char_indices().zip(name.chars()).find(|((_, a), b)| a != b);
        &shared[..same.map_or(shared.len().min(name.len()), |((at, _), _)| at)]
    });
    let last = |text: &str| text.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let stem = |name: &str| last(name).split('.').next().unwrap_or_default().to_owned();
    // A number that all begin with is none of the name.
    let part = stem(shared);
    let part = part.trim_end_matches(|c: char| c.is_ascii_digit() || "-_ (".contains(c));
    let name = [part.to_owned(), last(shared.rsplit_once('/').map_or("", |(folder, _)| folder)), stem(first)];
    let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "dataset".to_owned());
    label::cleaned(&name, label::MAX_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_073_a_set_is_called_by_what_its_names_share() {
        let name = |names: &[&str]| common_name(names.iter().copied());
        assert_eq!(
            name(&["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]),
            "train"
        );
        assert_eq!(name(&["tea/a.csv", "tea/b.csv"]), "tea");
        assert_eq!(name(&["tea/part1.csv", "tea/part2.csv"]), "part");
        assert_eq!(name(&["en.csv", "zh.csv"]), "en");
        assert_eq!(name(&["壶一.csv", "壶二.csv"]), "壶");
        assert_eq!(name(&["1.csv", "2.csv"]), "1");
        assert_eq!(name(&[]), "dataset");
    }

    #[test]
    fn s_073_names_of_a_set_lead_nowhere_else() {
        for bad in ["", "..", "../a.csv", "a/../b.csv", "/etc/x.csv", "a//b.csv", "a\\b.csv", "a/", "./a.csv"]
        {
            assert_eq!(name_of(bad).expect_err(bad).code, Code::UploadBadName);
        }
        assert_eq!(name_of(&"x".repeat(MAX_NAME + 1)).expect_err("long").code, Code::UploadBadName);
        for good in ["a b/壶.csv", "..a/b..csv", ".hidden/x.csv"] {
            assert_eq!(name_of(good), Ok(good.to_owned()));
        }
    }
}
