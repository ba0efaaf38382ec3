//! Where a template makes a value or walks through one, a filter of ours is written into its source that weighs it
//! ([`values`]). The places are found in the syntax tree, so they are those that the engine runs.

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, CallType, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::parse;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Error, ErrorKind};

use super::syntax;
use super::values::{INDEXED, KEPT, MADE, SEEN, TAKEN};

/// Filters that give a text, a number, a truth, or a part of what they are given.
const PLAIN_FILTERS: &[&str] = &[
    "abs",
    "attr",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "indent",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "max",
    "min",
    "pprint",
    "replace",
    "round",
    "safe",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "upper",
];

/// Filters that look no deeper into what they are given than its first layer, or weigh it themselves.
const SHALLOW_FILTERS: &[&str] = &[
    "attr", "batch", "count", "d", "default", "first", "last", "length", "list", "reverse", "slice",
    "tojson", "zip",
];

/// Tests of the kind of a value.
const SHALLOW_TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "int",
    "integer",
    "iterable",
    "mapping",
    "none",
    "number",
    "odd",
    "safe",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
];

/// Functions that give a text, numbers, or nothing.
const PLAIN_FUNCTIONS: &[&str] = &["caller", "loop", "raise_exception", "range", "strftime_now", "super"];

/// Methods that give a text, texts, a number, a truth, or a part of what they are given.
const PLAIN_METHODS: &[&str] = &[
    "capitalize",
    "count",
    "endswith",
    "find",
    "format",
    "get",
    "isalnum",
    "isalpha",
    "isascii",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "join",
    "lower",
    "lstrip",
    "replace",
    "rfind",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "title",
    "upper",
];

/// The source of a template with the filters where it makes values and walks through them.
///
/// # Errors
/// The first fault of its syntax, what is too deep ([`syntax::check`]), or a statement that needs another template.
pub(super) fn guarded(source: &str, syntax: &SyntaxConfig) -> Result<String, Error> {
    syntax::check(source, syntax)?;
    let tree = parse(source, "chat", syntax.clone())?;
    let mut guard = Guard { source, inserts: Vec::new() };
    guard.stmt(&tree)?;
    let inserts = guard.inserts;
    drop(tree);
    let out = with(source, inserts);
    syntax::check_lines(&out)?;
    Ok(out)
}

/// The source with texts put in. Of several at one place the first comes first.
fn with(source: &str, mut inserts: Vec<(usize, String)>) -> String {
    inserts.sort_by_key(|(at, _)| *at);
    let mut out = String::with_capacity(source.len() + inserts.len() * 12);
    let mut done = 0;
    for (at, text) in inserts {
        out.push_str(source.get(done..at).unwrap_or_default());
        out.push_str(&text);
        done = at;
    }
    out.push_str(source.get(done..).unwrap_or_default());
    out
}

struct Guard<'s> {
    source: &'s str,
    /// Texts with the bytes they stand before; inner ones first.
    inserts: Vec<(usize, String)>,
}

