//! The browser side as it is handed out. It is read once, at the start: a server never mixes the files of two builds,
//! even while the next build is being written where it read them.
//!
//! Every file has two addresses. `/build/<build>/pkg/burnish.js` names the build, so that browsers keep it and never ask
//! again, and files that belong together name each other within it; `/pkg/burnish.js` is asked for anew each time and
//! answered with 304 as long as it is the same.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use app::assets;
use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use contract::files;
use sha2::{Digest, Sha256};

/// For addresses that name their build: a year, and no question in between.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
/// For all others: kept, but asked for each time.
const ASK_AGAIN: &str = "no-cache";
/// Hex digits of a build's name and of an entity tag.
const DIGITS: usize = 16;

/// The files below the site root, and what they are called together.
#[derive(Debug)]
pub struct Site {
    build: String,
    files: BTreeMap<String, File>,
}

/// A file in memory.
#[derive(Debug)]
struct File {
    bytes: Bytes,
    /// Weak, for the same file also goes out compressed.
    tag: String,
    kind: HeaderValue,
}

impl Site {
    /// Reads every file below `root`, hidden ones left out. A root that is missing makes an empty site.
    pub fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        gather(root, "", &mut files);
        let mut digest = Sha256::new();
        for (path, file) in &files {
            digest.update(format!("{path}\n{}\n", file.tag));
        }
        Self { build: short(digest), files }
    }

    /// The name of the build: a digest of every file, 16 hex digits.
    pub fn build(&self) -> &str {
        &self.build
    }

    /// A file's bytes; `path` has no slash before it.
    pub fn bytes(&self, path: &str) -> Option<&Bytes> {
        self.files.get(path).map(|file| &file.bytes)
    }

    /// What a path is answered with; `None` where no file has it and a page may be shown. Another build's address is never
    /// answered with this one's file.
    pub fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Some((StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response());
        }
        let (cache, path) = match path.strip_prefix(assets::PREFIX) {
            Some(rest) => match rest.split_once('/').filter(|(build, _)| *build == self.build) {
                Some((_, path)) if self.files.contains_key(path) => (FOR_GOOD, path),
                _ => return Some((StatusCode::NOT_FOUND, "This build has no such file.\n").into_response()),
            },
            None => (ASK_AGAIN, path.trim_start_matches('/')),
        };
        let file = self.files.get(path)?;
        let mut response = file.answer(*method == Method::HEAD, headers);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        Some(response)
    }
}

impl File {
    fn answer(&self, head: bool, headers: &HeaderMap) -> Response {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let tag = [(ETAG, self.tag.as_str())];
        if text(IF_NONE_MATCH).is_some_and(|known| is_among(known, &self.tag)) {
            return (StatusCode::NOT_MODIFIED, tag).into_response();
        }
        let own = [(CONTENT_TYPE, self.kind.clone()), (ACCEPT_RANGES, HeaderValue::from_static("bytes"))];
        let all = self.bytes.len();
        if head {
            return (tag, own, [(CONTENT_LENGTH, all.to_string())], Body::empty()).into_response();
        }
        // A weak tag never proves that the rest is of the same bytes: then the whole file goes out.
        match text(RANGE).filter(|_| !headers.contains_key(IF_RANGE)).and_then(|range| read_range(range, all))
        {
            None => (tag, own, self.bytes.clone()).into_response(),
            Some(Some((from, to))) => {
                let range = [(CONTENT_RANGE, format!("bytes {from}-{to}/{all}"))];
                (StatusCode::PARTIAL_CONTENT, tag, own, range, self.bytes.slice(from..=to)).into_response()
            }
            Some(None) => {
                let range = [(CONTENT_RANGE, format!("bytes */{all}"))];
                (StatusCode::RANGE_NOT_SATISFIABLE, tag, range).into_response()
            }
        }
    }
}

