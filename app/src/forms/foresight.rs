//! What the planned run takes: the server looks at the rows, the rest is reckoned here by the rules of the server and
//! the worker.

use std::time::Duration;

use contract::Tuning;
use contract::checkup::{Checkup, CheckupRequest};
use contract::cost::{self, Cost, Fit, Offer, Planned, offer};
use contract::health::HealthReport;
use contract::params::Hyper;
use contract::plan::{Examples, Plan};
use contract::sizes::Sizes;
use contract::system::SystemView;
use leptos::prelude::*;

use super::state::Form;
use crate::ports::{Problems, check_health, read_system};

/// Pause after the last change before the server is asked.
const CALM: Duration = Duration::from_millis(400);
/// How often an answer that is being made is asked for.
const EVERY: Duration = Duration::from_millis(500);

/// What can be said of a run that is being planned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Taken {
    /// Something is missing or wrong.
    Nothing,
    /// The shape of the model was not noted at its import.
    Unknown,
    /// The rows are being looked at: what learns is known, not what a batch holds.
    Looking(Box<Cost>),
    /// They cannot be looked at; the page says elsewhere what is wrong with them.
    Failed(Box<Cost>),
    /// Everything.
    Known(Box<Foreseen>),
}

/// What a run takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Foreseen {
    /// Memory.
    pub(crate) cost: Cost,
    /// Time, seconds; `None` while the number of steps or the machine's speed is not known.
    pub(crate) seconds: Option<f64>,
    /// Rows, rounds and steps, blocks of plain text counted.
    pub(crate) plan: Plan,
    /// Memory of the machine, bytes; 0: not known.
    pub(crate) machine: u64,
    /// Of these, what is free.
    pub(crate) free: u64,
    /// How the two compare.
    pub(crate) fit: Fit,
    /// What would fit, where this does not.
    pub(crate) offer: Option<Offer>,
    /// Whether an adapter is trained further, which keeps its own shape.
    pub(crate) further: bool,
}

type Asked = Option<Vec<CheckupRequest>>;

/// What the server said.
#[derive(Clone, Debug)]
struct Answer {
    asked: Asked,
    machine: Option<SystemView>,
    checkups: Vec<Result<Checkup, Problems>>,
}

impl Answer {
    /// Whether there is more to come.
    fn unfinished(&self) -> bool {
        let running = |checkup: &Result<_, _>| matches!(checkup, Ok(Checkup::Running { .. }));
        self.machine.as_ref().is_some_and(|machine| machine.speed.is_none())
            || self.checkups.iter().any(running)
    }

    fn reports(&self) -> Reports<'_> {
        let mut all = Vec::new();
        for checkup in &self.checkups {
            match checkup {
                Ok(Checkup::Done { report }) => all.push(&**report),
                Ok(Checkup::Running { .. }) => return Reports::More,
                Ok(Checkup::Failed { .. }) | Err(_) => return Reports::None,
            }
        }
        Reports::All(all)
    }
}

/// What is known of the rows.
enum Reports<'a> {
    /// One report for each dataset.
    All(Vec<&'a HealthReport>),
    /// There is more to come.
    More,
    /// They cannot be read.
    None,
}

async fn asked(asked: Asked) -> Answer {
    let machine = read_system().await.ok();
    let mut checkups = Vec::new();
    for request in asked.iter().flatten() {
        checkups.push(check_health(request.clone()).await);
    }
    Answer { asked, machine, checkups }
}

/// Follows the form from the browser on; until then the rows are being looked at.
pub(crate) fn foresee(form: Form) -> Memo<Taken> {
    let wanted = Memo::new(move |_| form.checkups());
    let calm = RwSignal::new(None::<Asked>);
    let tick = RwSignal::new(0u32);
    let ask = Action::new(|request: &Asked| asked(request.clone()));
    let timer = StoredValue::new(None::<TimeoutHandle>);
    Effect::new(move |before: Option<()>| {
        let request = wanted.get();
        if before.is_none() {
            return calm.set(Some(request));
        }
        if let Some(timer) = timer.get_value() {
            timer.clear();
        }
        let later = set_timeout_with_handle(
            move || {
                calm.try_set(Some(request));
            },
            CALM,
        );
        timer.set_value(later.ok());
    });
    Effect::new(move |_| {
        tick.track();
        if let Some(request) = calm.get() {
            ask.dispatch(request);
        }
    });
    Effect::new(move |_| {
        if ask.value().with(|answer| answer.as_ref().is_some_and(Answer::unfinished)) {
            set_timeout(
                move || {
                    tick.try_update(|tick| *tick = tick.wrapping_add(1));
                },
                EVERY,
            );
        }
    });
    Memo::new(move |_| {
        let wanted = wanted.get();
        ask.value().with(|answer| taken(form, answer.as_ref().filter(|answer| answer.asked == wanted)))
    })
}

fn taken(form: Form, answer: Option<&Answer>) -> Taken {
    let (stage, tuning) = (form.stage(), form.tuning());
    let hyper = form.draft.with(|draft| Hyper::read(&draft.values, stage, tuning));
    let facts = form.models.with_value(|models| {
        let chosen = form.draft.with(|draft| draft.model.clone());
        models.iter().find(|model| model.id.0 == chosen).and_then(|model| model.facts.clone())
    });
    let (Ok(hyper), Some(facts), Some(plan)) = (hyper, facts, form.plan()) else { return Taken::Nothing };
    let sizes = Sizes::default();
    let empty = Planned {
        facts: &facts,
        stage,
        tuning,
        hyper: &hyper,
        sizes: &sizes,
        rows: plan.rows,
        held: plan.held,
    };
    let Some(cost) = empty.cost().map(Box::new) else { return Taken::Unknown };
    let Some((answer, reports)) = answer.map(|answer| (answer, answer.reports())) else {
        return Taken::Looking(cost);
    };
    let reports = match reports {
        Reports::All(reports) => reports,
        Reports::More => return Taken::Looking(cost),
        Reports::None => return Taken::Failed(cost),
    };
    let examples = Examples::of(reports, &hyper);
    if examples.count == 0 {
        return Taken::Failed(cost);
    }
    let plan = plan.over(&examples, &hyper, stage);
    let planned = Planned { sizes: &examples.sizes, rows: plan.rows, held: plan.held, ..empty };
    let Some(cost) = planned.cost() else { return Taken::Unknown };
    let (machine, free) = answer.machine.as_ref().map_or((0, 0), |machine| {
        (machine.memory_total, machine.memory_total.saturating_sub(machine.memory_used))
    });
    let fit = Fit::of(cost.bytes(), machine, free);
    let speed = answer.machine.as_ref().and_then(|machine| machine.speed);
    let counted = plan.exact || plan.blocks;
    let adapters = form.draft.with(|draft| !draft.adapters.is_empty());
    Taken::Known(Box::new(Foreseen {
        seconds: speed.filter(|_| counted).and_then(|speed| cost::seconds(&planned, speed)),
        offer: if fit == Fit::Fits { None } else { offer(&planned, free) },
        further: adapters && hyper.resume_lora_training && tuning == Tuning::Lora,
        cost,
        plan,
        machine,
        free,
        fit,
    }))
}
