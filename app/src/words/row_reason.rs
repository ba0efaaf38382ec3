//! Why a row is left out, in the reader's language.

use contract::row_reason::{RowReason, Side};

use super::{Lang, problem_text};

/// A reason, without a full stop.
pub(crate) fn reason_text(lang: Lang, reason: &RowReason) -> String {
    match lang {
        Lang::En => reason.to_string(),
        Lang::Zh => chinese(reason),
    }
}

fn chinese(reason: &RowReason) -> String {
    match reason {
        RowReason::Unreadable { problem } => {
            format!("读不出来：{}", problem_text(Lang::Zh, problem).trim_end_matches('。'))
        }
        RowReason::PlainText => "纯文本没有回答，请用于预训练".to_owned(),
        RowReason::EmptyQuestion { column } => format!("提问列 {column} 为空"),
        RowReason::EmptyAnswer { column } => format!("回答列 {column} 为空"),
        RowReason::EmptyText { column } => format!("文本列 {column} 为空"),
        RowReason::IsList { column } => format!("{column} 是列表，这里需要一段文字"),
        RowReason::IsObject { column } => format!("{column} 是对象，这里需要一段文字"),
        RowReason::NotAList { column } => format!("{column} 不是列表"),
        RowReason::BrokenTurn { number, column } => format!("{column} 的第 {number} 轮不是 [提问, 回答]"),
        RowReason::BrokenMessage { number } => format!("第 {number} 条消息没有角色或文字"),
        RowReason::EmptyMessage { number, side } => {
            format!("第 {number} 条消息（{}）为空", side_word(*side))
        }
        RowReason::WrongRole { number, role, wanted } => {
            format!("第 {number} 条消息来自「{role}」，这里应是{}", side_word(*wanted))
        }
        RowReason::ToolMessage { number } => format!("第 {number} 条消息调用工具或来自工具"),
        RowReason::ToolColumn { column } => format!("{column} 里有工具，这里不训练工具调用"),
        RowReason::NothingLearned => "所有回答的权重都是 0".to_owned(),
        RowReason::NoQuestion { column } => format!("{column} 的末尾没有提问"),
        RowReason::NoAnswer { column } => format!("{column} 里没有回答"),
        RowReason::NoWorseColumn => "没有列存放较差的回答".to_owned(),
        RowReason::NotTwoTexts { column } => format!("{column} 不是两段文字的列表"),
        RowReason::AnswerCount { column, count } => format!("{column} 有 {count} 个回答，需要两个"),
        RowReason::DifferentQuestions { better, worse } => {
            format!("{better} 和 {worse} 回答的不是同一个问题")
        }
        RowReason::Refused { problem } => problem_text(Lang::Zh, problem).trim_end_matches('。').to_owned(),
        RowReason::TooShort => "文字太少".to_owned(),
        RowReason::NoRows => "没有数据".to_owned(),
        RowReason::Others => "其他原因".to_owned(),
    }
}

fn side_word(side: Side) -> &'static str {
    match side {
        Side::User => "提问",
        Side::Assistant => "回答",
    }
}

#[cfg(test)]
mod tests {
    use contract::{Code, Problem};

    use super::*;

    #[test]
    fn a_reason_keeps_its_column_and_loses_its_english() {
        let reason = RowReason::EmptyAnswer { column: "output".to_owned() };
        assert_eq!(reason_text(Lang::Zh, &reason), "回答列 output 为空");
        let problem =
            Problem::new(Code::TemplateAnswerLost, "The template does not print it.").with("number", 2);
        let text = reason_text(Lang::Zh, &RowReason::Refused { problem: Box::new(problem) });
        assert!(text.contains("第 2 条") && !text.contains("template"), "{text}");
    }

    #[test]
    fn a_problem_of_useless_data_says_why_in_chinese() {
        let problem = RowReason::NoAnswer { column: "messages".to_owned() }.none_usable(Some(1));
        let text = problem_text(Lang::Zh, &problem);
        assert!(text.contains("messages 里没有回答") && !text.contains("left out"), "{text}");
    }
}
