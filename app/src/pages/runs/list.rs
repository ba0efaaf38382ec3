//! Every run.

use std::time::Duration;

use contract::listed::{Listed, apart};
use contract::run::RunSummary;
use contract::trash::Kind;
use leptos::prelude::*;

use crate::components::damaged::Damaged;
use crate::components::part::settled;
use crate::components::run_table::RunTable;
use crate::components::undo::UndoLine;
use crate::pages::Head;
use crate::ports::{Problems, list_runs};
use crate::words::words;

const EVERY: Duration = Duration::from_secs(3);

/// The runs, read again every three seconds while one is waiting or live.
pub(crate) fn polled_runs() -> Resource<Result<Vec<Listed<RunSummary>>, Problems>> {
    let tick = RwSignal::new(0u32);
    let runs = Resource::new(move || tick.get(), |_| list_runs());
    Effect::new(move |_| {
        let live = |one: &Listed<RunSummary>| matches!(one, Listed::Read(run) if !run.state.is_ended());
        let busy = runs.get().and_then(Result::ok).is_some_and(|all| all.iter().any(live));
        if busy {
            set_timeout(
                move || {
                    tick.try_update(|tick| *tick += 1);
                },
                EVERY,
            );
        }
    });
    runs
}

/// The page.
#[component]
pub(crate) fn Runs() -> impl IntoView {
    let w = &words().runs;
    let runs = polled_runs();
    let again = Callback::new(move |()| runs.refetch());
    view! {
        <Head title=w.title text=w.text>
            <a class="btn" href="/runs/new?tuning=none">{w.measure}</a>
            <a class="btn primary" href="/runs/new">{w.new}</a>
        </Head>
        <UndoLine kind=Kind::Run again/>
        {settled(runs, move |all| {
            let (runs, odd) = apart(all);
            view! { {show(runs, odd.is_empty())}<Damaged kind=Kind::Run entries=odd again/> }.into_any()
        })}
    }
    .into_any()
}

/// `all`: no other entry is shown beside these.
fn show(runs: Vec<RunSummary>, all: bool) -> AnyView {
    let w = words();
    if runs.is_empty() && !all {
        return ().into_any();
    }
    if runs.is_empty() {
        return view! {
            <div class="card pad empty">
                <p>{w.runs.empty}</p>
                <p class="row"><a class="btn" href="/">{w.studio.nav_start}</a></p>
            </div>
        }
        .into_any();
    }
    view! { <div class="card"><RunTable runs/></div> }.into_any()
}
