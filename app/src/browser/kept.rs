//! Short texts that the browser keeps for this studio. One that keeps nothing costs convenience only.

use web_sys::Storage;

fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok()?
}

/// The text under a name.
pub(crate) fn get(name: &str) -> Option<String> {
    storage()?.get_item(name).ok()?
}

/// Keeps a text.
pub(crate) fn put(name: &str, text: &str) {
    if let Some(storage) = storage() {
        // full or forbidden
        let _ = storage.set_item(name, text);
    }
}

/// Forgets a text.
pub(crate) fn remove(name: &str) {
    if let Some(storage) = storage() {
        let _ = storage.remove_item(name);
    }
}
