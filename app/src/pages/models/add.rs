//! Four ways to add a model: the hub, a path, files, from scratch.

use contract::Code;
use contract::dataset::DatasetView;
use contract::hub::HubKind;
use contract::model::{NewModel, ScratchSize};
use contract::{DatasetId, Problem};
use leptos::html;
use leptos::prelude::*;

use crate::browser::upload::{self, Sent};
use crate::browser::{encode, files_in, uuid, value_of};
use crate::components::field::{Field, described_by};
use crate::components::notice::ProblemList;
use crate::pages::hub::FromHub;
use crate::ports::create_model;
use crate::words::{fill, words};

/// Creates a model and shows it in the list; keeps what went wrong.
#[derive(Clone, Copy)]
struct Creation {
    problems: RwSignal<Vec<Problem>>,
    busy: RwSignal<bool>,
    version: RwSignal<u32>,
}

impl Creation {
    fn new(version: RwSignal<u32>) -> Self {
        Self { problems: RwSignal::default(), busy: RwSignal::new(false), version }
    }

    fn start(self, new: NewModel) {
        self.busy.set(true);
        self.problems.set(Vec::new());
        leptos::task::spawn_local(async move {
            let answer = create_model(new).await;
            self.busy.try_set(false);
            match answer {
                Ok(_) => {
                    self.version.try_update(|version| *version += 1);
                }
                Err(problems) => {
                    self.problems.try_set(problems.0);
                }
            }
        });
    }

    fn refuse(self, code: Code, field: &str, message: &str) {
        self.problems.set(vec![Problem::new(code, message).field(field)]);
    }
}

/// The four cards.
#[component]
pub(crate) fn AddModel(datasets: Vec<DatasetView>, version: RwSignal<u32>) -> impl IntoView {
    view! {
        <div class="hub-block"><FromHub kind=HubKind::Model landed=version/></div>
        <div class="grid three">
            <ByPath version/>
            <ByUpload version/>
            <Scratch datasets version/>
        </div>
    }
    .into_any()
}

#[component]
fn NameField(id: &'static str, name: RwSignal<String>) -> impl IntoView {
    view! {
        <Field id label=words().models.name>
            <input class="input" id=id type="text" maxlength="120" autocomplete="off" prop:value=move || name.get()
                on:input=move |event| name.set(value_of(&event))/>
        </Field>
    }
    .into_any()
}

#[component]
fn ByPath(version: RwSignal<u32>) -> impl IntoView {
    let w = &words().models;
    let (name, path) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let creation = Creation::new(version);
    let start = move |_| {
        let (name, path) = (name.get_untracked().trim().to_owned(), path.get_untracked().trim().to_owned());
        if path.is_empty() {
            return creation.refuse(Code::FormBlank, "path", "Say where the model is.");
        }
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let name = if name.is_empty() { last.to_owned() } else { name };
        creation.start(NewModel::Path { name, path });
    };
    view! {
        <section class="card pad add-card" aria-labelledby="by-path">
            <h3 id="by-path">{w.by_path}</h3>
            <p class="small">{w.by_path_text}</p>
            <Field id="model-path" label=w.path help=w.path_hint>
                <input class="input" id="model-path" type="text" autocomplete="off" spellcheck="false"
                    aria-describedby=described_by("model-path") on:input=move |event| path.set(value_of(&event))/>
            </Field>
            <NameField id="path-name" name/>
            <ProblemList problems=creation.problems/>
            <button type="button" class="btn" disabled=move || creation.busy.get() on:click=start>{w.import}</button>
        </section>
    }
    .into_any()
}

/// Sends the files one after another, then goes on.
fn send_all(
    mut files: Vec<web_sys::File>,
    upload: String,
    said: RwSignal<Option<(String, Sent)>>,
    done: impl FnOnce(Result<String, Vec<Problem>>) + 'static,
) {
    if files.is_empty() {
        said.try_set(None);
        return done(Ok(upload));
    }
    let file = files.remove(0);
    let name = file.name();
    let url = format!("/api/v1/uploads?kind=model&upload={upload}&name={}", encode(&name));
    let step = move |sent: Sent| drop(said.try_set(Some((name.clone(), sent))));
    upload::post(&url, Some(&file), step, move |answer| match answer {
        Ok(_) => send_all(files, upload, said, done),
        Err(problems) => {
            said.try_set(None);
            done(Err(problems));
        }
    });
}

