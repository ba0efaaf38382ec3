//! What files, templates and headers that people bring may ask of the machine: every limit by name, with the value it has
//! unless the server was started with another (`BURNISH_LIMITS`, for example `columns=20000,row_bytes=67108864`). Workers
//! get the same text in their environment.

use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// The variable that holds what differs from the standard values.
pub const VARIABLE: &str = "BURNISH_LIMITS";

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Count,
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])* $name:ident = $key:literal, $unit:ident, $standard:expr, $most:expr;)*) => {
        /// A limit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Limit {
            $($(#[doc = $doc])* $name,)*
        }

        impl Limit {
            /// Every limit, as they are shown.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in [`VARIABLE`] and on the page's wire.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// What it counts.
            pub const fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)* }
            }

            /// Its value unless another is given.
            pub const fn standard(self) -> u64 {
                match self { $(Self::$name => $standard,)* }
            }

            /// The highest value that may be given. Depths cannot be raised: what they bound is walked by recursion.
            pub const fn most(self) -> u64 {
                match self { $(Self::$name => $most,)* }
            }
        }
    };
}

limits! {
    /// Longest line, CSV record, sheet row or JSON element held in memory: a book of twenty thousand pages.
    RowBytes = "row_bytes", Bytes, 32 << 20, 256 << 20;
    /// Deepest nesting of a JSON value: messages of messages nest ten deep.
    ValueDepth = "value_depth", Count, 128, 128;
    /// Values of one row. One costs up to 80 bytes of memory and two of a file, so that a row of 32 MiB would become more
    /// than a gigabyte. A thousand turns of a conversation are some ten thousand, three columns of 128 k token ids are
    /// 400,000.
    RowValues = "row_values", Count, 1_000_000, 10_000_000;
    /// Columns of a file, over all its rows. Real tables have hundreds; where every row brings names of its own, the names
    /// are values, and a list of them is of no use to anybody.
    Columns = "columns", Count, 10_000, 100_000;
    /// Longest name of a column. Names are shown, stored and sent with every page of rows.
    NameBytes = "name_bytes", Bytes, 1_000, 100_000;
    /// All names of columns together, for the same reason.
    NamesBytes = "names_bytes", Bytes, 1 << 20, 16 << 20;
    /// Deepest nesting of the columns of a Parquet file; a list takes two levels.
    SchemaDepth = "schema_depth", Count, 64, 64;
    /// Files that become one dataset. A split of the largest public sets has some thousand.
    Files = "files", Count, 10_000, 100_000;
    /// Rows that the smallest of Parquet files may declare; eight more for each of its bytes. A column of one and the same
    /// value takes no bytes, so that a few hundred bytes could say a thousand million rows, an hour of counting.
    ParquetRows = "parquet_rows", Count, 1_000_000, 1_000_000_000;
    /// Footer of a Parquet file, which is held whole and becomes several times larger; that of ten thousand row groups of
    /// ten columns has half of it.
    FooterBytes = "footer_bytes", Bytes, 32 << 20, 256 << 20;
    /// An unpacked page of a Parquet file. Writers end pages at one MiB, unless a thousand pictures stand in one.
    PageBytes = "page_bytes", Bytes, 128 << 20, 512 << 20;
    /// Bytes that each byte of a Parquet file may become, beyond a GiB for the smallest. Texts pack five to one, tables of
    /// few words fifty to one.
    ParquetRatio = "parquet_ratio", Count, 256, 65_536;
    /// Bytes that each byte of a part of a workbook may become. Tables come to some tens.
    WorkbookRatio = "workbook_ratio", Count, 200, 65_536;
    /// Bytes that each byte of a zip, or of an entry of it, may become (promise S7).
    ArchiveRatio = "archive_ratio", Count, 100, 65_536;
    /// Header of a GGUF file, its vocabulary included.
    GgufHeader = "gguf_header_bytes", Bytes, 64 << 20, 256 << 20;
    /// Header of a safetensors file. The largest published models have about 100,000 tensors of 150 bytes each in all
    /// their shards together.
    SafetensorsHeader = "safetensors_header_bytes", Bytes, 32 << 20, 256 << 20;
    /// Longest source of a chat template. The longest published ones have some sixty thousand bytes.
    TemplateBytes = "template_bytes", Bytes, 512 << 10, 8 << 20;
    /// Steps of one rendering, however large the conversation is: about a second.
    TemplateSteps = "template_steps", Count, 6_000_000, 600_000_000;
    /// Deepest nesting of a value in a template.
    TemplateDepth = "template_depth", Count, 128, 128;
    /// What a rendering may write, besides eight bytes for each of its conversation.
    TemplateOutput = "template_output", Bytes, 1 << 20, 64 << 20;
}

