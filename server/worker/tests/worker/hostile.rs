//! Files and folders that pretend to be models, made the same each time. This file stands alone, so that other tests can
//! include it: it needs the standard library and `serde_json` only.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Something to import, and the codes it may be refused with; without a code it may as well come in.
pub(crate) struct Hostile {
    /// What it is, for a message.
    pub(crate) name: String,
    /// The file or folder.
    pub(crate) path: PathBuf,
    /// Codes of the problem.
    pub(crate) codes: &'static [&'static str],
}

/// Makes all of them in an empty folder. `good` is a model folder that imports, of which some are spoilt copies.
pub(crate) fn make(place: &Path, good: &Path) -> Vec<Hostile> {
    let mut all = Makes { place: place.to_owned(), good: good.to_owned(), made: Vec::new() };
    all.ggufs();
    all.safetensors();
    all.configs();
    all.indexes();
    all.companions();
    #[cfg(unix)]
    all.special();
    all.made
}

struct Makes {
    place: PathBuf,
    good: PathBuf,
    made: Vec<Hostile>,
}

const BROKEN_GGUF: &[&str] = &["gguf.broken"];
const BROKEN_WEIGHTS: &[&str] = &["weights.broken"];
const LIMIT: &[&str] = &["config.limit"];
const VALUE: &[&str] = &["config.value"];
const NOT_A_FILE: &[&str] = &["model.not_a_file"];
const TOO_LARGE: &[&str] = &["model.file_too_large"];
const TOKENIZER: &[&str] = &["tokenizer.broken"];

fn put(path: &Path, bytes: &[u8]) {
    // What is there may be another name of a good file.
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).expect("written");
}

/// A file that is `len` bytes long and takes no disk behind its first ones.
fn sparse(path: &Path, head: &[u8], len: u64) {
    put(path, head);
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("opens");
    file.set_len(len).expect("grows");
}

