//! The metadata of a GGUF file (version 2 or 3), as much as a tokenizer test needs.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use corpus::tokenizer::gguf::GgufTokenizer;
use serde_json::{Value, json};

struct Input<R>(R);

impl<R: Read> Input<R> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    fn text(&mut self) -> String {
        let length = self.u64();
        let mut bytes = Vec::new();
        (&mut self.0).take(length).read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn value(&mut self, kind: u32) -> Value {
        match kind {
            0 => json!(self.bytes::<1>()[0]),
            1 => json!(i8::from_le_bytes(self.bytes())),
            2 => json!(u16::from_le_bytes(self.bytes())),
            3 => json!(i16::from_le_bytes(self.bytes())),
            4 => json!(self.u32()),
            5 => json!(i32::from_le_bytes(self.bytes())),
            6 => json!(f32::from_le_bytes(self.bytes())),
            7 => json!(self.bytes::<1>()[0] != 0),
            8 => json!(self.text()),
            9 => {
                let (kind, count) = (self.u32(), self.u64());
                (0..count).map(|_| self.value(kind)).collect()
            }
            10 => json!(self.u64()),
            11 => json!(i64::from_le_bytes(self.bytes())),
            12 => json!(f64::from_le_bytes(self.bytes())),
            other => panic!("unknown metadata kind {other}"),
        }
    }
}

/// The tokenizer fields of a file.
pub(crate) fn tokenizer(path: &Path) -> GgufTokenizer {
    let mut input = Input(std::io::BufReader::new(std::fs::File::open(path).unwrap()));
    assert_eq!(&input.bytes::<4>(), b"GGUF");
    let (_version, _tensors, count) = (input.u32(), input.u64(), input.u64());
    let mut values = HashMap::new();
    for _ in 0..count {
        let name = input.text();
        let kind = input.u32();
        values.insert(name, input.value(kind));
    }
    let value = |name: &str| values.get(&format!("tokenizer.{name}")).cloned().unwrap_or(Value::Null);
    let id = |name: &str| serde_json::from_value(value(&format!("ggml.{name}_token_id"))).unwrap();
    GgufTokenizer {
        model: serde_json::from_value(value("ggml.model")).unwrap(),
        pre: value("ggml.pre").as_str().unwrap_or_default().to_owned(),
        tokens: serde_json::from_value(value("ggml.tokens")).unwrap(),
        merges: serde_json::from_value(value("ggml.merges")).unwrap(),
        token_types: serde_json::from_value(value("ggml.token_type")).unwrap(),
        scores: serde_json::from_value(value("ggml.scores")).unwrap_or_default(),
        no_space_prefix: value("ggml.add_space_prefix") == json!(false),
        bos: id("bos"),
        eos: id("eos"),
        unk: id("unknown"),
        pad: id("padding"),
        add_bos: value("ggml.add_bos_token").as_bool(),
        chat_template: value("chat_template").as_str().map(str::to_owned),
    }
}
