//! Draws a declared hyperparameter.

use contract::model::TensorShape;
use contract::param::{Group, Kind, Param};
use contract::params::PARAMS;
use contract::targets::there;
use leptos::prelude::*;

use super::state::{Form, shown};
use crate::browser::{checked_of, value_of};
use crate::components::field::{Field, described_by};
use crate::components::part::{Part, part};
use crate::words::{field_text, fill, words};

/// Every field of a section that plays a part.
#[component]
pub(crate) fn Section(form: Form, groups: &'static [Group]) -> impl IntoView {
    let kind = Memo::new(move |_| (form.stage(), form.tuning()));
    part(move || {
        let (stage, tuning) = kind.get();
        PARAMS
            .iter()
            .filter(|param| groups.contains(&param.group) && (param.applies)(stage, tuning))
            .map(|param| view! { <ParamField form param/> })
            .collect_view()
    })
}

#[component]
fn ParamField(form: Form, param: &'static Param) -> impl IntoView {
    let w = words();
    let key = param.key;
    let error = Signal::derive(move || form.problem_of(key).map(|problem| field_text(w.lang, &problem)));
    let control = match param.kind {
        Kind::Choice(options) => view! { <Choice form param options/> }.into_any(),
        Kind::Names(names) => return view! { <Names form param names error/> }.into_any(),
        Kind::Int { .. } | Kind::Float { .. } | Kind::Text { .. } => {
            view! { <Typed form param error/> }.into_any()
        }
    };
    let default = Memo::new(move |_| (param.default)(form.stage(), form.tuning()));
    // What is empty by default is emptied by hand.
    let changed = move || {
        let default = default.get();
        !default.is_empty() && form.draft.with(|draft| draft.values.get(key).is_some_and(|v| *v != default))
    };
    view! {
        <div class="param">
            <Field id=key label=w.lang.of(param.label) unit=w.lang.of(param.unit) help=w.lang.of(param.help) error=error>
                {control}
            </Field>
            <Part when=changed>
                <button type="button" class="tiny link reset" on:click=move |_| form.change(|draft| { draft.values.remove(key); })>
                    {move || fill(w.runs.default_is, &[default.get()])}
                </button>
            </Part>
        </div>
    }
    .into_any()
}

#[component]
fn Typed(form: Form, param: &'static Param, error: Signal<Option<String>>) -> impl IntoView {
    let key = param.key;
    let value = Memo::new(move |_| form.draft.with(|draft| shown(draft, key, form.stage(), form.tuning())));
    let (mode, class) = match param.kind {
        Kind::Int { .. } => ("numeric", "input num"),
        Kind::Text { .. } => ("text", "input"),
        _ => ("decimal", "input num"),
    };
    view! {
        <input class=class id=key name=key type="text" inputmode=mode autocomplete="off" spellcheck="false"
            value=value.get_untracked() prop:value=move || value.get()
            aria-describedby=described_by(key)
            aria-invalid=move || error.get().is_some().then_some("true")
            on:input=move |event| {
                let typed = value_of(&event);
                form.change(|draft| { draft.values.insert(key.to_owned(), typed); });
            }
        />
    }
    .into_any()
}

#[component]
fn Choice(
    form: Form,
    param: &'static Param,
    options: &'static [(&'static str, contract::param::Words)],
) -> impl IntoView {
    let w = words();
    let key = param.key;
    let value = Memo::new(move |_| form.draft.with(|draft| shown(draft, key, form.stage(), form.tuning())));
    let options = options
        .iter()
        .map(|(option, name)| {
            view! { <option value=*option selected=move || value.get() == *option>{w.lang.of(*name)}</option> }
        })
        .collect_view();
    view! {
        <select class="input" id=key name=key prop:value=move || value.get() aria-describedby=described_by(key) on:change=move |event| {
            let chosen = value_of(&event);
            form.change(|draft| { draft.values.insert(key.to_owned(), chosen); });
        }>{options}</select>
    }
    .into_any()
}

