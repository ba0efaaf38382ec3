//! `dataset_info.json`, the register of the original toolkit: read so that its datasets keep their columns and
//! digests, and written so that they can go back (S-006).

use std::path::Path;

use contract::problem::Problem;
use contract::reading::ToRegister;
use contract::registry::{Registered, Source};

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
            None => corpus::source::folder::sha1_of(Path::new(&dataset.file))?,
        };
        let source = Source::File { name: dataset.file_name.clone(), sha1: Some(sha1) };
        let mapping = dataset.mapping.clone();
        Ok(Registered { name: dataset.name.clone(), source, mapping, findings: Vec::new() })
    };
    let entries: Vec<Registered> = datasets.iter().map(entry).collect::<Result<_, Problem>>()?;
    Ok(corpus::registry::write(&entries))
}
