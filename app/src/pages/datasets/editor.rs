//! One row in full, to be edited. Saving makes a new version and goes there.

use contract::dataset::{Cell, DatasetView, FullRow, RowEdit};
use contract::{DatasetId, Problem};
use leptos::html;
use leptos::prelude::*;
use leptos_router::hooks::use_navigate;

use crate::components::field::Field;
use crate::components::notice::ProblemList;
use crate::components::part::part;
use crate::components::safe_textarea::SafeTextarea;
use crate::ports::{dataset_row, edit_row};
use crate::words::amounts::num;
use crate::words::{fill, words};

/// The dialog; opens when `editing` names a row.
#[component]
pub(crate) fn Editor(id: DatasetId, editing: RwSignal<Option<u64>>) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let row = RwSignal::new(None::<FullRow>);
    let problems = RwSignal::new(Vec::<Problem>::new());
    let dataset = StoredValue::new(id);
    Effect::new(move |_| {
        let Some(number) = editing.get() else { return };
        row.set(None);
        problems.set(Vec::new());
        if let Some(dialog) = dialog.get_untracked() {
            let _ = dialog.show_modal();
        }
        leptos::task::spawn_local(async move {
            match dataset_row(dataset.get_value(), number).await {
                Ok(full) => drop(row.try_set(Some(full))),
                Err(why) => drop(problems.try_set(why.0)),
            }
        });
    });
    view! {
        <dialog class="dialog editor" node_ref=dialog aria-labelledby="editor" on:close=move |_| editing.set(None)>
            <h2 id="editor">{move || fill(words().data.edit_row, &[&num(editing.get().unwrap_or_default())])}</h2>
            <ProblemList problems/>
            {part(move || row.get().map(|row| view! { <Form row dataset=dataset.get_value() dialog problems/> }))}
        </dialog>
    }
    .into_any()
}

#[component]
fn Form(
    row: FullRow,
    dataset: DatasetId,
    dialog: NodeRef<html::Dialog>,
    problems: RwSignal<Vec<Problem>>,
) -> impl IntoView {
    let w = words();
    let number = row.row;
    let cells: Vec<(Cell, RwSignal<String>)> = row
        .cells
        .into_iter()
        .map(|cell| {
            let text = RwSignal::new(cell.text.clone());
            (cell, text)
        })
        .collect();
    let fields = cells
        .iter()
        .enumerate()
        .map(|(index, (cell, text))| view! { <CellField index cell=cell.clone() text=*text/> })
        .collect_view();
    let send = Action::new(move |edit: &RowEdit| edit_row(dataset.clone(), edit.clone()));
    let pending = send.pending();
    let navigate = use_navigate();
    Effect::new(move |_| match send.value().get() {
        Some(Ok(DatasetView { id, .. })) => {
            if let Some(dialog) = dialog.get_untracked() {
                dialog.close();
            }
            navigate(&format!("/datasets/{id}?row={number}"), Default::default());
        }
        Some(Err(why)) => problems.set(why.0),
        None => {}
    });
    let save = move |_| {
        let now =
            |(cell, text): &(Cell, RwSignal<String>)| Cell { text: text.get_untracked(), ..cell.clone() };
        send.dispatch(RowEdit { row: number, cells: Some(cells.iter().map(now).collect()) });
    };
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    view! {
        <p class="small">{w.data.edit_text}</p>
        <div class="fields">{fields}</div>
        <div class="row end editor-buttons">
            <button type="button" class="btn quiet" disabled=move || pending.get()
                on:click=move |_| { send.dispatch(RowEdit { row: number, cells: None }); }>{w.data.edit_remove}</button>
            <button type="button" class="btn" on:click=close>{w.studio.cancel}</button>
            <button type="button" class="btn primary" disabled=move || pending.get() on:click=save>{w.data.edit_save}</button>
        </div>
    }
    .into_any()
}

#[component]
fn CellField(index: usize, cell: Cell, text: RwSignal<String>) -> impl IntoView {
    let id = format!("cell-{index}");
    let unit = if cell.json { words().data.edit_json } else { "" };
    let lines = cell.text.chars().filter(|c| *c == '\n').count() + cell.text.chars().count() / 60 + 1;
    let rows = u32::try_from(lines.clamp(2, 9)).unwrap_or(2);
    view! {
        <Field id=id.clone() label=cell.column unit>
            <SafeTextarea id value=text rows/>
        </Field>
    }
    .into_any()
}
