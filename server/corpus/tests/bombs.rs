//! Template bombs (S13): each stops with an error, within memory and time.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use contract::Code;
use contract::chat::ChatMessage;
use contract::problem::Problem;
use corpus::template::{ChatTemplate, Extras};
use proptest::prelude::*;

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
    ("a choice of nothing", "{% for i in [1] %}{{ loop.cycle() }}{% endfor %}"),
    ("a choice of no list", "{% for i in [1] %}{{ loop.cycle(*[]) }}{% endfor %}"),
    ("a wide text format", "{{ '{:>1000000000}'.format(1) }}"),
    (
        "parts of parts of a list",
        "{% set n = namespace(x=[1, 2]) %}{% for j in range(99) %}{% for i in range(9999) %}{% set n.x = n.x[0:] %}{% endfor %}{% endfor %}{{ n.x }}",
    ),
    (
        "a list turned over and over",
        "{% set n = namespace(x=[1, 2]) %}{% for j in range(99) %}{% for i in range(9999) %}{% set n.x = n.x | reverse %}{% endfor %}{% endfor %}{{ n.x }}",
    ),
    (
        "lists in a list turned over and over",
        "{% set n = namespace(x=[[1], [2]]) %}{% for j in range(99) %}{% for i in range(9999) %}{% set n.x = n.x | map('reverse') | list %}{% endfor %}{% endfor %}{{ n.x }}",
    ),
    ("a block in itself", "{% block a %}{{ self.a() }}{% endblock %}"),
    (
        "loops that hold one another",
        "{% set n = namespace(x=1) %}{% for j in range(99) %}{% for i in range(9999) %}{% for k in [n.x] %}{% set n.x = loop %}{% endfor %}{% endfor %}{% endfor %}",
    ),
    (
        "lists handed to a loop in itself",
        "{% for x in [[1]] recursive %}{{ loop(x | zip(x, x, x) | list) }}{% endfor %}",
    ),
];

/// A value nine thousand lists deep, as `n.x`.
const DEEP: &str = "{% set n = namespace(x=[]) %}{% for i in range(9000) %}{% set n.x = [n.x] %}{% endfor %}";
/// The same of maps.
const DEEP_MAPS: &str =
    "{% set n = namespace(x={}) %}{% for i in range(9000) %}{% set n.x = {'a': n.x} %}{% endfor %}";
/// Two values, as `n.x` and `n.y`, that hold themselves twice, sixty times over.
const SHARED: &str = "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}";
/// The same of tuples.
const SHARED_TUPLES: &str = "{% set n = namespace(x=(1,), y=(1,)) %}{% for i in range(60) %}{% set n.x = (n.x, n.x) %}{% set n.y = (n.y, n.y) %}{% endfor %}";
/// A namespace that holds itself.
const ITSELF: &str = "{% set n = namespace(x=1, y=1) %}{% set n.x = n %}{% set n.y = [n] %}";
/// As large a value as is let through, as `n.x` and `n.y`.
const LARGE: &str = "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(12) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}";
/// A chain of pairs that grows by a filter.
const BATCHED: &str = "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(9000) %}{% set n.x = n.x | batch(1) | list %}{% set n.y = n.y | list | zip(n.y) | list %}{% endfor %}";

