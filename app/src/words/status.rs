//! Where a run stands, in one sentence.

use contract::RunState;

use super::amounts::{duration, num};
use super::{Lang, fill};

/// What the sentence is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    /// Steps made.
    pub(crate) step: u64,
    /// Steps of the whole run; 0 until known.
    pub(crate) total: u64,
    /// Seconds left, estimated.
    pub(crate) remaining_s: Option<f64>,
    /// What the worker does before its first step.
    pub(crate) phase: Option<String>,
    /// Whether held-out rows are being measured.
    pub(crate) measuring: bool,
    /// Seconds the last attempt took, once finished.
    pub(crate) seconds: Option<f64>,
    /// What speaks against an ended run, see [`super::objection`]; empty: nothing.
    pub(crate) objection: String,
    /// Whether the last step made is saved.
    pub(crate) saved: bool,
    /// Whether nothing learns: the run only measures.
    pub(crate) only_measures: bool,
}

/// One word for a chip.
pub(crate) fn state_word(lang: Lang, state: RunState) -> &'static str {
    match state {
        RunState::Queued => lang.pick("Waiting", "等待"),
        RunState::Preparing => lang.pick("Preparing", "准备中"),
        RunState::Running => lang.pick("Learning", "学习中"),
        RunState::Stopping => lang.pick("Stopping", "停止中"),
        RunState::Stopped => lang.pick("Stopped", "已停止"),
        RunState::Finished => lang.pick("Done", "完成"),
        RunState::Failed => lang.pick("Failed", "失败"),
    }
}

fn phase_text(lang: Lang, phase: Option<&str>) -> &'static str {
    match phase {
        Some("loading_model") => lang.pick("Loading the model.", "正在加载模型。"),
        Some("reading_data") => lang.pick("Reading the rows.", "正在读取数据。"),
        Some("tokenizing") => lang.pick("Cutting the rows into tokens.", "正在切分词元。"),
        _ => lang.pick("Getting ready.", "正在准备。"),
    }
}

/// The heading of a run's page where nothing learns.
fn measuring_status(lang: Lang, state: RunState, at: &Standing) -> String {
    match state {
        RunState::Queued => lang.pick("Waiting for its turn.", "排队等待中。").to_owned(),
        RunState::Preparing => phase_text(lang, at.phase.as_deref()).to_owned(),
        RunState::Running => lang.pick("Measuring.", "正在评估。").to_owned(),
        RunState::Stopping => lang.pick("Stopping.", "正在停止。").to_owned(),
        RunState::Stopped => {
            lang.pick("Stopped before everything was measured.", "在评估完成之前停止了。").to_owned()
        }
        RunState::Finished => {
            let took =
                at.seconds.map(|s| fill(lang.pick(" It took {0}.", "用时 {0}。"), &[&duration(lang, s)]));
            lang.pick("Measured.", "评估完成。").to_owned() + &took.unwrap_or_default()
        }
        RunState::Failed => lang.pick("It could not be measured.", "评估失败。").to_owned(),
    }
}

/// The heading of a run's page.
pub(crate) fn run_status(lang: Lang, state: RunState, at: &Standing) -> String {
    if at.only_measures {
        return measuring_status(lang, state, at);
    }
    let (step, total) = (num(at.step), num(at.total));
    match (state, lang) {
        (RunState::Queued, _) => lang.pick("Waiting for its turn.", "排队等待中。").to_owned(),
        (RunState::Preparing, _) => phase_text(lang, at.phase.as_deref()).to_owned(),
        (RunState::Running, _) if at.step == 0 && at.measuring => {
            lang.pick("Measuring the model before its first step.", "第一步之前先评估模型。").to_owned()
        }
        (RunState::Running, _) if at.step == 0 => {
            lang.pick("Learning. The first step is being made.", "学习中,正在走第一步。").to_owned()
        }
        (RunState::Running, Lang::En) => {
            let left = at.remaining_s.map(|s| format!(", about {} left", duration(lang, s)));
            format!("Learning. Step {step} of {total}{}.", left.unwrap_or_default())
        }
        (RunState::Running, Lang::Zh) => {
            let left = at.remaining_s.map(|s| format!(",大约还要 {}", duration(lang, s)));
            format!("学习中,第 {step} 步,共 {total} 步{}。", left.unwrap_or_default())
        }
        (RunState::Stopping, _) => {
            lang.pick("Stopping. It saves a checkpoint first.", "正在停止,会先保存检查点。").to_owned()
        }
        (RunState::Stopped, Lang::En) if at.step == 0 => "Stopped before the first step.".to_owned(),
        (RunState::Stopped, Lang::Zh) if at.step == 0 => "在第一步之前停止了。".to_owned(),
        (RunState::Stopped, _) => {
            let begin = fill(lang.pick("Stopped at step {0}", "停在第 {0} 步"), &[&step]);
            let end = match at.objection.as_str() {
                "" if at.saved => lang.pick(". What it learned is saved.", ",学到的内容已保存。").to_owned(),
                "" => lang.pick(".", "。").to_owned(),
                objection => fill(lang.pick(": {0}.", ":{0}。"), &[objection]),
            };
            format!("{begin}{end}")
        }
        (RunState::Finished, _) => {
            let all = at.step == 0 || at.step == at.total;
            let steps = if all {
                lang.pick("{0} steps", "共 {0} 步")
            } else {
                lang.pick("{1} of {0} steps", "{0} 步中的 {1} 步")
            };
            let steps = fill(steps, &[&total, &step]);
            let took = at.seconds.map(|s| fill(lang.pick(" in {0}", ",用时 {0}"), &[&duration(lang, s)]));
            let took = took.unwrap_or_default();
            match at.objection.as_str() {
                "" => fill(lang.pick("Done. {0}{1}.", "完成,{0}{1}。"), &[&steps, &took]),
                objection => fill(
                    lang.pick("Done, but {2}. {0}{1}.", "完成,但{2}。{0}{1}。"),
                    &[&steps, &took, objection],
                ),
            }
        }
        (RunState::Failed, Lang::En) if at.step == 0 => "It failed before the first step.".to_owned(),
        (RunState::Failed, Lang::Zh) if at.step == 0 => "在第一步之前失败了。".to_owned(),
        (RunState::Failed, Lang::En) => format!("It failed at step {step}."),
        (RunState::Failed, Lang::Zh) => format!("在第 {step} 步失败了。"),
    }
}

