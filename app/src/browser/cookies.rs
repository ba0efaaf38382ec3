//! The two cookies of this browser: theme and language.

use crate::words::Lang;

/// Name of the theme cookie: `light` or `dark`; absent: as the system.
pub(crate) const THEME: &str = "burnish_theme";
/// Name of the language cookie: `en` or `zh`.
pub(crate) const LANG: &str = "burnish_lang";

/// What a page must know before its first byte is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefs {
    /// `light`, `dark` or `system`.
    pub(crate) theme: &'static str,
    /// Language.
    pub(crate) lang: Lang,
}

/// A theme as the attribute on `<html>` knows it.
pub(crate) fn theme(text: &str) -> &'static str {
    match text {
        "light" => "light",
        "dark" => "dark",
        _ => "system",
    }
}

/// One cookie out of a `Cookie` header.
#[cfg(any(feature = "ssr", test))]
pub(crate) fn find<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|p| p.1)
}

/// Reads the preferences of the request (server) or of the document (browser).
#[cfg(feature = "ssr")]
pub(crate) fn prefs() -> Prefs {
    let parts = leptos::prelude::use_context::<http::request::Parts>();
    let header = |name: http::HeaderName| {
        parts.as_ref().and_then(|p| p.headers.get(name)).and_then(|v| v.to_str().ok()).unwrap_or_default()
    };
    let cookies = header(http::header::COOKIE);
    let lang = find(cookies, LANG).and_then(Lang::read);
    Prefs {
        theme: theme(find(cookies, THEME).unwrap_or_default()),
        lang: lang.or_else(|| Lang::read(header(http::header::ACCEPT_LANGUAGE))).unwrap_or(Lang::En),
    }
}

/// Reads the preferences of the request (server) or of the document (browser).
#[cfg(not(feature = "ssr"))]
pub(crate) fn prefs() -> Prefs {
    let root = web_sys::window().and_then(|w| w.document()).and_then(|d| d.document_element());
    let read = |name: &str| root.as_ref().and_then(|root| root.get_attribute(name)).unwrap_or_default();
    Prefs { theme: theme(&read("data-theme")), lang: Lang::read(&read("lang")).unwrap_or(Lang::En) }
}

/// Keeps a preference for a year.
pub(crate) fn keep(name: &str, value: &str) {
    use wasm_bindgen::JsCast;
    let document = web_sys::window().and_then(|window| window.document());
    let document = document.and_then(|document| document.dyn_into::<web_sys::HtmlDocument>().ok());
    if let Some(document) = document {
        let _ = document.set_cookie(&format!("{name}={value}; path=/; max-age=31536000; samesite=lax"));
    }
}

/// Shows a theme at once.
pub(crate) fn show_theme(theme: &str) {
    let root = web_sys::window().and_then(|window| window.document()).and_then(|d| d.document_element());
    if let Some(root) = root {
        let _ = root.set_attribute("data-theme", theme);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let header = "a=1; burnish_theme=dark;burnish_lang=zh";
        assert_eq!(find(header, THEME), Some("dark"));
        assert_eq!(find(header, LANG), Some("zh"));
        assert_eq!(find(header, "theme"), None);
    }

    #[test]
    fn a_strange_theme_is_the_systems() {
        assert_eq!(theme("\"><script>"), "system");
    }
}