impl Makes {
    fn file(&mut self, name: &str, bytes: &[u8], codes: &'static [&'static str]) -> PathBuf {
        let path = self.place.join(name);
        put(&path, bytes);
        self.made.push(Hostile { name: name.to_owned(), path: path.clone(), codes });
        path
    }

    fn gguf(&mut self, name: &str, bytes: &[u8], codes: &'static [&'static str]) {
        self.file(&format!("{name}.gguf"), bytes, codes);
    }

    /// A copy of the good model, changed.
    fn folder(&mut self, name: &str, codes: &'static [&'static str], change: impl FnOnce(&Path)) {
        let path = self.place.join(name);
        std::fs::create_dir(&path).expect("a folder");
        for entry in std::fs::read_dir(&self.good).expect("lists").flatten() {
            let copy = path.join(entry.file_name());
            std::fs::hard_link(entry.path(), &copy)
                .or_else(|_| std::fs::copy(entry.path(), &copy).map(|_| ()))
                .expect("copied");
        }
        change(&path);
        self.made.push(Hostile { name: name.to_owned(), path, codes });
    }

    fn config(&mut self, name: &str, codes: &'static [&'static str], key: &str, value: Value) {
        self.folder(&format!("config-{name}"), codes, |folder| {
            let path = folder.join("config.json");
            let mut config: Value =
                serde_json::from_slice(&std::fs::read(&path).expect("reads")).expect("JSON");
            config[key] = value;
            put(&path, config.to_string().as_bytes());
        });
    }

    /// The good model with these weights.
    fn weights(&mut self, name: &str, codes: &'static [&'static str], bytes: &[u8]) {
        self.folder(&format!("weights-{name}"), codes, |folder| {
            put(&folder.join("model.safetensors"), bytes)
        });
    }

    /// The good model with weights of this header and as many bytes behind it.
    fn header(&mut self, name: &str, codes: &'static [&'static str], json: &str, bytes: usize) {
        self.weights(name, codes, &headed(json.as_bytes(), bytes));
    }

    fn ggufs(&mut self) {
        let plain = Gguf::plain();
        let whole = plain.bytes();
        self.gguf("empty", b"", BROKEN_GGUF);
        self.gguf("html", b"<!DOCTYPE html><title>404</title>", &["gguf.magic"]);
        self.gguf("zip", b"PK\x03\x04rest", &["gguf.magic"]);
        self.gguf("magic-only", b"GGUF", BROKEN_GGUF);
        self.gguf("half", &whole[..whole.len() / 2], BROKEN_GGUF);
        let patched = |at: usize, value: &[u8]| {
            let mut bytes = whole.clone();
            bytes[at..at + value.len()].copy_from_slice(value);
            bytes
        };
        self.gguf("version", &patched(4, &[9]), &["gguf.version"]);
        self.gguf("tensor-count", &patched(8, &u64::MAX.to_le_bytes()), BROKEN_GGUF);
        self.gguf("pair-count", &patched(16, &u64::MAX.to_le_bytes()), BROKEN_GGUF);
        self.gguf("key-length", &patched(24, &u64::MAX.to_le_bytes()), BROKEN_GGUF);
        self.gguf("list-count", &Gguf::plain().list("x", 0, u64::MAX, &[]).bytes(), BROKEN_GGUF);
        self.gguf("list-of-unknown", &Gguf::plain().list("x", 77, 1, &[0; 8]).bytes(), BROKEN_GGUF);
        let mut nest = Vec::new();
        for _ in 0..1000 {
            nest.extend(9u32.to_le_bytes());
            nest.extend(1u64.to_le_bytes());
        }
        self.gguf("list-nested", &Gguf::plain().list("x", 9, 1, &nest).bytes(), BROKEN_GGUF);
        self.gguf(
            "tokens-of-numbers",
            &Gguf::plain().list(TOKENS, 0, 4, &[1; 4]).bytes(),
            &["tokenizer.gguf_unsupported"],
        );
        let many = (1u64 << 20) + 1;
        self.gguf(
            "tokens-many",
            &Gguf::plain().list(TOKENS, 8, many, &vec![0; many as usize * 8]).bytes(),
            LIMIT,
        );
        // F16: a list of bytes that nobody reads.
        self.gguf(
            "list-30-mb",
            &Gguf::bare().list("general.x", 0, 30_000_000, &vec![0; 30_000_000]).bytes(),
            &["config.architecture"],
        );
        let texts = 3_000_000u64;
        self.gguf(
            "texts-24-mb",
            &Gguf::bare().list("general.x", 8, texts, &vec![0; texts as usize * 8]).bytes(),
            &["config.architecture"],
        );
        let lists = 2_500_000u64;
        let empty: Vec<u8> =
            [0u32.to_le_bytes().as_slice(), &0u64.to_le_bytes()].concat().repeat(lists as usize);
        self.gguf(
            "lists-30-mb",
            &Gguf::bare().list("general.x", 9, lists, &empty).bytes(),
            &["config.architecture"],
        );
        let mut pairs = Gguf::bare();
        for number in 0..20_000u32 {
            pairs = pairs.whole(&format!("k{number}"), number);
        }
        self.gguf("pairs-many", &pairs.bytes(), &["gguf.header_too_large"]);
        let path = self.file("header-400-mb.gguf", b"", &["gguf.header_too_large"]);
        sparse(&path, &Gguf::bare().list("general.x", 0, 400_000_000, &[]).bytes(), 400_001_000);
        let path = self.file("tensors-many.gguf", b"", &["gguf.header_too_large"]);
        sparse(&path, &patched(8, &1_000_000u64.to_le_bytes()), 400_000_000);
        self.gguf("twice-key", &Gguf::plain().whole("llama.block_count", 1).bytes(), BROKEN_GGUF);
        self.gguf("nan", &Gguf::plain().float("llama.rope.freq_base", f32::NAN).bytes(), BROKEN_GGUF);
        for (name, value) in [("layers-many", 4_000_000_000), ("layers-1025", 1025)] {
            let mut large = Gguf::plain();
            large.pairs.retain(|(key, _)| key != "llama.block_count");
            self.gguf(name, &large.whole("llama.block_count", value).bytes(), LIMIT);
        }
        self.gguf("layers-none", &patched_pair("llama.block_count", 0).bytes(), BROKEN_GGUF);
        self.gguf("heads-none", &patched_pair("llama.attention.head_count", 0).bytes(), BROKEN_GGUF);
        self.gguf("alignment", &Gguf::plain().whole("general.alignment", 3).bytes(), BROKEN_GGUF);
        self.gguf(
            "unknown-family",
            &Gguf::bare().text("general.architecture", "rwkv").bytes(),
            &["config.architecture"],
        );
        self.gguf("no-tensors", &Gguf { tensors: Vec::new(), ..Gguf::plain() }.bytes(), BROKEN_GGUF);
        let with = |change: &dyn Fn(&mut Vec<Tensor>)| {
            let mut file = Gguf::plain();
            change(&mut file.tensors);
            file.bytes()
        };
        self.gguf("tensor-twice", &with(&|all| all.push(all[0].clone())), BROKEN_GGUF);
        self.gguf("tensor-overlaps", &with(&|all| all[1].offset = all[0].offset), BROKEN_GGUF);
        self.gguf("tensor-outside", &with(&|all| all[1].offset = u64::MAX - 64), BROKEN_GGUF);
        self.gguf("tensor-kind", &with(&|all| all[1].kind = 16), &["gguf.format"]);
        self.gguf("tensor-no-dims", &with(&|all| all[1].shape.clear()), BROKEN_GGUF);
        self.gguf("tensor-large", &with(&|all| all[0].shape = vec![1 << 40, 1 << 40]), BROKEN_GGUF);
        self.gguf("tensor-empty", &with(&|all| all[0].shape = vec![0, 0]), BROKEN_GGUF);
        self.gguf("tensor-name", &with(&|all| all[0].name = "x".repeat(70_000)), BROKEN_GGUF);
        self.gguf("adapter", &Gguf::plain().text("general.type", "adapter").bytes(), &["gguf.no_model"]);
        let long = "{{ x }}".repeat(200_000);
        self.gguf("template-long", &Gguf::plain().text("tokenizer.chat_template", &long).bytes(), LIMIT);
    }

    fn safetensors(&mut self) {
        let one = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
        self.weights("empty", BROKEN_WEIGHTS, b"");
        self.weights("short", BROKEN_WEIGHTS, b"1234");
        self.weights("html", BROKEN_WEIGHTS, b"<!DOCTYPE html><title>Not found</title>");
        self.weights("pickle", &["weights.pickle"], b"\x80\x02cos\nsystem\n");
        self.weights("zip", &["weights.pickle"], b"PK\x03\x04data.pkl");
        self.weights("header-2-63", BROKEN_WEIGHTS, &(1u64 << 63).to_le_bytes());
        self.header("not-json", BROKEN_WEIGHTS, "{", 0);
        self.header("list", BROKEN_WEIGHTS, "[]", 0);
        self.header("deep", BROKEN_WEIGHTS, &format!("{{\"a\":{}", "[".repeat(100_000)), 0);
        self.header(
            "deep-metadata",
            BROKEN_WEIGHTS,
            &format!("{{\"__metadata__\":{}", "{\"a\":".repeat(50_000)),
            0,
        );
        self.header("nan", BROKEN_WEIGHTS, r#"{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}"#, 8);
        self.header(
            "negative",
            BROKEN_WEIGHTS,
            r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
            8,
        );
        self.header("twice", BROKEN_WEIGHTS, &format!("{{{one},{one}}}"), 8);
        self.header("overlap", BROKEN_WEIGHTS, &format!("{{{one},{}}}", one.replace("\"a\"", "\"b\"")), 8);
        self.header("outside", BROKEN_WEIGHTS, &format!("{{{one}}}"), 4);
        self.header(
            "product",
            BROKEN_WEIGHTS,
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#,
            8,
        );
        self.header(
            "wrong-size",
            BROKEN_WEIGHTS,
            r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
            8,
        );
        self.header(
            "dims",
            BROKEN_WEIGHTS,
            &format!(
                "{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{}1],\"data_offsets\":[0,8]}}}}",
                "1,".repeat(5_000_000)
            ),
            8,
        );
        self.header(
            "name",
            BROKEN_WEIGHTS,
            &format!(
                "{{\"{}\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}}}",
                "x".repeat(5_000_000)
            ),
            8,
        );
        let mut many = String::from("{");
        for number in 0..500_000u32 {
            many.push_str(&format!(
                "\"{number}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}},"
            ));
        }
        many.pop();
        many.push('}');
        self.header("many", BROKEN_WEIGHTS, &many, 0);
        let junk = format!("{{\"a\":{{\"x\":[{}0]}}}}", "0,".repeat(15_000_000));
        self.header("junk-30-mb", BROKEN_WEIGHTS, &junk, 0);
        self.header(
            "metadata-30-mb",
            &["weights.tensor_missing"],
            &format!("{{\"__metadata__\":{{\"x\":[{}0]}}}}", "0,".repeat(15_000_000)),
            0,
        );
        self.header("nothing", &["weights.tensor_missing"], "{}", 0);
        self.folder("weights-header-6-gb", &["weights.header_too_large"], |folder| {
            sparse(&folder.join("model.safetensors"), &(6u64 << 30).to_le_bytes(), 7 << 30);
        });
    }

    fn configs(&mut self) {
        for (name, key) in [
            ("layers", "num_hidden_layers"),
            ("hidden", "hidden_size"),
            ("vocabulary", "vocab_size"),
            ("heads", "num_attention_heads"),
            ("inner", "intermediate_size"),
            ("positions", "max_position_embeddings"),
        ] {
            self.config(&format!("{name}-large"), LIMIT, key, json!(16_777_217));
            self.config(&format!("{name}-zero"), VALUE, key, json!(0));
        }
        self.config("layers-float", VALUE, "num_hidden_layers", json!(1e300));
        self.config("layers-text", VALUE, "num_hidden_layers", json!("2"));
        self.config("layers-1024", &["weights.tensor_missing"], "num_hidden_layers", json!(1024));
        self.config("head-odd", &["config.heads"], "head_dim", json!(3));
        self.config("code", &["config.architecture"], "model_type", json!("x".repeat(100_000)));
        self.folder("config-large", &["config.too_large"], |folder| {
            let junk = format!("{{\"junk\":[{}0]}}", "0,".repeat(600_000));
            put(&folder.join("config.json"), junk.as_bytes());
        });
        self.folder("config-6-gb", &["config.too_large"], |folder| {
            sparse(&folder.join("config.json"), b"{", 6 << 30);
        });
        self.folder("config-deep", &["config.json"], |folder| {
            put(&folder.join("config.json"), format!("{{\"a\":{}", "[".repeat(500_000)).as_bytes());
        });
        self.folder("config-list", &["config.json"], |folder| put(&folder.join("config.json"), b"[]"));
        self.folder("config-empty", &["config.json"], |folder| put(&folder.join("config.json"), b""));
        self.folder("generation-6-gb", &["config.too_large"], |folder| {
            sparse(&folder.join("generation_config.json"), b"{", 6 << 30);
        });
    }

    fn indexes(&mut self) {
        let index = |text: String| {
            move |folder: &Path| {
                std::fs::remove_file(folder.join("model.safetensors")).expect("removed");
                put(&folder.join("model.safetensors.index.json"), text.as_bytes());
            }
        };
        let of = |file: &str| json!({ "weight_map": { "a": file } }).to_string();
        for (name, file) in
            [("up", "../good/model.safetensors"), ("root", "/etc/passwd"), ("pickle", "m.bin")]
        {
            self.folder(&format!("index-{name}"), BROKEN_WEIGHTS, index(of(file)));
        }
        self.folder("index-missing", &["model.file_missing"], index(of("m.safetensors")));
        self.folder("index-broken", BROKEN_WEIGHTS, index("{".to_owned()));
        self.folder("index-no-map", BROKEN_WEIGHTS, index("{}".to_owned()));
        self.folder("index-numbers", BROKEN_WEIGHTS, index(r#"{"weight_map":{"a":1}}"#.to_owned()));
        self.folder(
            "index-twice",
            BROKEN_WEIGHTS,
            index(r#"{"weight_map":{"a":"m.safetensors","a":"m.safetensors"}}"#.to_owned()),
        );
        let many: Vec<String> =
            (0..600_000).map(|number| format!("\"{number}\":\"m.safetensors\"")).collect();
        self.folder(
            "index-many",
            BROKEN_WEIGHTS,
            index(format!("{{\"weight_map\":{{{}}}}}", many.join(","))),
        );
        self.folder("index-6-gb", TOO_LARGE, |folder| {
            std::fs::remove_file(folder.join("model.safetensors")).expect("removed");
            sparse(&folder.join("model.safetensors.index.json"), b"{", 6 << 30);
        });
        self.folder("index-shard-twice", BROKEN_WEIGHTS, |folder| {
            let weights = folder.join("model.safetensors");
            std::fs::copy(&weights, folder.join("a.safetensors")).expect("copied");
            std::fs::rename(&weights, folder.join("b.safetensors")).expect("moved");
            let map = json!({ "weight_map": { "a": "a.safetensors", "b": "b.safetensors" } });
            put(&folder.join("model.safetensors.index.json"), map.to_string().as_bytes());
        });
    }

    fn companions(&mut self) {
        self.folder("tokenizer-empty", TOKENIZER, |folder| put(&folder.join("tokenizer.json"), b""));
        self.folder("tokenizer-deep", TOKENIZER, |folder| {
            put(&folder.join("tokenizer.json"), "[".repeat(1_000_000).as_bytes());
        });
        for name in
            ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"]
        {
            self.folder(&format!("large-{name}"), TOO_LARGE, |folder| {
                sparse(&folder.join(name), b"{", 6 << 30)
            });
        }
        self.folder("pickle-only", &["weights.pickle"], |folder| {
            std::fs::rename(folder.join("model.safetensors"), folder.join("pytorch_model.bin"))
                .expect("moved");
        });
        self.folder("nothing", &["model.file_missing"], |folder| {
            std::fs::remove_dir_all(folder).expect("removed");
            std::fs::create_dir(folder).expect("made");
        });
        self.folder("readme-6-gb", &[], |folder| sparse(&folder.join("README.md"), b"---\n", 6 << 30));
        self.folder("code-beside", &[], |folder| {
            put(&folder.join("modeling.py"), b"import os");
            put(&folder.join("pytorch_model.bin"), b"PK\x03\x04");
        });
    }

    #[cfg(unix)]
    fn special(&mut self) {
        use std::os::unix::fs::symlink;
        let pipe = |path: &Path| {
            let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo");
            assert!(made.success(), "a pipe");
        };
        let at = self.place.join("pipe.gguf");
        pipe(&at);
        self.made.push(Hostile { name: "pipe.gguf".to_owned(), path: at, codes: NOT_A_FILE });
        let at = self.place.join("circle.gguf");
        symlink("circle.gguf", &at).expect("a link");
        self.made.push(Hostile { name: "circle.gguf".to_owned(), path: at, codes: NOT_A_FILE });
        let at = self.place.join("socket.gguf");
        drop(std::os::unix::net::UnixListener::bind(&at).expect("a socket"));
        self.made.push(Hostile { name: "socket.gguf".to_owned(), path: at, codes: NOT_A_FILE });
        for path in ["/dev/zero", "/dev/null", "/proc/self/maps", "/proc/self/mem"] {
            self.made.push(Hostile { name: path.to_owned(), path: path.into(), codes: NOT_A_FILE });
        }
        for name in [
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "generation_config.json",
            "chat_template.jinja",
            "model.safetensors",
            "LICENSE",
        ] {
            let replaced = |folder: &Path| {
                let _ = std::fs::remove_file(folder.join(name));
                folder.join(name)
            };
            self.folder(&format!("pipe-{name}"), NOT_A_FILE, |folder| pipe(&replaced(folder)));
            self.folder(&format!("device-{name}"), NOT_A_FILE, |folder| {
                symlink("/dev/zero", replaced(folder)).expect("a link");
            });
            self.folder(&format!("folder-{name}"), NOT_A_FILE, |folder| {
                std::fs::create_dir(replaced(folder)).expect("a folder");
            });
        }
        self.folder("pipe-readme", &[], |folder| pipe(&folder.join("README.md")));
        self.folder("pipe-index", NOT_A_FILE, |folder| {
            std::fs::remove_file(folder.join("model.safetensors")).expect("removed");
            pipe(&folder.join("model.safetensors.index.json"));
        });
        self.folder("pipe-shard", NOT_A_FILE, |folder| {
            std::fs::remove_file(folder.join("model.safetensors")).expect("removed");
            pipe(&folder.join("m.safetensors"));
            let map = json!({ "weight_map": { "a": "m.safetensors" } });
            put(&folder.join("model.safetensors.index.json"), map.to_string().as_bytes());
        });
    }
}

/// A safetensors file of this header with as many bytes of numbers.
fn headed(json: &[u8], bytes: usize) -> Vec<u8> {
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json);
    file.resize(file.len() + bytes, 0);
    file
}

const TOKENS: &str = "tokenizer.ggml.tokens";

/// A line of a GGUF file's table of tensors.
#[derive(Clone)]
struct Tensor {
    name: String,
    shape: Vec<u64>,
    kind: u32,
    offset: u64,
}

/// A GGUF file: keys with what follows them, and tensors.
struct Gguf {
    pairs: Vec<(String, Vec<u8>)>,
    tensors: Vec<Tensor>,
}

fn patched_pair(key: &str, value: u32) -> Gguf {
    let mut file = Gguf::plain();
    file.pairs.retain(|(known, _)| known != key);
    file.whole(key, value)
}

fn text_bytes(text: &str) -> Vec<u8> {
    [(text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

impl Gguf {
    /// Nothing in it.
    fn bare() -> Self {
        Self { pairs: Vec::new(), tensors: Vec::new() }
    }

    /// The least that passes for a model until its weights are counted.
    fn plain() -> Self {
        let tensor = |name: &str, rows: u64, offset: u64| Tensor {
            name: name.to_owned(),
            shape: vec![4, rows],
            kind: 0,
            offset,
        };
        Self {
            tensors: vec![tensor("token_embd.weight", 2, 0), tensor("blk.0.attn_q.weight", 4, 32)],
            ..Self::bare()
        }
        .text("general.architecture", "llama")
        .whole("llama.embedding_length", 4)
        .whole("llama.feed_forward_length", 8)
        .whole("llama.attention.head_count", 1)
        .whole("llama.block_count", 1)
    }

    fn pair(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.pairs.push((key.to_owned(), [kind.to_le_bytes().as_slice(), value].concat()));
        self
    }

    fn whole(self, key: &str, value: u32) -> Self {
        self.pair(key, 4, &value.to_le_bytes())
    }

    fn float(self, key: &str, value: f32) -> Self {
        self.pair(key, 6, &value.to_le_bytes())
    }

    fn text(self, key: &str, value: &str) -> Self {
        self.pair(key, 8, &text_bytes(value))
    }

    /// A list that announces `count` entries of a kind and holds these bytes.
    fn list(self, key: &str, kind: u32, count: u64, bytes: &[u8]) -> Self {
        let head = [kind.to_le_bytes().as_slice(), &count.to_le_bytes()].concat();
        self.pair(key, 9, &[head.as_slice(), bytes].concat())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, value) in &self.pairs {
            out.extend(text_bytes(key));
            out.extend(value);
        }
        for tensor in &self.tensors {
            out.extend(text_bytes(&tensor.name));
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().for_each(|size| out.extend(size.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(32) + 96, 0);
        out
    }
}
