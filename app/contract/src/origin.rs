//! The files a dataset was made of (S-073): their order, their shards, and which of them a row came from.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::registry::Finding;

/// A file of a dataset as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name, with the folders of the upload or of the hub.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Rows it gave.
    pub rows: u64,
    /// SHA-1 of it, hex.
    pub sha1: String,
    /// SHA-256 of it, hex.
    pub sha256: String,
}

/// A row in the file it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// Name of the file.
    pub file: String,
    /// Row of that file, from 1.
    pub row: u64,
}

/// The index of the file that row `row` of a dataset came from, and its row there; both rows count from 1.
pub fn place_of(files: &[SourceFile], row: u64) -> Option<(usize, u64)> {
    let mut left = row.checked_sub(1)?;
    for (index, file) in files.iter().enumerate() {
        match left.checked_sub(file.rows) {
            None => return Some((index, left + 1)),
            Some(rest) => left = rest,
        }
    }
    None
}

/// The same by name; nothing where a dataset is one file.
pub fn file_row(files: &[SourceFile], row: u64) -> Option<FileRow> {
    let (index, row) = place_of(files, row).filter(|_| files.len() > 1)?;
    Some(FileRow { file: files[index].name.clone(), row })
}

/// How a file with these digests, hex, compares with the one it should have (S-070).
pub fn compared(wanted: &Digest, sha1: &str, sha256: &str) -> Finding {
    match wanted {
        Digest::Sha1(wanted) if wanted == sha1 => Finding::Sha1Matches { sha1: sha1.to_owned() },
        Digest::Sha1(wanted) => Finding::Sha1Differs { wanted: wanted.clone(), found: sha1.to_owned() },
        Digest::Sha256(wanted) if wanted == sha256 => Finding::Sha256Matches { sha256: sha256.to_owned() },
        Digest::Sha256(wanted) => Finding::Sha256Differs { wanted: wanted.clone(), found: sha256.to_owned() },
    }
}

/// The order of names as people count: `shard-2` before `shard-10`, the files of a folder together.
pub fn by_name(one: &str, other: &str) -> Ordering {
    let (mut a, mut b) = (one, other);
    loop {
        let (digits, others) = (leading_digits(a), leading_digits(b));
        if !digits.is_empty() && !others.is_empty() {
            let number = |text: &str| text.trim_start_matches('0').to_owned();
            let (left, right) = (number(digits), number(others));
            match left.len().cmp(&right.len()).then_with(|| left.cmp(&right)) {
                Ordering::Equal => (a, b) = (&a[digits.len()..], &b[others.len()..]),
                decided => return decided,
            }
            continue;
        }
        match (a.chars().next(), b.chars().next()) {
            // Names of equal value differ in zeros alone.
            (None, None) => return one.cmp(other),
            (left, right) if left == right => {
                let taken = left.map_or(0, char::len_utf8);
                (a, b) = (&a[taken..], &b[taken..]);
            }
            (left, right) => return left.cmp(&right),
        }
    }
}

fn leading_digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

/// Whether a name, or a folder on its way, is hidden: such files are passed over (S-073).
pub fn is_hidden(name: &str) -> bool {
    name.split(['/', '\\']).any(|part| part.starts_with('.') || part == "__MACOSX")
}

/// One of the files that a split of a dataset lies in, such as `data/train-00001-of-00003.parquet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// What its files share: the name without the numbers, such as `data/train`.
    pub split: String,
    /// Its extension, with the dot.
    pub extension: String,
    /// Its number as written, from 0.
    pub number: u64,
    /// How many there are; `None` where the name does not say it.
    pub of: Option<u64>,
    /// Digits of its number.
    digits: usize,
}

impl Shard {
    /// Reads a name: `split-00001-of-00003` with any mark behind it, or a number of four digits and more alone in the
    /// folder of its split, as the hub writes its own copies.
    pub fn of_name(name: &str) -> Option<Self> {
        let folder = name.rfind('/').map_or(0, |at| at + 1);
        let stem_end = folder + name[folder..].find('.')?;
        let (stem, extension) = (&name[folder..stem_end], name[stem_end..].to_owned());
        if stem.len() >= 4 && leading_digits(stem) == stem && folder > 0 {
            let number = stem.parse().ok()?;
            let split = name[..folder - 1].to_owned();
            return Some(Self { split, extension, number, of: None, digits: stem.len() });
        }
        let at = stem.find("-of-").or_else(|| stem.find("_of_"))?;
        let before = stem[..at].rfind(|c: char| !c.is_ascii_digit())? + 1;
        let (digits, count) = (&stem[before..at], leading_digits(&stem[at + 4..]));
        let (number, of) = (digits.parse().ok()?, count.parse().ok()?);
        let split = format!("{}{}", &name[..folder], stem[..before].trim_end_matches(['-', '_', '.']));
        Some(Self { split, extension, number, of: Some(of), digits: digits.len() })
    }
}

