//! `dataset_info.json`, the register of the original toolkit: what comes in, and what goes out (S-006).

use contract::reading::{ReadRegister, ToRegister, WriteRegister};
use contract::registry::{Finding, Registered};
use contract::{Code, Problem};

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

/// The register of every dataset here.
pub async fn write(state: &AppState) -> Result<String, Fault> {
    let mut datasets: Vec<ToRegister> = Vec::new();
    for row in state.store.datasets().await? {
        let file = datasets::file(state, &row).to_string_lossy().into_owned();
        // Of a workbook, what is here is one sheet as JSON Lines.
        let sheet = row.view.findings.iter().any(|finding| matches!(finding, Finding::Sheet { .. }));
        let sha1 = row.view.findings.iter().filter(|_| !sheet).find_map(|finding| match finding {
            Finding::Sha1Matches { sha1 } | Finding::Sha1Differs { found: sha1, .. } => Some(sha1.clone()),
            _ => None,
        });
        let name = unique(&row.view.name, |name| datasets.iter().any(|dataset| dataset.name == name));
        let file_name = if sheet { format!("{}.jsonl", row.view.file_name) } else { row.view.file_name };
        datasets.push(ToRegister { name, file, file_name, sha1, mapping: row.view.inspection.mapping });
    }
    Ok(state.readers.ask(Lane::Long, WriteRegister { datasets }).await?)
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
        assert_eq!(text_of(&[b'{', 0xff]).expect_err("no text").place.and_then(|place| place.byte), Some(1));
        let long = vec![b' '; LONGEST + 1];
        assert_eq!(text_of(&long).expect_err("too long").code, Code::RegistryTooLarge);
    }
}
