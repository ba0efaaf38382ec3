use super::*;
use proptest::prelude::*;

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A pair of metadata: key, kind, value.
type Pair = (String, u32, Vec<u8>);

fn whole(key: &str, value: u32) -> Pair {
    (key.to_owned(), 4, value.to_le_bytes().to_vec())
}

fn float(key: &str, value: f32) -> Pair {
    (key.to_owned(), 6, value.to_le_bytes().to_vec())
}

fn word(key: &str, value: &str) -> Pair {
    let mut bytes = Vec::new();
    text(&mut bytes, value);
    (key.to_owned(), 8, bytes)
}

fn texts(key: &str, values: &[&str]) -> Pair {
    let mut bytes = 8u32.to_le_bytes().to_vec();
    bytes.extend((values.len() as u64).to_le_bytes());
    values.iter().for_each(|value| text(&mut bytes, value));
    (key.to_owned(), 9, bytes)
}

fn pairs() -> Vec<Pair> {
    vec![
        word("general.architecture", "llama"),
        whole("llama.embedding_length", 4),
        whole("llama.feed_forward_length", 8),
        whole("llama.block_count", 1),
        whole("llama.attention.head_count", 1),
        texts("tokenizer.ggml.tokens", &["a", "b"]),
    ]
}

/// Name, rows of four, first byte within the data.
const TENSORS: [(&str, u64, u64); 2] = [("token_embd.weight", 2, 0), ("blk.0.attn_q.weight", 4, 32)];

fn file(pairs: &[Pair], tensors: &[(&str, u64, u64)]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((pairs.len() as u64).to_le_bytes());
    for (key, kind, value) in pairs {
        text(&mut out, key);
        out.extend(kind.to_le_bytes());
        out.extend(value);
    }
    for (name, rows, offset) in tensors {
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

fn small() -> Vec<u8> {
    file(&pairs(), &TENSORS)
}

/// Code and reason of a file that is refused.
fn refused(bytes: Vec<u8>) -> (Code, String) {
    let error = Gguf::from_bytes(bytes).expect_err("refused");
    let why = error.params.into_iter().find(|(name, _)| *name == "why");
    (error.code, why.map(|(_, why)| why).unwrap_or_default())
}

#[test]
fn reads_metadata_tensors_and_row_order() {
    let gguf = Gguf::from_bytes(small()).unwrap();
    assert_eq!(gguf.metadata()["general.architecture"].as_str(), Some("llama"));
    assert_eq!(gguf.metadata()["tokenizer.ggml.tokens"].as_texts().unwrap(), ["a", "b"]);
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

#[test]
fn n19_doubled_keys_doubled_and_overlapping_tensors_are_refused() {
    let mut twice = pairs();
    twice.push(whole("llama.block_count", 1));
    assert_eq!(
        refused(file(&twice, &TENSORS)),
        (Code::GgufBroken, "Metadata \"llama.block_count\" is there twice".into())
    );
    // Not kept, and still there twice.
    let mut unread = pairs();
    unread.extend([texts("x", &["a"]), texts("x", &["b"])]);
    assert_eq!(refused(file(&unread, &TENSORS)).1, "Metadata \"x\" is there twice");
    let [embedding, query] = TENSORS;
    for other in ["blk.0.attn_q.weight", "blk.00.attn_q.weight"] {
        let (code, why) = refused(file(
            &pairs(),
            &[embedding, query, (other, 2, 0)].map(|mut tensor| {
                if tensor.0 == other && tensor.1 == 2 {
                    tensor.2 = 96;
                }
                tensor
            }),
        ));
        assert!(
            code == Code::GgufBroken && why.contains("twice") || why.contains("outside"),
            "{other}: {why}"
        );
    }
    let (code, why) = refused(file(&pairs(), &[embedding, (query.0, 4, 16)]));
    assert!(code == Code::GgufBroken && why.contains("share bytes"), "{why}");
    // Tensors that no model needs count as well.
    let (_, why) = refused(file(&pairs(), &[embedding, query, ("else.weight", 1, 16)]));
    assert!(why.contains("share bytes"), "{why}");
}

#[test]
fn n19_metadata_that_is_not_a_number_is_refused() {
    for value in [f32::NAN, f32::INFINITY] {
        let mut odd = pairs();
        odd.push(float("llama.rope.freq_base", value));
        assert_eq!(refused(file(&odd, &TENSORS)).0, Code::GgufBroken);
    }
    let mut scores = 6u32.to_le_bytes().to_vec();
    scores.extend(1u64.to_le_bytes());
    scores.extend(f32::NAN.to_le_bytes());
    let mut odd = pairs();
    odd.push(("tokenizer.ggml.scores".to_owned(), 9, scores));
    assert_eq!(refused(file(&odd, &TENSORS)).0, Code::GgufBroken);
}

#[test]
fn n16_sizes_are_refused_before_anything_is_made_of_them() {
    for (key, most) in [("block_count", 1 << 10), ("embedding_length", 1 << 16), ("context_length", 1 << 24)]
    {
        let key = format!("llama.{key}");
        let mut large = pairs();
        large.retain(|(known, ..)| *known != key);
        large.push(whole(&key, most + 1));
        let error = Gguf::from_bytes(file(&large, &TENSORS)).unwrap_err();
        assert_eq!(error.code, Code::ConfigLimit, "{key}");
        assert!(error.params.contains(&("name", key)) && error.params.contains(&("most", most.to_string())));
    }
}

#[test]
fn f16_lists_that_nobody_reads_are_passed_over_and_long_headers_are_refused() {
    // What is announced is there, though it takes no disk.
    let sparse = |kind: u32, count: u64, bytes: u64| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut head = b"GGUF".to_vec();
        head.extend(3u32.to_le_bytes());
        head.extend(0u64.to_le_bytes());
        head.extend(1u64.to_le_bytes());
        text(&mut head, "general.x");
        head.extend(9u32.to_le_bytes());
        head.extend(kind.to_le_bytes());
        head.extend(count.to_le_bytes());
        std::fs::write(file.path(), &head).unwrap();
        let whole = std::fs::OpenOptions::new().write(true).open(file.path()).unwrap();
        whole.set_len(head.len() as u64 + bytes).unwrap();
        Gguf::read(file.path()).unwrap_err().code
    };
    assert_eq!(sparse(0, 30 << 20, 30 << 20), Code::ConfigArchitecture);
    assert_eq!(sparse(12, 4 << 20, 32 << 20), Code::ConfigArchitecture);
    assert_eq!(sparse(0, 400 << 20, 400 << 20), Code::GgufHeaderTooLarge);
    assert_eq!(sparse(8, 1 << 20, 8 << 20), Code::ConfigArchitecture);
    let mut many = small();
    many[16..24].copy_from_slice(&(1u64 << 20).to_le_bytes());
    many.resize(16 << 20, 0);
    assert_eq!(refused(many).0, Code::GgufHeaderTooLarge);
}

#[test]
fn a_long_text_is_passed_over_unless_it_is_the_template() {
    let long = "x".repeat((1 << 20) + 1);
    let mut pairs = pairs();
    pairs.push(word("general.description", &long));
    let gguf = Gguf::from_bytes(file(&pairs, &TENSORS)).unwrap();
    assert!(!gguf.metadata().contains_key("general.description"));
    pairs.push(word("tokenizer.chat_template", &long));
    assert_eq!(refused(file(&pairs, &TENSORS)).0, Code::ConfigLimit);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn r12_mutations_never_panic(at in 0usize..10_000, byte: u8, second in 0usize..10_000, other: u8) {
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
