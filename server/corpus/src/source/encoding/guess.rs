//! Which encoding a file that is not UTF-8 is in, told by its first bytes; or which ones it could be in.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{DecoderResult, ISO_2022_JP, UTF_16BE, UTF_16LE};

use super::plausible::{SINGLE_SCRIPTS, TABLES, is_noise, plausible};

type Table = &'static encoding_rs::Encoding;

/// Characters beyond ASCII from which on the detector's word counts against a second encoding that makes sense too.
const LONG: usize = 60;

/// Letters of a script of its own below which no reading of them is taken without asking.
const SHORT: usize = 12;

/// What a head could be, best first: one where it is clear, none where nothing makes sense.
pub(super) fn tables(head: &[u8]) -> Vec<Table> {
    if let Some(table) = utf16(head) {
        return vec![table];
    }
    let beyond = head.iter().filter(|byte| !byte.is_ascii()).count();
    if beyond == 0 && !head.windows(2).any(|pair| pair == b"\x1B$") {
        return Vec::new();
    }
    let mut found: Vec<(Table, String, usize)> = Vec::new();
    for table in TABLES {
        if (table == ISO_2022_JP) != (beyond == 0) {
            continue;
        }
        let (text, broken) = decoded(head, table);
        let characters = text.chars().filter(|char| !char.is_ascii()).count();
        let whole = broken * 10 <= characters;
        // What follows broken bytes may be read a byte off.
        let text = if broken > 0 { sound_lines(&text) } else { text };
        if whole && plausible(&text, table) && found.iter().all(|(_, other, _)| *other != text) {
            found.push((table, text, broken));
        }
    }
    if found.iter().any(|(_, _, broken)| *broken == 0) {
        found.retain(|(_, _, broken)| *broken == 0);
    }
    if let [(table, text, _)] = found.as_slice()
        && SINGLE_SCRIPTS.contains(table)
        && beyond < SHORT
    {
        let others: Vec<_> = SINGLE_SCRIPTS
            .into_iter()
            .map(|other| (other, decoded(head, other)))
            .filter(|(_, (other, broken))| *broken == 0 && other != text && !other.contains(is_noise))
            .map(|(other, (text, broken))| (other, text, broken))
            .collect();
        found.extend(others);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(head, true);
    let likely = detector.guess(None, Utf8Detection::Deny);
    let long = found.iter().all(|(_, text, _)| text.chars().filter(|char| !char.is_ascii()).count() >= LONG);
    if let Some(at) = found
        .iter()
        .position(|(table, ..)| *table == likely || (likely.name() == "GBK" && table.name() == "gb18030"))
    {
        let first = found.remove(at);
        if long {
            return vec![first.0];
        }
        found.insert(0, first);
    }
    found.into_iter().map(|(table, ..)| table).collect()
}

/// The text of a head, which may end inside a character, and how many sequences of bytes are none; U+FFFD stands there.
pub(super) fn decoded(head: &[u8], table: Table) -> (String, usize) {
    let mut decoder = table.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(head.len() * 3 + 16);
    let (mut rest, mut broken) = (head, 0);
    loop {
        let (result, read) = decoder.decode_to_string_without_replacement(rest, &mut text, false);
        rest = &rest[read..];
        match result {
            DecoderResult::Malformed(..) => {
                broken += 1;
                text.push(char::REPLACEMENT_CHARACTER);
            }
            DecoderResult::OutputFull => text.reserve(rest.len() * 3 + 16),
            DecoderResult::InputEmpty => return (text, broken),
        }
    }
}

fn sound_lines(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.contains(char::REPLACEMENT_CHARACTER)).collect()
}

/// UTF-16 without a mark: the high bytes of ASCII characters are zero, and no other bytes are.
fn utf16(head: &[u8]) -> Option<Table> {
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (table, count) = match (zeros(0), zeros(1)) {
        (0, count @ 1..) => (UTF_16LE, count),
        (count @ 1.., 0) => (UTF_16BE, count),
        _ => return None,
    };
    // A text with a stray zero byte is no such thing.
    let text = std::str::from_utf8(head);
    let fits = match text {
        Ok(text) if text.is_ascii() => count * 5 >= head.len() * 2,
        Ok(_) => false,
        Err(_) => {
            let (text, broken) = decoded(head, table);
            broken == 0 && text.contains('\n') && text.chars().filter(char::is_ascii).count() == count
        }
    };
    fits.then_some(table)
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, EUC_JP, EUC_KR, GB18030, SHIFT_JIS};

    use super::*;

    /// Not one stretch of these texts, however short, is read as something else without a question.
    #[test]
    fn no_stretch_of_an_asian_text_is_taken_for_another() {
        let chinese = "今天天气很好，适合出门散步。运费是多少？满五百元免运费，偏远地区除外。";
        let taiwanese = "今天天氣很好，適合出門散步。運費是多少？滿五百元免運費，偏遠地區除外。";
        let japanese = "送料はいくらですか？五千円以上のご注文は無料です。毎朝コーヒーを飲みます。";
        let korean = "배송비는 얼마인가요? 오만원 이상 주문하시면 무료입니다. 네, 커피를 마십니다.";
        let all = [
            (chinese, GB18030),
            (taiwanese, BIG5),
            (japanese, EUC_JP),
            (japanese, SHIFT_JIS),
            (korean, EUC_KR),
        ];
        for (text, table) in all {
            let chars: Vec<char> = text.chars().collect();
            for length in [1, 2, 3, 5, 8, 13, 21, 34] {
                for stretch in chars.windows(length) {
                    let row = format!("question,answer\n{}\n", stretch.iter().collect::<String>());
                    let (bytes, _, lost) = table.encode(&row);
                    assert!(!lost);
                    if let &[only] = tables(&bytes).as_slice() {
                        assert_eq!(decoded(&bytes, only).0, row, "{} as {}", table.name(), only.name());
                    }
                }
            }
        }
    }
}
