//! `dataset_info.json`, the register of the original toolkit: read so that its datasets keep their columns and
//! digests, and written so that they can go back (S-006).

use std::collections::BTreeMap;
use std::path::Path;

use contract::dataset::FileKind;
use contract::problem::Problem;
use contract::reading::ToRegister;
use contract::registry::{Registered, Source};
use corpus::Row;

/// What a register names.
///
/// # Errors
/// When it is broken.
pub(crate) fn read(text: &str) -> Result<Vec<Registered>, Problem> {
    corpus::registry::read(text.trim_start_matches('\u{feff}'))
}

/// The register of datasets.
///
/// # Errors
/// When a file cannot be read for its digest.
pub(crate) fn write(datasets: &[ToRegister]) -> Result<String, Problem> {
    let entry = |dataset: &ToRegister| {
        let sha1 = match &dataset.sha1 {
            Some(sha1) => sha1.clone(),
            None => corpus::source::folder::digests_of(Path::new(&dataset.file))?.sha1,
        };
        let source = Source::File { name: dataset.file_name.clone(), sha1: Some(sha1) };
        let (mapping, name) = (dataset.mapping.clone(), dataset.name.clone());
        let tags = tags(dataset);
        Ok(Registered { name, source, mapping, open: false, tags, findings: Vec::new() })
    };
    let entries: Vec<Registered> = datasets.iter().map(entry).collect::<Result<_, Problem>>()?;
    Ok(corpus::registry::write(&entries))
}

/// Rows looked at for the names that messages have.
const ROWS: usize = 20;

/// What the messages of a dataset call their fields and roles, where that is not what other toolkits take for granted:
/// they read `from` and `value`, `human` and `gpt`.
fn tags(dataset: &ToRegister) -> BTreeMap<String, String> {
    let column = dataset.mapping.messages.as_deref();
    let kind = FileKind::of_name(&dataset.file);
    let (Some(column), Some(kind)) = (column, kind) else { return BTreeMap::new() };
    let rows = corpus::open(Path::new(&dataset.file), kind).into_iter().flatten().map_while(Result::ok);
    let speaks = |row: &Row| {
        let first = row.get(column).and_then(|messages| messages.get(0));
        first.is_some_and(|message| message.get("role").is_some() && message.get("content").is_some())
    };
    if !rows.take(ROWS).any(|row| speaks(&row)) {
        return BTreeMap::new();
    }
    let tags = [
        ("role_tag", "role"),
        ("content_tag", "content"),
        ("user_tag", "user"),
        ("assistant_tag", "assistant"),
        ("system_tag", "system"),
    ];
    tags.map(|(tag, name)| (tag.to_owned(), name.to_owned())).into()
}
