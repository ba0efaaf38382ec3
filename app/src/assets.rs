//! The files that come with the pages: their addresses name the build they belong to, so that browsers keep them for
//! good and two builds never meet in one page.

/// Before the name of a build in the address of its files.
pub const PREFIX: &str = "/build/";
/// The header in which every answer names the build, and in which a page says which one it came with.
pub const HEADER: &str = "burnish-build";

/// Address of a build's file; `path` has no slash before it.
pub fn address(build: &str, path: &str) -> String {
    format!("{PREFIX}{build}/{path}")
}

/// The build this page came with, as its document says.
pub(crate) fn build() -> String {
    let root = web_sys::window().and_then(|window| window.document()).and_then(|d| d.document_element());
    root.and_then(|root| root.get_attribute("data-build")).unwrap_or_default()
}
