//! What each limit bounds.

use contract::limits::{Limit, Own};

use super::Lang;

/// A limit in words.
pub(crate) fn limit_name(lang: Lang, limit: Limit) -> &'static str {
    let (en, zh) = match limit {
        Limit::RowBytes => ("Longest row", "最长的一行"),
        Limit::ValueDepth => ("Deepest nesting of a row", "一行的最大嵌套层数"),
        Limit::RowValues => ("Values in a row", "一行中的值"),
        Limit::Columns => ("Columns of a file", "一个文件的列"),
        Limit::NameBytes => ("Longest column name", "最长的列名"),
        Limit::NamesBytes => ("All column names together", "所有列名合计"),
        Limit::SchemaDepth => ("Deepest nesting of Parquet columns", "Parquet 列的最大嵌套层数"),
        Limit::Files => ("Files of a dataset", "一个数据集的文件"),
        Limit::ParquetRows => ("Rows of the smallest Parquet file", "最小的 Parquet 文件的行数"),
        Limit::FooterBytes => ("Footer of a Parquet file", "Parquet 文件尾"),
        Limit::PageBytes => ("Unpacked page of a Parquet file", "Parquet 文件解压后的一页"),
        Limit::ParquetRatio => {
            ("How many times larger a Parquet file may unpack", "Parquet 文件解压后的最大倍数")
        }
        Limit::WorkbookRatio => ("How many times larger a workbook may unpack", "工作簿解压后的最大倍数"),
        Limit::ArchiveRatio => ("How many times larger a zip may unpack", "压缩包解压后的最大倍数"),
        Limit::GgufHeader => ("Header of a GGUF file", "GGUF 文件头"),
        Limit::SafetensorsHeader => ("Header of a safetensors file", "safetensors 文件头"),
        Limit::TemplateBytes => ("Longest chat template", "最长的对话模板"),
        Limit::TemplateSteps => ("Steps of a chat template for one row", "对话模板处理一行的步数"),
        Limit::TemplateDepth => ("Deepest nesting in a chat template", "对话模板中的最大嵌套层数"),
        Limit::TemplateOutput => ("Text a chat template may add to a row", "对话模板可为一行增加的文本"),
    };
    lang.pick(en, zh)
}

/// A limit with an option of its own in words.
pub(crate) fn own_name(lang: Lang, own: Own) -> &'static str {
    let (en, zh) = match own {
        Own::UploadBytes => ("Largest file", "最大的文件"),
        Own::Connections => ("Connections at a time", "同时的连接"),
        Own::ConnectionsPerAddress => ("Connections of one address", "同一地址的连接"),
    };
    lang.pick(en, zh)
}
