//! What people see: a Leptos page, rendered on the server and hydrated in the browser.

pub mod ports;
