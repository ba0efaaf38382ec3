//! One file of a repository into the cache: goes on where an earlier try ended, and is given its name only when its
//! digest is the hub's.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::Problem;
use contract::hub::{HubFile, HubRepo};
use reqwest::{Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Hub, cache, refusal};

/// Tries of one file that bring nothing new before it is given up.
const TRIES: u32 = 5;

/// What a try came to.
enum Try {
    /// All bytes are there.
    Whole,
    /// The connection ended early; going on may help.
    Cut,
}

/// A file on its way.
struct Half {
    path: PathBuf,
    have: u64,
    sha: Sha256,
}

impl Half {
    /// Opens what an earlier try left, and digests it.
    async fn open(path: &Path) -> std::io::Result<Self> {
        let mut half = Self { path: path.to_owned(), have: 0, sha: Sha256::new() };
        let Ok(mut file) = File::open(path).await else { return Ok(half) };
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut buffer).await?;
            if count == 0 {
                return Ok(half);
            }
            half.sha.update(&buffer[..count]);
            half.have += count as u64;
        }
    }

    async fn restart(&mut self) -> std::io::Result<()> {
        (self.have, self.sha) = (0, Sha256::new());
        File::create(&self.path).await.map(drop)
    }
}

impl Hub {
    /// Brings one file into the cache and returns its place there; `progress` hears how many bytes of it are here.
    ///
    /// # Errors
    /// A refusal of the hub, a digest that does not match, a full disk, a connection that stays broken.
    pub async fn fetch(
        &self,
        repo: &HubRepo,
        file: &HubFile,
        progress: &(impl Fn(u64) + Sync),
    ) -> Result<PathBuf, Problem> {
        if let Some(reason) = &file.refused {
            return Err(Problem::new(
                Code::HubRefusedFile,
                format!("{} is not fetched: {reason}.", file.path),
            ));
        }
        let link = cache::snapshot(&self.settings.cache, repo, &file.path);
        let there =
            std::fs::metadata(&link).is_ok_and(|meta| self.settings.offline || meta.len() == file.bytes);
        if there {
            progress(file.bytes);
            return Ok(link);
        }
        if self.settings.offline {
            return Err(super::offline());
        }
        let blobs = cache::folder(&self.settings.cache, repo.kind, &repo.repo).join("blobs");
        std::fs::create_dir_all(&blobs).map_err(|why| disk(&why))?;
        let name = file.sha256.clone().unwrap_or_else(|| own_name(repo, &file.path));
        let blob = blobs.join(&name);
        // whoever came second may find it whole
        let locks = self.locks.take(&self.settings.cache, repo.kind, &repo.repo, &name).await;
        let _held = locks.map_err(|why| disk(&why))?;
        if file.sha256.is_some() && std::fs::metadata(&blob).is_ok_and(|meta| meta.len() == file.bytes) {
            progress(file.bytes);
            cache::relink(&blob, &link).map_err(|why| disk(&why))?;
            return Ok(link);
        }
        let mut half =
            Half::open(&blobs.join(format!("{name}.incomplete"))).await.map_err(|why| disk(&why))?;
        self.until_whole(repo, file, &mut half, progress).await?;
        check(&self.settings.host(), file, &half)?;
        cache::keep(&half.path, &blob, &link).map_err(|why| disk(&why))?;
        Ok(link)
    }

    async fn until_whole(
        &self,
        repo: &HubRepo,
        file: &HubFile,
        half: &mut Half,
        progress: &(impl Fn(u64) + Sync),
    ) -> Result<(), Problem> {
        let mut idle = 0;
        loop {
            if file.bytes > 0 && half.have == file.bytes {
                return Ok(());
            }
            if half.have > file.bytes {
                half.restart().await.map_err(|why| disk(&why))?;
            }
            let before = half.have;
            let why = match self.try_once(repo, file, half, progress).await {
                Ok(Try::Whole) => return Ok(()),
                Ok(Try::Cut) => cut(&self.settings.host(), &file.path),
                Err(problem) if matches!(problem.code, Code::HubUnreachable | Code::HubTryLater) => problem,
                Err(problem) => return Err(problem),
            };
            idle = if half.have > before { 0 } else { idle + 1 };
            if idle >= TRIES {
                return Err(why);
            }
            tokio::time::sleep(self.settings.pause * (1 << idle.min(5))).await;
        }
    }

