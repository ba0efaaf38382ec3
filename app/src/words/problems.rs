//! Problems in the reader's language. The server writes English; the code of a problem finds its Chinese sentence, and
//! what the problem carries fills it.

use contract::param::Kind;
use contract::params::param;
use contract::{Code, Problem};

use super::{Lang, reason_text};

mod chinese;

/// A problem as one text: what, where, what to do.
pub(crate) fn problem_text(lang: Lang, problem: &Problem) -> String {
    match lang {
        Lang::En => problem.to_string(),
        Lang::Zh => format!("{}{}", chinese(problem), place(problem, true)),
    }
}

/// A problem below its own field: the field is not named again.
pub(crate) fn field_text(lang: Lang, problem: &Problem) -> String {
    match (lang, &problem.hint) {
        (Lang::Zh, _) => format!("{}{}", chinese(problem), place(problem, false)),
        (Lang::En, Some(hint)) => format!("{} {hint}", problem.message),
        (Lang::En, None) => problem.message.clone(),
    }
}

fn chinese(problem: &Problem) -> String {
    let sentence = sentence(problem);
    let value = |name: &str| match name {
        "label" => Some(label(problem)),
        _ => problem.params.get(name).map(String::as_str),
    };
    let words = problem.message.trim_end_matches('.');
    if let Some(reason) = &problem.reason {
        return format!("{sentence}第一行被跳过：{}。", reason_text(Lang::Zh, reason));
    }
    match (filled(sentence, value), sentence.split_once('：')) {
        (Some(text), _) if text.ends_with('：') => format!("{text}{words}"),
        (Some(text), _) => text,
        (None, Some((start, _))) => format!("{}：{words}", filled(start, value).unwrap_or_default()),
        (None, None) => problem.message.clone(),
    }
}

/// The sentence of a problem's kind, or a closer one.
fn sentence(problem: &Problem) -> &'static str {
    let has = |name: &str| problem.params.contains_key(name);
    match problem.code {
        Code::FormNotANumber if matches!(kind(problem), Some(Kind::Int { .. })) => "{label}要填整数。",
        Code::ServerFault if has("id") => "服务器出错了，请稍后再试；服务器日志里的编号：{id}",
        code => chinese::sentence(code),
    }
}

/// Puts what `value` gives into the places of a sentence, `{name}` each; nothing when it does not give one.
fn filled<'a>(sentence: &str, value: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let (mut text, mut rest) = (String::new(), sentence);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        text.push_str(before);
        text.push_str(value(name)?);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

fn kind(problem: &Problem) -> Option<Kind> {
    problem.form_key().and_then(param).map(|param| param.kind)
}

/// What the problem's field is called.
fn label(problem: &Problem) -> &'static str {
    problem.form_key().and_then(known_label).unwrap_or("这一项")
}

/// What a field of a form is called: a hyperparameter's own label, or one of the other forms'.
fn known_label(key: &str) -> Option<&'static str> {
    if let Some(param) = param(key) {
        return Some(param.label.zh);
    }
    Some(match key {
        "name" => "名称",
        "dataset" => "数据集",
        "more_datasets" => "其他数据集",
        "model" => "模型",
        "stage" => "目标",
        "tuning" => "学习方式",
        "template" => "模板",
        "adapters" => "起点检查点",
        "reward_model" => "奖励模型",
        "files" => "文件",
        "path" => "模型所在路径",
        "size" => "大小",
        "repo" => "仓库",
        "revision" => "版本",
        "title" => "标题",
        "introduction" => "介绍",
        "prompts" => "起始问题",
        "trained" => "训练说明",
        "prefix" => "默认系统提示",
        "system" => "系统提示",
        "prompt" => "提问",
        "sep" => "轮与轮之间的文字",
        "stop" | "stop_words" => "停止文本",
        "temperature" => "温度",
        "max_new_tokens" => "最多新词元",
        "columns" | "mapping" => "列的对应关系",
        _ => return None,
    })
}

