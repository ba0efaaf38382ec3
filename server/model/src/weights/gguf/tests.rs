use super::*;
use proptest::prelude::*;

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn small() -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend(2u64.to_le_bytes());
    let sizes = [
        ("embedding_length", 4u32),
        ("feed_forward_length", 8),
        ("block_count", 1),
        ("attention.head_count", 1),
    ];
    out.extend((sizes.len() as u64 + 2).to_le_bytes());
    text(&mut out, "general.architecture");
    out.extend(8u32.to_le_bytes());
    text(&mut out, "llama");
    for (key, value) in sizes {
        text(&mut out, &format!("llama.{key}"));
        out.extend(4u32.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    text(&mut out, "tokenizer.ggml.tokens");
    out.extend(9u32.to_le_bytes());
    out.extend(8u32.to_le_bytes());
    out.extend(2u64.to_le_bytes());
    text(&mut out, "a");
    text(&mut out, "b");
    for (name, rows, offset) in [("token_embd.weight", 2u64, 0u64), ("blk.0.attn_q.weight", 4, 32)] {
        text(&mut out, name);
        out.extend(2u32.to_le_bytes());
        out.extend(4u64.to_le_bytes());
        out.extend(rows.to_le_bytes());
        out.extend(0u32.to_le_bytes());
        out.extend(offset.to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(32), 0);
    for value in 0..24 {
        out.extend((value as f32).to_le_bytes());
    }
    out
}

#[test]
fn reads_metadata_tensors_and_row_order() {
    let gguf = Gguf::from_bytes(small()).unwrap();
    assert_eq!(gguf.metadata()["general.architecture"].as_str(), Some("llama"));
    assert_eq!(gguf.metadata()["tokenizer.ggml.tokens"].as_array().unwrap().len(), 2);
    assert_eq!((gguf.config().vocab_size, gguf.config().tie_word_embeddings), (2, true));
    assert_eq!(gguf.read("model.embed_tokens.weight").unwrap()[7], 7.0);
    // File rows 0 1 2 3 of one head of four become 0 2 1 3.
    let q = gguf.read("model.layers.0.self_attn.q_proj.weight").unwrap();
    assert_eq!([q[0], q[4], q[8], q[12]], [8.0, 16.0, 12.0, 20.0]);
}

#[test]
fn every_truncation_is_an_error() {
    let whole = small();
    for len in 0..whole.len() {
        assert!(
            Gguf::from_bytes(whole[..len].to_vec()).is_err(),
            "{len} of {} bytes were accepted",
            whole.len()
        );
    }
}

#[test]
fn says_what_it_is_not() {
    assert_eq!(Gguf::from_bytes(b"GGML....".to_vec()).unwrap_err().code, Code::GgufMagic);
    let mut old = small();
    old[4] = 1;
    assert_eq!(Gguf::from_bytes(old).unwrap_err().code, Code::GgufVersion);
}

#[test]
fn a_lying_count_is_refused_before_memory_is_asked_for() {
    let mut bytes = small();
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(Gguf::from_bytes(bytes).unwrap_err().code, Code::GgufBroken);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn mutations_never_panic(at in 0usize..10_000, byte: u8, second in 0usize..10_000, other: u8) {
        let mut bytes = small();
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes[second % len] = other;
        if let Ok(gguf) = Gguf::from_bytes(bytes) {
            for tensor in gguf.tensors() {
                let count: usize = tensor.shape.iter().product();
                prop_assert_eq!(gguf.dequantise(tensor).map(|values| values.len()), Ok(count));
            }
        }
    }
}
