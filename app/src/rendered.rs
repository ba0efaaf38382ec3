//! Pages drawn as the server draws them, over ports that answer from memory.

#![expect(clippy::expect_used, reason = "a broken set-up is to fail the test where it breaks")]

mod fake;

use std::sync::Arc;

use futures::StreamExt;
use leptos::prelude::*;
use leptos_router::location::RequestUrl;

use crate::ports::Ports;

/// The whole document of a path, for a browser with these cookies.
async fn page(path: &str, cookies: &str, ports: Ports) -> String {
    let _ = any_spawner::Executor::init_tokio();
    let owner = Owner::new_root(Some(Arc::new(hydration_context::SsrSharedContext::new())));
    let stream = owner.with(|| {
        let request =
            http::Request::builder().uri(path).header("cookie", cookies).body(()).expect("a request");
        provide_context(request.into_parts().0);
        provide_context(RequestUrl::new(path));
        provide_context(ports);
        let options = LeptosOptions::builder().output_name("burnish").build();
        crate::shell(options, "0".to_owned()).into_view().to_html_stream_in_order()
    });
    let html = stream.collect::<String>().await;
    // Kept to look at, when asked for.
    if let Ok(folder) = std::env::var("BURNISH_PAGES") {
        let name = format!(
            "{}{}.html",
            path.replace(['/', '?', '&', '='], "_"),
            cookies.replace(['=', ';', ' '], "")
        );
        std::fs::write(std::path::Path::new(&folder).join(name), &html).expect("a folder to write to");
    }
    html
}

const PATHS: &[&str] = &[
    "/",
    "/datasets",
    "/datasets/d1",
    "/datasets/d1?row=2",
    "/datasets/d1/health",
    "/templates",
    "/models",
    "/runs",
    "/runs/new",
    "/runs/r1",
    "/runs/r1/page",
    "/playground",
    "/settings",
    "/help",
    "/nowhere",
];

#[tokio::test]
async fn every_page_is_whole_before_any_script_in_both_languages() {
    for path in PATHS {
        for (cookies, lang) in [("burnish_lang=en; burnish_theme=dark", "en"), ("burnish_lang=zh", "zh-CN")] {
            let html = page(path, cookies, fake::ports()).await;
            assert!(html.contains(&format!("lang=\"{lang}\"")), "{path} {lang}");
            assert_eq!(html.matches("<h1").count(), 1, "{path}: one heading");
            assert!(!html.contains(" style=\""), "{path}: no inline style, the policy forbids it");
            assert!(!html.contains("class=\"waiting"), "{path}: nothing is left loading");
            assert!(!html.contains("on : click"), "{path}: no code leaks into the page");
        }
    }
}

#[tokio::test]
async fn the_theme_of_the_cookie_is_in_the_first_byte() {
    assert!(page("/help", "burnish_theme=dark", fake::ports()).await.contains("data-theme=\"dark\""));
    assert!(page("/help", "", fake::ports()).await.contains("data-theme=\"system\""));
}

#[tokio::test]
async fn a_run_is_drawn_with_its_curve_and_its_sentence() {
    let html = page("/runs/r1", "", fake::ports()).await;
    assert!(html.contains("Learning. Step 48 of 80, about 2 minutes left."), "the sentence");
    assert!(html.contains(" d=\"M44.0"), "the curves, from the first eval at the left edge on");
    assert!(html.contains("href=\"/playground?run=r1\""), "the way to ask it");
}

#[tokio::test]
async fn a_run_lists_the_checkpoints_that_are_there_and_the_answer_kept_from_before() {
    let html = page("/runs/r1", "", fake::ports()).await;
    let steps: Vec<&str> =
        html.split("&amp;step=").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(steps, ["40", "20"], "what the server found, however many events tell of");
    assert_eq!(html.matches("chip ok").count(), 1, "one of them is the best");
    assert!(html.contains("A fox, &lt;b&gt;perhaps&lt;/b&gt;."), "the kept answer, before any script");
    let html = page("/runs/r1/page", "", fake::ports()).await;
    assert!(
        html.contains("for%2040%20steps"),
        "what is handed over is the checkpoint that stands for the run"
    );
}

#[tokio::test]
async fn a_run_on_answers_is_asked_greedily_and_the_page_says_so() {
    let html = page("/playground", "", fake::ports()).await;
    assert!(html.contains("Greedy · 256 tokens"), "the line of settings");
    assert!(html.contains("step 40 · Best"), "the picker");
    let html = page("/playground?run=r1&step=7", "", fake::ports()).await;
    assert!(
        html.contains("notice warn") && !html.contains("step 7"),
        "a checkpoint that is gone is not made up"
    );
}

#[tokio::test]
async fn s_107_what_learns_stands_in_the_form_before_launch() {
    let html = page("/runs/new", "", fake::ports()).await;
    // Rank 8 on one linear layer of each of 30 blocks.
    assert!(html.contains("506,880 of 135,021,888 weights learn: 0.3754%."), "the share");
    assert!(html.contains("mlp.up_proj"), "the table");
    assert!(html.contains("looking at the rows"), "time and memory follow in the browser");
}

#[tokio::test]
async fn an_empty_studio_says_the_next_step() {
    let none = fake::empty();
    assert!(page("/runs", "", none.clone()).await.contains("Nothing has been trained yet"));
    assert!(page("/datasets", "", none.clone()).await.contains("No dataset yet"));
    assert!(page("/runs/new", "", none.clone()).await.contains("A run needs a model"));
    assert!(page("/playground", "", none).await.contains("no one to talk to"));
}

#[tokio::test]
async fn words_of_a_row_never_become_markup() {
    for path in ["/datasets/d1", "/datasets/d1/health", "/templates", "/runs/new"] {
        let html = page(path, "", fake::ports()).await;
        assert!(
            html.contains("&lt;script&gt;") && !html.contains("<script>alert"),
            "{path}: the row is text"
        );
    }
}
