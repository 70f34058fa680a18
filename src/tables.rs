//! The datasets' columns: one table for each dataset, and what is built from it. Pure.

use self::{listed::Column, meetings::MEETINGS, participants::PARTICIPANTS};

pub mod listed;
pub mod meetings;
pub mod participants;
pub mod quality;

/// The column reference, `config/COLUMNS.md`, from the tables of all datasets.
pub fn reference() -> String {
    let [quality, meetings, participants] = [quality::reference(), MEETINGS.reference(), PARTICIPANTS.reference()];
    format!("{INTRODUCTION}\n{quality}\n{meetings}\n{participants}\n{LISTED}\n{READERS}\n{TRIED_READERS}\n{ORIGIN}")
}

/// The columns that are published only if the configuration names them, each once, in the order of the tables.
pub fn personal_columns() -> Vec<&'static str> {
    let marked =
        [&PARTICIPANTS, &MEETINGS].into_iter().flat_map(|table| table.columns).filter(|column| column.is_personal);
    marked.fold(Vec::new(), |mut names, Column { name, .. }| {
        if !names.contains(name) {
            names.push(*name);
        }
        names
    })
}

const INTRODUCTION: &str = "\
# Columns

There are three datasets: `quality`, `meetings` and `participants`. Every file of a dataset has all columns, in the order of
this page, but of the personal ones only those that the configuration names.

| type here | in Parquet | in DuckDB | in Spark |
| --- | --- | --- | --- |
| timestamp | INT64, TIMESTAMP(MICROS, UTC) | TIMESTAMP WITH TIME ZONE | TIMESTAMP |
| double | DOUBLE | DOUBLE | DOUBLE |
| int32 | INT32 | INTEGER | INT |
| boolean | BOOLEAN | BOOLEAN | BOOLEAN |
| string | BYTE_ARRAY, STRING | VARCHAR | STRING |
| map | MAP of STRING to STRING | MAP(VARCHAR, VARCHAR) | MAP<STRING, STRING> |

A timestamp is a point in time; DuckDB and Spark show it in the time zone of the session. `date` is in no file: readers
take it from the folder's name `date=YYYY-MM-DD`. It is the date on which the meeting started, in the time zone of the
configuration.
";

const LISTED: &str = "\
## How lists are read

This holds for `meetings` and `participants`. Columns marked personal are published only if `personal` in the section
`[discover]` of the configuration names them.

| type | values of the API | examples |
| --- | --- | --- |
| string | texts, as they stand; whole numbers | `wifi` |
| timestamp | texts as in `quality`; unix seconds | `2022.12.23 11:16:59 (GMT+08:00)`, `1671765419` |
| int32, `_s` | hours, minutes and seconds; `0` | `00:01:52` is 112, `25:00:00` is 90000 |
| int32, others | whole numbers from 0 on, as text or number | `1` |
| boolean | truth values, as text or not | `true` |

A missing key, null and the texts that mean no value in `quality` give null. Anything else gives null and is kept in
`unparsed`, as text or as JSON, unless its column is not published.
";

const READERS: &str = "\
## Readers

Values are plain or in a dictionary, in pages of the first version, compressed with zstd: what readers have understood for
as long as they have known zstd. Tried, oldest first, on files of `quality` of this version (without texts in `unparsed`),
column by column:
";

/// Made by `tests/python/old_readers.py`.
const TRIED_READERS: &str = include_str!("tables/readers.md");

const ORIGIN: &str = "\
This page is generated from the tables in `src/tables/`; `VCQ_BLESS=1 cargo test --test columns` writes it.
";