/// Progress and time left for a list, for example `62 %` and `2 minutes left`.
pub(crate) fn now_line(lang: Lang, step: u64, total: u64, remaining_s: Option<f64>) -> (String, String) {
    let percent = if total == 0 { 0.0 } else { 100.0 * step as f64 / total as f64 };
    let left = remaining_s.map(|s| duration(lang, s)).map(|span| match lang {
        Lang::En => format!("{span} left"),
        Lang::Zh => format!("还要 {span}"),
    });
    (format!("{percent:.0} %"), left.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: u64, remaining_s: Option<f64>) -> Standing {
        Standing { step, total: 400, remaining_s, ..Standing::default() }
    }

    #[test]
    fn a_live_run_says_step_and_time_left() {
        let said = run_status(Lang::En, RunState::Running, &at(248, Some(118.0)));
        assert_eq!(said, "Learning. Step 248 of 400, about 2 minutes left.");
        let said = run_status(Lang::Zh, RunState::Running, &at(248, Some(118.0)));
        assert_eq!(said, "学习中,第 248 步,共 400 步,大约还要 2 分钟。");
    }

    #[test]
    fn without_an_estimate_no_time_is_promised() {
        assert_eq!(run_status(Lang::En, RunState::Running, &at(3, None)), "Learning. Step 3 of 400.");
    }

    #[test]
    fn a_run_that_never_began_does_not_speak_of_step_zero() {
        for state in [RunState::Stopped, RunState::Failed, RunState::Running] {
            assert!(!run_status(Lang::En, state, &at(0, None)).contains("step 0"), "{state:?}");
        }
    }

    #[test]
    fn before_the_first_step_a_run_says_what_it_does() {
        let said =
            |measuring| run_status(Lang::En, RunState::Running, &Standing { measuring, ..at(0, None) });
        assert_ne!(said(true), said(false));
    }

    #[test]
    fn a_finished_run_says_how_long_it_took() {
        let standing = Standing { seconds: Some(190.0), ..at(400, None) };
        assert_eq!(run_status(Lang::En, RunState::Finished, &standing), "Done. 400 steps in 3 minutes.");
    }

    #[test]
    fn what_speaks_against_an_ended_run_stands_in_its_heading() {
        for lang in [Lang::En, Lang::Zh] {
            for state in [RunState::Stopped, RunState::Finished] {
                let worse = Standing { objection: "it rose".to_owned(), saved: true, ..at(3, None) };
                assert!(run_status(lang, state, &worse).contains("it rose"), "{state:?}");
                let better = Standing { objection: String::new(), ..worse };
                assert!(!run_status(lang, state, &better).contains("it rose"), "{state:?}");
            }
            let saved = |saved| run_status(lang, RunState::Stopped, &Standing { saved, ..at(3, None) });
            assert_ne!(saved(true), saved(false), "saved is said only where it is");
            let early = run_status(lang, RunState::Finished, &at(120, None));
            assert!(early.contains("120") && early.contains("400"), "a run may end early: {early}");
        }
    }

    #[test]
    fn what_only_measures_never_learns_or_makes_a_step() {
        let states =
            [RunState::Queued, RunState::Running, RunState::Stopping, RunState::Stopped, RunState::Finished];
        let mut said: Vec<_> = states
            .into_iter()
            .map(|state| {
                run_status(
                    Lang::En,
                    state,
                    &Standing { only_measures: true, seconds: Some(61.0), ..at(0, None) },
                )
            })
            .collect();
        assert!(said.iter().all(|text| !text.contains("earn") && !text.contains("step")), "{said:?}");
        said.sort();
        said.dedup();
        assert_eq!(said.len(), states.len());
    }

    #[test]
    fn an_unknown_total_is_no_division_by_zero() {
        assert_eq!(now_line(Lang::En, 0, 0, None), ("0 %".to_owned(), String::new()));
    }
}
