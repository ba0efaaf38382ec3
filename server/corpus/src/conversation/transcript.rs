//! Dialogues written as one text: `Human: … Assistant: …`.

use super::message::{Message, Role};

/// Marks of who asks and who answers, as they begin a line.
const MARKS: &[(&str, &str)] = &[
    ("Human:", "Assistant:"),
    ("User:", "Assistant:"),
    ("USER:", "ASSISTANT:"),
    ("### Human:", "### Assistant:"),
    ("### User:", "### Assistant:"),
    ("### Instruction:", "### Response:"),
];

/// The messages of a text that begins with the mark of who asks and holds that of who answers; `None` for any other.
/// Blanks around what is said are no part of it. Where the marks stand behind blank lines, those in the middle of a
/// paragraph are text.
pub(super) fn messages(text: &str) -> Option<Vec<Message>> {
    let text = text.trim_start();
    let (asks, answers) = MARKS
        .iter()
        .find(|(asks, answers)| text.starts_with(asks) && text.contains(&format!("\n{answers}")))?;
    let blank = if text.contains(&format!("\n\n{answers}")) { "\n\n" } else { "\n" };
    let mut found = Vec::new();
    let (mut role, mut rest) = (Role::User, &text[asks.len()..]);
    loop {
        let next = [(Role::User, asks), (Role::Assistant, answers)].into_iter().filter_map(|(role, mark)| {
            let whole = format!("{blank}{mark}");
            rest.find(&whole).map(|at| (at, whole.len(), role))
        });
        let next = next.min_by_key(|(at, ..)| *at);
        let end = next.as_ref().map_or(rest.len(), |(at, ..)| *at);
        found.push(Message { role, content: rest[..end].trim().to_owned(), learn: true });
        let Some((at, length, whose)) = next else { return Some(found) };
        (role, rest) = (whose, &rest[at + length..]);
    }
}

/// The messages of a text that ends with the bare mark of who answers, without that mark; `None` for any other.
pub(super) fn prompt(text: &str) -> Option<Vec<Message>> {
    let mut found = messages(text)?;
    let last = found.pop()?;
    (last.role == Role::Assistant && last.content.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(text: &str) -> Vec<(Role, String)> {
        messages(text).unwrap_or_default().into_iter().map(|one| (one.role, one.content)).collect()
    }

    fn turns(texts: &[&str]) -> Vec<(Role, String)> {
        let roles = [Role::User, Role::Assistant].into_iter().cycle();
        roles.zip(texts).map(|(role, text)| (role, (*text).to_owned())).collect()
    }

    #[test]
    fn the_usual_marks_part_a_dialogue() {
        assert_eq!(said("\n\nHuman: Q\n\nAssistant: A"), turns(&["Q", "A"]));
        assert_eq!(said("Human: Q\nAssistant: A\nHuman: R\nAssistant: B\n"), turns(&["Q", "A", "R", "B"]));
        assert_eq!(said("### Instruction:\nQ\n\n### Response:\nA"), turns(&["Q", "A"]));
        assert_eq!(said("USER: 水\nASSISTANT: 火"), turns(&["水", "火"]));
        let listed = "\n\nHuman: Write a play.\n\nAssistant: Acts:\nHuman: hi\nAssistant: ho";
        assert_eq!(said(listed), turns(&["Write a play.", "Acts:\nHuman: hi\nAssistant: ho"]));
    }

    #[test]
    fn other_texts_are_no_dialogue() {
        for text in ["", "Human: Q", "The Human: Q\n\nAssistant: A", "Assistant: A\n\nHuman: Q", "Q: x\nA: y"]
        {
            assert_eq!(messages(text), None, "{text}");
        }
    }

    #[test]
    fn a_prompt_ends_with_the_bare_mark() {
        let asked = prompt("\n\nHuman: Q\n\nAssistant: A\n\nHuman: R\n\nAssistant:").map(|found| found.len());
        assert_eq!(asked, Some(3));
        assert_eq!(prompt("\n\nHuman: Q\n\nAssistant: A"), None);
    }

    proptest! {
        #[test]
        fn what_is_said_comes_back(texts in prop::collection::vec("[a-z水:]{1,9}( [a-z:]{1,5})?", 1..5)) {
            let marks = ["\n\nHuman: ", "\n\nAssistant: "].into_iter().cycle();
            let mut all: Vec<&str> = texts.iter().map(String::as_str).collect();
            all.push("end");
            if all.len() % 2 == 1 {
                all.push("end");
            }
            let text: String = marks.zip(&all).map(|(mark, text)| format!("{mark}{text}")).collect();
            prop_assert_eq!(said(&text), turns(&all));
        }

        #[test]
        fn any_text_is_parted_or_not(text in "(\n|Human:|Assistant:|水| |x){0,20}") {
            let _ = messages(&text);
        }
    }
}