#[component]
fn ByUpload(version: RwSignal<u32>) -> impl IntoView {
    let w = words();
    let name = RwSignal::new(String::new());
    let input = NodeRef::<html::Input>::new();
    let said = RwSignal::new(None::<(String, Sent)>);
    let creation = Creation::new(version);
    let start = move |_| {
        let list = input.get_untracked().and_then(|input| input.files());
        let chosen = list.map(|list| files_in(&list)).unwrap_or_default();
        let Some(first) = chosen.first() else {
            return creation.refuse(Code::FormMissing, "files", "Choose at least one file.");
        };
        let typed = name.get_untracked().trim().to_owned();
        let fallback = first.name().rsplit_once('.').map(|(stem, _)| stem.to_owned()).unwrap_or_default();
        let label = if typed.is_empty() { fallback } else { typed };
        creation.busy.set(true);
        send_all(chosen, uuid(), said, move |answer| match answer {
            Ok(upload) => creation.start(NewModel::Upload { name: label, upload }),
            Err(problems) => {
                creation.busy.try_set(false);
                creation.problems.try_set(problems);
            }
        });
    };
    let progress = move || {
        said.get().map(|(name, sent)| match sent {
            Sent::Waiting => view! { <span class="small">{fill(w.data.waiting, &[&name])}</span> }.into_any(),
            Sent::Share(share) => {
                let text = fill(w.data.uploading, &[&name]);
                let label = text.clone();
                view! { <span class="small">{text}</span><progress class="bar-line" max="1" value=share aria-label=label></progress> }
                    .into_any()
            }
        })
    };
    view! {
        <section class="card pad add-card" aria-labelledby="by-upload">
            <h3 id="by-upload">{w.models.by_upload}</h3>
            <p class="small">{w.models.by_upload_text}</p>
            <Field id="model-files" label=w.models.files>
                <input class="input" id="model-files" type="file" multiple accept=".json,.jinja,.txt,.model,.safetensors,.gguf,.zip" node_ref=input/>
            </Field>
            <NameField id="upload-name" name/>
            <div class="stages" role="status">{progress}</div>
            <ProblemList problems=creation.problems/>
            <button type="button" class="btn" disabled=move || creation.busy.get() on:click=start>{w.models.upload_button}</button>
        </section>
    }
    .into_any()
}

#[component]
fn Scratch(datasets: Vec<DatasetView>, version: RwSignal<u32>) -> impl IntoView {
    let w = &words().models;
    let first = datasets.first().map(|dataset| dataset.id.0.clone()).unwrap_or_default();
    let none = datasets.is_empty();
    let (name, size, dataset) =
        (RwSignal::new(String::new()), RwSignal::new("1m".to_owned()), RwSignal::new(first));
    let creation = Creation::new(version);
    let start = move |_| {
        let Some(dataset) = DatasetId::parse(&dataset.get_untracked()) else {
            return creation.refuse(Code::FormMissing, "dataset", "Choose a dataset.");
        };
        let size = size.get_untracked();
        let typed = name.get_untracked().trim().to_owned();
        let name = if typed.is_empty() { format!("tiny-{size}") } else { typed };
        creation.start(NewModel::Scratch { name, size, dataset });
    };
    let sizes = ScratchSize::ALL.map(|size| {
        let text = match size {
            ScratchSize::M1 => w.size_1m,
            ScratchSize::M5 => w.size_5m,
            ScratchSize::M20 => w.size_20m,
        };
        view! { <option value=size.key()>{text}</option> }
    });
    let options =
        datasets.into_iter().map(|d| view! { <option value=d.id.0>{d.name}</option> }).collect_view();
    view! {
        <section class="card pad add-card" aria-labelledby="by-scratch">
            <h3 id="by-scratch">{w.by_scratch}</h3>
            <p class="small">{w.by_scratch_text}</p>
            <Field id="scratch-size" label=w.scratch_size>
                <select class="input" id="scratch-size" on:change=move |event| size.set(value_of(&event))>{sizes.into_iter().collect_view()}</select>
            </Field>
            <Field id="scratch-dataset" label=w.scratch_dataset help=if none { w.scratch_needs_data } else { "" }>
                <select class="input" id="scratch-dataset" aria-describedby=described_by("scratch-dataset") on:change=move |event| dataset.set(value_of(&event))>{options}</select>
            </Field>
            <NameField id="scratch-name" name/>
            <ProblemList problems=creation.problems/>
            <button type="button" class="btn" disabled=move || creation.busy.get() || none on:click=start>{w.create}</button>
        </section>
    }
    .into_any()
}
