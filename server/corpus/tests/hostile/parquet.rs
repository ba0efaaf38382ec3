//! Parquet files byte by byte, so that they can say what no writer would.

/// A number of seven bits a byte.
pub(crate) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

/// A structure of Thrift's compact protocol that grows field by field.
#[derive(Default)]
struct Struct {
    out: Vec<u8>,
    last: u8,
}

impl Struct {
    fn field(mut self, id: u8, kind: u8, value: &[u8]) -> Self {
        self.out.push((id - self.last) << 4 | kind);
        self.last = id;
        self.out.extend_from_slice(value);
        self
    }

    fn number(self, id: u8, number: i64) -> Self {
        let mut value = Vec::new();
        varint(zigzag(number), &mut value);
        self.field(id, 5, &value)
    }

    /// Numbers of 64 bits have a kind of their own.
    fn long(self, id: u8, number: i64) -> Self {
        let mut value = Vec::new();
        varint(zigzag(number), &mut value);
        self.field(id, 6, &value)
    }

    fn text(self, id: u8, text: &str) -> Self {
        self.field(id, 8, &sized(text))
    }

    fn list(self, id: u8, kind: u8, items: &[Vec<u8>]) -> Self {
        let mut value = vec![0xF0 | kind];
        varint(items.len() as u64, &mut value);
        value.extend(items.iter().flatten());
        self.field(id, 9, &value)
    }

    fn end(mut self) -> Vec<u8> {
        self.out.push(0);
        self.out
    }
}

fn sized(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    varint(text.len() as u64, &mut out);
    out.extend_from_slice(text.as_bytes());
    out
}

/// A page with what its header says of it.
#[derive(Clone)]
pub(crate) struct Page {
    kind: i64,
    pub unpacked: i64,
    pub packed: i64,
    values: i64,
    encoding: i64,
    data: Vec<u8>,
}

impl Page {
    pub(crate) fn data(unpacked: usize, data: Vec<u8>, values: i32, encoding: i64) -> Self {
        let packed = data.len() as i64;
        Self { kind: 0, unpacked: unpacked as i64, packed, values: values.into(), encoding, data }
    }

    pub(crate) fn dictionary(data: Vec<u8>, values: i32) -> Self {
        let size = data.len() as i64;
        Self { kind: 2, unpacked: size, packed: size, values: values.into(), encoding: 0, data }
    }

    fn bytes(&self) -> Vec<u8> {
        let header = Struct::default().number(1, self.kind).number(2, self.unpacked).number(3, self.packed);
        let about = Struct::default().number(1, self.values).number(2, self.encoding);
        let header = if self.kind == 0 {
            header.field(5, 12, &about.number(3, 3).number(4, 3).end())
        } else {
            header.field(7, 12, &about.end())
        };
        [header.end(), self.data.clone()].concat()
    }
}

/// The only column of a file, of texts.
pub(crate) struct Column {
    pub pages: Vec<Page>,
    pub codec: i64,
    pub values: i64,
    pub optional: bool,
    pub repeated: bool,
}

impl Column {
    pub(crate) fn file(&self, rows: i64) -> Vec<u8> {
        let mut file = b"PAR1".to_vec();
        let has_dictionary = self.pages.first().is_some_and(|page| page.kind == 2);
        let first = self.pages.first().map_or(0, |page| page.bytes().len());
        self.pages.iter().for_each(|page| file.extend(page.bytes()));
        let size = file.len() as i64 - 4;
        let unpacked = self.pages.iter().map(|page| page.unpacked.max(0)).sum();
        let data = if has_dictionary { 4 + first as i64 } else { 4 };
        let about = Struct::default()
            .number(1, 6)
            .list(2, 5, &[vec![0]])
            .list(3, 8, &[sized("a")])
            .number(4, self.codec)
            .long(5, self.values)
            .long(6, unpacked)
            .long(7, size)
            .long(9, data);
        let about = if has_dictionary { about.long(11, 4) } else { about };
        let chunk = Struct::default().long(2, 4).field(3, 12, &about.end()).end();
        let group = Struct::default().list(1, 12, &[chunk]).long(2, unpacked).long(3, rows).end();
        let repetition = if self.repeated { 2 } else { i64::from(self.optional) };
        let schema = [
            Struct::default().text(4, "r").number(5, 1).end(),
            Struct::default().number(1, 6).number(3, repetition).text(4, "a").number(6, 0).end(),
        ];
        footer(&mut file, &schema, rows, &[group]);
        file
    }
}

fn footer(file: &mut Vec<u8>, schema: &[Vec<u8>], rows: i64, groups: &[Vec<u8>]) {
    let about = Struct::default().number(1, 1).list(2, 12, schema).long(3, rows).list(4, 12, groups).end();
    file.extend_from_slice(&about);
    file.extend_from_slice(&(about.len() as u32).to_le_bytes());
    file.extend_from_slice(b"PAR1");
}

/// A file of one column of required texts.
pub(crate) fn one_column(codec: i64, pages: &[Page], rows: i64) -> Vec<u8> {
    Column { pages: pages.to_vec(), codec, values: rows, optional: false, repeated: false }.file(rows)
}

/// A file that is a footer with these columns: their names, and the children of groups.
pub(crate) fn named(columns: &[(&str, Option<i64>)], rows: i64) -> Vec<u8> {
    let element = |(name, children): &(&str, Option<i64>)| match children {
        Some(children) => Struct::default().number(3, 0).text(4, name).number(5, *children).end(),
        None => Struct::default().number(1, 6).number(3, 0).text(4, name).end(),
    };
    let mut file = b"PAR1".to_vec();
    footer(&mut file, &columns.iter().map(element).collect::<Vec<_>>(), rows, &[]);
    file
}

