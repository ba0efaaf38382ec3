//! Methods and filters that are not the engine's own, or not as the engine has them.

use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::values;
use crate::template::python;

/// Widest field of a format text, characters.
const FIELD: u64 = 10_000;

/// Adds the filters, and takes away what looks into values without being charged for it.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.remove_filter("chain");
    environment.remove_global("debug");
    environment.add_filter("sum", sum);
    environment.add_filter("pprint", pprint);
}

/// Without the line breaks of Python's: the engine's own takes the square of a value's depth.
fn pprint(value: &Value) -> Result<String, Error> {
    python::display(value)
}

/// Python's methods of texts, lists and maps, paid for by what they read.
///
/// # Errors
/// When the fuel is spent, for a namespace, whose contents change under whoever walks through it, and for a method that
/// is not known or called otherwise.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    // What a map is asked for by name is not walked through.
    let walked = value.as_str().is_some() || method == "count";
    for value in args.iter().chain(walked.then_some(value)) {
        values::charge(state, value)?;
    }
    if method == "format" && value.as_str().is_some_and(|text| widest(text) > FIELD) {
        return Err(Error::new(ErrorKind::InvalidOperation, "a field is wider than anything that is read"));
    }
    if values::may_change(value) && method != "get" {
        return Err(Error::from(ErrorKind::UnknownMethod));
    }
    pycompat::unknown_method_callback(state, value, method, args)
}

/// The largest number within the fields of a format text: as wide as that a field may become, whatever it holds.
fn widest(text: &str) -> u64 {
    let fields = text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or_default());
    let numbers = fields.flat_map(|field| field.split(|c: char| !c.is_ascii_digit()));
    numbers
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(u64::MAX))
        .max()
        .unwrap_or(0)
}

/// `sum` of numbers; with a list to start from it would join lists.
fn sum(
    state: &State<'_, '_>,
    values: Value,
    attribute: Option<&str>,
    start: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let named = kwargs.get::<Option<Value>>("start")?;
    if start.iter().chain(&named).any(|start| !start.is_number()) {
        return Err(Error::new(ErrorKind::InvalidOperation, "sum adds numbers only"));
    }
    minijinja::filters::sum(state, values, attribute, start, kwargs)
}
