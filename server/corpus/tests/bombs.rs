//! Template bombs (S13): each stops with an error, within memory and time.

use std::time::{Duration, Instant};

use contract::Code;
use contract::chat::ChatMessage;
use corpus::template::{ChatTemplate, Extras};

const BOMBS: &[(&str, &str)] = &[
    (
        "nested loops",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{{ a }}{% endfor %}{% endfor %}{% endfor %}",
    ),
    ("a huge range", "{% for a in range(1000000000) %}x{% endfor %}"),
    ("a long text by multiplication", "{{ 'a' * 1000000000 }}"),
    (
        "doubling",
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    ),
    (
        "a long join",
        "{{ range(99999) | join('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') }}",
    ),
    ("a macro that calls itself", "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}"),
    (
        "two macros that call each other",
        "{% macro a(n) %}{{ b(n) }}{{ b(n) }}{% endmacro %}{% macro b(n) %}{{ a(n) }}{{ a(n) }}{% endmacro %}{{ a(0) }}",
    ),
    ("a recursive loop", "{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}"),
    (
        "replacing by longer text",
        "{% set ns = namespace(x='aaaaaaaaaa') %}{% for i in range(30) %}{% set ns.x = ns.x | replace('a', 'aaaaaaaaaa') %}{% endfor %}{{ ns.x }}",
    ),
    (
        "replacing by a method",
        "{% set ns = namespace(x='aaaaaaaaaa') %}{% for i in range(30) %}{% set ns.x = ns.x.replace('a', 'aaaaaaaaaa') %}{% endfor %}{{ ns.x }}",
    ),
    ("a wide indentation", "{{ ('a\n' * 1000) | indent(1000000) }}"),
    ("JSON with a wide indentation", "{{ messages | tojson(indent=100000000) }}"),
    (
        "a deep value",
        "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
    ),
    (
        "a deep value as JSON",
        "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}",
    ),
    (
        "a very deep value",
        "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = {'a': ns.x} %}{% endfor %}{{ ns.x }}",
    ),
    ("a wide format", "{{ '%100000000d' | format(1) }}"),
    ("an included file", "{% include '/etc/passwd' %}"),
    ("an inherited file", "{% extends '../../etc/passwd' %}"),
    ("an imported file", "{% import 'x' as y %}{{ y.z }}"),
    ("a way out of the sandbox", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    (
        "sorting over and over",
        "{% for i in range(9999) %}{{ range(9999) | sort | list | length }}{% endfor %}",
    ),
    (
        "doubling a list",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x | length }}",
    ),
    (
        "doubling a list without end",
        "{% set ns = namespace(x=messages | map('upper')) %}{% for i in range(60) %}{% set ns.x = ns.x + (ns.x) %}{% endfor %}{{ ns.x }}",
    ),
    (
        "doubling a list in a macro",
        "{% macro m(x, n) %}{% if n %}{{ m(x + x, n - 1) }}{% endif %}{% endmacro %}{{ m([1], 50) }}",
    ),
    (
        "doubling a list by a filter",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] | sum(start=[]) %}{% endfor %}",
    ),
    (
        "chaining a list",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x | chain(ns.x) %}{% endfor %}",
    ),
    (
        "a list that grows and grows",
        "{% set ns = namespace(x=[1] * 9000) %}{% for i in range(9999) %}{% set ns.x = [1] * 9000 + ns.x[:9000] %}{% endfor %}",
    ),
    (
        "a list that holds itself twice",
        "{% set ns = namespace(x=[]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    ),
    (
        "the same as JSON",
        "{% set ns = namespace(x={}) %}{% for i in range(60) %}{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}{{ ns.x | tojson }}",
    ),
    ("a power", "{{ 10 ** 1000000 }}"),
];

/// A hundred times what is wanted of a free machine in an optimised build: only a bomb that goes off takes so long.
const FAR_TOO_LONG: Duration = Duration::from_secs(10);

#[test]
fn s13_every_bomb_stops() {
    let messages = [ChatMessage { role: "user".into(), content: "q".into() }];
    let mut survived = Vec::new();
    for (name, source) in BOMBS {
        let began = Instant::now();
        let outcome = ChatTemplate::with_tokens(source, Some("<s>"), Some("</s>"), Vec::new())
            .and_then(|template| template.render(&messages, true, &Extras::default()));
        let took = began.elapsed();
        eprintln!("{name}: {} ms", took.as_millis());
        assert!(took < FAR_TOO_LONG, "{name} took {took:?}");
        match outcome {
            Ok(text) => survived.push(format!("{name}: {} bytes", text.len())),
            Err(problem) => {
                assert!(
                    [Code::TemplateFailed, Code::TemplateBroken].contains(&problem.code),
                    "{name}: {problem}"
                );
                assert!(problem.message.len() < 500, "{name}: {problem}");
            }
        }
    }
    assert!(survived.is_empty(), "{}", survived.join("\n"));
    assert!(BOMBS.len() >= 12);
}

#[test]
fn an_honest_template_over_a_long_conversation_has_fuel_enough() {
    let source = "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] | trim + '<|end|>\\n' }}{% endfor %}";
    let template = ChatTemplate::with_tokens(source, None, None, Vec::new()).unwrap();
    let message = |content: String| ChatMessage { role: "user".into(), content };
    let long = [message("word ".repeat(400_000))];
    assert!(template.render(&long, false, &Extras::default()).unwrap().len() > 1_900_000);
    let many: Vec<_> = (0..5000).map(|n| message(format!("message {n}"))).collect();
    assert!(template.render(&many, false, &Extras::default()).unwrap().ends_with("message 4999<|end|>\n"));
}

#[test]
fn a_template_refuses_in_its_own_words() {
    let source = "{{ raise_exception('Roles must alternate ' ~ messages[0].role) }}";
    let template = ChatTemplate::with_tokens(source, None, None, Vec::new()).unwrap();
    let messages = [ChatMessage { role: "user".into(), content: "q".into() }];
    let problem = template.render(&messages, true, &Extras::default()).unwrap_err();
    assert_eq!(
        (problem.code, problem.message.as_str()),
        (Code::TemplateRefused, "Roles must alternate user")
    );
}
