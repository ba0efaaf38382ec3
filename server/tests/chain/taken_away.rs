//! What leaves a run and comes back: its specification as a file, its numbers, its answers; and runs that only measure.

use axum::http::Request;
use contract::prediction::{FILE, Prediction, PredictionPage};
use contract::specification::SpecificationRead;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

/// Status, headers of interest and text of an answer.
async fn ask(studio: &Studio, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let response = server::build(&studio.state).oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let kept = response.headers().get("content-disposition").and_then(|text| text.to_str().ok());
    let kept = kept.unwrap_or_default().to_owned();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (status, kept, String::from_utf8_lossy(&bytes).into_owned())
}

/// Code and key of every problem of an answer.
fn problems(text: &str) -> Vec<(String, String)> {
    let read: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let all = read["problems"].as_array().expect("problems").clone();
    let said = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    all.iter().map(|one| (said(&one["code"]), said(&one["params"]["key"]))).collect()
}

#[tokio::test]
async fn s_050_a_run_goes_out_as_a_file_and_the_same_run_is_made_of_it() {
    let studio = Studio::open().await;
    let first = studio.run("first", Stage::Sft, &FITTING, &[5], None).await;
    let values =
        [("learning_rate", "3e-4"), ("lora_target", "q_proj,v_proj"), ("seed", "7"), ("dev_ratio", "0")];
    let draft = Draft {
        name: "Kettles: \"hot\" # 1".to_owned(),
        system: "Be short.\nBe kind: 🫖".to_owned(),
        ..studio.draft("sft", "lora", &key(&first), &values)
    };
    let id = launch(&studio.state, &draft, None).await.expect("queued");
    let was = studio.state.store.run(&id).await.expect("read").expect("there").spec;
    for form in ["yaml", "json"] {
        let (status, kept, text) =
            ask(&studio, "GET", &format!("/api/v1/runs/{id}/specification.{form}"), "").await;
        assert_eq!(
            (status, kept.as_str()),
            (200, format!("attachment; filename=\"specification.{form}\"").as_str())
        );
        assert!(
            !text.contains(&studio.place.path().to_string_lossy().into_owned()),
            "no folder of this machine"
        );
        let (status, _, read) = ask(&studio, "POST", "/api/v1/specifications", &text).await;
        let read: SpecificationRead = serde_json::from_str(&read).expect("read");
        assert_eq!((status, read.missing.len(), read.passed_over.len()), (200, 0, 0), "{read:?}");
        assert_eq!((&read.draft.dataset, &read.draft.model), (&draft.dataset, &draft.model));
        let (status, _, made) = ask(&studio, "POST", "/api/v1/runs", &text).await;
        assert_eq!(status, 201, "{made}");
        let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
        let again = RunId(made["run"].as_str().expect("an id").to_owned());
        let mut is = studio.state.store.run(&again).await.expect("read").expect("there").spec;
        is.run = was.run.clone();
        assert_eq!(is, was, "{form}");
    }
}

#[tokio::test]
async fn s_050_what_nobody_knows_or_has_is_named_and_nothing_is_launched() {
    let studio = Studio::open().await;
    let text = "stage: sft\nlearning_rat: 1\nstage: pt\n{}: 2\n";
    let (status, _, answer) = ask(&studio, "POST", "/api/v1/runs", text).await;
    assert_eq!((status, problems(&answer)[0].0.as_str()), (422, "spec.broken"));
    let text = "stage: sft\nlearning_rat: 1\nwarmth: 2\nstage: pt\n";
    let (status, _, answer) = ask(&studio, "POST", "/api/v1/runs", text).await;
    let found = problems(&answer);
    let found: Vec<_> = found.iter().map(|(code, key)| (code.as_str(), key.as_str())).collect();
    let expected =
        [("spec.twice", "stage"), ("spec.unknown_key", "learning_rat"), ("spec.unknown_key", "warmth")];
    assert_eq!((status, &found[..]), (422, &expected[..]));
    let text = "model_name_or_path: gone\ndataset: tea,nowhere\nfinetuning_type: lora\noutput_dir: x\n";
    let (_, _, answer) = ask(&studio, "POST", "/api/v1/specifications", text).await;
    let read: SpecificationRead = serde_json::from_str(&answer).expect("read");
    assert_eq!(read.passed_over, ["output_dir"]);
    assert_eq!(read.missing.iter().filter_map(Problem::form_key).collect::<Vec<_>>(), ["model", "dataset"]);
    let (status, _, answer) = ask(&studio, "POST", "/api/v1/runs", text).await;
    assert_eq!((status, problems(&answer).len()), (422, 2));
    let large = format!("a: {}", "x".repeat(1_100_000));
    let (status, _, answer) = ask(&studio, "POST", "/api/v1/specifications", &large).await;
    assert!(status == 422 && problems(&answer)[0].0 == "spec.too_large", "{status} {answer}");
    assert!(studio.state.store.runs().await.expect("read").is_empty());
}

