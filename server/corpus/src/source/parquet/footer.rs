//! The footer of a Parquet file, looked at before the reader makes tables of it: how deep its columns nest, and how much
//! it says there is.

use contract::limits::Limit;
use std::fs::File;

use contract::Code;
use contract::problem::Problem;
use parquet::file::reader::ChunkReader;

use super::broken;
use super::thrift::{Broken, Kind, Thrift};
use crate::source::limits::{
    CHUNKS_LIMIT, ELEMENTS_LIMIT, PATHS_LIMIT, ROWS_PER_BYTE, name_too_long, too_many_columns,
    unpacks_too_large,
};
/// Bytes at the end of a file: the length of the footer and four letters.
const TAIL: usize = 8;

/// An element of the list of columns: a column, or a group of those that follow it.
struct Element<'f> {
    name: &'f [u8],
    children: i64,
}

/// Looks at the footer of a file of `length` bytes.
///
/// # Errors
/// `dataset.parquet_broken`, or the limit that it breaks.
pub(super) fn check(file: &File, length: u64) -> Result<(), Problem> {
    let cut = || broken("its end is missing");
    let tail = length.checked_sub(TAIL as u64).ok_or_else(cut)?;
    let end = file.get_bytes(tail, TAIL).map_err(|_| cut())?;
    let Some((size, b"PAR1")) = end.split_first_chunk() else { return Err(cut()) };
    let size = u32::from_le_bytes(*size) as usize;
    if size as u64 > tail {
        return Err(broken("its footer is longer than the file"));
    }
    if size > Limit::FooterBytes.get() {
        return Err(unpacks_too_large("its footer"));
    }
    let footer = file.get_bytes(tail - size as u64, size).map_err(|_| cut())?;
    check_footer(&footer, length)
}

fn check_footer(footer: &[u8], length: u64) -> Result<(), Problem> {
    let mut thrift = Thrift::new(footer);
    let found = walk(&mut thrift).map_err(|_| broken("its footer cannot be read"))?;
    check_columns(&found.elements)?;
    if found.chunks > CHUNKS_LIMIT || thrift.elements > ELEMENTS_LIMIT {
        return Err(unpacks_too_large("its list of row groups"));
    }
    if found.rows > Limit::ParquetRows.value().saturating_add(length.saturating_mul(ROWS_PER_BYTE)) {
        return Err(unpacks_too_large("its number of rows"));
    }
    Ok(())
}

struct Found<'f> {
    elements: Vec<Element<'f>>,
    /// Columns of all row groups.
    chunks: usize,
    /// Rows that the row groups or the file declare, whichever are more.
    rows: u64,
}

fn walk<'f>(thrift: &mut Thrift<'f>) -> Result<Found<'f>, Broken> {
    let mut found = Found { elements: Vec::new(), chunks: 0, rows: 0 };
    let (mut last, mut of_groups) = (0, 0_u64);
    while let Some(kind) = thrift.field(&mut last)? {
        match (last, kind) {
            (2, Kind::List) => {
                let (_, count) = thrift.list()?;
                for _ in 0..count {
                    found.elements.push(element(thrift)?);
                }
            }
            (3, Kind::Number) => found.rows = rows(thrift.number()?)?,
            (4, Kind::List) => {
                let (_, count) = thrift.list()?;
                // An empty one counts as well.
                found.chunks += count;
                for _ in 0..count {
                    let (chunks, rows) = group(thrift)?;
                    found.chunks += chunks;
                    of_groups = of_groups.saturating_add(rows);
                }
            }
            (_, kind) => thrift.skip(kind)?,
        }
    }
    found.rows = found.rows.max(of_groups);
    Ok(found)
}

fn rows(number: i64) -> Result<u64, Broken> {
    u64::try_from(number).map_err(|_| Broken::Wrong)
}

