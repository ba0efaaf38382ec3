//! `dataset_info.json` of other toolkits: chosen together with the files it names, or with the folder of all, taken in one
//! after the other.

use contract::Code;
use contract::Problem;
use contract::digest::Digest;
use contract::origin::is_hidden;
use contract::registry::{Finding, Registered, Source};
use leptos::prelude::*;

use crate::browser::sets::{Picked, send_set};
use crate::browser::upload::{self, Sent};
use crate::browser::{encode, files_of};
use crate::components::folder_button::FolderButton;
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

    fn begin(self, files: Vec<Picked>, said: Said) {
        self.problems.set(Vec::new());
        self.entries.set(Vec::new());
        let Some(register) = files.iter().find(|one| one.file.name() == REGISTER).cloned() else {
            self.problems.set(vec![Problem::new(
                Code::RegistryMissing,
                "dataset_info.json is not among the chosen files.",
            )]);
            return;
        };
        upload::post(
            "/api/v1/registry",
            Some(&register.file),
            |_| {},
            move |answer| {
                let entries = answer.and_then(|body| {
                    serde_json::from_str::<Vec<Registered>>(&body).map_err(|_| upload::problems_in(200, ""))
                });
                match entries {
                    Ok(entries) => self.take(entries, &register.name, files, said),
                    Err(problems) => drop(self.problems.try_set(problems)),
                }
            },
        );
    }

    /// Sends the files of every entry that has any, one entry after the other.
    fn take(self, entries: Vec<Registered>, register: &str, files: Vec<Picked>, said: Said) {
        let names: Vec<String> = files.iter().map(|one| one.name.clone()).collect();
        let found: Vec<Vec<usize>> =
            entries.iter().map(|entry| files_of_entry(entry, register, &names)).collect();
        let fate = |(entry, found): (&Registered, &Vec<usize>)| said.of(entry, found);
        let fates: Vec<Fate> = entries.iter().zip(&found).map(fate).collect();
        self.entries.try_set(entries.iter().cloned().zip(fates.clone()).collect());
        leptos::task::spawn_local(async move {
            for (index, ((entry, found), fate)) in entries.iter().zip(found).zip(fates).enumerate() {
                if fate != Fate::Waiting {
                    continue;
                }
                let step = move |sent: Sent| {
                    self.set(
                        index,
                        match sent {
                            Sent::Share(share) => Fate::Sending(share),
                            Sent::Waiting => Fate::Held,
                        },
                    );
                };
                let more = query(entry);
                let answer = match found.as_slice() {
                    [one] => {
                        let one = &files[*one];
                        let name = encode(&one.file.name());
                        let url = format!("/api/v1/uploads?kind=dataset&name={name}{more}");
                        upload::send_file(&url, &one.file, step).await
                    }
                    several => {
                        let files: Vec<Picked> = several.iter().map(|one| files[*one].clone()).collect();
                        send_set(&files, &more, step).await
                    }
                };
                self.set(
                    index,
                    match answer.map(|body| upload::id_in(&body)) {
                        Ok(Some(id)) => Fate::Here(id),
                        Ok(None) => Fate::Waiting,
                        Err(problems) => problems.into_iter().next().map_or(Fate::Waiting, Fate::Refused),
                    },
                );
            }
            self.landed.try_update(|landed| *landed += 1);
        });
    }
}

/// What an entry says of its dataset.
fn query(entry: &Registered) -> String {
    let sha1 = match &entry.source {
        Source::File { sha1, .. } => sha1.as_deref().filter(|sha1| Digest::parse(sha1).is_ok()),
        _ => None,
    };
    let mapping = serde_json::to_string(&entry.mapping).unwrap_or_default();
    let mapping =
        if entry.mapping.names_nothing() { String::new() } else { format!("&mapping={}", encode(&mapping)) };
    let (title, sha1) = (encode(&entry.name), encode(sha1.unwrap_or_default()));
    format!("&title={title}&digest={sha1}&open={}{mapping}", entry.open)
}

