//! Checks a draft as a whole; returns every problem, so that a form can show them all.

use crate::ids::{DatasetId, ModelId};
use crate::params::Hyper;
use crate::problem::Problem;
use crate::spec::Draft;
use crate::stage::{Stage, Tuning};
use crate::templates;

/// A draft whose own words are valid. Whether dataset and model exist is for the server to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Label, never empty.
    pub name: String,
    /// Dataset.
    pub dataset: DatasetId,
    /// Model.
    pub model: ModelId,
    /// Template key.
    pub template: String,
    /// System text.
    pub system: String,
    /// Stage.
    pub stage: Stage,
    /// Tuning method.
    pub tuning: Tuning,
    /// Hyperparameters.
    pub hyper: Hyper,
}

/// Longest label, characters.
pub const MAX_NAME: usize = 120;

/// Checks a draft.
pub fn check(draft: &Draft) -> Result<Checked, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut need = |found: bool, key: &str, code: &str, message: &str| {
        if !found {
            problems.push(Problem::new(code, message).field(key));
        }
    };
    let name = draft.name.trim();
    let dataset = DatasetId::parse(&draft.dataset);
    let model = ModelId::parse(&draft.model);
    let stage = Stage::parse(&draft.stage).filter(|stage| Stage::OFFERED.contains(stage));
    let tuning = Tuning::parse(&draft.tuning);
    need(
        name.chars().count() <= MAX_NAME,
        "name",
        "form.too_long",
        "The name is longer than 120 characters.",
    );
    need(dataset.is_some(), "dataset", "form.missing", "Choose a dataset.");
    need(model.is_some(), "model", "form.missing", "Choose a model.");
    need(
        stage.is_some(),
        "stage",
        "form.unknown_choice",
        "Choose what to do: fine-tune (sft) or pre-train (pt).",
    );
    need(
        tuning.is_some(),
        "tuning",
        "form.unknown_choice",
        "Choose what learns: an adapter (lora) or every weight (full).",
    );
    let known = templates::is_known(&draft.template);
    need(known, "template", "form.unknown_choice", &format!("Template {} does not exist.", draft.template));
    let hyper = match (stage, tuning) {
        (Some(stage), Some(tuning)) => {
            Hyper::read(&draft.values, stage, tuning).map_err(|more| problems.extend(more)).ok()
        }
        _ => None,
    };
    match (dataset, model, stage, tuning, hyper) {
        (Some(dataset), Some(model), Some(stage), Some(tuning), Some(hyper)) if problems.is_empty() => {
            Ok(Checked {
                name: name.to_owned(),
                dataset,
                model,
                template: draft.template.clone(),
                system: draft.system.trim().to_owned(),
                stage,
                tuning,
                hyper,
            })
        }
        _ => Err(problems),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_form_names_everything_that_is_missing() {
        let problems = check(&Draft::default()).unwrap_err();
        let keys: Vec<_> = problems.iter().filter_map(Problem::form_key).collect();
        assert_eq!(keys, ["dataset", "model", "stage", "tuning", "template"]);
    }

    #[test]
    fn s_220_an_unknown_template_is_refused() {
        let draft = Draft { template: "llama9".to_owned(), ..Draft::default() };
        let problems = check(&draft).unwrap_err();
        assert!(problems.iter().any(|problem| problem.message == "Template llama9 does not exist."));
    }
}
