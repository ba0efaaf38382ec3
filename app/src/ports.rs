//! What a page may ask of the server: one trait a noun, implemented by the server's services, and one
//! server function a method. No logic lives here.
#![expect(
    missing_docs,
    reason = "the server macro turns documented arguments into fields without documentation"
)]

use contract::Code;
use contract::carry::PageSize;
use contract::chat::{ChatTarget, Voice};
use contract::checkup::{Checkup, CheckupRequest};
use contract::dataset::{
    DatasetVersion, DatasetView, FullRow, Mapping, Preview, PreviewRequest, RowEdit, RowsPage, RowsQuery,
};
use contract::hub::{HubHits, HubKind, HubRepo, NewTransfer, TransferView};
use contract::limits::LimitView;
use contract::listed::{Listed, readable};
use contract::model::{ModelView, NewModel};
use contract::origin::SourceFile;
use contract::prediction::{PredictionPage, PredictionQuery};
use contract::run::{RunSummary, RunView};
use contract::saved::SavedTemplate;
use contract::spec::Draft;
use contract::system::{SystemView, TourView};
use contract::templates::UserTemplate;
use contract::trash::{Deleted, Kind, Usage};
use contract::{DatasetId, ModelId, Problem, RunId};
use leptos::prelude::*;
use leptos::server_fn::codec::JsonEncoding;
use serde::{Deserialize, Serialize};

/// What a server function answers when it cannot do what was asked: every problem found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The first problem in words, for places that show one sentence.
    pub fn sentence(&self) -> String {
        self.0.first().map(ToString::to_string).unwrap_or_default()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for Problems {}

impl FromServerFnError for Problems {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        let (code, message) = match error {
            // On the server it is the request that cannot be read, in the browser the answer.
            ServerFnErrorErr::Args(why)
            | ServerFnErrorErr::MissingArg(why)
            | ServerFnErrorErr::Deserialization(why)
                if cfg!(feature = "ssr") =>
            {
                return Problem::new(Code::WireUnreadable, format!("The request cannot be read: {why}."))
                    .with("why", why)
                    .hint("Load the page anew and do it again.")
                    .into();
            }
            ServerFnErrorErr::Request(_) => (Code::ConnectionLost, "The server does not answer."),
            _ => (Code::ServerFault, "Something went wrong on the server."),
        };
        Problem::new(code, message).hint("Try again in a moment.").into()
    }
}

/// Lets a page say that what it was asked for is not there; given by the server, absent in the browser.
#[derive(Clone)]
pub struct Missing(pub std::sync::Arc<dyn Fn() + Send + Sync>);

#[cfg(feature = "ssr")]
pub use ssr::*;

#[cfg(feature = "ssr")]
mod ssr {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Arc;

    use super::*;

    /// The answer of a port.
    pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problems>> + Send + 'a>>;

    /// Datasets.
    pub trait DatasetsPort: Send + Sync {
        /// Every dataset, newest first.
        fn list(&self) -> Answer<'_, Vec<Listed<DatasetView>>>;
        /// One dataset.
        fn get(&self, id: DatasetId) -> Answer<'_, DatasetView>;
        /// A page of the rows that a query finds.
        fn rows(&self, id: DatasetId, query: RowsQuery) -> Answer<'_, RowsPage>;
        /// One row, whole, for editing.
        fn row(&self, id: DatasetId, row: u64) -> Answer<'_, FullRow>;
        /// Makes a new version with one row changed; the old version stays as it is.
        fn edit(&self, id: DatasetId, edit: RowEdit) -> Answer<'_, DatasetView>;
        /// Every version of this dataset, newest first.
        fn versions(&self, id: DatasetId) -> Answer<'_, Vec<DatasetVersion>>;
        /// The files it was made of, the first ones of many.
        fn files(&self, id: DatasetId) -> Answer<'_, Vec<SourceFile>>;
        /// Compares the file as it came with a digest, and keeps what was found.
        fn compare(&self, id: DatasetId, digest: String) -> Answer<'_, DatasetView>;
        /// Changes how rows are read and inspects the file again.
        fn remap(&self, id: DatasetId, mapping: Mapping) -> Answer<'_, DatasetView>;
        /// Changes the label.
        fn rename(&self, id: DatasetId, name: String) -> Answer<'_, ()>;
        /// Deletes the dataset with every version; refused while a run that uses one is live.
        fn delete(&self, id: DatasetId) -> Answer<'_, ()>;
        /// Counts what a run would learn from; begun when first asked for, kept when done.
        fn health(&self, request: CheckupRequest) -> Answer<'_, Checkup>;
        /// What the model will see of a row.
        fn preview(&self, request: PreviewRequest) -> Answer<'_, Preview>;
    }

