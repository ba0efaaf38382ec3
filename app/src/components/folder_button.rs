//! A button that chooses a folder with all its files.

use leptos::prelude::*;
use leptos::tachys::html::attribute::custom::custom_attribute;

use crate::browser::files_of;
use crate::words::words;

/// The button; `choose` gets the files.
#[component]
pub(crate) fn FolderButton(
    /// Name of the control.
    name: &'static str,
    choose: impl Fn(Vec<web_sys::File>) + 'static,
) -> impl IntoView {
    view! {
        <label class="btn file-button">
            <span>{words().data.choose_folder}</span>
            <input type="file" name=name multiple on:change=move |event| choose(files_of(&event)) {..custom_attribute("webkitdirectory", "")}/>
        </label>
    }
    .into_any()
}