impl Guard<'_> {
    fn stmts(&mut self, stmts: &[Stmt<'_>]) -> Result<(), Error> {
        stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt<'_>) -> Result<(), Error> {
        match stmt {
            Stmt::Template(template) => self.stmts(&template.children),
            Stmt::EmitExpr(emit) => self.expr(&emit.expr),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => Ok(()),
            Stmt::ForLoop(each) => {
                self.expr(&each.iter)?;
                each.filter_expr.iter().try_for_each(|filter| self.expr(filter))?;
                self.stmts(&each.body)?;
                self.stmts(&each.else_body)
            }
            Stmt::IfCond(cond) => {
                self.expr(&cond.expr)?;
                self.stmts(&cond.true_body)?;
                self.stmts(&cond.false_body)
            }
            Stmt::WithBlock(with) => {
                with.assignments.iter().try_for_each(|(_, value)| self.expr(value))?;
                self.stmts(&with.body)
            }
            Stmt::Set(set) => {
                self.expr(&set.expr)?;
                if matches!(set.target, Expr::GetAttr(_)) && !is_plain(&set.expr) {
                    self.wrap(&set.expr, KEPT);
                }
                Ok(())
            }
            Stmt::SetBlock(set) => {
                set.filter.iter().try_for_each(|filter| self.chain(filter))?;
                self.stmts(&set.body)
            }
            Stmt::AutoEscape(escape) => {
                self.expr(&escape.enabled)?;
                self.stmts(&escape.body)
            }
            Stmt::FilterBlock(block) => {
                self.chain(&block.filter)?;
                self.stmts(&block.body)
            }
            Stmt::Block(block) => self.stmts(&block.body),
            Stmt::Macro(made) => {
                made.defaults.iter().try_for_each(|value| self.expr(value))?;
                self.stmts(&made.body)
            }
            Stmt::CallBlock(block) => {
                self.call(&block.call)?;
                block.macro_decl.defaults.iter().try_for_each(|value| self.expr(value))?;
                self.stmts(&block.macro_decl.body)
            }
            Stmt::Do(call) => self.call(&call.call),
            Stmt::Import(_) | Stmt::FromImport(_) | Stmt::Extends(_) | Stmt::Include(_) => {
                Err(refused("it needs another template, and a chat template stands alone"))
            }
        }
    }

    /// The filters of a block, which work on its text.
    fn chain(&mut self, filter: &Expr<'_>) -> Result<(), Error> {
        let Expr::Filter(filter) = filter else { return Ok(()) };
        filter.expr.iter().try_for_each(|inner| self.chain(inner))?;
        if !PLAIN_FILTERS.contains(&filter.name) {
            return Err(refused("a block goes through a filter that does not give a text"));
        }
        self.seen_args(&filter.args)
    }

    fn expr(&mut self, expr: &Expr<'_>) -> Result<(), Error> {
        match expr {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expr(&slice.expr)?;
                let bounds = [&slice.start, &slice.stop, &slice.step];
                bounds.into_iter().flatten().try_for_each(|bound| self.expr(bound))?;
                self.wrap(&slice.expr, INDEXED);
                self.wrap(expr, TAKEN);
            }
            Expr::UnaryOp(unary) => self.expr(&unary.expr)?,
            Expr::BinOp(_) if matches!(op(expr), Some(BinOpKind::Add)) => {
                // A number or a text among what is added: then no lists are joined.
                if self.sum(expr)? {
                    self.wrap(expr, MADE);
                }
            }
            Expr::BinOp(binary) => {
                self.expr(&binary.left)?;
                self.expr(&binary.right)?;
                let (left, right) = (&binary.left, &binary.right);
                match binary.op {
                    BinOpKind::Mul if !is_plain(left) || !is_plain(right) => self.wrap(expr, MADE),
                    BinOpKind::Eq
                    | BinOpKind::Ne
                    | BinOpKind::Lt
                    | BinOpKind::Lte
                    | BinOpKind::Gt
                    | BinOpKind::Gte
                        if is_const(left) => {}
                    BinOpKind::Eq
                    | BinOpKind::Ne
                    | BinOpKind::Lt
                    | BinOpKind::Lte
                    | BinOpKind::Gt
                    | BinOpKind::Gte
                    | BinOpKind::In => self.seen(right),
                    _ => {}
                }
            }
            Expr::Compare(compare) => {
                self.expr(&compare.expr)?;
                for operand in &compare.ops {
                    self.expr(&operand.expr)?;
                    self.seen(&operand.expr);
                }
            }
            Expr::IfExpr(choice) => {
                self.expr(&choice.true_expr)?;
                self.expr(&choice.test_expr)?;
                choice.false_expr.iter().try_for_each(|other| self.expr(other))?;
            }
            Expr::Filter(filter) => {
                if let Some(operand) = &filter.expr {
                    self.expr(operand)?;
                    if !SHALLOW_FILTERS.contains(&filter.name) {
                        self.seen(operand);
                    }
                }
                self.seen_args(&filter.args)?;
                if !PLAIN_FILTERS.contains(&filter.name) {
                    self.wrap(expr, MADE);
                }
            }
            Expr::Test(test) => {
                self.expr(&test.expr)?;
                if SHALLOW_TESTS.contains(&test.name) {
                    self.args(&test.args)?;
                } else {
                    self.seen(&test.expr);
                    self.seen_args(&test.args)?;
                }
            }
            Expr::GetAttr(attr) => self.expr(&attr.expr)?,
            Expr::GetItem(item) => {
                self.expr(&item.expr)?;
                self.expr(&item.subscript_expr)?;
                self.seen(&item.subscript_expr);
                let by_name =
                    matches!(&item.subscript_expr, Expr::Const(key) if key.value.as_str().is_some());
                if !by_name {
                    self.wrap(&item.expr, INDEXED);
                }
            }
            Expr::Call(call) => {
                self.call(call)?;
                let plain = match call.identify_call() {
                    CallType::Function(name) => PLAIN_FUNCTIONS.contains(&name),
                    CallType::Method(_, name) => PLAIN_METHODS.contains(&name),
                    CallType::Block(_) => true,
                    CallType::Object(_) => false,
                };
                if !plain {
                    self.wrap(expr, MADE);
                }
            }
            Expr::List(list) => self.literal(expr, &[&list.items])?,
            Expr::Tuple(tuple) => self.literal(expr, &[&tuple.items])?,
            Expr::Map(map) => self.literal(expr, &[&map.keys, &map.values])?,
        }
        Ok(())
    }

    /// The parts of a sum; whether all may be lists.
    fn sum(&mut self, expr: &Expr<'_>) -> Result<bool, Error> {
        match expr {
            Expr::BinOp(binary) if matches!(binary.op, BinOpKind::Add) => {
                let left = self.sum(&binary.left)?;
                Ok(self.sum(&binary.right)? && left)
            }
            part => {
                self.expr(part)?;
                Ok(!is_plain(part))
            }
        }
    }

    fn literal(&mut self, expr: &Expr<'_>, items: &[&[Expr<'_>]]) -> Result<(), Error> {
        let mut constant = true;
        for item in items.iter().copied().flatten() {
            self.expr(item)?;
            constant &= is_const(item);
        }
        if !constant {
            self.wrap(expr, MADE);
        }
        Ok(())
    }

    /// What is called, and with what; not what it gives.
    fn call(&mut self, call: &Call<'_>) -> Result<(), Error> {
        match call.identify_call() {
            CallType::Function(_) | CallType::Block(_) => self.args(&call.args),
            // The engine compares what it is given with what it was given before.
            CallType::Method(receiver, "changed") => {
                self.expr(receiver)?;
                self.seen_args(&call.args)
            }
            // The engine divides by the number of what it is given.
            CallType::Method(_, "cycle") if !matches!(call.args.first(), Some(CallArg::Pos(_))) => {
                Err(refused("loop.cycle has nothing to choose from"))
            }
            CallType::Method(receiver, _) => {
                self.expr(receiver)?;
                self.args(&call.args)
            }
            CallType::Object(callee) => {
                self.expr(callee)?;
                self.args(&call.args)
            }
        }
    }

    fn args(&mut self, args: &[CallArg<'_>]) -> Result<(), Error> {
        args.iter().try_for_each(|arg| self.expr(value_of(arg)))
    }

    fn seen_args(&mut self, args: &[CallArg<'_>]) -> Result<(), Error> {
        for arg in args {
            self.expr(value_of(arg))?;
            self.seen(value_of(arg));
        }
        Ok(())
    }

    fn seen(&mut self, expr: &Expr<'_>) {
        if !is_plain(expr) {
            self.wrap(expr, SEEN);
        }
    }

    fn wrap(&mut self, expr: &Expr<'_>, filter: &str) {
        let (before, after) = match expr {
            // Filters bind no closer than these do.
            Expr::Var(_)
            | Expr::GetAttr(_)
            | Expr::GetItem(_)
            | Expr::Slice(_)
            | Expr::Call(_)
            | Expr::Filter(_)
            | Expr::List(_)
            | Expr::Map(_) => ("(", format!("|{filter})")),
            _ => ("((", format!(")|{filter})")),
        };
        self.inserts.push((self.start(expr), before.to_owned()));
        self.inserts.push((expr.span().end_offset as usize, after));
    }

    /// Where an expression begins, at most some opening brackets too late, which is as good: brackets put in behind them
    /// make the same text. The engine knows where expressions end, and only of some where they begin.
    fn start(&self, expr: &Expr<'_>) -> usize {
        match expr {
            Expr::Var(_) | Expr::Const(_) | Expr::List(_) | Expr::Map(_) => expr.span().start_offset as usize,
            Expr::Tuple(tuple) => {
                let own = expr.span().start_offset as usize;
                let first = tuple.items.first().map_or(own, |first| self.start(first));
                // Without brackets of its own, it is said to begin with its second part.
                own.min(first)
            }
            Expr::UnaryOp(unary) => {
                let (own, operand) = (expr.span().start_offset as usize, self.start(&unary.expr));
                let between = self.source.get(own..operand).unwrap_or_default();
                let sign = match unary.op {
                    UnaryOpKind::Neg => "-",
                    UnaryOpKind::Not => "not",
                };
                // `a not in b` and `a is not b` are the opposite of something that begins earlier than they do.
                let leads = between
                    .strip_prefix(sign)
                    .is_some_and(|rest| rest.chars().all(|char| char.is_whitespace() || char == '('));
                if leads { own } else { operand }
            }
            Expr::BinOp(binary) => self.start(&binary.left),
            Expr::Compare(compare) => self.start(&compare.expr),
            Expr::IfExpr(choice) => self.start(&choice.true_expr),
            Expr::Filter(filter) => {
                filter.expr.as_ref().map_or(expr.span().start_offset as usize, |operand| self.start(operand))
            }
            Expr::Test(test) => self.start(&test.expr),
            Expr::GetAttr(attr) => self.start(&attr.expr),
            Expr::GetItem(item) => self.start(&item.expr),
            Expr::Slice(slice) => self.start(&slice.expr),
            Expr::Call(call) => self.start(&call.expr),
        }
    }
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::SyntaxError, why)
}

