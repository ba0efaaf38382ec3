//! One Chinese sentence for each kind of problem: a kind without one does not compile.

use contract::Code;

/// The sentence. `{name}` stands for what the problem carries under that name, `{label}` for its field. Where the problem
/// lacks one of these, and in a sentence that ends in a colon, the server's own words follow the last colon.
pub(super) const fn sentence(code: Code) -> &'static str {
    match code {
        Code::Busy => "正在变化中，请再试一次。",
        Code::NotFound => "这一项已经不存在了。",
        Code::Other => "出错了：",
        Code::ChainAdapterForFull => {
            "要调整全部权重时，不能从适配器开始：「{name}」第 {step} 步的检查点是适配器。"
        }
        Code::ChainBroken => "适配器读不出来，请换一个检查点：「{name}」第 {step} 步。",
        Code::ChainGone => "检查点已经不在了：「{name}」第 {step} 步。",
        Code::ChainNotLora => "检查点不是 LoRA 适配器：「{name}」第 {step} 步。",
        Code::ChainOrder => "检查点的先后顺序与训练时不同：请看「{name}」第 {step} 步。",
        Code::ChainOtherBase => "检查点是在另一个基础模型上训练的：「{name}」第 {step} 步不能用于 {model}。",
        Code::ChainShape => {
            "检查点的形状与模型不符：「{name}」第 {step} 步的宽度是 {found}，模型的宽度是 {width}。"
        }
        Code::ChatCrashed => "模型进程意外结束，请重新提问。",
        Code::ChatLost => "回答未完成时连接断开，请再问一次。",
        Code::ChatNoQuestion => "请先提一个问题。",
        Code::ChatNotAQuestion => "最后一条消息必须是提问。",
        Code::ChatNothingLoaded => "还没有加载模型，请先选择一个。",
        Code::ChatRolesMustAlternate => {
            "提问与回答必须交替出现：第 {number} 条消息的角色是 {role}，这里应是 {wanted}。"
        }
        Code::ChatSeatsBusy => "所有模型都在回答，请等一个回答结束，或停止一个。",
        Code::GenerationBeamsDraw => "束搜索不抽样：请选择贪心，或只用一束。",
        Code::GenerationPrompt => "提示词是空的，或含有模型不认识的词元。",
        Code::GenerationPromptTooLong => {
            "提示词太长，请缩短对话：有 {tokens} 个词元，模型的上下文是 {context} 个。"
        }
        Code::GenerationScores => "模型给出的分数不是数，权重已发散，请用更早的检查点。",
        Code::GenerationSetting => "生成设置不合要求，请改回默认值。",
        Code::GenerationStop => "停止文本不合要求：最多 {most} 段，每段 1 到 {longest} 个字符。",
        Code::BuildChanged => "Burnish 在这个页面打开之后已更新，请重新加载页面后再试。",
        Code::ConnectionLost => "服务器没有回应，请稍后再试。",
        Code::ServerFault => "服务器出错了，请稍后再试。",
        Code::ServerSlow => "这件事用的时间太长，服务器没有继续等：{seconds} 秒。",
        Code::ClientTooMany => "来自这个地址的请求太多，请稍后再试。",
        Code::HostUnknown => "服务器不接受这个主机名；请用启动时给出的地址访问。",
        Code::OriginForeign => "不允许其他网站在此操作。",
        Code::WireTooMany => "一个页面同时查看的运行太多：最多 {most} 个。",
        Code::WireUnknownFrame => "服务器看不懂这条消息，请刷新页面。",
        Code::WireUnreadable => "请求的内容无法读取：{why}",
        Code::ReadingBusy => "正在读取的文件已经很多，请稍后再试。",
        Code::ReadingCrashed => {
            "读不了：内容的形式出乎读取程序的预料。请用别的程序另存后再试，或附上文件报告问题。"
        }
        Code::ReadingDepth => "嵌套太深，无法读取：列表套列表、分组套分组，几层就够了。",
        Code::ReadingMemory => {
            "读取它需要的内存超过任何正常文件：请拆分文件，或查找展开后变得很大的值、列表或数据页。"
        }
        Code::ReadingNoLimits => "读取进程无法限制自己的资源：{why}",
        Code::ReadingTooLarge => "内容超过 {most} MiB，无法显示：请在 Burnish 之外修改文件后重新上传。",
        Code::ReadingTooSlow => "读取没有进展，已放弃：文件、对话模板或分词器需要的工作量远超其大小。",
        Code::DataCancelled => "读取数据已停止。",
        Code::DataDamaged => "准备好的数据已损坏；删除其文件夹后会重新生成。",
        Code::DataStore => "准备好的数据无法读写，请检查磁盘：{why}",
        Code::DatasetBadDigest => "这不是 SHA-1（40 位十六进制）或 SHA-256（64 位）：{why}",
        Code::DatasetChanged => {
            "数据集的文件在运行开始之后被改动了：「{name}」。请放回原文件，或重新开始运行。"
        }
        Code::DatasetColumnNameTooLong => "有一列的列名太长：最多 {most} 字节。",
        Code::DatasetColumnTwice => "列名重复，请只保留一个。",
        Code::DatasetColumnsTooDeep => "列嵌套得太深：最多 {most} 层。",
        Code::DatasetCsvBroken => "这一行不是有效的 CSV：{why}",
        Code::DatasetEncodingUnknown => "没有这种文字编码：「{name}」。请另选一种，或把文件另存为 UTF-8。",
        Code::DatasetEncodingUnsure => {
            "无法确定文件的文字编码：可能是 {encodings}。请选择读得通的一种，或把文件另存为 UTF-8。"
        }
        Code::DatasetEmpty => "文件里一行数据也没有。",
        Code::DatasetRecordBroken => "这个数据集的记录读不出来，其他数据集不受影响：{why}",
        Code::DatasetInUse => "等待中或训练中的运行正在使用这个数据集，请先停止运行。",
        Code::DatasetJsonBroken => "不是有效的 JSON：{why}",
        Code::DatasetJsonTooDeep => "嵌套得太深：最多 {most} 层。",
        Code::DatasetKind => {
            "不支持这种文件；文件名应以 .txt、.csv、.tsv、.tab、.json、.jsonl 或 .parquet 结尾。"
        }
        Code::DatasetMapping => "列的对应关系已损坏：{why}",
        Code::DatasetMappingIncomplete => "还有列没有选定，请选定提问列和回答列。",
        Code::DatasetMixedKinds => {
            "「{one}」和「{other}」类型不同，不能合成一个数据集；请只选一种类型的文件，或每个文件各成一个数据集。"
        }
        Code::DatasetNoSuchColumn => "文件里没有这一列；现有的列：{columns}",
        Code::DatasetNoSuchRow => "数据集里没有这一行。",
        Code::DatasetNoSuchSheet => "工作簿里没有名为「{name}」的工作表；其中有：{sheets}。",
        Code::DatasetNoUsableRows => "没有一行可以用来学习；请选择哪些列是提问和回答。",
        Code::DatasetNotAStream => "Parquet 文件不能以流的方式读取，请先存成文件。",
        Code::DatasetNotAFile => "这不是普通文件（而是设备、管道、套接字或文件夹）。",
        Code::DatasetNotAnObject => "每一行都应是带列名的 JSON 对象。",
        Code::DatasetNotFound => "没有这个文件或文件夹。",
        Code::DatasetNotText => "文件不是文本，请先解压或导出，再上传里面的数据文件。",
        Code::DatasetNotUtf8 => "这一行的文字编码无效，请把文件另存为 UTF-8。",
        Code::DatasetNulByte => "这一行含有 NUL 字节，不是纯文本。",
        Code::DatasetParquetBroken => "不是有效的 Parquet 文件：{why}",
        Code::DatasetOtherColumns => {
            "「{other}」缺少「{one}」里用到的列（{columns}），不能合成一个数据集；请统一列名，或每个文件各成一个数据集。"
        }
        Code::DatasetQuoteOpen => {
            "这一行有一格以双引号开头，但引号没有在格末闭合；请补上引号，格内的引号要写两个。"
        }
        Code::DatasetRaggedRow => {
            "这一行的列数与表头不同：有 {cells} 格，表头有 {columns} 列；分隔符是「{separator}」。"
        }
        Code::DatasetRowTooLong => "这一行超过 32 MiB。",
        Code::DatasetSheetUnsure => {
            "工作簿有几张工作表含有数据行：{sheets}。请选择用来学习的一张；要用另一张，请再上传一次。"
        }
        Code::DatasetTooManyColumns => "列太多：最多 {most} 列。",
        Code::DatasetTooManyFiles => "文件太多：一个数据集最多由 {most} 个文件组成。",
        Code::DatasetTooManyValues => "这一行里的值太多：最多 {most} 个。",
        Code::DatasetUnpacksTooLarge => "文件解压后过大，无法读取；请拆成较小的文件，或改用 JSON Lines。",
        Code::DatasetUnknownKind => {
            "不支持这种文件；请上传 .txt、.csv、.tsv、.tab、.json、.jsonl、.xlsx 或 .parquet 文件；.xls、.ods 等表格请先另存为 .xlsx。"
        }
        Code::DatasetUnreadable => "文件读不出来：{why}",
        Code::DatasetXlsxBroken => {
            "不是有效的 Excel 工作簿：{why}。请用表格软件打开后另存为 .xlsx，或把工作表导出为 CSV。"
        }
        Code::DatasetXlsxLocked => "工作簿有密码保护；请在 Excel 中去掉密码，保存后再上传。",
        Code::DatasetXlsxTooMuch => "工作簿解压后太大：{why}。请只保留要用的工作表，或把它导出为 CSV。",
        Code::EditLineBreak => "纯文本的一行里不能有换行。",
        Code::EditNotJson => "填写的内容不是有效的 JSON：{why}",
        Code::EditNothing => "没有改动，所以没有生成新版本。",
        Code::EditOldVersion => "这不是最新版本，请在最新版本上修改。",
        Code::RegistryBroken => "dataset_info.json 无法使用：{why}",
        Code::RegistryMissing => "所选文件中没有 dataset_info.json。",
        Code::RegistryTooLarge => "dataset_info.json 超过 4 MiB。",
        Code::RegistryUndefined => "dataset_info.json 里没有定义这个数据集：{name}",
        Code::SampleMissing => {
            "没有安装这个示例数据集；请用 make serve 启动，或用 --site-root 指出它生成的文件夹。"
        }
        Code::UploadAborted => "上传在文件完整之前就断了，请重新上传。",
        Code::UploadBadHeader => "上传的请求头缺失或无法读取：{name}",
        Code::UploadBadId => "上传的编号只能有字母、数字和 -。",
        Code::UploadBadMapping => "读不出这个文件的列。",
        Code::UploadBadName => "文件名不能这样写，只能用字母、数字、点、- 和 _：{name}",
        Code::UploadNameTwice => "有两个文件同名：{name}。请改名后再选。",
        Code::UploadOffset => "已经收到 {offset} 个字节，请从那里继续。",
        Code::UploadPickle => "pickle 文件可以运行代码，因此不接受；请改用 safetensors：{name}",
        Code::UploadProgram => "程序文件不会被运行，也不接受：{name}",
        Code::UploadStalled => "上传有 {seconds} 秒没有进展，已经停止，请重新上传。",
        Code::UploadTooLarge => "文件太大：上限是 {limit}。",
        Code::UploadTooMany => "等待继续的上传太多，请等其中一个完成。",
        Code::UploadUnknownKind => "只能上传数据集或模型。",
        Code::DeviceNoCuda => {
            "要求使用 CUDA 显卡，但这里没有 CUDA 驱动，或训练程序不带 CUDA；请选择自动或 CPU。"
        }
        Code::DiskFull => "磁盘空间不足，请腾出空间后再试。",
        Code::DiskSlow => "磁盘没有回应，请检查存放数据的磁盘后再试。",
        Code::DiskIo => "读写磁盘时出错：{path}：{why}",
        Code::EngineDigest => "文件与应有的内容不符（SHA-256 不同），请重新载入。",
        Code::EngineFault => "模型无法在此运行：{why}",
        Code::EngineFetch => "服务器没有给出模型文件：状态 {status}。",
        Code::EngineMemory => "本浏览器或本设备的内存不足。请关闭其他标签页，或在服务器上对话。",
        Code::EngineNoWorker => "这个浏览器无法运行模型：缺少模块工作线程或 WebAssembly。",
        Code::EngineShards => "这个模型的权重分在多个文件里，请在服务器上对话。",
        Code::EngineSimd => "本浏览器的 WebAssembly 没有向量指令，请使用 2023 年以后的浏览器。",
        Code::EngineSize => "下载中断，文件不完整，请重新载入。",
        Code::EngineTooLarge => "这个模型太大，浏览器放不下，请在服务器上对话：它有 {megabytes} MB。",
        Code::SpecBroken => "参数文件第 {line} 行无法读取:{why}",
        Code::SpecNotHere => "这里没有名为 {name} 的{label},请先添加,或另选一个。",
        Code::SpecTooLarge => "参数文件超过 1 MiB。",
        Code::SpecTwice => "参数 {key} 出现了两次,请只保留一处。",
        Code::SpecUnknownKey => "没有名为 {key} 的参数,请改正或删除。",
        Code::FormEmpty => "{label}至少选一项。",
        Code::FormLoraOnly => "这个阶段只训练适配器，请选择 LoRA。",
        Code::FormLrEnd => "最后的学习率必须小于初始学习率。",
        Code::FormMissing => "请选择{label}。",
        Code::FormBlank => "请填写{label}。",
        Code::FormNeedsHeldOut => "没有留出的行，{label}无从测量：请把留出比例设为大于 0。",
        Code::FormNoBlock => "至少要有一个层参与学习。",
        Code::FormNoChatTemplate => "这个模型不带对话模板，请选择一个内置模板。",
        Code::FormNoCheckpoint => "请选择要评估的检查点:rm 需要奖励模型,dpo 需要带适配器的检查点。",
        Code::FormNothingToMeasure => "ppo 阶段只能训练,没有可单独评估的内容。",
        Code::FormNoRewardModel => "PPO 需要奖励模型，请选择一个。",
        Code::FormNoSuchLayer => "这个模型里没有 {name}；有的是 {known}。",
        Code::FormNotANumber => "{label}要填数字。",
        Code::FormNul => "{label}里有 NUL 字符，请删除。",
        Code::FormOneCheckpoint => "只有 LoRA 可以从多个检查点开始。",
        Code::FormOutOfRange => "{label}应在 {min} 和 {max} 之间。",
        Code::FormPredictStage => "只有微调（sft）会用作答来衡量，{stage} 阶段不能打开它。",
        Code::FormPrefixCount => "前缀的个数应与数据集相同，或只写一个。",
        Code::FormQuantizedLoraOnly => "量化只能与 LoRA 一起使用：基础模型请选 f32，或改用适配器。",
        Code::FormQuantizedMerge => {
            "适配器不能并入量化后的模型：请继续训练同一适配器，或让基础模型保持文件中的形式。"
        }
        Code::FormQuantizedSingle => "量化后的模型只能从一个检查点开始。",
        Code::FormRewardModelUnused => "只有 PPO 会用到奖励模型。",
        Code::FormStageFormat => "这个数据集不适合所选的目标。",
        Code::FormTooLong => "{label}最多 {most} 个字符。",
        Code::FormTooMany => "{label}太多：最多 {most} 个。",
        Code::FormUnknownChoice => "请选择{label}。",
        Code::FormUnseen => "{label}里有看不见的字符（{character}），请删去：它可能是复制文字时带进来的。",
        Code::FormWarmup => "预热必须短于整个运行。",
        Code::FormWeights => "权重应是大于 0 的数，每个数据集一个，用逗号分开。",
        Code::GpuCheckDiffers => "显卡算出的结果与处理器不同：",
        Code::GpuCheckNoLearning => "显卡上的损失没有下降：",
        Code::GpuCheckReference => "参考记录读不出来：",
        Code::HubBadName => "这不是仓库的名称，应写成「所有者/名称」。",
        Code::HubBadRevision => "这不是分支、标签或提交。",
        Code::HubBadToken => "仓库站点不接受这个访问令牌，请检查 HF_TOKEN：{repo}",
        Code::HubBusy => "仓库站点请求过多，请稍后再试。",
        Code::HubCache => "下载缓存无法写入，请检查 HF_HUB_CACHE：{why}",
        Code::HubCutOff => "连接一再中断；再试一次会从断点继续。",
        Code::HubElsewhere => "仓库站点转到了一个不允许访问的地址：{host}",
        Code::HubGated => "这个仓库需要先得到所有者的许可，再设置 HF_TOKEN：{repo}",
        Code::HubNeedsToken => "这个仓库不公开，或者不存在；如果名称无误，请设置 HF_TOKEN：{repo}",
        Code::HubNoSuchFile => "仓库里没有这个文件：{repo}",
        Code::HubNoSuchRepo => "没有这个仓库或版本：{repo}",
        Code::HubNotCached => "本机缓存里没有它，请取消 HF_HUB_OFFLINE 后下载：{repo}（{revision}）",
        Code::HubOddAnswer => "仓库站点的回答无法使用，请检查 HF_ENDPOINT：{why}",
        Code::HubOffline => "当前设置为离线(HF_HUB_OFFLINE)。",
        Code::HubRefusedFile => "这个文件不会下载：脚本和 pickle 可能运行代码，其他文件用不到。",
        Code::HubTryLater => "仓库站点暂时无法使用，请稍后再试：{why}",
        Code::HubUnreachable => "连接不上仓库站点，请检查网络或 HF_ENDPOINT：{host}：{why}",
        Code::HubUnusable => "仓库站点的地址无法使用，请检查 HF_ENDPOINT：{why}",
        Code::HubWrongDigest => "下载的内容与站点公布的摘要不符，已丢弃，请再试一次。",
        Code::HubWrongSize => "下载的文件大小与公布的不符，请再试一次。",
        Code::ConfigArchitecture => "Burnish 还不能运行这种模型：{name}",
        Code::ConfigHeads => "config.json 里注意力头的数目不成立。",
        Code::ConfigHiddenAct => "config.json 里的激活函数不受支持：{name}",
        Code::ConfigBroken => "config.json 不是有效的 JSON：{why}",
        Code::ConfigLimit => "{name} 是 {value}，超出任何模型的范围：上限是 {most}。",
        Code::ConfigMissing => "config.json 里缺少一项，请使用与权重一同发布的文件：{name}",
        Code::ConfigRopeScaling => "这个模型拉伸位置的方式还不受支持。",
        Code::ConfigTooLarge => "{name} 太大：上限是 {limit}。请使用与权重一同发布的文件。",
        Code::ConfigValue => "config.json 里的值无法使用：{name} 是 {value}。",
        Code::GgufBroken => "GGUF 文件已损坏，请重新下载：{why}",
        Code::GgufNoModel => "这个 GGUF 文件里没有模型（{kind}），请选择含模型权重的文件。",
        Code::GgufFormat => "GGUF 文件里有不受支持的存储格式，请选择 Q4_K、Q8_0 或 F16 等格式：{name}",
        Code::GgufHeaderTooLarge => "GGUF 文件的文件头太大：上限是 {limit}。",
        Code::GgufMagic => "这不是 GGUF 文件。",
        Code::GgufVersion => "只能读取第 2、3 版 GGUF：这个文件是第 {version} 版。",
        Code::AdapterOtherBase => "适配器的形状与模型不符，不能用在 {name} 上。请选择训练它的模型。",
        Code::AdapterShape => "适配器的张量 {name} 的形状是 {found}，模型需要 {wanted}。请选择训练它的模型。",
        Code::AdapterTensor => "适配器的张量在模型里没有位置，或缺少配对的另一半：{name}",
        Code::ArchiveBroken => "压缩包读不出来：{why}",
        Code::ArchiveEntry => "压缩包里的这一项不安全，没有解压：{name}",
        Code::ArchiveTooLarge => "压缩包解压后太大：上限是 {limit}。",
        Code::LoraConfig => "适配器的设置无法使用：{why}",
        Code::LoraNone => "这个模型没有适配器。",
        Code::ModelExists => "这个名称已经有了：{name}",
        Code::ModelIsAdapter => {
            "这是基于 {base} 的适配器，不是完整的模型；请先导入 {base}，再在这里为适配器选择它。"
        }
        Code::ModelFacts => "模型的说明无法读写：{why}",
        Code::ModelFileMissing => "文件夹里缺少模型需要的文件。",
        Code::ModelFileTooLarge => "{name} 太大：上限是 {limit}。请使用与模型一同发布的文件。",
        Code::ModelRecordBroken => "这个模型的记录读不出来，其他模型不受影响：{why}",
        Code::ModelInUse => "等待中或训练中的运行正在使用这个模型，请先停止运行。",
        Code::ModelInterrupted => "导入被中断，请重新导入。",
        Code::ModelNoSuchPath => "服务器上没有这个路径：{path}",
        Code::ModelNotAFile => {
            "{name} 不是普通文件：文件夹、管道、套接字、设备和循环链接都不能当作文件读取。"
        }
        Code::ModelNotReady => "模型还没有准备好：{name}",
        Code::ModelSeveralGguf => "文件夹里有多个 GGUF 文件，请只留一个。",
        Code::ModelSize => "没有这种大小：{size}",
        Code::ModelSourceMissing => "来源打不开：{path}：{why}",
        Code::ModelPositions => {
            "有的行比模型学过的位置更长，请调低问题和回答的长度上限：它只有 {positions} 个位置。"
        }
        Code::ModelTokenizerTooLarge => "分词器与模型不配套：分词器有 {tokens} 个词元，模型只有 {rows} 行。",
        Code::RewardHeadWidth => "奖励模型的评分头与模型宽度不符：「{name}」第 {step} 步。",
        Code::RewardNoHead => "所选的不是奖励模型，它没有评分头：「{name}」第 {step} 步。",
        Code::RewardOtherBackbone => "奖励模型的底座与这次运行的起点不同：「{name}」第 {step} 步。",
        Code::ValueHeadMissing => "评分头里缺少张量，请选择奖励模型的检查点：{name}",
        Code::ValueHeadWidth => "评分头与模型宽度不符：评分头是 {found}，模型是 {width}。",
        Code::WeightsBroken => "权重文件已损坏，请重新下载：{why}",
        Code::WeightsFormat => "权重的存储格式不受支持，只能读取 F32、F16 和 BF16：{name}",
        Code::WeightsHeaderTooLarge => "{name} 的文件头太大：上限是 {limit}。",
        Code::WeightsIo => "权重文件无法读写：{why}",
        Code::WeightsMissing => "文件夹里没有 model.safetensors。",
        Code::WeightsPickle => {
            "这是 PyTorch 的 pickle 文件，打开时会运行代码，因此不读取；请改用 safetensors：{name}"
        }
        Code::WeightsShape => "权重的形状与 config.json 不符，两者不属于同一个模型：{name}",
        Code::WeightsTensorMissing => "权重里缺少张量，可能与 config.json 不配套：{name}",
        Code::WeightsTruncated => "权重文件不完整，请重新下载。",
        Code::WeightsWrite => "权重无法写入。",
        Code::BatchInvalid => "一批数据的形状不成立，训练已停止：",
        Code::BatchTooLong => "这一行超过模型能处理的长度，请减小长度上限：最多 {most} 个位置。",
        Code::CheckpointState => "检查点的训练状态无法读写：{why}",
        Code::CheckpointTensors => "检查点与模型或 LoRA 设置不符，缺少张量：{name}",
        Code::FreezeBlocks => "要学习的层选得不对：",
        Code::OptimizerState => "优化器的状态与模型或 LoRA 设置不符：{name}",
        Code::RunArgs => "运行的设置无法写入：{why}",
        Code::RunBusy => "这次运行还在进行：第 {attempt} 次尝试。",
        Code::RunDatasetGone => "这次运行的数据集已被删除：「{name}」",
        Code::RunFolderBroken => "运行的文件夹已损坏：{path}：{why}",
        Code::RunModelGone => "这次运行的基础模型已被删除。",
        Code::RunNoCheckpoint => "这次运行还没有检查点。",
        Code::RunNoSuchCheckpoint => "这个检查点已经不在了：第 {step} 步。",
        Code::RunNotEnded => "只有已停止或失败的运行可以继续。",
        Code::RunOver => "这次运行已经结束。",
        Code::RunResults => "运行的结果无法写入：{why}",
        Code::RunKeyReused => "这个幂等键已经启动过另一次运行，请换一个新的键。",
        Code::RunStoodOn => "其他运行以它的检查点为基础，请先删除它们：{names}",
        Code::RunUnreadable => "这次运行的记录读不出来，其他运行不受影响：{why}",
        Code::WorkerRevoked => "这次运行已交给另一次尝试，这个训练进程的结果不再计入。",
        Code::RunTraining => "运行还在训练：请先停止，等它保存后再删除。",
        Code::TrainNotFinite => "损失变成了无穷大或非数，训练已停止；请降低学习率或裁剪梯度：第 {step} 步。",
        Code::TrainNothing => "按这些设置，没有任何权重会被训练。",
        Code::TrainQuantised => "量化后的模型只能训练适配器。",
        Code::WorkerCommand => "训练进程看不懂这条命令：{why}",
        Code::WorkerEnded => "训练进程提前结束，可以从最近的检查点继续：{code}",
        Code::WorkerKilled => "训练进程被强行结束，多半是内存不足；可以从最近的检查点继续。",
        Code::WorkerUnresponsive => "训练进程在要求停止后没有反应，已被强行结束；可以从最近的检查点继续。",
        Code::WorkerLost => "训练进程不见了，没有留下原因；可以从最近的检查点继续。",
        Code::WorkerMissing => "训练进程无法启动；burnish doctor 会指出应在哪里。",
        Code::WorkerOddAnswer => "训练进程的回答与约定不符，请使用与服务器同一版本的训练进程：{why}",
        Code::WorkerOutOfMemory => "内存不够，请减小批大小或长度，或换小一些的模型，然后继续。",
        Code::WorkerPanicked => "训练进程遇到意外错误，可以继续运行：{why}",
        Code::WorkerSignal => "训练进程被信号结束，可以从最近的检查点继续：信号 {signal}。",
        Code::WorkerSignals => "训练进程无法接收信号：{why}",
        Code::WorkerTooLittleMemory => {
            "内存不够，请减小批大小或长度，改用 LoRA 或换小一些的模型：约需 {needed} GB，本机有 {there} GB。"
        }
        Code::TemplateAnswerLost => "模型的对话模板没有原样写出消息，请选择内置模板：第 {number} 条。",
        Code::TemplateBroken => "对话模板有语法错误，请选择内置模板：{why}",
        Code::TemplateFailed => "对话模板运行出错，请选择内置模板：{why}",
        Code::TemplateQueryOnce => "一轮里必须恰好有一个标记，请写在提问的位置：{mark} 现在有 {count} 个。",
        Code::TemplateRefused => "对话模板拒绝了这段对话，请修改对话或选择内置模板：{why}",
        Code::TemplateSystemOnce => "系统提示的格式里必须恰好有一个标记，或留空：{mark}",
        Code::TemplateTooMany => "模板太多，请先删除一些：最多 {most} 个。",
        Code::TemplateUnknown => "没有这个模板：{name}",
        Code::TokenizerBroken => "模型的分词器读不出来，请重新导入：{why}",
        Code::TokenizerFailed => "这段文字无法切分成词元：{why}",
        Code::TokenizerGgufBroken => "GGUF 文件里的分词器已损坏，请重新下载：{why}",
        Code::TokenizerGgufUnsupported => {
            "还不支持这个 GGUF 文件里的分词器，请从 Hugging Face 文件夹导入：{kind}"
        }
        Code::TokenizerMissing => "模型没有分词器，请连同 tokenizer.json 重新导入：{why}",
        Code::TokenizerTrainingFailed => "训练分词器失败：{why}",
        Code::TokenizerVocabTooSmall => "词表太小：至少 {least}。",
        Code::PagePiece => "页面旁边缺少模型的一部分，请完整解压后再打开。",
        Code::PageWorker => "这个浏览器无法运行页面里的模型。",
    }
}
