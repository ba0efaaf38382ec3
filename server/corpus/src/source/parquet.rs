//! Rows of a Parquet file, one row group after the other, one page of each column in memory.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use contract::Code;
use contract::problem::Problem;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as Record};
use serde_json::{Map, Number, Value};

use super::{DEPTH_LIMIT, Row};

/// Rows read from the column pages at a time.
const BATCH: usize = 256;

pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    row: u64,
}

impl ParquetRows {
    /// Reads the footer.
    pub(super) fn new(file: File) -> Result<Self, Problem> {
        let opened = guarded(|| SerializedFileReader::new(file).map_err(|error| error.to_string()));
        let reader = opened.map_err(|why| broken(&why))?;
        if reader.metadata().file_metadata().schema().get_fields().is_empty() {
            return Err(broken("it has no columns"));
        }
        let rows = RowIter::from_file_into(Box::new(reader)).with_batch_size(BATCH);
        Ok(Self { rows, row: 0 })
    }
}

impl Iterator for ParquetRows {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.row + 1;
        let read = guarded(|| self.rows.next().transpose().map_err(|error| error.to_string()));
        match read {
            Ok(None) => None,
            Ok(Some(record)) => {
                self.row = row;
                let cells = record.into_columns().into_iter().map(|(name, field)| (name, value(field, 0)));
                Some(Ok(Row { cells: cells.collect() }))
            }
            Err(why) => Some(Err(broken(&why).row(row))),
        }
    }
}

/// The reader trusts what files say of themselves; a file that lies must not take the process with it.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err("its parts contradict one another".to_owned()))
}

fn broken(why: &str) -> Problem {
    Problem::new(Code::DatasetParquetBroken, format!("The file is not valid Parquet: {why}."))
        .with("why", why)
        .hint("Write it again with Snappy, gzip, Zstandard or no compression, or upload it as JSON Lines.")
}

fn number(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// A cell as JSON. Bytes that are no text are named by their size: a picture column does not spoil the rows.
fn value(field: Field, depth: usize) -> Value {
    if depth > DEPTH_LIMIT {
        return Value::Null;
    }
    match field {
        Field::Null => Value::Null,
        Field::Bool(it) => Value::from(it),
        Field::Byte(it) => Value::from(it),
        Field::Short(it) => Value::from(it),
        Field::Int(it) | Field::Date(it) | Field::TimeMillis(it) => Value::from(it),
        Field::Long(it) | Field::TimeMicros(it) | Field::TimestampMillis(it) | Field::TimestampMicros(it) => {
            Value::from(it)
        }
        Field::UByte(it) => Value::from(it),
        Field::UShort(it) => Value::from(it),
        Field::UInt(it) => Value::from(it),
        Field::ULong(it) => Value::from(it),
        Field::Float16(it) => number(f64::from(it)),
        // The shortest decimal, as the same number stands in a text file: 0.1, not 0.10000000149011612.
        Field::Float(it) => number(it.to_string().parse().unwrap_or(f64::from(it))),
        Field::Double(it) => number(it),
        Field::Str(it) => Value::from(it),
        Field::Bytes(it) => match std::str::from_utf8(it.data()) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(format!("<{} bytes>", it.data().len())),
        },
        Field::Group(record) => object(record, depth),
        Field::ListInternal(list) => {
            list.elements().iter().map(|item| value(item.clone(), depth + 1)).collect()
        }
        Field::MapInternal(map) => {
            let pair = |(key, item): &(Field, Field)| {
                let key = match key {
                    Field::Str(text) => text.clone(),
                    other => other.to_string(),
                };
                (key, value(item.clone(), depth + 1))
            };
            Value::Object(map.entries().iter().map(pair).collect())
        }
        other => Value::from(other.to_string()),
    }
}

fn object(record: Record, depth: usize) -> Value {
    let cells = record.into_columns().into_iter().map(|(name, field)| (name, value(field, depth + 1)));
    Value::Object(cells.collect::<Map<_, _>>())
}