/// Groups in groups.
pub(crate) fn nested(depth: usize) -> Vec<u8> {
    named(&[vec![("g", Some(1)); depth], vec![("a", None)]].concat(), 0)
}

/// Many columns.
pub(crate) fn columns(width: usize) -> Vec<u8> {
    let names: Vec<String> = (0..width).map(|n| format!("c{n}")).collect();
    let leaves = names.iter().map(|name| (name.as_str(), None));
    named(&[("r", Some(width as i64))].into_iter().chain(leaves).collect::<Vec<_>>(), 0)
}

fn run(count: usize, value: u8) -> Vec<u8> {
    let mut out = Vec::new();
    varint((count as u64) << 1, &mut out);
    out.push(value);
    out
}

/// Levels with their length in front.
fn levels(runs: &[u8]) -> Vec<u8> {
    [&(runs.len() as u32).to_le_bytes()[..], runs].concat()
}

fn text(size: usize) -> Vec<u8> {
    [&(size as u32).to_le_bytes()[..], &vec![b'a'; size]].concat()
}

/// Rows without a value, in one run.
pub(crate) fn nulls(rows: usize) -> Vec<u8> {
    let data = levels(&run(rows, 0));
    let pages = vec![Page::data(data.len(), data, rows as i32, 0)];
    let values = rows as i64;
    Column { pages, codec: 0, values, optional: true, repeated: false }.file(values)
}

/// One text of `size` bytes that all rows refer to in one run.
pub(crate) fn dictionary_bomb(size: usize, rows: usize) -> Vec<u8> {
    let data = [vec![1], run(rows, 0)].concat();
    one_column(
        0,
        &[Page::dictionary(text(size), 1), Page::data(data.len(), data, rows as i32, 8)],
        rows as i64,
    )
}

/// One row whose list holds one text of `size` bytes `values` times.
pub(crate) fn lists(values: usize, size: usize) -> Vec<u8> {
    let repeats = levels(&[run(1, 0), run(values - 1, 1)].concat());
    let data = [repeats, levels(&run(values, 1)), vec![1], run(values, 0)].concat();
    let pages = vec![Page::dictionary(text(size), 1), Page::data(data.len(), data, values as i32, 8)];
    Column { pages, codec: 0, values: values as i64, optional: false, repeated: true }.file(1)
}

/// Texts that each begin with the whole of the one before.
pub(crate) fn prefixes(size: usize, count: usize) -> Vec<u8> {
    let differences = |first: i64, least: i64| {
        let mut out = vec![0x80, 1, 1];
        varint(count as u64, &mut out);
        varint(zigzag(first), &mut out);
        for _ in 0..(count - 1).div_ceil(128) {
            varint(zigzag(least), &mut out);
            out.push(0);
        }
        out
    };
    // Prefixes: 0, then `size` each; the rest of the texts: `size`, then nothing.
    let list = |first: i64, then: i64| {
        let mut out = vec![0x80, 1, 4];
        varint(count as u64, &mut out);
        varint(zigzag(first), &mut out);
        let mut left = count - 1;
        let mut step = then - first;
        while left > 0 {
            // The first step of the first block is the only one; it is packed as a difference of bits.
            let bits = if step > 0 { 32 } else { 0 };
            varint(zigzag(if step < 0 { step } else { 0 }), &mut out);
            out.extend([bits, 0, 0, 0]);
            if bits > 0 {
                out.extend((step as u32).to_le_bytes());
                out.extend([0; 31 * 4]);
            }
            step = 0;
            left = left.saturating_sub(128);
        }
        out
    };
    let lengths = differences(size as i64, 0);
    let data = [list(0, size as i64), lengths, vec![b'a'; size]].concat();
    one_column(0, &[Page::data(data.len(), data, count as i32, 7)], count as i64)
}

/// A text page of `size` bytes in Zstandard: runs of one byte.
pub(crate) fn zstd(size: usize) -> Vec<u8> {
    let mut out = vec![0x28, 0xB5, 0x2F, 0xFD, 0xA0];
    out.extend((size as u32).to_le_bytes());
    let mut left = size;
    while left > 0 {
        let block = left.min(128 << 10);
        left -= block;
        let header = u32::from(left == 0) | 1 << 1 | (block as u32) << 3;
        out.extend(&header.to_le_bytes()[..3]);
        out.push(b'a');
    }
    out
}

/// The same in Snappy: a letter, then copies of what came before.
pub(crate) fn snappy(size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    varint(size as u64, &mut out);
    out.extend([0, b'a']);
    let mut left = size - 1;
    while left > 0 {
        let copy = left.min(64);
        left -= copy;
        out.extend([(copy as u8 - 1) << 2 | 2, 1, 0]);
    }
    out
}

/// The same in gzip, but for its checksum.
pub(crate) fn gzip(size: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    // The last block, in the fixed code: a letter, copies of 258 bytes from one byte before, the end.
    bits.push(1, 1);
    bits.push(1, 2);
    bits.code(0x30 + u32::from(b'a'), 8);
    for _ in 0..(size - 1) / 258 {
        bits.code(0xC5, 8);
        bits.code(0, 5);
    }
    bits.code(0, 7);
    let head = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];
    [&head[..], &bits.out, &[0; 4], &(size as u32).to_le_bytes()].concat()
}

#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    at: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.at.is_multiple_of(8) {
                self.out.push(0);
            }
            if let Some(last) = self.out.last_mut() {
                *last |= ((value >> bit & 1) as u8) << (self.at % 8);
            }
            self.at += 1;
        }
    }

    /// Codes have their highest bit first.
    fn code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }
}
