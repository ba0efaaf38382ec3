//! Refuses a run that is known not to fit into the machine, or whose rows are known not to fit into the model, before it
//! is queued. What is not known yet, the worker finds out by the same rules.

use contract::Problem;
use contract::check::Checked;
use contract::checkup::CheckupRequest;
use contract::cost::{Planned, refusal};
use contract::model::{ModelFacts, beyond_positions};
use contract::plan::{Examples, Plan};

use super::checkup;
use crate::proc;
use crate::state::AppState;
use crate::store::datasets::DatasetRow;

/// The problem of a run too large for this machine, or with rows beyond the positions its model has learned; `None` when
/// it fits, or when its rows were not looked at yet.
pub fn too_large(
    state: &AppState,
    checked: &Checked,
    datasets: &[&DatasetRow],
    facts: &ModelFacts,
) -> Option<Problem> {
    let ids: Vec<_> = datasets.iter().map(|row| row.view.id.clone()).collect();
    let texts = (checked.template.as_str(), checked.system.as_str());
    let requests = CheckupRequest::sampling(&ids, &checked.model, checked.stage, texts, &checked.hyper)?;
    let reports: Option<Vec<_>> = datasets
        .iter()
        .zip(&requests)
        .map(|(row, request)| checkup::made(state, &row.view, facts, request))
        .collect();
    let reports = reports?;
    if let Some(positions) = facts.learned_positions()
        && let Some(row) = reports.iter().find_map(|report| report.beyond_positions.first.first())
    {
        return Some(beyond_positions(positions).row(*row));
    }
    let examples = Examples::of(reports.iter().map(|report| &**report), &checked.hyper);
    let usable: Vec<_> = datasets.iter().map(|row| row.view.inspection.usable_in(checked.stage)).collect();
    let plan =
        Plan::of(&usable, &checked.hyper, checked.stage).over(&examples, &checked.hyper, checked.stage);
    let planned = Planned {
        facts,
        stage: checked.stage,
        tuning: checked.tuning,
        hyper: &checked.hyper,
        sizes: &examples.sizes,
        rows: plan.rows,
        held: plan.held,
    };
    let (_, machine) = proc::memory();
    refusal(&planned.cost()?, machine).map(|problem| problem.field("per_device_train_batch_size"))
}
