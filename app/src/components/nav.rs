//! The frame: navigation at the left, at the bottom on phones.

use leptos::prelude::*;
use leptos_router::components::A;

use super::icon::{Glyph, Icon, Mark};
use super::meter::MachineMeter;
use crate::words::words;

/// The navigation.
#[component]
pub(crate) fn Nav() -> impl IntoView {
    let w = &words().studio;
    let entry = |href: &'static str, glyph, name: &'static str| {
        view! { <A href=href exact=href == "/"><Icon glyph/><span>{name}</span></A> }
    };
    view! {
        <header class="side">
            <a class="brand" href="/"><Mark/>{w.product}</a>
            <nav class="main-nav" aria-label=w.nav_label>
                {entry("/", Glyph::Home, w.nav_start)}
                {entry("/datasets", Glyph::Table, w.nav_datasets)}
                {entry("/models", Glyph::Cube, w.nav_models)}
                {entry("/runs", Glyph::Chart, w.nav_runs)}
                {entry("/playground", Glyph::Chat, w.nav_play)}
            </nav>
            <div class="foot">
                <div class="foot-links">
                    {entry("/help", Glyph::Help, w.nav_help)}
                    {entry("/settings", Glyph::Sliders, w.nav_settings)}
                </div>
                <MachineMeter/>
            </div>
        </header>
    }
    .into_any()
}
