//! Which blocks a freeze run trains (S-038, S-039), matched by whole name parts: block 1 is not block 31.

use crate::error::Code;
use crate::error::{ModelError, Result};

/// Patterns of the trainable parts of a model with `layers` blocks. `count` above 0 takes the last blocks, below 0
/// the first ones; `modules` are names within a block (`mlp`, `self_attn`, …) or `all`.
///
/// # Errors
/// When no block or no module is chosen, or more blocks than there are.
pub fn freeze_patterns(layers: usize, count: i64, modules: &[String]) -> Result<Vec<String>> {
    let fail = |message: String| Err(ModelError::new(Code::FreezeBlocks, message));
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if wanted == 0 || modules.is_empty() {
        return fail("A freeze run needs at least one block and one module to train.".into());
    }
    if wanted > layers {
        return fail(format!("{wanted} blocks are to be trained, but this model has {layers}."));
    }
    let blocks = if count > 0 { layers - wanted..layers } else { 0..wanted };
    let pattern = |block: usize, module: &String| match module.as_str() {
        "all" => format!("layers.{block}"),
        module => format!("layers.{block}.{module}"),
    };
    Ok(blocks.flat_map(|block| modules.iter().map(move |module| pattern(block, module))).collect())
}

/// Whether the dotted parts of a pattern stand one after another in a tensor's name. Families have names of their own
/// for what holds the blocks and for the part that attends; any of them will do (S-039).
pub fn covers(name: &str, pattern: &str) -> bool {
    let (parts, wanted): (Vec<_>, Vec<_>) =
        (name.split('.').map(usual).collect(), pattern.split('.').map(usual).collect());
    parts.windows(wanted.len()).any(|window| window == wanted)
}

/// The name that Llama has for a part.
fn usual(part: &str) -> &str {
    match part {
        "h" => "layers",
        "attn" | "self_attention" => "self_attn",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(modules: &[&str]) -> Vec<String> {
        modules.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn s_037_s_038_last_or_first_blocks_of_the_models_own_number() {
        assert_eq!(freeze_patterns(4, 2, &names(&["mlp"])).unwrap(), ["layers.2.mlp", "layers.3.mlp"]);
        assert_eq!(freeze_patterns(4, -1, &names(&["mlp", "self_attn"])).unwrap().len(), 2);
        assert_eq!(freeze_patterns(4, -2, &names(&["all"])).unwrap(), ["layers.0", "layers.1"]);
        assert!(freeze_patterns(4, 0, &names(&["mlp"])).is_err());
        assert!(freeze_patterns(4, 5, &names(&["mlp"])).unwrap_err().to_string().contains("has 4"));
    }

    #[test]
    fn s_039_block_1_is_not_block_31() {
        assert!(covers("model.layers.1.mlp.up_proj.weight", "layers.1.mlp"));
        assert!(!covers("model.layers.31.mlp.up_proj.weight", "layers.1.mlp"));
        assert!(!covers("model.layers.1.mlp_gate.weight", "layers.1.mlp"));
        assert!(covers("transformer.h.1.mlp.c_fc.weight", "layers.1.mlp"));
    }

    #[test]
    fn s_039_the_part_that_attends_has_several_names() {
        for name in ["transformer.h.1.attn.c_attn.weight", "model.layers.1.self_attn.qkv_proj.weight"] {
            for part in ["self_attn", "self_attention", "attn"] {
                assert!(covers(name, &format!("layers.1.{part}")), "{name} {part}");
                assert!(!covers(name, &format!("layers.2.{part}")), "{name} {part}");
            }
        }
    }
}
