//! Hostile zips.

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

struct Zip {
    place: tempfile::TempDir,
    entries: Vec<(String, Vec<u8>)>,
}

impl Zip {
    fn of(entries: &[(&str, &[u8])]) -> Self {
        let entries = entries.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        Self { place: tempfile::tempdir().expect("a folder"), entries }
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("a.zip")
    }

    fn make(&self) -> Vec<u8> {
        let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        for (name, bytes) in &self.entries {
            zip.start_file(name, options).expect("begun");
            zip.write_all(bytes).expect("written");
        }
        zip.finish().expect("whole").into_inner()
    }

    fn unpack_bytes(&self, bytes: &[u8]) -> Result<Vec<String>, Problem> {
        std::fs::write(self.path(), bytes).expect("written");
        let target = self.place.path().join("out");
        unpack(&self.path(), &target)?;
        let entries = std::fs::read_dir(&target).expect("lists").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }

    fn unpack(&self) -> Result<Vec<String>, Problem> {
        self.unpack_bytes(&self.make())
    }

    fn code(&self) -> Code {
        let code = self.unpack().expect_err("refused").code;
        assert!(!self.place.path().join("out").exists(), "nothing is written before all was looked at");
        code
    }
}

/// The bytes with every `from` replaced by a `to` of the same length.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut all = bytes.to_vec();
    for at in 0..all.len().saturating_sub(from.len()) {
        if all[at..].starts_with(from) {
            all[at..at + to.len()].copy_from_slice(to);
        }
    }
    all
}

#[test]
fn only_known_files_are_unpacked_from_wherever_they_lie_together() {
    let zip = Zip::of(&[
        ("mine/adapter_config.json", b"{}"),
        ("mine/adapter_model.safetensors", b"weights"),
        ("mine/modeling.py", b"import os"),
        ("mine/value_head.bin", b"pickle"),
        ("other/notes.txt", b"text"),
        ("__MACOSX/mine/config.json", b"fork"),
    ]);
    let names = zip.unpack().expect("unpacked");
    assert_eq!(names, ["adapter_config.json", "adapter_model.safetensors", "value_head.bin"]);
    let pickle = std::fs::read(zip.place.path().join("out/value_head.bin")).expect("reads");
    assert!(pickle.is_empty(), "a pickle is refused by its name");
}

#[test]
fn s7_names_that_leave_their_folder_refuse_the_zip() {
    for name in [
        "../config.json",
        "a/../../config.json",
        "/etc/config.json",
        "a\\..\\config.json",
        "C:/config.json",
        "a//config.json",
        "./config.json",
        "a\nb/config.json",
    ] {
        let long = "X".repeat(name.len());
        let zip = Zip::of(&[("tokenizer.json", b"{}"), (&long, b"{}")]);
        let bytes = replaced(&zip.make(), long.as_bytes(), name.as_bytes());
        assert_eq!(zip.unpack_bytes(&bytes).expect_err(name).code, Code::ArchiveEntry, "{name}");
        assert!(!zip.place.path().join("out").exists());
    }
}

#[test]
fn s7_links_and_devices_refuse_the_zip() {
    let zip = Zip::of(&[]);
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.add_symlink("config.json", "/etc/passwd", SimpleFileOptions::default()).expect("added");
    let bytes = writer.finish().expect("whole").into_inner();
    assert_eq!(zip.unpack_bytes(&bytes).expect_err("a link").code, Code::ArchiveEntry);
}

#[test]
fn s7_entries_of_one_name_and_files_of_two_folders_refuse_the_zip() {
    let twice = Zip::of(&[("config.json", b"{}"), ("conf1g.json", b"[]")]);
    let bytes = replaced(&twice.make(), b"conf1g.json", b"config.json");
    assert_eq!(twice.unpack_bytes(&bytes).expect_err("twice").code, Code::ArchiveEntry);
    assert_eq!(Zip::of(&[("a/config.json", b"{}"), ("b/config.json", b"{}")]).code(), Code::ArchiveEntry);
    assert_eq!(Zip::of(&[("a/config.json", b"{}"), ("b/tokenizer.json", b"{}")]).code(), Code::ArchiveEntry);
}

#[test]
fn s7_bombs_are_refused_before_anything_is_written() {
    let zeros = vec![0; 4 << 20];
    assert_eq!(Zip::of(&[("model.safetensors", &zeros)]).code(), Code::ArchiveTooLarge, "1000 : 1");
    let many: Vec<(String, Vec<u8>)> = (0..=MOST_ENTRIES).map(|at| (format!("f{at}"), Vec::new())).collect();
    let zip = Zip { place: tempfile::tempdir().expect("a folder"), entries: many };
    assert_eq!(zip.code(), Code::ArchiveTooLarge, "too many entries");
    let short = Zip::of(&[("value_head.safetensors", &[0; 20_000])]);
    assert_eq!(short.unpack().expect("a short file of zeros").len(), 1);
}

#[test]
fn s7_an_entry_that_holds_more_than_it_claims_is_refused() {
    let zip = Zip::of(&[("config.json", &[b'x'; 50_000])]);
    let bytes = replaced(&zip.make(), &50_000_u32.to_le_bytes(), &5_u32.to_le_bytes());
    let unpacked = zip.unpack_bytes(&bytes);
    let written = std::fs::metadata(zip.place.path().join("out/config.json")).map_or(0, |found| found.len());
    assert_eq!(unpacked.expect_err("more than claimed").code, Code::ArchiveBroken);
    assert!(written <= 6, "{written} bytes");
}

#[test]
fn broken_and_foreign_zips_say_so() {
    let zip = Zip::of(&[("config.json", b"{\"a\": 1}")]);
    let whole = zip.make();
    for length in 0..whole.len() {
        let problem = Zip::of(&[]).unpack_bytes(&whole[..length]).expect_err("cut");
        assert_eq!(problem.code, Code::ArchiveBroken, "{length} bytes");
    }
    assert_eq!(Zip::of(&[("notes.txt", b"text")]).code(), Code::ModelFileMissing);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        // Whatever comes of it, it is an answer.
        let _ = Zip::of(&[]).unpack_bytes(&bytes);
    }
}

#[test]
fn a_zip_is_looked_for_where_no_model_lies() {
    let zip = Zip::of(&[("config.json", b"{}")]);
    std::fs::write(zip.path(), zip.make()).expect("written");
    assert_eq!(find(&zip.path()), Some(zip.path()));
    assert_eq!(find(zip.place.path()), Some(zip.path()));
    for other in ["config.json", "x.gguf", "adapter_model.safetensors"] {
        let path = zip.place.path().join(other);
        std::fs::write(&path, "{}").expect("written");
        assert_eq!(find(zip.place.path()), None, "{other} lies beside it");
        std::fs::remove_file(&path).expect("removed");
    }
}
