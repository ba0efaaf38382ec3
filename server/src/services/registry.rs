//! `dataset_info.json`, the register of the original toolkit: read so that its datasets keep their columns and
//! digests, and written so that they can go back (S-006).

use contract::Code;
use contract::Problem;
use contract::registry::{Finding, Registered, Source};

use super::datasets;
use crate::error::Fault;
use crate::state::AppState;

/// Longest register that is read, bytes.
const LONGEST: usize = 4 << 20;

/// What a register names.
///
/// # Errors
/// When it is too long or broken.
pub fn read(bytes: &[u8]) -> Result<Vec<Registered>, Problem> {
    if bytes.len() > LONGEST {
        return Err(Problem::new(Code::RegistryTooLarge, "dataset_info.json is larger than 4 MiB."));
    }
    let text = std::str::from_utf8(bytes).map_err(|why| {
        Problem::new(Code::RegistryBroken, "dataset_info.json is not UTF-8.").byte(why.valid_up_to() as u64)
    })?;
    corpus::registry::read(text.trim_start_matches('\u{feff}'))
}

/// The register of every dataset here.
pub async fn write(state: &AppState) -> Result<String, Fault> {
    let mut entries: Vec<Registered> = Vec::new();
    for row in state.store.datasets().await? {
        let path = datasets::file(state, &row);
        // Of a workbook, what is here is one sheet as JSON Lines.
        let sheet = row.view.findings.iter().any(|finding| matches!(finding, Finding::Sheet { .. }));
        let known = row.view.findings.iter().filter(|_| !sheet).find_map(|finding| match finding {
            Finding::Sha1Matches { sha1 } | Finding::Sha1Differs { found: sha1, .. } => Some(sha1.clone()),
            _ => None,
        });
        let sha1 = match known {
            Some(sha1) => sha1,
            None => tokio::task::spawn_blocking(move || corpus::source::folder::sha1_of(&path)).await??,
        };
        let name = unique(&row.view.name, |name| entries.iter().any(|entry| entry.name == name));
        let file = if sheet { format!("{}.jsonl", row.view.file_name) } else { row.view.file_name };
        let source = Source::File { name: file, sha1: Some(sha1) };
        entries.push(Registered { name, source, mapping: row.view.inspection.mapping, findings: Vec::new() });
    }
    Ok(corpus::registry::write(&entries))
}

/// The name, with a number where it is taken.
fn unique(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name} ({number})"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_register_are_told_apart() {
        let taken = ["tea", "tea (2)"];
        assert_eq!(unique("tea", |name| taken.contains(&name)), "tea (3)");
        assert_eq!(unique("pot", |name| taken.contains(&name)), "pot");
    }

    #[test]
    fn a_register_that_is_no_text_is_refused() {
        assert_eq!(read(&[b'{', 0xff]).expect_err("no text").place.and_then(|place| place.byte), Some(1));
        assert!(read(b"[]").is_err());
    }
}
