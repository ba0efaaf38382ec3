use std::collections::BTreeSet;

use super::*;
use crate::Cpu;
use crate::config::ModelConfig;

fn model() -> CausalLm<Cpu> {
    let config = ModelConfig {
        vocab_size: 40,
        max_position_embeddings: 64,
        initializer_range: 0.3,
        ..ModelConfig::default()
    };
    CausalLm::init_random(config, 5, &Default::default()).unwrap()
}

fn drawn(seed: u64) -> SamplingConfig {
    SamplingConfig {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        seed,
        max_new_tokens: 12,
        ..SamplingConfig::default()
    }
}

/// The model with one embedding row spoilt: scores after (and of) this token are no numbers.
fn spoilt(token: usize, value: f32) -> CausalLm<Cpu> {
    let mut model = model();
    model.visit_mut(|param| {
        if param.name == "model.embed_tokens.weight" {
            let ([rows, cols], mut values) = (param.value.dims(), Cpu::to_host(&param.value));
            values[token * cols] = value;
            param.value = Cpu::from_host(values, rows, cols, &Default::default());
        }
    });
    model
}

#[test]
fn rows_of_a_batch_do_not_see_each_other() {
    let model = model();
    let generator = Generator::new(&model, vec![7]);
    let prompts = [vec![1, 2, 3, 4, 5], vec![6], vec![8, 9, 10]];
    let asked: Vec<_> = prompts.iter().zip([3, 9, 5]).map(|(prompt, seed)| Asked { prompt, seed }).collect();
    for config in [SamplingConfig::greedy(12), drawn(3)] {
        let together = generator.generate_rows(&asked, &config, |_, _| ControlFlow::Continue(())).unwrap();
        for (Asked { prompt, seed }, row) in asked.iter().zip(&together) {
            let config = SamplingConfig { seed: *seed, ..config };
            let alone = generator.generate(prompt, &config, |_| ControlFlow::Continue(()));
            assert_eq!(alone.unwrap(), (row.tokens.clone(), row.finish.clone().unwrap()));
        }
        let unlabelled = |prompt: &Vec<u32>| (prompt.clone(), vec![-100; prompt.len()]);
        let batch = Batch::from_rows(&prompts.each_ref().map(unlabelled), 0);
        let rows = generator.generate_batch(&batch, &config).unwrap();
        for (i, (prompt, row)) in prompts.iter().zip(rows).enumerate() {
            let seed = if i == 0 { config.seed } else { splitmix(config.seed ^ i as u64) };
            let config = SamplingConfig { seed, ..config };
            let alone = generator.generate(prompt, &config, |_| ControlFlow::Continue(()));
            assert_eq!(alone.unwrap(), (row.tokens, row.finish.unwrap()));
        }
    }
}