    async fn try_once(
        &self,
        repo: &HubRepo,
        file: &HubFile,
        half: &mut Half,
        progress: &(impl Fn(u64) + Sync),
    ) -> Result<Try, Problem> {
        let response = self.bytes(repo, &file.path, half.have).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if begins_at(&response) == Some(half.have) => {}
            // a store that cannot go on sends all of it again
            StatusCode::OK => half.restart().await.map_err(|why| disk(&why))?,
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
                half.restart().await.map_err(|why| disk(&why))?;
                return Ok(Try::Cut);
            }
            status if status.is_server_error() => {
                let problem = refusal(&self.settings, &repo.repo, &response);
                return Err(Problem { code: Code::HubTryLater, ..problem });
            }
            _ => return Err(refusal(&self.settings, &repo.repo, &response).file(file.path.clone())),
        }
        append(response, file, self.settings.unsized_most, half, progress).await
    }
}

/// Writes what comes in until it ends, well or badly.
async fn append(
    mut response: Response,
    file: &HubFile,
    unsized_most: u64,
    half: &mut Half,
    progress: &(impl Fn(u64) + Sync),
) -> Result<Try, Problem> {
    let most = if file.bytes > 0 { file.bytes } else { unsized_most };
    let opened = OpenOptions::new().create(true).append(true).open(&half.path).await;
    let mut out = opened.map_err(|why| disk(&why))?;
    let ended = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                if half.have.saturating_add(chunk.len() as u64) > most {
                    // what is wrong is not gone on with
                    let _ = std::fs::remove_file(&half.path);
                    return Err(wrong(file, "it is longer than the hub says"));
                }
                out.write_all(&chunk).await.map_err(|why| disk(&why))?;
                half.sha.update(&chunk);
                half.have += chunk.len() as u64;
                progress(half.have);
            }
            Ok(None) => break half.have >= file.bytes,
            Err(_) => break false,
        }
    };
    out.flush().await.map_err(|why| disk(&why))?;
    out.sync_all().await.map_err(|why| disk(&why))?;
    Ok(if ended { Try::Whole } else { Try::Cut })
}

/// The first byte of a partial answer.
fn begins_at(response: &Response) -> Option<u64> {
    let text = response.headers().get("content-range")?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// A blob's name where the hub gives no digest: which bytes they are is told by repository, commit and path.
fn own_name(repo: &HubRepo, path: &str) -> String {
    format!("{:x}", Sha256::digest(format!("{}\n{}\n{path}", repo.repo, repo.commit)))
}

fn check(host: &str, file: &HubFile, half: &Half) -> Result<(), Problem> {
    let found = format!("{:x}", half.sha.clone().finalize());
    match &file.sha256 {
        Some(wanted) if *wanted != found => {
            // what is wrong is not gone on with
            let _ = std::fs::remove_file(&half.path);
            let (wanted, found) = (&wanted[..12], &found[..12]);
            Err(Problem::new(Code::HubWrongDigest, format!("What came from {host} is not what the hub says it is: SHA-256 {found}…, not {wanted}…."))
                .file(file.path.clone())
                .hint("Nothing of it was kept. Try again; if it stays so, the mirror is broken or somebody tampers with it."))
        }
        _ => Ok(()),
    }
}

fn wrong(file: &HubFile, why: &str) -> Problem {
    Problem::new(Code::HubWrongSize, format!("The file is not what the hub announced: {why}."))
        .file(file.path.clone())
        .hint("Try again.")
}

fn cut(host: &str, path: &str) -> Problem {
    Problem::new(Code::HubCutOff, format!("The connection to {host} keeps breaking off."))
        .file(path)
        .hint("What came in is kept: press “Try again” and it goes on from there.")
}

fn disk(why: &std::io::Error) -> Problem {
    if matches!(why.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
        return Problem::new(Code::DiskFull, "The disk is full.")
            .hint("Free some space where the hub's cache lies (HF_HUB_CACHE), then try again.");
    }
    Problem::new(Code::HubCache, format!("The hub's cache cannot be written: {}.", why.kind()))
        .with("why", why.kind())
        .hint("Check the rights of the folder, or name another one in HF_HUB_CACHE.")
}