impl Limit {
    /// The limit of this name.
    pub fn of(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|limit| limit.key() == key)
    }

    /// Its value in this process, as a size of something in memory.
    pub fn get(self) -> usize {
        usize::try_from(self.value()).unwrap_or(usize::MAX)
    }

    /// Its value in this process.
    pub fn value(self) -> u64 {
        static IN_FORCE: OnceLock<Limits> = OnceLock::new();
        // The server refuses a text that it cannot read before it starts anybody.
        let limits = IN_FORCE.get_or_init(|| {
            std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
        });
        limits.of(self)
    }
}

/// The values of all limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(Vec<(Limit, u64)>);

impl Limits {
    /// The value of one.
    pub fn of(&self, limit: Limit) -> u64 {
        self.0.iter().rev().find(|(one, _)| *one == limit).map_or(limit.standard(), |(_, value)| *value)
    }

    /// Every limit for the settings.
    pub fn views(&self) -> Vec<LimitView> {
        Limit::ALL
            .iter()
            .map(|limit| LimitView { key: limit.key().to_owned(), value: self.of(*limit) })
            .collect()
    }
}

impl FromStr for Limits {
    type Err = String;

    /// Reads `name=value,name=value`; says which part is wrong and what it may be.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let read = parts.map(|part| {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("“{part}” is not name=value"))?;
            let limit = Limit::of(key.trim()).ok_or_else(|| {
                let known: Vec<_> = Limit::ALL.iter().map(|limit| limit.key()).collect();
                format!("there is no limit “{}”; there are {}", key.trim(), known.join(", "))
            })?;
            let value = value.trim().replace('_', "").parse().ok();
            let value = value.filter(|value| (1..=limit.most()).contains(value));
            Ok((limit, value.ok_or_else(|| format!("{} is to be from 1 to {}", limit.key(), limit.most()))?))
        });
        Ok(Self(read.collect::<Result<_, String>>()?))
    }
}

impl std::fmt::Display for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<_> = self.0.iter().map(|(limit, value)| format!("{}={value}", limit.key())).collect();
        f.write_str(&parts.join(","))
    }
}

/// A limit with an option of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Largest file, bytes.
    UploadBytes,
    /// Connections at a time.
    Connections,
    /// Connections of one address at a time.
    ConnectionsPerAddress,
}

impl Own {
    /// Every one, as they are shown.
    pub const ALL: &[Self] = &[Self::UploadBytes, Self::Connections, Self::ConnectionsPerAddress];

    /// The variable that sets it.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::UploadBytes => "BURNISH_MAX_UPLOAD",
            Self::Connections => "BURNISH_CONNECTIONS",
            Self::ConnectionsPerAddress => "BURNISH_CONNECTIONS_PER_ADDRESS",
        }
    }

    /// It with its value.
    pub fn view(self, value: u64) -> LimitView {
        LimitView { key: self.variable().to_owned(), value }
    }
}

/// A limit as the settings show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// See [`Limit::key`]; of one with an option of its own, see [`Own::variable`].
    pub key: String,
    /// Its value on this server.
    pub value: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_given_by_name_and_each_has_a_highest_value() {
        let limits: Limits = " columns = 20_000, row_bytes=1,".parse().expect("read");
        assert_eq!((limits.of(Limit::Columns), limits.of(Limit::RowBytes)), (20_000, 1));
        assert_eq!(limits.of(Limit::NameBytes), Limit::NameBytes.standard());
        assert_eq!(limits.to_string().parse(), Ok(limits));
        for wrong in
            ["columns", "moons=3", "columns=", "columns=0", "columns=-1", "columns=1e3", "value_depth=129"]
        {
            assert!(wrong.parse::<Limits>().is_err(), "{wrong}");
        }
        for limit in Limit::ALL {
            assert!(limit.standard() <= limit.most() && Limit::of(limit.key()) == Some(*limit));
        }
    }
}
