//! Labels: the names that people give to datasets, models, runs, templates and pages. A label is one short line of
//! characters that can be seen, so that no label looks like another one or changes the text beside it.

use std::ops::RangeInclusive;

use crate::code::Code;
use crate::problem::Problem;

/// Longest label, characters.
pub const MAX_NAME: usize = 120;

/// Characters that nobody sees, beside the control characters: some turn the direction of the text around them, some
/// make two different names look the same. Those that emoji and some scripts are written with (joiners, variation
/// selectors) are not among them. Source: Unicode 16, Default_Ignorable_Code_Point and Bidi_Control.
const UNSEEN: [RangeInclusive<char>; 14] = [
    '\u{ad}'..='\u{ad}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200b}',
    '\u{200e}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff9}'..='\u{fffb}',
    '\u{e0000}'..='\u{e007f}',
];

/// Whether nobody sees a character.
fn is_unseen(c: char) -> bool {
    c.is_control() || UNSEEN.iter().any(|range| range.contains(&c))
}

/// Whether a character is seen only together with another one.
fn joins(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// White space in the middle is one space, at the ends nothing.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The problem of a label that is longer than [`MAX_NAME`].
pub fn too_long(name: &str) -> Option<Problem> {
    (name.chars().count() > MAX_NAME).then(|| {
        Problem::new(Code::FormTooLong, format!("The name is longer than {MAX_NAME} characters."))
            .with("most", MAX_NAME)
            .field("name")
    })
}

/// What is wrong with the characters of a line that people typed, wherever it is kept; nothing for white space.
pub fn unseen(text: &str) -> Option<Problem> {
    let found = text.chars().find(|c| !c.is_whitespace() && is_unseen(*c))?;
    let character = format!("U+{:04X}", u32::from(found));
    let message = format!("The text holds a character that nobody sees ({character}).");
    Some(
        Problem::new(Code::FormUnseen, message)
            .with("character", character)
            .field("name")
            .hint("Delete it; it may have come along when the text was copied."),
    )
}

/// A label as a person typed it, as it is kept: one line without white space around it. May be empty.
///
/// # Errors
/// `form.unseen` and `form.too_long`, both at the field `name`.
pub fn optional(text: &str) -> Result<String, Problem> {
    let name = line(text);
    match unseen(&name).or_else(|| too_long(&name)) {
        Some(problem) => Err(problem),
        None if name.chars().all(joins) => Ok(String::new()),
        None => Ok(name),
    }
}

/// A label that must not be empty.
///
/// # Errors
/// `form.blank`, and those of [`optional`].
pub fn required(text: &str) -> Result<String, Problem> {
    let name = optional(text)?;
    if name.is_empty() {
        return Err(Problem::new(Code::FormBlank, "Give it a name.").field("name"));
    }
    Ok(name)
}

/// A name that came along with files and was typed by nobody here: what cannot be seen is left out, and so is what is
/// longer than `most` characters. May be empty.
pub fn cleaned(text: &str, most: usize) -> String {
    let seen: String = text.chars().filter(|c| c.is_whitespace() || !is_unseen(*c)).collect();
    let name: String = line(&seen).chars().take(most).collect();
    if name.chars().all(joins) { String::new() } else { name.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Control and bidi characters, and others that nobody sees.
    const BAD: [char; 20] = [
        '\0',
        '\u{7}',
        '\u{1b}',
        '\u{7f}',
        '\u{9b}',
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{200e}',
        '\u{200f}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{3164}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fffb}',
        '\u{e0041}',
    ];

    #[test]
    fn a_label_is_one_short_line() {
        assert_eq!(required("  a \n b ").expect("a label"), "a b");
        assert_eq!(required(" \t").expect_err("blank").code, Code::FormBlank);
        assert_eq!(required("\u{200d}").expect_err("nothing to see").code, Code::FormBlank);
        assert_eq!(required(&"字".repeat(MAX_NAME)).expect("fits").chars().count(), MAX_NAME);
        assert_eq!(required(&"字".repeat(MAX_NAME + 1)).expect_err("too long").code, Code::FormTooLong);
        assert_eq!(optional(" ").expect("none"), "");
    }

    #[test]
    fn control_and_bidi_characters_are_refused_when_typed_and_left_out_of_what_came_along() {
        for bad in BAD {
            let name = format!("a{bad}b");
            let problem = required(&name).expect_err("refused");
            assert_eq!(problem.code, Code::FormUnseen, "{name:?}");
            assert_eq!(problem.params["character"], format!("U+{:04X}", u32::from(bad)));
            assert_eq!(cleaned(&name, 9), "ab", "{name:?}");
            assert_eq!(cleaned(&bad.to_string(), 9), "", "{bad:?}");
        }
    }

    #[test]
    fn names_in_every_script_and_emoji_are_kept_as_typed() {
        for good in [
            "Kettle & Co",
            "客服问答",
            "Größe <2>",
            "می\u{200c}خواهم",
            "👩\u{200d}🔬 ❤\u{fe0f}",
            "ﾃｽﾄ",
            "한국어",
            "שלום",
        ] {
            assert_eq!(required(good).expect("a label"), good);
            assert_eq!(cleaned(good, MAX_NAME), good);
        }
        assert_eq!(cleaned(" a\r\n\u{2028}b  c ", 3), "a b");
    }
}
