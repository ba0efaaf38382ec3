//! `dataset_info.json` of other toolkits: chosen together with the files it names, taken in one after the other.

use std::cell::RefCell;
use std::rc::Rc;

use contract::Code;
use contract::Problem;
use contract::registry::{Finding, Registered, Source};
use leptos::prelude::*;

use crate::browser::upload::{self, Sent};
use crate::browser::{encode, files_of};
use crate::components::notice::ProblemList;
use crate::words::amounts::num;
use crate::words::{fill, problem_text, words};

/// The register's file name.
const REGISTER: &str = "dataset_info.json";

/// What became of an entry.
#[derive(Clone, Debug, PartialEq)]
enum Fate {
    Waiting,
    /// Share sent.
    Sending(f64),
    /// The server does not answer.
    Held,
    /// The dataset it became.
    Here(String),
    /// Its file was not among those chosen.
    Missing(String),
    /// Said in words: from the hub, a script.
    Said(String),
    Refused(Problem),
}

#[derive(Clone, Copy)]
struct State {
    entries: RwSignal<Vec<(Registered, Fate)>>,
    problems: RwSignal<Vec<Problem>>,
    landed: RwSignal<u32>,
}

impl State {
    fn set(self, index: usize, fate: Fate) {
        self.entries.try_update(|entries| {
            if let Some(entry) = entries.get_mut(index) {
                entry.1 = fate;
            }
        });
    }

    fn begin(self, files: Vec<web_sys::File>, said: Said) {
        self.problems.set(Vec::new());
        self.entries.set(Vec::new());
        let Some(register) = files.iter().find(|file| file.name() == REGISTER).cloned() else {
            self.problems.set(vec![Problem::new(
                Code::RegistryMissing,
                "dataset_info.json is not among the chosen files.",
            )]);
            return;
        };
        upload::post(
            "/api/v1/registry",
            Some(&register),
            |_| {},
            move |answer| {
                let entries = answer.and_then(|body| {
                    serde_json::from_str::<Vec<Registered>>(&body).map_err(|_| upload::problems_in(200, ""))
                });
                match entries {
                    Ok(entries) => {
                        let fate = |entry: &Registered| said.of(entry, &files);
                        let all: Vec<_> =
                            entries.into_iter().map(|entry| (entry.clone(), fate(&entry))).collect();
                        self.entries.try_set(all);
                        self.next(0, Rc::new(RefCell::new(files)));
                    }
                    Err(problems) => drop(self.problems.try_set(problems)),
                }
            },
        );
    }

    /// Sends the first entry from `index` on that waits, then goes on.
    fn next(self, index: usize, files: Rc<RefCell<Vec<web_sys::File>>>) {
        let Some((entry, fate)) = self.entries.try_with_untracked(|all| all.get(index).cloned()).flatten()
        else {
            self.landed.try_update(|landed| *landed += 1);
            return;
        };
        let file = files.borrow().iter().find(|file| Some(file.name()) == file_name(&entry)).cloned();
        let (Fate::Waiting, Some(file)) = (fate, file) else { return self.next(index + 1, files) };
        let Source::File { name, sha1 } = &entry.source else { return self.next(index + 1, files) };
        let mapping = serde_json::to_string(&entry.mapping).unwrap_or_default();
        let url = format!(
            "/api/v1/uploads?kind=dataset&name={}&title={}&mapping={}&sha1={}",
            encode(name),
            encode(&entry.name),
            encode(&mapping),
            encode(sha1.as_deref().unwrap_or_default())
        );
        let step = move |sent: Sent| {
            self.set(
                index,
                match sent {
                    Sent::Share(share) => Fate::Sending(share),
                    Sent::Waiting => Fate::Held,
                },
            );
        };
        upload::post(&url, Some(&file), step, move |answer| {
            self.set(
                index,
                match answer.map(|body| upload::id_in(&body)) {
                    Ok(Some(id)) => Fate::Here(id),
                    Ok(None) => Fate::Waiting,
                    Err(problems) => problems.into_iter().next().map_or(Fate::Waiting, Fate::Refused),
                },
            );
            self.next(index + 1, files);
        });
    }
}

/// Sentences of the page's language, for use after it was drawn.
#[derive(Clone, Copy)]
struct Said {
    hub: &'static str,
    script: &'static str,
}

impl Said {
    fn of(self, entry: &Registered, files: &[web_sys::File]) -> Fate {
        match &entry.source {
            Source::HfHub { repo } => Fate::Said(fill(self.hub, &[repo])),
            Source::Script { name } => Fate::Said(fill(self.script, &[name])),
            Source::File { name, .. } => match file_name(entry) {
                Some(wanted) if files.iter().any(|file| file.name() == wanted) => Fate::Waiting,
                _ => Fate::Missing(name.clone()),
            },
        }
    }
}

