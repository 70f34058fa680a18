//! The published files that figures come from, and their columns.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    path::PathBuf,
    sync::Arc,
};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, MapArray, PrimitiveArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::{ArrowPrimitiveType, DataType, TimeUnit, TimestampMicrosecondType},
};
use chrono::NaiveDate;
use chrono_tz::Tz;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    file::metadata::ParquetMetaData,
};

use crate::{
    config::Config,
    dataset::Dataset,
    dates::Dates,
    error::Error,
    parquet::ParquetFileError,
    place::Place,
    store::{PartFile, Parts, Store, Stores},
    tables::quality::UNPARSED,
};

/// How much of the end of a file is asked for before it is known how much of it says what stands where: a small file is here as a
/// whole then.
const END_BYTES: u64 = 256 * 1024;

/// What is not wanted and read all the same, because asking once more takes longer.
const GAP_BYTES: u64 = 256 * 1024;

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 8192;

/// The three datasets, as far as there are any.
#[derive(Clone, Debug)]
pub struct Datasets {
    quality: Store,
    meetings: Option<Store>,
    participants: Option<Store>,
}

impl Datasets {
    /// The datasets that the configuration names, to be read. What is not there holds nothing.
    pub fn existing(config: &Config, stores: &Stores) -> Result<Self, Error> {
        let open = |dataset, place: &Place| stores.as_read(dataset, place);
        let listed = |dataset| config.discover.place(dataset).map(|place| open(dataset, place)).transpose();
        Ok(Self {
            quality: open(Dataset::Quality, &config.output)?,
            meetings: listed(Dataset::Meetings)?,
            participants: listed(Dataset::Participants)?,
        })
    }

    fn store(&self, dataset: Dataset) -> Option<&Store> {
        match dataset {
            Dataset::Quality => Some(&self.quality),
            Dataset::Meetings => self.meetings.as_ref(),
            Dataset::Participants => self.participants.as_ref(),
        }
    }

    /// The dates of which a dataset has a folder, in order.
    pub fn dates(&self, dataset: Dataset) -> Result<Vec<NaiveDate>, Error> {
        Ok(self.store(dataset).map(Store::partitions).transpose()?.unwrap_or_default().dates)
    }

    /// The first and the last date of which any dataset has a folder.
    pub fn span(&self) -> Result<Option<Dates>, Error> {
        let mut all = self.dates(Dataset::Quality)?;
        for dataset in Dataset::LISTED {
            all.extend(self.dates(dataset)?);
        }
        let (first, last) = (all.iter().min().copied(), all.iter().max().copied());
        Ok(first.zip(last).map(|(first, last)| Dates { first, last }))
    }

    /// The files of a date, in the order of their names.
    pub(super) fn files(&self, dataset: Dataset, date: NaiveDate) -> Result<Vec<Part<'_>>, Error> {
        let Some(store) = self.store(dataset) else { return Ok(Vec::new()) };
        Ok(store.readable(date)?.into_iter().map(|file| Part { store, dataset, file }).collect())
    }

    /// How many Parquet files of a date are none that vcq has named: readers of a pattern take their rows for samples, and a page does
    /// not. Of a table they are not read by anybody.
    pub(super) fn other_files(&self, date: NaiveDate) -> Result<u64, Error> {
        let listing = self.quality.list(date)?;
        let is_parquet = |path: &&PathBuf| path.extension().is_some_and(|end| end == "parquet");
        let others = if listing.active.is_none() { listing.strangers.iter().filter(is_parquet).count() } else { 0 };
        Ok(others as u64)
    }

    /// The zone that decided the dates, as a file says it; `None` without a file that does.
    pub fn zone(&self, dates: Dates) -> Result<Option<Tz>, Error> {
        for dataset in [Dataset::Quality, Dataset::Meetings, Dataset::Participants] {
            for date in self.dates(dataset)?.into_iter().filter(|date| dates.contain(*date)) {
                if let Some(part) = self.files(dataset, date)?.first() {
                    return part.zone();
                }
            }
        }
        Ok(None)
    }
}

/// The columns that name a row, which every file of the dataset has had.
fn named_by(dataset: Dataset) -> &'static [&'static str] {
    match dataset {
        Dataset::Meetings => &["meeting_no", "meeting_start_time"],
        Dataset::Quality | Dataset::Participants => &["meeting_no", "meeting_start_time", "join_time"],
    }
}

/// One published file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    store: &'a Store,
    dataset: Dataset,
    file: PartFile,
}

