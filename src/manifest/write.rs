//! Stays → a manifest, in each of the forms in which one can come.

use std::{
    io::{self, Write},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use super::{Format, column::Column};
use crate::stay::Stay;

/// Rows of Parquet that are collected before they are encoded.
const ROWS_PER_BATCH: usize = 8192;

/// Writes a manifest, stay by stay, until [`ManifestWriter::finish`].
pub struct ManifestWriter<W: Write + Send>(Form<W>);

enum Form<W: Write + Send> {
    Csv(Box<csv::Writer<W>>),
    JsonLines(W),
    Parquet(Box<Table<W>>),
}

impl<W: Write + Send> ManifestWriter<W> {
    /// Begins a manifest in this form.
    pub fn new(format: Format, to: W) -> io::Result<Self> {
        Ok(Self(match format {
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(to);
                csv.write_record(Column::ALL.map(Column::name))?;
                Form::Csv(Box::new(csv))
            }
            Format::JsonLines => Form::JsonLines(to),
            Format::Parquet => Form::Parquet(Box::new(Table::new(to)?)),
        }))
    }

    /// Adds a row.
    pub fn write(&mut self, stay: &Stay) -> io::Result<()> {
        match &mut self.0 {
            Form::Csv(csv) => Ok(csv.write_record(texts(stay).map(Option::unwrap_or_default))?),
            Form::JsonLines(to) => {
                let values = texts(stay).into_iter().zip(Column::ALL);
                let object: serde_json::Map<String, serde_json::Value> =
                    values.filter_map(|(text, column)| Some((column.name().to_owned(), text?.into()))).collect();
                serde_json::to_writer(&mut *to, &object)?;
                to.write_all(b"\n")
            }
            Form::Parquet(table) => table.push(stay),
        }
    }

    /// Writes what is left, and gives back what was written to.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Form::Csv(csv) => csv.into_inner().map_err(csv::IntoInnerError::into_error),
            Form::JsonLines(mut to) => to.flush().map(|()| to),
            Form::Parquet(mut table) => {
                table.flush()?;
                table.file.into_inner().map_err(io::Error::other)
            }
        }
    }
}

/// The stay's texts, by [`Column`]; times in unix seconds.
fn texts(stay: &Stay) -> [Option<String>; Column::ALL.len()] {
    Column::ALL.map(|column| match column {
        Column::MeetingNo => Some(stay.meeting_no.to_string()),
        Column::MeetingStartTime => Some(stay.meeting_start_s.to_string()),
        Column::MeetingEndTime => Some(stay.meeting_end_s.to_string()),
        Column::JoinTime => Some(stay.join_s.to_string()),
        Column::UserId => stay.participant.user_id().map(str::to_owned),
        Column::RoomId => stay.participant.room_id().map(str::to_owned),
    })
}

struct Table<W: Write + Send> {
    file: ArrowWriter<W>,
    schema: SchemaRef,
    numbers: StringBuilder,
    times: [Int64Builder; 3],
    ids: [StringBuilder; 2],
    rows: usize,
}

impl<W: Write + Send> Table<W> {
    fn new(to: W) -> io::Result<Self> {
        let field = |column: Column| match column {
            Column::MeetingNo => Field::new(column.name(), DataType::Utf8, false),
            Column::UserId | Column::RoomId => Field::new(column.name(), DataType::Utf8, true),
            _ => Field::new(column.name(), DataType::Int64, false),
        };
        let schema = Arc::new(Schema::new(Column::ALL.map(field).to_vec()));
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let file = ArrowWriter::try_new(to, Arc::clone(&schema), Some(properties))?;
        Ok(Self {
            file,
            schema,
            numbers: StringBuilder::new(),
            times: Default::default(),
            ids: Default::default(),
            rows: 0,
        })
    }

    fn push(&mut self, stay: &Stay) -> io::Result<()> {
        self.numbers.append_value(stay.meeting_no.as_str());
        for (times, time_s) in self.times.iter_mut().zip([stay.meeting_start_s, stay.meeting_end_s, stay.join_s]) {
            times.append_value(time_s);
        }
        for (ids, id) in self.ids.iter_mut().zip([stay.participant.user_id(), stay.participant.room_id()]) {
            ids.append_option(id);
        }
        self.rows += 1;
        if self.rows >= ROWS_PER_BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.rows = 0;
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.numbers.finish())];
        columns.extend(self.times.iter_mut().map(|times| Arc::new(times.finish()) as ArrayRef));
        columns.extend(self.ids.iter_mut().map(|ids| Arc::new(ids.finish()) as ArrayRef));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(io::Error::other)?;
        Ok(self.file.write(&batch)?)
    }
}
