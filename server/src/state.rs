//! What every part of the server shares.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRef;
use contract::{ModelId, Problem, RunId};
use leptos::config::LeptosOptions;
use tokio::sync::{Notify, OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, IdSource, SystemClock, SystemIds};
use crate::config::Config;
use crate::error::Fault;
use crate::generation::Pool;
use crate::health::Health;
use crate::ingest::Ingest;
use crate::lanes::Lanes;
use crate::live::hub::Hub;
use crate::loops::Loops;
use crate::net::Net;
use crate::proc::CpuMeter;
use crate::queue::Exits;
use crate::readers::Readers;
use crate::services::before::Asking;
use crate::services::checkup::Checkups;
use crate::services::hub::Transfers;
use crate::services::models::Importing;
use crate::services::resumable::Resumable;
use crate::site::Site;
use crate::stops::Stops;
use crate::store::Store;

/// Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

/// See [`AppState`].
pub struct Inner {
    /// What the server was told.
    pub config: Config,
    /// The browser side.
    pub site: Site,
    /// The database.
    pub store: Store,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// New identifiers.
    pub ids: Arc<dyn IdSource>,
    /// Wakes watchers of runs.
    pub hub: Hub,
    /// Wakes the queue.
    pub wake: Notify,
    /// Readers of event logs.
    pub ingest: Ingest,
    /// How workers ended.
    pub exits: Exits,
    /// Stops that are being brought about.
    pub stops: Stops,
    /// Models that talk.
    pub pool: Pool,
    /// Processes that read files of people.
    pub readers: Readers,
    /// Models asked for what they answer before training.
    pub before: Asking,
    /// Uploads that go on where they broke off.
    pub resumable: Resumable,
    /// What comes in from the model hub.
    pub transfers: Transfers,
    /// The client of the model hub, made when first needed.
    hub_client: OnceLock<Result<crate::hub::Hub, Problem>>,
    /// What ends each import that goes on.
    pub importing: Importing,
    /// Imports run one at a time: each may hold a whole model.
    pub imports: Semaphore,
    /// Health of datasets, being counted.
    pub checkups: Checkups,
    /// Edits run one at a time: each makes the next version.
    pub edits: Semaphore,
    /// One starter dataset is taken in at a time.
    pub samples: Semaphore,
    /// One tour is begun at a time.
    pub tours: Semaphore,
    /// Devices of the worker, asked once.
    pub devices: OnceCell<Vec<String>>,
    /// Floating-point operations a second of the machine, timed once; `None` where that failed.
    pub speed: OnceCell<Option<f64>>,
    /// How busy the cores are.
    pub cpu: CpuMeter,
    /// What addresses have taken of the server.
    pub net: Net,
    /// Loops in the background.
    pub loops: Loops,
    /// The last look at all that a launch needs.
    pub health: Health,
    /// Work with files that may hang.
    pub lanes: Lanes,
    /// Cancelled when the server is to stop.
    pub shutdown: CancellationToken,
    /// Background tasks that a shutdown waits for.
    pub tasks: TaskTracker,
}

impl Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        crate::pages::options(state)
    }
}

impl AppState {
    /// Opens the data directory with the machine's clock.
    pub async fn open(config: Config) -> Result<Self, Fault> {
        Self::with(config, Arc::new(SystemClock), Arc::new(SystemIds)).await
    }

    /// Opens the data directory and removes what a killed server left half-made.
    pub async fn with(config: Config, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Result<Self, Fault> {
        config.make_folders().map_err(Fault::disk("create", &config.data_dir))?;
        crate::services::uploads::sweep(&config);
        let resumable = Resumable::read(&config).map_err(Fault::disk("read", &config.data_dir))?;
        let store = Store::open(&config.database()).await?;
        let pool = Pool::new(config.clone());
        let readers = Readers::new(config.clone());
        let net = Net::new(&config.limits);
        let site = Site::read(&config.site_root);
        Ok(Self(Arc::new(Inner {
            config,
            site,
            store,
            clock,
            ids,
            hub: Hub::default(),
            wake: Notify::new(),
            ingest: Ingest::default(),
            exits: Exits::default(),
            stops: Stops::default(),
            pool,
            readers,
            before: Asking::default(),
            resumable,
            transfers: Transfers::default(),
            hub_client: OnceLock::new(),
            importing: Importing::default(),
            imports: Semaphore::new(1),
            checkups: Checkups::default(),
            edits: Semaphore::new(1),
            samples: Semaphore::new(1),
            tours: Semaphore::new(1),
            devices: OnceCell::new(),
            speed: OnceCell::new(),
            cpu: CpuMeter::default(),
            net,
            loops: Loops::default(),
            health: Health::default(),
            lanes: Lanes::default(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// Starts the queue, the readers of event logs, and what else works in the background.
    pub async fn start(&self) -> Result<(), Fault> {
        crate::services::models::recover(self).await?;
        crate::services::pins::settle(self).await?;
        use crate::loops::keep;
        use crate::services::trash;
        use crate::{generation, ingest, queue};
        self.tasks.spawn(keep(self.clone(), "trash", trash::LATE, trash::tidy));
        self.tasks.spawn(keep(self.clone(), "queue", queue::LATE, queue::run));
        self.tasks.spawn(keep(self.clone(), "ingest", ingest::LATE, ingest::run));
        self.tasks.spawn(keep(self.clone(), "models", generation::LATE, generation::tend));
        let state = self.clone();
        self.tasks.spawn(async move {
            crate::services::system::devices(&state).await;
            crate::services::system::speed(&state).await;
        });
        Ok(())
    }

    /// Stops every background task; workers that train go on.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.pool.clear();
        self.store.close().await;
    }

    /// The client of the model hub.
    ///
    /// # Errors
    /// When the machine's certificates cannot be read.
    pub fn hub_client(&self) -> Result<&crate::hub::Hub, Problem> {
        let made = self.hub_client.get_or_init(|| crate::hub::Hub::new(self.config.hub.clone()));
        made.as_ref().map_err(Clone::clone)
    }

    /// Folder of a run.
    pub fn run_folder(&self, run: &RunId) -> PathBuf {
        self.config.folder("runs").join(run.as_str())
    }

    /// Folder of a model.
    pub fn model_folder(&self, model: &ModelId) -> PathBuf {
        self.config.folder("models").join(model.as_str())
    }
}