/// Ways to walk through `n.x`.
const WALKS: &[&str] = &[
    "n.x",
    "n.x == n.y",
    "n.x != n.y",
    "n.x < n.y",
    "n.y == n.x == n.y",
    "n.x in [n.y]",
    "n.x not in [n.y]",
    "1 in n.x",
    "n.x is eq n.y",
    "n.x is in [n.y]",
    "n.x is sameas n.y",
    "n.x is lower",
    "n.x is startingwith('[')",
    "n.x ~ ''",
    "'' ~ n.x",
    "{n.x: 1}",
    "{'a': {n.x: 1}}",
    "{}[n.x]",
    "{'a': 1}.get(n.x)",
    "n.x | string",
    "n.x | upper",
    "n.x | lower",
    "n.x | title",
    "n.x | capitalize",
    "n.x | trim('[]1, ')",
    "n.x | escape",
    "n.x | e",
    "n.x | safe",
    "n.x | pprint",
    "n.x | tojson",
    "n.x | tojson(indent=64)",
    "n.x | replace('1', '')",
    "'a' | replace('a', n.x)",
    "n.x | join",
    "n.x | join(n.y)",
    "'%s' | format(n.x)",
    "'{}'.format(n.x)",
    "n.x | sort",
    "[n.x, n.y] | sort",
    "[n.x, n.y] | unique | list",
    "[n.x, n.y] | min",
    "[n.x, n.y] | max",
    "[n.x, n.y] | groupby(0)",
    "{'a': n.x, 'b': n.y} | dictsort(by='value')",
    "{'a': n.x} | items | list",
    "n.x | batch(1)",
    "n.x | slice(2)",
    "n.x | zip(n.y) | list",
    "[n.x] | map('string') | list",
    "[n.x] | map('upper') | join",
    "[n.x] | select('eq', n.y) | list",
    "[n.x] | reject('in', [n.y]) | list",
    "[{'a': n.x}] | selectattr('a', 'eq', n.y) | list",
    "n.x | length | string ~ n.x",
    "n.x * 2",
    "[n.x] * 9999",
    "n.x + n.y",
    "n.x[::-1]",
    "n.x | reverse | string",
    "n.x | indent",
    "n.x | float",
    "n.x | int",
    "n.x | list | string",
    "n.x | first | string",
    "n.x | sum",
    "[n.x].count(n.y)",
    "' '.join(n.x)",
    "'a'.startswith(n.x)",
    "'a'.replace('a', n.x)",
    "namespace(a=n.x) | string",
    "dict(a=n.x) | string",
    "raise_exception(n.x)",
    "strftime_now(n.x)",
    "n | string",
    "n == namespace(x=n.x)",
    "n.items() | list | string",
    "n | items | list | string",
    "range(n.x)",
    "loop_free(n.x)",
    "n.x(n.y)",
    "n.x.a.b[n.y]",
    "n.x if n.x == n.y else n.y",
    "-n.x",
    "not n.x",
];

/// What is wanted is a second, on a free machine and in an optimised build.
const FAR_TOO_LONG: Duration = Duration::from_secs(10);

/// The stack of a thread that serves requests.
const STACK: usize = 2 << 20;

fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work).expect("a thread starts");
    thread.join().expect("the thread ends well")
}

fn rendered(source: &str, messages: &[ChatMessage]) -> Result<String, Problem> {
    ChatTemplate::with_tokens(source, Some("<s>"), Some("</s>"), Vec::new())
        .and_then(|template| template.render(messages, true, &Extras::default()))
}

fn question() -> [ChatMessage; 1] {
    [ChatMessage { role: "user".into(), content: "q".into() }]
}

/// Its problem, or the text it renders to.
fn outcome(name: &str, source: &str) -> Result<String, Problem> {
    let began = Instant::now();
    let outcome = rendered(source, &question());
    let took = began.elapsed();
    if took > Duration::from_millis(300) {
        eprintln!("{name}: {} ms", took.as_millis());
    }
    assert!(took < FAR_TOO_LONG, "{name} took {took:?}");
    if let Err(problem) = &outcome {
        let codes = [Code::TemplateFailed, Code::TemplateBroken, Code::TemplateRefused];
        assert!(codes.contains(&problem.code), "{name}: {problem}");
        assert!(problem.message.len() < 800, "{name}: {problem}");
    }
    outcome
}

#[test]
fn s13_every_bomb_stops() {
    let survived = on_a_small_stack(|| {
        let all = BOMBS.iter().map(|(name, source)| (*name, outcome(name, source)));
        all.filter_map(|(name, outcome)| Some(format!("{name}: {} bytes", outcome.ok()?.len())))
            .collect::<Vec<_>>()
    });
    assert!(survived.is_empty(), "{}", survived.join("\n"));
    assert!(BOMBS.len() >= 12);
}

/// However a template walks through a value that is too deep, or holds another twice and so on, or itself: it is refused
/// before, for such a value is never made.
#[test]
fn f5_n10_values_that_are_too_deep_or_hold_themselves_are_never_made() {
    on_a_small_stack(|| {
        for (kind, made) in [
            ("deep", DEEP),
            ("deep maps", DEEP_MAPS),
            ("shared", SHARED),
            ("shared tuples", SHARED_TUPLES),
            ("itself", ITSELF),
            ("batched", BATCHED),
        ] {
            for walk in WALKS {
                let source = format!("{made}{{{{ {walk} }}}}{{{{ messages[0].content }}}}");
                let problem = outcome(&format!("{kind}, {walk}"), &source).expect_err(walk);
                assert_eq!(problem.code, Code::TemplateFailed, "{kind}, {walk}: {problem}");
            }
        }
    });
    assert!(WALKS.len() >= 60);
}

