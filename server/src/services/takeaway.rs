//! A checkpoint as a page of its own: a zip of static files that answers from any web host, or from a stick.
//!
//! Browsers let a page from a stick run scripts but read no files, so everything is a script: weights come as pieces in
//! base64. These are stored as they are, so that the zip's size is known before the first byte is sent: packing would
//! take back what base64 adds, but how much of it only the packed bytes can tell.

use std::fs::File;
use std::io::{self, Read, Write};

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::carry::{HandOver, PageSize, Parcel};
use contract::chat::ChatTarget;
use contract::generation::GenerationSettings;
use serde_json::json;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use super::carry::{self, Found};
use super::models;
use super::streamed::streamed;
use crate::error::Fault;
use crate::site::Site;
use crate::state::AppState;

/// Bytes of a file in one script; a multiple of three, so that base64 needs no padding within.
const PIECE: usize = 6 << 20;
/// Pages and scripts that go along as they are.
const STATIC: [&str; 3] = ["index.html", "page.css", "page.js"];
/// What stands around the base64 of a piece.
const AROUND: [&str; 2] = ["piece(\"", "\");\n"];

/// One who answers on the page.
struct Voice {
    target: ChatTarget,
    tuned: bool,
    parcel: Parcel,
    files: Vec<Found>,
}

/// A page before it is written.
struct Page {
    about: serde_json::Value,
    voices: Vec<Voice>,
}

/// The zip, as it is being made, and how many bytes it will have.
///
/// # Errors
/// Texts that do not hold, a target that is gone or too large for a browser.
pub async fn page(state: &AppState, target: ChatTarget, texts: HandOver) -> Result<(Body, u64), Fault> {
    let problems = texts.problems();
    if !problems.is_empty() {
        return Err(Fault::Problems(problems));
    }
    let page = gather(state, target, texts).await?;
    let state = state.clone();
    let root = state.config.site_root.clone();
    let counted = {
        let state = state.clone();
        tokio::task::spawn_blocking(move || page.bytes(&state.site).map(|bytes| (page, bytes))).await?
    };
    let (page, bytes) = counted.map_err(Fault::disk("read", &root))?;
    let body = streamed(move |out| page.write(&state.site, out, Pieces::Written).map(drop));
    Ok((body, bytes))
}

/// How large the zip of a target will be, but for the page's texts.
///
/// # Errors
/// A target that is gone or too large for a browser.
pub async fn size(state: &AppState, target: ChatTarget) -> Result<PageSize, Fault> {
    let both = size_of(state, target.clone(), true).await.ok();
    Ok(PageSize { alone: size_of(state, target, false).await?, both })
}

async fn size_of(state: &AppState, target: ChatTarget, both: bool) -> Result<u64, Fault> {
    let page = gather(state, target, HandOver { both, ..HandOver::default() }).await?;
    let (state, root) = (state.clone(), state.config.site_root.clone());
    let counted = tokio::task::spawn_blocking(move || page.bytes(&state.site)).await?;
    counted.map_err(Fault::disk("read", &root))
}

async fn gather(state: &AppState, target: ChatTarget, texts: HandOver) -> Result<Page, Fault> {
    let base = ChatTarget { model: target.model.clone(), run: None, step: None };
    let mut voices = Vec::new();
    if texts.both && target.run.is_some() {
        voices.push(voice(state, base).await?);
    }
    let model = models::find(state, &target.model).await?;
    voices.push(voice(state, target).await?);
    let about = json!({
        "title": texts.title.trim(),
        "introduction": texts.introduction.trim(),
        "prompts": texts.questions(),
        "trained": texts.trained.trim(),
        "base": model.name,
        "license": model.facts.and_then(|facts| facts.license),
        "settings": GenerationSettings::greedy(),
    });
    Ok(Page { about, voices })
}

async fn voice(state: &AppState, target: ChatTarget) -> Result<Voice, Fault> {
    let (parcel, files) = carry::gather(state, &target).await?;
    Ok(Voice { tuned: target.run.is_some(), target, parcel, files })
}

/// Counts what is written.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether pieces of weights are read and written, or left empty and only counted.
#[derive(Clone, Copy, PartialEq)]
enum Pieces {
    Written,
    Counted,
}

type Zip<W> = ZipWriter<StreamWriter<W>>;

fn begin<W: Write>(zip: &mut Zip<W>, name: &str, method: CompressionMethod) -> io::Result<()> {
    let options = SimpleFileOptions::default().compression_method(method).unix_permissions(0o644);
    zip.start_file(name, options).map_err(io::Error::other)
}

impl Page {
    /// Bytes of the zip: written once without its weights, whose length is known.
    fn bytes(&self, site: &Site) -> io::Result<u64> {
        let mut count = Count(0);
        let weights = self.write(site, &mut count, Pieces::Counted)?;
        Ok(count.0 + weights)
    }

