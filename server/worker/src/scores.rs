//! ROUGE and BLEU as the original counts them (S-189): ROUGE over words of jieba's segmentation, BLEU-4 over
//! characters with NLTK's third smoothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

use jieba_rs::Jieba;

/// Names of the scores, in the order of the original.
pub const NAMES: [&str; 4] = ["rouge-1", "rouge-2", "rouge-l", "bleu-4"];

/// Words of a text; spaces are words of their own.
pub fn words(text: &str) -> Vec<String> {
    static JIEBA: OnceLock<Jieba> = OnceLock::new();
    let cut = JIEBA.get_or_init(Jieba::new).cut(text, true);
    cut.into_iter().map(|word| word.word.to_owned()).collect()
}

/// The four scores of an answer against its reference, times 100, to four digits.
pub fn scores(answer: &str, reference: &str) -> BTreeMap<String, f64> {
    let rouge = rouge(&words(answer), &words(reference));
    let all = [rouge[0], rouge[1], rouge[2], bleu(answer, reference)];
    NAMES.iter().zip(all).map(|(name, score)| ((*name).to_owned(), rounded(100.0 * score))).collect()
}

/// Name of the score that is 100 where an answer is its reference.
pub const EXACT: &str = "exact_match";

/// Mean of each score over all answers.
pub fn means(all: &[BTreeMap<String, f64>]) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, f64> = NAMES.iter().map(|name| ((*name).to_owned(), 0.0)).collect();
    for (name, score) in all.iter().flatten() {
        *sums.entry(name.clone()).or_default() += score;
    }
    sums.into_iter().map(|(name, sum)| (name, sum / all.len().max(1) as f64)).collect()
}

fn rounded(x: f64) -> f64 {
    (x * 1e4).round_ties_even() / 1e4
}

/// F-scores of ROUGE-1, ROUGE-2 (over sets) and ROUGE-L; all 0 where either side has no words.
fn rouge(answer: &[String], reference: &[String]) -> [f64; 3] {
    if answer.iter().chain(reference).all(|word| word.trim().is_empty())
        || answer.iter().all(|word| word.trim().is_empty())
        || reference.iter().all(|word| word.trim().is_empty())
    {
        return [0.0; 3];
    }
    let (answer, reference) = (counted(answer), counted(reference));
    let overlap = |n: usize| {
        let (a, b) = (grams(&answer, n), grams(&reference, n));
        f_score(a.intersection(&b).count(), a.len(), b.len())
    };
    let common = longest_common(&answer, &reference);
    [overlap(1), overlap(2), f_score(common, answer.len(), reference.len())]
}

fn f_score(common: usize, answer: usize, reference: usize) -> f64 {
    let share = |of: usize| if of == 0 { 0.0 } else { common as f64 / of as f64 };
    let (precision, recall) = (share(answer), share(reference));
    2.0 * (precision * recall) / (precision + recall + 1e-8)
}

/// Words as ROUGE for Chinese counts them: sentence by sentence; a sentence of spaces alone is one empty word.
fn counted(words: &[String]) -> Vec<String> {
    let text = cut_sentences(&words.join(" "));
    let mut all = Vec::new();
    for sentence in text.trim_end().split('\n').filter(|sentence| !sentence.is_empty()) {
        let before = all.len();
        all.extend(sentence.split_whitespace().map(str::to_owned));
        if all.len() == before {
            all.push(String::new());
        }
    }
    all
}

/// Ends a line after each sentence.
fn cut_sentences(text: &str) -> String {
    let ends = |c: char| matches!(c, '。' | '！' | '？' | '?');
    let closes = |c: char| matches!(c, '”' | '’');
    let once = after(text, 1, |end, next| ends(end[0]) && !closes(next));
    let once = after(&once, 6, |end, next| end.iter().all(|c| *c == '.') && !closes(next));
    let once = after(&once, 2, |end, next| end.iter().all(|c| *c == '…') && !closes(next));
    after(&once, 2, |end, next| ends(end[0]) && closes(end[1]) && !ends(next) && next != '，')
}

/// Puts a line break between `length` characters and the next where `wanted` holds; matches do not overlap.
fn after(text: &str, length: usize, wanted: impl Fn(&[char], char) -> bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (String::with_capacity(text.len() + 16), 0);
    while at < chars.len() {
        match chars.get(at + length) {
            Some(next) if wanted(&chars[at..at + length], *next) => {
                out.extend(&chars[at..at + length]);
                out.push('\n');
                out.push(*next);
                at += length + 1;
            }
            _ => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    out
}

fn grams(words: &[String], n: usize) -> BTreeSet<&[String]> {
    words.windows(n).collect()
}

/// Length of the longest common subsequence.
fn longest_common(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

/// BLEU-4 over characters: brevity penalty, and a halved share for each order without a match.
fn bleu(answer: &str, reference: &str) -> f64 {
    let (answer, reference): (Vec<char>, Vec<char>) = (answer.chars().collect(), reference.chars().collect());
    let (mut halvings, mut logs) = (1.0, 0.0);
    for n in 1..=4 {
        let (matched, total) = matches(&answer, &reference, n);
        if n == 1 && matched == 0 {
            return 0.0;
        }
        let share = if matched == 0 {
            let smoothed = 1.0 / (2f64.powf(halvings) * total as f64);
            halvings += 1.0;
            smoothed
        } else {
            matched as f64 / total as f64
        };
        logs += 0.25 * share.ln();
    }
    let (long, wanted) = (answer.len() as f64, reference.len() as f64);
    let brevity = if long > wanted { 1.0 } else { (1.0 - wanted / long).exp() };
    brevity * logs.exp()
}

/// N-grams of the answer that the reference has, at most as often; and all of the answer's, at least 1.
fn matches(answer: &[char], reference: &[char], n: usize) -> (usize, usize) {
    let mut there: HashMap<&[char], usize> = HashMap::new();
    for gram in reference.windows(n) {
        *there.entry(gram).or_default() += 1;
    }
    let mut matched = 0;
    for gram in answer.windows(n) {
        if let Some(left) = there.get_mut(gram).filter(|left| **left > 0) {
            *left -= 1;
            matched += 1;
        }
    }
    (matched, (answer.len() + 1).saturating_sub(n).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_189_an_empty_side_scores_nothing() {
        for (answer, reference) in [("", ""), ("", "bread"), ("bread", ""), (" ", "bread"), ("\n", " ")] {
            assert_eq!(scores(answer, reference)["rouge-1"], 0.0, "{answer:?} {reference:?}");
        }
        assert_eq!(scores("", "bread")["bleu-4"], 0.0);
    }

    #[test]
    fn s_189_equal_texts_score_a_hundred_and_chinese_is_cut_into_words() {
        assert!(scores("图书馆没有星星。", "图书馆没有星星。").values().all(|score| *score == 100.0));
        assert!(words("图书馆没有星星").contains(&"图书馆".to_owned()));
        let close = scores("图书馆有星星。", "图书馆没有星星。");
        assert!(close["rouge-1"] > 50.0 && close["rouge-1"] < 100.0, "{close:?}");
    }

    #[test]
    fn means_are_over_all_answers() {
        let all = [scores("a cat", "a cat"), scores("", "a cat")];
        assert_eq!(means(&all)["rouge-1"], 50.0);
        assert_eq!(means(&[])["bleu-4"], 0.0);
    }
}
