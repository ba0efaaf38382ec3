//! Bringing a file in: chosen or dropped, streamed with progress; and the samples.

use contract::Problem;
use leptos::prelude::*;
use leptos_router::hooks::use_navigate;

use super::digest::{DigestField, typed};
use super::readings::{Chosen, Readings};
use super::several::{Becomes, Several, Together};
use crate::browser::sets::{Picked, PickedId, forget, keep, kept_files, send_set};
use crate::browser::upload::{self, Sent};
use crate::browser::{encode, files_in, files_of};
use crate::components::folder_button::FolderButton;
use crate::components::notice::ProblemList;
use crate::components::part::part;
use crate::words::{fill, problem_text, words};

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
        let step = self.step(name);
        upload::post(url, file, step, move |answer| self.end(answer, open));
    }

    fn step(self, name: String) -> impl Fn(Sent) + Clone + 'static {
        move |sent: Sent| {
            self.stage.try_set(match sent {
                Sent::Waiting => Stage::Waiting(name.clone()),
                Sent::Share(share) if share < 1.0 => Stage::Sending(name.clone(), share),
                Sent::Share(_) => Stage::Reading,
            });
        }
    }

    fn end(self, answer: Result<String, Vec<Problem>>, open: impl Fn(String)) {
        self.stage.try_set(Stage::Idle);
        match answer.map(|body| upload::id_in(&body)) {
            Ok(Some(id)) => open(id),
            Ok(None) => crate::browser::reload(),
            Err(problems) => {
                self.problems.try_set(problems);
            }
        }
    }

    /// Sends several files and then opens the dataset that they became.
    fn start_set(self, files: Vec<Picked>, query: String, open: impl Fn(String) + 'static) {
        self.problems.set(Vec::new());
        let name = files.first().map(|one| one.name.clone()).unwrap_or_default();
        self.stage.set(Stage::Sending(name.clone(), 0.0));
        let step = self.step(name);
        leptos::task::spawn_local(async move {
            let answer = send_set(&files, &query, step).await;
            self.end(answer, open);
        });
    }
}

fn opener() -> impl Fn(String) + Clone + 'static {
    let navigate = use_navigate();
    move |id: String| navigate(&format!("/datasets/{id}"), Default::default())
}

/// What the files that were sent last became, or are to become; they go again when their encoding or sheet is chosen.
type Last = Option<(PickedId, Becomes)>;

/// The drop area.
#[component]
pub(crate) fn Upload(landed: RwSignal<u32>) -> impl IntoView {
    let w = &words().data;
    let progress = Progress::new();
    let over = RwSignal::new(false);
    let asked = RwSignal::new(None::<(PickedId, Several)>);
    let becomes = RwSignal::new(Becomes::One);
    let last = RwSignal::new(None as Last);
    let digest = RwSignal::new(String::new());
    let outcomes = RwSignal::new(Vec::<(String, Outcome)>::new());
    let open = opener();
    let open_single = open.clone();
    let single = move |one: &Picked, chosen: &Chosen| {
        let (name, more) = (one.file.name(), query(&digest.get_untracked(), chosen));
        let url = format!("/api/v1/uploads?kind=dataset&name={}{more}", encode(&name));
        progress.start(&url, name, Some(&one.file), open_single.clone());
    };
    let post = move |id: PickedId, as_what: Becomes, chosen: &Chosen| {
        if let Err(problem) = typed(&digest.get_untracked()) {
            progress.problems.set(vec![problem]);
            return;
        }
        last.set(Some((id, as_what)));
        match (kept_files(id).as_slice(), as_what) {
            ([], _) => {}
            ([one], _) => single(one, chosen),
            (files, Becomes::One) => {
                progress.start_set(files.to_vec(), query(&digest.get_untracked(), chosen), open.clone());
            }
            (files, Becomes::Each) => each(files.to_vec(), outcomes, landed),
        }
    };
    let (post_again, post_one) = (post.clone(), post.clone());
    let choose = move |chosen: Chosen| {
        if let Some((id, as_what)) = last.get_untracked() {
            post_again(id, as_what, &chosen);
        }
    };
    let send = move |files: Vec<web_sys::File>| {
        progress.problems.set(Vec::new());
        outcomes.set(Vec::new());
        if let Some((before, _)) = last.get_untracked() {
            forget(before);
        }
        let picked = Picked::all(files);
        // A single file is read whatever its name says: the server says why it cannot be.
        if picked.len() < 2 {
            asked.set(None);
            return post_one(keep(picked), Becomes::One, &Chosen::default());
        }
        let (several, taken) = Several::of(picked);
        becomes.set(several.guess());
        asked.set(Some((keep(taken), several)));
    };
    let (drop_send, folder_send) = (send.clone(), send.clone());
    let take_in = move |_| {
        if let Some((id, _)) = asked.get_untracked() {
            asked.set(None);
            post(id, becomes.get_untracked(), &Chosen::default());
        }
    };
    let cancel = move |_| {
        if let Some((id, _)) = asked.get_untracked() {
            forget(id);
            asked.set(None);
        }
    };
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
            <div class="row">
                <label class="btn primary file-button">
                    <span>{w.choose_file}</span>
                    <input type="file" name="file" multiple accept=".json,.jsonl,.csv,.tsv,.tab,.xlsx,.xlsm,.parquet,.txt" on:change=move |event| send(files_of(&event))/>
                </label>
                <FolderButton name="folder" choose=folder_send/>
            </div>
            <p class="small">{w.kinds}</p>
            <div class="several" hidden=move || asked.with(Option::is_none)>
                {part(move || asked.get().map(|(_, several)| view! { <Together several becomes/> }))}
                <div class="row">
                    <button type="button" class="btn primary" on:click=take_in>{w.several_send}</button>
                    <button type="button" class="btn quiet" on:click=cancel>{words().studio.cancel}</button>
                </div>
            </div>
            <details>
                <summary class="small">{w.digest_check}</summary>
                <DigestField id="upload-digest" value=digest/>
            </details>
            <Stages progress/>
            <Readings problems=progress.problems choose/>
            <ul class="plain" role="status">
                {move || outcomes.get().into_iter().map(|(name, outcome)| view! { <Line name outcome/> }).collect_view()}
            </ul>
        </section>
    }
    .into_any()
}