fn op(expr: &Expr<'_>) -> Option<BinOpKind> {
    match expr {
        Expr::BinOp(binary) => Some(binary.op),
        _ => None,
    }
}

fn value_of<'a, 's>(arg: &'a CallArg<'s>) -> &'a Expr<'s> {
    match arg {
        CallArg::Pos(value)
        | CallArg::Kwarg(_, value)
        | CallArg::PosSplat(value)
        | CallArg::KwargSplat(value) => value,
    }
}

fn is_const(expr: &Expr<'_>) -> bool {
    matches!(expr, Expr::Const(_))
}

/// Whether it gives a truth, a number or a text that was just made, whose bytes are paid for.
fn is_plain(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(_) | Expr::Compare(_) | Expr::Test(_) | Expr::UnaryOp(_) => true,
        Expr::BinOp(binary) => {
            !matches!(binary.op, BinOpKind::Add | BinOpKind::Mul | BinOpKind::ScAnd | BinOpKind::ScOr)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax() -> SyntaxConfig {
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap()
    }

    #[test]
    fn what_is_made_or_walked_through_is_weighed() {
        for (source, wanted) in [
            ("{{ a + b }}", "{{ ((a + b)|__made) }}"),
            ("{{ (a + b) + c }}", "{{ (((a + b) + c)|__made) }}"),
            ("{%- set x = x + [y, -1] -%}", "{%- set x = ((x + ([y, -1]|__made))|__made) -%}"),
            ("{% set n.x = [n.x] %}", "{% set n.x = (([n.x]|__made)|__kept) %}"),
            ("{% set x = a, b %}", "{% set x = ((a, b)|__made) %}"),
            ("{{ (a, (b)).c * 2 }}", "{{ (((((a, (b)))|__made).c * 2)|__made) }}"),
            ("{{ -a * (not b) }}", "{{ -a * (not b) }}"),
            ("{{ a == b or 'x' in c.d }}", "{{ a == (b|__seen) or 'x' in (c.d|__seen) }}"),
            ("{{ a < b < c }}", "{{ a < (b|__seen) < (c|__seen) }}"),
            ("{{ a is eq b }}", "{{ (a|__seen) is eq (b|__seen) }}"),
            ("{{ a.b | trim }}", "{{ (a.b|__seen) | trim }}"),
            ("{{ a|batch(2)|list }}", "{{ ((a|batch(2)|__made)|list|__made) }}"),
            ("{{ a.items()[0] }}", "{{ ((a.items()|__made)|__indexed)[0] }}"),
            ("{{ a['b'][c] }}", "{{ (a['b']|__indexed)[(c|__seen)] }}"),
            ("{{ a[1:] }}", "{{ ((a|__indexed)[1:]|__taken) }}"),
            ("{{ {a: 1} }}", "{{ ({a: 1}|__made) }}"),
            (
                "{% for m in [a] if a == b recursive %}{% endfor %}",
                "{% for m in ([a]|__made) if a == (b|__seen) recursive %}{% endfor %}",
            ),
            ("{% call m(a + b) %}{% endcall %}", "{% call m(((a + b)|__made)) %}{% endcall %}"),
        ] {
            assert_eq!(guarded(source, &syntax()).unwrap(), wanted);
        }
    }

    #[test]
    fn what_cannot_grow_stays_as_it_is() {
        for same in [
            "{{ '<|im_start|>' + m['role'] + '\\n' + m.content }}",
            "{{ a ~ b }} a + b {# c + d #}",
            "{{ x is defined and 1 > -2 }}",
            "{%- raw -%}{{ a + b }}{% endraw %}",
            "{% if m.role == 'user' and loop.index0 + 1 != 3 %}{% endif %}",
            "{% for x in y recursive %}{{ loop(x.z) }}{% endfor %}",
            "{% set names = {'a': 1, 'b': 'c'} %}{% set n.x = true %}",
            "{{ m.content.strip().split('a') }}{% if m.content is string %}{% endif %}",
            "{% for i in range(3) %}{{ raise_exception('a' ~ i) }}{% endfor %}",
        ] {
            assert_eq!(guarded(same, &syntax()).map_err(|error| error.to_string()).unwrap(), same);
        }
    }
}
