//! What the model will see of a row: every token, coloured by what it does.

use std::time::Duration;

use contract::Stage;
use contract::dataset::{Preview, PreviewRequest, PreviewToken};
use leptos::prelude::*;

use super::state::Form;
use crate::browser::value_of;
use crate::components::field::Field;
use crate::components::icon::{Glyph, Icon};
use crate::components::part::{Part, settled};
use crate::ports::preview_row;
use crate::words::amounts::num;
use crate::words::{fill, reason_text, words};

/// Pause after the last change before the server is asked.
const CALM: Duration = Duration::from_millis(300);

/// The pane beside the form of a new run.
#[component]
pub(crate) fn PreviewPane(form: Form) -> impl IntoView {
    let (row, which) = (RwSignal::new(1), RwSignal::new(0usize));
    let names = Memo::new(move |_| form.chosen_datasets());
    // A dataset that was taken out of the mix is not shown any more, and another one begins with its first row.
    Effect::new(move |_| {
        if which.get() >= names.with(Vec::len) {
            which.set(0);
        }
    });
    let choose = move |event| {
        which.set(value_of(&event).parse().unwrap_or(0));
        row.set(1);
    };
    let options = move || {
        let option = |(index, (_, name)): (usize, (String, String))| {
            view! { <option value=index.to_string() selected=move || which.get() == index>{name}</option> }
        };
        names.get().into_iter().enumerate().map(option).collect_view()
    };
    let wanted = Callback::new(move |row| form.preview_request(which.get(), row));
    view! {
        <div>
            <Part when=move || { names.with(Vec::len) > 1 }>
                <div class="card pad preview-of">
                    <Field id="preview-dataset" label=words().runs.preview_dataset>
                        <select class="input" id="preview-dataset" on:change=choose>{options}</select>
                    </Field>
                    <Part when=move || form.stage() == Stage::Pt><p class="small">{words().runs.preview_block_of}</p></Part>
                </div>
            </Part>
            <RowPreview wanted row/>
        </div>
    }
    .into_any()
}

/// The pane; `wanted` says what to ask for of a row, reading signals that change it.
#[component]
pub(crate) fn RowPreview(wanted: Callback<u64, Option<PreviewRequest>>, row: RwSignal<u64>) -> impl IntoView {
    let w = &words().runs;
    // In pre-training one goes on by blocks, until something else is asked for.
    let block = RwSignal::new(None::<u64>);
    let of_row = Memo::new(move |_| wanted.run(row.get()));
    Effect::new(move |before: Option<Option<PreviewRequest>>| {
        let now = of_row.get();
        if before.is_some_and(|before| before != now) {
            block.set(None);
        }
        now
    });
    let wanted =
        Memo::new(move |_| of_row.get().map(|request| PreviewRequest { block: block.get(), ..request }));
    let asked = RwSignal::new(wanted.get_untracked());
    let timer = StoredValue::new(None::<TimeoutHandle>);
    Effect::new(move |before: Option<()>| {
        let request = wanted.get();
        if before.is_none() {
            return;
        }
        if let Some(timer) = timer.get_value() {
            timer.clear();
        }
        let later = set_timeout_with_handle(
            move || {
                asked.try_set(request);
            },
            CALM,
        );
        timer.set_value(later.ok());
    });
    let preview = Resource::new(
        move || asked.get(),
        |request: Option<PreviewRequest>| async move {
            match request {
                Some(request) => preview_row(request).await.map(Some),
                None => Ok(None),
            }
        },
    );
    view! {
        <section class="card preview" aria-labelledby="preview">
            {settled(preview, move |preview| match preview {
                Some(preview) => view! { <Shown preview row block/> }.into_any(),
                None => view! { <div class="pad"><h2 id="preview">{w.preview}</h2><p class="small">{w.preview_none}</p></div> }.into_any(),
            })}
        </section>
    }
    .into_any()
}

/// The class of a token; neighbours alternate so that their borders show.
fn class(token: &PreviewToken, index: usize) -> &'static str {
    match (token.cut, token.special, token.learned, index % 2) {
        (true, ..) => "cut",
        (_, true, false, _) => "sp",
        (_, true, true, _) => "sp learned",
        (_, _, true, 0) => "l0",
        (_, _, true, _) => "l1",
        (_, _, false, 0) => "t0",
        _ => "t1",
    }
}