/// The last part of the file an entry names.
fn file_name(entry: &Registered) -> Option<String> {
    match &entry.source {
        Source::File { name, .. } => name.rsplit('/').next().map(str::to_owned),
        _ => None,
    }
}

/// The card.
#[component]
pub(crate) fn Register(landed: RwSignal<u32>) -> impl IntoView {
    let w = &words().data;
    let said = Said { hub: w.register_hub, script: w.register_script };
    let state = State { entries: RwSignal::default(), problems: RwSignal::default(), landed };
    view! {
        <section class="card pad register" aria-labelledby="register">
            <h2 id="register">{w.register}</h2>
            <p class="small">{w.register_text}</p>
            <div class="row">
                <label class="btn file-button">
                    <span>{w.register_choose}</span>
                    <input type="file" name="register" multiple accept=".json,.jsonl,.csv,.tsv,.tab,.xlsx,.xlsm,.parquet,.txt" on:change=move |event| state.begin(files_of(&event), said)/>
                </label>
                <a class="btn" href="/api/v1/dataset_info.json" download=REGISTER rel="external">{w.register_export}</a>
            </div>
            <ProblemList problems=state.problems/>
            <ul class="plain" role="status">
                {move || state.entries.get().into_iter().map(|(entry, fate)| view! { <Entry entry fate/> }).collect_view()}
            </ul>
        </section>
    }
    .into_any()
}

#[component]
fn Entry(entry: Registered, fate: Fate) -> impl IntoView {
    let w = words();
    let said = match fate {
        Fate::Waiting => view! { <span class="small">{w.data.register_waiting}</span> }.into_any(),
        Fate::Sending(share) => {
            let label = fill(w.data.uploading, &[&entry.name]);
            view! { <progress class="bar-line" max="1" value=share.to_string() aria-label=label></progress> }
                .into_any()
        }
        Fate::Held => view! { <span class="small">{fill(w.data.waiting, &[&entry.name])}</span> }.into_any(),
        Fate::Here(id) => {
            view! { <a class="link small" href=format!("/datasets/{id}")>{w.data.register_open}</a> }
                .into_any()
        }
        Fate::Missing(name) => {
            view! { <span class="small">{fill(w.data.register_missing, &[&name])}</span> }.into_any()
        }
        Fate::Said(text) => view! { <span class="small">{text}</span> }.into_any(),
        Fate::Refused(problem) => {
            view! { <span class="error">{problem_text(w.lang, &problem)}</span> }.into_any()
        }
    };
    view! { <li class="version"><strong class="break">{entry.name}</strong>{said}<Badges findings=entry.findings/></li> }.into_any()
}

/// Names in a sentence, the first few of many.
fn shown(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = if names.len() > SHOWN { ", …" } else { "" };
    names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ") + more
}

/// What is worth knowing about a dataset, as small marks; none of it stops anything.
#[component]
pub(crate) fn Badges(findings: Vec<Finding>) -> impl IntoView {
    let w = &words().data;
    let short = |hash: &str| hash.get(..10).unwrap_or(hash).to_owned();
    findings
        .into_iter()
        .map(|finding| {
            let (class, text) = match &finding {
                Finding::Sha1Matches { sha1 } => ("chip ok", fill(w.sha1_matches, &[&short(sha1)])),
                Finding::Sha1Differs { wanted, found } => {
                    ("chip warn", fill(w.sha1_differs, &[&short(found), &short(wanted)]))
                }
                Finding::Sha1Unchecked { .. } => ("chip", w.sha1_unchecked.to_owned()),
                Finding::ColumnsOmitted { parts } => {
                    ("chip warn", fill(w.columns_omitted, &[&parts.join(", ")]))
                }
                Finding::ScriptRefused { name } => ("chip warn", fill(w.register_script, &[name])),
                Finding::Unused { key } => ("chip", fill(w.unused_key, &[key])),
                Finding::Converted { encoding } => ("chip", fill(w.read_as, &[encoding])),
                Finding::Sheet { sheet, others, hidden } => {
                    let class = if *hidden { "chip warn" } else { "chip" };
                    let one = if *hidden { w.sheet_hidden } else { w.sheet_read };
                    let rest = if others.is_empty() { "" } else { w.sheets_left };
                    (class, fill(one, &[sheet]) + &fill(rest, &[&shown(others)]))
                }
                Finding::HiddenRows { rows } => ("chip", fill(w.hidden_rows, &[&num(*rows)])),
                Finding::ErrorCells { cells, row } => {
                    ("chip warn", fill(w.error_cells, &[&num(*cells), &num(*row)]))
                }
            };
            view! { <span class=class>{text}</span>" " }
        })
        .collect_view()
        .into_any()
}