#[tokio::test]
async fn s_190_answers_and_numbers_are_taken_away_and_nothing_else() {
    let studio = Studio::open().await;
    studio.run("r1", Stage::Sft, &FITTING, &[5], None).await;
    let folder = studio.state.run_folder(&RunId("r1".to_owned()));
    let row = Prediction {
        question: "Who?".to_owned(),
        label: "=1+1".to_owned(),
        predict: "Ember.".to_owned(),
        scores: [("bleu-4".to_owned(), 12.5)].into(),
        row: 2,
        ..Prediction::default()
    };
    let line = serde_json::to_string(&row).expect("JSON");
    std::fs::write(folder.join(FILE), format!("{line}\n{line}\n")).expect("written");
    std::fs::write(folder.join("eval_results.json"), "{\"eval_loss\": 2.0}\n").expect("written");
    std::fs::create_dir(folder.join("runs")).expect("made");
    std::fs::write(folder.join("runs/events.1"), "x").expect("written");
    let get = async |path: &str| ask(&studio, "GET", &format!("/api/v1/runs/r1/{path}"), "").await;
    let (_, _, text) = ask(&studio, "POST", "/api/run_files", "{\"id\":\"r1\"}").await;
    let names: Vec<String> = serde_json::from_str(&text).expect("names");
    assert_eq!(names, [FILE, "eval_results.json", "runs/events.1"]);
    for name in names {
        let (status, kept, _) = get(&format!("file?name={name}")).await;
        let last = name.rsplit('/').next().expect("a part");
        assert_eq!((status, kept), (200, format!("attachment; filename=\"{last}\"")));
    }
    for name in ["spec.json", "../r1/spec.json", "runs/../spec.json", "", "/etc/passwd", "train_results.json"]
    {
        assert_eq!(get(&format!("file?name={name}")).await.0, 404, "{name}");
    }
    let (status, _, csv) = get("predictions.csv").await;
    assert!(
        status == 200
            && csv.starts_with("\u{feff}dataset,row,question,label,predict,bleu-4,prompt,problem\n"),
        "{csv}"
    );
    assert_eq!(csv.matches("\n,2,Who?,'=1+1,Ember.,12.5,").count(), 2, "{csv}");
    let query = r#"{"id":"r1","query":{"search":"who","score":"bleu-4"}}"#;
    let (_, _, page) = ask(&studio, "POST", "/api/list_predictions", query).await;
    let page: PredictionPage = serde_json::from_str(&page).expect("a page");
    assert_eq!((page.all, page.found, page.rows[1].0), (2, 2, 2));
    let (status, kept, zip) = get("checkpoints/5/zip").await;
    assert_eq!((status, kept.as_str()), (200, "attachment; filename=\"r1-step-5.zip\""));
    assert!(zip.contains("adapter_model.safetensors") && !zip.contains("manifest.json"));
    assert_eq!((get("checkpoints/6/zip").await.0, get("checkpoints/x/zip").await.0), (404, 400));
    assert_eq!(ask(&studio, "GET", "/api/v1/runs/gone/predictions.csv", "").await.0, 404);
    studio.run("r2", Stage::Sft, &FITTING, &[5], None).await;
    assert_eq!(ask(&studio, "GET", "/api/v1/runs/r2/predictions.csv", "").await.0, 404);
}

#[tokio::test]
async fn s_160_an_evaluation_is_queued_where_there_is_something_to_measure() {
    let studio = Studio::open().await;
    let sft = studio.run("sft", Stage::Sft, &FITTING, &[5], None).await;
    let merged = Saved { merged: &[&sft], ..FITTING };
    let dpo = studio.run("dpo", Stage::Dpo, &merged, &[5], None).await;
    let measured = async |stage: &str, adapters: &str, values: &[(&str, &str)]| {
        let draft = studio.draft(stage, "none", adapters, values);
        launch(&studio.state, &draft, None).await.map_err(|fault| {
            fault.into_problems().into_iter().map(|problem| problem.code).collect::<Vec<_>>()
        })
    };
    let id = measured("sft", &key(&dpo), &[]).await.expect("queued");
    let spec = studio.state.store.run(&id).await.expect("read").expect("there").spec;
    assert_eq!((spec.tuning, spec.adapters.len(), spec.merged_adapters()), (Tuning::None, 2, 1));
    assert!(spec.hyper.dev_ratio == 1.0 && spec.hyper.predict_with_generate);
    assert!(measured("sft", "", &[]).await.is_ok(), "a base");
    assert!(
        measured("sft", &key(&sft), &[("quantization_bit", "nf4")]).await.is_ok(),
        "one adapter on few bits"
    );
    let refused = measured("sft", &key(&dpo), &[("quantization_bit", "nf4")]).await;
    assert_eq!(refused, Err(vec![Code::FormQuantizedSingle]), "nothing can be merged into them");
    assert_eq!(measured("sft", "", &[("dev_ratio", "0")]).await, Err(vec![Code::FormNeedsHeldOut]));
    let ppo = measured("ppo", &key(&sft), &[]).await.expect_err("refused");
    assert!(ppo.contains(&Code::FormNothingToMeasure), "{ppo:?}");
}
