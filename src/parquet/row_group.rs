//! A batch → the column chunks of one row group, one after the other.
//!
//! The columns go straight to Parquet's column writers, as values and levels: a batch is never an Arrow array. One
//! column is encoded at a time, so that its dictionary stays in the processor's cache, and all pages are compressed by
//! one zstd context: the library would make a compressor and a decompressor for every column chunk, of which a day of
//! ten thousand rows has 54.

use std::{io::Write, iter::repeat_n, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::{Compression, ZstdLevel},
    column::{
        page::{CompressedPage, Page, PageWriteSpec, PageWriter},
        writer::{get_column_writer, get_typed_column_writer},
    },
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterPropertiesPtr,
        writer::{SerializedFileWriter, SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};
use zstd::bulk::Compressor;

use super::ZSTD_LEVEL;
use crate::{
    read::batch::{Batch, Metric, Run, Unparsed, Values},
    stay::Stay,
};

/// A row group under construction: the columns of the schema, in its order.
pub(super) struct RowGroup<'a, W: Write> {
    group: SerializedRowGroupWriter<'a, W>,
    columns: std::vec::IntoIter<ColumnDescPtr>,
    properties: WriterPropertiesPtr,
    zstd: &'a mut Compressor<'static>,
}

impl<'a, W: Write + Send> RowGroup<'a, W> {
    /// Begins the file's next row group.
    pub(super) fn new(
        file: &'a mut SerializedFileWriter<W>,
        zstd: &'a mut Compressor<'static>,
    ) -> Result<Self, ParquetError> {
        let columns = file.schema_descr().columns().to_vec().into_iter();
        let properties = Arc::clone(file.properties());
        Ok(Self { group: file.next_row_group()?, columns, properties, zstd })
    }

    /// Writes all columns of `batch` and ends the row group.
    pub(super) fn write(mut self, batch: &Batch) -> Result<(), ParquetError> {
        let runs = batch.runs();
        self.texts(runs, |stay| Some(stay.meeting_no.as_str()), Nullable::No)?;
        self.times(runs, |stay| stay.meeting_start_s)?;
        self.times(runs, |stay| stay.meeting_end_s)?;
        self.times(runs, |stay| stay.join_s)?;
        self.texts(runs, |stay| stay.participant.user_id(), Nullable::Yes)?;
        self.texts(runs, |stay| stay.participant.room_id(), Nullable::Yes)?;
        let sample_index: Vec<i32> = runs.iter().flat_map(|run| (run.sample_index..).take(run.rows)).collect();
        self.column::<Int32Type>(&sample_index, None, None)?;
        self.values::<Int64Type>(batch.sample_time_us())?;
        for metric in batch.metrics() {
            match metric {
                Metric::Time(values) => self.values::<Int64Type>(values)?,
                Metric::Number(_, values) => self.values::<DoubleType>(values)?,
                Metric::Resolution(values) => self.values::<Int32Type>(values)?,
            }
        }
        self.map(batch.unparsed(), batch.rows())?;
        self.group.close()?;
        Ok(())
    }

    fn values<T: DataType>(&mut self, values: &Values<T::T>) -> Result<(), ParquetError> {
        self.column::<T>(&values.values, Some(&values.levels), None)
    }

    /// A time of the stay, the same in all rows of a run.
    fn times(&mut self, runs: &[Run], seconds: impl Fn(&Stay) -> i64) -> Result<(), ParquetError> {
        let time_us = |run: &Run| repeat_n(seconds(&run.stay) * 1_000_000, run.rows);
        self.column::<Int64Type>(&runs.iter().flat_map(time_us).collect::<Vec<_>>(), None, None)
    }