    /// Writes the zip; gives the bytes of all scripts of weights.
    fn write(&self, site: &Site, out: impl Write, pieces: Pieces) -> io::Result<u64> {
        let mut zip = ZipWriter::new_stream(out);
        for name in STATIC {
            begin(&mut zip, name, CompressionMethod::Deflated)?;
            zip.write_all(file(site, &format!("takeaway/{name}"))?)?;
        }
        begin(&mut zip, "engine.js", CompressionMethod::Deflated)?;
        write_engine(site, &mut zip)?;
        // Voices of one base share its files.
        let mut files: Vec<&Found> = self.voices.iter().flat_map(|voice| &voice.files).collect();
        files.sort_by(|a, b| a.file.key.cmp(&b.file.key));
        files.dedup_by(|a, b| a.file.key == b.file.key);
        let (mut first, mut bytes) = (0, 0);
        let mut scripts = serde_json::Map::new();
        for found in &files {
            let (count, more) = write_file(&mut zip, found, first, pieces)?;
            scripts.insert(found.file.key.clone(), json!({ "first": first, "pieces": count }));
            (first, bytes) = (first + count, bytes + more);
        }
        let voices = self.voices.iter().map(|voice| {
            let files = voice.files.iter().map(|found| found.file.clone()).collect();
            let parcel = Parcel { files, ..voice.parcel.clone() };
            json!({ "target": voice.target, "tuned": voice.tuned, "parcel": parcel })
        });
        let mut about = self.about.clone();
        about["voices"] = voices.collect();
        about["scripts"] = scripts.into();
        about["bytes"] = bytes.into();
        begin(&mut zip, "about.js", CompressionMethod::Deflated)?;
        writeln!(zip, "self.about = {about};")?;
        zip.finish().map_err(io::Error::other)?;
        Ok(bytes)
    }
}

fn file<'a>(site: &'a Site, path: &str) -> io::Result<&'a [u8]> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the browser side has no {path}"));
    site.bytes(path).map(AsRef::as_ref).ok_or_else(missing)
}

/// The Web Worker's text and the engine's WebAssembly.
fn write_engine<W: Write>(site: &Site, zip: &mut Zip<W>) -> io::Result<()> {
    let scripts =
        [file(site, "pkg/engine.js")?, file(site, "engine/core.js")?, file(site, "takeaway/worker.js")?];
    let worker = String::from_utf8(scripts.join(&b"\n"[..])).map_err(io::Error::other)?;
    let wasm = STANDARD.encode(file(site, "pkg/engine_bg.wasm")?);
    writeln!(zip, "self.engine = {};", json!({ "worker": worker, "wasm": wasm }))
}

/// Writes a file's pieces, numbered from `first` on; gives how many, and their bytes. A file that has changed since it
/// was listed ends the zip.
fn write_file<W: Write>(
    zip: &mut Zip<W>,
    found: &Found,
    first: usize,
    pieces: Pieces,
) -> io::Result<(usize, u64)> {
    let mut file = if pieces == Pieces::Written { Some(File::open(&found.path)?) } else { None };
    let (mut rest, mut count, mut bytes) = (found.file.bytes, 0, 0);
    let mut piece = Vec::new();
    loop {
        let size = PIECE.min(usize::try_from(rest).unwrap_or(PIECE));
        begin(zip, &format!("weights/{:04}.js", first + count), CompressionMethod::Stored)?;
        if let Some(file) = &mut file {
            piece.resize(size, 0);
            file.read_exact(&mut piece)?;
            write!(zip, "{}{}{}", AROUND[0], STANDARD.encode(&piece), AROUND[1])?;
        }
        bytes += (AROUND[0].len() + 4 * size.div_ceil(3) + AROUND[1].len()) as u64;
        rest -= size as u64;
        count += 1;
        if rest == 0 {
            return Ok((count, bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::ModelId;
    use contract::carry::ParcelFile;

    use super::*;

    fn site(folder: &std::path::Path) -> Site {
        for name in ["takeaway/index.html", "takeaway/page.css", "takeaway/page.js", "takeaway/worker.js"] {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, name.repeat(40)).expect("written");
        }
        for name in ["pkg/engine.js", "pkg/engine_bg.wasm", "engine/core.js"] {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, "x".repeat(5000)).expect("written");
        }
        Site::read(folder)
    }

    #[test]
    fn the_size_that_is_announced_is_the_size_of_the_zip() {
        let place = tempfile::tempdir().expect("a folder");
        let site = site(place.path());
        for bytes in [0_usize, 1, 1000, PIECE, PIECE + 7] {
            let path = place.path().join("weights");
            std::fs::write(&path, vec![b'w'; bytes]).expect("written");
            let file = ParcelFile {
                name: "model.gguf".to_owned(),
                bytes: bytes as u64,
                key: "k".to_owned(),
                sha256: None,
            };
            let voice = Voice {
                target: ChatTarget { model: ModelId("m".to_owned()), run: None, step: None },
                tuned: false,
                parcel: Parcel {
                    name: "m".to_owned(),
                    parameters: 1,
                    digest: "d".to_owned(),
                    template: "default".to_owned(),
                    system: None,
                    files: Vec::new(),
                },
                files: vec![Found { file, path }],
            };
            let page = Page { about: json!({}), voices: vec![voice] };
            let mut zip = Vec::new();
            let weights = page.write(&site, &mut zip, Pieces::Written).expect("written");
            assert_eq!(page.bytes(&site).expect("counted"), zip.len() as u64, "{bytes} bytes of weights");
            assert!(weights >= 4 * (bytes as u64).div_ceil(3), "{weights}");
        }
    }
}
