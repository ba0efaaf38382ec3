//! Opening files that people bring: the one thing here that touches a disk, so that server, worker and the crates
//! between them open such files in the same way. What is opened may be a pipe that nobody writes to, a device, a link
//! that points at itself, or gigabytes under the name of a small file: opening never waits, and reading has an end.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::path::Path;

use crate::code::Code;
use crate::problem::Problem;

/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;

/// Largest small file of a model by name, bytes; the longest known are a hundredth to a half of this. Source: the
/// files of the models in `README.md`'s families on the hub.
const LIMITS: [(&str, u64); 9] = [
    ("config.json", MIB),
    ("generation_config.json", MIB),
    ("adapter_config.json", MIB),
    ("special_tokens_map.json", MIB),
    ("chat_template.jinja", MIB),
    ("README.md", MIB),
    ("tokenizer_config.json", 16 * MIB),
    ("tokenizer.json", 64 * MIB),
    ("model.safetensors.index.json", 64 * MIB),
];

/// Largest small file of any other name, bytes.
const OTHER_LIMIT: u64 = 16 * MIB;

/// Endings of files that can run code when they are read: pickles, and archives of them.
const PICKLES: [&str; 10] =
    [".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".joblib", ".dill"];

/// Endings of programs.
const PROGRAMS: [&str; 8] = [".py", ".pyc", ".ipynb", ".sh", ".js", ".so", ".dll", ".exe"];

/// Folders of files that the system makes up while they are read.
const MADE_UP: [&str; 2] = ["/proc", "/sys"];

fn ends(name: &str, endings: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    endings.iter().any(|end| lower.ends_with(end))
}

/// Whether a name is that of a pickle, which can run code when it is read.
pub fn is_pickle(name: &str) -> bool {
    ends(name, &PICKLES)
}

/// Whether a name is that of a program.
pub fn is_program(name: &str) -> bool {
    ends(name, &PROGRAMS)
}

/// Largest size accepted for a small file of a model, bytes.
pub fn limit(name: &str) -> u64 {
    let known = LIMITS.iter().find(|(known, _)| *known == name);
    known.map_or(OTHER_LIMIT, |(_, limit)| *limit)
}

/// Why a file was not read.
#[derive(Debug)]
pub enum Unread {
    /// The system does not give it.
    Io(std::io::Error),
    /// A folder, a pipe, a socket, a device, a file that the system makes up, or a link in a circle.
    NotAFile,
    /// It holds more than `most` bytes.
    TooLarge {
        /// Bytes that would have been accepted.
        most: u64,
    },
}

impl Unread {
    /// Whether there is nothing of that name.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(why) if why.kind() == std::io::ErrorKind::NotFound)
    }

    /// The problem for a person. It names the file, not the folder it lies in.
    pub fn problem(&self, path: &Path) -> Problem {
        let name = shown(path);
        match self {
            Self::Io(why) => Problem::new(Code::DiskIo, format!("Could not read {name}: {why}."))
                .with("path", &name)
                .with("why", why),
            Self::NotAFile => Problem::new(Code::ModelNotAFile, format!("{name} is not a regular file."))
                .with("name", &name)
                .hint("Folders, pipes, sockets, devices and links in a circle cannot be read as a file."),
            Self::TooLarge { most } => {
                let config = matches!(&*name, "config.json" | "generation_config.json");
                let code = if config { Code::ConfigTooLarge } else { Code::ModelFileTooLarge };
                let limit = format!("{} MiB", most.div_ceil(MIB));
                Problem::new(code, format!("{name} is larger than {limit}, more than any such file needs."))
                    .with("name", &name)
                    .with("limit", limit)
                    .hint("Take the file that was published with the model.")
            }
        }
        .file(name)
    }
}

impl From<std::io::Error> for Unread {
    fn from(why: std::io::Error) -> Self {
        if is_circle(&why) { Self::NotAFile } else { Self::Io(why) }
    }
}

/// Last part of a path, short enough for a sentence.
fn shown(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// What a path leads to, if that is a regular file; nothing is opened.
///
/// # Errors
/// [`Unread::Io`] and [`Unread::NotAFile`].
pub fn regular(path: &Path) -> Result<Metadata, Unread> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() || is_made_up(path)? {
        return Err(Unread::NotAFile);
    }
    Ok(found)
}

/// Opens a regular file and says how long it is. Never waits for another process.
///
/// # Errors
/// [`Unread::Io`] and [`Unread::NotAFile`].
pub fn open(path: &Path) -> Result<(File, u64), Unread> {
    // Opening a device can already do something, so it is looked at first; and again once it is open, for it may have
    // been exchanged meanwhile.
    regular(path)?;
    let file = open_at_once(path)?;
    let found = file.metadata()?;
    if found.is_file() { Ok((file, found.len())) } else { Err(Unread::NotAFile) }
}