    /// A text of the stay, the same in all rows of a run.
    fn texts(
        &mut self,
        runs: &[Run],
        text: impl Fn(&Stay) -> Option<&str>,
        nullable: Nullable,
    ) -> Result<(), ParquetError> {
        let mut texts = Values::<ByteArray>::default();
        for Run { stay, rows, .. } in runs {
            let text = text(stay).map(ByteArray::from);
            texts.levels.extend(repeat_n(i16::from(text.is_some()), *rows));
            texts.values.extend(text.into_iter().flat_map(|text| repeat_n(text, *rows)));
        }
        let levels = (nullable == Nullable::Yes).then_some(&*texts.levels);
        self.column::<ByteArrayType>(&texts.values, levels, None)
    }

    /// The map from column name to text: its keys, then its values, which stand at the same levels.
    fn map(&mut self, texts: &[Unparsed], rows: usize) -> Result<(), ParquetError> {
        let MapLevels { definition, repetition } = MapLevels::of(texts, rows);
        let keys: Vec<_> =
            texts.iter().map(|text| ByteArray::from(Bytes::from_static(text.column.as_bytes()))).collect();
        self.column::<ByteArrayType>(&keys, Some(&definition), Some(&repetition))?;
        let values: Vec<_> = texts.iter().map(|text| ByteArray::from(text.text.as_str())).collect();
        self.column::<ByteArrayType>(&values, Some(&definition), Some(&repetition))
    }

    /// Encodes and compresses the schema's next column.
    fn column<T: DataType>(
        &mut self,
        values: &[T::T],
        definition: Option<&[i16]>,
        repetition: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let column = self.columns.next().expect("the batch has the columns of the schema");
        let mut chunk = TrackedWrite::new(Vec::new());
        let pages = CompressedPages { zstd: self.zstd, pages: SerializedPageWriter::new(&mut chunk) };
        let writer = get_column_writer(column, Arc::clone(&self.properties), Box::new(pages));
        let mut writer = get_typed_column_writer::<T>(writer);
        writer.write_batch(values, definition, repetition)?;
        let mut closed = writer.close()?;
        // The column writer knows nothing of the compression.
        let compression = Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?);
        closed.metadata = closed.metadata.into_builder().set_compression(compression).build()?;
        self.group.append_column(&Bytes::from(chunk.into_inner()?), closed)
    }
}

/// Whether the schema lets a column be null.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nullable {
    No,
    Yes,
}

/// Where the entries of a nullable map stand.
struct MapLevels {
    /// 2 for an entry, 0 for a row that has no map.
    definition: Vec<i16>,
    /// 0 where a row begins, 1 for its further entries.
    repetition: Vec<i16>,
}

impl MapLevels {
    fn of(texts: &[Unparsed], rows: usize) -> Self {
        let mut levels = Self { definition: Vec::with_capacity(rows), repetition: Vec::with_capacity(rows) };
        let mut rows_begun = 0;
        for text in texts {
            levels.push_nulls(text.row.saturating_sub(rows_begun));
            levels.definition.push(2);
            levels.repetition.push((text.row < rows_begun).into());
            rows_begun = text.row + 1;
        }
        levels.push_nulls(rows - rows_begun);
        levels
    }

    fn push_nulls(&mut self, rows: usize) {
        self.definition.extend(repeat_n(0, rows));
        self.repetition.extend(repeat_n(0, rows));
    }
}

/// Compresses pages on their way.
struct CompressedPages<'a> {
    zstd: &'a mut Compressor<'static>,
    pages: SerializedPageWriter<'a, Vec<u8>>,
}

impl PageWriter for CompressedPages<'_> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec, ParquetError> {
        let bytes = Bytes::from(self.zstd.compress(page.data())?);
        let mut compressed = page.compressed_page().clone();
        match &mut compressed {
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = bytes,
            // Its levels would have to stay as they are.
            Page::DataPageV2 { .. } => return Err(ParquetError::NYI("pages of version 2".into())),
        }
        self.pages.write_page(CompressedPage::new(compressed, page.uncompressed_size()))
    }

    fn close(&mut self) -> Result<(), ParquetError> {
        self.pages.close()
    }
}
