//! Character encodings: UTF-8 with and without a mark, UTF-16 with one, GB18030 (with GBK and GB2312 in it). Whatever
//! is not UTF-8 is converted while it is read.

use std::io::{BufRead, Cursor, Read};

use contract::Code;
use contract::problem::Problem;
use encoding_rs::{CoderResult, Decoder, DecoderResult, GB18030, UTF_16BE, UTF_16LE};

use super::{empty, io_problem};

/// Bytes looked at before an encoding is decided on, at most.
const HEAD: usize = 1 << 20;

/// Bytes beyond ASCII that decide.
const ENOUGH: usize = 4096;

/// How a file's bytes are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// UTF-8 with a byte order mark in front.
    Utf8Mark,
    /// UTF-16, low byte first, with a byte order mark.
    Utf16Le,
    /// UTF-16, high byte first, with a byte order mark.
    Utf16Be,
    /// GB18030, which includes GBK and GB2312.
    Gb18030,
    /// No text: the columns of a Parquet file.
    Binary,
}

impl Encoding {
    /// As people name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf8Mark => "UTF-8 (BOM)",
            Self::Utf16Le => "UTF-16LE",
            Self::Utf16Be => "UTF-16BE",
            Self::Gb18030 => "GB18030",
            Self::Binary => "Parquet",
        }
    }

    /// Bytes of the mark.
    fn mark(self) -> usize {
        match self {
            Self::Utf8Mark => 3,
            Self::Utf16Le | Self::Utf16Be => 2,
            Self::Utf8 | Self::Gb18030 | Self::Binary => 0,
        }
    }

    fn decoder(self) -> Option<Decoder> {
        let table = match self {
            Self::Utf16Le => UTF_16LE,
            Self::Utf16Be => UTF_16BE,
            Self::Gb18030 => GB18030,
            Self::Utf8 | Self::Utf8Mark | Self::Binary => return None,
        };
        Some(table.new_decoder_without_bom_handling())
    }
}

/// A stream that gives UTF-8, what it was, and the bytes skipped in front.
pub(super) type Decoded = (Box<dyn BufRead + Send>, Encoding, u64);

/// Looks at the head of a stream and converts the rest.
///
/// # Errors
/// `dataset.empty` and `dataset.not_text` (a compressed file, an image and the like).
pub(super) fn decoded(mut input: impl BufRead + Send + 'static) -> Result<Decoded, Problem> {
    let head = head(&mut input)?;
    if head.is_empty() {
        return Err(empty());
    }
    refuse_binary(&head)?;
    let encoding = guess(&head);
    let skipped = encoding.mark();
    let mut whole = Cursor::new(head).chain(input);
    std::io::copy(&mut (&mut whole).take(skipped as u64), &mut std::io::sink())
        .map_err(|error| io_problem(&error, 0))?;
    let stream: Box<dyn BufRead + Send> = match encoding.decoder() {
        Some(decoder) => Box::new(Converting { input: whole, decoder, out: Vec::new(), at: 0, done: false }),
        None => Box::new(whole),
    };
    Ok((stream, encoding, skipped as u64))
}

/// The first bytes, until they decide.
fn head(input: &mut impl BufRead) -> Result<Vec<u8>, Problem> {
    let (mut head, mut beyond) = (Vec::new(), 0);
    while head.len() < HEAD && beyond < ENOUGH {
        let buffer = input.fill_buf().map_err(|error| io_problem(&error, head.len() as u64))?;
        if buffer.is_empty() {
            break;
        }
        beyond += buffer.iter().filter(|byte| !byte.is_ascii()).count();
        head.extend_from_slice(buffer);
        let count = buffer.len();
        input.consume(count);
    }
    Ok(head)
}

/// Files that only pretend to be text.
fn refuse_binary(head: &[u8]) -> Result<(), Problem> {
    let kinds: [(&[u8], &str); 8] = [
        (&[0x1F, 0x8B], "a gzip archive"),
        (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
        (&[0x28, 0xB5, 0x2F, 0xFD], "a Zstandard archive"),
        (b"BZh", "a bzip2 archive"),
        (b"PAR1", "a Parquet file"),
        (b"%PDF-", "a PDF"),
        (b"\x89PNG", "an image"),
        (b"\x93NUMPY", "a NumPy array"),
    ];
    match kinds.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, what)) => Err(Problem::new(Code::DatasetNotText, format!("The file is {what}, not text."))
            .byte(0)
            .hint("Unpack or export it, and upload the .jsonl, .json, .csv, .tsv, .parquet or .txt file inside.")),
        None => Ok(()),
    }
}