/// The one range that a `Range` header asks for, first and last byte; `Some(None)` when it lies beyond the end, `None`
/// when the header is none that must be heeded.
fn read_range(text: &str, all: usize) -> Option<Option<(usize, usize)>> {
    let (from, to) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |digits: &str| digits.parse::<usize>().ok();
    let (from, to) = match (from, to) {
        ("", last) => (all.saturating_sub(number(last)?), usize::MAX),
        (from, "") => (number(from)?, usize::MAX),
        (from, to) => (number(from)?, number(to).filter(|to| number(from).is_some_and(|from| from <= *to))?),
    };
    Some((from < all).then(|| (from, to.min(all - 1))))
}

/// Whether an `If-None-Match` header has a tag, compared weakly.
fn is_among(known: &str, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.trim() == "*" || known.split(',').any(|one| bare(one) == bare(tag))
}

fn gather(folder: &Path, prefix: &str, files: &mut BTreeMap<String, File>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (at, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{prefix}{name}");
        if at.is_dir() {
            gather(&at, &format!("{path}/"), files);
            continue;
        }
        match whole(&at) {
            Ok(bytes) => {
                let tag = format!("W/\"{}\"", short(Sha256::new_with_prefix(&bytes)));
                files.insert(path, File { bytes: bytes.into(), tag, kind: kind_of(&name) });
            }
            Err(why) => tracing::warn!("{} is not handed out: {why:?}", at.display()),
        }
    }
}

/// A regular file's bytes: what else may lie there could be waited for without end.
fn whole(path: &Path) -> Result<Vec<u8>, files::Unread> {
    let (mut file, length) = files::open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn short(digest: Sha256) -> String {
    let mut text = format!("{:x}", digest.finalize());
    text.truncate(DIGITS);
    text
}

/// Media type by the end of a name.
fn kind_of(name: &str) -> HeaderValue {
    HeaderValue::from_static(match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "jsonl" | "txt" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_among_the_files_is_left_out() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let place = tempfile::tempdir().expect("a folder");
        std::fs::write(place.path().join("a.txt"), "a").expect("written");
        mknodat(CWD, place.path().join("pipe.txt"), FileType::Fifo, Mode::RUSR, 0).expect("made");
        let site = Site::read(place.path());
        assert!(site.bytes("a.txt").is_some() && site.bytes("pipe.txt").is_none());
    }

    #[test]
    fn ranges_are_read_as_the_standard_has_them() {
        let read = |text| read_range(text, 10);
        assert_eq!(read("bytes=0-3"), Some(Some((0, 3))));
        assert_eq!(read("bytes=4-"), Some(Some((4, 9))));
        assert_eq!(read("bytes=-3"), Some(Some((7, 9))));
        assert_eq!(read("bytes=-30"), Some(Some((0, 9))));
        assert_eq!(read("bytes=8-300"), Some(Some((8, 9))));
        assert_eq!((read("bytes=10-"), read("bytes=-0")), (Some(None), Some(None)));
        for passed_over in ["bytes=5-2", "bytes=0-1,4-5", "rows=0-1", "bytes=", "bytes=-", "bytes=x-y", ""] {
            assert_eq!(read(passed_over), None, "{passed_over}");
        }
        assert_eq!(read_range("bytes=0-", 0), Some(None));
    }

    #[test]
    fn tags_are_compared_weakly() {
        for known in ["W/\"a\"", "\"a\"", "\"b\", W/\"a\"", "*"] {
            assert!(is_among(known, "W/\"a\""), "{known}");
        }
        assert!(!is_among("\"b\"", "W/\"a\"") && !is_among("", "W/\"a\""));
    }

    #[test]
    fn another_file_is_another_build_and_hidden_ones_do_not_count() {
        let place = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text| std::fs::write(place.path().join(name), text).expect("written");
        let build = || Site::read(place.path()).build().to_owned();
        write("a.js", "1");
        let first = build();
        assert_eq!(first.len(), DIGITS);
        write(".stamp", "x");
        assert_eq!(build(), first);
        write("a.js", "2");
        assert_ne!(build(), first);
        assert!(Site::read(&place.path().join("gone")).bytes("a.js").is_none());
    }
}
