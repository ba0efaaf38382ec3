//! No such page.

use leptos::prelude::*;

use super::Head;
use crate::words::words;

/// No such page.
#[component]
pub(crate) fn Missing() -> impl IntoView {
    let w = &words().studio;
    if let Some(missing) = use_context::<crate::ports::Missing>() {
        (missing.0)();
    }
    view! {
        <Head title=w.missing_title text=w.missing_text/>
        <p><a class="btn" href="/">{w.missing_back}</a></p>
    }
    .into_any()
}
