//! `dataset_info.json`, the register of the original toolkit: what comes in, and what goes out (S-006).

use contract::dataset::{DatasetView, FileKind};
use contract::reading::{ReadRegister, ToRegister, WriteRegister};
use contract::registry::{Finding, Registered};
use contract::{Code, Problem, label};

use super::datasets;
use crate::error::Fault;
use crate::readers::Lane;
use crate::state::AppState;

/// Longest register that is read, bytes.
const LONGEST: usize = 4 << 20;

/// What a register names.
///
/// # Errors
/// When it is too long or broken.
pub async fn read(state: &AppState, bytes: &[u8]) -> Result<Vec<Registered>, Fault> {
    let asked = ReadRegister { text: text_of(bytes)?.to_owned() };
    Ok(state.readers.ask(Lane::Quick, asked).await?)
}

fn text_of(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > LONGEST {
        return Err(Problem::new(Code::RegistryTooLarge, "dataset_info.json is larger than 4 MiB."));
    }
    std::str::from_utf8(bytes).map_err(|why| {
        Problem::new(Code::RegistryBroken, "dataset_info.json is not UTF-8.").byte(why.valid_up_to() as u64)
    })
}

/// The register of every dataset here. It speaks of the files as they are kept here and as [`file_name`] calls them: with
/// them it can be read again, here and by other toolkits.
pub async fn write(state: &AppState) -> Result<String, Fault> {
    let mut datasets: Vec<ToRegister> = Vec::new();
    for row in state.store.datasets().await? {
        let file = datasets::file(state, &row).to_string_lossy().into_owned();
        let taken = |name: &str| datasets.iter().any(|dataset| dataset.name == name);
        let name = unique(&row.view.name, label::MAX_NAME, taken);
        let wanted = file_name(&row.view);
        let file_taken = |name: &str| datasets.iter().any(|dataset| dataset.file_name == name);
        let file_name = unique_file(&wanted, file_taken);
        // What came alone and was not written anew is what is kept.
        let anew = |finding: &Finding| matches!(finding, Finding::Converted { .. } | Finding::Sheet { .. });
        let as_it_came = row.view.version == 1 && !row.view.findings.iter().any(anew);
        let sha1 = match row.files.as_slice() {
            [only] if as_it_came => Some(only.sha1.clone()),
            _ => None,
        };
        let mapping = row.view.inspection.mapping;
        datasets.push(ToRegister { name, file, file_name, sha1, mapping });
    }
    Ok(state.readers.ask(Lane::Long, WriteRegister { datasets }).await?)
}

/// What the file of a dataset is called where it goes out: as it came, with the ending of what is kept of it, and without
/// what no register may name.
pub fn file_name(view: &DatasetView) -> String {
    let plain = |c: char| if matches!(c, '/' | '\\' | ':' | '\0') || c.is_control() { '_' } else { c };
    let mut name: String = view.file_name.chars().map(plain).collect();
    if name.starts_with('.') {
        name.insert(0, '_');
    }
    let kind = view.inspection.kind;
    let json = |kind| matches!(kind, FileKind::Json | FileKind::Jsonl);
    match FileKind::of_name(&name) {
        Some(named) if named == kind || json(named) && json(kind) => name,
        _ => format!("{name}.{}", kind.extension()),
    }
}

/// The name, with a number where it is taken, of at most `most` characters.
fn unique(name: &str, most: usize, taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| {
        let number = format!(" ({number})");
        let kept: String = name.chars().take(most.saturating_sub(number.len())).collect();
        format!("{}{number}", kept.trim_end())
    });
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

/// The name of a file, with a number before its ending where it is taken.
fn unique_file(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let (stem, end) = name.rsplit_once('.').unwrap_or((name, ""));
    let whole = |stem: &str| format!("{stem}.{end}");
    whole(&unique(stem, usize::MAX, |stem| taken(&whole(stem))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_register_are_told_apart() {
        let taken = ["tea", "tea (2)"];
        assert_eq!(unique("tea", 99, |name| taken.contains(&name)), "tea (3)");
        assert_eq!(unique("pot", 99, |name| taken.contains(&name)), "pot");
        let long = "壶".repeat(9);
        assert_eq!(unique(&long, 9, |name| name == long), format!("{} (2)", "壶".repeat(5)));
        assert_eq!(unique_file("a.b.csv", |name| name == "a.b.csv"), "a.b (2).csv");
    }

    #[test]
    fn a_register_that_is_no_text_is_refused() {
        assert_eq!(text_of(&[b'{', 0xff]).expect_err("no text").place.and_then(|place| place.byte), Some(1));
        let long = vec![b' '; LONGEST + 1];
        assert_eq!(text_of(&long).expect_err("too long").code, Code::RegistryTooLarge);
    }
}
