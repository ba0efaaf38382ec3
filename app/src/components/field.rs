//! Label, control, help and error of one field, tied together for screen readers.

use leptos::prelude::*;

/// The ids a control names in `aria-describedby`.
pub(crate) fn described_by(id: &str) -> String {
    format!("{id}-help {id}-error")
}

/// A field around its control (the child), whose `id` must be the field's.
#[component]
pub(crate) fn Field(
    /// Id of the control.
    #[prop(into)]
    id: String,
    /// Label.
    #[prop(into)]
    label: String,
    /// Small print beside the label: a unit, "optional".
    #[prop(optional, into)]
    unit: String,
    /// One sentence below.
    #[prop(optional, into)]
    help: String,
    /// What is wrong, if something is.
    #[prop(optional, into)]
    error: MaybeProp<String>,
    children: Children,
) -> impl IntoView {
    let unit = (!unit.is_empty()).then(|| view! { <span class="tiny">{unit}</span> });
    let help_id = format!("{id}-help");
    let error_id = format!("{id}-error");
    view! {
        <div class="field" class:wrong=move || error.get().is_some()>
            <label for=id>{label}" "{unit}</label>
            {children()}
            <p class="error" id=error_id role="status">{move || error.get().unwrap_or_default()}</p>
            <p class="small" id=help_id>{help}</p>
        </div>
    }
    .into_any()
}
