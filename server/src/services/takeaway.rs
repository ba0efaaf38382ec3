//! A checkpoint as a page of its own: a zip of static files that answers from any web host, or from a stick.
//!
//! Browsers let a page from a stick run scripts but read no files, so everything is a script: weights come as pieces in
//! base64 (packed, the zip is no larger for it).

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;

use axum::body::{Body, Bytes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::carry::{HandOver, Parcel};
use contract::chat::ChatTarget;
use contract::generation::GenerationSettings;
use serde_json::json;
use tokio::sync::mpsc;
use zip::ZipWriter;
use zip::write::{SimpleFileOptions, StreamWriter};

use super::carry::{self, Found};
use super::models;
use crate::error::Fault;
use crate::site::Site;
use crate::state::AppState;

/// Bytes of a file in one script; a multiple of three, so that base64 needs no padding within.
const PIECE: usize = 6 << 20;
/// Pages and scripts that go along as they are.
const STATIC: [&str; 3] = ["index.html", "page.css", "page.js"];

/// One who answers on the page.
struct Voice {
    target: ChatTarget,
    tuned: bool,
    parcel: Parcel,
    files: Vec<Found>,
}

/// The zip, as it is being made.
///
/// # Errors
/// Texts that do not hold, a target that is gone or too large for a browser.
pub async fn page(state: &AppState, target: ChatTarget, texts: HandOver) -> Result<Body, Fault> {
    let problems = texts.problems();
    if !problems.is_empty() {
        return Err(Fault::Problems(problems));
    }
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
    let state = state.clone();
    let (out, mut pieces) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(1 << 18, Out(out));
        if let Err(why) = write(&state.site, about, &voices, &mut out) {
            tracing::warn!("a page could not be handed over: {why}");
            // An ended body would pass for a whole file.
            let _ = out.get_ref().0.blocking_send(Err(why));
        }
    });
    Ok(Body::from_stream(futures::stream::poll_fn(move |cx| pieces.poll_recv(cx))))
}

async fn voice(state: &AppState, target: ChatTarget) -> Result<Voice, Fault> {
    let (parcel, files) = carry::gather(state, &target).await?;
    Ok(Voice { tuned: target.run.is_some(), target, parcel, files })
}

/// Hands what is written to the answer's body.
struct Out(mpsc::Sender<io::Result<Bytes>>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Zip<'a> = ZipWriter<StreamWriter<&'a mut BufWriter<Out>>>;

fn begin(zip: &mut Zip, name: &str) -> io::Result<()> {
    let options = SimpleFileOptions::default().compression_level(Some(1)).unix_permissions(0o644);
    zip.start_file(name, options).map_err(io::Error::other)
}

fn write(
    site: &Site,
    mut about: serde_json::Value,
    voices: &[Voice],
    out: &mut BufWriter<Out>,
) -> io::Result<()> {
    let mut zip = ZipWriter::new_stream(&mut *out);
    for name in STATIC {
        begin(&mut zip, name)?;
        zip.write_all(file(site, &format!("takeaway/{name}"))?)?;
    }
    begin(&mut zip, "engine.js")?;
    write_engine(site, &mut zip)?;
    // Voices of one base share its files.
    let mut files: Vec<&Found> = voices.iter().flat_map(|voice| &voice.files).collect();
    files.sort_by(|a, b| a.file.key.cmp(&b.file.key));
    files.dedup_by(|a, b| a.file.key == b.file.key);
    let mut first = 0;
    let mut scripts = serde_json::Map::new();
    for found in &files {
        let pieces = write_file(&mut zip, &found.path, found.file.bytes, first)?;
        scripts.insert(found.file.key.clone(), json!({ "first": first, "pieces": pieces }));
        first += pieces;
    }
    let voices = voices.iter().map(|voice| {
        let files = voice.files.iter().map(|found| found.file.clone()).collect();
        let parcel = Parcel { files, ..voice.parcel.clone() };
        json!({ "target": voice.target, "tuned": voice.tuned, "parcel": parcel })
    });
    about["voices"] = voices.collect();
    about["scripts"] = scripts.into();
    begin(&mut zip, "about.js")?;
    writeln!(zip, "self.about = {about};")?;
    zip.finish().map_err(io::Error::other)?;
    out.flush()
}

fn file<'a>(site: &'a Site, path: &str) -> io::Result<&'a [u8]> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the browser side has no {path}"));
    site.bytes(path).map(AsRef::as_ref).ok_or_else(missing)
}

/// The Web Worker's text and the engine's WebAssembly.
fn write_engine(site: &Site, zip: &mut Zip) -> io::Result<()> {
    let scripts =
        [file(site, "pkg/engine.js")?, file(site, "engine/core.js")?, file(site, "takeaway/worker.js")?];
    let worker = String::from_utf8(scripts.join(&b"\n"[..])).map_err(io::Error::other)?;
    let wasm = STANDARD.encode(file(site, "pkg/engine_bg.wasm")?);
    writeln!(zip, "self.engine = {};", json!({ "worker": worker, "wasm": wasm }))
}

/// Writes a file's pieces, numbered from `first` on; gives how many. A file that has changed since it was listed ends
/// the zip.
fn write_file(zip: &mut Zip, path: &PathBuf, bytes: u64, first: usize) -> io::Result<usize> {
    let mut file = File::open(path)?;
    let (mut rest, mut count) = (bytes, 0);
    let mut piece = vec![0; PIECE.min(usize::try_from(bytes).unwrap_or(PIECE))];
    loop {
        let size = piece.len().min(usize::try_from(rest).unwrap_or(piece.len()));
        file.read_exact(&mut piece[..size])?;
        begin(zip, &format!("weights/{:04}.js", first + count))?;
        writeln!(zip, "piece(\"{}\");", STANDARD.encode(&piece[..size]))?;
        rest -= size as u64;
        count += 1;
        if rest == 0 {
            return Ok(count);
        }
    }
}
