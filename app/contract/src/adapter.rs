//! Adapters from elsewhere: what their files say of them, and which models they may lie on.

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::model::{ModelFacts, ModelView, TensorShape};
use crate::problem::Problem;

/// What the files of an adapter say (PEFT's `adapter_config.json` and the header of its weights).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdapterFacts {
    /// Name of the model it was trained on, as its configuration has it but without a path; empty: not said.
    pub base: String,
    /// Revision of that model.
    #[serde(default)]
    pub revision: Option<String>,
    /// Rank.
    pub rank: u64,
    /// The product is scaled by this over the rank, or over its root.
    pub alpha: f64,
    /// Linear maps it lies on, by the last part of their names.
    pub targets: Vec<String>,
    /// The same within a block, each `[out, in]`.
    pub maps: Vec<TensorShape>,
    /// Blocks a model needs at least: one more than the highest it lies on.
    pub blocks: u64,
    /// Numbers it holds, without its value head.
    pub parameters: u64,
    /// Width of its value head, if it has one.
    #[serde(default)]
    pub value_head: Option<u64>,
}

impl AdapterFacts {
    /// Whether its shapes are those of this model.
    pub fn fits(&self, model: &ModelFacts) -> bool {
        if self.blocks > model.layers || self.value_head.is_some_and(|width| width != model.hidden_size) {
            return false;
        }
        // Models of older builds do not say; the worker looks at their configuration.
        model.shape.as_ref().is_none_or(|shape| {
            self.maps.iter().all(|map| {
                let name = format!("{}.weight", map.name);
                shape.block.iter().any(|found| found.name == name && found.shape == map.shape)
            })
        })
    }

    /// Whether a model of this name is the one it was trained on: the last parts of both names are the same.
    pub fn is_of(&self, model: &str) -> bool {
        let last = |name: &str| name.trim().rsplit('/').next().unwrap_or_default().to_lowercase();
        !self.base.is_empty() && last(&self.base) == last(model)
    }

    /// The models it may lie on: ready, of its shapes; those of its base's name first.
    pub fn bases<'a>(&self, models: &'a [ModelView]) -> Vec<&'a ModelView> {
        let fits = |model: &&ModelView| {
            model.state == "ready" && model.facts.as_ref().is_some_and(|facts| self.fits(facts))
        };
        let mut bases: Vec<_> = models.iter().filter(fits).collect();
        bases.sort_by_key(|model| !self.is_of(&model.name));
        bases
    }

    /// The problem of an adapter that came in place of a model.
    pub fn is_no_model(&self) -> Problem {
        is_no_model(Some(self.base.as_str()))
    }
}

/// The problem of an adapter on a base of that name, as far as it says one.
pub fn is_no_model(base: Option<&str>) -> Problem {
    match base.filter(|name| !name.is_empty()) {
        Some(base) => Problem::new(
            Code::ModelIsAdapter,
            format!("This is an adapter for the model {base}, not a model of its own."),
        )
        .with("base", base)
        .hint(format!(
            "Bring {base} in first, from the hub or from a folder; then choose it for the adapter here."
        )),
        None => Problem::new(Code::ModelIsAdapter, "This is an adapter, not a model of its own.")
            .with("base", "?")
            .hint("Bring the model in that it was trained on; then choose it for the adapter here."),
    }
}

/// What an import found, as the worker prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Imported {
    /// An adapter; its files lie in the new folder.
    Adapter {
        /// What they say.
        adapter: Box<AdapterFacts>,
    },
    /// A model.
    Model(Box<ModelFacts>),
}

impl Imported {
    /// The model.
    ///
    /// # Errors
    /// `model.is_adapter`.
    pub fn model(self) -> Result<ModelFacts, Problem> {
        match self {
            Self::Model(facts) => Ok(*facts),
            Self::Adapter { adapter } => Err(adapter.is_no_model()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ModelId;
    use crate::model::ModelShape;

    fn shape(name: &str, shape: [u64; 2]) -> TensorShape {
        TensorShape { name: name.to_owned(), shape: shape.to_vec() }
    }

    fn model(name: &str, layers: u64, width: u64) -> ModelView {
        let facts = ModelFacts {
            architecture: "llama".to_owned(),
            parameters: 1,
            vocab_size: 8,
            layers,
            hidden_size: width,
            intermediate_size: 8,
            context_length: 8,
            digest: "d".to_owned(),
            has_chat_template: false,
            license: None,
            source: "folder".to_owned(),
            shape: Some(ModelShape {
                block: vec![shape("self_attn.q_proj.weight", [width, width])],
                query_width: width,
                key_width: width,
                file_bytes: 1,
            }),
        };
        ModelView {
            id: ModelId(name.to_owned()),
            name: name.to_owned(),
            state: "ready".to_owned(),
            problem: None,
            facts: Some(facts),
            created_ms: 0,
            starter: false,
            adapter: None,
        }
    }

    fn adapter(base: &str) -> AdapterFacts {
        AdapterFacts {
            base: base.to_owned(),
            blocks: 2,
            maps: vec![shape("self_attn.q_proj", [64, 64])],
            ..AdapterFacts::default()
        }
    }

    #[test]
    fn models_of_its_shapes_are_offered_and_the_one_of_its_name_first() {
        let mut waiting = model("tiny", 2, 64);
        waiting.state = "importing".to_owned();
        let models = [
            model("other", 4, 64),
            model("Tiny", 2, 64),
            model("tiny", 1, 64),
            model("tiny", 2, 32),
            waiting,
        ];
        let offered = |adapter: &AdapterFacts| {
            adapter.bases(&models).into_iter().map(|model| model.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(offered(&adapter("someone/tiny")), ["Tiny", "other"]);
        assert_eq!(offered(&adapter("")), ["other", "Tiny"]);
        let judge = |width| AdapterFacts { value_head: Some(width), ..adapter("tiny") };
        assert_eq!((offered(&judge(64)).len(), offered(&judge(32)).len()), (2, 0));
    }

    #[test]
    fn what_came_in_is_told_apart_on_the_wire() {
        let adapter = Imported::Adapter { adapter: Box::new(adapter("someone/tiny")) };
        let model = Imported::Model(Box::new(model("m", 1, 8).facts.expect("facts")));
        for imported in [adapter, model] {
            let text = serde_json::to_string(&imported).expect("writes");
            assert_eq!(serde_json::from_str::<Imported>(&text).expect("reads"), imported);
        }
    }

    #[test]
    fn an_adapter_is_no_model_and_says_whose_it_is() {
        let problem = adapter("someone/tiny").is_no_model();
        assert_eq!((problem.code, problem.params["base"].as_str()), (Code::ModelIsAdapter, "someone/tiny"));
        assert_eq!(adapter("").is_no_model().params["base"], "?");
    }
}
