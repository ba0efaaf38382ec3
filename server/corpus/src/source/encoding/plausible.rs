//! Whether a text could have been written by people in the script of an encoding. Bytes of one script read in the
//! encoding of another nearly always make a text, only not one that anybody would write.

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, IBM866, ISO_2022_JP, KOI8_R, KOI8_U, SHIFT_JIS,
    WINDOWS_1250, WINDOWS_1251, WINDOWS_1252, WINDOWS_1253, WINDOWS_1254, WINDOWS_1255, WINDOWS_1256,
    WINDOWS_1257,
};

/// Encodings that are tried, the likelier first.
pub(super) const TABLES: [&Encoding; 17] = [
    GB18030,
    SHIFT_JIS,
    EUC_KR,
    BIG5,
    EUC_JP,
    ISO_2022_JP,
    WINDOWS_1252,
    WINDOWS_1251,
    WINDOWS_1250,
    KOI8_R,
    KOI8_U,
    IBM866,
    WINDOWS_1253,
    WINDOWS_1254,
    WINDOWS_1255,
    WINDOWS_1256,
    WINDOWS_1257,
];

/// Encodings of one byte a letter in scripts that have no ASCII letters among theirs. A few letters of one read as
/// letters of another.
pub(super) const SINGLE_SCRIPTS: [&Encoding; 7] =
    [WINDOWS_1251, KOI8_R, KOI8_U, IBM866, WINDOWS_1253, WINDOWS_1255, WINDOWS_1256];

/// Whether `text`, read as `table`, looks written.
pub(super) fn plausible(text: &str, table: &'static Encoding) -> bool {
    if text.chars().any(is_noise) {
        return false;
    }
    let letters = Letters::of(text);
    if table == GB18030 {
        letters.chinese(text)
    } else if table == BIG5 {
        letters.mostly_han() && everyday(text, BIG5, 0xA4..=0xC6) >= 0.75
    } else if table == EUC_KR {
        letters.korean(text)
    } else if table == EUC_JP || table == SHIFT_JIS || table == ISO_2022_JP {
        letters.japanese(text)
    } else if [WINDOWS_1251, KOI8_R, KOI8_U, IBM866].contains(&table) {
        of_words(text, is_cyrillic) && share(text, is_cyrillic, "оеаинтср") >= 0.25
    } else if table == WINDOWS_1253 {
        of_words(text, is_greek) && share(text, is_greek, "αοιετσνηρςάόίέή") >= 0.5
    } else if table == WINDOWS_1255 {
        of_words(text, |char| matches!(char, '\u{5D0}'..='\u{5EA}'))
            && share(text, char::is_alphabetic, "יוהלאמרתב") >= 0.4
    } else if table == WINDOWS_1256 {
        of_words(text, |char| matches!(char, '\u{621}'..='\u{652}'))
            && share(text, char::is_alphabetic, "اليمنوتر") >= 0.4
    } else {
        latin(text, table)
    }
}

/// Controls, private and unassigned characters, and what screens once drew boxes with.
pub(super) fn is_noise(char: char) -> bool {
    match char {
        '\t' | '\n' | '\r' | '\0'..='\u{1F}' => false,
        '\u{7F}'..='\u{9F}' | '\u{E000}'..='\u{F8FF}' | '\u{2500}'..='\u{259F}' => true,
        _ => false,
    }
}

fn is_han(char: char) -> bool {
    matches!(char, '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}')
}

fn is_cyrillic(char: char) -> bool {
    matches!(char, 'а'..='я' | 'А'..='Я' | 'ё' | 'Ё' | 'і' | 'І' | 'ї' | 'Ї' | 'є' | 'Є' | 'ґ' | 'Ґ' | 'ў' | 'Ў')
}

fn is_greek(char: char) -> bool {
    matches!(char, '\u{386}'..='\u{3CE}')
}

/// Share of the Han characters whose first byte in `table` is among those of its everyday characters.
fn everyday(text: &str, table: &'static Encoding, first: std::ops::RangeInclusive<u8>) -> f64 {
    let han: Vec<bool> = text
        .chars()
        .filter(|char| is_han(*char))
        .map(|char| {
            let mut buffer = [0; 4];
            let (bytes, _, _) = table.encode(char.encode_utf8(&mut buffer));
            bytes.len() == 2 && first.contains(&bytes[0]) && (table == BIG5 || bytes[1] >= 0xA1)
        })
        .collect();
    if han.is_empty() { 1.0 } else { han.iter().filter(|it| **it).count() as f64 / han.len() as f64 }
}

/// Letters beyond ASCII by script.
#[derive(Default)]
struct Letters {
    han: usize,
    kana: usize,
    half_kana: usize,
    hangul: usize,
    other: usize,
}

impl Letters {
    fn of(text: &str) -> Self {
        let mut letters = Self::default();
        for char in text.chars() {
            match char {
                _ if is_han(char) => letters.han += 1,
                '\u{30FB}' | '\u{FF01}'..='\u{FF60}' => {}
                '\u{3041}'..='\u{30FF}' => letters.kana += 1,
                '\u{FF66}'..='\u{FF9F}' => letters.half_kana += 1,
                '\u{AC00}'..='\u{D7A3}' => letters.hangul += 1,
                _ if !char.is_ascii() && char.is_alphanumeric() => letters.other += 1,
                _ => {}
            }
        }
        letters
    }

    fn all(&self) -> usize {
        self.han + self.kana + self.half_kana + self.hangul + self.other
    }

    fn mostly_han(&self) -> bool {
        self.han > 0 && self.han * 20 >= self.all() * 19
    }

