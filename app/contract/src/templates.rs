//! Built-in prompt templates (S-220), word for word.

/// The key that means "the model's own chat template".
pub const MODEL_TEMPLATE: &str = "model";

/// A built-in template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Key.
    pub name: &'static str,
    /// Text before the first turn; followed by `sep` when not empty.
    pub prefix: &'static str,
    /// One turn, with `{query}`.
    pub prompt: &'static str,
    /// Text between turns.
    pub sep: &'static str,
    /// Whether earlier turns are kept.
    pub use_history: bool,
}

/// Every built-in template (S-220).
pub const BUILTIN: &[Builtin] = &[
    Builtin { name: "vanilla", prefix: "", prompt: "{query}", sep: "", use_history: false },
    Builtin {
        name: "default",
        prefix: "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.",
        prompt: "Human: {query}\nAssistant: ",
        sep: "\n",
        use_history: true,
    },
    Builtin {
        name: "alpaca",
        prefix: "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
        prompt: "### Instruction:\n{query}\n\n### Response:\n",
        sep: "\n\n",
        use_history: true,
    },
    Builtin {
        name: "vicuna",
        prefix: "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.",
        prompt: "USER: {query} ASSISTANT: ",
        sep: "</s>",
        use_history: true,
    },
    Builtin {
        name: "belle",
        prefix: "",
        prompt: "Human: {query}\n\nBelle: ",
        sep: "\n\n",
        use_history: true,
    },
    Builtin { name: "linly", prefix: "", prompt: "User: {query}\nBot: ", sep: "\n", use_history: true },
    Builtin {
        name: "billa",
        prefix: "",
        prompt: "Human: {query}\nAssistant: ",
        sep: "\n",
        use_history: true,
    },
    Builtin { name: "ziya", prefix: "", prompt: "<human>:{query}\n<bot>:", sep: "\n", use_history: true },
    Builtin {
        name: "aquila",
        prefix: "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the human's questions.",
        prompt: "Human: {query}###Assistant: ",
        sep: "###",
        use_history: true,
    },
    Builtin {
        name: "intern",
        prefix: "",
        prompt: "<|User|>:{query}<eoh>\n<|Bot|>:",
        sep: "<eoa>\n",
        use_history: true,
    },
    Builtin {
        name: "baichuan",
        prefix: "",
        prompt: "<reserved_102>{query}<reserved_103>",
        sep: "",
        use_history: true,
    },
];

/// The built-in template of that name.
pub fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTIN.iter().find(|template| template.name == name)
}

/// Whether a form may carry this key.
pub fn is_known(key: &str) -> bool {
    key == MODEL_TEMPLATE || builtin(key).is_some()
}
