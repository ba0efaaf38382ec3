//! Ending an answer at a stop word that is made of several tokens.

/// Passes streamed text on up to the first stop word. Text that may yet become one is held back.
#[derive(Clone, Debug)]
pub struct StopFilter {
    words: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopFilter {
    /// A filter for these words ([`super::Template::stop_words`]); without any, everything passes.
    pub fn new(words: &[String]) -> Self {
        let words = words.iter().filter(|word| !word.is_empty()).cloned().collect();
        Self { words, held: String::new(), stopped: false }
    }

    /// Whether a stop word was seen: the answer is over.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Takes the next text and gives what is sure to belong to the answer.
    pub fn push(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(text);
        let first = self.words.iter().filter_map(|word| self.held.find(word.as_str())).min();
        if let Some(at) = first {
            self.stopped = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let rest = self.held.split_off(self.sure());
        std::mem::replace(&mut self.held, rest)
    }

    /// What was held back, once nothing more comes.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Bytes in front of the earliest place where a stop word may have begun.
    fn sure(&self) -> usize {
        let begun = |at: &usize| self.words.iter().any(|word| word.starts_with(&self.held[*at..]));
        self.held.char_indices().map(|(at, _)| at).find(begun).unwrap_or(self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passed(words: &[&str], parts: &[&str]) -> (String, bool) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut filter = StopFilter::new(&words);
        let mut text: String = parts.iter().map(|part| filter.push(part)).collect();
        text.push_str(&filter.finish());
        (text, filter.stopped())
    }

    #[test]
    fn a_word_over_several_pieces_ends_the_answer() {
        assert_eq!(passed(&["</bot>"], &["Hi", " <", "/b", "ot", "> more"]), ("Hi ".to_owned(), true));
        assert_eq!(passed(&["</bot>"], &["a < b", " </b>"]), ("a < b </b>".to_owned(), false));
        assert_eq!(passed(&[], &["a", "b"]), ("ab".to_owned(), false));
        assert_eq!(passed(&["水火", "x"], &["好水", "火"]), ("好".to_owned(), true));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(parts in prop::collection::vec("[ab水<>]{0,4}", 0..12), word in "[ab<>]{1,3}") {
            let whole = parts.concat();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let (text, stopped) = passed(&[word.as_str()], &parts);
            let wanted = whole.split(word.as_str()).next().unwrap_or_default();
            prop_assert_eq!(text, wanted);
            prop_assert_eq!(stopped, whole.contains(&word));
        }
    }
}
