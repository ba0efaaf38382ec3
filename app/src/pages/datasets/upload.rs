//! Bringing a file in: chosen or dropped, streamed with progress; and the samples.

use std::cell::RefCell;
use std::rc::Rc;

use contract::Problem;
use leptos::prelude::*;
use leptos_router::hooks::use_navigate;

use super::readings::{Chosen, Readings};
use crate::browser::upload::{self, Sent};
use crate::browser::{encode, files_in, files_of};
use crate::components::notice::ProblemList;
use crate::words::{fill, words};

/// Where an upload stands.
#[derive(Clone, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Idle,
    /// File name and share sent.
    Sending(String, f64),
    /// The server does not answer; file name.
    Waiting(String),
    /// The server reads the rows.
    Reading,
}

#[derive(Clone, Copy)]
struct Progress {
    stage: RwSignal<Stage>,
    problems: RwSignal<Vec<Problem>>,
}

impl Progress {
    fn new() -> Self {
        Self { stage: RwSignal::default(), problems: RwSignal::default() }
    }

    /// Posts and then opens the new dataset.
    fn start(self, url: &str, name: String, file: Option<&web_sys::File>, open: impl Fn(String) + 'static) {
        self.problems.set(Vec::new());
        self.stage.set(Stage::Sending(name.clone(), 0.0));
        let step = move |sent: Sent| {
            self.stage.try_set(match sent {
                Sent::Waiting => Stage::Waiting(name.clone()),
                Sent::Share(share) if share < 1.0 => Stage::Sending(name.clone(), share),
                Sent::Share(_) => Stage::Reading,
            });
        };
        upload::post(url, file, step, move |answer| {
            self.stage.try_set(Stage::Idle);
            match answer.map(|body| upload::id_in(&body)) {
                Ok(Some(id)) => open(id),
                Ok(None) => crate::browser::reload(),
                Err(problems) => {
                    self.problems.try_set(problems);
                }
            }
        });
    }
}

fn opener() -> impl Fn(String) + Clone + 'static {
    let navigate = use_navigate();
    move |id: String| navigate(&format!("/datasets/{id}"), Default::default())
}

/// The drop area.
#[component]
pub(crate) fn Upload() -> impl IntoView {
    let w = &words().data;
    let progress = Progress::new();
    let over = RwSignal::new(false);
    let open = opener();
    // The file that was sent last goes again when its encoding or its sheet is chosen.
    let last: Rc<RefCell<Option<web_sys::File>>> = Rc::default();
    let again = Rc::clone(&last);
    let post = move |file: &web_sys::File, chosen: &Chosen| {
        let url = format!(
            "/api/v1/uploads?kind=dataset&name={}&encoding={}&sheet={}&ask=true",
            encode(&file.name()),
            encode(&chosen.encoding),
            encode(&chosen.sheet)
        );
        progress.start(&url, file.name(), Some(file), open.clone());
    };
    let post_again = post.clone();
    let choose = move |chosen: Chosen| {
        let file = again.borrow().clone();
        if let Some(file) = file {
            post_again(&file, &chosen);
        }
    };
    let send = move |files: Vec<web_sys::File>| {
        let Some(file) = files.into_iter().next() else { return };
        post(&file, &Chosen::default());
        *last.borrow_mut() = Some(file);
    };
    let drop_send = send.clone();
    view! {
        <section class="card pad drop" class:over=move || over.get() aria-labelledby="upload"
            on:dragover=move |event| { event.prevent_default(); over.set(true); }
            on:dragleave=move |_| over.set(false)
            on:drop=move |event| {
                event.prevent_default();
                over.set(false);
                if let Some(list) = event.data_transfer().and_then(|transfer| transfer.files()) {
                    drop_send(files_in(&list));
                }
            }
        >
            <h2 id="upload">{w.upload}</h2>
            <p>{w.drop}</p>
            <label class="btn primary file-button">
                <span>{w.choose_file}</span>
                <input type="file" name="file" accept=".json,.jsonl,.csv,.tsv,.tab,.xlsx,.xlsm,.parquet,.txt" on:change=move |event| send(files_of(&event))/>
            </label>
            <p class="small">{w.kinds}</p>
            <Stages progress/>
            <Readings problems=progress.problems choose/>
        </section>
    }
    .into_any()
}

#[component]
fn Stages(progress: Progress) -> impl IntoView {
    let w = &words().data;
    let line = move || match progress.stage.get() {
        Stage::Idle => None,
        Stage::Sending(name, share) => {
            let text = fill(w.uploading, &[&name]);
            let label = text.clone();
            Some(view! { <span class="small">{text}</span><progress class="bar-line" max="1" value=share aria-label=label></progress> }.into_any())
        }
        Stage::Waiting(name) => {
            Some(view! { <span class="small">{fill(w.waiting, &[&name])}</span> }.into_any())
        }
        Stage::Reading => Some(view! { <span class="small">{w.reading}</span> }.into_any()),
    };
    view! {
        <div class="stages" role="status">{line}</div>
        <ProblemList problems=progress.problems/>
    }
    .into_any()
}

/// The samples that come with the studio.
#[component]
pub(crate) fn Samples() -> impl IntoView {
    let w = &words().data;
    let progress = Progress::new();
    let open = opener();
    let samples = [
        ("kettle-and-co", w.sample_kettle, w.sample_kettle_text),
        ("kettle-pairs", w.sample_pairs, w.sample_pairs_text),
        ("kettle-story", w.sample_story, w.sample_story_text),
        ("everyday-en-zh", w.sample_everyday, w.sample_everyday_text),
    ]
    .map(|(key, name, text)| {
        let open = open.clone();
        let label = format!("{} {name}", w.sample_add);
        view! {
            <li class="sample">
                <div><strong>{name}</strong><div class="small">{text}</div></div>
                <button type="button" class="btn" aria-label=label on:click=move |_| {
                    progress.start(&format!("/api/v1/samples/{key}"), name.to_owned(), None, open.clone());
                }>{w.sample_add}</button>
            </li>
        }
    });
    view! {
        <section class="card pad" aria-labelledby="samples">
            <h2 id="samples">{w.samples}</h2>
            <ul class="plain">{samples.into_iter().collect_view()}</ul>
            <Stages progress/>
        </section>
    }
    .into_any()
}
