//! How a run went, in sentences.

use contract::RunState;

use super::amounts::{loss, measure as number, num};
use super::{Lang, fill};
use crate::verdict::{Course, Measure, Verdict};

fn name(lang: Lang, measure: Measure) -> &'static str {
    match measure {
        Measure::EvalLoss => lang.pick("eval loss", "评估损失"),
        Measure::TrainLoss => lang.pick("train loss", "训练损失"),
        Measure::Reward => lang.pick("reward", "奖励"),
    }
}

/// The verdict as a part of the heading of an ended run: `the eval loss rose`. Empty: nothing to object to.
pub(crate) fn objection(lang: Lang, verdict: &Verdict) -> String {
    let sentence = match (verdict.course, verdict.measure) {
        (None | Some(Course::Better), _) => return String::new(),
        (Some(Course::Same), _) => lang.pick("no better than before", "没有比之前更好"),
        (Some(Course::Lost), _) => lang.pick("the loss became no number", "损失变得无法计算"),
        (Some(Course::Worse | Course::Burst), Measure::Reward) => lang.pick("the {0} fell", "{0}下降了"),
        (Some(Course::Worse | Course::Burst), _) => lang.pick("the {0} rose", "{0}上升了"),
    };
    fill(sentence, &[name(lang, verdict.measure)])
}

/// A text with a capital first letter; Chinese has none.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// From where to where, in the tense of the state.
fn numbers(lang: Lang, verdict: &Verdict, ended: bool) -> Option<String> {
    let course = verdict.course?;
    let say = |en: &'static str, zh: &'static str| lang.pick(en, zh);
    let up = verdict.measure == Measure::Reward;
    let sentence = match (course, ended) {
        (Course::Lost, _) => {
            let sentence =
                say("At step {0} the loss was infinite or no number.", "第 {0} 步的损失是无穷大或不是数字。");
            return Some(fill(sentence, &[&num(verdict.step)]));
        }
        (Course::Same, true) => say("{0} went from {1} to {2}.", "{0}从 {1} 变为 {2}。"),
        (Course::Same, false) => {
            say("{0} has gone from {1} to {2} so far.", "到目前为止{0}从 {1} 变为 {2}。")
        }
        (Course::Better, true) if up => say("{0} rose from {1} to {2}.", "{0}从 {1} 升到 {2}。"),
        (Course::Better, true) => say("{0} fell from {1} to {2}.", "{0}从 {1} 降到 {2}。"),
        (Course::Better, false) if up => {
            say("{0} has risen from {1} to {2} so far.", "到目前为止{0}从 {1} 升到 {2}。")
        }
        (Course::Better, false) => {
            say("{0} has fallen from {1} to {2} so far.", "到目前为止{0}从 {1} 降到 {2}。")
        }
        (_, true) if up => say("{0} fell from {1} to {2}.", "{0}从 {1} 降到 {2}。"),
        (_, true) => say("{0} rose from {1} to {2}.", "{0}从 {1} 升到 {2}。"),
        (_, false) if up => say("{0} has fallen from {1} to {2} so far.", "到目前为止{0}从 {1} 降到 {2}。"),
        (_, false) => say("{0} has risen from {1} to {2} so far.", "到目前为止{0}从 {1} 升到 {2}。"),
    };
    let value = if up { number } else { loss };
    let name = capital(name(lang, verdict.measure));
    Some(fill(sentence, &[&name, &value(Some(verdict.before)), &value(Some(verdict.after))]))
}

/// What was saved and how good it is, for a run that is over.
fn saved(lang: Lang, verdict: &Verdict) -> Option<String> {
    let say = |en: &'static str, zh: &'static str| lang.pick(en, zh);
    let Some(newest) = verdict.saved else {
        return Some(say("Nothing was saved.", "没有保存任何检查点。").to_owned());
    };
    let step = |sentence: &str, step: u64| fill(sentence, &[&num(step)]);
    let worse = verdict.course.is_some_and(|course| course != Course::Better);
    Some(match (verdict.later, verdict.measure) {
        (Some((at, value)), _) if !worse => {
            let sentence = say(
                "The checkpoint of step {0} stands for this run; at step {1} it was {2}.",
                "第 {0} 步的检查点代表这次训练;到第 {1} 步为 {2}。",
            );
            fill(sentence, &[&num(verdict.step), &num(at), &loss(Some(value))])
        }
        _ if verdict.saved_unmeasured => step(
            say("Step {0} is saved; it was not measured itself.", "第 {0} 步已保存,但没有单独评估。"),
            newest,
        ),
        (_, Measure::EvalLoss) if worse && verdict.course != Some(Course::Lost) => {
            say("No checkpoint is better than the model was before.", "没有一个检查点比训练前的模型更好。")
                .to_owned()
        }
        _ => step(say("Step {0} is saved.", "第 {0} 步已保存。"), newest),
    })
}