impl Part<'_> {
    /// Reads the columns of these names, of texts and of all others; one that the file lacks is left out.
    ///
    /// # Errors
    ///
    /// If the file has not even the columns that name its rows: it is no file of vcq's.
    pub(super) fn read<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<Batches, Error> {
        let (parts, builder) = self.open()?;
        if let Some(lacking) =
            named_by(self.dataset).iter().find(|name| builder.schema().field_with_name(name).is_err())
        {
            let what = format!("it has no column `{lacking}`: it is no file of vcq's");
            return Err(Error::Parquet { name: self.path(), source: ParquetFileError::Contents(what) });
        }
        let mask = ProjectionMask::columns(builder.parquet_schema(), names);
        for range in ranges(builder.metadata(), &mask, parts.bytes()) {
            parts.bring(range)?;
        }
        let reader = self.parquet(builder.with_projection(mask).with_batch_size(BATCH_ROWS).build())?;
        Ok(Batches { reader, path: self.path() })
    }

    /// How many rows it has.
    pub(super) fn rows(&self) -> Result<u64, Error> {
        let (_, builder) = self.open()?;
        Ok(builder.metadata().file_metadata().num_rows().max(0).cast_unsigned())
    }

    /// The zone in the file's metadata.
    fn zone(&self) -> Result<Option<Tz>, Error> {
        let (_, builder) = self.open()?;
        let pairs = builder.metadata().file_metadata().key_value_metadata();
        let named = pairs.into_iter().flatten().find(|pair| pair.key == "vcq.timezone");
        Ok(named.and_then(|pair| pair.value.as_ref()?.parse().ok()))
    }

    /// The file, of which so far the end is here, which says what stands where.
    fn open(&self) -> Result<(Parts, ParquetRecordBatchReaderBuilder<File>), Error> {
        let parts = self.store.open_parts(self.file)?;
        let bytes = parts.bytes();
        parts.bring(bytes.saturating_sub(END_BYTES)..bytes)?;
        let failed = |source| Error::File { operation: "read", path: self.path(), source };
        let end_bytes = u64::from(end_bytes(parts.file(), bytes).map_err(failed)?);
        if end_bytes > END_BYTES {
            parts.bring(bytes.saturating_sub(end_bytes)..bytes.saturating_sub(END_BYTES))?;
        }
        let file = parts.file().try_clone().map_err(failed)?;
        let builder = self.parquet(ParquetRecordBatchReaderBuilder::try_new(file))?;
        Ok((parts, builder))
    }

    /// Where it stands, for messages.
    pub(super) fn path(&self) -> String {
        self.store.path_of(self.file.date, self.file.name).display().to_string()
    }

    fn parquet<T>(&self, done: Result<T, parquet::errors::ParquetError>) -> Result<T, Error> {
        done.map_err(|error| Error::Parquet { name: self.path(), source: error.into() })
    }
}

/// How many bytes at the end of a file say what stands where, the last eight among them.
fn end_bytes(mut file: &File, bytes: u64) -> io::Result<u32> {
    const LAST_BYTES: u32 = 8;
    let mut length = [0; 4];
    if bytes >= u64::from(LAST_BYTES) {
        file.seek(SeekFrom::Start(bytes - u64::from(LAST_BYTES)))?;
        file.read_exact(&mut length)?;
    }
    Ok(u32::from_le_bytes(length).saturating_add(LAST_BYTES))
}

/// Where these columns stand in a file of `bytes` bytes, without what is here already; what is near to each other is one.
fn ranges(metadata: &ParquetMetaData, mask: &ProjectionMask, bytes: u64) -> Vec<Range<u64>> {
    let begin_of_end = bytes.saturating_sub(END_BYTES);
    let mut wanted: Vec<Range<u64>> = metadata
        .row_groups()
        .iter()
        .flat_map(|group| group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf)))
        .map(|(_, column)| column.byte_range())
        .map(|(from, length)| from..from.saturating_add(length).min(begin_of_end))
        .filter(|range| range.start < range.end)
        .collect();
    wanted.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in wanted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP_BYTES) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// The rows of a file, some at a time.
pub(super) struct Batches {
    reader: ParquetRecordBatchReader,
    path: String,
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        let failed = |error| Error::Parquet { name: self.path.clone(), source: ParquetFileError::Arrow(error) };
        Some(batch.map(|rows| Batch { rows, path: self.path.clone() }).map_err(failed))
    }
}

/// Some rows.
pub(super) struct Batch {
    rows: RecordBatch,
    path: String,
}

impl Batch {
    /// How many rows.
    pub(super) fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// A column of texts; all null where the file has none.
    pub(super) fn texts(&self, name: &str) -> Result<StringArray, Error> {
        Ok(self.column(name, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    /// A column of numbers; all null where the file has none.
    pub(super) fn primitives<T: ArrowPrimitiveType>(&self, name: &str) -> Result<PrimitiveArray<T>, Error> {
        Ok(self.column(name, &T::DATA_TYPE)?.as_primitive::<T>().clone())
    }

    /// A column of times in microseconds; all null where the file has none.
    pub(super) fn times(&self, name: &str) -> Result<PrimitiveArray<TimestampMicrosecondType>, Error> {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Ok(self.column(name, &utc)?.as_primitive().clone())
    }

    /// The column names of texts that could not be read, of a row after the other; `None` where there are none at all.
    pub(super) fn unparsed(&self) -> Option<&MapArray> {
        let map = self.rows.column_by_name(UNPARSED.name)?.as_map_opt()?;
        (map.null_count() < map.len()).then_some(map)
    }

    fn column(&self, name: &str, wanted: &DataType) -> Result<ArrayRef, Error> {
        let Some(column) = self.rows.column_by_name(name) else {
            return Ok(arrow::array::new_null_array(wanted, self.len()));
        };
        if column.data_type() == wanted {
            return Ok(Arc::clone(column));
        }
        cast(column, wanted).map_err(|_| {
            let what = format!("`{name}` is {}, and not {wanted}", column.data_type());
            Error::Parquet { name: self.path.clone(), source: ParquetFileError::Contents(what) }
        })
    }
}
