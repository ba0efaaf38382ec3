//! Every dataset, upload and samples.

use contract::dataset::DatasetView;
use contract::hub::HubKind;
use contract::listed::apart;
use contract::trash::Kind;
use leptos::prelude::*;

use super::register::Register;
use super::upload::{Samples, Upload};
use crate::components::damaged::Damaged;
use crate::components::part::settled;
use crate::components::undo::UndoLine;
use crate::pages::Head;
use crate::pages::hub::FromHub;
use crate::ports::list_datasets;
use crate::words::amounts::{ago, now_ms, num, size};
use crate::words::words;

/// The page.
#[component]
pub(crate) fn Datasets() -> impl IntoView {
    let w = &words().data;
    let landed = RwSignal::new(0u32);
    let datasets = Resource::new(move || landed.get(), |_| list_datasets());
    let again = Callback::new(move |()| landed.update(|landed| *landed += 1));
    view! {
        <Head title=w.title text=w.text/>
        <div class="grid two upload-grid"><Upload landed/><Samples/></div>
        <UndoLine kind=Kind::Dataset again/>
        {settled(datasets, move |all| {
            let (datasets, odd) = apart(all);
            view! { {table(datasets, odd.is_empty())}<Damaged kind=Kind::Dataset entries=odd again/> }.into_any()
        })}
        <div class="hub-block"><Register landed/></div>
        <div class="hub-block"><FromHub kind=HubKind::Dataset landed/></div>
    }
    .into_any()
}

/// `all`: no other entry is shown beside these.
fn table(datasets: Vec<DatasetView>, all: bool) -> AnyView {
    let w = words();
    if datasets.is_empty() && !all {
        return ().into_any();
    }
    if datasets.is_empty() {
        return view! { <p class="card pad empty">{w.data.empty}</p> }.into_any();
    }
    let rows = datasets
        .into_iter()
        .map(|dataset| {
            view! {
                <tr>
                    <td>
                        <a class="strong" href=format!("/datasets/{}", dataset.id)>{dataset.name}</a>
                        <div class="small">{dataset.file_name}</div>
                    </td>
                    <td class="num right">{num(dataset.inspection.rows)}</td>
                    <td class="num right">{num(dataset.inspection.usable)}</td>
                    <td class="num right wide">{size(dataset.bytes)}</td>
                    <td class="right wide">{ago(w.lang, now_ms(), dataset.created_ms)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="card table-wrap">
            <table>
                <thead><tr>
                    <th scope="col">{w.data.name}</th>
                    <th scope="col" class="right">{w.data.rows}</th>
                    <th scope="col" class="right">{w.data.usable}</th>
                    <th scope="col" class="right wide">{w.data.size}</th>
                    <th scope="col" class="right wide">{w.data.added}</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}
