//! The form of a template's source, looked at token by token before anything walks its syntax by recursion: how long it
//! is, and how deep its expressions and blocks go.

use contract::limits::Limit;
use minijinja::machinery::{Token, Tokenizer};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Error, ErrorKind};

use crate::template::limits::{BLOCKS, BRACKETS, BRANCHES, LINE, OPERATORS};

/// Refuses a source that the engine cannot compile on a small stack.
///
/// # Errors
/// What is too long or too deep, or where the tokens end.
pub(super) fn check(source: &str, syntax: &SyntaxConfig) -> Result<(), Error> {
    if source.len() > Limit::TemplateBytes.get() {
        return Err(too_much(format!("it is longer than {} bytes", Limit::TemplateBytes.get())));
    }
    check_lines(source)?;
    let mut tokens = Tokenizer::new(source, "chat", false, syntax.clone());
    let (mut form, mut before) = (Form::default(), None);
    while let Some((token, _)) = tokens.next_token()? {
        form.take(&token, before.as_ref())?;
        before = Some(token);
    }
    Ok(())
}

/// Refuses lines that the engine cannot count.
///
/// # Errors
/// A line that is too long, or too many of them.
pub(super) fn check_lines(source: &str) -> Result<(), Error> {
    match source.split('\n').enumerate().find(|(at, line)| line.len() >= LINE || *at >= LINE) {
        Some((at, line)) if line.len() >= LINE => {
            Err(too_much(format!("line {} is longer than {LINE} bytes", at + 1)))
        }
        Some(_) => Err(too_much(format!("it has more than {LINE} lines"))),
        None => Ok(()),
    }
}

fn too_much(why: String) -> Error {
    Error::new(ErrorKind::SyntaxError, why)
}

/// Operators of the operand at hand, and of the longest one before it between the same brackets.
#[derive(Default)]
struct Level {
    operators: usize,
    most: usize,
}

/// How deep the tokens so far go.
#[derive(Default)]
struct Form {
    /// One for each open bracket, besides the tag's own.
    levels: Vec<Level>,
    tag: Level,
    /// Open blocks; of each, the conditions so far.
    blocks: Vec<usize>,
}

impl Form {
    fn take(&mut self, token: &Token<'_>, before: Option<&Token<'_>>) -> Result<(), Error> {
        match token {
            Token::VariableStart | Token::BlockStart => {
                self.levels.clear();
                self.tag = Level::default();
            }
            Token::Ident(word) if matches!(before, Some(Token::BlockStart)) => self.block(word)?,
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => {
                self.levels.push(Level::default());
                if self.levels.len() > BRACKETS {
                    return Err(too_much(format!("more than {BRACKETS} brackets stand inside one another")));
                }
            }
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                if let Some(inner) = self.levels.pop() {
                    self.count(inner.operators.max(inner.most) + 1)?;
                }
            }
            Token::Comma | Token::Colon | Token::Assign => {
                let level = self.level();
                level.most = level.most.max(level.operators);
                level.operators = 0;
            }
            Token::Ident("and" | "or" | "not" | "in" | "is" | "if" | "else") => self.count(1)?,
            Token::Ident(_)
            | Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_)
            | Token::TemplateData(_)
            | Token::VariableEnd
            | Token::BlockEnd => {}
            // Signs: each may put all before it one deeper.
            _ => self.count(1)?,
        }
        Ok(())
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().unwrap_or(&mut self.tag)
    }

    fn count(&mut self, operators: usize) -> Result<(), Error> {
        self.level().operators += operators;
        let open: usize = self.levels.iter().map(|level| level.operators).sum();
        if self.tag.operators + open > OPERATORS {
            return Err(too_much(format!("more than {OPERATORS} operators stand in one expression")));
        }
        Ok(())
    }

    /// The word that a block begins with.
    fn block(&mut self, word: &str) -> Result<(), Error> {
        match word {
            "elif" => {
                let Some(conditions) = self.blocks.last_mut() else { return Ok(()) };
                *conditions += 1;
                if *conditions > BRANCHES {
                    return Err(too_much(format!("an if has more than {BRANCHES} further conditions")));
                }
            }
            // Whether a `set` has a body is not known yet; the engine counts those.
            "else" | "set" | "endset" | "include" | "import" | "from" | "extends" | "do" | "break"
            | "continue" => {}
            word if word.starts_with("end") => drop(self.blocks.pop()),
            _ => {
                self.blocks.push(0);
                if self.blocks.len() > BLOCKS {
                    return Err(too_much(format!("more than {BLOCKS} blocks stand inside one another")));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: &str) -> bool {
        let syntax = SyntaxConfig::builder().build().unwrap();
        check(source, &syntax).is_err()
    }

    #[test]
    fn long_is_not_deep() {
        let map: Vec<String> = (0..3000).map(|n| format!("'k{n}': x.a + 'v'")).collect();
        assert!(!refused(&format!("{{% set names = {{{}}} %}}", map.join(", "))));
        assert!(!refused(&"{% if a %}{{ a.b | trim }}{% elif b %}{% else %}{% endif %}\n".repeat(2000)));
        assert!(!refused(&"{{ 'a' + b }}\n".repeat(20_000)));
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_refused() {
        for (chain, times) in [
            ("+a", OPERATORS),
            ("~a", OPERATORS),
            (".a", OPERATORS),
            ("()", OPERATORS),
            ("[0]", OPERATORS),
            ("|trim", OPERATORS),
            (" and a", OPERATORS),
            (" if a", OPERATORS),
            (" is defined", OPERATORS),
        ] {
            assert!(!refused(&format!("{{{{ a{} }}}}", chain.repeat(times / 4))), "{chain}");
            assert!(refused(&format!("{{{{ a{} }}}}", chain.repeat(times + 1))), "{chain}");
        }
        assert!(refused(&format!("{{{{ {}a }}}}", "not ".repeat(OPERATORS + 1))));
        assert!(refused(&format!("{{{{ {}a{} }}}}", "[".repeat(BRACKETS + 1), "]".repeat(BRACKETS + 1))));
        assert!(refused(&format!("{{{{ {} }}}}", vec!["f(a+a)"; OPERATORS / 2].join("+"))));
        assert!(refused(&format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(BRANCHES + 1))));
        assert!(refused(&"{% if a %}".repeat(BLOCKS + 1)));
        assert!(refused(&"x".repeat(LINE)));
        assert!(refused(&"\n".repeat(LINE + 1)));
        assert!(refused(&"{# #}\n".repeat(Limit::TemplateBytes.get() / 6 + 1)));
    }
}
