//! A sheet as a table: its first row names the columns, or is a row like the others; rows that hold nothing are none.

use std::collections::{BTreeMap, VecDeque};

use contract::Code;
use contract::problem::Problem;
use csv::ByteRecord;
use serde_json::Value;

use super::super::csv::{HEAD, RECORDS, names_columns};
use super::cells::{Cells, SheetRow};

/// A row: its number in the sheet, and its values by column.
type Numbered<'t> = (u64, Vec<(&'t str, Value)>);

/// Rows of a sheet under the names of their columns.
pub(super) struct Table<'b> {
    cells: Cells<'b>,
    /// Rows that were looked at and not given yet.
    head: VecDeque<SheetRow>,
    /// Names by column, from 0.
    names: BTreeMap<u32, String>,
    /// Rows given that the program that made the sheet does not show.
    pub(super) hidden_rows: u64,
    /// Cells of errors in rows that were given.
    pub(super) errors: u64,
    /// Number in the sheet of the first row with such a cell.
    pub(super) first_error: Option<u64>,
}

impl<'b> Table<'b> {
    /// Looks at the first rows.
    pub(super) fn new(mut cells: Cells<'b>) -> Result<Self, Problem> {
        let (mut head, mut bytes) = (VecDeque::new(), 0);
        while head.len() <= RECORDS && bytes < HEAD {
            let Some(row) = cells.next()? else { break };
            bytes += row.cells.iter().map(|(_, value)| text(value).len()).sum::<usize>();
            head.push_back(row);
        }
        let columns: Vec<u32> = head.front().into_iter().flat_map(columns).collect();
        let record = |row: &SheetRow| {
            let cell = |column: &u32| {
                let at = row.cells.binary_search_by_key(column, |(at, _)| *at).ok()?;
                row.cells.get(at).map(|(_, value)| text(value))
            };
            columns.iter().map(|column| cell(column).unwrap_or_default()).collect::<ByteRecord>()
        };
        let headed = names_columns(head.iter().map(record));
        let mut table =
            Self { cells, names: BTreeMap::new(), hidden_rows: 0, errors: 0, first_error: None, head };
        match table.head.front() {
            Some(first) if headed => {
                for (column, value) in &first.cells {
                    let name = text(value).trim().to_owned();
                    let name = if name.is_empty() { unnamed(*column) } else { name };
                    name_column(&mut table.names, *column, name)
                        .map_err(|problem| problem.row(first.number))?;
                }
                table.head.pop_front();
            }
            _ => table.names.extend(columns.into_iter().map(|column| (column, unnamed(column)))),
        }
        Ok(table)
    }

    /// The next row: its number in the sheet, and the value of every column that has a name by now.
    pub(super) fn next(&mut self) -> Result<Option<Numbered<'_>>, Problem> {
        let Some(row) = self.head.pop_front().map_or_else(|| self.cells.next(), |row| Ok(Some(row)))? else {
            return Ok(None);
        };
        self.hidden_rows += u64::from(row.hidden);
        self.errors += row.errors;
        if row.errors > 0 {
            self.first_error.get_or_insert(row.number);
        }
        for column in columns(&row) {
            if !self.names.contains_key(&column) {
                name_column(&mut self.names, column, unnamed(column))
                    .map_err(|problem| problem.row(row.number))?;
            }
        }
        let mut values = row.cells.into_iter().peekable();
        let cells = self.names.iter().map(|(column, name)| {
            let value = values.next_if(|(at, _)| at == column).map_or(Value::Null, |(_, value)| value);
            (name.as_str(), value)
        });
        Ok(Some((row.number, cells.collect())))
    }
}

fn columns(row: &SheetRow) -> impl Iterator<Item = u32> {
    row.cells.iter().map(|(column, _)| *column)
}

fn unnamed(column: u32) -> String {
    format!("column {}", column + 1)
}

fn name_column(names: &mut BTreeMap<u32, String>, column: u32, name: String) -> Result<(), Problem> {
    if names.values().any(|known| *known == name) {
        return Err(Problem::new(Code::DatasetColumnTwice, format!("The header names “{name}” twice."))
            .field(name)
            .hint("Give every column its own name."));
    }
    names.insert(column, name);
    Ok(())
}

/// The text of a value.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
