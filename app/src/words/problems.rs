//! Problems in the reader's language. The server writes English; what a form can say is written here too.

use contract::Problem;
use contract::param::Kind;
use contract::params::param;

use super::Lang;

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
        "generation.beams_draw" => "束搜索不抽样:请选择贪心,或只用一束。".to_owned(),
        "generation.stop" => "停止文本最多 8 段,每段 1 到 100 个字符。".to_owned(),
        "form.unknown_choice" | "form.missing" => format!("请选择{label}。"),
        "form.empty" => format!("{label}至少选一项。"),
        "form.too_long" => format!("{label}最多 120 个字。"),
        "connection.lost" => "服务器没有回应,请稍后再试。".to_owned(),
        "server.fault" => "服务器出错了,请稍后再试。".to_owned(),
        "not_found" => "这一项已经不存在了。".to_owned(),
        _ => return None,
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

/// The server's own words with the place in Chinese.
fn placed(problem: &Problem) -> String {
    let mut parts = Vec::new();
    if let Some(place) = &problem.place {
        parts.extend(place.file.clone());
        parts.extend(place.row.map(|row| format!("第 {row} 行")));
        parts.extend(place.field.as_ref().map(|field| format!("字段 {field}")));
        parts.extend(place.byte.map(|byte| format!("第 {byte} 字节")));
    }
    let place = if parts.is_empty() { String::new() } else { format!("({})", parts.join(",")) };
    let hint = problem.hint.as_ref().map(|hint| format!(" {hint}")).unwrap_or_default();
    format!("{}{place}{hint}", problem.message)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(problem_text(Lang::Zh, &problem), "Not JSON.(第 3 行,第 120 字节)");
    }

    #[test]
    fn below_a_field_its_key_is_not_repeated() {
        let problem = Problem::new("form.missing", "Choose a dataset.").field("dataset");
        assert_eq!(field_text(Lang::En, &problem), "Choose a dataset.");
    }
}
