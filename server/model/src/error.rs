//! One clear error: what is wrong and what to do about it.

use std::fmt::Display;
use std::path::Path;

use contract::files::Unread;
pub(crate) use contract::problem::shown;

/// What kind of error it is. Texts in backticks name what [`ModelError::with`] adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A batch that does not hold together.
    BatchInvalid,
    /// A row longer than the positions of the model. `row`, `most`.
    BatchTooLong,
    /// A checkpoint that lacks a tensor. `name`.
    CheckpointTensors,
    /// A model of an unknown kind. `name`.
    ConfigArchitecture,
    /// A config.json that is no JSON object. `why`.
    ConfigBroken,
    /// Heads that do not divide.
    ConfigHeads,
    /// An unknown activation. `name`.
    ConfigHiddenAct,
    /// A number above what any model has. `name`, `value`, `most`.
    ConfigLimit,
    /// A config.json that lacks something. `name`.
    ConfigMissing,
    /// Positions stretched in an unknown way.
    ConfigRopeScaling,
    /// A config.json or generation_config.json that is too large. `name`, `limit`.
    ConfigTooLarge,
    /// A value that cannot be used. `name`, `value`.
    ConfigValue,
    /// A folder, a pipe, a socket, a device or a link in a circle where a file is meant. `name`.
    FileNotRegular,
    /// A file of a model that is too large. `name`, `limit`.
    FileTooLarge,
    /// Blocks that cannot be chosen.
    FreezeBlocks,
    /// A prompt that is empty or holds an unknown token.
    GenerationPrompt,
    /// A prompt as long as the context. `tokens`, `context`.
    GenerationPromptTooLong,
    /// Scores that are no numbers.
    GenerationScores,
    /// A setting the decoder cannot follow.
    GenerationSetting,
    /// A GGUF file that is broken. `why`.
    GgufBroken,
    /// A tensor stored in an unknown form. `name`.
    GgufFormat,
    /// A GGUF file with more before its weights than is read. `limit`.
    GgufHeaderTooLarge,
    /// A file of something else than a model. `kind`.
    GgufNoModel,
    /// No GGUF file.
    GgufMagic,
    /// A GGUF version that is not supported. `version`.
    GgufVersion,
    /// An adapter that cannot be used. `why`.
    LoraConfig,
    /// No adapter where one is needed.
    LoraNone,
    /// State of another model. `name`.
    OptimizerState,
    /// Nothing would be trained.
    TrainNothing,
    /// Whole weights of a quantised model.
    TrainQuantised,
    /// A value head without a tensor. `name`.
    ValueHeadMissing,
    /// A value head of another width. `found`, `width`.
    ValueHeadWidth,
    /// Weights that are broken. `why`.
    WeightsBroken,
    /// A tensor stored in an unknown form. `name`.
    WeightsFormat,
    /// A safetensors file with more before its weights than is read. `name`, `limit`.
    WeightsHeaderTooLarge,
    /// A file of weights the system does not give. `why`.
    WeightsIo,
    /// No weights.
    WeightsMissing,
    /// A PyTorch pickle. `name`.
    WeightsPickle,
    /// A tensor of another shape. `name`.
    WeightsShape,
    /// A tensor that is missing. `name`.
    WeightsTensorMissing,
    /// Bytes that end too early.
    WeightsTruncated,
    /// Weights that cannot be written.
    WeightsWrite,
}

/// Why a model, its weights or its training could not be used. The code is stable; the words may change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", .hint.as_ref().map(|hint| format!(" {hint}")).unwrap_or_default())]
pub struct ModelError {
    /// The kind.
    pub code: Code,
    /// One sentence that says what is wrong and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Names and numbers of the message, by the names that [`Code`] gives them.
    pub params: Vec<(&'static str, String)>,
}

impl ModelError {
    /// An error without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, params: Vec::new() }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Gives a name or a number of the message by itself, so that it can be said in another language.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.params.push((name, value.to_string()));
        self
    }

    /// A file that could not be read or written. Names the file, not the folder it lies in.
    pub fn io(path: &Path, error: &std::io::Error) -> Self {
        let message = format!("{}: {error}.", file_name(path));
        Self::new(Code::WeightsIo, message).with("why", error)
    }

    /// A file that is not read.
    pub(crate) fn unread(path: &Path, why: &Unread) -> Self {
        let code = match why {
            Unread::Io(error) => return Self::io(path, error),
            Unread::NotAFile => Code::FileNotRegular,
            Unread::TooLarge { .. } => Code::FileTooLarge,
        };
        let problem = why.problem(path);
        let code = if problem.code == contract::Code::ConfigTooLarge { Code::ConfigTooLarge } else { code };
        let mut error = Self::new(code, problem.message).with("name", file_name(path));
        error.params.extend(problem.params.get("limit").map(|limit| ("limit", limit.clone())));
        error.hint = problem.hint;
        error
    }

    /// A number above what any model has.
    pub(crate) fn limit(name: &str, value: u64, most: u64) -> Self {
        let message = format!("\"{name}\" is {value}; no model has more than {most}.");
        Self::new(Code::ConfigLimit, message)
            .with("name", name)
            .with("value", value)
            .with("most", most)
            .hint("Take the files that were published together.")
    }
}

/// What an error calls a file or a folder: people who read it need not know where a server keeps it.
pub(crate) fn file_name(path: &Path) -> String {
    shown(&path.file_name().unwrap_or_default().to_string_lossy())
}

/// Result of everything in this package.
pub type Result<T> = std::result::Result<T, ModelError>;