    /// Models.
    pub trait ModelsPort: Send + Sync {
        /// Every model, newest first.
        fn list(&self) -> Answer<'_, Vec<Listed<ModelView>>>;
        /// One model.
        fn get(&self, id: ModelId) -> Answer<'_, ModelView>;
        /// Starts an import or a from-scratch model; answers at once with state `importing`.
        fn create(&self, new: NewModel) -> Answer<'_, ModelView>;
        /// Puts an adapter that came in place of a model on a base; gives the run that holds it.
        fn adopt(&self, id: ModelId, base: ModelId, template: String) -> Answer<'_, RunId>;
        /// Deletes the model; refused while a run that uses it is live.
        fn delete(&self, id: ModelId) -> Answer<'_, ()>;
    }

    /// Prompt templates of one's own.
    pub trait TemplatesPort: Send + Sync {
        /// Every template, by name.
        fn list(&self) -> Answer<'_, Vec<SavedTemplate>>;
        /// Keeps a template under its name; one of the same name gives way.
        fn save(&self, template: UserTemplate) -> Answer<'_, ()>;
        /// Forgets a template; runs carry theirs with them.
        fn delete(&self, id: String) -> Answer<'_, ()>;
    }

    /// The model hub.
    pub trait HubPort: Send + Sync {
        /// Repositories whose name holds the text.
        fn search(&self, kind: HubKind, text: String) -> Answer<'_, HubHits>;
        /// What a repository holds; an empty revision means `main`.
        fn repo(&self, kind: HubKind, repo: String, revision: String) -> Answer<'_, HubRepo>;
        /// Begins to fetch files and takes them in when they are whole.
        fn start(&self, new: NewTransfer) -> Answer<'_, TransferView>;
        /// Transfers of this kind since the server started, newest first.
        fn transfers(&self, kind: HubKind) -> Answer<'_, Vec<TransferView>>;
        /// Stops a transfer that works, or forgets one that ended.
        fn cancel(&self, id: String) -> Answer<'_, ()>;
    }

    /// Runs.
    pub trait RunsPort: Send + Sync {
        /// Every run, newest first.
        fn list(&self) -> Answer<'_, Vec<Listed<RunSummary>>>;
        /// One run.
        fn get(&self, id: RunId) -> Answer<'_, RunView>;
        /// Checks a draft and queues it; asked again under the same key, it gives the same run.
        fn launch(&self, draft: Draft, key: Option<String>) -> Answer<'_, RunId>;
        /// Asks the worker to save and stop.
        fn stop(&self, id: RunId) -> Answer<'_, ()>;
        /// Goes on from the last checkpoint.
        fn resume(&self, id: RunId) -> Answer<'_, ()>;
        /// Deletes the run with its checkpoints; refused while live.
        fn delete(&self, id: RunId) -> Answer<'_, ()>;
        /// A page of the answers it was measured by.
        fn predictions(&self, id: RunId, query: PredictionQuery) -> Answer<'_, PredictionPage>;
        /// Names of the files it leaves for other programs.
        fn files(&self, id: RunId) -> Answer<'_, Vec<String>>;
        /// The last lines of the worker's log.
        fn log(&self, id: RunId) -> Answer<'_, String>;
    }

    /// Everything else.
    pub trait SystemPort: Send + Sync {
        /// The machine.
        fn system(&self) -> Answer<'_, SystemView>;
        /// What files, templates and clients may take of it.
        fn limits(&self) -> Answer<'_, Vec<LimitView>>;
        /// Whom one can talk to: every ready model and every run with a checkpoint, newest first.
        fn voices(&self) -> Answer<'_, Vec<Voice>>;
        /// How large the page will be by which a voice is handed over.
        fn handed_over_size(&self, target: ChatTarget) -> Answer<'_, PageSize>;
        /// Starts the tour: starter model (else from scratch) on the made-up company.
        fn start_tour(&self) -> Answer<'_, TourView>;
        /// The tour of a run, if it is one.
        fn tour(&self, run: RunId) -> Answer<'_, Option<TourView>>;
    }