/// The files of an entry among those that were chosen with the register: the one it names, or those of the folder that it
/// names (S-002, S-073). Names are those of the folder of the register, or the last parts alone where no folder was chosen.
fn files_of_entry(entry: &Registered, register: &str, names: &[String]) -> Vec<usize> {
    let Source::File { name: wanted, .. } = &entry.source else { return Vec::new() };
    let base = register.rfind('/').map_or("", |at| &register[..=at]);
    let whole = format!("{base}{wanted}");
    let folder = format!("{whole}/");
    let within = |name: &String| name.strip_prefix(&folder).is_some_and(|rest| !rest.contains('/'));
    let all = |holds: &dyn Fn(&String) -> bool| -> Vec<usize> {
        names.iter().enumerate().filter(|(_, name)| holds(name)).map(|(index, _)| index).collect()
    };
    let mut found = all(&|name| *name == whole);
    if found.is_empty() {
        found = all(&|name| within(name) && !is_hidden(name));
    }
    if found.is_empty() && base.is_empty() {
        let last = wanted.rsplit('/').next().unwrap_or(wanted);
        found = all(&|name| name == last);
        found.truncate(1);
    }
    found
}

/// Sentences of the page's language, for use after it was drawn.
#[derive(Clone, Copy)]
struct Said {
    hub: &'static str,
    script: &'static str,
}

impl Said {
    fn of(self, entry: &Registered, found: &[usize]) -> Fate {
        match &entry.source {
            Source::HfHub { repo } => Fate::Said(fill(self.hub, &[repo])),
            Source::Script { name } => Fate::Said(fill(self.script, &[name])),
            Source::File { name, .. } if found.is_empty() => Fate::Missing(name.clone()),
            Source::File { .. } => Fate::Waiting,
        }
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
                    <input type="file" name="register" multiple accept=".json,.jsonl,.csv,.tsv,.tab,.xlsx,.xlsm,.parquet,.txt" on:change=move |event| state.begin(Picked::all(files_of(&event)), said)/>
                </label>
                <FolderButton name="register-folder" choose=move |files| state.begin(Picked::all(files), said)/>
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
                Finding::Sha256Matches { sha256 } => ("chip ok", fill(w.sha256_matches, &[&short(sha256)])),
                Finding::Sha256Differs { wanted, found } => {
                    ("chip warn", fill(w.sha256_differs, &[&short(found), &short(wanted)]))
                }
                Finding::Sha1Unchecked { files: 0..=1 } => ("chip", w.sha1_anew.to_owned()),
                Finding::Sha1Unchecked { .. } => ("chip", w.sha1_unchecked.to_owned()),
                Finding::EmptyFiles { names, files } => {
                    ("chip warn", fill(w.empty_files, &[&num(*files), &shown(names)]))
                }
                Finding::ShardsMissing { names } => ("chip warn", fill(w.shards_missing, &[&shown(names)])),
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

#[cfg(test)]
mod tests {
    use contract::dataset::{DataFormat, Mapping};

    use super::*;

    fn entry(file: &str) -> Registered {
        Registered {
            name: "tea & co".to_owned(),
            source: Source::File { name: file.to_owned(), sha1: Some("xyz".to_owned()) },
            mapping: Mapping::empty(DataFormat::PromptResponse),
            open: true,
            tags: Default::default(),
            findings: Vec::new(),
        }
    }

    #[test]
    fn s_002_s_073_an_entry_names_a_file_or_a_folder_beside_its_register() {
        let names =
            ["d/dataset_info.json", "d/a.json", "d/tea/2.csv", "d/tea/.x", "d/tea/deep/3.csv", "a.json"];
        let names = names.map(str::to_owned);
        let found = |file: &str| files_of_entry(&entry(file), "d/dataset_info.json", &names);
        assert_eq!(found("a.json"), [1]);
        assert_eq!(found("tea"), [2]);
        assert_eq!(found("tea/2.csv"), [2]);
        assert!(found("pot").is_empty());
        let flat = ["dataset_info.json", "a.json"].map(str::to_owned);
        let found = |file: &str| files_of_entry(&entry(file), "dataset_info.json", &flat);
        assert_eq!((found("a.json"), found("data/a.json")), (vec![1], vec![1]));
    }

    #[test]
    fn s_006_s_070_an_entry_sends_what_it_says_and_no_digest_that_is_none() {
        let said = query(&entry("a.json"));
        assert_eq!(said, "&title=tea%20%26%20co&digest=&open=true");
    }
}