    /// Half of written Chinese lies in the upper part of the everyday characters, where Korean read as Chinese has
    /// none.
    fn chinese(&self, text: &str) -> bool {
        let upper = everyday(text, GBK, 0xC9..=0xF7);
        self.mostly_han() && everyday(text, GBK, 0xB0..=0xD7) >= 0.75 && (self.han < 20 || upper >= 0.15)
    }

    /// Korean is written in Hangul, nearly all of it in the syllables of the old standard.
    fn korean(&self, text: &str) -> bool {
        let standard = text.chars().filter(|char| matches!(char, '\u{AC00}'..='\u{D7A3}')).filter(|char| {
            let mut buffer = [0; 4];
            let (bytes, _, _) = EUC_KR.encode(char.encode_utf8(&mut buffer));
            bytes.len() == 2 && bytes[0] >= 0xB0 && bytes[1] >= 0xA1
        });
        self.hangul > 0 && self.hangul * 10 >= self.all() * 9 && standard.count() * 20 >= self.hangul * 19
    }

    /// Japanese of more than a few words has kana between its characters.
    fn japanese(&self, text: &str) -> bool {
        let written = self.han + self.kana;
        let kana = self.kana * 7 >= written || written <= 8;
        let strange = self.half_kana + self.hangul + self.other;
        written > 0 && kana && strange * 20 <= written && everyday(text, EUC_JP, 0xB0..=0xCF) >= 0.75
    }
}

/// Words that hold a character beyond ASCII, without the signs around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| char.is_ascii() && !char.is_ascii_alphabetic())
        .map(|word| word.trim_matches(|char: char| !char.is_alphabetic() && !char.is_numeric()))
        .filter(|word| !word.is_ascii())
}

/// Capitals stand at the start of a word, or are all of it.
fn is_cased(word: &str) -> bool {
    let rest = || word.chars().skip(1);
    !rest().any(char::is_uppercase) || !word.chars().any(char::is_lowercase)
}

/// Whether nine of ten words are of letters of one script throughout, two at least.
fn of_words(text: &str, letter: impl Fn(char) -> bool) -> bool {
    let (mut good, mut all, mut long) = (0, 0, 0);
    for word in words(text) {
        let ends_well = !word.trim_end_matches('ς').contains('ς');
        all += 1;
        good += usize::from(is_cased(word) && word.chars().all(&letter) && ends_well);
        long += usize::from(word.chars().nth(1).is_some());
    }
    all > 0 && good * 10 >= all * 9 && long * 2 >= all && long > 0
}

/// Share of the letters of a script that are among its commonest.
fn share(text: &str, letter: impl Fn(char) -> bool, common: &str) -> f64 {
    let letters = || text.chars().filter(|char| !char.is_ascii() && letter(*char));
    let all = letters().count();
    let found = letters().filter(|char| char.to_lowercase().any(|lower| common.contains(lower))).count();
    if all == 0 { 0.0 } else { found as f64 / all as f64 }
}

/// Signs of print that Latin text has beside its letters.
const PRINT: &str = "“”„‘’‚–—…•€";

/// Those and others, which the bytes of letters of other scripts are read as.
const SIGNS: &str = "“”„‘’‚–—…•·«»¿¡€£§©®™°½¼¾²³×";

/// Mostly ASCII letters, with accents that the languages of the table write, and signs of print.
fn latin(text: &str, table: &'static Encoding) -> bool {
    let accents = if table == WINDOWS_1252 {
        "àâäáãåæçèéêëìíîïñòóôöõøùúûüßœ"
    } else if table == WINDOWS_1250 {
        "ąćęłńóśźżáčďéěíňřšťúůýžäöüßőűôĺľŕăâîşţđç"
    } else if table == WINDOWS_1254 {
        "çğıöşüâîû"
    } else {
        "āčēģīķļņšūžąęėįųõäöü"
    };
    let lower = |char: char| char == '\u{307}' || char.is_ascii() || accents.contains(char);
    let known = |char: char| char.to_lowercase().all(lower);
    let (mut good, mut all) = (0, 0);
    for word in text.split(|char: char| !char.is_alphabetic()).filter(|word| !word.is_ascii()) {
        let beyond = word.chars().filter(|char| !char.is_ascii()).count();
        // A letter by itself is a word of some languages, and says nothing.
        all += usize::from(word.chars().nth(1).is_some());
        good +=
            usize::from(word.chars().all(known) && is_cased(word) && beyond * 4 <= word.chars().count() * 3);
    }
    let count = |wanted: &dyn Fn(char) -> bool| text.chars().filter(|char| wanted(*char)).count();
    let signs = count(&|char| PRINT.contains(char));
    let unknown = count(&|char| !char.is_ascii() && !char.is_alphabetic() && !SIGNS.contains(char));
    let strange = unknown + misplaced_signs(text);
    let mostly_ascii = count(&|char| char.is_ascii_alphabetic()) > count(&|char| !char.is_ascii());
    mostly_ascii && all + signs > 0 && good * 10 >= all * 9 && strange * 10 <= all + signs
}

/// Signs where no language has them: between two letters, or beside one another.
fn misplaced_signs(text: &str) -> usize {
    let sign = |char: char| SIGNS.contains(char) && !PRINT.contains(char) && char != '·';
    let chars: Vec<char> = std::iter::once(' ').chain(text.chars()).collect();
    let misplaced = |three: &&[char]| {
        let beside = three.get(2).is_some_and(|char| char.is_alphabetic());
        sign(three[1]) && (sign(three[0]) || (three[0].is_alphabetic() && beside))
    };
    chars.windows(3).filter(misplaced).count()
}
