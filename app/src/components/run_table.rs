//! The list of runs, on the start page and on its own.

use contract::run::RunSummary;
use contract::{RunState, Stage, Tuning};
use leptos::prelude::*;

use super::chip::StateChip;
use crate::words::amounts::{ago, loss, now_ms, num};
use crate::words::{Words, fill, now_line, words};

/// What a run does, in a line: model, stage, method.
pub(crate) fn kind_line(w: &Words, run: &RunSummary) -> String {
    let stage = match run.stage {
        _ if run.brought => w.runs.brought,
        Stage::Sft => w.runs.fine_tune,
        Stage::Pt => w.runs.pre_train,
        Stage::Rm => w.runs.reward_model,
        Stage::Ppo => w.runs.ppo,
        Stage::Dpo => w.runs.dpo,
    };
    let tuning = match run.tuning {
        Tuning::Lora => w.runs.lora,
        Tuning::Full => w.runs.full,
        Tuning::Freeze => w.runs.freeze,
        Tuning::None => w.runs.measured_only,
    };
    format!("{} · {stage} · {tuning}", run.model_name)
}

/// What to say at the right: two lines.
fn standing(w: &Words, run: &RunSummary) -> (String, String) {
    let when = ago(w.lang, now_ms(), run.updated_ms);
    match run.state {
        RunState::Running if !run.tuning.learns() => {
            (w.runs.measuring_now.to_owned(), now_line(w.lang, 0, 0, run.remaining_s).1)
        }
        RunState::Stopped | RunState::Failed if !run.tuning.learns() => (String::new(), when),
        RunState::Running | RunState::Preparing | RunState::Stopping | RunState::Queued => {
            now_line(w.lang, run.step, run.total_steps, run.remaining_s)
        }
        RunState::Stopped | RunState::Failed => (fill(w.runs.at_step, &[&num(run.step)]), when),
        RunState::Finished if run.brought => (w.runs.brought.to_owned(), when),
        RunState::Finished => match (run.eval_loss, run.loss) {
            (Some(value), _) => (fill(w.runs.eval_loss_value, &[&loss(Some(value))]), when),
            (None, value) => (fill(w.runs.loss_value, &[&loss(value)]), when),
        },
    }
}

/// The runs, newest first; the caller says what stands there when there are none.
#[component]
pub(crate) fn RunTable(runs: Vec<RunSummary>) -> impl IntoView {
    let w = words();
    let rows = runs
        .into_iter()
        .map(|run| {
            let (main, side) = standing(w, &run);
            view! {
                <tr>
                    <td>
                        <a class="strong" href=format!("/runs/{}", run.id)>{run.name.clone()}</a>
                        <div class="small">{kind_line(w, &run)}</div>
                    </td>
                    <td><StateChip state=run.state/></td>
                    <td class="num right">{main}<div class="small">{side}</div></td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="table-wrap">
            <table>
                <thead class="visually-hidden">
                    <tr><th scope="col">{w.runs.run}</th><th scope="col">{w.runs.state}</th><th scope="col">{w.runs.progress}</th></tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}
