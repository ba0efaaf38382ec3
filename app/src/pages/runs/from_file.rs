//! A run that somebody wrote down: its file fills in the form (S-050).

use contract::specification::SpecificationRead;
use contract::{Code, Problem};
use leptos::prelude::*;

use crate::browser::{files_of, upload};
use crate::components::notice::ProblemList;
use crate::components::part::Part;
use crate::words::{fill, words};

/// Largest file that is sent, bytes; the reader says the same.
const LONGEST: f64 = 1_048_576.0;

/// The button, and what was found.
#[component]
pub(super) fn FromFile(given: RwSignal<Option<SpecificationRead>>) -> impl IntoView {
    let w = &words().runs;
    let problems = RwSignal::new(Vec::<Problem>::new());
    let name = RwSignal::new(String::new());
    let read = move |event: web_sys::Event| {
        let Some(file) = files_of(&event).into_iter().next() else { return };
        problems.set(Vec::new());
        if file.size() > LONGEST {
            problems.set(vec![Problem::new(Code::SpecTooLarge, "The specification is larger than 1 MiB.")]);
            return;
        }
        name.set(file.name());
        upload::post(
            "/api/v1/specifications",
            Some(&file),
            |_| {},
            move |answer| {
                let read = answer.and_then(|body| {
                    serde_json::from_str::<SpecificationRead>(&body).map_err(|_| upload::problems_in(200, ""))
                });
                match read {
                    Ok(read) => {
                        problems.try_set(read.missing.clone());
                        given.try_set(Some(read));
                    }
                    Err(found) => drop(problems.try_set(found)),
                }
            },
        );
    };
    let said = move || {
        given.get().map(|read| {
            let passed = (!read.passed_over.is_empty())
                .then(|| fill(w.file_passed_over, &[&read.passed_over.join(", ")]));
            view! {
                <p class="small" role="status">{fill(w.file_read, &[&name.get()])}{passed.map(|text| view! { " "<span class="break">{text}</span> })}</p>
            }
        })
    };
    view! {
        <div class="from-file">
            <label class="btn file-button">
                {w.file_open}
                <input type="file" name="specification" accept=".yaml,.yml,.json,application/json,application/yaml" on:change=read/>
            </label>
            <span class="small">{w.file_text}</span>
            {said}
            <Part when=move || problems.with(|all| !all.is_empty())><ProblemList problems/></Part>
        </div>
    }
    .into_any()
}
