//! How heavy the values are that a template makes. The engine charges for the texts and lists a template makes, not for
//! walking through what they hold: a list that holds another twice, which holds a third twice, is small in memory and
//! endless to compare, and one of ten thousand lists inside one another takes the stack. So every value is weighed when
//! it is made, and once more where the engine walks through it.

use contract::limits::Limit;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, State, Value};

use crate::template::limits::{HEAVIEST, PART};

/// Filter on what was made: weighs it.
pub(super) const MADE: &str = "__made";
/// Filter on what the engine is about to walk through: charges for it.
pub(super) const SEEN: &str = "__seen";
/// Filter on what a namespace is given: values only, nothing that could come to hold itself.
pub(super) const KEPT: &str = "__kept";
/// Filter on what is asked for the item of a number: texts are read from their beginning for it.
pub(super) const INDEXED: &str = "__indexed";

/// Filter on a part of a list: the engine takes parts only when they are asked for, one out of the other without end.
pub(super) const TAKEN: &str = "__taken";

/// Adds the filters.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter(MADE, made);
    environment.add_filter(SEEN, seen);
    environment.add_filter(KEPT, kept);
    environment.add_filter(INDEXED, indexed);
    environment.add_filter(TAKEN, taken);
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

/// Weight of a value, texts and parts.
///
/// # Errors
/// When it is heavier than [`HEAVIEST`], nests deeper than [`Limit::TemplateDepth`], or holds a namespace, a loop, or what is yet to
/// be listed.
pub(in crate::template) fn weigh(value: &Value) -> Result<usize, Error> {
    let mut left = HEAVIEST;
    walk(value, 0, &mut left)?;
    Ok(HEAVIEST - left)
}

fn walk(value: &Value, depth: usize, left: &mut usize) -> Result<(), Error> {
    let own = PART + value.as_str().map_or(0, str::len);
    *left = (left.checked_sub(own).filter(|_| depth <= Limit::TemplateDepth.get()))
        .ok_or_else(|| refused("a value is too large or nests too deep"))?;
    if value.as_object().is_none() {
        return Ok(());
    }
    if depth > 0 && may_change(value) {
        return Err(refused("a namespace or a loop stands inside another value"));
    }
    if depth > 0 && value.kind() == ValueKind::Iterable {
        return Err(refused("a list that is not listed yet stands inside another value"));
    }
    let items = value.try_iter().into_iter().flatten();
    if value.kind() == ValueKind::Map {
        for key in items {
            walk(&key, depth + 1, left)?;
            walk(&value.get_item(&key).unwrap_or_default(), depth + 1, left)?;
        }
        return Ok(());
    }
    for item in items {
        walk(&item, depth + 1, left)?;
    }
    Ok(())
}

/// Whether it is one of the engine's own objects whose contents change, so that it could come to hold itself.
pub(super) fn may_change(value: &Value) -> bool {
    let name = value.as_object().map_or("", |object| object.type_name());
    ["::namespace_object::", "::loop_object::", "::module_object::"].iter().any(|kind| name.contains(kind))
}

/// Charges for walking through a value.
///
/// # Errors
/// When the fuel is spent, or as [`weigh`].
pub(in crate::template) fn charge(state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let weight = match value.as_str() {
        Some(text) => text.len(),
        None if value.as_object().is_none() => 0,
        None => weigh(value)?,
    };
    if weight < PART { Ok(()) } else { state.consume_fuel((weight / PART) as u64) }
}

fn made(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if value.as_object().is_none() {
        return Ok(value.clone());
    }
    charge(state, value)?;
    listed(value)
}

/// A list of what would be listed when it is asked for: such ones hold one another, and that does not show.
fn listed(value: &Value) -> Result<Value, Error> {
    if value.kind() != ValueKind::Iterable {
        return Ok(value.clone());
    }
    Ok(Value::from(value.try_iter()?.collect::<Vec<Value>>()))
}

fn taken(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if value.as_object().is_none() {
        return Ok(value.clone());
    }
    state.consume_fuel(value.len().unwrap_or_default() as u64)?;
    listed(value)
}

fn seen(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if may_change(value) {
        return Err(refused("a namespace or a loop is no value"));
    }
    charge(state, value)?;
    Ok(value.clone())
}

fn kept(value: &Value) -> Result<Value, Error> {
    if may_change(value) {
        return Err(refused("a namespace cannot hold a namespace or a loop"));
    }
    Ok(value.clone())
}

fn indexed(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if value.as_str().is_some() {
        charge(state, value)?;
    }
    Ok(value.clone())
}
