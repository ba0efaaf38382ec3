//! Whether the first record of a table names its columns, or is a row like the others.

use std::collections::HashMap;

use csv::ByteRecord;

use super::records;

/// Records looked at.
pub(in crate::source) const RECORDS: usize = 500;

/// Longest name of a column, bytes; what is longer is a text.
const LONGEST: usize = 200;

/// Whether the first record of the head is a header.
pub(super) fn is_there(head: &[u8], separator: u8) -> bool {
    let mut reader = records(head, separator);
    names_columns(std::iter::from_fn(|| {
        let mut record = ByteRecord::new();
        matches!(reader.read_byte_record(&mut record), Ok(true)).then_some(record)
    }))
}

/// Whether the first of some records names the columns of the others: its cells are short, on one line, and do not come
/// again as values of their own columns, as labels and words do. At most [`RECORDS`] others are looked at.
pub(in crate::source) fn names_columns(mut records: impl Iterator<Item = ByteRecord>) -> bool {
    let Some(first) = records.next() else { return true };
    if first.iter().any(|cell| cell.len() > LONGEST || cell.contains(&b'\n')) {
        return false;
    }
    let mut again: HashMap<usize, usize> = HashMap::new();
    for record in records.take(RECORDS) {
        // Tables that were put together repeat the whole header.
        if record == first {
            continue;
        }
        for (column, (name, value)) in first.iter().zip(&record).enumerate() {
            if !name.trim_ascii().is_empty() && name == value {
                *again.entry(column).or_default() += 1;
            }
        }
    }
    // One value may be called as its column is; a number that comes again is none of the names people give.
    !again.iter().any(|(column, times)| *times > 1 || is_number(&first[*column]))
}

fn is_number(cell: &[u8]) -> bool {
    std::str::from_utf8(cell).is_ok_and(|text| text.trim().parse::<f64>().is_ok_and(f64::is_finite))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_texts_are_no_names_of_columns() {
        let long = format!("1,{}\n0,b\n", "word ".repeat(50));
        for (table, named) in [
            ("question,answer\nQ,A\n", true),
            ("label,text\n1,good\n0,bad\n", true),
            ("2019,2020\n5,7\n6,8\n", true),
            ("answer,kind\nanswer,x\nno,y\n", true),
            ("q,a\nx,y\nq,a\nz,w\n", true),
            ("q\n", true),
            ("", true),
            ("1,good\n0,bad\n1,fine\n", false),
            ("ability,ablity\nability,abilty\nability,abillity\n", false),
            ("-1,Nein\n1,Ja\n-1,Nie\n", false),
            ("1,\"a\nb\"\n0,c\n", false),
            (long.as_str(), false),
        ] {
            assert_eq!(is_there(table.as_bytes(), b','), named, "{table:?}");
        }
    }
}
