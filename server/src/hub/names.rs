//! Names that come from outside: repositories, revisions, and paths of files. What is not plainly harmless is
//! refused with a reason, before it becomes part of an address or of a path.

use contract::Code;
use contract::Problem;
use contract::dataset::FileKind;
use contract::files;
use contract::hub::{HubKind, Refusal};

/// Accepts `name` or `owner/name`: letters, digits, `-`, `_` and `.`, no leading dot, no `..`.
///
/// # Errors
/// `hub.bad_name`.
pub fn repo(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    let part = |part: &str| {
        let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        (1..=96).contains(&part.len()) && plain && !part.starts_with('.') && !part.contains("..")
    };
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() <= 2 && parts.iter().all(|p| part(p)) {
        return Ok(text);
    }
    Err(Problem::new(Code::HubBadName, "This is not the name of a repository.")
        .field("repo")
        .hint("Names look like owner/name, for example HuggingFaceTB/SmolLM2-135M-Instruct."))
}

/// Accepts a branch, tag or commit; empty means `main`.
///
/// # Errors
/// `hub.bad_revision`.
pub fn revision(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Ok("main");
    }
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'));
    let safe = text.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains(".."));
    if plain && safe && text.len() <= 120 {
        return Ok(text);
    }
    Err(Problem::new(Code::HubBadRevision, "This is not a branch, tag or commit.")
        .field("revision")
        .hint("For example: main."))
}

/// Whether a path of a repository stays in its folder on every system.
fn stays(path: &str) -> bool {
    let part = |part: &str| {
        let device = part.split('.').next().unwrap_or_default().to_ascii_uppercase();
        !part.is_empty()
            && part.len() <= 200
            && !part.starts_with('.')
            && !part.ends_with(['.', ' '])
            && !matches!(device.as_str(), "CON" | "NUL" | "AUX" | "PRN")
            && part.bytes().all(|b| {
                b.is_ascii_alphanumeric()
                    || matches!(b, b'-' | b'_' | b'.' | b'+' | b'=' | b' ' | b'(' | b')')
            })
    };
    path.len() <= 400 && path.split('/').all(part)
}

/// Why a file is not fetched; `None` when it is welcome.
pub fn refused(kind: HubKind, path: &str) -> Option<Refusal> {
    let lower = path.to_ascii_lowercase();
    let ends = |all: &[&str]| all.iter().any(|end| lower.ends_with(end));
    if files::is_program(path) {
        return Some(Refusal::Script);
    }
    if files::is_pickle(path) {
        return Some(Refusal::Pickle);
    }
    if !stays(path) {
        return Some(Refusal::UnsafeName);
    }
    let welcome = match kind {
        HubKind::Model => {
            if path.contains('/') {
                return Some(Refusal::Folder);
            }
            let tokenizer = lower.starts_with("tokenizer") && lower.ends_with(".json");
            let named = matches!(
                lower.as_str(),
                "config.json"
                    | "adapter_config.json"
                    | "generation_config.json"
                    | "tokenizer.model"
                    | "special_tokens_map.json"
                    | "chat_template.jinja"
                    | "readme.md"
                    | "license"
            );
            named || tokenizer || ends(&[".safetensors", ".safetensors.index.json", ".gguf"])
        }
        HubKind::Dataset => FileKind::of_name(path).is_some(),
    };
    (!welcome).then_some(Refusal::NotNeeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_names_of_repositories_and_revisions_cannot_leave_their_place() {
        for bad in [
            "", "..", "a/..", "../a", "a/b/c", "a b/c", "a/b?x", "a/b#x", "a/.git", "%2e%2e/a", "a\\b",
            "ä/b", "/a", "a/",
        ] {
            assert!(repo(bad).is_err(), "{bad:?}");
        }
        for good in ["gpt2", "HuggingFaceTB/SmolLM2-135M-Instruct", "a/b.c_d"] {
            repo(good).expect(good);
        }
        for bad in ["..", "a/../b", "/main", "main?x=1", "a b", "refs//pr"] {
            assert!(revision(bad).is_err(), "{bad:?}");
        }
        assert_eq!(revision(" ").expect("a default"), "main");
        assert_eq!(revision("refs/pr/3").expect("a ref"), "refs/pr/3");
    }

    #[test]
    fn s6_paths_of_files_cannot_leave_the_cache() {
        let bad = [
            "../x.jsonl",
            "a/../../x.jsonl",
            "/etc/x.jsonl",
            "a\\..\\x.jsonl",
            "a\0.jsonl",
            ".hidden.jsonl",
            "a//b.jsonl",
            "C:\\x.jsonl",
            "con.jsonl",
            "x.jsonl ",
            "\u{202e}x.jsonl",
            "..%2fx.jsonl",
            "data/‥/x.jsonl",
        ];
        for path in bad {
            assert!(refused(HubKind::Dataset, path).is_some(), "{path:?}");
        }
        assert!(refused(HubKind::Dataset, &format!("{}.jsonl", "x".repeat(300))).is_some());
        assert_eq!(refused(HubKind::Dataset, "data/train-00000-of-00001.jsonl"), None);
    }

    #[test]
    fn s_072_scripts_and_pickles_are_refused_with_a_reason() {
        for (kind, path, why) in [
            (HubKind::Dataset, "load_data.py", Refusal::Script),
            (HubKind::Model, "modeling_custom.py", Refusal::Script),
            (HubKind::Model, "pytorch_model.bin", Refusal::Pickle),
            (HubKind::Model, "onnx/model.safetensors", Refusal::Folder),
            (HubKind::Model, "training_args.yaml", Refusal::NotNeeded),
        ] {
            assert_eq!(refused(kind, path), Some(why), "{path}");
        }
        for path in [
            "config.json",
            "adapter_config.json",
            "adapter_model.safetensors",
            "tokenizer_config.json",
            "tokenizer.model",
            "model-00001-of-00002.safetensors",
            "model.safetensors.index.json",
            "x.Q4_K_M.gguf",
            "chat_template.jinja",
        ] {
            assert_eq!(refused(HubKind::Model, path), None, "{path}");
        }
    }
}
