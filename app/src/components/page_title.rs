//! The one `<title>` of the product. On the server leptos_meta puts its text into the document as it is, so it is escaped
//! here; in the browser the same text is set as a property, where nothing reads it as markup.

use leptos::prelude::*;
use leptos_meta::Title;

/// The title of the window.
#[component]
pub(crate) fn PageTitle(
    /// What it says, people's words among it.
    #[prop(into)]
    text: String,
) -> impl IntoView {
    let text = if cfg!(feature = "ssr") { escaped(&text) } else { text };
    view! { <Title text/> }.into_any()
}

/// Text that a browser reads back as it was; within `<title>` only these two mean anything else.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_title_and_entities_stay_what_was_typed() {
        assert_eq!(escaped("</title><b>&amp;"), "&lt;/title>&lt;b>&amp;amp;");
        assert_eq!(escaped("Kettle > 2 \"q\""), "Kettle > 2 \"q\"");
    }
}
