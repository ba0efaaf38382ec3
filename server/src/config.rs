//! What the server is told when it starts.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::net::Limits;
use crate::net::limits::{CONNECTIONS, CONNECTIONS_PER_ADDRESS};

/// Mode of folders of data: datasets, models and runs are nobody else's.
const FOLDER_MODE: u32 = 0o700;
/// Mode of the database.
const FILE_MODE: u32 = 0o600;

/// Options of `serve`, `doctor` and `migrate`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address to listen on.
    #[arg(long, visible_alias = "listen", env = "BURNISH_ADDR", default_value = "127.0.0.1:7860")]
    pub addr: SocketAddr,
    /// Folder for datasets, models, runs and the database.
    #[arg(long, env = "BURNISH_DATA")]
    pub data_dir: Option<PathBuf>,
    /// Folder with the browser side (pkg/, fonts/, samples/).
    #[arg(long, env = "BURNISH_SITE")]
    pub site_root: Option<PathBuf>,
    /// The worker program; by default `burnish-worker` beside this one.
    #[arg(long, env = "BURNISH_WORKER")]
    pub worker: Option<PathBuf>,
    /// A model file to import at the first start.
    #[arg(long, env = "BURNISH_STARTER")]
    pub starter: Option<PathBuf>,
    /// Largest upload, bytes.
    #[arg(long, env = "BURNISH_MAX_UPLOAD", default_value_t = 20 << 30)]
    pub max_upload: u64,
    /// Runs that train at the same time.
    #[arg(long, env = "BURNISH_TRAIN_AT_ONCE", default_value_t = 1)]
    pub train_at_once: usize,
    /// Models kept in memory for talking.
    #[arg(long, env = "BURNISH_CHAT_MODELS", default_value_t = 3)]
    pub chat_models: usize,
    /// Connections at the same time; the limit of open files may allow fewer.
    #[arg(long, env = "BURNISH_CONNECTIONS", default_value_t = CONNECTIONS)]
    pub connections: usize,
    /// Connections of one address at the same time.
    #[arg(long, env = "BURNISH_CONNECTIONS_PER_ADDRESS", default_value_t = CONNECTIONS_PER_ADDRESS)]
    pub connections_per_address: usize,
}

/// Options with every default filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on.
    pub addr: SocketAddr,
    /// Data directory, absolute.
    pub data_dir: PathBuf,
    /// Browser side.
    pub site_root: PathBuf,
    /// Worker program.
    pub worker: PathBuf,
    /// Starter model file.
    pub starter: Option<PathBuf>,
    /// Largest upload, bytes.
    pub max_upload: u64,
    /// Runs that train at the same time.
    pub train_at_once: usize,
    /// Models kept in memory for talking.
    pub chat_models: usize,
    /// How long an unused model stays in memory.
    pub chat_idle: Duration,
    /// What clients may take of the server.
    pub limits: Limits,
    /// The model hub.
    pub hub: crate::hub::Settings,
}

impl Config {
    /// Fills in what was not given.
    pub fn new(options: Options) -> std::io::Result<Self> {
        let beside = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
        let data_dir = options.data_dir.unwrap_or_else(default_data_dir);
        Ok(Self {
            addr: options.addr,
            data_dir: std::path::absolute(data_dir)?,
            site_root: std::path::absolute(options.site_root.unwrap_or_else(|| beside.join("site")))?,
            worker: options.worker.unwrap_or_else(|| beside.join("burnish-worker")),
            starter: options.starter.filter(|path| !path.as_os_str().is_empty()),
            max_upload: options.max_upload,
            train_at_once: options.train_at_once.max(1),
            chat_models: options.chat_models.max(1),
            chat_idle: Duration::from_secs(600),
            limits: Limits {
                connections: options.connections.max(1),
                connections_per_address: options.connections_per_address.max(1),
                ..Limits::default()
            },
            hub: crate::hub::Settings::from_env(),
        })
    }

    /// A configuration for tests: everything under `folder`, a free port.
    pub fn for_testing(folder: &Path, worker: &Path) -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            data_dir: folder.join("data"),
            site_root: folder.join("site"),
            worker: worker.to_owned(),
            starter: None,
            max_upload: 1 << 20,
            train_at_once: 1,
            chat_models: 2,
            chat_idle: Duration::from_secs(600),
            limits: Limits::default(),
            hub: crate::hub::Settings {
                offline: true,
                cache: folder.join("hub"),
                ..crate::hub::Settings::read(|_| None)
            },
        }
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("burnish.sqlite")
    }

    /// Folder of a kind of thing: `datasets`, `health`, `models`, `prepared`, `runs`, `uploads`.
    pub fn folder(&self, kind: &str) -> PathBuf {
        self.data_dir.join(kind)
    }

    /// Makes every folder of the data directory and the file of the database, for this user alone; those that others
    /// could read are closed to them.
    pub fn make_folders(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.data_dir)?;
        close(&self.data_dir, FOLDER_MODE);
        for kind in ["datasets", "health", "models", "prepared", "runs", "uploads"] {
            let folder = self.folder(kind);
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&folder)?;
            close(&folder, FOLDER_MODE);
        }
        // SQLite gives its other files the mode of this one.
        OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(self.database())?;
        close(&self.database(), FILE_MODE);
        Ok(())
    }
}

/// Takes a file or folder from everyone but its owner. Where that cannot be (a share of another system, another owner)
/// the server works all the same, and says so.
fn close(path: &Path, mode: u32) {
    if let Err(why) = std::fs::set_permissions(path, Permissions::from_mode(mode)) {
        tracing::warn!("{} stays open to other users of this machine: {why}", path.display());
    }
}

fn default_data_dir() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".local/share");
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    base.unwrap_or_else(home).join("burnish")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_for_its_owner_alone_also_where_it_was_open_before() {
        let place = tempfile::tempdir().expect("a folder");
        let config = Config::for_testing(place.path(), Path::new("/x"));
        std::fs::create_dir_all(config.folder("runs")).expect("made");
        std::fs::write(config.database(), "").expect("written");
        for (path, mode) in [(config.data_dir.clone(), 0o755), (config.database(), 0o644)] {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
        }
        for _ in 0..2 {
            config.make_folders().expect("made");
            let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
            assert_eq!((mode(&config.data_dir), mode(&config.database())), (0o700, 0o600));
            assert_eq!((mode(&config.folder("runs")), mode(&config.folder("models"))), (0o700, 0o700));
        }
    }
}
