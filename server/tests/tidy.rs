//! The shape of the house: what lies at the top, who may import whom, how large a file may grow.

#![expect(clippy::expect_used, reason = "a broken set-up is to fail the test where it breaks")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the server lies under the root").to_owned()
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root()).output().expect(program);
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn cargo(args: &[&str]) -> String {
    output(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()), args)
}

/// Paths of every file of the repository.
fn files() -> Vec<String> {
    output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Rules of the original's inventory that bind data and trainer: first and last of each run of numbers.
const RULES: [(u16, u16); 14] = [
    (1, 6),
    (10, 43),
    (50, 68),
    (70, 80),
    (90, 107),
    (110, 113),
    (120, 126),
    (130, 132),
    (140, 147),
    (150, 155),
    (160, 170),
    (180, 195),
    (200, 216),
    (220, 223),
];

/// Names of the tests in a source text.
fn tests_of(text: &str) -> Vec<&str> {
    let (mut names, mut is_test) = (Vec::new(), false);
    for line in text.lines().map(str::trim_start) {
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(function) = function {
            names.extend(function.split('(').next().filter(|_| is_test));
            is_test = false;
        }
    }
    names
}

/// Rules a test is named after: `s_024_s_025_…`, or `s_150_to_s_153_…` for all between.
fn rules_of(name: &str) -> BTreeSet<u16> {
    let parts: Vec<&str> = name.split('_').collect();
    let (mut rules, mut last) = (BTreeSet::new(), None);
    for (at, pair) in parts.windows(2).enumerate() {
        let number = pair[1].parse::<u16>().ok().filter(|_| pair[0] == "s" && pair[1].len() == 3);
        if let Some(number) = number {
            let from = last.filter(|_| at > 0 && parts[at - 1] == "to").unwrap_or(number);
            rules.extend(from..=number);
            last = Some(number);
        }
    }
    rules
}

/// Rules a line of the README's table names in its first column.
fn rules_of_line(line: &str) -> Vec<u16> {
    let first = line.strip_prefix('|').and_then(|rest| rest.split('|').next()).unwrap_or_default();
    first.split("S-").skip(1).filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
}

#[test]
fn every_rule_has_a_test_named_after_it_or_a_line_in_the_readme() {
    assert_eq!(rules_of("reference_s_001_s_150_to_s_152_x"), BTreeSet::from([1, 150, 151, 152]));
    let mut met: BTreeSet<u16> = BTreeSet::new();
    for path in files().iter().filter(|path| path.ends_with(".rs")) {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        met.extend(tests_of(&text).into_iter().flat_map(rules_of));
    }
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README");
    met.extend(readme.lines().flat_map(rules_of_line));
    let missing: Vec<String> = RULES
        .into_iter()
        .flat_map(|(first, last)| first..=last)
        .filter(|rule| !met.contains(rule))
        .map(|rule| format!("S-{rule:03}"))
        .collect();
    assert!(missing.is_empty(), "neither a test s_nnn_… nor a line in README.md: {}", missing.join(", "));
}

#[test]
fn the_top_level_holds_the_agreed_folders_and_files_only() {
    let folders: BTreeSet<String> = files()
        .iter()
        .filter_map(|path| path.split_once('/'))
        .map(|(top, _)| top.to_owned())
        .filter(|top| !top.starts_with('.'))
        .collect();
    let agreed = ["app", "end2end", "migrations", "public", "server", "style"].map(str::to_owned);
    assert_eq!(folders, BTreeSet::from(agreed));
}

#[test]
fn crates_import_only_those_below_them() {
    let metadata: serde_json::Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]))
            .expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |package: &serde_json::Value| package["name"].as_str().unwrap_or_default().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let allowed = BTreeMap::from([
        ("contract", vec![]),
        ("app", vec!["contract"]),
        ("rundir", vec!["contract"]),
        ("corpus", vec!["contract"]),
        ("model", vec!["contract"]),
        ("reader", vec!["contract", "corpus"]),
        ("worker", vec!["contract", "corpus", "model", "reader", "rundir", "speech"]),
        // Not corpus: what people brought is read in another process. Its tests may.
        ("server", vec!["app", "contract", "rundir"]),
        ("speech", vec!["contract", "corpus", "model"]),
        ("engine", vec!["contract", "corpus", "model", "speech"]),
    ]);
    for package in packages {
        let package_name = name(package);
        let may = allowed.get(package_name.as_str()).expect("a crate of the plan");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let dependency_name = name(dependency);
            let of_tests = dependency["kind"] == "dev";
            if ours.contains(&dependency_name) && !of_tests {
                assert!(
                    may.contains(&dependency_name.as_str()),
                    "{package_name} may not import {dependency_name}"
                );
            }
            let only = |prefix: &str, who: &[&str]| {
                let held = !dependency_name.starts_with(prefix) || who.contains(&package_name.as_str());
                assert!(held, "{package_name} may not import {dependency_name}");
            };
            only("burn", &["model"]);
            only("sqlx", &["server"]);
            only("axum", &["server"]);
        }
    }
}

