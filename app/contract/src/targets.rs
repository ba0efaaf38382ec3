//! What names of layers mean in a model (S-039, S-040). Families name their maps differently and fuse some of them:
//! where Llama has `q_proj`, `k_proj` and `v_proj`, GPT-2 has one `c_attn` and Phi-3 one `qkv_proj`.

use crate::code::Code;
use crate::model::TensorShape;
use crate::params::Hyper;
use crate::problem::Problem;
use crate::stage::Tuning;

/// Stands for every linear map of a block.
pub const ALL_LINEAR: &str = "all-linear";
/// Stands for everything in a block.
pub const ALL: &str = "all";
/// What families call the part of a block that attends; each of them means whichever a model has.
const ATTENTION: [&str; 3] = ["self_attn", "self_attention", "attn"];

/// Whether a name means a linear map, given by its name within a block, for example `self_attn.q_proj`: it may be that
/// name, the last of its parts, or the part of the block that holds the map. Parts are compared whole.
pub fn means(name: &str, map: &str) -> bool {
    name == ALL_LINEAR || is_end(map, name) || is_part(name, map)
}

/// Whether a tensor, given by its name within a block, belongs to the part of the block that a name means.
pub fn within(name: &str, tensor: &str) -> bool {
    name == ALL || is_part(name, tensor)
}

/// Whether a block has what a name says under that very name.
pub fn there(name: &str, block: &[TensorShape]) -> bool {
    [ALL, ALL_LINEAR].contains(&name)
        || block.iter().any(|tensor| tensor.name.split('.').any(|part| part == name))
}

/// The maps that some names mean, spelt as PEFT reads them: by the last part alone where all maps of that name are
/// meant, else by the whole name within a block. `maps` are all linear maps of a block.
pub fn spelt(names: &[String], maps: &[&str]) -> Vec<String> {
    let meant = |map: &str| names.iter().any(|name| means(name, map));
    let mut spelt = Vec::new();
    for map in maps.iter().filter(|map| meant(map)) {
        let last = last(map);
        let alone = maps.iter().filter(|other| self::last(other) == last).all(|other| meant(other));
        let name = if alone { last } else { map };
        if !spelt.iter().any(|known| known == name) {
            spelt.push(name.to_owned());
        }
    }
    spelt
}

/// The problem of every name in a run's settings that means nothing in a model with these blocks.
pub fn missing(hyper: &Hyper, tuning: Tuning, block: &[TensorShape]) -> Vec<Problem> {
    match tuning {
        Tuning::Lora => {
            let maps = maps(block);
            let is_there = |name: &str| maps.iter().any(|map| means(name, map));
            unknown("lora_target", &hyper.lora_target, is_there, maps.iter().map(|map| last(map)))
        }
        Tuning::Freeze => {
            let is_there = |name: &str| block.iter().any(|tensor| within(name, &tensor.name));
            let parts = maps(block).into_iter().map(first);
            unknown("name_module_trainable", &hyper.name_module_trainable, is_there, parts)
        }
        Tuning::Full | Tuning::None => Vec::new(),
    }
}

