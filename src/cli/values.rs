//! The words by which the command line names what others define.

use clap::{ValueEnum, builder::PossibleValue};

use crate::{
    archive::StreamForm,
    command::{decode::OutputForm, schema::Schema},
    endpoint::Endpoint,
    journal::Lane,
    manifest::Format,
    page::Language,
};

impl ValueEnum for Lane {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Nightly, Self::Backfill]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Nightly => "Before everything else",
            Self::Backfill => "When no nightly stay waits",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Csv, Self::JsonLines, Self::Parquet]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Csv => PossibleValue::new("csv").help("Comma-separated, the first line names the columns"),
            Self::JsonLines => PossibleValue::new("jsonl").alias("ndjson").help("One JSON object a line"),
            Self::Parquet => PossibleValue::new("parquet").help("Apache Parquet"),
        })
    }
}

impl ValueEnum for Schema {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Config => PossibleValue::new("config").help("vcq.toml"),
            Self::Report => PossibleValue::new("report").help("What `--report` writes"),
            Self::Figures => PossibleValue::new("figures").help("What `vcq report --json` prints"),
        })
    }
}

impl ValueEnum for Language {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::English, Self::Chinese]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::English => PossibleValue::new("en").help("English"),
            Self::Chinese => PossibleValue::new("zh").help("Chinese"),
        })
    }
}

impl ValueEnum for Endpoint {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Quality => PossibleValue::new("quality").help("Samples of stays"),
            Self::Meetings => PossibleValue::new("meetings").help("Listed meetings"),
            Self::Participants => PossibleValue::new("participants").help("Listed participants"),
        })
    }
}

impl ValueEnum for StreamForm {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Ndjson, Self::Arrow]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Ndjson => PossibleValue::new("ndjson").help("One JSON object a line, compressed by zstd or not"),
            Self::Arrow => PossibleValue::new("arrow").help("An Arrow IPC stream"),
        })
    }
}

impl ValueEnum for OutputForm {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Ndjson, Self::Arrow]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Ndjson => PossibleValue::new("ndjson").help("One JSON object a line"),
            Self::Arrow => PossibleValue::new("arrow").help("An Arrow IPC stream"),
        })
    }
}