/// Names that stand for all of a list.
const ALL: [&str; 2] = ["all", "all-linear"];

/// The names that the chosen model has, and those that are chosen all the same, so that they can be taken back. All of
/// them where the shape of its blocks is not known.
fn offered(names: &'static [&'static str], chosen: &str, block: Option<&[TensorShape]>) -> Vec<&'static str> {
    let is_chosen = |name: &str| chosen.split(',').any(|part| part.trim() == name);
    let offers = |name: &&str| block.is_none_or(|block| there(name, block)) || is_chosen(name);
    names.iter().copied().filter(offers).collect()
}

/// Adds or removes a name, keeping the declared order. What stands for all names stands alone.
fn toggled(now: &str, names: &[&str], name: &str, on: bool) -> String {
    let has = |candidate: &str| now.split(',').any(|part| part.trim() == candidate);
    let fits = |candidate: &str| !on || (!ALL.contains(&candidate) && !ALL.contains(&name));
    let kept = names
        .iter()
        .filter(|candidate| if **candidate == name { on } else { has(candidate) && fits(candidate) });
    kept.copied().collect::<Vec<_>>().join(",")
}

#[component]
fn Names(
    form: Form,
    param: &'static Param,
    names: &'static [&'static str],
    error: Signal<Option<String>>,
) -> impl IntoView {
    let w = words();
    let key = param.key;
    let value = Memo::new(move |_| form.draft.with(|draft| shown(draft, key, form.stage(), form.tuning())));
    let listed = Memo::new(move |_| value.with(|chosen| offered(names, chosen, form.block().as_deref())));
    let boxes = part(move || {
        let one = |name: &'static str| {
            let on = move || value.with(|value| value.split(',').any(|part| part.trim() == name));
            view! {
                <label class="check mono">
                    <input type="checkbox" checked=on prop:checked=on on:change=move |event| {
                        let next = value.with_untracked(|now| toggled(now, names, name, checked_of(&event)));
                        form.change(|draft| { draft.values.insert(key.to_owned(), next); });
                    }/>
                    <span>{name}</span>
                </label>
            }
        };
        listed.get().into_iter().map(one).collect_view()
    });
    let missing = move || {
        value.with(String::is_empty).then(|| param.check("").err().map(|p| field_text(w.lang, &p))).flatten()
    };
    view! {
        <fieldset class="field names">
            <legend>{w.lang.of(param.label)}</legend>
            <div class="checks">{boxes}</div>
            <p class="error" role="status">{move || missing().or_else(|| error.get()).unwrap_or_default()}</p>
            <p class="small">{w.lang.of(param.help)}</p>
        </fieldset>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_040_the_layers_offered_are_those_of_the_model_and_those_chosen() {
        let tensor = |name: &str| TensorShape { name: name.to_owned(), shape: vec![4, 4] };
        let block = [tensor("attn.c_attn.weight"), tensor("mlp.c_fc.weight")];
        let names = &["q_proj", "v_proj", "c_attn", "c_fc", "attn", "all-linear"];
        assert_eq!(offered(names, "all-linear", Some(&block)), ["c_attn", "c_fc", "attn", "all-linear"]);
        assert_eq!(offered(names, "c_fc, v_proj", Some(&block))[0], "v_proj");
        assert_eq!(offered(names, "", None), names);
    }

    #[test]
    fn layers_keep_their_declared_order() {
        let names = ["q_proj", "k_proj", "v_proj"];
        assert_eq!(toggled("v_proj", &names, "q_proj", true), "q_proj,v_proj");
        assert_eq!(toggled("q_proj,v_proj", &names, "q_proj", false), "v_proj");
        assert_eq!(toggled("q_proj", &names, "q_proj", false), "");
        let names = ["q_proj", "v_proj", "all-linear"];
        assert_eq!(toggled("all-linear", &names, "q_proj", true), "q_proj", "one of them instead of all");
        assert_eq!(toggled("q_proj,v_proj", &names, "all-linear", true), "all-linear");
    }
}
