//! What the planned run takes, before it is launched: weights that learn (S-107) and memory.

use contract::Stage;
use contract::cost::{Cost, estimate};
use contract::params::Hyper;
use leptos::prelude::*;

use crate::forms::state::Form;
use crate::words::amounts::{num, size};
use crate::words::{fill, words};

/// What can be said of a run that is being planned.
#[derive(Clone, Debug, PartialEq)]
enum Taken {
    /// Something is missing or wrong.
    Nothing,
    /// The shape of the model was not noted at its import.
    Unknown,
    /// The estimate, and whether an adapter is trained further.
    Known(Cost, bool),
}

fn taken(form: Form) -> Taken {
    let (stage, tuning) = (form.stage(), form.tuning());
    form.draft.with(|draft| {
        let Ok(hyper) = Hyper::read(&draft.values, stage, tuning) else { return Taken::Nothing };
        let facts = form.models.with_value(|models| {
            models.iter().find(|model| model.id.0 == draft.model).and_then(|model| model.facts.clone())
        });
        let Some(facts) = facts else { return Taken::Nothing };
        let answer = if stage == Stage::Pt { 0 } else { hyper.max_target_length };
        let length = (hyper.max_source_length + answer) as u64;
        let further = !draft.adapters.is_empty() && hyper.resume_lora_training;
        match estimate(&facts, stage, tuning, &hyper, length) {
            Some(cost) => Taken::Known(cost, further && tuning == contract::Tuning::Lora),
            None => Taken::Unknown,
        }
    })
}

/// The table and the estimate.
#[component]
pub(crate) fn CostCard(form: Form) -> impl IntoView {
    let w = &words().runs;
    let taken = Memo::new(move |_| taken(form));
    view! {
        <section class="card pad" aria-labelledby="takes">
            <h2 id="takes">{w.takes}</h2>
            {move || match taken.get() {
                Taken::Nothing => view! { <p class="small">{w.bar_wait}</p> }.into_any(),
                Taken::Unknown => view! { <p class="small">{w.takes_unknown}</p> }.into_any(),
                Taken::Known(cost, further) => table(&cost, further),
            }}
        </section>
    }
    .into_any()
}

fn table(cost: &Cost, further: bool) -> AnyView {
    let w = &words().runs;
    let share = 100.0 * cost.trainable() as f64 / cost.parameters.max(1) as f64;
    let learn = fill(w.takes_share, &[&num(cost.trainable()), &num(cost.parameters), &format!("{share:.4}")]);
    let [all, weights, learning, back] =
        [cost.bytes(), cost.weight_bytes, cost.optimizer_bytes, cost.activation_bytes].map(size);
    let memory = fill(w.takes_memory, &[&all, &weights, &learning, &back]);
    let rows = cost
        .learning
        .iter()
        .map(|part| {
            let blocks = if part.blocks == 0 { String::new() } else { num(part.blocks) };
            view! {
                <tr><th scope="row" class="mono">{part.name.clone()}</th><td class="num right">{blocks}</td><td class="num right">{num(part.count)}</td></tr>
            }
        })
        .collect_view();
    view! {
        <p class="small num">{learn}</p>
        <p class="small num">{memory}</p>
        {further.then(|| view! { <p class="small">{w.takes_further}</p> })}
        <div class="table-wrap">
            <table>
                <thead><tr>
                    <th scope="col">{w.takes_part}</th>
                    <th scope="col" class="right">{w.takes_blocks}</th>
                    <th scope="col" class="right">{w.trainable}</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}