/// A token's text with line ends made visible.
fn visible(text: &str) -> String {
    text.replace('\n', "⏎\n").replace('\t', "⇥")
}

#[component]
fn Shown(preview: Preview, row: RwSignal<u64>, block: RwSignal<Option<u64>>) -> impl IntoView {
    let w = &words().runs;
    let rows = preview.rows;
    let counts = fill(w.preview_counts, &[&num(preview.seen as u64), &num(preview.learned as u64)]);
    let cut = (preview.cut > 0).then(|| format!(", {}", fill(w.preview_cut, &[&num(preview.cut as u64)])));
    let counts = format!("{counts}{}", cut.unwrap_or_default());
    let at = preview.row;
    let (line, first, last) = match &preview.block {
        Some(shown) => {
            let [number, first, last, all] = [shown.number, shown.first_row, shown.last_row, rows].map(num);
            let line = fill(w.preview_block, &[&number, &first, &last, &all, &counts]);
            (line, shown.number <= 1, shown.last)
        }
        None => (fill(w.preview_row, &[&num(at), &num(rows), &counts]), at <= 1, at >= rows),
    };
    let number = preview.block.as_ref().map(|shown| shown.number);
    let turn = move |forward: bool| {
        move |_| match number {
            Some(number) => {
                block.set(Some(if forward { number + 1 } else { number.saturating_sub(1).max(1) }))
            }
            None => {
                block.set(None);
                row.set(if forward { (at + 1).min(rows) } else { at.saturating_sub(1).max(1) });
            }
        }
    };
    let (previous, next) = match number {
        Some(_) => (w.preview_prev_block, w.preview_next_block),
        None => (w.preview_prev, w.preview_next),
    };
    let parts = match (preview.rejected.is_empty(), preview.reference.is_empty()) {
        (false, _) => vec![(w.preview_chosen, preview.tokens), (w.preview_rejected, preview.rejected)],
        (_, false) => vec![(w.preview_prompt, preview.tokens), (w.preview_reference, preview.reference)],
        _ => vec![("", preview.tokens)],
    };
    let parts = parts.into_iter().map(|(name, tokens)| view! { <Sequence name tokens/> }).collect_view();
    view! {
        <div class="pad card-head preview-head">
            <div><h2 id="preview">{w.preview}</h2><p class="small num">{line}</p></div>
            <div class="row">
                <button type="button" class="btn icon-btn" aria-label=previous disabled=first on:click=turn(false)><Icon glyph=Glyph::Left/></button>
                <button type="button" class="btn icon-btn" aria-label=next disabled=last on:click=turn(true)><Icon glyph=Glyph::Right/></button>
            </div>
        </div>
        {preview.left_out.map(|reason| view! { <p class="pad notice warn">{reason_text(words().lang, &reason)}</p> })}
        {parts}
        <div class="pad legend">
            <span><i class="key key-block t1"></i>{w.legend_read}</span>
            <span><i class="key key-block l1"></i>{w.legend_learned}</span>
            <span><i class="key key-block sp"></i>{w.legend_special}</span>
            <span><i class="key key-block cut"></i>{w.legend_cut}</span>
        </div>
    }
    .into_any()
}

/// One sequence of tokens; named where a row has two.
#[component]
fn Sequence(name: &'static str, tokens: Vec<PreviewToken>) -> impl IntoView {
    let label = if name.is_empty() { words().runs.preview } else { name };
    let heading = (!name.is_empty()).then(|| view! { <h3 class="pad sequence">{name}</h3> });
    let spans = tokens
        .iter()
        .enumerate()
        .map(|(index, token)| {
            view! { <span class=class(token, index) title=token.id.to_string()>{visible(&token.text)}</span> }
        })
        .collect_view();
    view! {
        {heading}
        <div class="pad tokens" tabindex="0" role="region" aria-label=label>{spans}</div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_token_is_shown_as_cut_whatever_else_it_is() {
        let token = PreviewToken { id: 1, text: String::new(), special: true, learned: true, cut: true };
        assert_eq!(class(&token, 0), "cut");
        assert_eq!(class(&PreviewToken { cut: false, ..token }, 0), "sp learned");
    }

    #[test]
    fn line_ends_are_visible() {
        assert_eq!(visible("a\nb"), "a⏎\nb");
    }
}