/// Reads a whole file of at most `most` bytes.
///
/// # Errors
/// Every [`Unread`].
pub fn read_small(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    let (file, len) = open(path)?;
    if len > most {
        return Err(Unread::TooLarge { most });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
    // It may grow while it is read.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(Unread::TooLarge { most }) } else { Ok(bytes) }
}

/// Reads a whole small file of a model; its name says how large it may be ([`limit`]).
///
/// # Errors
/// Every [`Unread`].
pub fn read_named(path: &Path) -> Result<Vec<u8>, Unread> {
    read_small(path, limit(&path.file_name().unwrap_or_default().to_string_lossy()))
}

/// Copies a regular file under a new name; gives the number of bytes. What is added to it meanwhile is left out.
///
/// # Errors
/// [`Unread::Io`] and [`Unread::NotAFile`].
pub fn copy(source: &Path, target: &Path) -> Result<u64, Unread> {
    let (file, len) = open(source)?;
    Ok(std::io::copy(&mut file.take(len), &mut File::create(target)?)?)
}

/// Whether the system makes the file up: its size means nothing, and reading it may wait or never end.
fn is_made_up(path: &Path) -> Result<bool, Unread> {
    let whole = std::fs::canonicalize(path)?;
    Ok(MADE_UP.iter().any(|folder| whole.starts_with(folder)))
}

#[cfg(unix)]
fn open_at_once(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

#[cfg(not(unix))]
fn open_at_once(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

#[cfg(unix)]
fn is_circle(why: &std::io::Error) -> bool {
    why.raw_os_error() == Some(libc::ELOOP)
}

#[cfg(not(unix))]
fn is_circle(_: &std::io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own, removed at its end.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("files-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, bytes: &[u8]) -> std::path::PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_small_file_is_read_whole_and_no_byte_more_is_accepted() {
        let folder = Folder::new("small");
        let path = folder.file("config.json", b"12345");
        assert_eq!(read_small(&path, 5).unwrap(), b"12345");
        assert!(matches!(read_small(&path, 4), Err(Unread::TooLarge { most: 4 })));
        assert!(read_small(&folder.0.join("none"), 5).unwrap_err().is_missing());
    }

    #[test]
    fn the_limit_follows_the_name_and_so_does_the_code() {
        let folder = Folder::new("limit");
        for (name, code) in [
            ("config.json", Code::ConfigTooLarge),
            ("generation_config.json", Code::ConfigTooLarge),
            ("chat_template.jinja", Code::ModelFileTooLarge),
        ] {
            let path = folder.file(name, &vec![b' '; limit(name) as usize]);
            assert_eq!(read_named(&path).unwrap().len() as u64, limit(name));
            std::fs::write(&path, vec![b' '; limit(name) as usize + 1]).unwrap();
            let problem = read_named(&path).unwrap_err().problem(&path);
            assert_eq!((problem.code, problem.params["limit"].as_str()), (code, "1 MiB"));
            assert!(!problem.to_string().contains(&*folder.0.to_string_lossy()), "{problem}");
        }
        assert!(limit("tokenizer.json") > limit("anything.json"));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let folder = Folder::new("special");
        let at = |name: &str| folder.0.join(name);
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (name, target) in [("circle", "circle"), ("to-zero", "/dev/zero"), ("to-pipe", "pipe")] {
            std::os::unix::fs::symlink(target, at(name)).unwrap();
        }
        let odd = ["pipe", "socket", "circle", "to-zero", "to-pipe", "."].map(at);
        let system = ["/dev/zero", "/dev/tty", "/proc/self/maps", "/sys/kernel/notes"].map(Into::into);
        for path in odd.iter().chain(&system).filter(|path| std::fs::symlink_metadata(path).is_ok()) {
            let refused = read_small(path, 10).unwrap_err();
            assert!(matches!(refused, Unread::NotAFile), "{}: {refused:?}", path.display());
            assert_eq!(refused.problem(path).code, Code::ModelNotAFile);
        }
        std::os::unix::fs::symlink(folder.file("real", b"ab"), at("to-real")).unwrap();
        assert_eq!(read_small(&at("to-real"), 10).unwrap(), b"ab");
    }

    #[test]
    fn s_092_pickles_and_programs_are_known_by_their_endings_in_any_case() {
        for name in PICKLES {
            assert!(
                is_pickle(&format!("x{name}")) && is_pickle(&format!("X{}", name.to_uppercase())),
                "{name}"
            );
        }
        for name in ["modeling.py", "RUN.SH", "lib.so"] {
            assert!(is_program(name) && !is_pickle(name));
        }
        for name in ["model.safetensors", "config.json", "m.gguf", "binary", "README.md"] {
            assert!(!is_pickle(name) && !is_program(name));
        }
    }
}
