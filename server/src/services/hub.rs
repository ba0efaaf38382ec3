//! From the model hub into the studio: the transfer works in the background, then the ordinary import takes over.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use app::ports::{Answer, HubPort};
use axum::body::Body;
use contract::Code;
use contract::Problem;
use contract::hub::{HubFile, HubHits, HubKind, HubRepo, NewTransfer, TransferState, TransferView};
use contract::label;
use contract::reading::Named;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::uploads::Declared;
use super::{models, sets, uploads};
use crate::error::Fault;
use crate::hub::cache;
use crate::proc;
use crate::state::AppState;

/// Ended transfers that are remembered.
const REMEMBERED: usize = 20;
/// Files of one transfer at most.
const MOST_FILES: usize = 400;

/// Transfers since the server started, oldest first. What came in of them outlives the server in the cache.
#[derive(Debug, Default)]
pub struct Transfers(Mutex<Vec<Entry>>);

#[derive(Debug)]
struct Entry {
    view: TransferView,
    stop: CancellationToken,
}

impl Transfers {
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one, or answers the one that fetches the same already.
    fn add(&self, view: TransferView) -> Result<CancellationToken, Box<TransferView>> {
        let mut all = self.lock();
        if let Some(same) = all.iter().find(|e| e.view.state.is_live() && e.view.wanted == view.wanted) {
            return Err(Box::new(same.view.clone()));
        }
        all.retain(|entry| entry.view.state.is_live() || entry.view.wanted != view.wanted);
        while all.len() >= REMEMBERED {
            let Some(at) = all.iter().position(|entry| !entry.view.state.is_live()) else { break };
            all.remove(at);
        }
        let stop = CancellationToken::new();
        all.push(Entry { view, stop: stop.clone() });
        Ok(stop)
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut TransferView)) {
        if let Some(entry) = self.lock().iter_mut().find(|entry| entry.view.id == id) {
            change(&mut entry.view);
        }
    }

    fn list(&self, kind: HubKind) -> Vec<TransferView> {
        let all = self.lock();
        all.iter().rev().filter(|e| e.view.wanted.kind == kind).map(|e| e.view.clone()).collect()
    }

    fn cancel(&self, id: &str) -> bool {
        let mut all = self.lock();
        let Some(at) = all.iter().position(|entry| entry.view.id == id) else { return false };
        if all[at].view.state.is_live() {
            all[at].stop.cancel();
        } else {
            all.remove(at);
        }
        true
    }
}

/// The hub port.
pub struct HubService(pub AppState);

impl HubService {
    async fn begin(&self, mut new: NewTransfer) -> Result<TransferView, Fault> {
        let state = &self.0;
        let hub = state.hub_client()?;
        let repo = hub.repo(new.kind, &new.repo, &new.revision).await?;
        let files = wanted(&repo, &new)?;
        let total = files.iter().map(|file| file.bytes).sum();
        room(&hub.settings.cache, total)?;
        if new.name.trim().is_empty() {
            new.name = own_name(&repo, &files);
        }
        new.name = label::required(&new.name)?;
        (new.repo, new.revision) = (repo.repo.clone(), repo.revision.clone());
        let view = TransferView {
            id: state.ids.next(),
            wanted: new,
            state: TransferState::Downloading,
            done: 0,
            total,
            problem: None,
            result: None,
        };
        let stop = match state.transfers.add(view.clone()) {
            Ok(stop) => stop,
            Err(same) => return Ok(*same),
        };
        let job =
            Job { state: state.clone(), id: view.id.clone(), name: view.wanted.name.clone(), repo, files };
        state.tasks.spawn(job.run(stop));
        Ok(view)
    }
}

/// The files of a repository that were asked for.
fn wanted(repo: &HubRepo, new: &NewTransfer) -> Result<Vec<HubFile>, Problem> {
    if new.files.is_empty() {
        return Err(Problem::new(Code::FormMissing, "Choose what to fetch.").field("files"));
    }
    if new.files.len() > MOST_FILES {
        return Err(Problem::new(
            Code::DatasetTooManyFiles,
            format!("More than {MOST_FILES} files are not fetched at once."),
        )
        .with("most", MOST_FILES)
        .field("files")
        .hint("Choose some of them."));
    }
    let find = |path: &String| {
        let file = repo.files.iter().find(|file| file.path == *path).ok_or_else(|| {
            Problem::new(Code::HubNoSuchFile, format!("{} holds no such file.", repo.repo))
                .with("repo", &repo.repo)
                .field("files")
        })?;
        match &file.refused {
            None => Ok(file.clone()),
            Some(reason) => {
                Err(Problem::new(Code::HubRefusedFile, format!("{} is not fetched: {reason}.", file.path))
                    .field("files"))
            }
        }
    };
    new.files.iter().map(find).collect()
}

fn own_name(repo: &HubRepo, files: &[HubFile]) -> String {
    let name = repo.repo.rsplit('/').next().unwrap_or_default();
    match (repo.kind, files) {
        (HubKind::Model, [file]) => file.path.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned(),
        _ => name.to_owned(),
    }
}

