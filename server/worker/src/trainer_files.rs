//! Files the original toolkit leaves beside its checkpoints, kept for scripts that read them (S-041, S-161, S-185).

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use contract::Code;
use contract::problem::Problem;
use contract::results::{ALL_FILE, Numbers, Results};
use contract::spec::RunSpec;
use serde_json::{Map, Value, json};

use crate::problems::of_file;
use crate::report::{StepReport, finite};
use crate::tensorboard::EventFile;

/// One line a step and a measurement.
pub const LOG: &str = "trainer_log.jsonl";
/// The same as one document, with best step and length of the run.
pub const STATE: &str = "trainer_state.json";
/// How the run was set.
pub const ARGS: &str = "finetuning_args.json";

/// `trainer_log.jsonl` at the root of a run, and beside it the same numbers for TensorBoard.
#[derive(Debug)]
pub struct TrainerLog {
    path: PathBuf,
    total: u64,
    events: EventFile,
}

impl TrainerLog {
    /// Goes on after the checkpoint of step `after`: lines of later steps, which a killed worker left, are dropped;
    /// earlier ones always stay (the original deleted the whole file, S-180). `None`: nothing was saved yet, so that
    /// everything is made again, the measuring before the first step, too.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(run: &Path, after: Option<u64>, total: u64) -> Result<Self, Problem> {
        let log = Self { path: run.join(LOG), total, events: EventFile::begin(run, after)? };
        let kept: String = log
            .lines()
            .iter()
            .filter(|line| after.is_some_and(|after| step_of(line) <= after))
            .map(|line| format!("{line}\n"))
            .collect();
        rundir::write_atomically(&log.path, kept.as_bytes())?;
        Ok(log)
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn append(&mut self, line: &Value) -> Result<(), Problem> {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path)
            .map_err(|why| of_file(&self.path, "write", &why))?;
        file.write_all(format!("{line}\n").as_bytes()).map_err(|why| of_file(&self.path, "write", &why))?;
        self.events.add(step_of(line), &measured(line.clone()))
    }

    /// Adds a step.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn step(&mut self, made: &StepReport, elapsed_s: f64, remaining_s: f64) -> Result<(), Problem> {
        let percentage = if self.total == 0 { 100.0 } else { 100.0 * made.step as f64 / self.total as f64 };
        let mut line = json!({
            "current_steps": made.step, "total_steps": self.total, "loss": finite(made.loss),
            "learning_rate": made.learning_rate, "epoch": made.epoch, "grad_norm": finite(made.grad_norm),
            "percentage": (percentage * 100.0).round() / 100.0, "elapsed_time": clock(elapsed_s),
            "remaining_time": clock(remaining_s), "tokens_per_second": made.tokens as f64 / made.seconds.max(1e-6),
        });
        for (name, value) in &made.metrics {
            line[name] = json!(finite(*value));
        }
        self.append(&line)
    }

    /// Adds a measurement.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn eval(
        &mut self,
        step: u64,
        loss: Option<f64>,
        metrics: &BTreeMap<String, f64>,
    ) -> Result<(), Problem> {
        let mut line = json!({ "current_steps": step, "total_steps": self.total, "eval_loss": loss });
        for (name, value) in metrics {
            line[format!("eval_{name}")] = json!(finite(*value));
        }
        self.append(&line)
    }

    /// Mean loss of all steps up to `step`, as `train_loss` of transformers; `None` before there is one.
    pub fn mean_loss(&self, step: u64) -> Option<f64> {
        let lines = self.lines();
        let losses =
            lines.iter().filter(|line| step_of(line) <= step).filter_map(|line| line.get("loss")?.as_f64());
        let (sum, count) = losses.fold((0.0, 0_u32), |(sum, count), loss| (sum + loss, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// The numbers measured after `step`, under their names in the log; the last ones that have a loss. Empty: none.
    pub fn evaluated(&self, step: u64) -> Numbers {
        let is_it =
            |line: &Value| step_of(line) == step && line.get("eval_loss").is_some_and(Value::is_number);
        let line = self.lines().into_iter().rfind(is_it);
        let numbers = line.map(measured).unwrap_or_default();
        numbers.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect()
    }

    /// Says how the run ended, after `step`, to TensorBoard alone: transformers' log has no such line.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn end(&mut self, step: u64, results: &BTreeMap<String, f64>) -> Result<(), Problem> {
        let of_training = results.iter().filter(|(name, _)| name.starts_with("train_"));
        let line = of_training.map(|(name, value)| (name.clone(), json!(finite(*value)))).collect();
        self.events.add(step, &line)
    }

    /// `trainer_state.json` as it stands after `step`.
    pub fn state(&self, spec: &RunSpec, step: u64, best: Option<(u64, f64)>) -> Value {
        let history: Vec<Value> =
            self.lines().into_iter().filter(|line| step_of(line) <= step).map(history).collect();
        json!({
            "best_metric": best.map(|(_, loss)| loss),
            "best_model_checkpoint": best.map(|(step, _)| format!("checkpoints/step-{step:08}")),
            "global_step": step, "max_steps": self.total, "num_train_epochs": spec.hyper.num_train_epochs,
            "train_batch_size": spec.hyper.per_device_train_batch_size, "log_history": history,
        })
    }
}

fn step_of(line: &Value) -> u64 {
    line.get("current_steps").and_then(Value::as_u64).unwrap_or(0)
}

/// A log line as transformers writes it.
fn history(line: Value) -> Value {
    let step = json!(step_of(&line));
    let mut fields = measured(line);
    fields.insert("step".to_owned(), step);
    Value::Object(fields)
}

/// What a log line says of the model: all but how far the run is.
fn measured(line: Value) -> Map<String, Value> {
    let Value::Object(mut fields) = line else { return Map::new() };
    let of_progress = ["current_steps", "total_steps", "percentage", "elapsed_time", "remaining_time"];
    fields.retain(|name, _| !of_progress.contains(&name.as_str()));
    fields
}

/// Seconds as `H:MM:SS`.
fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

/// `finetuning_args.json`: every setting, sorted by name (S-041).
///
/// # Errors
/// When the settings cannot be written as JSON.
pub fn args(spec: &RunSpec) -> Result<Vec<u8>, Problem> {
    let broken = |why: serde_json::Error| {
        Problem::new(Code::RunArgs, format!("The settings cannot be written: {why}.")).with("why", why)
    };
    let hyper = serde_json::to_value(&spec.hyper).map_err(broken)?;
    let mut sorted: BTreeMap<String, Value> =
        hyper.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect();
    sorted.insert("stage".to_owned(), json!(spec.stage.key()));
    sorted.insert("finetuning_type".to_owned(), json!(spec.tuning.key()));
    pretty(&sorted).map_err(broken)
}

/// JSON with an indent of two and a line break at the end.
///
/// # Errors
/// When a value cannot be JSON.
pub fn pretty<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}

