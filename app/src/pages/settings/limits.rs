//! What people's files may ask of the machine.

use contract::limits::{Limit, LimitView, Own, Unit};
use leptos::prelude::*;

use crate::components::part::settled;
use crate::ports::list_limits;
use crate::words::amounts::{num, size};
use crate::words::{limit_name, own_name, words};

/// The table of limits, folded: who runs the server looks for it, nobody else needs it.
#[component]
pub(crate) fn LimitsCard() -> impl IntoView {
    let w = &words().studio;
    let limits = Resource::new(|| (), |()| list_limits());
    view! {
        <details class="card fold">
            <summary>{w.limits}</summary>
            <div class="fold-body">
                <p class="small">{w.limits_text}</p>
                {settled(limits, |limits| view! { <Table limits/> }.into_any())}
            </div>
        </details>
    }
    .into_any()
}

/// Name, amount, whether it is another than the standard one.
fn shown(view: &LimitView) -> Option<(&'static str, String, bool)> {
    let lang = words().lang;
    if let Some(limit) = Limit::of(&view.key) {
        let amount = if limit.unit() == Unit::Bytes { size(view.value) } else { num(view.value) };
        return Some((limit_name(lang, limit), amount, view.value != limit.standard()));
    }
    let own = Own::ALL.iter().copied().find(|own| own.variable() == view.key)?;
    let amount = if own == Own::UploadBytes { size(view.value) } else { num(view.value) };
    Some((own_name(lang, own), amount, false))
}

#[component]
fn Table(limits: Vec<LimitView>) -> impl IntoView {
    let w = &words().studio;
    let rows = limits.into_iter().filter_map(|view| {
        let (name, amount, changed) = shown(&view)?;
        let mark = changed.then(|| view! { " "<span class="chip">{w.limit_changed}</span> });
        Some(view! { <tr><th scope="row">{name}{mark}<div class="small mono break">{view.key}</div></th><td class="num right">{amount}</td></tr> })
    });
    view! { <div class="table-wrap"><table><tbody>{rows.collect_view()}</tbody></table></div> }.into_any()
}