/// A value as large as is let through, walked through over and over: the fuel ends it.
#[test]
fn f5_n10_walks_through_large_values_are_paid_for() {
    on_a_small_stack(|| {
        for walk in WALKS {
            let source = format!(
                "{LARGE}{{% for i in range(99999) %}}{{% if ({walk}) is string %}}{{% endif %}}{{% endfor %}}"
            );
            assert!(outcome(&format!("large, {walk}"), &source).is_err(), "{walk}");
        }
    });
}

/// Inputs of the findings, as they stand there.
#[test]
fn f5_the_templates_that_ended_the_server_are_refused() {
    on_a_small_stack(|| {
        let tail = "{% for m in messages %}{{ m.content }}{% endfor %}";
        let nested = "{% set n = namespace(x=[]) %}".to_owned()
            + &"{% for i in range(5000) %}".repeat(6)
            + "{% set n.x = [n.x] %}"
            + &"{% endfor %}".repeat(6)
            + tail;
        let long = [ChatMessage { role: "user".into(), content: "word ".repeat(200_000) }];
        for messages in [&question()[..], &long[..]] {
            let began = Instant::now();
            assert_eq!(rendered(&nested, messages).unwrap_err().code, Code::TemplateFailed);
            assert!(began.elapsed() < FAR_TOO_LONG);
        }
        let many = "{% for a in range(9999) %}{% for b in range(9999) %}{% if messages[0].content[99999] == messages[0].content or 'zz' in messages[0].content %}{% endif %}{% endfor %}{% endfor %}";
        let began = Instant::now();
        assert_eq!(rendered(many, &long).unwrap_err().code, Code::TemplateFailed);
        assert!(began.elapsed() < FAR_TOO_LONG, "{:?}", began.elapsed());
    });
}

/// Sources that take the stack when they are compiled, or overflow a counter.
#[test]
fn n8_n15_sources_that_are_too_deep_or_too_long_do_not_compile() {
    on_a_small_stack(|| {
        let chain = |piece: &str| format!("{{{{ a{} }}}}", piece.repeat(40_000));
        let block = |open: &str, close: &str| format!("{}{}", open.repeat(5000), close.repeat(5000));
        let mut sources: Vec<(String, String)> = [
            "+a",
            "-a",
            "*a",
            "/a",
            "//a",
            "%a",
            "**a",
            "~a",
            ".a",
            "()",
            "[0]",
            "[1:]",
            "|trim",
            "|trim()",
            " and a",
            " or a",
            " == a",
            " in a",
            " not in a",
            " is defined",
            " is not none",
            " if a else a",
            " if a",
            ",a",
            "'a'",
        ]
        .iter()
        .map(|piece| (format!("a chain of {piece}"), chain(piece)))
        .collect();
        for sign in ["not ", "-", "(", "[", "{1:", "f(", "a[", "(a+"] {
            sources.push((format!("a row of {sign}"), format!("{{{{ {}a }}}}", sign.repeat(40_000))));
        }
        for (open, close) in [
            ("{% if a %}", "{% endif %}"),
            ("{% for a in b %}", "{% endfor %}"),
            ("{% with a=b %}", "{% endwith %}"),
            ("{% macro a() %}", "{% endmacro %}"),
            ("{% filter trim %}", "{% endfilter %}"),
            ("{% set a %}", "{% endset %}"),
            ("{% call a() %}", "{% endcall %}"),
            ("{% autoescape true %}", "{% endautoescape %}"),
            ("{% if a %}{% else %}", "{% endif %}"),
        ] {
            sources.push((format!("nested {open}"), block(open, close)));
        }
        sources.push(("elif".into(), format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(20_000))));
        sources.push((
            "set with a chain".into(),
            format!("{{% set x | {} %}}{{% endset %}}", vec!["trim"; 20_000].join("|")),
        ));
        sources.push(("a long line".into(), format!("{}{{{{ a }}}}", "x".repeat(70_000))));
        sources.push(("a long tag".into(), format!("{{{{ {}a }}}}", " ".repeat(70_000))));
        sources.push(("many lines".into(), "\n".repeat(70_000) + "{{ a }}"));
        sources.push(("a long source".into(), "{# comment #}\n".repeat(100_000)));
        for (name, source) in &sources {
            let began = Instant::now();
            let outcome = ChatTemplate::with_tokens(source, None, None, Vec::new());
            assert!(began.elapsed() < FAR_TOO_LONG, "{name}");
            // Rows of texts and commas are as long as they like.
            if let Err(problem) = outcome {
                assert_eq!(problem.code, Code::TemplateBroken, "{name}: {problem}");
            } else {
                assert!(["a chain of 'a'"].contains(&name.as_str()), "{name} compiles");
            }
        }
    });
}

