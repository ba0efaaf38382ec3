//! The conversation with a generating worker.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use contract::Code;
use contract::chat::{ChatDelta, ChatMessage};
use contract::generation::GenerationSettings;
use contract::stage::Tuning;
use contract::templates::UserTemplate;
use contract::worker::{GenerateCommand, GenerateLine};
use rundir::RunDir;

use crate::support::{complete, finish, model, reference, spec, start, worker};

/// A conversation with a generating worker.
pub(crate) struct Talk {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Talk {
    pub(crate) fn open() -> Self {
        let mut child = worker().arg("generate").stdin(Stdio::piped()).spawn().expect("starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, input, output }
    }

    fn send(&mut self, command: &GenerateCommand) {
        let line = serde_json::to_string(command).expect("writes");
        writeln!(self.input, "{line}").expect("sent");
    }

    fn next(&mut self) -> (u64, ChatDelta) {
        let line = self.output.next().expect("a line").expect("reads");
        let line: GenerateLine = serde_json::from_str(&line).expect("a delta");
        (line.request, line.delta)
    }

    pub(crate) fn load(&mut self, chain: &[&Path]) -> String {
        let chain = chain.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        self.send(&GenerateCommand::Load { model: model().to_string_lossy().into_owned(), chain });
        assert_eq!(self.next(), (0, ChatDelta::Loading));
        match self.next() {
            (0, ChatDelta::Ready { digest, .. }) => digest,
            other => panic!("not loaded: {other:?}"),
        }
    }

    pub(crate) fn ask(&mut self, request: u64, max_new_tokens: u32) {
        self.ask_with("model", request, max_new_tokens);
    }

    fn ask_with(&mut self, template: &str, request: u64, max_new_tokens: u32) {
        let settings = GenerationSettings { do_sample: false, max_new_tokens, ..Default::default() };
        self.ask_by(template, request, settings);
    }

    fn ask_by(&mut self, template: &str, request: u64, settings: GenerationSettings) {
        let messages =
            vec![ChatMessage { role: "user".to_owned(), content: "What colour is the kettle?".to_owned() }];
        self.send(&GenerateCommand::Generate { request, template: template.to_owned(), messages, settings });
    }

    /// Text and reason of an answer.
    pub(crate) fn answer(&mut self, request: u64) -> (String, u32, String) {
        let mut text = String::new();
        loop {
            match self.next() {
                (from, ChatDelta::Ready { prompt_tokens, .. }) => {
                    assert!(from == request && prompt_tokens > 5)
                }
                (from, ChatDelta::Text { text: piece }) => {
                    assert_eq!(from, request);
                    text.push_str(&piece);
                }
                (from, ChatDelta::Done { tokens, reason, tokens_per_second }) => {
                    assert!(from == request && tokens_per_second.is_finite());
                    return (text, tokens, reason);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    pub(crate) fn close(mut self) {
        drop(self.input);
        assert!(self.child.wait().expect("ends").success());
    }
}

#[test]
fn s_090_a_base_model_answers_and_breaks_off_when_told() {
    let mut talk = Talk::open();
    writeln!(talk.input, "rubbish").expect("sent");
    assert!(matches!(talk.next(), (0, ChatDelta::Error { problem }) if problem.code == Code::WorkerCommand));
    talk.ask(1, 5);
    assert!(
        matches!(talk.next(), (1, ChatDelta::Error { problem }) if problem.code == Code::ChatNothingLoaded)
    );
    let digest = talk.load(&[]);
    assert!(digest.chars().count() == 9 && digest.contains('·'), "no adapter in its name: {digest}");
    talk.ask(2, 7);
    let (text, tokens, reason) = talk.answer(2);
    assert!(!text.is_empty() && (tokens == 7) == (reason == "length"), "{text:?} {tokens} {reason}");
    talk.ask(3, 1500);
    talk.send(&GenerateCommand::Cancel { request: 3 });
    let (_, tokens, reason) = talk.answer(3);
    assert!(reason == "cancelled" && tokens < 1500, "{tokens} {reason}");
    talk.ask(4, 7);
    assert_eq!(talk.answer(4).0, text, "greedy says the same again");
    talk.close();
}

#[test]
fn f24_a_search_breaks_off_and_what_waits_behind_it_is_taken_back_unread() {
    let mut talk = Talk::open();
    talk.load(&[]);
    let beams = |num_beams, max_new_tokens| GenerationSettings {
        do_sample: false,
        num_beams,
        max_new_tokens,
        ..Default::default()
    };
    talk.ask_by("model", 1, beams(16, 1500));
    talk.ask(2, 1500);
    talk.ask(3, 1500);
    for request in [3, 2, 1] {
        talk.send(&GenerateCommand::Cancel { request });
    }
    let (_, tokens, reason) = talk.answer(1);
    assert!(reason == ChatDelta::CANCELLED && tokens < 1500, "{tokens} {reason}");
    for request in [2, 3] {
        assert_eq!(talk.next(), (request, ChatDelta::taken_back()));
    }
    talk.ask_by("model", 4, beams(2, 5));
    let (_, tokens, reason) = talk.answer(4);
    assert!(reason != ChatDelta::CANCELLED && (1..=5).contains(&tokens), "{tokens} {reason}");
    talk.close();
}

#[test]
fn an_answer_ends_before_a_stop_word_of_several_tokens() {
    let mut talk = Talk::open();
    talk.load(&[]);
    let template = |stop_words: Vec<String>| {
        let prompt = "{query}".to_owned();
        UserTemplate { name: "own".to_owned(), prompt, stop_words, ..UserTemplate::default() }.key()
    };
    talk.ask_with(&template(Vec::new()), 1, 40);
    let (whole, all, _) = talk.answer(1);
    let chars: Vec<char> = whole.chars().collect();
    assert!(chars.len() > 20, "{whole:?}");
    let word: String = chars[8..16].iter().collect();
    talk.ask_with(&template(vec!["never said".to_owned(), word.clone()]), 2, 40);
    let (text, tokens, reason) = talk.answer(2);
    assert_eq!((text.as_str(), reason.as_str()), (whole.split(&word).next().expect("a part"), "stop"));
    assert!(tokens < all, "{tokens} of {all}");
    talk.close();
}

#[test]
fn a_tuned_model_says_what_it_was_taught() {
    let place = tempfile::tempdir().expect("a folder");
    for (tuning, mark) in [(Tuning::Full, "·"), (Tuning::Lora, " + lora ")] {
        let values = [
            ("max_steps", "200"),
            ("learning_rate", "2e-3"),
            ("lora_rank", "32"),
            ("lora_alpha", "64"),
            ("dev_ratio", "0"),
            ("per_device_train_batch_size", "12"),
        ];
        let run = RunDir::create(&place.path().join(tuning.key()), &spec(place.path(), tuning, &values))
            .expect("created");
        assert!(finish(start(&run)).status.success());
        let saved = run.checkpoints().expect("lists").remove(0);
        let mut talk = Talk::open();
        let digest = talk.load(&[saved.path()]);
        assert!(digest.contains(mark), "{digest}");
        talk.ask(1, 40);
        let (text, _, reason) = talk.answer(1);
        if tuning == Tuning::Full {
            assert_eq!((text.as_str(), reason.as_str()), ("The kettle is red.", "stop"));
        } else {
            assert!(text.starts_with("The"), "{text}");
        }
        talk.close();
    }
}

#[test]
fn s_124_what_was_merged_before_speaks_too() {
    let place = tempfile::tempdir().expect("a folder");
    let taught = [
        ("max_steps", "60"),
        ("learning_rate", "3e-3"),
        ("lora_rank", "16"),
        ("dev_ratio", "0"),
        ("per_device_train_batch_size", "12"),
    ];
    let idle = [("max_steps", "1"), ("learning_rate", "1e-9"), ("dev_ratio", "0")];
    let whole = complete(place.path(), "whole", &spec(place.path(), Tuning::Full, &taught));
    let mut on_whole = spec(place.path(), Tuning::Lora, &taught);
    on_whole.adapters = vec![reference(&whole)];
    let first = complete(place.path(), "first", &on_whole);
    let lineage = first.checkpoints().expect("lists").remove(0).manifest().lineage.clone().expect("written");
    assert_eq!(lineage.merged, [reference(&whole).digest], "a whole model is part of the base");
    let mut merging = spec(place.path(), Tuning::Lora, &idle);
    merging.adapters = on_whole.chain_to(reference(&first));
    merging.hyper.resume_lora_training = false;
    let second = complete(place.path(), "second", &merging);
    let chain = merging.chain_to(reference(&second));
    assert_eq!(chain.len(), 3);
    let folders: Vec<&Path> = chain.iter().map(|link| Path::new(&link.folder)).collect();
    let mut talk = Talk::open();
    let mut say = |chain: &[&Path]| {
        let digest = talk.load(chain);
        talk.ask(1, 24);
        (digest, talk.answer(1).0)
    };
    let (digest, all) = say(&folders);
    assert_eq!(digest.matches(" + lora ").count(), 2, "{digest}");
    let (_, before) = say(&folders[..2]);
    assert_eq!(all, before, "the last adapter has learned nothing");
    let (_, base) = say(&[]);
    let (_, alone) = say(&folders[2..]);
    assert_eq!(alone, base, "alone it says nothing new");
    assert_ne!(all, base, "what was merged is what it has learned");
    talk.close();
}
