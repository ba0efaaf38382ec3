//! Use cases, one file a noun. They implement the ports of the pages and serve REST alike.

pub mod adapters;
pub mod before;
pub mod carry;
pub mod chain;
pub mod chat;
pub mod checkpoint_zip;
pub mod checkup;
pub mod datasets;
pub mod edit;
pub mod hub;
pub mod incoming;
pub mod launch;
pub mod models;
pub mod pins;
pub mod predictions;
pub mod preview;
pub mod registry;
pub mod resumable;
pub mod room;
pub mod rows;
pub mod run_files;
pub mod runs;
pub mod sets;
pub mod specification;
pub mod streamed;
pub mod system;
pub mod takeaway;
pub mod templates;
pub mod tour;
pub mod trash;
pub mod uploads;

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use app::ports::Ports;

use crate::state::AppState;

/// The ports of the pages.
pub fn ports(state: &AppState) -> Ports {
    Ports {
        datasets: Arc::new(datasets::Datasets(state.clone())),
        templates: Arc::new(templates::Templates(state.clone())),
        hub: Arc::new(hub::HubService(state.clone())),
        models: Arc::new(models::Models(state.clone())),
        runs: Arc::new(runs::Runs(state.clone())),
        system: Arc::new(system::System(state.clone())),
        trash: Arc::new(trash::Trash(state.clone())),
    }
}

/// The last `bytes` of a text file; empty when it cannot be read.
pub fn tail_of(path: &Path, bytes: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        let mut text = Vec::new();
        file.take(bytes).read_to_end(&mut text)?;
        Ok(text)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

/// Removes a folder; one that is not there is no error.
pub fn remove_folder(path: &Path) {
    match std::fs::remove_dir_all(path) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!("could not remove {}: {why}", path.display());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_is_its_end() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("log");
        std::fs::write(&path, "one\ntwo\n").expect("written");
        assert_eq!(tail_of(&path, 4), "two\n");
        assert_eq!(tail_of(&place.path().join("none"), 4), "");
    }
}
