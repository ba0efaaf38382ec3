//! The few things pages ask of the browser itself. Called from effects and event handlers only, which the
//! server never runs.

pub(crate) mod cookies;
pub(crate) mod engine;
mod handles;
mod kept;
mod request;
pub(crate) mod sets;
pub(crate) mod socket;
#[cfg(feature = "hydrate")]
pub(crate) mod stopped;
pub(crate) mod upload;

use wasm_bindgen::JsCast;
use web_sys::{HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement};

/// What stands in the control an event came from.
pub(crate) fn value_of(event: &web_sys::Event) -> String {
    let Some(target) = event.target() else { return String::new() };
    if let Some(input) = target.dyn_ref::<HtmlInputElement>() {
        return input.value();
    }
    if let Some(select) = target.dyn_ref::<HtmlSelectElement>() {
        return select.value();
    }
    target.dyn_ref::<HtmlTextAreaElement>().map(HtmlTextAreaElement::value).unwrap_or_default()
}

/// Whether the checkbox an event came from is ticked.
pub(crate) fn checked_of(event: &web_sys::Event) -> bool {
    let target = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
    target.is_some_and(|input| input.checked())
}

/// Files chosen in the input an event came from.
pub(crate) fn files_of(event: &web_sys::Event) -> Vec<web_sys::File> {
    let target = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
    target.and_then(|input| input.files()).map(|list| files_in(&list)).unwrap_or_default()
}

/// A file list as a vector.
pub(crate) fn files_in(list: &web_sys::FileList) -> Vec<web_sys::File> {
    (0..list.length()).filter_map(|index| list.get(index)).collect()
}

/// Goes to another page as a plain link would.
pub(crate) fn reload() {
    if let Some(window) = web_sys::window() {
        let _ = window.location().reload();
    }
}

/// Percent-encodes a value for a query string.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A random identifier for an upload: 32 hex digits with dashes, as the server expects a UUID.
pub(crate) fn uuid() -> String {
    let digits: String = (0..32)
        .map(|_| char::from_digit((js_sys::Math::random() * 16.0) as u32, 16).unwrap_or('0'))
        .collect();
    format!("{}-{}-4{}-a{}-{}", &digits[..8], &digits[8..12], &digits[13..16], &digits[17..20], &digits[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_survives_a_query_string() {
        assert_eq!(encode("Who is Ember & 壶?"), "Who%20is%20Ember%20%26%20%E5%A3%B6%3F");
    }
}
