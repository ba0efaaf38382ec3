//! A run as a file, out and in (S-050). What comes in is read by a reading process; models and datasets are looked for
//! here, by digest first and then by name.

use contract::dataset::DatasetView;
use contract::model::ModelView;
use contract::reading::ReadSpecification;
use contract::specification::{Named, SpecificationRead, Wanted, settings, to_json, understand, yaml};
use contract::{Code, Problem, RunId};

use super::{launch, runs};
use crate::error::Fault;
use crate::readers::Lane;
use crate::state::AppState;

/// The specification of a run, as YAML or JSON.
///
/// # Errors
/// A run that is gone, or one that was not trained here.
pub async fn write(state: &AppState, id: &RunId, as_json: bool) -> Result<String, Fault> {
    let row = runs::find(state, id).await?;
    if row.spec.brought.is_some() {
        return Err(Problem::not_found("specification").into());
    }
    let settings = settings(&row.spec);
    Ok(if as_json { to_json(&settings) } else { yaml(&settings) })
}

/// The form that a specification fills in.
///
/// # Errors
/// A text that cannot be read; settings nobody knows.
pub async fn read(state: &AppState, text: String) -> Result<SpecificationRead, Fault> {
    let found = state.readers.ask(Lane::Quick, ReadSpecification { text }).await?;
    let wanted = understand(&found).map_err(Fault::Problems)?;
    let (models, datasets) = (state.store.models().await?, state.store.datasets().await?);
    let datasets: Vec<DatasetView> = datasets.into_iter().map(|row| row.view).collect();
    Ok(looked_up(wanted, &models, &datasets))
}

/// Launches the run of a specification; asked again under the same key, it answers with the run that it made.
///
/// # Errors
/// As [`read`]; what is missing here; whatever the launch finds.
pub async fn run(state: &AppState, text: String, key: Option<&str>) -> Result<RunId, Fault> {
    let key = key.map(|key| launch::key(key, &text)).transpose()?;
    let read = read(state, text).await?;
    if !read.missing.is_empty() {
        return Err(Fault::Problems(read.missing));
    }
    launch::launch(state, &read.draft, key).await
}

fn looked_up(wanted: Wanted, models: &[ModelView], datasets: &[DatasetView]) -> SpecificationRead {
    let Wanted { mut draft, model, datasets: names, passed_over } = wanted;
    let mut missing = Vec::new();
    let digest_of =
        |view: &ModelView| view.facts.as_ref().map_or(String::new(), |facts| facts.digest.clone());
    match found(&model, models, digest_of, |view| &view.name) {
        Some(view) => draft.model = view.id.0.clone(),
        None if model != Named::default() => missing.push(not_here("model", &model)),
        None => {}
    }
    let mut ids = Vec::new();
    for name in &names {
        match found(name, datasets, |view| view.sha256.clone(), |view| &view.name) {
            Some(view) => ids.push(view.id.0.clone()),
            None => missing.push(not_here("dataset", name)),
        }
    }
    let mut ids = ids.into_iter();
    draft.dataset = ids.next().unwrap_or_default();
    draft.more_datasets = ids.collect::<Vec<_>>().join(",");
    SpecificationRead { draft, passed_over, missing }
}

/// By digest, else by name; lists are newest first.
fn found<'v, V>(
    wanted: &Named,
    views: &'v [V],
    digest: impl Fn(&V) -> String,
    name: impl Fn(&V) -> &String,
) -> Option<&'v V> {
    let same = |view: &&V| !wanted.digest.is_empty() && digest(view) == wanted.digest;
    views.iter().find(same).or_else(|| views.iter().find(|view| *name(view) == wanted.name))
}

fn not_here(field: &str, wanted: &Named) -> Problem {
    Problem::new(Code::SpecNotHere, format!("There is no {field} called {} here.", wanted.name))
        .with("name", &wanted.name)
        .field(field)
        .hint("Add it first, or choose another one.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_050_the_digest_decides_before_the_name() {
        let views = [("kettles", "aa"), ("kettles", "bb"), ("other", "cc")]
            .map(|(n, d)| (n.to_owned(), d.to_owned()));
        let look = |name: &str, digest: &str| {
            let wanted = Named { name: name.to_owned(), digest: digest.to_owned() };
            found(&wanted, &views, |view| view.1.clone(), |view| &view.0).map(|view| view.1.as_str())
        };
        assert_eq!(look("kettles", "bb"), Some("bb"));
        assert_eq!(look("renamed", "cc"), Some("cc"));
        assert_eq!((look("kettles", "zz"), look("kettles", "")), (Some("aa"), Some("aa")));
        assert_eq!(look("gone", ""), None);
    }
}
