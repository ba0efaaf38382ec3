//! Which part of a rendered conversation is answer: found by rendering its prefixes.

use contract::Code;
use contract::chat::ChatMessage;
use contract::problem::Problem;

use super::{ChatTemplate, Extras};
use crate::template::Piece;

/// Cuts the rendered text so that each answer with its end token is one learnt piece. With `answered` the text
/// ends with the last answer's end token; without, it is the prompt that opens the next answer.
pub(super) fn pieces(
    template: &ChatTemplate,
    messages: &[ChatMessage],
    answered: bool,
) -> Result<Vec<Piece>, Problem> {
    let extras = Extras::default();
    let text = template.render(messages, !answered, &extras)?;
    let mut pieces = Vec::new();
    let mut cursor = 0;
    for (index, message) in messages.iter().enumerate().filter(|(_, message)| message.role == "assistant") {
        let opened = template.render(&messages[..index], true, &extras)?;
        let start = if opened.len() >= cursor && text.starts_with(&opened) { opened.len() } else { cursor };
        let content = message.content.trim();
        let found = text[start..].find(content).ok_or_else(|| lost(index))?;
        // Where the opening is not a prefix of the text, the answer itself is all that is surely learnt.
        let start = if start == opened.len() { start } else { start + found };
        let body_end = start + text[start..].find(content).unwrap_or_default() + content.len();
        let (end, tail) = end_token(template, &text, body_end);
        let question = messages[..index].last().map_or("", |message| message.content.as_str());
        pieces.push(prompt_piece(&text[cursor..start], question));
        let mut answer = text[start..end].to_owned();
        let mut tail = tail;
        if let Some(eos) = template.eos().filter(|_| tail == 0) {
            answer.push_str(eos);
            tail = eos.len();
        }
        pieces.push(Piece { text: answer, learn: true, tail });
        cursor = end;
    }
    if !answered {
        let question = messages.last().map_or("", |message| message.content.as_str());
        pieces.push(prompt_piece(&text[cursor..], question));
    }
    Ok(pieces)
}

/// The special token that follows an answer, at most white space between: its end, and its length.
fn end_token(template: &ChatTemplate, text: &str, body_end: usize) -> (usize, usize) {
    let after = &text[body_end..];
    let space = after.len() - after.trim_start().len();
    let found = template
        .specials()
        .iter()
        .filter(|token| !token.is_empty() && after[space..].starts_with(token.as_str()))
        .max_by_key(|token| token.len());
    match found {
        Some(token) => (body_end + space + token.len(), token.len()),
        None => (body_end, 0),
    }
}

/// What follows the question inside the piece survives cutting, so the answer is always opened properly.
fn prompt_piece(text: &str, question: &str) -> Piece {
    let question = question.trim();
    let tail = match text.rfind(question) {
        Some(at) if !question.is_empty() => text.len() - at - question.len(),
        _ => 0,
    };
    Piece { text: text.to_owned(), learn: false, tail }
}

fn lost(index: usize) -> Problem {
    Problem::new(
        Code::TemplateAnswerLost,
        format!("The model's chat template does not print message {} as it stands.", index + 1),
    )
    .with("number", index + 1)
    .hint("Choose a built-in template for this model.")
}
