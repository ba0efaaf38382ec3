//! The kinds of problems in groups, each with its stable text and what a problem of the kind carries.

/// Hands the list to a macro.
macro_rules! kinds {
    ($each:ident) => {
        $each! {
            // Everywhere.
            /// Something is just changing; asking again helps.
            Busy = "busy",
            /// What was asked for does not exist (any more).
            NotFound = "not_found",
            /// A kind that this build does not know: written by another one.
            Other = "other",
            // Chains of checkpoints.
            /// An adapter where every weight is to be tuned. `name`, `step`.
            ChainAdapterForFull = "chain.adapter_for_full",
            /// An adapter that cannot be read. `name`, `step`.
            ChainBroken = "chain.broken",
            /// A checkpoint that is not there any more. `name`, `step`.
            ChainGone = "chain.gone",
            /// A checkpoint that is no LoRA adapter. `name`, `step`.
            ChainNotLora = "chain.not_lora",
            /// Checkpoints in another order than they were trained in. `name`, `step`.
            ChainOrder = "chain.order",
            /// A checkpoint of another base model. `name`, `step`, `model`.
            ChainOtherBase = "chain.other_base",
            /// A checkpoint of another width. `name`, `step`, `found`, `width`.
            ChainShape = "chain.shape",
            // Answers.
            /// The model's process ended.
            ChatCrashed = "chat.crashed",
            /// A connection that broke before the answer was complete.
            ChatLost = "chat.lost",
            /// Nothing was asked.
            ChatNoQuestion = "chat.no_question",
            /// The last message is not the user's.
            ChatNotAQuestion = "chat.not_a_question",
            /// No model is loaded.
            ChatNothingLoaded = "chat.nothing_loaded",
            /// Two messages of one side in a row. `number`, `role`, `wanted`.
            ChatRolesMustAlternate = "chat.roles_must_alternate",
            /// Every place for a model is answering.
            ChatSeatsBusy = "chat.seats_busy",
            /// Beams that are to draw.
            GenerationBeamsDraw = "generation.beams_draw",
            /// A prompt that is empty or holds an unknown token.
            GenerationPrompt = "generation.prompt",
            /// A prompt as long as the context. `tokens`, `context`.
            GenerationPromptTooLong = "generation.prompt_too_long",
            /// Scores that are no numbers.
            GenerationScores = "generation.scores",
            /// A setting the decoder cannot follow.
            GenerationSetting = "generation.setting",
            /// Too many stop texts, or too long ones. `most`, `longest`.
            GenerationStop = "generation.stop",
            // Connection.
            /// Burnish was renewed since the page was loaded.
            BuildChanged = "build.changed",
            /// The server does not answer.
            ConnectionLost = "connection.lost",
            /// A fault of the server; the log says more under `id`.
            ServerFault = "server.fault",
            /// Something that takes longer than `seconds` allow.
            ServerSlow = "server.slow",
            /// A host name that is not this server's.
            HostUnknown = "host.unknown",
            /// A request from another site.
            OriginForeign = "origin.foreign",
            /// More requests of one address than the server takes.
            ClientTooMany = "client.too_many",
            /// More runs watched on one page than allowed. `most`.
            WireTooMany = "wire.too_many",
            /// A message that is not understood.
            WireUnknownFrame = "wire.unknown_frame",
            /// A request that does not hold what is asked for. `why`.
            WireUnreadable = "wire.unreadable",
            // Reading processes.
            /// As much is being read as can be.
            ReadingBusy = "reading.busy",
            /// A form that the reader did not expect.
            ReadingCrashed = "reading.crashed",
            /// Nested too deep to be read.
            ReadingDepth = "reading.depth",
            /// More memory than any honest file needs.
            ReadingMemory = "reading.memory",
            /// A process that could not limit itself. `why`.
            ReadingNoLimits = "reading.no_limits",
            /// More than can be shown. `most`.
            ReadingTooLarge = "reading.too_large",
            /// Work without end. `seconds`, where it was measured.
            ReadingTooSlow = "reading.too_slow",
            // Reading data.
            /// Reading was stopped.
            DataCancelled = "data.cancelled",
            /// Prepared rows that are damaged.
            DataDamaged = "data.damaged",
            /// Prepared rows that cannot be read or written. `why`.
            DataStore = "data.store",
            /// A text that is no SHA-1 and no SHA-256. `why`.
            DatasetBadDigest = "dataset.bad_digest",
            /// The file is not the one a run was started with. `name`.
            DatasetChanged = "dataset.changed",
            /// A name of a column that is longer than allowed. `most`.
            DatasetColumnNameTooLong = "dataset.column_name_too_long",
            /// Two columns of one name.
            DatasetColumnTwice = "dataset.column_twice",
            /// Columns of a Parquet file that nest too deep. `most`.
            DatasetColumnsTooDeep = "dataset.columns_too_deep",
            /// A row that is no CSV. `why`.
            DatasetCsvBroken = "dataset.csv_broken",
            /// No such encoding. `name`.
            DatasetEncodingUnknown = "dataset.encoding_unknown",
            /// A file that reads in several encodings; the problem carries how. `encodings`, `readings`.
            DatasetEncodingUnsure = "dataset.encoding_unsure",
            /// No rows.
            DatasetEmpty = "dataset.empty",
            /// A dataset that a live run needs.
            DatasetInUse = "dataset.in_use",
            /// A record of a dataset that cannot be read. `why`.
            DatasetRecordBroken = "dataset.record_broken",
            /// A row that is no JSON. `why`.
            DatasetJsonBroken = "dataset.json_broken",
            /// A row that nests too deep. `most`.
            DatasetJsonTooDeep = "dataset.json_too_deep",
            /// A file of no known kind.
            DatasetKind = "dataset.kind",
            /// A mapping that cannot be read. `why`.
            DatasetMapping = "dataset.mapping",
            /// A part that has no column yet.
            DatasetMappingIncomplete = "dataset.mapping_incomplete",
            /// Files of two kinds where one dataset is to be made of them. `one`, `other`: their names.
            DatasetMixedKinds = "dataset.mixed_kinds",
            /// A column the file has not. `columns`.
            DatasetNoSuchColumn = "dataset.no_such_column",
            /// A row past the end.
            DatasetNoSuchRow = "dataset.no_such_row",
            /// No sheet of that name in a workbook. `name`, `sheets`.
            DatasetNoSuchSheet = "dataset.no_such_sheet",
            /// No row can teach; the problem's reason says why the first cannot.
            DatasetNoUsableRows = "dataset.no_usable_rows",
            /// Parquet from a stream.
            DatasetNotAStream = "dataset.not_a_stream",
            /// A device, a pipe, a socket or a folder where a file is needed.
            DatasetNotAFile = "dataset.not_a_file",
            /// A row that is no JSON object.
            DatasetNotAnObject = "dataset.not_an_object",
            /// No such file or folder.
            DatasetNotFound = "dataset.not_found",
            /// An archive, an image or the like.
            DatasetNotText = "dataset.not_text",
            /// Bytes that are no text in the encoding of the file.
            DatasetNotUtf8 = "dataset.not_utf8",
            /// A NUL byte in a text.
            DatasetNulByte = "dataset.nul_byte",
            /// A file that is no Parquet. `why`.
            DatasetParquetBroken = "dataset.parquet_broken",
            /// A quote of a table that never closes, or that text follows where it closes.
            DatasetQuoteOpen = "dataset.quote_open",
            /// Files of one dataset, of which one has not the columns of the other. `one`, `other`, `columns`.
            DatasetOtherColumns = "dataset.other_columns",
            /// A row with another number of cells than the header. `cells`, `columns`, `separator`.
            DatasetRaggedRow = "dataset.ragged_row",
            /// A row longer than 32 MiB.
            DatasetRowTooLong = "dataset.row_too_long",
            /// A workbook with rows on several sheets; the problem carries how each begins. `sheets`, `readings`.
            DatasetSheetUnsure = "dataset.sheet_unsure",
            /// More columns than allowed. `most`.
            DatasetTooManyColumns = "dataset.too_many_columns",
            /// More files than a dataset may be made of. `most`.
            DatasetTooManyFiles = "dataset.too_many_files",
            /// A row with more values than allowed. `most`.
            DatasetTooManyValues = "dataset.too_many_values",
            /// A file that would become far larger when it is unpacked than a file may.
            DatasetUnpacksTooLarge = "dataset.unpacks_too_large",
            /// A name that tells no known kind.
            DatasetUnknownKind = "dataset.unknown_kind",
            /// A file the system does not give. `why`.
            DatasetUnreadable = "dataset.unreadable",
            /// A file that is no Excel workbook, or one that contradicts itself. `why`.
            DatasetXlsxBroken = "dataset.xlsx_broken",
            /// A workbook under a password.
            DatasetXlsxLocked = "dataset.xlsx_locked",
            /// A workbook that becomes too large once it is unpacked. `why`.
            DatasetXlsxTooMuch = "dataset.xlsx_too_much",
            /// A line break in a row of plain text.
            EditLineBreak = "edit.line_break",
            /// A cell that is no JSON. `why`.
            EditNotJson = "edit.not_json",
            /// Nothing was changed.
            EditNothing = "edit.nothing",
            /// Not the newest version.
            EditOldVersion = "edit.old_version",
            /// A dataset_info.json that cannot be used. `why`.
            RegistryBroken = "registry.broken",
            /// No dataset_info.json among the files chosen.
            RegistryMissing = "registry.missing",
            /// A dataset_info.json that is too large.
            RegistryTooLarge = "registry.too_large",
            /// A dataset that dataset_info.json does not define. `name`.
            RegistryUndefined = "registry.undefined",
            /// A starter dataset that is not installed.
            SampleMissing = "sample.missing",
            /// An upload that broke off.
            UploadAborted = "upload.aborted",
            /// A header of an upload that is missing or cannot be read. `name`.
            UploadBadHeader = "upload.bad_header",
            /// An upload's id with odd characters.
            UploadBadId = "upload.bad_id",
            /// Columns that cannot be read.
            UploadBadMapping = "upload.bad_mapping",
            /// A file name with odd characters. `name`.
            UploadBadName = "upload.bad_name",
            /// Two files of one name. `name`.
            UploadNameTwice = "upload.name_twice",
            /// Bytes that do not begin where those that are there end, or that are missing. `offset`.
            UploadOffset = "upload.offset",
            /// A pickle. `name`.
            UploadPickle = "upload.pickle",
            /// A program. `name`.
            UploadProgram = "upload.program",
            /// An upload of which nothing came for `seconds`.
            UploadStalled = "upload.stalled",
            /// A file above the limit. `limit`.
            UploadTooLarge = "upload.too_large",
            /// More uploads than may be open.
            UploadTooMany = "upload.too_many",
            /// Neither dataset nor model.
            UploadUnknownKind = "upload.unknown_kind",
            // Disk and device.
            /// A CUDA GPU that is asked for and cannot be used.
            DeviceNoCuda = "device.no_cuda",
            /// No space left.
            DiskFull = "disk.full",
            /// The system refused to read or write. `path`, `why`.
            DiskIo = "disk.io",
            /// A disk that does not answer.
            DiskSlow = "disk.slow",
            // Models in the browser.
            /// A file with another SHA-256.
            EngineDigest = "engine.digest",
            /// A model that could not be run here. `why`.
            EngineFault = "engine.fault",
            /// A file the server did not give. `status`.
            EngineFetch = "engine.fetch",
            /// Too little memory.
            EngineMemory = "engine.memory",
            /// No module workers or no WebAssembly.
            EngineNoWorker = "engine.no_worker",
            /// Weights in several files.
            EngineShards = "engine.shards",
            /// No vector instructions.
            EngineSimd = "engine.simd",
            /// A file that was cut off.
            EngineSize = "engine.size",
            /// A model too large for a browser. `megabytes`.
            EngineTooLarge = "engine.too_large",
            // Runs as files.
            /// A specification that cannot be read. `line`, `why`.
            SpecBroken = "spec.broken",
            /// Something a specification names that is not here. `name`.
            SpecNotHere = "spec.not_here",
            /// A specification that is too large.
            SpecTooLarge = "spec.too_large",
            /// A setting that stands twice. `key`, `line`.
            SpecTwice = "spec.twice",
            /// A setting that nobody knows. `key`, `line`.
            SpecUnknownKey = "spec.unknown_key",
            // Forms.
            /// A list without a choice.
            FormEmpty = "form.empty",
            /// A stage that trains an adapter only.
            FormLoraOnly = "form.lora_only",
            /// A last learning rate above the first.
            FormLrEnd = "form.lr_end",
            /// Nothing was chosen.
            FormMissing = "form.missing",
            /// A text that must not be empty.
            FormBlank = "form.blank",
            /// Something that measures, without held-out rows.
            FormNeedsHeldOut = "form.needs_held_out",
            /// Freeze tuning without a block that learns.
            FormNoBlock = "form.no_block",
            /// A model without a template of its own.
            FormNoChatTemplate = "form.no_chat_template",
            /// Something that is measured of checkpoints alone, without one. `stage`.
            FormNoCheckpoint = "form.no_checkpoint",
            /// PPO without a reward model.
            FormNoRewardModel = "form.no_reward_model",
            /// A name of layers that means nothing in the model. `name`, `known`.
            FormNoSuchLayer = "form.no_such_layer",
            /// A stage in which nothing can be measured without training.
            FormNothingToMeasure = "form.nothing_to_measure",
            /// Text where a number is needed.
            FormNotANumber = "form.not_a_number",
            /// A NUL character.
            FormNul = "form.nul",
            /// Several checkpoints without LoRA.
            FormOneCheckpoint = "form.one_checkpoint",
            /// A number outside its bounds. `min`, `max`.
            FormOutOfRange = "form.out_of_range",
            /// Measuring by answering in a stage that does not answer. `stage`.
            FormPredictStage = "form.predict_stage",
            /// Prefixes that are neither one nor one each.
            FormPrefixCount = "form.prefix_count",
            /// Quantization without LoRA.
            FormQuantizedLoraOnly = "form.quantized_lora_only",
            /// An adapter that would be merged into a quantized model.
            FormQuantizedMerge = "form.quantized_merge",
            /// A chain on a quantized model.
            FormQuantizedSingle = "form.quantized_single",
            /// A reward model where nothing uses it.
            FormRewardModelUnused = "form.reward_model_unused",
            /// Data that does not suit the stage.
            FormStageFormat = "form.stage_format",
            /// A text longer than its field takes. `most`.
            FormTooLong = "form.too_long",
            /// More entries than allowed. `most`.
            FormTooMany = "form.too_many",
            /// A choice that does not exist.
            FormUnknownChoice = "form.unknown_choice",
            /// A character that nobody sees. `character`.
            FormUnseen = "form.unseen",
            /// A warm-up as long as the run.
            FormWarmup = "form.warmup",
            /// Weights that are not one number above 0 each.
            FormWeights = "form.weights",
            // Check of a GPU.
            /// Another result than on the CPU.
            GpuCheckDiffers = "gpu_check.differs",
            /// A loss that does not fall.
            GpuCheckNoLearning = "gpu_check.no_learning",
            /// Recorded numbers that cannot be read.
            GpuCheckReference = "gpu_check.reference",
            // Hub.
            /// No name of a repository.
            HubBadName = "hub.bad_name",
            /// No branch, tag or commit.
            HubBadRevision = "hub.bad_revision",
            /// A token that is not accepted. `repo`.
            HubBadToken = "hub.bad_token",
            /// Asked too often.
            HubBusy = "hub.busy",
            /// A cache that cannot be written. `why`.
            HubCache = "hub.cache",
            /// A connection that keeps breaking off.
            HubCutOff = "hub.cut_off",
            /// A repository whose owner must let people in. `repo`.
            HubGated = "hub.gated",
            /// A repository that is private or does not exist. `repo`.
            HubNeedsToken = "hub.needs_token",
            /// An address that the hub sends to and that is not gone to. `host`.
            HubElsewhere = "hub.elsewhere",
            /// A file the repository has not. `repo`.
            HubNoSuchFile = "hub.no_such_file",
            /// No such repository or revision. `repo`.
            HubNoSuchRepo = "hub.no_such_repo",
            /// Offline, and not in the cache. `repo`, `revision`.
            HubNotCached = "hub.not_cached",
            /// An answer that cannot be used. `why`.
            HubOddAnswer = "hub.odd_answer",
            /// Burnish was told to stay offline.
            HubOffline = "hub.offline",
            /// A file that is not fetched.
            HubRefusedFile = "hub.refused_file",
            /// The hub failed for now. `why`.
            HubTryLater = "hub.try_later",
            /// The hub cannot be reached. `host`, `why`.
            HubUnreachable = "hub.unreachable",
            /// An address the hub cannot have. `why`.
            HubUnusable = "hub.unusable",
            /// A file with another digest than announced.
            HubWrongDigest = "hub.wrong_digest",
            /// A file of another size than announced.
            HubWrongSize = "hub.wrong_size",
            // Models.
            /// A model of an unknown kind. `name`.
            ConfigArchitecture = "config.architecture",
            /// Heads that do not divide.
            ConfigHeads = "config.heads",
            /// An unknown activation. `name`.
            ConfigHiddenAct = "config.hidden_act",
            /// A config.json that is no JSON object. `why`.
            ConfigBroken = "config.json",
            /// A number above what any model has. `name`, `value`, `most`.
            ConfigLimit = "config.limit",
            /// A config.json that lacks something. `name`.
            ConfigMissing = "config.missing",
            /// Positions stretched in an unknown way.
            ConfigRopeScaling = "config.rope_scaling",
            /// A config.json or generation_config.json that is too large. `name`, `limit`.
            ConfigTooLarge = "config.too_large",
            /// A value that cannot be used. `name`, `value`.
            ConfigValue = "config.value",
            /// A GGUF file that is broken. `why`.
            GgufBroken = "gguf.broken",
            /// A tensor stored in an unknown form. `name`.
            GgufFormat = "gguf.format",
            /// A GGUF file with more before its weights than is read. `limit`.
            GgufHeaderTooLarge = "gguf.header_too_large",
            /// No GGUF file.
            GgufMagic = "gguf.magic",
            /// A GGUF file of something else than a model. `kind`.
            GgufNoModel = "gguf.no_model",
            /// A GGUF version that is not supported. `version`.
            GgufVersion = "gguf.version",
            /// An adapter that is to lie on a model of other shapes. `name`.
            AdapterOtherBase = "adapter.other_base",
            /// A tensor of an adapter that is not of the shape its base needs. `name`, `found`, `wanted`.
            AdapterShape = "adapter.shape",
            /// A tensor of an adapter that has no place in its base, or no partner. `name`.
            AdapterTensor = "adapter.tensor",
            /// A zip that cannot be read. `why`.
            ArchiveBroken = "archive.broken",
            /// An entry of a zip that is not unpacked: its name leaves the folder, it is a link, or its name comes twice. `name`.
            ArchiveEntry = "archive.entry",
            /// A zip that holds more than is unpacked. `limit`.
            ArchiveTooLarge = "archive.too_large",
            /// An adapter that cannot be used. `why`.
            LoraConfig = "lora.config",
            /// No adapter where one is needed.
            LoraNone = "lora.none",
            /// The name is taken. `name`.
            ModelExists = "model.exists",
            /// What is known of a model cannot be read or written. `why`.
            ModelFacts = "model.facts",
            /// A folder lacks a file.
            ModelFileMissing = "model.file_missing",
            /// A file of a model that is too large. `name`, `limit`.
            ModelFileTooLarge = "model.file_too_large",
            /// A model that a live run needs.
            ModelInUse = "model.in_use",
            /// A record of a model that cannot be read. `why`.
            ModelRecordBroken = "model.record_broken",
            /// An import that was interrupted.
            ModelInterrupted = "model.interrupted",
            /// A folder or file that holds an adapter. `base`.
            ModelIsAdapter = "model.is_adapter",
            /// Nothing at this path. `path`.
            ModelNoSuchPath = "model.no_such_path",
            /// A folder, a pipe, a socket, a device or a link in a circle where a file is meant. `name`.
            ModelNotAFile = "model.not_a_file",
            /// Rows longer than the positions a model has learned. `positions`.
            ModelPositions = "model.positions",
            /// A model that is not ready. `name`.
            ModelNotReady = "model.not_ready",
            /// Several GGUF files.
            ModelSeveralGguf = "model.several_gguf",
            /// A size that does not exist. `size`.
            ModelSize = "model.size",
            /// A source that cannot be opened. `path`, `why`.
            ModelSourceMissing = "model.source_missing",
            /// More tokens than the model has rows. `tokens`, `rows`.
            ModelTokenizerTooLarge = "model.tokenizer_too_large",
            /// A value head of another width. `name`, `step`.
            RewardHeadWidth = "reward.head_width",
            /// No value head. `name`, `step`.
            RewardNoHead = "reward.no_head",
            /// A reward model on another backbone. `name`, `step`.
            RewardOtherBackbone = "reward.other_backbone",
            /// A value head without a tensor. `name`.
            ValueHeadMissing = "value_head.missing",
            /// A value head of another width. `found`, `width`.
            ValueHeadWidth = "value_head.width",
            /// Weights that are broken. `why`.
            WeightsBroken = "weights.broken",
            /// A tensor stored in an unknown form. `name`.
            WeightsFormat = "weights.format",
            /// A safetensors file with more before its weights than is read. `name`, `limit`.
            WeightsHeaderTooLarge = "weights.header_too_large",
            /// A file of weights the system does not give. `why`.
            WeightsIo = "weights.io",
            /// No weights.
            WeightsMissing = "weights.missing",
            /// A PyTorch pickle. `name`.
            WeightsPickle = "weights.pickle",
            /// A tensor of another shape. `name`.
            WeightsShape = "weights.shape",
            /// A tensor that is missing. `name`.
            WeightsTensorMissing = "weights.tensor_missing",
            /// Bytes that end too early.
            WeightsTruncated = "weights.truncated",
            /// Weights that cannot be written.
            WeightsWrite = "weights.write",
            // Runs.
            /// A batch that does not hold together.
            BatchInvalid = "batch.invalid",
            /// A row longer than the positions of the model. `row`, `most`.
            BatchTooLong = "batch.too_long",
            /// State that cannot be written. `why`.
            CheckpointState = "checkpoint.state",
            /// A checkpoint that lacks a tensor. `name`.
            CheckpointTensors = "checkpoint.tensors",
            /// Blocks that cannot be chosen.
            FreezeBlocks = "freeze.blocks",
            /// State of another model. `name`.
            OptimizerState = "optimizer.state",
            /// Settings that cannot be written. `why`.
            RunArgs = "run.args",
            /// An attempt is still being worked on. `attempt`.
            RunBusy = "run.busy",
            /// The dataset was deleted. `name`.
            RunDatasetGone = "run.dataset_gone",
            /// A run's folder that is broken. `path`, `why`.
            RunFolderBroken = "run.folder_broken",
            /// The base model was deleted.
            RunModelGone = "run.model_gone",
            /// No checkpoint yet.
            RunNoCheckpoint = "run.no_checkpoint",
            /// A checkpoint that is gone. `step`.
            RunNoSuchCheckpoint = "run.no_such_checkpoint",
            /// Not stopped or failed.
            RunNotEnded = "run.not_ended",
            /// Not training any more.
            RunOver = "run.over",
            /// Results that cannot be written. `why`.
            RunResults = "run.results",
            /// Other runs stand on its checkpoints. `names`.
            RunStoodOn = "run.stood_on",
            /// A record of a run that cannot be read. `why`.
            RunUnreadable = "run.unreadable",
            /// A key that launched another run already.
            RunKeyReused = "run.key_reused",
            /// A run that still trains.
            RunTraining = "run.training",
            /// A loss that is no number. `step`.
            TrainNotFinite = "train.not_finite",
            /// Nothing would be trained.
            TrainNothing = "train.nothing",
            /// Whole weights of a quantised model.
            TrainQuantised = "train.quantised",
            /// A command that cannot be read. `why`.
            WorkerCommand = "worker.command",
            /// The worker ended early. `code`.
            WorkerEnded = "worker.ended",
            /// The worker was killed (signal 9), most likely for want of memory.
            WorkerKilled = "worker.killed",
            /// The worker is gone without a word.
            WorkerLost = "worker.lost",
            /// The run was given to another attempt, or restored from a backup: what this worker makes counts no more.
            WorkerRevoked = "worker.revoked",
            /// A worker that did not stop when asked and had to be killed.
            WorkerUnresponsive = "worker.unresponsive",
            /// The worker cannot be started.
            WorkerMissing = "worker.missing",
            /// An answer that is not what was agreed. `why`.
            WorkerOddAnswer = "worker.odd_answer",
            /// The memory did not suffice.
            WorkerOutOfMemory = "worker.out_of_memory",
            /// An unexpected error. `why`.
            WorkerPanicked = "worker.panicked",
            /// The worker was ended by another signal than 9. `signal`.
            WorkerSignal = "worker.signal",
            /// Signals cannot be handled. `why`.
            WorkerSignals = "worker.signals",
            /// A run that needs more memory than there is. `needed`, `there` (GB).
            WorkerTooLittleMemory = "worker.too_little_memory",
            // Templates and tokenizers.
            /// A template that does not print a message as it stands. `number`.
            TemplateAnswerLost = "template.answer_lost",
            /// A template that cannot be read. `why`.
            TemplateBroken = "template.broken",
            /// A template that fails. `why`.
            TemplateFailed = "template.failed",
            /// A turn that does not hold the question's `mark` once. `count`.
            TemplateQueryOnce = "template.query_once",
            /// A template that refuses a conversation, in its own words (`why`).
            TemplateRefused = "template.refused",
            /// A form of the system text that does not hold its `mark` once.
            TemplateSystemOnce = "template.system_once",
            /// Too many templates. `most`.
            TemplateTooMany = "template.too_many",
            /// A template that does not exist. `name`.
            TemplateUnknown = "template.unknown",
            /// A tokenizer that cannot be read. `why`.
            TokenizerBroken = "tokenizer.broken",
            /// A text that cannot be cut into tokens. `why`.
            TokenizerFailed = "tokenizer.failed",
            /// A tokenizer of a GGUF file that is broken. `why`.
            TokenizerGgufBroken = "tokenizer.gguf_broken",
            /// A tokenizer of an unknown kind. `kind`.
            TokenizerGgufUnsupported = "tokenizer.gguf_unsupported",
            /// No tokenizer. `why`.
            TokenizerMissing = "tokenizer.missing",
            /// A tokenizer that could not be trained. `why`.
            TokenizerTrainingFailed = "tokenizer.training_failed",
            /// A vocabulary that is too small. `least`.
            TokenizerVocabTooSmall = "tokenizer.vocab_too_small",
            // A page that was handed over.
            /// A piece of the model that lies not beside the page.
            PagePiece = "page.piece",
            /// A browser that does not run the page's worker.
            PageWorker = "page.worker",
        }
    };
}

pub(super) use kinds;