/// The encoding of a head: marks first, then UTF-8 unless most of what is beyond ASCII is broken as UTF-8 and whole
/// as GB18030.
fn guess(head: &[u8]) -> Encoding {
    match head {
        [0xEF, 0xBB, 0xBF, ..] => return Encoding::Utf8Mark,
        [0xFF, 0xFE, ..] => return Encoding::Utf16Le,
        [0xFE, 0xFF, ..] => return Encoding::Utf16Be,
        _ => {}
    }
    let (mut good, mut bad) = (0_usize, 0_usize);
    for chunk in head.utf8_chunks() {
        good += chunk.valid().chars().filter(|char| !char.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    let cut = std::str::from_utf8(head).is_err_and(|error| error.error_len().is_none());
    let broken = bad - usize::from(cut && bad > 0);
    if broken * 2 > good && is_gb18030(head) { Encoding::Gb18030 } else { Encoding::Utf8 }
}

/// Whether most pairs of bytes are the everyday characters of GB2312, and hardly any is none at all. A broken
/// character or two must not make a Chinese file look like broken UTF-8.
fn is_gb18030(head: &[u8]) -> bool {
    let mut decoder = GB18030.new_decoder_without_bom_handling();
    let mut text = vec![0; head.len() * 3 + 16];
    let (mut rest, mut broken) = (head, 0_usize);
    loop {
        let (result, read, _) = decoder.decode_to_utf8_without_replacement(rest, &mut text, false);
        rest = &rest[read..];
        match result {
            DecoderResult::Malformed(..) => broken += 1,
            DecoderResult::InputEmpty | DecoderResult::OutputFull => break,
        }
    }
    let (mut pairs, mut everyday, mut at) = (0_usize, 0_usize, 0);
    while at + 1 < head.len() {
        if head[at].is_ascii() {
            at += 1;
            continue;
        }
        pairs += 1;
        let common = (0xA1..=0xF7).contains(&head[at]) && head[at + 1] >= 0xA1;
        everyday += usize::from(common);
        at += 2;
    }
    everyday * 2 > pairs && broken * 10 <= pairs
}

/// Converts as it is read. A byte sequence that is no character becomes the byte 0xFF, which no UTF-8 text holds, so
/// that the row reader finds and places it.
struct Converting<R> {
    input: R,
    decoder: Decoder,
    out: Vec<u8>,
    at: usize,
    done: bool,
}

impl<R: BufRead> BufRead for Converting<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        while self.at >= self.out.len() && !self.done {
            let source = self.input.fill_buf()?;
            let last = source.is_empty();
            self.out.resize(source.len() * 3 + 32, 0);
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(source, &mut self.out, last);
            self.out.truncate(written);
            self.at = 0;
            self.input.consume(read);
            match result {
                DecoderResult::Malformed(..) => self.out.push(0xFF),
                DecoderResult::InputEmpty => self.done = last,
                DecoderResult::OutputFull => {}
            }
        }
        Ok(&self.out[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl<R: BufRead> Read for Converting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut ready = self.fill_buf()?;
        let count = ready.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// The byte of the file that became byte `converted` of the converted text.
pub(super) fn place_in_file(
    mut input: impl Read,
    encoding: Encoding,
    converted: u64,
) -> std::io::Result<u64> {
    let Some(mut decoder) = encoding.decoder() else { return Ok(converted) };
    let mut start = vec![0; encoding.mark()];
    input.read_exact(&mut start)?;
    // What readers report already counts the mark.
    let mut left = converted.saturating_sub(start.len() as u64);
    let mut place = start.len() as u64;
    // Where the character begins whose bytes are being read.
    let mut begin = place;
    let (mut block, mut out) = (vec![0; 4096], vec![0; 4096 * 3 + 32]);
    loop {
        let count = input.read(&mut block)?;
        if count == 0 {
            return Ok(place);
        }
        let mut at = 0;
        // Byte by byte near the place, in blocks before it.
        let step = if left > out.len() as u64 { count } else { 1 };
        while at < count {
            let end = (at + step).min(count);
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(&block[at..end], &mut out, false);
            let malformed = u64::from(matches!(result, DecoderResult::Malformed(..)));
            let made = written as u64 + malformed;
            if made > left {
                return Ok(begin);
            }
            left -= made;
            place += read as u64;
            begin = if made > 0 { place } else { begin };
            at += read.max(usize::from(malformed == 0));
        }
    }
}

/// Whether a text can be read back as it was: used by tests and exports.
pub fn to_gb18030(text: &str) -> Vec<u8> {
    let mut encoder = GB18030.new_encoder();
    let mut bytes = vec![0; text.len() * 4 + 16];
    let (result, _, written, _) = encoder.encode_from_utf8(text, &mut bytes, true);
    debug_assert!(result == CoderResult::InputEmpty);
    bytes.truncate(written);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (String, Encoding) {
        let (mut stream, encoding, _) = decoded(Cursor::new(bytes.to_vec())).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        (text, encoding)
    }

    #[test]
    fn gb18030_is_recognised_and_converted() {
        let text = "问题,回答\n今天天气怎么样?,很好,谢谢。😀\n";
        assert_eq!(read(&to_gb18030(text)), (text.to_owned(), Encoding::Gb18030));
    }

    #[test]
    fn utf16_and_marks() {
        let text = "q,a\n水,😀\n";
        let units: Vec<u8> = "\u{FEFF}"
            .chars()
            .chain(text.chars())
            .collect::<String>()
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(read(&units), (text.to_owned(), Encoding::Utf16Le));
        let units: Vec<u8> = format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(read(&units), (text.to_owned(), Encoding::Utf16Be));
        assert_eq!(read(format!("\u{FEFF}{text}").as_bytes()), (text.to_owned(), Encoding::Utf8Mark));
    }

    #[test]
    fn latin_1_is_not_taken_for_chinese() {
        let latin: Vec<u8> = "naïve café, señor Müller".chars().map(|char| char as u8).collect();
        assert_eq!(guess(&latin), Encoding::Utf8, "and so the row with the broken byte is named");
        assert_eq!(guess("水".as_bytes()), Encoding::Utf8);
        assert_eq!(guess(&"水".as_bytes()[..2]), Encoding::Utf8, "a head may end inside a character");
    }

    #[test]
    fn a_place_in_the_converted_text_is_found_in_the_file() {
        let text = "水水a水";
        let bytes = to_gb18030(text);
        for (converted, file) in [(0, 0), (3, 2), (6, 4), (7, 5)] {
            let found = place_in_file(bytes.as_slice(), Encoding::Gb18030, converted).unwrap();
            assert_eq!(found, file, "byte {converted}");
        }
    }
}
