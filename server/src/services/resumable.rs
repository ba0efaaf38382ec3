//! Uploads that go on where they broke off (promise R13). What a client is told to be there is on the disk: it survives
//! the connection and the server. An upload that nobody goes on with is removed after a day.

use std::collections::{HashMap, VecDeque};
use std::io::{Read, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use contract::{Code, Problem};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};
use tokio_util::sync::CancellationToken;

use super::incoming::{self, Temporary, is_old};
use crate::config::Config;
use crate::error::Fault;

/// Uploads that may be open at a time.
const OPEN: usize = 64;
/// How long an upload may wait before it makes room for a new one where there are too many.
const WAITS: Duration = Duration::from_secs(1800);
/// Answers to finished uploads that are remembered.
const REMEMBERED: usize = 64;
/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 20;

/// Every upload that is open. Cheap to clone.
#[derive(Clone)]
pub struct Resumable(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    /// Largest file, bytes.
    limit: u64,
    open: Mutex<HashMap<String, Arc<Upload>>>,
    /// What became of the last ones, the oldest first: whoever lost the answer may ask again.
    finished: Mutex<VecDeque<(String, serde_json::Value)>>,
}

struct Upload {
    path: PathBuf,
    /// Bytes of the whole file.
    length: u64,
    state: tokio::sync::Mutex<State>,
    /// Cancelled when another request wants the upload: a connection that hangs is not waited for.
    turn: Mutex<CancellationToken>,
}

/// What is on the disk.
struct State {
    written: u64,
    /// Of the first `hashed` bytes; those of an earlier server are hashed at the end.
    sha: Sha256,
    hashed: u64,
}