/// Writes `train_results.json`, `eval_results.json` and `predict_results.json`, as far as there is something to say, and
/// `all_results.json` at the root of a run (S-161, S-162, S-167).
///
/// # Errors
/// When the disk refuses.
pub fn results(run: &Path, results: &Results) -> Result<(), Problem> {
    for (part, numbers) in results.parts() {
        if !numbers.is_empty() {
            write_numbers(&run.join(format!("{part}_results.json")), numbers)?;
        }
    }
    write_numbers(&run.join(ALL_FILE), &results.all())
}

fn write_numbers(path: &Path, numbers: &Numbers) -> Result<(), Problem> {
    let numbers: BTreeMap<&String, Option<f64>> =
        numbers.iter().map(|(name, x)| (name, finite(*x))).collect();
    let text =
        pretty(&numbers).map_err(|why| Problem::new(Code::RunResults, format!("{why}.")).with("why", why))?;
    Ok(rundir::write_atomically(path, &text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensorboard::tests::scalars;

    fn made(step: u64) -> StepReport {
        StepReport {
            step,
            loss: 1.5,
            learning_rate: 1e-4,
            grad_norm: f64::NAN,
            epoch: 0.5,
            tokens: 10,
            seconds: 2.0,
            metrics: BTreeMap::from([("reward".to_owned(), 0.25)]),
        }
    }

    #[test]
    fn s_180_a_resumed_run_keeps_its_log_up_to_its_checkpoint() {
        let place = tempfile::tempdir().expect("a folder");
        let mut log = TrainerLog::open(place.path(), None, 3).expect("opened");
        log.eval(0, Some(2.0), &BTreeMap::new()).expect("written");
        for step in 1..=3 {
            log.step(&made(step), 3661.0, 5.0).expect("written");
        }
        let mut log = TrainerLog::open(place.path(), Some(2), 3).expect("opened");
        assert_eq!(log.lines().iter().map(step_of).collect::<Vec<_>>(), [0, 1, 2]);
        log.step(&made(3), 1.0, 0.0).expect("written");
        assert_eq!(log.lines().len(), 4);
        let log = TrainerLog::open(place.path(), None, 3).expect("opened");
        assert!(log.lines().is_empty(), "the measuring before the first step is made again, too");
    }

    #[test]
    fn s_185_tensorboard_is_told_what_the_log_says() {
        let place = tempfile::tempdir().expect("a folder");
        let mut log = TrainerLog::open(place.path(), None, 2).expect("opened");
        log.eval(0, Some(2.0), &BTreeMap::from([("accuracy".to_owned(), 0.5)])).expect("written");
        log.step(&made(1), 1.0, 1.0).expect("written");
        let mut log = TrainerLog::open(place.path(), Some(1), 2).expect("opened");
        log.step(&StepReport { loss: 0.5, ..made(2) }, 1.0, 1.0).expect("written");
        assert_eq!((log.mean_loss(0), log.mean_loss(2)), (None, Some(1.0)));
        let results = [("train_loss", 1.0), ("train_runtime", f64::NAN), ("best_eval_loss", 2.0)];
        log.end(2, &results.map(|(name, value)| (name.to_owned(), value)).into()).expect("written");
        let rest = |step| {
            [("learning_rate", 1e-4), ("epoch", 0.5), ("tokens_per_second", 5.0), ("reward", 0.25)]
                .map(|(name, value)| (format!("train/{name}"), step, value))
        };
        let one = |tag: &str, step, value| vec![(tag.to_owned(), step, value)];
        let expected: Vec<_> = [
            one("eval/loss", 0, 2.0),
            one("eval/accuracy", 0, 0.5),
            one("train/loss", 1, 1.5),
            rest(1).to_vec(),
            one("train/loss", 2, 0.5),
            rest(2).to_vec(),
            one("train/train_loss", 2, 1.0),
        ]
        .concat();
        assert_eq!(scalars(place.path()), expected, "gradients that are no number are left out");
    }

    #[test]
    fn s_185_a_line_has_the_originals_fields() {
        let place = tempfile::tempdir().expect("a folder");
        let mut log = TrainerLog::open(place.path(), None, 3).expect("opened");
        log.step(&made(1), 3661.0, 59.9).expect("written");
        let line = &log.lines()[0];
        assert_eq!(
            (line["elapsed_time"].as_str(), line["remaining_time"].as_str()),
            (Some("1:01:01"), Some("0:00:59"))
        );
        assert_eq!((line["percentage"].as_f64(), line["reward"].as_f64()), (Some(33.33), Some(0.25)));
        assert!(line["grad_norm"].is_null(), "JSON has no NaN");
        let mut empty = TrainerLog { total: 0, ..log };
        empty.step(&made(2), 0.0, 0.0).expect("written");
        assert_eq!(empty.lines()[1]["percentage"], 100.0);
    }

    #[test]
    fn s_041_arguments_are_sorted_and_indented_by_two() {
        let spec_hyper = contract::params::Hyper::default();
        let text = pretty(&BTreeMap::from([("b", 1), ("a", 2)])).expect("JSON");
        assert_eq!(String::from_utf8_lossy(&text), "{\n  \"a\": 2,\n  \"b\": 1\n}\n");
        assert!(serde_json::to_value(&spec_hyper).expect("JSON")["lora_rank"] == 8);
    }
}
