//! Errors of a model as problems a person can act on.

use contract::Code;
use contract::problem::Problem;
use model::{Code as ModelCode, ModelError};

/// A model's error as a problem; code, hint and what it carries are kept.
pub fn of_model(error: ModelError) -> Problem {
    let problem = Problem::new(code(error.code), error.message);
    let problem = error.hint.into_iter().fold(problem, Problem::hint);
    error.params.into_iter().fold(problem, |problem, (name, value)| problem.with(name, value))
}

const fn code(code: ModelCode) -> Code {
    match code {
        ModelCode::BatchInvalid => Code::BatchInvalid,
        ModelCode::BatchTooLong => Code::BatchTooLong,
        ModelCode::CheckpointTensors => Code::CheckpointTensors,
        ModelCode::ConfigArchitecture => Code::ConfigArchitecture,
        ModelCode::ConfigBroken => Code::ConfigBroken,
        ModelCode::ConfigHeads => Code::ConfigHeads,
        ModelCode::ConfigHiddenAct => Code::ConfigHiddenAct,
        ModelCode::ConfigLimit => Code::ConfigLimit,
        ModelCode::ConfigMissing => Code::ConfigMissing,
        ModelCode::ConfigRopeScaling => Code::ConfigRopeScaling,
        ModelCode::ConfigTooLarge => Code::ConfigTooLarge,
        ModelCode::ConfigValue => Code::ConfigValue,
        ModelCode::FileNotRegular => Code::ModelNotAFile,
        ModelCode::FileTooLarge => Code::ModelFileTooLarge,
        ModelCode::FreezeBlocks => Code::FreezeBlocks,
        ModelCode::GenerationPrompt => Code::GenerationPrompt,
        ModelCode::GenerationPromptTooLong => Code::GenerationPromptTooLong,
        ModelCode::GenerationScores => Code::GenerationScores,
        ModelCode::GenerationSetting => Code::GenerationSetting,
        ModelCode::GgufBroken => Code::GgufBroken,
        ModelCode::GgufFormat => Code::GgufFormat,
        ModelCode::GgufHeaderTooLarge => Code::GgufHeaderTooLarge,
        ModelCode::GgufNoModel => Code::GgufNoModel,
        ModelCode::GgufMagic => Code::GgufMagic,
        ModelCode::GgufVersion => Code::GgufVersion,
        ModelCode::LoraConfig => Code::LoraConfig,
        ModelCode::LoraNone => Code::LoraNone,
        ModelCode::OptimizerState => Code::OptimizerState,
        ModelCode::TrainNothing => Code::TrainNothing,
        ModelCode::TrainQuantised => Code::TrainQuantised,
        ModelCode::ValueHeadMissing => Code::ValueHeadMissing,
        ModelCode::ValueHeadWidth => Code::ValueHeadWidth,
        ModelCode::WeightsBroken => Code::WeightsBroken,
        ModelCode::WeightsFormat => Code::WeightsFormat,
        ModelCode::WeightsHeaderTooLarge => Code::WeightsHeaderTooLarge,
        ModelCode::WeightsIo => Code::WeightsIo,
        ModelCode::WeightsMissing => Code::WeightsMissing,
        ModelCode::WeightsPickle => Code::WeightsPickle,
        ModelCode::WeightsShape => Code::WeightsShape,
        ModelCode::WeightsTensorMissing => Code::WeightsTensorMissing,
        ModelCode::WeightsTruncated => Code::WeightsTruncated,
        ModelCode::WeightsWrite => Code::WeightsWrite,
    }
}