/// Gives up the upload that has waited longest, if that is longer than [`WAITS`].
fn make_room(open: &mut HashMap<String, Arc<Upload>>) -> bool {
    let idle = open.iter().filter(|(_, upload)| upload.state.try_lock().is_ok());
    let waits = idle.map(|(id, upload)| (incoming::age(&upload.path), id.clone()));
    let Some((_, id)) = waits.max().filter(|(age, _)| *age > WAITS) else { return false };
    if let Some(upload) = open.remove(&id) {
        // gone already is as good
        let _ = std::fs::remove_file(&upload.path);
    }
    true
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Resumable {
    /// Those that were open when the last server ended, in the folder `resumable`.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn read(config: &Config) -> std::io::Result<Self> {
        let folder = config.folder(incoming::OPEN);
        let mut open = HashMap::new();
        for entry in std::fs::read_dir(&folder)?.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let parts = name.to_str().and_then(|name| name.rsplit_once('.'));
            let known = parts.and_then(|(id, length)| Some((id.to_owned(), length.parse().ok()?)));
            match (known, entry.metadata()) {
                (Some((id, length)), Ok(meta)) if meta.is_file() && !is_old(&path) => {
                    open.insert(id, Arc::new(Upload::new(path, length, meta.len().min(length))));
                }
                // gone already is as good
                _ => drop(std::fs::remove_file(&path)),
            }
        }
        let (open, finished) = (Mutex::new(open), Mutex::default());
        Ok(Self(Arc::new(Inner { folder, limit: config.max_upload, open, finished })))
    }

    /// Largest file, bytes.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Opens an upload of `length` bytes under a new id.
    ///
    /// # Errors
    /// A file above the limit, too many uploads, and a disk that cannot be written.
    pub fn create(&self, id: String, length: u64) -> Result<(), Fault> {
        if length > self.0.limit {
            return Err(incoming::too_large(self.0.limit).into());
        }
        let mut open = lock(&self.0.open);
        if open.len() >= OPEN && !make_room(&mut open) {
            return Err(Problem::new(Code::UploadTooMany, "Too many uploads wait to be gone on with.")
                .hint("Wait until one is complete.")
                .into());
        }
        let path = self.0.folder.join(format!("{id}.{length}"));
        std::fs::File::create_new(&path).map_err(Fault::disk("create", &path))?;
        open.insert(id, Arc::new(Upload::new(path, length, 0)));
        Ok(())
    }

    fn find(&self, id: &str) -> Result<Arc<Upload>, Fault> {
        Ok(lock(&self.0.open).get(id).cloned().ok_or_else(|| Problem::not_found("upload"))?)
    }

    /// Bytes that are there, and those of the whole file. A request that still writes is ended.
    ///
    /// # Errors
    /// An unknown upload.
    pub async fn offset(&self, id: &str) -> Result<(u64, u64), Fault> {
        let upload = self.find(id)?;
        upload.take_turn();
        let written = upload.state.lock().await.written;
        Ok((written, upload.length))
    }

    /// Adds what a request brings, and tells how many bytes are there then. What came before a request broke off counts.
    ///
    /// # Errors
    /// An unknown upload, `upload.offset` where the bytes do not begin at the end of those that are there, more bytes than
    /// the file has, a body that broke off, and a disk that cannot be written.
    pub async fn append(&self, id: &str, offset: u64, body: Body) -> Result<u64, Fault> {
        let upload = self.find(id)?;
        let turn = upload.take_turn();
        // not dropped with its request: what was written and what is counted must agree
        tokio::spawn(async move { upload.write(offset, body, turn).await }).await?
    }

    /// Gives an upload up.
    ///
    /// # Errors
    /// An unknown upload.
    pub async fn remove(&self, id: &str) -> Result<(), Fault> {
        let upload = self.find(id)?;
        lock(&self.0.open).remove(id);
        upload.take_turn();
        let _whole = upload.state.lock().await;
        std::fs::remove_file(&upload.path).map_err(Fault::disk("remove", &upload.path))
    }

    /// A whole upload as a file to be used. Dropped without [`Temporary::refuse`], it is an open upload again.
    ///
    /// # Errors
    /// An unknown upload, `upload.offset` where bytes are missing, and a disk that cannot be read.
    pub async fn take(&self, id: &str) -> Result<Temporary, Fault> {
        let upload = self.find(id)?;
        upload.take_turn();
        let state = upload.state.lock().await;
        if state.written != upload.length {
            return Err(other_offset(state.written).into());
        }
        let (path, sha, hashed) = (upload.path.clone(), state.sha.clone(), state.hashed);
        drop(state);
        if lock(&self.0.open).remove(id).is_none() {
            return Err(Problem::not_found("upload").into());
        }
        let mut file = Temporary::returning(path.clone(), upload.length, {
            let (all, id) = (self.clone(), id.to_owned());
            Box::new(move || drop(lock(&all.0.open).insert(id, upload)))
        });
        let hashing = tokio::task::spawn_blocking(move || hash_rest(&path, sha, hashed));
        let sha = hashing.await?.map_err(Fault::disk("read", file.path()))?;
        file.sha256 = format!("{:x}", sha.finalize());
        Ok(file)
    }

    /// Remembers what became of an upload.
    pub fn finish(&self, id: &str, answer: &serde_json::Value) {
        let mut finished = lock(&self.0.finished);
        if finished.len() >= REMEMBERED {
            finished.pop_front();
        }
        finished.push_back((id.to_owned(), answer.clone()));
    }

    /// What became of an upload that is finished.
    pub fn answer(&self, id: &str) -> Option<serde_json::Value> {
        lock(&self.0.finished).iter().find(|(one, _)| one == id).map(|(_, answer)| answer.clone())
    }

    /// Removes those that nobody went on with for a day.
    pub fn expire(&self) {
        lock(&self.0.open).retain(|_, upload| {
            let old = upload.state.try_lock().is_ok() && is_old(&upload.path);
            if old {
                // gone already is as good
                let _ = std::fs::remove_file(&upload.path);
            }
            !old
        });
    }
}

impl Upload {
    fn new(path: PathBuf, length: u64, written: u64) -> Self {
        let state = State { written, sha: Sha256::new(), hashed: 0 };
        Self { path, length, state: tokio::sync::Mutex::new(state), turn: Mutex::default() }
    }

    /// Ends the request that writes now.
    fn take_turn(&self) -> CancellationToken {
        let mine = CancellationToken::new();
        std::mem::replace(&mut *lock(&self.turn), mine.clone()).cancel();
        mine
    }

