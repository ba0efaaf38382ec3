//! Pages of a Parquet file, looked at before they are unpacked and before values are made of them. The reader takes all
//! the memory that a page asks for; here it is known how much that would be.

use contract::limits::Limit;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use contract::problem::Problem;
use flate2::read::MultiGzDecoder;
use parquet::basic::{Compression, Encoding, Type};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, FileReader, Length, RowGroupReader, SerializedPageReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::Type as Schema;

use super::runs;
use super::thrift::{Broken, Kind, Thrift};
use crate::source::limits::{
    BATCH_VALUES_LIMIT, HEADER_LIMIT, HELD_LIMIT, too_many_values, unpacks_too_large,
};
/// Bytes that gzip makes of one at most.
const GZIP_RATIO: usize = 1032;

/// Bytes of a value that a dictionary holds, beside those of its text.
const ENTRY: usize = 32;

/// Bytes of a length that is unpacked.
const LENGTH: usize = 4;

/// What all columns of a row group hold at a time, and why one of them cannot be read.
#[derive(Default)]
pub(super) struct Held {
    bytes: usize,
    values: usize,
    fault: Option<Problem>,
}

/// Shared by the columns of a file.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Held>>);

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The limit that was broken, if it was one.
    pub(super) fn fault(&self) -> Option<Problem> {
        self.with(|held| held.fault.take())
    }

    fn fail<T>(&self, problem: Problem) -> Result<T> {
        let message = problem.message.clone();
        self.with(|held| {
            held.fault.get_or_insert(problem);
        });
        Err(ParquetError::General(message))
    }
}

fn wrong<T>(why: &str) -> Result<T> {
    Err(ParquetError::General(why.to_owned()))
}

/// A file whose pages are checked.
pub(super) struct Checked {
    pub(super) file: Arc<File>,
    pub(super) metadata: ParquetMetaData,
    pub(super) shared: Shared,
    /// Rows that are read at a time.
    pub(super) batch: usize,
}

impl FileReader for Checked {
    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }

    fn num_row_groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    fn get_row_group(&self, index: usize) -> Result<Box<dyn RowGroupReader + '_>> {
        Ok(Box::new(Group { file: self, metadata: self.metadata.row_group(index) }))
    }

    fn get_row_iter(&self, projection: Option<Schema>) -> Result<RowIter<'_>> {
        RowIter::from_file(projection, self)
    }
}

struct Group<'f> {
    file: &'f Checked,
    metadata: &'f RowGroupMetaData,
}