fn place(problem: &Problem, with_field: bool) -> String {
    let mut parts = Vec::new();
    if let Some(place) = &problem.place {
        parts.extend(place.file.clone());
        parts.extend(place.row.map(|row| format!("第 {row} 行")));
        let named = chinese::sentence(problem.code).contains("{label}");
        let field = place.field.as_ref().filter(|_| with_field && !named);
        parts.extend(field.map(|field| known_label(field).map_or(format!("字段 {field}"), str::to_owned)));
        parts.extend(place.byte.map(|byte| format!("第 {byte} 字节")));
    }
    if parts.is_empty() { String::new() } else { format!("({})", parts.join(",")) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The names that stand for something in a sentence.
    fn places(sentence: &str) -> Vec<&str> {
        sentence.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
    }

    #[test]
    fn a_number_out_of_range_names_the_field_in_the_readers_language() {
        let problem = param("learning_rate").and_then(|p| p.check("7").err()).expect("out of range");
        assert!(problem_text(Lang::En, &problem).contains("Learning rate"));
        assert!(problem_text(Lang::Zh, &problem).contains("学习率"));
    }

    #[test]
    fn a_text_that_is_too_long_names_its_own_limit() {
        let page = contract::carry::HandOver { title: "x".repeat(1000), ..Default::default() };
        let prefix = param("source_prefix").expect("a parameter");
        let Kind::Text { longest } = prefix.kind else { panic!("{:?}", prefix.kind) };
        let limits = [
            (page.problems().remove(0), contract::carry::MAX_TITLE),
            (prefix.check(&"x".repeat(9999)).expect_err("too long"), longest),
            (contract::label::too_long(&"x".repeat(999)).expect("too long"), contract::label::MAX_NAME),
        ];
        for (problem, most) in limits {
            assert_eq!(problem.code, Code::FormTooLong);
            for text in [problem_text(Lang::Zh, &problem), problem_text(Lang::En, &problem)] {
                assert!(text.contains(&most.to_string()), "{text} names {most}");
            }
        }
    }

    #[test]
    fn a_place_in_a_file_is_kept_in_chinese() {
        let problem = Problem::new(Code::DatasetJsonBroken, "Not JSON.").row(3).byte(120);
        assert_eq!(problem_text(Lang::Zh, &problem), "不是有效的 JSON：Not JSON(第 3 行,第 120 字节)");
        let problem = Problem::new(Code::DatasetEmpty, "The file holds no rows.");
        assert_eq!(problem_text(Lang::Zh, &problem), "文件里一行数据也没有。");
    }

    #[test]
    fn every_kind_has_a_whole_chinese_sentence_with_names_its_documentation_gives() {
        let declared = include_str!("../../contract/src/code/kinds.rs");
        for code in Code::ALL {
            let sentence = chinese::sentence(*code);
            let chinese = sentence.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
            assert!(chinese && sentence.ends_with(['。', '：', '}', '）', '」']), "{code}: {sentence}");
            let (before, _) = declared.split_once(&format!("= \"{code}\",")).expect("declared");
            let documented = before.rsplit("///").next().expect("documented");
            for name in places(sentence) {
                assert!(name == "label" || documented.contains(&format!("`{name}`")), "{code} lacks {name}");
            }
            // what a problem of an older build lacks leaves the start of the sentence, and no hole
            let bare = problem_text(Lang::Zh, &Problem::new(*code, "English words."));
            assert!(!bare.contains(['{', '}']), "{code}: {bare}");
        }
    }

    #[test]
    fn what_a_problem_carries_stands_in_the_sentence() {
        let problem = Problem::new(Code::HubNoSuchRepo, "There is no a/b.").with("repo", "a/b");
        assert_eq!(problem_text(Lang::Zh, &problem), "没有这个仓库或版本：a/b");
        let problem = Problem::new(Code::TrainNotFinite, "No number.").with("step", 7);
        assert!(problem_text(Lang::Zh, &problem).ends_with("第 7 步。"));
    }

    #[test]
    fn codes_of_scripts_are_codes_of_the_contract() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../public");
        let mut found = 0;
        for path in ["engine/core.js", "engine/worker.js", "takeaway/page.js", "takeaway/worker.js"] {
            let Ok(text) = std::fs::read_to_string(folder.join(path)) else { continue };
            for code in text.split("code: \"").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(Code::parse(code).is_some(), "{path}: {code}");
                found += 1;
            }
        }
        assert!(found > 5, "{found} codes");
    }

    #[test]
    fn below_a_field_its_name_is_not_repeated() {
        let problem = Problem::new(Code::FormMissing, "Choose a dataset.").field("dataset");
        assert_eq!(field_text(Lang::En, &problem), "Choose a dataset.");
        let problem = Problem::new(Code::FormOneCheckpoint, "One only.").field("adapters");
        assert_eq!(field_text(Lang::Zh, &problem), "只有 LoRA 可以从多个检查点开始。");
        assert!(problem_text(Lang::Zh, &problem).ends_with("(起点检查点)"));
    }
}