    /// What was deleted.
    pub trait TrashPort: Send + Sync {
        /// All of it, newest deletion first.
        fn list(&self) -> Answer<'_, Vec<Deleted>>;
        /// Brings something back.
        fn restore(&self, kind: Kind, id: String) -> Answer<'_, ()>;
        /// Deletes something for good.
        fn purge(&self, kind: Kind, id: String) -> Answer<'_, ()>;
        /// The runs that use a model, a dataset or the checkpoints of a run.
        fn usage(&self, kind: Kind, id: String) -> Answer<'_, Usage>;
    }

    /// The ports, in the reactive context of every request.
    #[derive(Clone)]
    pub struct Ports {
        /// Datasets.
        pub datasets: Arc<dyn DatasetsPort>,
        /// Models.
        pub models: Arc<dyn ModelsPort>,
        /// Templates.
        pub templates: Arc<dyn TemplatesPort>,
        /// The model hub.
        pub hub: Arc<dyn HubPort>,
        /// Runs.
        pub runs: Arc<dyn RunsPort>,
        /// Everything else.
        pub system: Arc<dyn SystemPort>,
        /// What was deleted.
        pub trash: Arc<dyn TrashPort>,
    }

    pub(super) fn ports() -> Result<Ports, Problems> {
        use_context::<Ports>().ok_or_else(|| {
            Problem::new(Code::ServerFault, "Something went wrong on the server.")
                .hint("Restart Burnish.")
                .into()
        })
    }
}

/// Every dataset that can be read, newest first.
pub async fn readable_datasets() -> Result<Vec<DatasetView>, Problems> {
    Ok(readable(list_datasets().await?))
}

/// Every model that can be read, newest first.
pub async fn readable_models() -> Result<Vec<ModelView>, Problems> {
    Ok(readable(list_models().await?))
}

/// See `DatasetsPort::list`.
#[server(endpoint = "list_datasets", input = leptos::server_fn::codec::Json)]
pub async fn list_datasets() -> Result<Vec<Listed<DatasetView>>, Problems> {
    ports()?.datasets.list().await
}

/// See `DatasetsPort::get`.
#[server(endpoint = "get_dataset", input = leptos::server_fn::codec::Json)]
pub async fn get_dataset(id: DatasetId) -> Result<DatasetView, Problems> {
    ports()?.datasets.get(id).await
}

/// See `DatasetsPort::rows`.
#[server(endpoint = "dataset_rows", input = leptos::server_fn::codec::Json)]
pub async fn dataset_rows(id: DatasetId, query: RowsQuery) -> Result<RowsPage, Problems> {
    ports()?.datasets.rows(id, query).await
}

/// See `DatasetsPort::row`.
#[server(endpoint = "dataset_row", input = leptos::server_fn::codec::Json)]
pub async fn dataset_row(id: DatasetId, row: u64) -> Result<FullRow, Problems> {
    ports()?.datasets.row(id, row).await
}

/// See `DatasetsPort::edit`.
#[server(endpoint = "edit_row", input = leptos::server_fn::codec::Json)]
pub async fn edit_row(id: DatasetId, edit: RowEdit) -> Result<DatasetView, Problems> {
    ports()?.datasets.edit(id, edit).await
}

/// See `DatasetsPort::versions`.
#[server(endpoint = "dataset_versions", input = leptos::server_fn::codec::Json)]
pub async fn dataset_versions(id: DatasetId) -> Result<Vec<DatasetVersion>, Problems> {
    ports()?.datasets.versions(id).await
}

/// See `DatasetsPort::files`.
#[server(endpoint = "dataset_files", input = leptos::server_fn::codec::Json)]
pub async fn dataset_files(id: DatasetId) -> Result<Vec<SourceFile>, Problems> {
    ports()?.datasets.files(id).await
}

/// See `DatasetsPort::compare`.
#[server(endpoint = "compare_digest", input = leptos::server_fn::codec::Json)]
pub async fn compare_digest(id: DatasetId, digest: String) -> Result<DatasetView, Problems> {
    ports()?.datasets.compare(id, digest).await
}

/// See `TemplatesPort::list`.
#[server(endpoint = "list_templates", input = leptos::server_fn::codec::Json)]
pub async fn list_templates() -> Result<Vec<SavedTemplate>, Problems> {
    ports()?.templates.list().await
}

/// See `TemplatesPort::save`.
#[server(endpoint = "save_template", input = leptos::server_fn::codec::Json)]
pub async fn save_template(template: UserTemplate) -> Result<(), Problems> {
    ports()?.templates.save(template).await
}

