//! Icons: paths of Lucide (ISC licence), drawn with the colour of the text around them.

use leptos::prelude::*;

/// An icon by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glyph {
    /// A house.
    Home,
    /// A table.
    Table,
    /// A box.
    Cube,
    /// A rising line.
    Chart,
    /// A speech bubble.
    Chat,
    /// A question mark.
    Help,
    /// Sliders.
    Sliders,
    /// Arrow to the left.
    Left,
    /// Arrow to the right.
    Right,
    /// Arrow up, for sending.
    Up,
}

impl Glyph {
    fn path(self) -> &'static str {
        match self {
            Self::Home => "M3 10.5 12 3l9 7.5V20a1 1 0 0 1-1 1h-5v-7H9v7H4a1 1 0 0 1-1-1z",
            Self::Table => {
                "M4 4h16a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zM3 9.5h18M3 14.5h18M9 9.5V20"
            }
            Self::Cube => "M12 2.8 20.5 7.4v9.2L12 21.2 3.5 16.6V7.4zM3.8 7.5 12 12l8.2-4.5M12 12v9",
            Self::Chart => "M3 3v17a1 1 0 0 0 1 1h17M7 15l4-5 3.5 3L20 6.5",
            Self::Chat => "M21 11.5a8.4 8.4 0 0 1-12.2 7.5L3 21l2-5.8A8.5 8.5 0 1 1 21 11.5z",
            Self::Help => {
                "M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19zM9.2 9a2.9 2.9 0 0 1 5.6 1c0 1.9-2.8 2.5-2.8 4M12 17.3v.1"
            }
            Self::Sliders => "M4 6h10M18 6h2M4 12h3M11 12h9M4 18h8M16 18h4M16 4v4M9 10v4M14 16v4",
            Self::Left => "m15 18-6-6 6-6",
            Self::Right => "m9 18 6-6-6-6",
            Self::Up => "M12 19V5M5.5 11.5 12 5l6.5 6.5",
        }
    }
}

/// An icon; decoration only, the words stand beside it.
#[component]
pub(crate) fn Icon(glyph: Glyph) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">
            <path d=glyph.path()></path>
        </svg>
    }
    .into_any()
}

/// The mark of the product.
#[component]
pub(crate) fn Mark() -> impl IntoView {
    view! {
        <svg class="mark" viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
            <circle cx="12" cy="12" r="10"></circle>
            <path d="M6.4 12.6a5.8 5.8 0 0 1 6-6.2"></path>
        </svg>
    }
    .into_any()
}
