//! What the server lays ready for a page that stops: the words of the bar, and the script that shows it without any of
//! the app's own code (`public/stopped.js`).

use leptos::nonce::use_nonce;
use leptos::prelude::*;

use crate::words::{Lang, of};

/// Goes into the document's head.
#[component]
pub(crate) fn Stopped(
    /// Language of the page.
    lang: Lang,
    /// Address of the script.
    script: String,
) -> impl IntoView {
    let w = &of(lang).studio;
    view! {
        <template id="stopped">
            <div class="stopped" role="alert">
                <p>{w.stopped}</p>
                <button type="button" class="btn primary">{w.stopped_reload}</button>
            </div>
        </template>
        <script src=script nonce=use_nonce() defer></script>
    }
    .into_any()
}