    async fn write(&self, offset: u64, body: Body, turn: CancellationToken) -> Result<u64, Fault> {
        let mut state = self.state.lock().await;
        if offset != state.written {
            return Err(other_offset(state.written).into());
        }
        let file = tokio::fs::OpenOptions::new().write(true).open(&self.path).await;
        let mut file = file.map_err(Fault::disk("write", &self.path))?;
        file.seek(SeekFrom::Start(offset)).await.map_err(Fault::disk("write", &self.path))?;
        let mut file = BufWriter::with_capacity(BUFFER, file);
        let mut sha = (state.hashed == offset).then(|| state.sha.clone());
        let (mut chunks, mut written) = (body.into_data_stream(), offset);
        let ended: Result<(), Fault> = loop {
            let chunk = tokio::select! {
                biased;
                () = turn.cancelled() => break Err(incoming::aborted().into()),
                chunk = chunks.next() => chunk,
            };
            let chunk = match chunk {
                None => break Ok(()),
                Some(Err(_)) => break Err(incoming::aborted().into()),
                Some(Ok(chunk)) => chunk,
            };
            if chunk.len() as u64 > self.length - written {
                break Err(incoming::too_large(self.length).into());
            }
            file.write_all(&chunk).await.map_err(Fault::disk("write", &self.path))?;
            written += chunk.len() as u64;
            if let Some(sha) = &mut sha {
                sha.update(&chunk);
            }
        };
        file.flush().await.map_err(Fault::disk("write", &self.path))?;
        file.get_ref().sync_data().await.map_err(Fault::disk("write", &self.path))?;
        state.written = written;
        if let Some(sha) = sha {
            (state.sha, state.hashed) = (sha, written);
        }
        ended.map(|()| written)
    }
}

/// Hashes what comes after the first `hashed` bytes.
fn hash_rest(path: &Path, mut sha: Sha256, hashed: u64) -> std::io::Result<Sha256> {
    let mut file = std::fs::File::open(path)?;
    std::io::Seek::seek(&mut file, SeekFrom::Start(hashed))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sha),
            read => sha.update(&buffer[..read]),
        }
    }
}