/// Refuses what the disk cannot hold: once in the cache and once in the studio.
fn room(cache: &Path, total: u64) -> Result<(), Problem> {
    let there = cache.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let free = proc::disk_free(there);
    if free > 0 && free < total {
        let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
        return Err(Problem::new(
            Code::DiskFull,
            format!("The files take {}, the disk has {} left.", gb(total), gb(free)),
        )
        .hint("Free some space, or name another disk in HF_HUB_CACHE."));
    }
    Ok(())
}

struct Job {
    state: AppState,
    id: String,
    name: String,
    repo: HubRepo,
    files: Vec<HubFile>,
}

impl Job {
    async fn run(self, stop: CancellationToken) {
        let shutdown = self.state.shutdown.clone();
        let ended = tokio::select! {
            () = stop.cancelled() => None,
            () = shutdown.cancelled() => None,
            made = self.work() => Some(made),
        };
        self.state.transfers.change(&self.id, |view| match ended {
            None => view.state = TransferState::Cancelled,
            Some(Ok(result)) => {
                (view.state, view.result, view.done) = (TransferState::Done, Some(result), view.total);
            }
            Some(Err(fault)) => {
                view.state = TransferState::Failed;
                view.problem = fault.into_problems().into_iter().next();
            }
        });
    }

    async fn work(&self) -> Result<String, Fault> {
        let hub = self.state.hub_client()?;
        let mut before = 0;
        let mut places = Vec::new();
        for file in &self.files {
            let tell = |have: u64| self.state.transfers.change(&self.id, |view| view.done = before + have);
            places.push((hub.fetch(&self.repo, file, &tell).await?, file));
            before += file.bytes;
        }
        if !hub.settings.offline {
            cache::note_ref(&hub.settings.cache, &self.repo)
                .map_err(Fault::disk("write", &hub.settings.cache))?;
        }
        self.state.transfers.change(&self.id, |view| view.state = TransferState::Importing);
        match self.repo.kind {
            HubKind::Dataset => self.dataset(&places).await,
            HubKind::Model => self.model(&places).await,
        }
    }

    /// One file, or the shards of a split, which are read where they lie in the cache.
    async fn dataset(&self, places: &[(PathBuf, &HubFile)]) -> Result<String, Fault> {
        let (place, file) = match places {
            [] => return Err(Problem::not_found("file").into()),
            [(place, file)] => (place, file),
            several => {
                let named = several.iter().map(|(place, file)| Named {
                    path: place.to_string_lossy().into_owned(),
                    name: file.path.clone(),
                });
                let bytes = several.iter().map(|(_, file)| file.bytes).sum();
                let declared = Declared { title: Some(self.name.clone()), ..Declared::default() };
                return Ok(sets::gather(&self.state, named.collect(), bytes, declared).await?.id.0);
            }
        };
        let open = tokio::fs::File::open(place).await.map_err(Fault::disk("read", place))?;
        let body = Body::from_stream(ReaderStream::with_capacity(open, 1 << 20));
        let view = uploads::from_hub(&self.state, &file.path, &self.name, body).await?;
        Ok(view.id.0)
    }

    /// Gathers the files in a folder of their own: the cache may hold more of the repository.
    async fn model(&self, places: &[(PathBuf, &HubFile)]) -> Result<String, Fault> {
        let folder = uploads::folder(&self.state, &self.id)?;
        std::fs::create_dir_all(&folder).map_err(Fault::disk("create", &folder))?;
        for (place, file) in places {
            let place = std::fs::canonicalize(place).map_err(Fault::disk("read", place))?;
            let link = folder.join(&file.path);
            std::os::unix::fs::symlink(place, &link).map_err(Fault::disk("link", &link))?;
        }
        let model = models::import_folder(&self.state, &self.name, folder, self.repo.license.clone()).await?;
        Ok(model.id.0)
    }
}

impl HubPort for HubService {
    fn search(&self, kind: HubKind, text: String) -> Answer<'_, HubHits> {
        Box::pin(async move { Ok(self.0.hub_client()?.search(kind, &text).await?) })
    }

    fn repo(&self, kind: HubKind, repo: String, revision: String) -> Answer<'_, HubRepo> {
        Box::pin(async move { Ok(self.0.hub_client()?.repo(kind, &repo, &revision).await?) })
    }

    fn start(&self, new: NewTransfer) -> Answer<'_, TransferView> {
        Box::pin(async move { Ok(self.begin(new).await?) })
    }

    fn transfers(&self, kind: HubKind) -> Answer<'_, Vec<TransferView>> {
        Box::pin(async move { Ok(self.0.transfers.list(kind)) })
    }

    fn cancel(&self, id: String) -> Answer<'_, ()> {
        Box::pin(async move {
            if self.0.transfers.cancel(&id) { Ok(()) } else { Err(Problem::not_found("transfer").into()) }
        })
    }
}