#[test]
fn nothing_under_the_server_package_links_burn_and_the_contract_stays_small() {
    let tree =
        |package: &str| cargo(&["tree", "--offline", "-e", "normal", "--prefix", "none", "-p", package]);
    assert!(tree("server").lines().all(|line| !line.starts_with("burn")), "burn in the server");
    let contract = tree("contract");
    assert!(!contract.contains("tokio") && !contract.contains("leptos"));
}

#[test]
fn no_source_file_grows_beyond_six_hundred_lines_and_no_lint_is_waved_through() {
    for path in files().iter().filter(|path| path.ends_with(".rs")) {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        let tests = path.contains("/tests/") || path.ends_with("/tests.rs");
        assert!(tests || text.lines().count() <= 600, "{path} has {} lines", text.lines().count());
        let waved = text.lines().any(|line| line.trim_start().starts_with(concat!("#[", "allow(")));
        assert!(!waved, "{path}: #[expect(…, reason)] instead of allow");
    }
}

#[test]
fn what_comes_and_goes_on_a_page_is_made_in_one_place() {
    let bare = ["<Show ", "<Show>", "<Suspense", "<Transition", "Suspend::new"];
    let pages = files().into_iter().filter(|path| path.starts_with("app/src/") && path.ends_with(".rs"));
    for path in pages.filter(|path| path != "app/src/components/part.rs") {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let found: Vec<&str> = code.filter(|line| bare.iter().any(|name| line.contains(name))).collect();
        assert!(
            found.is_empty(),
            "{path}: Part, part, loaded or settled of components/part.rs instead of {found:?}"
        );
    }
}

/// What reads a text as markup, as code or as style, and the files where it may stand because no text of people comes
/// there, or only escaped.
const UNESCAPED: [(&str, &[&str]); 17] = [
    ("leptos_meta", &["app/src/lib.rs", "app/src/components/page_title.rs"]),
    ("<textarea", &["app/src/components/safe_textarea.rs"]),
    (
        "<script",
        &[
            "app/src/lib.rs",
            "app/src/components/stopped.rs",
            "app/src/browser/cookies.rs",
            "public/takeaway/index.html",
        ],
    ),
    ("<noscript", &["app/src/lib.rs"]),
    ("<style", &[]),
    ("<iframe", &[]),
    (" style=", &[]),
    ("style:", &[]),
    ("inner_html", &[]),
    ("InertElement", &[]),
    ("insert_adjacent_html", &[]),
    ("srcdoc", &[]),
    ("innerHTML", &[]),
    ("outerHTML", &[]),
    ("insertAdjacentHTML", &[]),
    ("document.write", &[]),
    ("javascript:", &[]),
];

#[test]
fn text_of_people_reaches_a_page_as_text_only() {
    let browsers = |path: &String| {
        let tests = path.starts_with("app/src/rendered");
        let side = path.starts_with("app/src/")
            || path.starts_with("app/engine/src/")
            || path.starts_with("public/");
        side && !tests && [".rs", ".js", ".html"].iter().any(|end| path.ends_with(end))
    };
    for path in files().into_iter().filter(browsers) {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (way, may) in UNESCAPED {
                assert!(!line.contains(way) || may.contains(&path.as_str()), "{path}: {way} in {line}");
            }
        }
    }
}

/// Words in backticks that could be the name of a test.
fn names_in(text: &str) -> BTreeSet<String> {
    let is_name = |word: &&str| {
        word.len() > 8
            && word.contains('_')
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    text.split('`').skip(1).step_by(2).filter(is_name).map(str::to_owned).collect()
}

#[test]
fn every_test_that_the_promises_name_is_there() {
    let text = std::fs::read_to_string(root().join("server/docs/promises.md")).expect("read");
    let sources = files().into_iter().filter(|path| path.ends_with(".rs"));
    let sources: Vec<_> =
        sources.filter_map(|path| std::fs::read_to_string(root().join(path)).ok()).collect();
    let named = names_in(&text);
    assert!(named.len() > 40, "{named:?}");
    for name in named.iter().filter(|name| *name != "leptos_meta") {
        let function = format!("fn {name}(");
        assert!(sources.iter().any(|source| source.contains(&function)), "{name}");
    }
}