/// What an upload says beside its file.
fn query(digest: &str, chosen: &Chosen) -> String {
    let [digest, encoding, sheet] = [digest.trim(), &chosen.encoding, &chosen.sheet].map(encode);
    format!("&digest={digest}&encoding={encoding}&sheet={sheet}&ask=true")
}

/// What became of one of several files.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Waiting,
    /// Share sent.
    Sending(f64),
    /// The dataset it became.
    Here(String),
    Refused(Vec<Problem>),
}

/// Makes a dataset of each file, one after the other.
fn each(files: Vec<Picked>, outcomes: RwSignal<Vec<(String, Outcome)>>, landed: RwSignal<u32>) {
    outcomes.set(files.iter().map(|one| (one.name.clone(), Outcome::Waiting)).collect());
    let set = move |index: usize, outcome: Outcome| {
        outcomes.try_update(|all| {
            if let Some(one) = all.get_mut(index) {
                one.1 = outcome;
            }
        });
    };
    leptos::task::spawn_local(async move {
        for (index, one) in files.iter().enumerate() {
            let url = format!("/api/v1/uploads?kind=dataset&name={}", encode(&one.file.name()));
            let step = move |sent: Sent| {
                set(
                    index,
                    if let Sent::Share(share) = sent { Outcome::Sending(share) } else { Outcome::Waiting },
                );
            };
            let answer = upload::send_file(&url, &one.file, step).await;
            set(
                index,
                match answer.map(|body| upload::id_in(&body)) {
                    Ok(id) => Outcome::Here(id.unwrap_or_default()),
                    Err(problems) => Outcome::Refused(problems),
                },
            );
            landed.try_update(|landed| *landed += 1);
        }
    });
}

#[component]
fn Line(name: String, outcome: Outcome) -> impl IntoView {
    let w = words();
    let label = fill(w.data.uploading, &[&name]);
    let said = match outcome {
        Outcome::Waiting => view! { <span class="small">{w.data.register_waiting}</span> }.into_any(),
        Outcome::Sending(share) => {
            view! { <progress class="bar-line" max="1" value=share.to_string() aria-label=label></progress> }
                .into_any()
        }
        Outcome::Here(id) => {
            view! { <a class="link small" href=format!("/datasets/{id}")>{w.data.register_open}</a> }
                .into_any()
        }
        Outcome::Refused(problems) => {
            let text = problems.first().map(|problem| problem_text(w.lang, problem)).unwrap_or_default();
            view! { <span class="error">{text}</span> }.into_any()
        }
    };
    view! { <li class="version"><strong class="break">{name}</strong>{said}</li> }.into_any()
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
