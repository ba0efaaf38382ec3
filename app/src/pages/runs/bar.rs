//! The bar below the form of a new run: how long, how much memory, what is wrong, and the button.

use contract::cost::{Fit, Offer};
use contract::plan::Plan;
use contract::{Code, RunId, Tuning};
use leptos::prelude::*;
use leptos_router::hooks::use_navigate;

use crate::browser::uuid;
use crate::forms::foresight::{Foreseen, Taken};
use crate::forms::state::Form;
use crate::ports::launch_run;
use crate::words::amounts::{duration, num, of_memory, rows, size};
use crate::words::{fill, problem_text, words};

/// The bar.
#[component]
pub(super) fn Bar(form: Form, taken: Memo<Taken>) -> impl IntoView {
    let w = &words().runs;
    // One key for one press that was not refused: however often the request is sent, one run is launched (R5).
    let key = StoredValue::new(None::<String>);
    let launch = Action::new(move |_: &()| {
        let mine = key.get_value().unwrap_or_else(uuid);
        key.set_value(Some(mine.clone()));
        launch_run(form.draft.get_untracked(), Some(mine))
    });
    let pending = launch.pending();
    let navigate = use_navigate();
    Effect::new(move |_| match launch.value().get() {
        Some(Ok(RunId(id))) => navigate(&format!("/runs/{id}"), Default::default()),
        Some(Err(problems)) => {
            // What was refused made no run. A lost answer may have: it is asked for again under the same key.
            if problems.0.iter().all(|problem| problem.code != Code::ConnectionLost) {
                key.set_value(None);
            }
            form.refused.set(problems.0);
        }
        None => {}
    });
    let press = move |_| {
        form.tried.set(true);
        if contract::check::check(&form.draft.get_untracked()).is_ok() {
            launch.dispatch(());
        }
    };
    view! {
        <div class="bar">
            <div class="bar-text"><div aria-live="polite"><BarText form taken/></div><Room form taken/></div>
            <button type="button" class="btn primary" disabled=move || pending.get() on:click=press>
                {move || if pending.get() { w.launching } else if form.tuning().learns() { w.launch } else { w.measure_launch }}
            </button>
        </div>
    }
    .into_any()
}

#[component]
fn BarText(form: Form, taken: Memo<Taken>) -> impl IntoView {
    let w = words();
    move || {
        let problems = form.problems();
        if let Some(first) = problems.first() {
            let count = fill(w.runs.bar_problem, &[&problems.len().to_string()]);
            return view! { <p class="error">{count}{problem_text(w.lang, first)}</p> }.into_any();
        }
        let taken = taken.get();
        let known = if let Taken::Known(known) = &taken { Some(known) } else { None };
        let Some(plan) = known.map(|known| known.plan).or_else(|| form.plan()) else {
            return view! { <p class="small">{w.runs.bar_wait}</p> }.into_any();
        };
        let (lead, steps) = match form.answers() {
            Some(answers) => (measured(&plan, answers), None),
            None => length(&plan),
        };
        let rest = match &taken {
            Taken::Known(known) => takes(known),
            Taken::Looking(_) => format!(" · {}", w.runs.bar_looking),
            Taken::Nothing | Taken::Unknown | Taken::Failed(_) => String::new(),
        };
        view! { <p class="small num">{lead}{steps.map(|steps| view! { <strong>{steps}</strong> })}{rest}</p> }
            .into_any()
    }
}

/// Rows measured, and how many of their questions are answered.
fn measured(plan: &Plan, answers: u64) -> String {
    let w = words();
    let counted = match plan.blocks {
        true => fill(w.runs.bar_blocks, &[&num(plan.held)]),
        false => rows(w.lang, plan.held),
    };
    let lead = fill(w.runs.bar_measured, &[&counted]);
    let answered = (answers > 0).then(|| fill(w.runs.bar_answered, &[&num(answers)]));
    lead + &answered.unwrap_or_default()
}

/// Rows by rounds, and the steps where their number is known.
fn length(plan: &Plan) -> (String, Option<String>) {
    let w = words();
    let rounds = if plan.rounds == 1.0 {
        w.runs.bar_round.to_owned()
    } else {
        fill(w.runs.bar_rounds, &[&plan.rounds.to_string()])
    };
    let counted = match plan.blocks {
        true => fill(w.runs.bar_blocks, &[&num(plan.rows)]),
        false => rows(w.lang, plan.rows),
    };
    let lead = match (plan.limited, plan.exact) {
        (false, true) => fill(w.runs.bar_steps, &[&counted, &rounds]),
        (true, _) => format!("{counted} · "),
        (false, false) => format!("{counted} × {rounds}"),
    };
    let steps = if plan.limited { w.runs.bar_limit } else { w.runs.bar_total };
    (lead, plan.exact.then(|| fill(steps, &[&num(plan.steps)])))
}

/// Time and memory, as far as they are known.
fn takes(known: &Foreseen) -> String {
    let w = words();
    let time = known.seconds.map(|seconds| fill(w.runs.bar_time, &[&duration(w.lang, seconds)]));
    let memory = fill(w.runs.bar_memory, &[&of_memory(w.lang, known.cost.bytes(), known.machine)]);
    time.into_iter().chain([memory]).map(|part| format!(" · {part}")).collect()
}

/// A warning where the memory does not suffice, and a button that changes the fields to what fits.
#[component]
fn Room(form: Form, taken: Memo<Taken>) -> impl IntoView {
    let tight = Memo::new(move |_| match taken.get() {
        Taken::Known(known) if known.fit != Fit::Fits => {
            Some((known.fit, known.cost.bytes(), known.machine, known.free, known.offer))
        }
        _ => None,
    });
    move || {
        let w = &words().runs;
        tight.get().map(|(fit, needed, machine, free, offer)| {
            let warning = match fit {
                Fit::TooLarge => fill(w.room_none, &[&size(needed), &size(machine)]),
                Fit::Tight | Fit::Fits => fill(w.room_tight, &[&size(needed), &size(free)]),
            };
            let class = if fit == Fit::TooLarge { "error" } else { "small" };
            view! { <div class="bar-room" role="status"><p class=class>{warning}</p>{offer.map(|offer| offered(form, offer))}</div> }
        })
    }
}

fn offered(form: Form, offer: Offer) -> AnyView {
    let w = &words().runs;
    match offer {
        Offer::Batch { rows, accumulation } => {
            let take = move |_| {
                form.change(|draft| {
                    draft.values.insert("per_device_train_batch_size".to_owned(), rows.to_string());
                    draft.values.insert("gradient_accumulation_steps".to_owned(), accumulation.to_string());
                });
            };
            let text = fill(w.room_batch, &[&rows.to_string(), &accumulation.to_string()]);
            view! { <button type="button" class="btn" title=w.room_batch_text on:click=take>{text}</button> }
                .into_any()
        }
        Offer::Adapter => {
            let take = move |_| form.change(|draft| draft.tuning = Tuning::Lora.key().to_owned());
            view! { <button type="button" class="btn" on:click=take>{w.room_adapter}</button> }.into_any()
        }
        Offer::Nothing => view! { <p class="small">{w.room_nothing}</p> }.into_any(),
    }
}