/// See `TemplatesPort::delete`.
#[server(endpoint = "delete_template", input = leptos::server_fn::codec::Json)]
pub async fn delete_template(id: String) -> Result<(), Problems> {
    ports()?.templates.delete(id).await
}

/// See `HubPort::search`.
#[server(endpoint = "hub_search", input = leptos::server_fn::codec::Json)]
pub async fn hub_search(kind: HubKind, text: String) -> Result<HubHits, Problems> {
    ports()?.hub.search(kind, text).await
}

/// See `HubPort::repo`.
#[server(endpoint = "hub_repo", input = leptos::server_fn::codec::Json)]
pub async fn look_into_hub(kind: HubKind, repo: String, revision: String) -> Result<HubRepo, Problems> {
    ports()?.hub.repo(kind, repo, revision).await
}

/// See `HubPort::start`.
#[server(endpoint = "hub_start", input = leptos::server_fn::codec::Json)]
pub async fn hub_start(new: NewTransfer) -> Result<TransferView, Problems> {
    ports()?.hub.start(new).await
}

/// See `HubPort::transfers`.
#[server(endpoint = "hub_transfers", input = leptos::server_fn::codec::Json)]
pub async fn hub_transfers(kind: HubKind) -> Result<Vec<TransferView>, Problems> {
    ports()?.hub.transfers(kind).await
}

/// See `HubPort::cancel`.
#[server(endpoint = "hub_cancel", input = leptos::server_fn::codec::Json)]
pub async fn hub_cancel(id: String) -> Result<(), Problems> {
    ports()?.hub.cancel(id).await
}

/// See `DatasetsPort::remap`.
#[server(endpoint = "remap_dataset", input = leptos::server_fn::codec::Json)]
pub async fn remap_dataset(id: DatasetId, mapping: Mapping) -> Result<DatasetView, Problems> {
    ports()?.datasets.remap(id, mapping).await
}

/// See `DatasetsPort::rename`.
#[server(endpoint = "rename_dataset", input = leptos::server_fn::codec::Json)]
pub async fn rename_dataset(id: DatasetId, name: String) -> Result<(), Problems> {
    ports()?.datasets.rename(id, name).await
}

/// See `DatasetsPort::delete`.
#[server(endpoint = "delete_dataset", input = leptos::server_fn::codec::Json)]
pub async fn delete_dataset(id: DatasetId) -> Result<(), Problems> {
    ports()?.datasets.delete(id).await
}

/// See `DatasetsPort::health`.
#[server(endpoint = "check_health", input = leptos::server_fn::codec::Json)]
pub async fn check_health(request: CheckupRequest) -> Result<Checkup, Problems> {
    ports()?.datasets.health(request).await
}

/// See `DatasetsPort::preview`.
#[server(endpoint = "preview_row", input = leptos::server_fn::codec::Json)]
pub async fn preview_row(request: PreviewRequest) -> Result<Preview, Problems> {
    ports()?.datasets.preview(request).await
}

/// See `ModelsPort::list`.
#[server(endpoint = "list_models", input = leptos::server_fn::codec::Json)]
pub async fn list_models() -> Result<Vec<Listed<ModelView>>, Problems> {
    ports()?.models.list().await
}

/// See `ModelsPort::create`.
#[server(endpoint = "create_model", input = leptos::server_fn::codec::Json)]
pub async fn create_model(new: NewModel) -> Result<ModelView, Problems> {
    ports()?.models.create(new).await
}

/// See `ModelsPort::adopt`.
#[server(endpoint = "adopt_adapter", input = leptos::server_fn::codec::Json)]
pub async fn adopt_adapter(id: ModelId, base: ModelId, template: String) -> Result<RunId, Problems> {
    ports()?.models.adopt(id, base, template).await
}

/// See `ModelsPort::delete`.
#[server(endpoint = "delete_model", input = leptos::server_fn::codec::Json)]
pub async fn delete_model(id: ModelId) -> Result<(), Problems> {
    ports()?.models.delete(id).await
}

/// See `RunsPort::list`.
#[server(endpoint = "list_runs", input = leptos::server_fn::codec::Json)]
pub async fn list_runs() -> Result<Vec<Listed<RunSummary>>, Problems> {
    ports()?.runs.list().await
}

