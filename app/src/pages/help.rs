//! The manual, from `app/help/*.md`.

use leptos::prelude::*;

use super::Head;
use crate::words::{Lang, words};

const EN: &str = include_str!("../../help/en.md");
const ZH: &str = include_str!("../../help/zh.md");

/// A block of the manual: the little Markdown it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Block {
    Heading(String),
    Text(String),
    List(Vec<String>),
}

/// Reads headings (`## `), lists (`- `) and paragraphs.
fn blocks(text: &str) -> Vec<Block> {
    text.split("\n\n")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            if let Some(heading) = part.strip_prefix("## ") {
                return Block::Heading(heading.to_owned());
            }
            if part.starts_with("- ") {
                return Block::List(part.lines().map(|l| l.trim_start_matches("- ").to_owned()).collect());
            }
            Block::Text(part.replace('\n', " "))
        })
        .collect()
}

/// The manual.
#[component]
pub(crate) fn Help() -> impl IntoView {
    let w = words();
    let text = match w.lang {
        Lang::En => EN,
        Lang::Zh => ZH,
    };
    let body = blocks(text)
        .into_iter()
        .map(|block| match block {
            Block::Heading(text) => view! { <h2>{text}</h2> }.into_any(),
            Block::Text(text) => view! { <p>{text}</p> }.into_any(),
            Block::List(items) => {
                let items = items.into_iter().map(|item| view! { <li>{item}</li> }).collect_view();
                view! { <ul>{items}</ul> }.into_any()
            }
        })
        .collect_view();
    view! {
        <Head title=w.help.title text=w.help.text/>
        <article class="manual">{body}</article>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_manuals_have_the_same_chapters() {
        let shape = |text| {
            let count = |want: fn(&Block) -> bool| blocks(text).iter().filter(|b| want(b)).count();
            (count(|b| matches!(b, Block::Heading(_))), count(|b| matches!(b, Block::List(_))))
        };
        assert_eq!(shape(EN), shape(ZH));
        assert!(shape(EN).0 >= 5);
    }

    #[test]
    fn no_markup_is_left_in_the_text() {
        for text in [EN, ZH] {
            assert!(!text.contains("**") && !text.contains("](") && !text.contains('`'));
        }
    }
}