#[test]
fn s_188_the_prompt_of_a_left_padded_batch_is_cut_off() {
    let model = model();
    let generator = Generator::new(&model, vec![]);
    let batch = Batch::from_rows(&[(vec![1, 2, 3], vec![-100; 3]), (vec![4], vec![-100])], 0);
    let rows = generator.generate_batch(&batch, &SamplingConfig::greedy(5)).unwrap();
    let alone = generator.generate(&[4], &SamplingConfig::greedy(5), |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((rows[1].tokens.as_slice(), rows[0].tokens.len()), (alone.0.as_slice(), 5));
}

#[test]
fn s_191_scores_that_are_no_numbers_fail_their_row_only() {
    let (healthy, greedy) = (model(), SamplingConfig::greedy(3));
    let said = Generator::new(&healthy, vec![]).generate(&[1, 2], &greedy, |_| ControlFlow::Continue(()));
    let said = said.unwrap().0;
    let bad = (4..40).find(|token| !said.contains(token)).unwrap();
    for value in [f32::NAN, f32::INFINITY] {
        let model = spoilt(bad as usize, value);
        let generator = Generator::new(&model, vec![]);
        let prompts = [vec![1, 2], vec![3, bad], vec![1; 64]];
        let asked = prompts.each_ref().map(|prompt| Asked { prompt, seed: 0 });
        let rows = generator.generate_rows(&asked, &greedy, |_, _| ControlFlow::Continue(())).unwrap();
        assert_eq!(rows[2].finish.clone().unwrap_err().code, Code::GenerationPromptTooLong);
        assert_eq!((rows[0].tokens.len(), &rows[0].finish), (3, &Ok(Finish::Length)));
        let error = rows[1].finish.clone().unwrap_err();
        assert!(rows[1].tokens.is_empty() && error.code == Code::GenerationScores, "{error}");
        assert!(error.to_string().contains("new token 1"), "{error}");
        let beams = generator.beam_search(&[3, bad], &BeamConfig::default()).unwrap_err();
        assert_eq!(beams.code, Code::GenerationScores);
    }
}

#[test]
fn s_042_the_seed_decides_the_draw_and_room_is_kept() {
    let model = model();
    let generator = Generator::new(&model, vec![]);
    let run = |seed| generator.generate(&[1, 2], &drawn(seed), |_| ControlFlow::Continue(())).unwrap().0;
    assert_eq!(run(1), run(1));
    assert!((0..5).map(run).collect::<BTreeSet<_>>().len() > 1);
    let long: Vec<u32> = (0..60).map(|i| i % 40).collect();
    let (tokens, finish) = generator.generate(&long, &drawn(1), |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((tokens.len(), finish), (4, Finish::Length));
    assert_eq!(
        generator.generate(&[], &drawn(1), |_| ControlFlow::Continue(())).unwrap_err().code,
        Code::GenerationPrompt
    );
}

#[test]
fn one_beam_is_greedy_and_more_beams_are_never_less_likely() {
    let model = model();
    let generator = Generator::new(&model, vec![]);
    let greedy =
        generator.generate(&[1, 2], &SamplingConfig::greedy(8), |_| ControlFlow::Continue(())).unwrap().0;
    let beams = |num_beams| {
        let config = BeamConfig { num_beams, max_new_tokens: 8, ..BeamConfig::default() };
        generator.beam_search(&[1, 2], &config).unwrap().remove(0)
    };
    assert_eq!(beams(1).tokens, greedy);
    assert!(beams(8).score >= beams(1).score - 1e-6);
    let config = BeamConfig { num_beams: 0, ..BeamConfig::default() };
    assert!(generator.beam_search(&[1], &config).unwrap_err().to_string().contains("num_beams"));
}

/// Steps of a search that is broken off after some of them, and what leads then.
fn left(generator: &Generator<Cpu>, config: &BeamConfig, steps: usize) -> Option<Beamed> {
    let mut search = generator.begin_search(&[1, 2], config).unwrap();
    for _ in 0..steps {
        generator.search(&mut search).unwrap();
    }
    search.leading()
}

#[test]
fn f24_a_search_goes_a_token_a_step_and_may_be_left_after_each() {
    let model = model();
    let generator = Generator::new(&model, vec![]);
    let config = BeamConfig { num_beams: 3, num_return: 3, max_new_tokens: 8, ..BeamConfig::default() };
    let whole = generator.beam_search(&[1, 2], &config).unwrap();
    let mut search = generator.begin_search(&[1, 2], &config).unwrap();
    let mut steps = Vec::new();
    while steps.last() != Some(&Searched::Over) {
        steps.push(generator.search(&mut search).unwrap());
    }
    let expected = [vec![Searched::Prompt], vec![Searched::Token; 8], vec![Searched::Over]].concat();
    assert_eq!((steps, generator.search(&mut search).unwrap()), (expected, Searched::Over));
    assert_eq!((search.leading(), search.found()), (whole.first().cloned(), whole));

    assert_eq!((left(&generator, &config, 0), left(&generator, &config, 1)), (None, None), "nothing said");
    for tokens in 1..8 {
        // were the search to end there, the same would be the best
        let shorter = BeamConfig { max_new_tokens: tokens, ..config };
        let best = generator.beam_search(&[1, 2], &shorter).unwrap().remove(0);
        assert_eq!(left(&generator, &config, 1 + tokens), Some(best));
    }
}

#[test]
fn f24_what_has_finished_leads_while_nothing_better_goes_on() {
    let model = model();
    let config = BeamConfig { num_beams: 3, max_new_tokens: 10, ..BeamConfig::default() };
    let likeliest = left(&Generator::new(&model, vec![]), &config, 2).unwrap();
    let stop = likeliest.tokens.clone();
    let generator = Generator::new(&model, stop.clone());
    let best = (2..6).map(|steps| left(&generator, &config, steps).unwrap()).collect::<Vec<_>>();
    assert_eq!(best[0], likeliest, "it ended with its first token");
    assert!(best.windows(2).all(|pair| pair[1].score >= pair[0].score || pair[0].tokens != stop));
    let none = BeamConfig { max_new_tokens: 0, ..config };
    let mut search = generator.begin_search(&[1], &none).unwrap();
    assert_eq!(generator.search(&mut search), Ok(Searched::Over));
    assert_eq!((search.leading(), search.found()), (None, vec![]));
}

#[test]
fn f24_a_long_prompt_is_read_in_pieces_and_gives_the_scores_of_a_whole_one() {
    let config = ModelConfig { vocab_size: 40, initializer_range: 0.3, ..ModelConfig::default() };
    let model = CausalLm::<Cpu>::init_random(config, 5, &Default::default()).unwrap();
    let generator = Generator::new(&model, vec![]);
    let prompt: Vec<u32> = (0..2 * PROMPT_PIECE as u32 + 90).map(|i| i * i % 39).collect();
    let (last, before) = prompt.split_last().unwrap();

    let mut whole = model.new_cache(prompt.len());
    model.forward_cached(before, &mut whole, Mode::default());
    let whole = model.next_logits(&[*last], &mut whole, Mode::default());

    let mut writing = generator.begin(&prompt, &SamplingConfig::greedy(4)).unwrap();
    let mut read = Vec::new();
    while generator.read(&mut writing) {
        read.push(writing.sequence.cache.len());
    }
    assert_eq!(read, [PROMPT_PIECE, 2 * PROMPT_PIECE, before.len()]);
    let pieces = generator.step(&mut [&mut writing.sequence]).remove(0);
    let largest = whole.iter().fold(0f32, |most, score| most.max(score.abs()));
    for (pieces, whole) in pieces.iter().zip(&whole) {
        assert!((pieces - whole).abs() <= 1e-5 * largest.max(1.0), "{pieces} and {whole} of {largest}");
    }

    // who does not care about pieces gets the same tokens, and a search reads as an answer does
    let greedy = |_| ControlFlow::Continue(());
    let said = generator.generate(&prompt, &SamplingConfig::greedy(4), greedy).unwrap().0;
    let mut writing = generator.begin(&prompt, &SamplingConfig::greedy(4)).unwrap();
    assert!(generator.read(&mut writing));
    let tokens = std::iter::from_fn(|| generator.next(&mut writing)).collect::<Result<Vec<_>>>().unwrap();
    assert_eq!((tokens, generator.read(&mut writing)), (said, false));
    let beams = BeamConfig { num_beams: 2, max_new_tokens: 4, ..BeamConfig::default() };
    let mut search = generator.begin_search(&prompt, &beams).unwrap();
    let steps: Vec<_> = (0..4).map(|_| generator.search(&mut search).unwrap()).collect();
    assert_eq!(steps, [Searched::Prompt, Searched::Prompt, Searched::Prompt, Searched::Token]);
}