/// Names of missing files that are listed.
const LISTED: u64 = 20;

/// The shards that names speak of and that are not among them, the first few of many, without folders.
pub fn missing_shards<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let mut shards: Vec<Shard> = names.into_iter().filter_map(Shard::of_name).collect();
    shards.retain(|shard| shard.of.is_some());
    shards.sort_by(|a, b| (&a.split, a.of, a.number).cmp(&(&b.split, b.of, b.number)));
    let mut missing = Vec::new();
    for group in shards.chunk_by(|a, b| (&a.split, a.of) == (&b.split, b.of)) {
        let (first, of) = (&group[0], group[0].of.unwrap_or(0));
        let mut there = group.iter().map(|shard| shard.number).peekable();
        for number in 0..of {
            while there.next_if(|one| *one < number).is_some() {}
            if there.next_if_eq(&number).is_some() {
                continue;
            }
            if missing.len() as u64 == LISTED {
                return missing;
            }
            let (split, digits) = (first.split.rsplit('/').next().unwrap_or_default(), first.digits);
            missing.push(format!("{split}-{number:0digits$}-of-{of:0digits$}{}", first.extension));
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_073_names_are_in_the_order_in_which_people_count() {
        let mut names =
            ["b/1.csv", "shard-10", "shard-2", "shard-02", "a/20.csv", "a/3.csv", "Shard-1", "壶2"];
        names.sort_by(|a, b| by_name(a, b));
        assert_eq!(
            names,
            ["Shard-1", "a/3.csv", "a/20.csv", "b/1.csv", "shard-02", "shard-2", "shard-10", "壶2"]
        );
        let (long, longer) = ("9".repeat(400), "1".repeat(401));
        assert_eq!(by_name(&long, &longer), Ordering::Less, "numbers of any length");
        assert_eq!(by_name("a", "a"), Ordering::Equal);
    }

    #[test]
    fn s_073_a_row_is_placed_in_the_file_it_came_from() {
        let file = |name: &str, rows| SourceFile {
            name: name.to_owned(),
            bytes: 1,
            rows,
            sha1: String::new(),
            sha256: String::new(),
        };
        let files = [file("a", 2), file("none", 0), file("b", 3)];
        let placed = |row| place_of(&files, row);
        assert_eq!(
            [placed(1), placed(2), placed(3), placed(5)],
            [Some((0, 1)), Some((0, 2)), Some((2, 1)), Some((2, 3))]
        );
        assert_eq!((placed(0), placed(6)), (None, None));
        assert_eq!(file_row(&files, 4), Some(FileRow { file: "b".to_owned(), row: 2 }));
        assert_eq!(file_row(&files[..1], 1), None, "one file needs no name");
    }

    #[test]
    fn s_073_shards_name_their_split_and_those_that_are_not_there() {
        let of = |name: &str| Shard::of_name(name).map(|shard| (shard.split, shard.number, shard.of));
        let split = |name: &str| name.to_owned();
        assert_eq!(of("data/train-00001-of-00003.parquet"), Some((split("data/train"), 1, Some(3))));
        assert_eq!(of("train-00000-of-00001-ab12.parquet"), Some((split("train"), 0, Some(1))));
        assert_eq!(of("en/train/0002.parquet"), Some((split("en/train"), 2, None)));
        for none in ["train.jsonl", "2023.csv", "kind-of-blue.txt", "-of-.csv", "a/12.txt", "x-of-3.csv", ""]
        {
            assert_eq!(of(none), None, "{none}");
        }
        let names = ["d/train-00000-of-00004.parquet", "d/train-00002-of-00004.parquet", "README.md"];
        assert_eq!(missing_shards(names), ["train-00001-of-00004.parquet", "train-00003-of-00004.parquet"]);
        assert!(missing_shards(["train-0-of-1.csv", "a.csv"]).is_empty());
        assert_eq!(missing_shards(["t-0-of-99999999999.csv"]).len() as u64, LISTED, "a lie costs nothing");
    }

    #[test]
    fn s_073_hidden_files_and_folders_are_passed_over() {
        for hidden in [".DS_Store", "a/.git/x.json", "__MACOSX/a.csv", "..\\x.csv"] {
            assert!(is_hidden(hidden), "{hidden}");
        }
        assert!(!is_hidden("a.b/c.json"));
    }
}