impl RowGroupReader for Group<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.metadata
    }

    fn num_columns(&self) -> usize {
        self.metadata.num_columns()
    }

    fn get_column_page_reader(&self, index: usize) -> Result<Box<dyn PageReader>> {
        let rows = usize::try_from(self.metadata.num_rows())?;
        Ok(Box::new(Pages::new(self.file, self.metadata.column(index), rows)?))
    }

    fn get_column_bloom_filter(&self, _: usize) -> Option<&Sbbf> {
        None
    }

    fn get_row_iter(&self, projection: Option<Schema>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

/// What the header of a page says.
#[derive(Clone, Copy, Default)]
struct Header {
    kind: i64,
    unpacked: usize,
    packed: usize,
}

/// The kind of pages that hold no values.
const INDEX_PAGE: i64 = 1;

/// The pages of one column.
struct Pages {
    inner: SerializedPageReader<File>,
    file: Arc<File>,
    shared: Shared,
    batch: u64,
    /// Where the next header is, and the bytes of the column from there on.
    at: u64,
    left: u64,
    codec: Compression,
    kind: Type,
    width: usize,
    max_rep: i16,
    max_def: i16,
    /// Rows that began so far; values of the last one and of its batch.
    rows: u64,
    in_row: usize,
    in_batch: usize,
    /// Bytes that the dictionary takes, and the pages that a batch lies in with the last batch of each.
    dictionary: usize,
    pages: VecDeque<(u64, usize)>,
    /// Lengths of the texts of the dictionary, where rows hold many of them.
    lengths: Vec<u32>,
    longest: u64,
}

impl Pages {
    fn new(file: &Checked, column: &ColumnChunkMetaData, rows: usize) -> Result<Self> {
        let (at, left) = column.byte_range();
        let descr = column.column_descr();
        Ok(Self {
            inner: SerializedPageReader::new(Arc::clone(&file.file), column, rows, None)?,
            file: Arc::clone(&file.file),
            shared: file.shared.clone(),
            batch: file.batch as u64,
            at,
            left,
            codec: column.compression(),
            kind: column.column_type(),
            width: usize::try_from(descr.type_length()).unwrap_or(0),
            max_rep: descr.max_rep_level(),
            max_def: descr.max_def_level(),
            rows: 0,
            in_row: 0,
            in_batch: 0,
            dictionary: 0,
            pages: VecDeque::new(),
            lengths: Vec::new(),
            longest: 0,
        })
    }

    /// The header of the next page, and its length.
    fn header(&self) -> Result<(Header, usize)> {
        let there = self.left.min(self.file.len().saturating_sub(self.at));
        let mut size = 1 << 10;
        loop {
            let take = usize::try_from(there).unwrap_or(size).min(size);
            match parsed(&self.file.get_bytes(self.at, take)?) {
                Ok(found) => return Ok(found),
                Err(Broken::Short) if size < HEADER_LIMIT && (take as u64) < there => size *= 16,
                Err(_) => return wrong("the header of a page cannot be read"),
            }
        }
    }

    /// Looks at the next page with values, so that it may be unpacked; `None` at the end.
    fn check_next(&mut self) -> Result<Option<Header>> {
        while self.left > 0 {
            let (header, length) = self.header()?;
            let data = self.at + length as u64;
            let size = (length + header.packed) as u64;
            if size > self.left {
                return wrong("a page is longer than its column");
            }
            if header.unpacked > Limit::PageBytes.get() {
                return self.shared.fail(unpacks_too_large("one of its pages"));
            }
            let gzip = matches!(self.codec, Compression::GZIP(_));
            if gzip && header.packed.saturating_mul(GZIP_RATIO) > Limit::PageBytes.get() {
                self.check_gzip(data, header.packed)?;
            }
            self.at += size;
            self.left -= size;
            if header.kind != INDEX_PAGE {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// The reader unpacks gzip to its end, whatever the header of the page says.
    fn check_gzip(&self, at: u64, packed: usize) -> Result<()> {
        let packed = self.file.get_bytes(at, packed)?;
        let mut unpacked = MultiGzDecoder::new(packed.as_ref()).take(Limit::PageBytes.value() + 1);
        let size = std::io::copy(&mut unpacked, &mut std::io::sink());
        if size.is_ok_and(|size| size > Limit::PageBytes.value()) {
            return self.shared.fail(unpacks_too_large("one of its pages"));
        }
        Ok(())
    }

    /// Takes note of bytes that are held from now on.
    fn hold(&self, bytes: usize) -> Result<()> {
        let held = self.shared.with(|held| {
            held.bytes = held.bytes.saturating_add(bytes);
            held.bytes
        });
        if held > HELD_LIMIT {
            self.shared.fail(unpacks_too_large("what its columns hold at a time"))
        } else {
            Ok(())
        }
    }

    fn let_go(&self, bytes: usize) {
        self.shared.with(|held| held.bytes = held.bytes.saturating_sub(bytes));
    }

    /// The batch of the last row that began.
    fn batch_now(&self) -> u64 {
        self.rows.saturating_sub(1) / self.batch
    }

    fn next_page(&mut self) -> Result<Option<Page>> {
        let Some(header) = self.check_next()? else { return self.inner.get_next_page() };
        // A row that ended its batch lets go of the pages before.
        let begun = self.rows / self.batch;
        while let Some((_, bytes)) = self.pages.pop_front_if(|(last, _)| *last < begun) {
            self.let_go(bytes);
        }
        self.hold(header.unpacked)?;
        let page = self.inner.get_next_page()?;
        match &page {
            Some(Page::DictionaryPage { buf, num_values, .. }) => {
                self.let_go(self.dictionary);
                let more = self.check_dictionary(buf, *num_values as usize)?;
                self.hold(more)?;
                self.dictionary = header.unpacked + more;
            }
            Some(page) => {
                let more = self.check_values(page)?;
                self.hold(more)?;
                self.pages.push_back((self.batch_now(), header.unpacked + more));
            }
            None => self.let_go(header.unpacked),
        }
        Ok(page)
    }

    /// The bytes that a dictionary takes beside its page.
    fn check_dictionary(&mut self, bytes: &[u8], count: usize) -> Result<usize> {
        let least = match self.kind {
            Type::BYTE_ARRAY => LENGTH,
            Type::FIXED_LEN_BYTE_ARRAY => self.width.max(1),
            Type::INT32 | Type::FLOAT => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::BOOLEAN => 1,
        };
        if count > bytes.len() / least {
            return wrong("a dictionary says it has more values than it has");
        }
        self.lengths.clear();
        self.longest = self.width as u64;
        let mut rest = bytes;
        while self.kind == Type::BYTE_ARRAY
            && self.lengths.len() < count
            && let Some((length, after)) = rest.split_first_chunk()
        {
            let length = u32::from_le_bytes(*length);
            self.lengths.push(length);
            self.longest = self.longest.max(u64::from(length));
            rest = after.get(length as usize..).unwrap_or_default();
        }
        Ok(count * (ENTRY + LENGTH))
    }

    /// The bytes that the values of a page take beside it.
    fn check_values(&mut self, page: &Page) -> Result<usize> {
        let count = page.num_values() as usize;
        let Some(parts) = parts(page, self.max_rep, self.max_def) else {
            return wrong("the levels of a page are cut off");
        };
        let before = self.in_row;
        let longest_row = self.count_rows(&parts, count)?;
        match page.encoding() {
            Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY if self.max_rep > 0 => {
                let most = longest_row.max(before) as u64 * self.longest;
                if most > HELD_LIMIT as u64 && self.texts(parts.values, count) > HELD_LIMIT as u64 {
                    return self.shared.fail(unpacks_too_large("one of its rows"));
                }
                Ok(0)
            }
            Encoding::DELTA_LENGTH_BYTE_ARRAY => Ok(self.check_count(parts.values, count)? * LENGTH),
            Encoding::DELTA_BYTE_ARRAY => {
                let count = self.check_count(parts.values, count)?;
                let sums = runs::sum_of_differences(parts.values).and_then(|(prefixes, rest)| {
                    // The lengths of the rest of the texts follow.
                    let there = runs::differences(rest)?;
                    if there > count as u64 {
                        return Err(Broken::Wrong);
                    }
                    Ok(prefixes.saturating_add(runs::sum_of_differences(rest)?.0))
                });
                let Ok(unpacked) = sums else { return wrong("the lengths of texts cannot be read") };
                if unpacked > Limit::PageBytes.value() {
                    return self.shared.fail(unpacks_too_large("one of its pages"));
                }
                Ok(count * (ENTRY + 2 * LENGTH) + usize::try_from(unpacked).unwrap_or(Limit::PageBytes.get()))
            }
            _ => Ok(0),
        }
    }

    /// The number of lengths in front of texts, which the reader makes room for at once.
    fn check_count(&self, values: &[u8], count: usize) -> Result<usize> {
        match runs::differences(values) {
            Ok(found) if found <= count as u64 => Ok(count),
            _ => wrong("a page says it has more texts than values"),
        }
    }

    /// Bytes of all texts of a page of references to the dictionary.
    fn texts(&self, values: &[u8], count: usize) -> u64 {
        let Some((width, references)) = values.split_first() else { return 0 };
        let mut sum = 0_u64;
        let width = u32::from(*width).min(32);
        let _: std::result::Result<(), ()> = runs::each(references, width, count, |index, times| {
            let length = usize::try_from(index).ok().and_then(|index| self.lengths.get(index));
            let length = length.map_or(self.width as u64, |length| u64::from(*length));
            sum = sum.saturating_add(length.saturating_mul(times as u64));
            Ok(())
        });
        sum
    }

    /// Counts the rows of a page and the values of each; gives those of the longest row.
    fn count_rows(&mut self, parts: &Parts, count: usize) -> Result<usize> {
        if self.max_rep == 0 {
            self.rows += count as u64;
            return Ok(1);
        }
        let width = bits_of(self.max_rep);
        let (shared, batch) = (self.shared.clone(), self.batch);
        let (mut rows, mut in_row, mut in_batch) = (self.rows, self.in_row, self.in_batch);
        let mut longest = 0;
        let mut note = |level: u64, times: usize| {
            let before = in_batch;
            if level == 0 {
                let last = rows.saturating_sub(1) / batch;
                rows += times as u64;
                let now = (rows - 1) / batch;
                let of_batch = usize::try_from((rows - 1) % batch).unwrap_or(0) + 1;
                in_batch = if now == last && rows > times as u64 { in_batch + times } else { of_batch };
                in_row = 1;
            } else {
                in_row += times;
                in_batch += times;
            }
            longest = longest.max(in_row);
            let all = shared.with(|held| {
                held.values = (held.values + in_batch).saturating_sub(before);
                held.values
            });
            if in_row > Limit::RowValues.get() {
                return shared.fail(too_many_values(Limit::RowValues.get()));
            }
            if all > BATCH_VALUES_LIMIT {
                return shared.fail(too_many_values(BATCH_VALUES_LIMIT));
            }
            Ok(())
        };
        if parts.packed {
            runs::bits(parts.rep, width, count, &mut note)?;
        } else {
            runs::each(parts.rep, width, count, &mut note)?;
        }
        (self.rows, self.in_row, self.in_batch) = (rows, in_row, in_batch);
        Ok(longest)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let bytes = self.dictionary + self.pages.iter().map(|(_, bytes)| bytes).sum::<usize>();
        self.shared.with(|held| {
            held.bytes = held.bytes.saturating_sub(bytes);
            held.values = held.values.saturating_sub(self.in_batch);
        });
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.next_page()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        if self.left > 0 {
            self.header()?;
        }
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.next_page().map(drop)
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        if self.left > 0 {
            self.header()?;
        }
        self.inner.at_record_boundary()
    }
}

fn parsed(bytes: &[u8]) -> std::result::Result<(Header, usize), Broken> {
    let mut thrift = Thrift::new(bytes);
    let (mut header, mut last) = (Header::default(), 0);
    let size = |number: i64| usize::try_from(number).map_err(|_| Broken::Wrong);
    while let Some(kind) = thrift.field(&mut last)? {
        match (last, kind) {
            (1, Kind::Number) => header.kind = thrift.number()?,
            (2, Kind::Number) => header.unpacked = size(thrift.number()?)?,
            (3, Kind::Number) => header.packed = size(thrift.number()?)?,
            (_, kind) => thrift.skip(kind)?,
        }
    }
    Ok((header, thrift.read()))
}

/// Bits of a level.
fn bits_of(most: i16) -> u32 {
    i16::BITS - most.leading_zeros()
}

/// What a page consists of.
struct Parts<'p> {
    /// How deep in a row's lists each value begins anew.
    rep: &'p [u8],
    /// Whether these are packed without runs, as they once were.
    packed: bool,
    values: &'p [u8],
}

fn parts(page: &Page, max_rep: i16, max_def: i16) -> Option<Parts<'_>> {
    let count = page.num_values() as usize;
    match page {
        Page::DataPage { buf, rep_level_encoding, def_level_encoding, .. } => {
            let (rep, rest) = level(buf, *rep_level_encoding, max_rep, count)?;
            let (_, values) = level(rest, *def_level_encoding, max_def, count)?;
            #[expect(deprecated, reason = "old files have it")]
            let packed = *rep_level_encoding == Encoding::BIT_PACKED;
            Some(Parts { rep, packed, values })
        }
        Page::DataPageV2 { buf, rep_levels_byte_len, def_levels_byte_len, .. } => {
            let (rep, rest) = buf.split_at_checked(*rep_levels_byte_len as usize)?;
            let values = rest.get(*def_levels_byte_len as usize..)?;
            Some(Parts { rep, packed: false, values })
        }
        Page::DictionaryPage { .. } => None,
    }
}

/// The levels in front of a page's values, and what follows them.
fn level(bytes: &[u8], encoding: Encoding, most: i16, count: usize) -> Option<(&[u8], &[u8])> {
    if most == 0 {
        return Some((&[], bytes));
    }
    if encoding == Encoding::RLE {
        let (length, rest) = bytes.split_first_chunk()?;
        return rest.split_at_checked(u32::from_le_bytes(*length) as usize);
    }
    bytes.split_at_checked(count.checked_mul(bits_of(most) as usize)?.div_ceil(8))
}
