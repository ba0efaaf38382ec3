//! Rows of a Parquet file, one row group after the other, one page of each column in memory.

mod footer;
mod pages;
mod runs;
mod thrift;

use contract::limits::Limit;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use contract::Code;
use contract::problem::Problem;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as Record};
use serde_json::{Map, Number, Value};

use super::limits::{UNPACKED_BASE, unpacks_too_large};
use super::{Row, io_problem};
use pages::{Checked, Shared};

/// Rows read from the column pages at a time, at most.
const BATCH: usize = 256;

/// Bytes and values that the rows of a batch are, about: fewer rows where they are longer.
const BATCH_BYTES: u64 = 32 << 20;
const BATCH_VALUES: u64 = 1 << 18;

pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    row: u64,
    shared: Shared,
    /// Bytes that the rows may still become.
    left: u64,
}

impl ParquetRows {
    /// Reads the footer.
    pub(super) fn new(file: File) -> Result<Self, Problem> {
        let length = file.metadata().map_err(|error| io_problem(&error, 0))?.len();
        footer::check(&file, length)?;
        let opened = guarded(|| {
            ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|error| error.to_string())
        });
        let metadata = opened.map_err(|why| broken(&why))?;
        if metadata.file_metadata().schema().get_fields().is_empty() {
            return Err(broken("it has no columns"));
        }
        let (shared, batch) = (Shared::default(), batch(&metadata));
        let checked = Checked { file: Arc::new(file), metadata, shared: shared.clone(), batch };
        let rows = RowIter::from_file_into(Box::new(checked)).with_batch_size(batch);
        let left = UNPACKED_BASE.saturating_add(length.saturating_mul(Limit::ParquetRatio.value()));
        Ok(Self { rows, row: 0, shared, left })
    }

    fn read(&mut self) -> Result<Option<Row>, Problem> {
        let read = guarded(|| {
            let record = self.rows.next().transpose().map_err(|error| error.to_string())?;
            let cells = |record: Record| record.into_columns().into_iter();
            Ok(record.map(|record| cells(record).map(|(name, field)| (name, cell(field))).collect()))
        });
        let read = read.map_err(|why| self.shared.fault().unwrap_or_else(|| broken(&why)))?;
        let Some(row) = read.map(Row::new) else { return Ok(None) };
        let left = self.left.checked_sub(row.size() as u64);
        self.left = left.ok_or_else(|| unpacks_too_large("the text of its rows"))?;
        Ok(Some(row))
    }
}

/// How many rows are read at a time.
fn batch(metadata: &ParquetMetaData) -> usize {
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let of_group = |group: &parquet::file::metadata::RowGroupMetaData| {
        let rows = number(group.num_rows()).max(1);
        let bytes = group.columns().iter().map(|column| number(column.uncompressed_size())).sum::<u64>();
        let values = group.columns().iter().map(|column| number(column.num_values())).sum::<u64>();
        let fitting = |most: u64, all: u64| most.saturating_mul(rows) / all.max(1);
        fitting(BATCH_BYTES, bytes).min(fitting(BATCH_VALUES, values))
    };
    let least = metadata.row_groups().iter().map(of_group).min().unwrap_or(1);
    usize::try_from(least).unwrap_or(BATCH).clamp(1, BATCH)
}

