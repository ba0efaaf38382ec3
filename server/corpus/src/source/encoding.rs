//! Character encodings: UTF-8 with and without a mark, UTF-16, and the encodings of single scripts. Whatever is not
//! UTF-8 is converted while it is read.

mod guess;
mod plausible;

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
    /// Another encoding, or UTF-16 without a mark.
    Table(&'static encoding_rs::Encoding),
    /// No text: the columns of a Parquet file.
    Binary,
}

impl Encoding {
    /// The encoding of a name, as people and programs write it: `EUC-KR`, `sjis`, `cp1251`. `None`: no such.
    pub fn named(name: &str) -> Option<Self> {
        let table = encoding_rs::Encoding::for_label(name.trim().as_bytes())?;
        Some(if table == encoding_rs::UTF_8 { Self::Utf8 } else { Self::Table(table) })
    }

    /// As people name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf8Mark => "UTF-8 (BOM)",
            Self::Utf16Le => "UTF-16LE",
            Self::Utf16Be => "UTF-16BE",
            Self::Table(table) if table == GB18030 => "GB18030",
            Self::Table(table) => table.name(),
            Self::Binary => "Parquet",
        }
    }

    /// Bytes of the mark.
    fn mark(self) -> usize {
        match self {
            Self::Utf8Mark => 3,
            Self::Utf16Le | Self::Utf16Be => 2,
            Self::Utf8 | Self::Table(_) | Self::Binary => 0,
        }
    }

    fn decoder(self) -> Option<Decoder> {
        let table = match self {
            Self::Utf16Le => UTF_16LE,
            Self::Utf16Be => UTF_16BE,
            Self::Table(table) => table,
            Self::Utf8 | Self::Utf8Mark | Self::Binary => return None,
        };
        Some(table.new_decoder_without_bom_handling())
    }
}

/// A stream that gives UTF-8, and the bytes skipped in front.
pub(super) type Decoded = (Box<dyn BufRead + Send>, u64);

/// Converts a stream of which the head was read already.
///
/// # Errors
/// When the stream breaks off within the mark.
pub(super) fn decoded(
    head: Vec<u8>,
    input: impl BufRead + Send + 'static,
    encoding: Encoding,
) -> Result<Decoded, Problem> {
    let skipped = encoding.mark();
    let mut whole = Cursor::new(head).chain(input);
    std::io::copy(&mut (&mut whole).take(skipped as u64), &mut std::io::sink())
        .map_err(|error| io_problem(&error, 0))?;
    let stream: Box<dyn BufRead + Send> = match encoding.decoder() {
        Some(decoder) => Box::new(Converting { input: whole, decoder, out: Vec::new(), at: 0, done: false }),
        None => Box::new(whole),
    };
    Ok((stream, skipped as u64))
}

/// The first bytes of a stream.
///
/// # Errors
/// `dataset.empty` and `dataset.not_text` (a compressed file, an image and the like).
pub(super) fn looked_at(input: &mut impl BufRead) -> Result<Vec<u8>, Problem> {
    let head = head(input)?;
    if head.is_empty() {
        return Err(empty());
    }
    refuse_binary(&head)?;
    Ok(head)
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
    let kinds: [(&[u8], &str); 9] = [
        (&[0x1F, 0x8B], "a gzip archive"),
        (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
        (b"\xD0\xCF\x11\xE0", "an Excel or Word document of before 2007"),
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
            .hint("Unpack or export it, and upload the .jsonl, .json, .csv, .tsv, .xlsx, .parquet or .txt file inside.")),
        None => Ok(()),
    }
}

/// The encoding that a mark in front names.
pub(super) fn marked(head: &[u8]) -> Option<Encoding> {
    match head {
        [0xEF, 0xBB, 0xBF, ..] => Some(Encoding::Utf8Mark),
        [0xFF, 0xFE, ..] => Some(Encoding::Utf16Le),
        [0xFE, 0xFF, ..] => Some(Encoding::Utf16Be),
        _ => None,
    }
}

/// The encodings that a head could be in, best first; one where it is clear. UTF-8 is clear unless most of what is
/// beyond ASCII is broken as UTF-8 and makes sense as something else.
pub(super) fn candidates(head: &[u8]) -> Vec<Encoding> {
    if let Some(encoding) = marked(head) {
        return vec![encoding];
    }
    let (mut good, mut bad) = (0_usize, 0_usize);
    for chunk in head.utf8_chunks() {
        good += chunk.valid().chars().filter(|char| !char.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    let cut = std::str::from_utf8(head).is_err_and(|error| error.error_len().is_none());
    let broken = bad - usize::from(cut && bad > 0);
    // UTF-16 of ASCII and ISO-2022-JP are UTF-8 as well.
    let found = if broken * 2 > good || good == 0 { guess::tables(head) } else { Vec::new() };
    if found.is_empty() { vec![Encoding::Utf8] } else { found.into_iter().map(Encoding::Table).collect() }
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
        let encoding = candidates(bytes)[0];
        let (mut stream, _) = decoded(bytes.to_vec(), std::io::empty(), encoding).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        (text, encoding)
    }

    #[test]
    fn gb18030_is_recognised_and_converted() {
        let text = "问题,回答\n今天天气怎么样?,很好,谢谢。😀\n";
        assert_eq!(read(&to_gb18030(text)), (text.to_owned(), Encoding::Table(GB18030)));
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
        assert_eq!(candidates(&latin)[0].name(), "windows-1252");
        assert_eq!(candidates("水".as_bytes()), [Encoding::Utf8]);
        assert_eq!(candidates(&"水".as_bytes()[..2]), [Encoding::Utf8], "a head may end inside a character");
    }

    #[test]
    fn one_broken_byte_of_utf8_is_no_other_encoding() {
        for bytes in [
            &b"ab\xFFc\n"[..],
            b"{\"a\":\"\xC3(\"}\n",
            b"q,a\nx,\xFF\n",
            b"\xC0\x80\n",
            b"\xED\xA0\x80\n",
            b"a\0b\n",
            b"q,a\nx,y\nx,\0\n",
            "q,a\n水,火\0\n".as_bytes(),
            &["水火土\nab".as_bytes(), b"\xE9", "c 水\n".as_bytes()].concat(),
        ] {
            assert_eq!(candidates(bytes), [Encoding::Utf8], "{bytes:?}");
        }
    }

    #[test]
    fn names_of_encodings_are_those_that_people_use() {
        for (name, wanted) in [
            ("EUC-KR", Some("EUC-KR")),
            ("cp949", None),
            (" sjis ", Some("Shift_JIS")),
            ("GBK", Some("GBK")),
            ("gb18030", Some("GB18030")),
            ("utf8", Some("UTF-8")),
            ("UTF-16", Some("UTF-16LE")),
            ("cp1251", Some("windows-1251")),
            ("moon", None),
        ] {
            assert_eq!(Encoding::named(name).map(Encoding::name), wanted, "{name}");
        }
    }

    #[test]
    fn a_place_in_the_converted_text_is_found_in_the_file() {
        let text = "水水a水";
        let bytes = to_gb18030(text);
        for (converted, file) in [(0, 0), (3, 2), (6, 4), (7, 5)] {
            let found = place_in_file(bytes.as_slice(), Encoding::Table(GB18030), converted).unwrap();
            assert_eq!(found, file, "byte {converted}");
        }
    }
}
