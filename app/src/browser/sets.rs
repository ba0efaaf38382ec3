//! Sends several files that become one dataset: each by itself, then the call that makes it of all of them. What is there
//! already is not sent again, also after the page was loaded anew and the same files are chosen.

use std::cell::RefCell;

use contract::Code;
use contract::problem::Problem;
use serde::Deserialize;
use wasm_bindgen::JsValue;
use web_sys::File;

use super::handles::Handles;
use super::upload::{Sent, UPLOADS, finish, send_file};
use super::{encode, kept, uuid};

/// A file with the folders it was chosen with.
#[derive(Clone, Debug)]
pub(crate) struct Picked {
    /// Its name with its folders.
    pub(crate) name: String,
    /// The file.
    pub(crate) file: File,
}

impl Picked {
    /// Files as a control gives them: one that chooses a folder names the folders too.
    pub(crate) fn all(files: Vec<File>) -> Vec<Self> {
        let with_folders = |file: &File| {
            let path = js_sys::Reflect::get(file, &JsValue::from_str("webkitRelativePath")).ok()?;
            path.as_string().filter(|path| !path.is_empty())
        };
        let one = |file: File| Self { name: with_folders(&file).unwrap_or_else(|| file.name()), file };
        files.into_iter().map(one).collect()
    }
}

/// Files behind a copyable number, so that signals can hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PickedId(u32);

thread_local! {
    static PICKED: RefCell<Handles<Vec<Picked>>> = RefCell::default();
}

/// Keeps files until they are forgotten.
pub(crate) fn keep(files: Vec<Picked>) -> PickedId {
    PickedId(PICKED.with_borrow_mut(|all| all.put(files)))
}

/// The files that are kept; none where they were forgotten.
pub(crate) fn kept_files(id: PickedId) -> Vec<Picked> {
    PICKED.with_borrow(|all| all.get(id.0).cloned()).unwrap_or_default()
}

/// Forgets files.
pub(crate) fn forget(id: PickedId) {
    PICKED.with_borrow_mut(|all| drop(all.take(id.0)));
}

/// A file that is there.
#[derive(Deserialize)]
struct There {
    name: String,
    bytes: u64,
}

/// The JSON body that says which files of a set are there.
#[derive(Deserialize)]
struct Set {
    files: Vec<There>,
}

/// Sends the files that are not there yet, then asks for the dataset; `query` says more of it, each part with `&` before
/// it. Gives the answer's body.
pub(crate) async fn send_set(
    files: &[Picked],
    query: &str,
    progress: impl Fn(Sent) + Clone + 'static,
) -> Result<String, Vec<Problem>> {
    let key = format!("set:{:016x}", digest(files.iter().map(about)));
    let id = kept::get(&key).unwrap_or_else(uuid);
    kept::put(&key, &id);
    let all: f64 = files.iter().map(|one| one.file.size()).sum::<f64>().max(1.0);
    let answer = finish(&format!("{UPLOADS}kind=there&upload={id}"), progress.clone()).await?;
    let there = serde_json::from_str::<Set>(&answer).map(|set| set.files).unwrap_or_default();
    let mut before = 0.0;
    for one in files {
        let size = one.file.size();
        if !there.iter().any(|file| file.name == one.name && file.bytes as f64 == size) {
            let url = format!("{UPLOADS}kind=part&upload={id}&name={}", encode(&one.name));
            let tell = progress.clone();
            // short of 1: that means that the server has all of it
            let step = move |sent| {
                tell(match sent {
                    Sent::Share(share) => Sent::Share(((before + share * size) / all).min(0.999)),
                    Sent::Waiting => Sent::Waiting,
                });
            };
            send_file(&url, &one.file, step).await?;
        }
        before += size;
    }
    progress(Sent::Share(1.0));
    let made = finish(&format!("{UPLOADS}kind=set&upload={id}{query}"), progress).await;
    let asked = |problems: &Vec<Problem>| problems.iter().any(|problem| !problem.readings().is_empty());
    let lost = |problems: &Vec<Problem>| problems.iter().any(|problem| problem.code == Code::ConnectionLost);
    if made.as_ref().err().is_none_or(|problems| !asked(problems) && !lost(problems)) {
        kept::remove(&key);
    }
    made
}

fn about(one: &Picked) -> String {
    format!("{}:{}:{}", one.name, one.file.size(), one.file.last_modified())
}

/// A number for a list of texts (FNV-1a): the same list has the same one.
fn digest(texts: impl Iterator<Item = String>) -> u64 {
    let bytes = texts.flat_map(|text| text.into_bytes().into_iter().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_list_of_files_is_another_set() {
        let of = |texts: &[&str]| digest(texts.iter().map(|text| (*text).to_owned()));
        assert_eq!(of(&["a:1:2", "b:1:2"]), of(&["a:1:2", "b:1:2"]));
        assert_ne!(of(&["a:1:2", "b:1:2"]), of(&["a:1:2b:1:2"]));
        assert_ne!(of(&[]), of(&[""]));
    }
}
