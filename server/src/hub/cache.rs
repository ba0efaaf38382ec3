//! The hub's cache on disk, in the layout its own tools share: `models--owner--name/` with `blobs/` named by
//! digest, `snapshots/<commit>/` of links to them, and `refs/<branch>` that name commits.

use std::path::{Path, PathBuf};

use contract::Code;
use contract::Problem;
use contract::hub::{HubFile, HubKind, HubRepo};

use super::names;

fn prefix(kind: HubKind) -> &'static str {
    match kind {
        HubKind::Model => "models--",
        HubKind::Dataset => "datasets--",
    }
}

/// The folder of a repository. The name must have been checked.
pub fn folder(cache: &Path, kind: HubKind, repo: &str) -> PathBuf {
    cache.join(format!("{}{}", prefix(kind), repo.replace('/', "--")))
}

/// The place of a file in the snapshot of a commit. Names must have been checked.
pub fn snapshot(cache: &Path, repo: &HubRepo, path: &str) -> PathBuf {
    folder(cache, repo.kind, &repo.repo).join("snapshots").join(&repo.commit).join(path)
}

/// Repositories with a snapshot, by name.
pub fn repos(cache: &Path, kind: HubKind) -> Vec<String> {
    let entries = std::fs::read_dir(cache).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().strip_prefix(prefix(kind))?.replacen("--", "/", 1);
        (names::repo(&name).is_ok() && entry.path().join("snapshots").is_dir()).then_some(name)
    };
    let mut found: Vec<String> = entries.filter_map(name).collect();
    found.sort();
    found
}

/// Notes which commit a branch stands for.
///
/// # Errors
/// Those of the disk.
pub fn note_ref(cache: &Path, repo: &HubRepo) -> std::io::Result<()> {
    if repo.revision == repo.commit {
        return Ok(());
    }
    let path = folder(cache, repo.kind, &repo.repo).join("refs").join(&repo.revision);
    std::fs::create_dir_all(path.parent().unwrap_or(cache))?;
    let half = half_of(&path);
    std::fs::write(&half, &repo.commit)?;
    std::fs::rename(half, path)
}

/// What the cache holds of a repository at a revision.
///
/// # Errors
/// `hub.not_cached`.
pub fn repo(cache: &Path, kind: HubKind, repo: &str, revision: &str) -> Result<HubRepo, Problem> {
    let folder = folder(cache, kind, repo);
    let commit = std::fs::read_to_string(folder.join("refs").join(revision))
        .map(|text| text.trim().to_owned())
        .unwrap_or_else(|_| revision.to_owned());
    let snapshot = folder.join("snapshots").join(&commit);
    let plain = !commit.is_empty() && commit.bytes().all(|b| b.is_ascii_alphanumeric());
    if !plain || !snapshot.is_dir() {
        return Err(Problem::new(
            Code::HubNotCached,
            format!("{repo} at {revision} is not in the cache of this machine."),
        )
        .with("repo", repo)
        .with("revision", revision)
        .hint("Burnish was told to stay offline (HF_HUB_OFFLINE); unset it to fetch the files."));
    }
    let mut files = Vec::new();
    list(&snapshot, "", kind, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let (repo, revision) = (repo.to_owned(), revision.to_owned());
    Ok(HubRepo { kind, repo, revision, commit, license: None, gated: false, files })
}

fn list(folder: &Path, under: &str, kind: HubKind, files: &mut Vec<HubFile>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if under.is_empty() { name } else { format!("{under}/{name}") };
        match std::fs::metadata(entry.path()) {
            Ok(meta) if meta.is_dir() && path.matches('/').count() < 6 => {
                list(&entry.path(), &path, kind, files)
            }
            Ok(meta) if meta.is_file() => files.push(HubFile {
                refused: names::refused(kind, &path),
                bytes: meta.len(),
                sha256: None,
                path,
            }),
            _ => {}
        }
    }
}

/// Gives a complete blob its name and links it into its snapshot.
///
/// # Errors
/// Those of the disk.
pub fn keep(half: &Path, blob: &Path, link: &Path) -> std::io::Result<()> {
    std::fs::rename(half, blob)?;
    relink(blob, link)
}

/// Links a blob into a snapshot, relative where both lie in one folder tree, so that the cache may be moved.
///
/// # Errors
/// Those of the disk.
pub fn relink(blob: &Path, link: &Path) -> std::io::Result<()> {
    let folder = link.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let half = half_of(link);
    std::os::unix::fs::symlink(relative(folder, blob), &half)?;
    std::fs::rename(half, link)
}

/// Where what is to lie at `path` is made, so that nobody finds half of it there.
fn half_of(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new("."));
    folder.join(format!(".{}.tmp", uuid::Uuid::new_v4().simple()))
}

fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| "..");
    up.map(PathBuf::from).chain([to.components().skip(shared).collect()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_011_s_014_the_cache_has_the_layout_of_the_hubs_own_tools() {
        let place = tempfile::tempdir().expect("a folder");
        let repo = HubRepo {
            kind: HubKind::Dataset,
            repo: "ada/tea".to_owned(),
            revision: "main".to_owned(),
            commit: "c0ffee".to_owned(),
            license: None,
            gated: false,
            files: Vec::new(),
        };
        let base = folder(place.path(), repo.kind, &repo.repo);
        assert!(base.ends_with("datasets--ada--tea"));
        std::fs::create_dir_all(base.join("blobs")).expect("made");
        std::fs::write(base.join("blobs/x.incomplete"), "{}").expect("written");
        let link = snapshot(place.path(), &repo, "data/train.jsonl");
        keep(&base.join("blobs/x.incomplete"), &base.join("blobs/x"), &link).expect("kept");
        note_ref(place.path(), &repo).expect("noted");
        assert_eq!(std::fs::read_link(&link).expect("a link"), PathBuf::from("../../../blobs/x"));
        assert_eq!(std::fs::read_to_string(&link).expect("readable"), "{}");
        assert_eq!(repos(place.path(), HubKind::Dataset), ["ada/tea"]);
        let found = super::repo(place.path(), HubKind::Dataset, "ada/tea", "main").expect("found");
        assert_eq!((found.commit.as_str(), found.files[0].path.as_str()), ("c0ffee", "data/train.jsonl"));
        let none = super::repo(place.path(), HubKind::Dataset, "ada/tea", "dev").expect_err("no such branch");
        assert_eq!(none.code, Code::HubNotCached);
    }
}
