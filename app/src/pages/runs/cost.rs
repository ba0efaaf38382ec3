//! What the planned run takes, before it is launched: weights that learn (S-107) and memory.

use contract::cost::Cost;
use leptos::prelude::*;

use crate::forms::foresight::{Foreseen, Taken};
use crate::words::amounts::{num, size};
use crate::words::{fill, words};

/// The table and the estimate.
#[component]
pub(crate) fn CostCard(taken: Memo<Taken>) -> impl IntoView {
    let w = &words().runs;
    view! {
        <section class="card pad" aria-labelledby="takes">
            <h2 id="takes">{w.takes}</h2>
            {move || match taken.get() {
                Taken::Nothing => view! { <p class="small">{w.bar_wait}</p> }.into_any(),
                Taken::Unknown => view! { <p class="small">{w.takes_unknown}</p> }.into_any(),
                Taken::Looking(cost) => table(&cost, w.takes_looking.to_owned(), false),
                Taken::Failed(cost) => table(&cost, w.takes_failed.to_owned(), false),
                Taken::Known(known) => table(&known.cost, memory(&known), known.further),
            }}
        </section>
    }
    .into_any()
}

/// The memory and its parts in a sentence.
fn memory(known: &Foreseen) -> String {
    let cost = &known.cost;
    let bytes =
        [cost.bytes(), cost.program_bytes, cost.weight_bytes, cost.optimizer_bytes, cost.activation_bytes];
    let [all, program, weights, learning, back] = bytes.map(size);
    let (sequences, tokens) = (num(cost.load.sequences), num(cost.load.tokens));
    if cost.learning.is_empty() {
        let parts = [&*all, &program, &weights, &back, &sequences, &tokens];
        return fill(words().runs.takes_measuring, &parts);
    }
    let parts = [&*all, &program, &weights, &learning, &back, &sequences, &tokens];
    fill(words().runs.takes_memory, &parts)
}

fn table(cost: &Cost, memory: String, further: bool) -> AnyView {
    let w = &words().runs;
    if cost.learning.is_empty() {
        return view! { <p class="small num">{memory}</p> }.into_any();
    }
    let share = 100.0 * cost.trainable() as f64 / cost.parameters.max(1) as f64;
    let learn = fill(w.takes_share, &[&num(cost.trainable()), &num(cost.parameters), &format!("{share:.4}")]);
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