/// A template that raises its whole input, or a name of a filter without end, is not repeated at length.
#[test]
fn n18_a_problem_repeats_few_words_of_a_template() {
    let long = [ChatMessage { role: "user".into(), content: "\u{6c34}word ".repeat(20_000) }];
    let problem = rendered("{{ raise_exception(messages[0].content) }}", &long).unwrap_err();
    assert_eq!(problem.code, Code::TemplateRefused);
    assert!(problem.message.len() <= 400, "{}", problem.message.len());
    let problem = rendered(&format!("{{{{ 1 | {} }}}}", "x".repeat(9000)), &long).unwrap_err();
    assert!(problem.message.len() <= 800, "{}", problem.message.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// S27: whatever stands in a template, it renders or has a problem.
    #[test]
    fn s27_any_soup_of_tokens_ends_well(
        pieces in prop::collection::vec(prop::sample::select(SOUP), 0..40),
    ) {
        let source: String = pieces.concat();
        let outcome = on_a_small_stack(move || rendered(&source, &question()));
        if let Err(problem) = outcome {
            prop_assert!(
                [Code::TemplateBroken, Code::TemplateFailed, Code::TemplateRefused].contains(&problem.code)
            );
        }
    }

    /// S27: a template of statements that hold together, over values that grow.
    #[test]
    fn s27_any_program_over_growing_values_ends_well(
        steps in prop::collection::vec((prop::sample::select(GROWTH), prop::sample::select(WALKS)), 1..6),
        turns in 1..60_usize,
    ) {
        let body: String = steps
            .iter()
            .map(|(grow, walk)| format!("{{% set n.x = {grow} %}}{{% if ({walk}) is string %}}{{% endif %}}"))
            .collect();
        let source = format!(
            "{{% set n = namespace(x=[1], y=[2]) %}}{{% for i in range({turns}) %}}{body}{{% endfor %}}"
        );
        let began = Instant::now();
        let _ = on_a_small_stack(move || rendered(&source, &question()));
        prop_assert!(began.elapsed() < FAR_TOO_LONG);
    }
}

const SOUP: &[&str] = &[
    "{{ ",
    " }}",
    "{% ",
    " %}",
    "{%- ",
    " -%}",
    "{# ",
    " #}",
    "if ",
    "elif ",
    "else",
    "endif",
    "for x in ",
    "endfor",
    "set n.x = ",
    "set x = ",
    "endset",
    "macro m(x)",
    "endmacro",
    "raw",
    "endraw",
    "messages",
    "x",
    "n",
    "namespace(x=1)",
    ".content",
    "[0]",
    "[1:]",
    " + ",
    " ~ ",
    " * 9999",
    " - ",
    " == ",
    " in ",
    " is ",
    " not ",
    " and ",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ", ",
    ": ",
    "'a'",
    "1",
    " | ",
    "list",
    "sort",
    "tojson",
    "batch(2)",
    "m(x)",
    "loop",
    "recursive",
    "generation",
    "endgeneration",
    "\n",
    "\u{6c34}",
    "{% for x in messages %}",
    "{% endfor %}",
    "{% if x %}",
    "{% endif %}",
    "{{ x }}",
    "{% set x = [x, x] %}",
    "\"",
    "\\",
];

const GROWTH: &[&str] = &[
    "[n.x]",
    "[n.x, n.x]",
    "(n.x, n.y)",
    "{'a': n.x, 'b': n.x}",
    "{n.x: n.x}",
    "n.x + n.x",
    "n.x * 2",
    "[n.x] * 3",
    "n.x | batch(1) | list",
    "n.x | slice(2) | list",
    "n.x | list | zip(n.x) | list",
    "{'a': n.x} | items | list",
    "{'a': n.x}.items()",
    "dict(a=n.x)",
    "namespace(a=n.x)",
    "n",
    "loop",
    "[loop]",
    "n.x | string",
    "n.x ~ n.x",
    "[n.x] | map('batch', 1) | list",
    "n.x | reverse",
    "n.x[::-1]",
    "n.x | sort",
    "n.x | unique",
    "n.x | tojson",
    "[n.x] | groupby(0)",
    "n.items()",
    "n | items",
    "n.x if n.x else [n.x]",
    "n.x or [n.x]",
    "n.x | default([n.x])",
    "'a' * 9999",
    "n.x | join(n.x)",
];

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
