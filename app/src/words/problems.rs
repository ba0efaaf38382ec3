//! Problems in the reader's language. The server writes English; the code of a problem finds its Chinese sentence.

use contract::Problem;
use contract::param::Kind;
use contract::params::param;

use super::Lang;

mod chinese;

/// A problem as one text: what, where, what to do.
pub(crate) fn problem_text(lang: Lang, problem: &Problem) -> String {
    match lang {
        Lang::En => problem.to_string(),
        Lang::Zh => chinese(problem).unwrap_or_else(|| placed(problem)),
    }
}

/// A problem below its own field: the field's key is not repeated.
pub(crate) fn field_text(lang: Lang, problem: &Problem) -> String {
    let own = match lang {
        Lang::En => None,
        Lang::Zh => chinese(problem),
    };
    own.unwrap_or_else(|| match &problem.hint {
        Some(hint) => format!("{} {hint}", problem.message),
        None => problem.message.clone(),
    })
}

fn chinese(problem: &Problem) -> Option<String> {
    let key = problem.form_key();
    let declared = key.and_then(param);
    let label = declared.map_or_else(|| field_label(key.unwrap_or_default()), |p| p.label.zh);
    let said = match problem.code.as_str() {
        "form.not_a_number" => match declared.map(|p| p.kind) {
            Some(Kind::Int { .. }) => format!("{label}要填整数。"),
            _ => format!("{label}要填数字。"),
        },
        "form.out_of_range" => match declared.map(|p| p.kind) {
            Some(Kind::Int { min, max }) => format!("{label}应在 {min} 和 {max} 之间。"),
            Some(Kind::Float { min, max }) => format!("{label}应在 {min} 和 {max} 之间。"),
            _ => return None,
        },
        "form.unknown_choice" | "form.missing" => format!("请选择{label}。"),
        "form.empty" => format!("{label}至少选一项。"),
        "form.too_long" => format!("{label}最多 120 个字。"),
        code => with_details(chinese::sentence(code)?, problem),
    };
    Some(said)
}

fn field_label(key: &str) -> &'static str {
    match key {
        "name" => "名称",
        "dataset" => "数据集",
        "model" => "模型",
        "stage" => "目标",
        "tuning" => "学习方式",
        "template" => "模板",
        _ => "",
    }
}

/// A Chinese sentence, the server's own words where it asks for them, and the place.
fn with_details(sentence: &str, problem: &Problem) -> String {
    match sentence.strip_suffix('：') {
        Some(start) => format!("{start}：{}{}", problem.message.trim_end_matches('.'), place(problem)),
        None => format!("{sentence}{}", place(problem)),
    }
}

/// The server's own words with the place in Chinese.
fn placed(problem: &Problem) -> String {
    let hint = problem.hint.as_ref().map(|hint| format!(" {hint}")).unwrap_or_default();
    format!("{}{}{hint}", problem.message, place(problem))
}

fn place(problem: &Problem) -> String {
    let mut parts = Vec::new();
    if let Some(place) = &problem.place {
        parts.extend(place.file.clone());
        parts.extend(place.row.map(|row| format!("第 {row} 行")));
        parts.extend(place.field.as_ref().map(|field| format!("字段 {field}")));
        parts.extend(place.byte.map(|byte| format!("第 {byte} 字节")));
    }
    if parts.is_empty() { String::new() } else { format!("({})", parts.join(",")) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_number_out_of_range_names_the_field_in_the_readers_language() {
        let problem = param("learning_rate").and_then(|p| p.check("7").err()).expect("out of range");
        assert!(problem_text(Lang::En, &problem).contains("Learning rate"));
        assert!(problem_text(Lang::Zh, &problem).contains("学习率"));
    }

    #[test]
    fn a_place_in_a_file_is_kept_in_chinese() {
        let problem = Problem::new("dataset.json_broken", "Not JSON.").row(3).byte(120);
        assert_eq!(problem_text(Lang::Zh, &problem), "不是有效的 JSON：Not JSON(第 3 行,第 120 字节)");
        let problem = Problem::new("dataset.empty", "The file holds no rows.");
        assert_eq!(problem_text(Lang::Zh, &problem), "文件里一行数据也没有。");
    }

    #[test]
    fn every_kind_of_problem_has_a_chinese_sentence() {
        let mut codes = std::collections::BTreeSet::new();
        for folder in ["../server", "../app"] {
            collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut codes);
        }
        assert!(codes.len() > 100, "only {codes:?} were found");
        let spoken = |code: &str| {
            code.starts_with("gpu_check.") || FORM.contains(&code) || chinese::sentence(code).is_some()
        };
        let missing: Vec<_> = codes.iter().filter(|code| !spoken(code)).collect();
        assert!(missing.is_empty(), "no Chinese sentence for {missing:?}");
    }

    /// Codes that name their field in the sentence.
    const FORM: [&str; 6] = [
        "form.not_a_number",
        "form.out_of_range",
        "form.unknown_choice",
        "form.missing",
        "form.empty",
        "form.too_long",
    ];

    /// The first argument of every `Problem::new` under a folder; tests invent codes of one word.
    fn collect(folder: &Path, codes: &mut std::collections::BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, codes);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source");
                for rest in text.split(concat!("Problem", "::new(")).skip(1) {
                    let code = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
                    codes.extend(code.map(|(code, _)| code.to_owned()).filter(|code| code.contains('.')));
                }
            }
        }
    }

    #[test]
    fn below_a_field_its_key_is_not_repeated() {
        let problem = Problem::new("form.missing", "Choose a dataset.").field("dataset");
        assert_eq!(field_text(Lang::En, &problem), "Choose a dataset.");
    }
}
