//! Adapters from elsewhere: told apart from models, put on a base, and from then on checkpoints like any other.

use app::ports::{ModelsPort, RunsPort};
use contract::adapter::{AdapterFacts, Imported};
use contract::model::{ModelShape, ModelView, NewModel, TensorShape};
use server::services::models::Models;
use server::services::runs::Runs;

use super::*;

fn map(rows: u64) -> TensorShape {
    TensorShape { name: "self_attn.q_proj".to_owned(), shape: vec![rows, WIDTH] }
}

fn facts(rows: u64, head: Option<u64>) -> AdapterFacts {
    AdapterFacts {
        base: "someone/little".to_owned(),
        rank: 8,
        alpha: 16.0,
        targets: vec!["q_proj".to_owned()],
        maps: vec![map(rows)],
        blocks: 1,
        value_head: head,
        ..AdapterFacts::default()
    }
}

impl Studio {
    /// Brings in what the worker takes for this adapter; the row that comes of it.
    async fn brings(&self, name: &str, facts: &AdapterFacts) -> ModelView {
        let source = self.place.path().join(name);
        std::fs::create_dir_all(&source).expect("a folder");
        let answer = Imported::Adapter { adapter: Box::new(facts.clone()) };
        std::fs::write(source.join("answer"), serde_json::to_string(&answer).expect("writes"))
            .expect("written");
        let text = serde_json::to_string(facts).expect("writes");
        std::fs::write(self.place.path().join("facts"), text).expect("written");
        let new = NewModel::Path { name: name.to_owned(), path: source.to_string_lossy().into_owned() };
        let id = Models(self.state.clone()).create(new).await.expect("begun").id;
        for _ in 0..400 {
            let model = self.state.store.model(&id).await.expect("reads").expect("there");
            if model.state != "importing" {
                return model;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the import does not end");
    }

    /// The checkpoint that the worker makes of an adapter.
    async fn prepares(&self, head: Option<u64>) {
        let run = format!("made{}", head.unwrap_or_default());
        let made = self.run(&run, Stage::Sft, &Saved { head, ..FITTING }, &[0], None).await;
        let prepared = self.place.path().join("prepared");
        let _ = std::fs::remove_dir_all(&prepared);
        std::fs::rename(&made.folder, &prepared).expect("moved");
    }

    async fn puts_on(&self, adapter: &ModelView, template: &str) -> Result<RunId, Vec<Problem>> {
        let models = Models(self.state.clone());
        models.adopt(adapter.id.clone(), self.model.clone(), template.to_owned()).await.map_err(|p| p.0)
    }

    /// Gives the base the shapes that adapters are compared with.
    async fn shapes(&self) {
        let model = self.state.store.model(&self.model).await.expect("reads").expect("there");
        let mut facts = model.facts.expect("facts");
        let q_proj = TensorShape { name: "self_attn.q_proj.weight".to_owned(), ..map(WIDTH) };
        facts.shape =
            Some(ModelShape { block: vec![q_proj], query_width: WIDTH, key_width: WIDTH, file_bytes: 1 });
        self.state.store.end_import(&self.model, Ok(&facts)).await.expect("kept");
    }
}

#[tokio::test]
async fn s_019_s_020_an_adapter_from_elsewhere_is_a_checkpoint_once_a_person_has_said_on_which_base() {
    let studio = Studio::open().await;
    studio.shapes().await;
    let waiting = studio.brings("support", &facts(WIDTH, Some(WIDTH))).await;
    let problem = waiting.problem.clone().expect("it is no model");
    assert_eq!((waiting.state.as_str(), problem.code), ("failed", Code::ModelIsAdapter));
    assert_eq!(problem.params["base"], "someone/little");
    let models = studio.state.store.models().await.expect("reads");
    let adapter = waiting.adapter.clone().expect("told apart");
    let offered: Vec<_> = adapter.bases(&models).into_iter().map(|model| model.id.clone()).collect();
    assert_eq!(offered, std::slice::from_ref(&studio.model));

    let refused = studio.puts_on(&waiting, "no such template").await.expect_err("no template");
    assert_eq!(refused[0].code, Code::FormUnknownChoice);
    let refused = studio.puts_on(&waiting, "alpaca").await.expect_err("the worker made nothing");
    assert_eq!(refused.len(), 1);
    assert_eq!(studio.state.store.runs().await.expect("reads").len(), 0, "and nothing is left of the try");
    assert_eq!(std::fs::read_dir(studio.state.config.folder("runs")).expect("lists").count(), 0);

    studio.prepares(Some(WIDTH)).await;
    let run = studio.puts_on(&waiting, "alpaca").await.expect("put on its base");
    let again = studio.puts_on(&waiting, "alpaca").await.expect_err("once");
    assert_eq!(again[0].code, Code::NotFound);
    assert!(studio.state.store.model(&waiting.id).await.expect("reads").is_none(), "it waits no more");
    assert!(!studio.state.model_folder(&waiting.id).exists());

    let view = Runs(studio.state.clone()).get(run.clone()).await.expect("there");
    assert_eq!(
        (view.summary.state, view.summary.brought, view.brought),
        (RunState::Finished, true, Some(adapter))
    );
    assert_eq!(view.checkpoints.iter().map(|one| one.step).collect::<Vec<_>>(), [0]);
    assert!(studio.state.store.next_queued().await.expect("reads").is_none());

    let voices = System(studio.state.clone()).voices().await.expect("listed");
    let voice = voices.iter().find(|voice| voice.target.run.as_ref() == Some(&run)).expect("it speaks");
    assert_eq!((voice.target.step, voice.stage, voice.judges), (Some(0), Some(Stage::Sft), true));
    let messages = vec![ChatMessage { role: "user".to_owned(), content: "Who?".to_owned() }];
    let request =
        ChatRequest { target: voice.target.clone(), template: None, messages, settings: Default::default() };
    let answer = chat::answer(&studio.state, request).await.expect("asked");
    let folder = studio.state.run_folder(&run).join("checkpoints/step-00000000");
    assert_eq!(studio.loaded().await, [folder.to_string_lossy().into_owned()]);
    drop(answer);

    let from = format!("{run}:0");
    for further in ["true", "false"] {
        let values = [("resume_lora_training", further)];
        assert_eq!(studio.refused("sft", &from, "", &values).await, None, "trained further or merged");
    }
    assert_eq!(studio.refused("ppo", "", &from, &[]).await, None, "its value head judges");
    let runs = Runs(studio.state.clone());
    let refused = runs.delete(run.clone()).await.expect_err("others stand on it");
    assert_eq!(refused.0[0].code, Code::RunStoodOn);
    for other in studio.state.store.runs().await.expect("reads") {
        if other.summary.id != run {
            runs.delete(other.summary.id).await.expect("deleted");
        }
    }
    runs.delete(run.clone()).await.expect("deleted like any run");
}

#[tokio::test]
async fn s_104_a_judge_without_a_value_head_is_said_before_the_launch() {
    let studio = Studio::open().await;
    studio.shapes().await;
    let waiting = studio.brings("support", &facts(WIDTH, None)).await;
    studio.prepares(None).await;
    let run = studio.puts_on(&waiting, "alpaca").await.expect("put on its base");
    let voices = System(studio.state.clone()).voices().await.expect("listed");
    assert!(voices.iter().all(|voice| voice.target.run.as_ref() != Some(&run) || !voice.judges));
    assert_eq!(
        studio.refused("ppo", "", &format!("{run}:0"), &[]).await,
        said(Code::RewardNoHead, "reward_model")
    );
}

#[tokio::test]
async fn an_adapter_of_other_shapes_is_offered_no_base_and_refused_on_one() {
    let studio = Studio::open().await;
    studio.shapes().await;
    let waiting = studio.brings("foreign", &facts(WIDTH * 2, None)).await;
    let models = studio.state.store.models().await.expect("reads");
    assert!(waiting.adapter.as_ref().expect("told apart").bases(&models).is_empty());
    let refused = studio.puts_on(&waiting, "alpaca").await.expect_err("other shapes");
    assert_eq!((refused[0].code, refused[0].form_key()), (Code::AdapterOtherBase, Some("model")));
    let models = Models(studio.state.clone());
    models.delete(waiting.id.clone()).await.expect("deleted");
    assert!(!studio.state.model_folder(&waiting.id).exists());
    let gone = studio.puts_on(&waiting, "alpaca").await.expect_err("gone");
    assert_eq!(gone[0].code, Code::NotFound);
    let model = ModelView { id: studio.model.clone(), ..waiting };
    let no_adapter = studio.puts_on(&model, "alpaca").await.expect_err("a model is no adapter");
    assert_eq!(no_adapter[0].code, Code::NotFound);
}

#[tokio::test]
async fn s_040_layers_that_the_model_does_not_have_are_refused_at_launch_at_their_field() {
    let studio = Studio::open().await;
    let fused = [("lora_target", "c_attn")];
    assert_eq!(
        studio.refused("sft", "", "", &fused).await,
        None,
        "the shape of an older import is not known"
    );
    studio.shapes().await;
    let refusal = said(Code::FormNoSuchLayer, "lora_target");
    for (target, wanted) in [
        ("c_attn", &refusal),
        ("q_proj,gate_up_proj", &refusal),
        ("mlp", &refusal),
        ("q_proj", &None),
        ("self_attn", &None),
        ("self_attn.q_proj", &None),
        ("all-linear", &None),
    ] {
        assert_eq!(&studio.refused("sft", "", "", &[("lora_target", target)]).await, wanted, "{target}");
    }
}

#[tokio::test]
async fn s_053_measuring_by_answering_is_refused_at_launch_where_nothing_answers() {
    let studio = Studio::open().await;
    let values = [("predict_with_generate", "true")];
    for stage in ["pt", "rm", "dpo"] {
        let refused = studio.refused(stage, "", "", &values).await;
        assert_eq!(refused, said(Code::FormPredictStage, "predict_with_generate"), "{stage}");
    }
    assert_eq!(studio.refused("sft", "", "", &values).await, None);
}