fn element<'f>(thrift: &mut Thrift<'f>) -> Result<Element<'f>, Broken> {
    let mut element = Element { name: b"", children: 0 };
    let mut last = 0;
    while let Some(kind) = thrift.field(&mut last)? {
        match (last, kind) {
            (4, Kind::Text) => element.name = thrift.text()?,
            (5, Kind::Number) => element.children = thrift.number()?,
            (_, kind) => thrift.skip(kind)?,
        }
    }
    Ok(element)
}

/// Columns and rows of a row group.
fn group(thrift: &mut Thrift) -> Result<(usize, u64), Broken> {
    let (mut last, mut found) = (0, (0, 0));
    while let Some(kind) = thrift.field(&mut last)? {
        match (last, kind) {
            (1, Kind::List) => {
                let (kind, count) = thrift.list()?;
                found.0 += count;
                for _ in 0..count {
                    thrift.skip(kind)?;
                }
            }
            (3, Kind::Number) => found.1 = rows(thrift.number()?)?,
            (_, kind) => thrift.skip(kind)?,
        }
    }
    Ok(found)
}

/// The tree of columns, which lies in the file from the root on, each group before what it holds.
fn check_columns(elements: &[Element]) -> Result<(), Problem> {
    // Of each group around the element: what is still to come of it, and the bytes of the names up to it.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let (mut columns, mut paths) = (0, 0);
    for (index, element) in elements.iter().enumerate() {
        while open.last().is_some_and(|(left, _)| *left == 0) {
            open.pop();
        }
        let around = open.last().map_or(0, |(_, path)| *path);
        if let Some((left, _)) = open.last_mut() {
            *left -= 1;
        } else if index > 0 {
            return Err(broken("its columns do not form a tree"));
        }
        if element.name.len() > Limit::NameBytes.get() {
            return Err(name_too_long(&String::from_utf8_lossy(element.name)));
        }
        let path = around + element.name.len() + size_of::<String>();
        let there = elements.len() - index - 1;
        match usize::try_from(element.children) {
            Ok(0) => {
                columns += 1;
                paths += path;
            }
            Ok(children) if children <= there => open.push((children, path)),
            _ => return Err(broken("it names more columns than it has")),
        }
        if open.len() > Limit::SchemaDepth.get() {
            return Err(too_deep());
        }
        if columns > Limit::Columns.get() || paths > PATHS_LIMIT {
            return Err(too_many_columns());
        }
    }
    Ok(())
}

fn too_deep() -> Problem {
    let message = format!("The columns of this file nest deeper than {} levels.", Limit::SchemaDepth.get());
    Problem::new(Code::DatasetColumnsTooDeep, message)
        .with("most", Limit::SchemaDepth.get())
        .hint("Flatten the columns, or write the file as JSON Lines.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(children: &[i64]) -> Result<(), Code> {
        let elements: Vec<Element> =
            children.iter().map(|children| Element { name: b"a", children: *children }).collect();
        check_columns(&elements).map_err(|problem| problem.code)
    }

    #[test]
    fn columns_form_a_tree_of_bounded_depth_and_width() {
        assert_eq!(checked(&[2, 1, 0, 0]), Ok(()));
        assert_eq!(checked(&[1, 0, 0]), Err(Code::DatasetParquetBroken));
        assert_eq!(checked(&[3, 0]), Err(Code::DatasetParquetBroken));
        assert_eq!(checked(&[1, -1]), Err(Code::DatasetParquetBroken));
        assert_eq!(checked(&[0x7FFF_FFFF, 0]), Err(Code::DatasetParquetBroken));
        let deep = |depth: usize| [vec![1; depth], vec![0]].concat();
        assert_eq!(checked(&deep(Limit::SchemaDepth.get())), Ok(()));
        assert_eq!(checked(&deep(Limit::SchemaDepth.get() + 1)), Err(Code::DatasetColumnsTooDeep));
        let wide = |width: usize| [vec![width as i64], vec![0; width]].concat();
        assert_eq!(checked(&wide(Limit::Columns.get())), Ok(()));
        assert_eq!(checked(&wide(Limit::Columns.get() + 1)), Err(Code::DatasetTooManyColumns));
    }
}
