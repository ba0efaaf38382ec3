//! The one `<textarea>` of the product. Its text never passes through markup: Leptos does not escape a
//! textarea's child on the server, so there is none, and the value is set as a property in the browser.

use leptos::html;
use leptos::prelude::*;

use crate::browser::value_of;

/// A text box bound to a signal.
#[component]
pub(crate) fn SafeTextarea(
    /// Id, which its label names.
    #[prop(into)]
    id: String,
    /// The text.
    value: RwSignal<String>,
    /// Rows shown.
    #[prop(default = 3)]
    rows: u32,
    /// What to write, when empty.
    #[prop(optional, into)]
    placeholder: String,
    /// Ids of what describes it.
    #[prop(optional, into)]
    described_by: String,
    /// Keys, for boxes that send.
    #[prop(optional)]
    on_key: Option<Callback<web_sys::KeyboardEvent>>,
    /// The element, for focus.
    #[prop(optional)]
    node: NodeRef<html::Textarea>,
) -> impl IntoView {
    view! {
        <textarea class="input" id=id rows=rows placeholder=placeholder aria-describedby=described_by node_ref=node
            enterkeyhint=on_key.is_some().then_some("send")
            prop:value=move || value.get()
            on:input=move |event| value.set(value_of(&event))
            on:keydown=move |event| {
                if let Some(on_key) = on_key {
                    on_key.run(event);
                }
            }
        ></textarea>
    }
    .into_any()
}
