//! What the names of an adapter's tensors mean, in every way PEFT has spelt them.

/// What PEFT puts before the names of the model it wraps.
const PREFIX: &str = "base_model.model.";

/// A part of an adapter on a module of the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The map into the low rank.
    A,
    /// The map out of it.
    B,
    /// Lengths of DoRA.
    Magnitude,
    /// A whole tensor trained along.
    Saved,
}

/// Where a tensor of an adapter belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Name of the base's module, for example `model.layers.0.self_attn.q_proj`.
    pub(super) module: String,
    /// Its part.
    pub(super) part: Part,
}

impl Place {
    /// The last part of the module's name.
    pub(super) fn last(&self) -> String {
        self.module.rsplit('.').next().unwrap_or(&self.module).to_owned()
    }

    /// The name that Burnish and PEFT read from a file.
    pub(super) fn file_name(&self) -> String {
        let end = match self.part {
            Part::A => "lora_A.weight",
            Part::B => "lora_B.weight",
            Part::Magnitude => "lora_magnitude_vector",
            Part::Saved => "weight",
        };
        format!("{PREFIX}{}.{end}", self.module)
    }
}

/// The place of a tensor; `None` where nothing here knows one of this name.
pub(super) fn place(name: &str) -> Option<Place> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let of = |module: &str, part| Some(Place { module: module.to_owned(), part });
    for (middle, part) in [(".lora_A.", Part::A), (".lora_B.", Part::B)] {
        if let Some((module, end)) = name.split_once(middle) {
            return is_weight(end).then(|| of(module, part)).flatten();
        }
    }
    if let Some((module, end)) = name.split_once(".lora_magnitude_vector") {
        let end = end.strip_prefix('.').unwrap_or(end);
        // An adapter's own name may stand there, and "weight" after it.
        return (end.is_empty() || is_weight(end) || is_plain(end))
            .then(|| of(module, Part::Magnitude))
            .flatten();
    }
    let module = match name.split_once(".modules_to_save.") {
        Some((module, end)) if is_weight(end) => module,
        Some(_) => return None,
        None => name.strip_suffix(".weight")?,
    };
    let last = module.rsplit('.').next()?;
    model::lora::savable(last).and_then(|_| of(module, Part::Saved))
}

/// `weight`, or the adapter's own name before it.
fn is_weight(end: &str) -> bool {
    end == "weight" || end.strip_suffix(".weight").is_some_and(is_plain)
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains('.')
}

/// Whether a tensor belongs to a value head: TRL's, the original toolkit's, or the score of a reward model.
pub(super) fn of_head(name: &str) -> bool {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    ["v_head.", "value_head.", "summary.", "score."].iter().any(|start| name.starts_with(start))
}

/// Number of the block that holds a module, and the module's name within it.
pub(super) fn within_block(module: &str) -> Option<(u64, &str)> {
    let mut rest = module;
    while let Some((part, after)) = rest.split_once('.') {
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some((part.parse().ok()?, after)).filter(|(block, _)| *block < 1_000_000);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_peft_has_spelt_a_name_means_the_same() {
        let module = "model.layers.0.self_attn.q_proj";
        for (written, part) in [
            ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", Part::A),
            ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight", Part::A),
            ("model.layers.0.self_attn.q_proj.lora_B.reward.weight", Part::B),
            ("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", Part::Magnitude),
            (
                "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector.weight",
                Part::Magnitude,
            ),
            (
                "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector.default.weight",
                Part::Magnitude,
            ),
        ] {
            assert_eq!(place(written), Some(Place { module: module.to_owned(), part }), "{written}");
        }
        let saved = Place { module: "lm_head".to_owned(), part: Part::Saved };
        assert_eq!(place("base_model.model.lm_head.weight"), Some(saved.clone()));
        assert_eq!(place("base_model.model.lm_head.modules_to_save.default.weight"), Some(saved.clone()));
        let embedding =
            place("base_model.model.transformer.word_embeddings.weight").expect("BLOOM's embedding");
        assert_eq!((embedding.last().as_str(), embedding.part), ("word_embeddings", Part::Saved));
        assert_eq!(place(&saved.file_name()), Some(saved));
    }

    #[test]
    fn what_has_no_place_has_none() {
        for name in [
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.bias",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.a.b.weight",
            "base_model.model.model.embed_tokens.lora_embedding_A.default",
            "base_model.model.model.layers.0.self_attn.q_proj.weight",
            "base_model.model.model.norm.weight",
            "base_model.model.lm_head.modules_to_save.default.bias",
            "",
            ".",
        ] {
            assert_eq!(place(name), None, "{name}");
        }
    }

    #[test]
    fn blocks_are_counted_and_heads_told_apart() {
        assert_eq!(within_block("transformer.h.11.attn.c_attn"), Some((11, "attn.c_attn")));
        assert_eq!(within_block("lm_head"), None);
        assert_eq!(within_block("model.layers.99999999999999999999.q_proj"), None);
        for name in
            ["v_head.summary.weight", "value_head.bias", "base_model.model.score.weight", "summary.bias"]
        {
            assert!(of_head(name), "{name}");
        }
        assert!(!of_head("base_model.model.lm_head.weight"));
    }
}