fn unknown<'b>(
    field: &str,
    names: &[String],
    is_there: impl Fn(&str) -> bool,
    known: impl Iterator<Item = &'b str>,
) -> Vec<Problem> {
    let mut all: Vec<&str> = Vec::new();
    for name in known {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    let known = all.join(", ");
    let problem = |name: &String| {
        Problem::new(Code::FormNoSuchLayer, format!("\"{name}\" names nothing in this model."))
            .with("name", name)
            .with("known", &known)
            .field(field)
            .hint(format!("It has {known}."))
    };
    names.iter().filter(|name| !is_there(name)).map(problem).collect()
}

/// Names of the linear maps of a block.
fn maps(block: &[TensorShape]) -> Vec<&str> {
    let linear = block.iter().filter(|tensor| tensor.shape.len() == 2);
    linear.map(|tensor| tensor.name.trim_end_matches(".weight")).collect()
}

fn first(name: &str) -> &str {
    name.split_once('.').map_or(name, |(first, _)| first)
}

fn last(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

fn is_end(map: &str, name: &str) -> bool {
    map.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_part(name: &str, tensor: &str) -> bool {
    let part = first(tensor);
    part == name || (ATTENTION.contains(&part) && ATTENTION.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: [&str; 7] = [
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "mlp.down_proj",
    ];
    const PHI3: [&str; 4] = ["self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"];
    const BLOOM: [&str; 4] =
        ["self_attention.query_key_value", "self_attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"];
    const BAICHUAN: [&str; 5] =
        ["self_attn.W_pack", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];
    const GPT2: [&str; 4] = ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"];

    fn names(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    fn block(maps: &[&str]) -> Vec<TensorShape> {
        let tensor = |name: &str, shape: &[u64]| TensorShape { name: name.to_owned(), shape: shape.to_vec() };
        let linear = maps.iter().map(|map| tensor(&format!("{map}.weight"), &[4, 4]));
        linear.chain([tensor("ln_1.weight", &[4])]).collect()
    }

    fn refused(tuning: Tuning, key: &str, typed: &str, maps: &[&str]) -> Vec<(String, String)> {
        let values = [(key.to_owned(), typed.to_owned())].into();
        let hyper = Hyper::read(&values, crate::Stage::Sft, tuning).expect("valid");
        let problems = missing(&hyper, tuning, &block(maps));
        let found = |problem: &Problem| {
            assert_eq!((problem.code, problem.form_key()), (Code::FormNoSuchLayer, Some(key)));
            (problem.params["name"].clone(), problem.params["known"].clone())
        };
        problems.iter().map(found).collect()
    }

    #[test]
    fn s_040_fused_maps_are_named_as_their_family_names_them() {
        for (maps, typed, expected) in [
            (&GPT2[..], "c_attn", "c_attn"),
            (&GPT2, "c_proj,c_fc", "c_proj,c_fc"),
            (&GPT2, "mlp.c_proj", "mlp.c_proj"),
            (&GPT2, "self_attn", "c_attn,attn.c_proj"),
            (&GPT2, "attn,mlp", "c_attn,c_proj,c_fc"),
            (&GPT2, "all-linear", "c_attn,c_proj,c_fc"),
            (&PHI3, "qkv_proj,gate_up_proj", "qkv_proj,gate_up_proj"),
            (&PHI3, "self_attention", "qkv_proj,o_proj"),
            (&BLOOM, "query_key_value,dense", "query_key_value,dense"),
            (&BLOOM, "attn,dense_4h_to_h", "query_key_value,dense,dense_4h_to_h"),
            (&BAICHUAN, "W_pack", "W_pack"),
            (&LLAMA, "self_attn.q_proj,v_proj", "q_proj,v_proj"),
            (&LLAMA, "mlp", "gate_proj,up_proj,down_proj"),
        ] {
            assert_eq!(spelt(&names(typed), maps), names(expected), "{typed}");
            assert_eq!(refused(Tuning::Lora, "lora_target", typed, maps), [], "{typed}");
        }
        assert!(!means("proj", "attn.c_proj") && !means("_attn", "attn.c_attn"), "parts are compared whole");
    }

    #[test]
    fn s_040_every_name_that_means_nothing_is_refused_with_the_names_there_are() {
        let of = |typed, maps: &[&str]| refused(Tuning::Lora, "lora_target", typed, maps);
        let known = |name: &str, known: &str| (name.to_owned(), known.to_owned());
        assert_eq!(of("q_proj,c_attn", &GPT2), [known("q_proj", "c_attn, c_proj, c_fc")]);
        let fused = "qkv_proj, o_proj, gate_up_proj, down_proj";
        assert_eq!(of("q_proj,o_proj,up_proj", &PHI3), [known("q_proj", fused), known("up_proj", fused)]);
        assert_eq!(of("qkv_proj", &LLAMA).len(), 1);
        assert_eq!(of("mlp.o_proj", &PHI3).len(), 1);
    }

    #[test]
    fn s_039_the_part_that_attends_is_found_under_each_of_its_names() {
        let of = |typed, maps: &[&str]| refused(Tuning::Freeze, "name_module_trainable", typed, maps);
        for maps in [&GPT2[..], &PHI3, &LLAMA, &BLOOM, &BAICHUAN] {
            assert_eq!(of("mlp,self_attn", maps), []);
            assert_eq!(of("attn,self_attention,all", maps), []);
        }
        assert!(within("self_attn", "attn.c_attn.bias") && !within("self_attn", "mlp.c_fc.weight"));
        assert!(!within("mlp", "mlp_gate.weight") && within("all", "ln_1.weight"));
        assert_eq!(of("attn", &["mixer.in_proj"]), [("attn".to_owned(), "mixer".to_owned())]);
    }

    #[test]
    fn a_form_offers_the_names_that_a_model_has() {
        let offered = |maps: &[&str]| -> Vec<&str> {
            let block = block(maps);
            crate::params::LORA_TARGETS.iter().copied().filter(|name| there(name, &block)).collect()
        };
        assert_eq!(offered(&GPT2), ["c_attn", "c_proj", "c_fc", "attn", "mlp", "all-linear"]);
        assert_eq!(offered(&LLAMA).len(), 10);
        let bloom = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"];
        assert_eq!(offered(&BLOOM), [&bloom[..], &["self_attention", "mlp", "all-linear"]].concat());
        assert_eq!(offered(&BAICHUAN)[4..], ["W_pack", "self_attn", "mlp", "all-linear"]);
    }
}
