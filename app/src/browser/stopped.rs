//! Tells the page's own scripts (`public/early.js`, `public/stopped.js`) when the app has taken over and when it has
//! panicked. After a panic nothing of the app can be trusted any more, so the bar is that script's work.

/// Panics go to the console and to the script.
pub(crate) fn watch() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        tell("burnish:stopped");
    }));
}

/// The page answers to its controls from now on.
pub(crate) fn hydrated() {
    tell("burnish:hydrated");
}

fn tell(event: &str) {
    if let (Some(window), Ok(event)) = (web_sys::window(), web_sys::Event::new(event)) {
        let _ = window.dispatch_event(&event);
    }
}