fn other_offset(written: u64) -> Problem {
    Problem::new(Code::UploadOffset, format!("{written} bytes of the file are here."))
        .with("offset", written)
        .hint("Go on from there.")
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::incoming::KEPT;
    use super::*;

    const FILE: &[u8] = b"0123456789";

    fn place() -> (tempfile::TempDir, Config) {
        let place = tempfile::tempdir().expect("a folder");
        let config = Config::for_testing(place.path(), Path::new("/x"));
        config.make_folders().expect("made");
        (place, config)
    }

    fn code(fault: Fault) -> Code {
        fault.into_problems()[0].code
    }

    /// Sends these bytes and then breaks off.
    fn broken(bytes: &'static [u8]) -> Body {
        let parts = [Ok(bytes), Err(std::io::Error::other("gone"))];
        Body::from_stream(futures::stream::iter(parts))
    }

    #[tokio::test]
    async fn r13_what_came_before_a_break_counts_and_the_rest_goes_on_from_there() {
        let (_place, config) = place();
        let all = Resumable::read(&config).expect("read");
        all.create("a".into(), 10).expect("created");
        assert_eq!(
            code(all.append("a", 0, broken(&FILE[..3])).await.expect_err("broken")),
            Code::UploadAborted
        );
        assert_eq!(all.offset("a").await.expect("known"), (3, 10));
        for wrong in [0, 2, 4, 10] {
            let refused = all.append("a", wrong, Body::from(&FILE[3..])).await.expect_err("elsewhere");
            assert_eq!(code(refused), Code::UploadOffset);
        }
        assert_eq!(code(all.take("a").await.err().expect("not whole")), Code::UploadOffset);
        let more = Body::from([&FILE[3..], b"x"].concat());
        assert_eq!(code(all.append("a", 3, more).await.expect_err("longer")), Code::UploadTooLarge);
        assert_eq!(all.append("a", 3, Body::from(&FILE[3..])).await.expect("goes on"), 10);
        let file = all.take("a").await.expect("whole");
        assert_eq!((file.bytes, std::fs::read(file.path()).expect("read")), (10, FILE.to_vec()));
        assert_eq!(file.sha256, format!("{:x}", Sha256::digest(FILE)));
        assert_eq!(code(all.offset("a").await.expect_err("taken")), Code::NotFound);
    }

    #[tokio::test]
    async fn r13_an_upload_survives_the_server_and_has_the_digest_of_the_whole() {
        let (_place, config) = place();
        let first = Resumable::read(&config).expect("read");
        first.create("a".into(), 10).expect("created");
        first.append("a", 0, Body::from(&FILE[..6])).await.expect("written");
        let second = Resumable::read(&config).expect("read");
        assert_eq!(second.offset("a").await.expect("known"), (6, 10));
        second.append("a", 6, Body::from(&FILE[6..])).await.expect("written");
        let file = second.take("a").await.expect("whole");
        assert_eq!(file.sha256, format!("{:x}", Sha256::digest(FILE)));
    }

    #[tokio::test]
    async fn a_file_that_came_to_nothing_is_an_upload_again_and_a_refused_one_is_gone() {
        let (_place, config) = place();
        let all = Resumable::read(&config).expect("read");
        all.create("a".into(), 10).expect("created");
        all.append("a", 0, Body::from(FILE)).await.expect("written");
        drop(all.take("a").await.expect("whole"));
        assert_eq!(all.offset("a").await.expect("back"), (10, 10));
        let mut file = all.take("a").await.expect("whole");
        file.refuse();
        drop(file);
        assert_eq!(code(all.offset("a").await.expect_err("gone")), Code::NotFound);
        assert_eq!(std::fs::read_dir(config.folder(incoming::OPEN)).expect("lists").count(), 0);
    }

    #[tokio::test]
    async fn a_request_that_hangs_makes_way_for_the_next() {
        let (_place, config) = place();
        let all = Resumable::read(&config).expect("read");
        all.create("a".into(), 10).expect("created");
        let (came, first) = tokio::sync::oneshot::channel::<()>();
        let hangs = async move {
            drop(came);
            std::future::pending::<std::io::Result<&[u8]>>().await
        };
        let chunks = futures::stream::iter([Ok(&FILE[..4])]).chain(futures::stream::once(hangs));
        let hanging = {
            let all = all.clone();
            tokio::spawn(async move { all.append("a", 0, Body::from_stream(chunks)).await })
        };
        first.await.expect_err("the rest is asked for");
        assert_eq!(all.offset("a").await.expect("known"), (4, 10));
        assert_eq!(code(hanging.await.expect("ended").expect_err("ended")), Code::UploadAborted);
        assert_eq!(all.append("a", 4, Body::from(&FILE[4..])).await.expect("goes on"), 10);
        assert_eq!(std::fs::read(all.take("a").await.expect("whole").path()).expect("read"), FILE);
    }

    #[tokio::test]
    async fn uploads_are_limited_in_size_number_and_age() {
        let (_place, config) = place();
        let all = Resumable::read(&config).expect("read");
        assert_eq!(
            code(all.create("large".into(), config.max_upload + 1).expect_err("large")),
            Code::UploadTooLarge
        );
        for id in 0..OPEN {
            all.create(id.to_string(), 1).expect("room");
        }
        assert_eq!(code(all.create("one-more".into(), 1).expect_err("full")), Code::UploadTooMany);
        let waits = config.folder(incoming::OPEN).join("7.1");
        let file = std::fs::OpenOptions::new().write(true).open(&waits).expect("opens");
        file.set_modified(SystemTime::now() - WAITS - Duration::from_secs(9)).expect("set");
        all.create("another".into(), 1).expect("the one that waited longest makes room");
        assert!(!waits.exists() && all.offset("7").await.is_err());
        assert_eq!(code(all.create("one-more".into(), 1).expect_err("full")), Code::UploadTooMany);
        all.remove("0").await.expect("removed");
        all.create("one-more".into(), 1).expect("room again");
        let old = config.folder(incoming::OPEN).join("1.1");
        let file = std::fs::OpenOptions::new().write(true).open(&old).expect("opens");
        file.set_modified(SystemTime::now() - KEPT - Duration::from_secs(1)).expect("set");
        all.expire();
        assert!(!old.exists() && all.offset("1").await.is_err() && all.offset("2").await.is_ok());
    }
}
