//! What the server is told when it starts.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use contract::limits::{LimitView, Own};

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
    /// Listen on an address that other machines reach. Nobody is asked who they are: whoever reaches it may do everything.
    #[arg(long, env = "BURNISH_ALLOW_ANYONE", value_parser = clap::builder::BoolishValueParser::new())]
    pub allow_anyone: bool,
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
    /// What files and templates may ask of the machine, where it differs from the standard: name=value,name=value. The
    /// settings page lists the names.
    #[arg(long = "limits", value_name = "NAME=VALUE", env = contract::limits::VARIABLE, default_value_t)]
    pub reading: contract::limits::Limits,
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
    /// Whether that may be one that other machines reach.
    pub allow_anyone: bool,
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
    /// What files and templates may ask of the machine.
    pub reading: contract::limits::Limits,
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
            allow_anyone: options.allow_anyone,
            data_dir: std::path::absolute(data_dir)?,
            site_root: std::path::absolute(options.site_root.unwrap_or_else(|| beside.join("site")))?,
            worker: options.worker.unwrap_or_else(|| beside.join("burnish-worker")),
            starter: options.starter.filter(|path| !path.as_os_str().is_empty()),
            max_upload: options.max_upload,
            train_at_once: options.train_at_once.max(1),
            chat_models: options.chat_models.max(1),
            chat_idle: Duration::from_secs(600),
            reading: options.reading,
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
            allow_anyone: false,
            data_dir: folder.join("data"),
            site_root: folder.join("site"),
            worker: worker.to_owned(),
            starter: None,
            max_upload: 1 << 20,
            train_at_once: 1,
            chat_models: 2,
            chat_idle: Duration::from_secs(600),
            reading: contract::limits::Limits::default(),
            limits: Limits::default(),
            hub: crate::hub::Settings {
                offline: true,
                cache: folder.join("hub"),
                ..crate::hub::Settings::read(|_| None)
            },
        }
    }

    /// Whether nobody but this machine reaches the address, or that was allowed.
    ///
    /// # Errors
    /// The sentence that says what to do.
    pub fn check_address(&self) -> Result<(), String> {
        if self.addr.ip().is_loopback() || self.allow_anyone {
            return Ok(());
        }
        Err(format!(
            "Other machines can reach {}, and Burnish does not ask anybody who they are: whoever reaches it may use and \
             delete everything. Listen on 127.0.0.1 and let a server with a sign-in pass requests on, or start with \
             --allow-anyone where the whole network may.",
            self.addr
        ))
    }

    /// Every limit that people meet, for the settings.
    pub fn limits(&self) -> Vec<LimitView> {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let own = [
            (Own::UploadBytes, self.max_upload),
            (Own::Connections, count(self.limits.connections)),
            (Own::ConnectionsPerAddress, count(self.limits.connections_per_address)),
        ];
        own.into_iter().map(|(own, value)| own.view(value)).chain(self.reading.views()).collect()
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("burnish.sqlite")
    }

    /// Folder of a kind of thing: `datasets`, `health`, `models`, `prepared`, `resumable`, `runs`, `uploads`.
    pub fn folder(&self, kind: &str) -> PathBuf {
        self.data_dir.join(kind)
    }

    /// Makes every folder of the data directory and the file of the database, for this user alone; those that others
    /// could read are closed to them.
    pub fn make_folders(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.data_dir)?;
        close(&self.data_dir, FOLDER_MODE);
        for kind in ["datasets", "health", "models", "prepared", "resumable", "runs", "uploads"] {
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
    fn f15_an_address_that_others_reach_is_refused_unless_anyone_is_allowed() {
        let mut config = Config::for_testing(Path::new("/x"), Path::new("/y"));
        for (addr, alone) in [
            ("127.0.0.1:7860", true),
            ("127.8.9.1:7860", true),
            ("[::1]:7860", true),
            ("0.0.0.0:7860", false),
            ("[::]:7860", false),
            ("192.0.2.2:80", false),
            ("[::ffff:192.0.2.2]:80", false),
        ] {
            config.addr = addr.parse().expect("an address");
            config.allow_anyone = false;
            assert_eq!(config.check_address().is_ok(), alone, "{addr}");
            config.allow_anyone = true;
            assert!(config.check_address().is_ok(), "{addr}");
        }
    }

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
