//! The hub's JSON: hits of a search, and the files of a repository.

use contract::Code;
use contract::Problem;
use contract::hub::{HubFile, HubHit, HubHits, HubKind, HubRepo};
use reqwest::{Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::sparing::{Few, Gated, License};
use super::{Hub, cache, names, refusal};

/// Hits of a search at most.
const HITS: usize = 20;
/// Longest answer that is read, bytes.
const LONGEST: usize = 16 << 20;
/// Files of a repository at most.
const FILES: usize = 20_000;
/// Tags at most; more are passed over.
const TAGS: usize = 1000;
/// Largest size that is believed, bytes: sums of them stay numbers.
const LARGEST: u64 = 1 << 45;

#[derive(Deserialize)]
struct Hit {
    id: String,
    #[serde(default)]
    downloads: u64,
    #[serde(default)]
    tags: Few<String, TAGS>,
    #[serde(default)]
    gated: Gated,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    sha: String,
    #[serde(default)]
    tags: Few<String, TAGS>,
    #[serde(default)]
    gated: Gated,
    #[serde(default)]
    siblings: Few<Sibling, FILES>,
    #[serde(default, rename = "cardData")]
    card: Option<Card>,
}

#[derive(Deserialize)]
struct Card {
    #[serde(default)]
    license: License,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    #[serde(default)]
    size: u64,
}

fn license(tags: &[String]) -> Option<String> {
    tags.iter().find_map(|tag| tag.strip_prefix("license:")).map(str::to_owned)
}

/// Whether a text is a digest of `length` hex digits.
fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl Hub {
    fn address(&self, parts: &[&str]) -> Result<Url, Problem> {
        let mut url = self.settings.endpoint.clone();
        let broken = || {
            Problem::new(Code::HubUnusable, "The hub's address cannot hold a path.")
                .with("why", &self.settings.endpoint)
        };
        let mut path = url.path_segments_mut().map_err(|()| broken())?;
        path.pop_if_empty().extend(parts.iter().flat_map(|part| part.split('/')));
        drop(path);
        Ok(url)
    }

    /// Repositories whose name holds `text`, most used first. Offline: those in the cache.
    ///
    /// # Errors
    /// When the hub cannot be reached or refuses.
    pub async fn search(&self, kind: HubKind, text: &str) -> Result<HubHits, Problem> {
        let text: String = text.trim().chars().filter(|c| !c.is_control()).take(100).collect();
        let known = cache::repos(&self.settings.cache, kind);
        if self.settings.offline {
            let wanted = text.to_ascii_lowercase();
            let hits = known.into_iter().filter(|repo| repo.to_ascii_lowercase().contains(&wanted));
            let hit = |repo| HubHit { repo, license: None, downloads: 0, gated: false, cached: true };
            return Ok(HubHits { host: String::new(), hits: hits.map(hit).collect() });
        }
        let mut url = self.address(&["api", kind.plural()])?;
        let limit = HITS.to_string();
        let order = [("sort", "downloads"), ("direction", "-1"), ("limit", &limit)];
        url.query_pairs_mut().append_pair("search", &text).extend_pairs(order);
        let response = self.get(url, 0).await?;
        let hits: Few<Hit, HITS> = self.json(&text, response).await?;
        let hit = |hit: Hit| HubHit {
            license: license(&hit.tags.kept),
            downloads: hit.downloads,
            gated: hit.gated.0,
            cached: known.contains(&hit.id),
            repo: hit.id,
        };
        let hits = hits.kept.into_iter().filter(|hit| names::repo(&hit.id).is_ok()).map(hit).collect();
        Ok(HubHits { host: self.settings.host(), hits })
    }

    /// What a repository holds at a revision. Offline: what the cache holds of it.
    ///
    /// # Errors
    /// When a name is no name, the hub cannot be reached or refuses.
    pub async fn repo(&self, kind: HubKind, repo: &str, revision: &str) -> Result<HubRepo, Problem> {
        let (repo, revision) = (names::repo(repo)?, names::revision(revision)?);
        if self.settings.offline {
            return cache::repo(&self.settings.cache, kind, repo, revision);
        }
        let mut url = self.address(&["api", kind.plural(), repo, "revision"])?;
        // one segment: a branch may hold slashes, which the hub wants encoded
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(revision);
        }
        url.query_pairs_mut().append_pair("blobs", "true");
        let response = self.get(url, 0).await?;
        let info: Info = self.json(repo, response).await?;
        if !is_hex(&info.sha, 40) {
            return Err(odd(&self.settings.host(), "it names no commit"));
        }
        if info.siblings.more {
            return Err(odd(&self.settings.host(), "it names too many files"));
        }
        let file = |one: Sibling| HubFile {
            refused: names::refused(kind, &one.rfilename),
            bytes: one.lfs.as_ref().map_or(one.size, |lfs| lfs.size.max(one.size)).min(LARGEST),
            sha256: one.lfs.map(|lfs| lfs.sha256).filter(|sha256| is_hex(sha256, 64)),
            path: one.rfilename,
        };
        Ok(HubRepo {
            kind,
            repo: repo.to_owned(),
            revision: revision.to_owned(),
            commit: info.sha,
            license: info.card.and_then(|card| card.license.0).or(license(&info.tags.kept)),
            gated: info.gated.0,
            files: info.siblings.kept.into_iter().map(file).collect(),
        })
    }

    /// The address of a file's bytes.
    pub(super) fn file_address(&self, repo: &HubRepo, path: &str) -> Result<Url, Problem> {
        let head: &[&str] = if repo.kind == HubKind::Dataset { &["datasets"] } else { &[] };
        self.address(&[head, &[repo.repo.as_str(), "resolve", repo.commit.as_str(), path]].concat())
    }

    /// Asks for a file's bytes from `from` on.
    pub(super) async fn bytes(&self, repo: &HubRepo, path: &str, from: u64) -> Result<Response, Problem> {
        self.get(self.file_address(repo, path)?, from).await
    }

    async fn json<T: DeserializeOwned>(&self, repo: &str, mut response: Response) -> Result<T, Problem> {
        if !response.status().is_success() {
            return Err(refusal(&self.settings, repo, &response));
        }
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|_| odd(&self.settings.host(), "it was cut off"))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(odd(&self.settings.host(), "it is too long"));
            }
        }
        serde_json::from_slice(&body)
            .map_err(|_| odd(&self.settings.host(), "it is not the JSON that was agreed"))
    }
}

fn odd(host: &str, why: &str) -> Problem {
    Problem::new(Code::HubOddAnswer, format!("The answer of {host} cannot be used: {why}."))
        .with("why", why)
        .hint("Check HF_ENDPOINT: it must name a Hugging Face hub or a mirror of one.")
}