/// Why no eval tells how it went.
fn unmeasured(lang: Lang, verdict: &Verdict, ended: bool) -> Option<&'static str> {
    if verdict.nothing_held_out {
        return Some(lang.pick(
            "No rows were held out, so no eval tells whether it answers better.",
            "没有留出评估行,因此没有评估能说明回答是否变好。",
        ));
    }
    if verdict.measure == Measure::TrainLoss && verdict.base_unmeasured {
        return Some(lang.pick(
            "The model was not measured before training, so no eval tells whether it got better.",
            "训练前没有评估过模型,因此没有评估能说明是否变好。",
        ));
    }
    (ended && verdict.measure == Measure::TrainLoss).then(|| {
        lang.pick("It ended before an eval could tell how it went.", "在评估能说明效果之前就结束了。")
    })
}

/// What to do about it.
fn advice(lang: Lang, verdict: &Verdict, ended: bool) -> Option<&'static str> {
    let burst = matches!(verdict.course, Some(Course::Burst | Course::Lost));
    let (en, zh) = if ended {
        (
            "The learning rate is most likely too high: lower it and train again.",
            "学习率很可能过高:调低后重新训练。",
        )
    } else {
        (
            "The learning rate is most likely too high: stop, lower it and train again.",
            "学习率很可能过高:停止,调低后重新训练。",
        )
    };
    burst.then(|| lang.pick(en, zh))
}

/// Everything worth saying of how a run went, for under its heading.
pub(crate) fn verdict_text(lang: Lang, state: RunState, verdict: &Verdict, steps: u64) -> String {
    if steps == 0 {
        return String::new();
    }
    let ended = state.is_ended();
    let sentences = [
        numbers(lang, verdict, ended),
        saved(lang, verdict).filter(|_| ended),
        unmeasured(lang, verdict, ended).map(str::to_owned),
        advice(lang, verdict, ended).map(str::to_owned),
    ];
    let space = lang.pick(" ", "");
    sentences.into_iter().flatten().collect::<Vec<_>>().join(space)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(course: Course) -> Verdict {
        Verdict {
            course: Some(course),
            before: 4.55,
            after: 35.37,
            step: 3,
            saved: Some(3),
            ..Verdict::default()
        }
    }

    #[test]
    fn both_numbers_stand_in_every_sentence_of_either_language() {
        for lang in [Lang::En, Lang::Zh] {
            for course in [Course::Better, Course::Same, Course::Worse, Course::Burst] {
                for measure in [Measure::EvalLoss, Measure::TrainLoss, Measure::Reward] {
                    for state in [RunState::Running, RunState::Finished, RunState::Stopped, RunState::Failed]
                    {
                        let said = verdict_text(lang, state, &Verdict { measure, ..verdict(course) }, 3);
                        assert!(said.contains("4.550") && said.contains("35.370"), "{said}");
                        assert!(!said.contains('{'), "{said}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_worse_run_is_objected_to_and_a_better_one_is_not() {
        for lang in [Lang::En, Lang::Zh] {
            assert_eq!(objection(lang, &verdict(Course::Better)), "");
            assert_eq!(objection(lang, &Verdict::default()), "");
            for course in [Course::Same, Course::Worse, Course::Burst, Course::Lost] {
                assert!(!objection(lang, &verdict(course)).is_empty());
            }
        }
        assert_eq!(verdict_text(Lang::En, RunState::Stopped, &Verdict::default(), 0), "", "no step was made");
    }

    #[test]
    fn the_step_that_stands_and_the_step_that_is_saved_are_named() {
        let later = Verdict { later: Some((84, 5.1)), step: 63, saved: Some(84), ..verdict(Course::Better) };
        let said = verdict_text(Lang::En, RunState::Finished, &later, 84);
        assert!(said.contains("63") && said.contains("84") && said.contains("5.100"), "{said}");
        let stopped = Verdict { saved: Some(25), saved_unmeasured: true, ..verdict(Course::Worse) };
        assert!(verdict_text(Lang::En, RunState::Stopped, &stopped, 25).contains("25"));
    }
}