/// See `RunsPort::get`.
#[server(endpoint = "get_run", input = leptos::server_fn::codec::Json)]
pub async fn get_run(id: RunId) -> Result<RunView, Problems> {
    ports()?.runs.get(id).await
}

/// See `RunsPort::launch`.
#[server(endpoint = "launch_run", input = leptos::server_fn::codec::Json)]
pub async fn launch_run(draft: Draft, key: Option<String>) -> Result<RunId, Problems> {
    ports()?.runs.launch(draft, key).await
}

/// See `RunsPort::stop`.
#[server(endpoint = "stop_run", input = leptos::server_fn::codec::Json)]
pub async fn stop_run(id: RunId) -> Result<(), Problems> {
    ports()?.runs.stop(id).await
}

/// See `RunsPort::resume`.
#[server(endpoint = "resume_run", input = leptos::server_fn::codec::Json)]
pub async fn resume_run(id: RunId) -> Result<(), Problems> {
    ports()?.runs.resume(id).await
}

/// See `RunsPort::delete`.
#[server(endpoint = "delete_run", input = leptos::server_fn::codec::Json)]
pub async fn delete_run(id: RunId) -> Result<(), Problems> {
    ports()?.runs.delete(id).await
}

/// See `RunsPort::predictions`.
#[server(endpoint = "list_predictions", input = leptos::server_fn::codec::Json)]
pub async fn list_predictions(id: RunId, query: PredictionQuery) -> Result<PredictionPage, Problems> {
    ports()?.runs.predictions(id, query).await
}

/// See `RunsPort::files`.
#[server(endpoint = "run_files", input = leptos::server_fn::codec::Json)]
pub async fn run_files(id: RunId) -> Result<Vec<String>, Problems> {
    ports()?.runs.files(id).await
}

/// See `RunsPort::log`.
#[server(endpoint = "run_log", input = leptos::server_fn::codec::Json)]
pub async fn run_log(id: RunId) -> Result<String, Problems> {
    ports()?.runs.log(id).await
}

/// See `SystemPort::system`.
#[server(endpoint = "read_system", input = leptos::server_fn::codec::Json)]
pub async fn read_system() -> Result<SystemView, Problems> {
    ports()?.system.system().await
}

/// See `SystemPort::limits`.
#[server(endpoint = "list_limits", input = leptos::server_fn::codec::Json)]
pub async fn list_limits() -> Result<Vec<LimitView>, Problems> {
    ports()?.system.limits().await
}

/// See `SystemPort::voices`.
#[server(endpoint = "list_voices", input = leptos::server_fn::codec::Json)]
pub async fn list_voices() -> Result<Vec<Voice>, Problems> {
    ports()?.system.voices().await
}

/// See `SystemPort::handed_over_size`.
#[server(endpoint = "handed_over_size", input = leptos::server_fn::codec::Json)]
pub async fn handed_over_size(target: ChatTarget) -> Result<PageSize, Problems> {
    ports()?.system.handed_over_size(target).await
}

/// See `SystemPort::start_tour`.
#[server(endpoint = "start_tour", input = leptos::server_fn::codec::Json)]
pub async fn start_tour() -> Result<TourView, Problems> {
    ports()?.system.start_tour().await
}

/// See `SystemPort::tour`.
#[server(endpoint = "get_tour", input = leptos::server_fn::codec::Json)]
pub async fn get_tour(run: RunId) -> Result<Option<TourView>, Problems> {
    ports()?.system.tour(run).await
}

/// See `TrashPort::list`.
#[server(endpoint = "list_deleted", input = leptos::server_fn::codec::Json)]
pub async fn list_deleted() -> Result<Vec<Deleted>, Problems> {
    ports()?.trash.list().await
}

/// See `TrashPort::restore`.
#[server(endpoint = "restore_deleted", input = leptos::server_fn::codec::Json)]
pub async fn restore_deleted(kind: Kind, id: String) -> Result<(), Problems> {
    ports()?.trash.restore(kind, id).await
}

/// See `TrashPort::purge`.
#[server(endpoint = "purge_deleted", input = leptos::server_fn::codec::Json)]
pub async fn purge_deleted(kind: Kind, id: String) -> Result<(), Problems> {
    ports()?.trash.purge(kind, id).await
}

/// See `TrashPort::usage`.
#[server(endpoint = "runs_using", input = leptos::server_fn::codec::Json)]
pub async fn runs_using(kind: Kind, id: String) -> Result<Usage, Problems> {
    ports()?.trash.usage(kind, id).await
}