impl Iterator for ParquetRows {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.row + 1;
        let read = self.read().map_err(|problem| problem.row(row)).transpose();
        self.row = row;
        read
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

/// A cell as JSON; a text stays where it is.
fn cell(field: Field) -> Value {
    match field {
        Field::Str(text) => Value::from(text),
        other => value(&other, 0),
    }
}

/// A cell as JSON. Bytes that are no text are named by their size: a picture column does not spoil the rows.
fn value(field: &Field, depth: usize) -> Value {
    if depth > Limit::ValueDepth.get() {
        return Value::Null;
    }
    match field {
        Field::Null => Value::Null,
        Field::Bool(it) => Value::from(*it),
        Field::Byte(it) => Value::from(*it),
        Field::Short(it) => Value::from(*it),
        Field::Int(it) => Value::from(*it),
        Field::Long(it) => Value::from(*it),
        Field::TimestampMillis(_) | Field::TimestampMicros(_) => Value::from(moment(field)),
        Field::UByte(it) => Value::from(*it),
        Field::UShort(it) => Value::from(*it),
        Field::UInt(it) => Value::from(*it),
        Field::ULong(it) => Value::from(*it),
        Field::Float16(it) => number(shortest_of_half(f64::from(*it))),
        // The digits that mean it, not those of the wider number: 0.1, not 0.10000000149011612.
        Field::Float(it) => it.to_string().parse().map_or(Value::Null, number),
        Field::Double(it) => number(*it),
        Field::Str(it) => Value::from(it.as_str()),
        Field::Bytes(it) => match std::str::from_utf8(it.data()) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(format!("<{} bytes>", it.data().len())),
        },
        Field::Group(record) => object(record, depth),
        Field::ListInternal(list) => list.elements().iter().map(|item| value(item, depth + 1)).collect(),
        Field::MapInternal(map) => {
            let pair = |(key, item): &(Field, Field)| {
                let key = match key {
                    Field::Str(text) => text.clone(),
                    other => other.to_string(),
                };
                (key, value(item, depth + 1))
            };
            Value::Object(map.entries().iter().map(pair).collect())
        }
        other => Value::from(other.to_string()),
    }
}

/// The shortest decimal number that no other 16-bit number (11 bits of precision) lies nearer to.
fn shortest_of_half(exact: f64) -> f64 {
    if !exact.is_finite() || exact == 0.0 {
        return exact;
    }
    let exponent = exact.abs().log2().floor().max(-14.0);
    let half_a_step = (exponent - 11.0).exp2();
    // Below a power of two, steps are half as wide.
    let reach = if exact.abs() == exponent.exp2() { half_a_step / 2.0 } else { half_a_step };
    let rounded = |digits: usize| format!("{exact:.digits$e}").parse::<f64>().ok();
    (0..6).filter_map(rounded).find(|short| (short - exact).abs() < reach).unwrap_or(exact)
}

/// A date and time of day, in UTC: `2024-05-01 12:30:00`, with the part of a second where there is one.
fn moment(field: &Field) -> String {
    let text = field.to_string();
    let text = text.trim_end_matches(" +00:00");
    match text.split_once('.') {
        Some((seconds, part)) if part.bytes().all(|digit| digit == b'0') => seconds.to_owned(),
        _ => text.to_owned(),
    }
}

fn object(record: &Record, depth: usize) -> Value {
    let cells = record.get_column_iter().map(|(name, field)| (name.clone(), value(field, depth + 1)));
    Value::Object(cells.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_mean_them() {
        let text = |field| value(&field, 0).to_string();
        for (number, wanted) in
            [(0.1, "0.1"), (3.3, "3.3"), (-2.5, "-2.5"), (1.0, "1.0"), (16_777_216.0, "16777216.0")]
        {
            assert_eq!(text(Field::Float(number)), wanted);
        }
        assert_eq!(text(Field::Float(f32::NAN)), "null");
        for (exact, wanted) in [
            (0.099_975_585_937_5, 0.1),
            (0.333_251_953_125, 0.3333),
            (-1.0, -1.0),
            (65_504.0, 65_500.0),
            (0.0, 0.0),
            (2.0_f64.powi(-24), 6e-8),
        ] {
            assert_eq!(shortest_of_half(exact), wanted, "{exact}");
        }
    }

    #[test]
    fn dates_and_times_are_written_as_people_read_them() {
        for (field, wanted) in [
            (Field::Date(19_844), "2024-05-01"),
            (Field::TimestampMillis(1_714_566_600_000), "2024-05-01 12:30:00"),
            (Field::TimestampMicros(1_714_566_600_250_000), "2024-05-01 12:30:00.250000"),
            (Field::TimeMillis(45_000_000), "12:30:00.000"),
        ] {
            assert_eq!(value(&field, 0), Value::from(wanted));
        }
    }
}
