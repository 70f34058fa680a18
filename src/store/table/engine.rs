//! What the Delta kernel needs of its surroundings: files of the log, JSON and Parquet. All of it waits in the thread that
//! asks, as everything that publishes does, and goes through [`Log`].

use std::{
    collections::HashMap,
    io::Cursor,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use arrow::{json::ReaderBuilder, record_batch::RecordBatch};
use bytes::Bytes;
use delta_kernel::{
    Engine, EngineData, EvaluationHandler, FileDataReadResultIterator, FileMeta, FileSize, FileSlice,
    FilteredEngineData, JsonHandler, KernelError, KernelResult, KernelResultIterator, KernelResultIteratorStatic,
    ParquetFooter, ParquetHandler, PredicateRef, StorageHandler,
    engine::{
        arrow_conversion::TryFromArrow as _,
        arrow_data::ArrowEngineData,
        arrow_expression::ArrowEvaluationHandler,
        arrow_utils::{
            RowIndexBuilder, build_json_reorder_indices, fixup_json_read, fixup_parquet_read, json_arrow_schema,
            ordering_needs_row_indexes, parquet_read_plan,
        },
        parse_json, reader_options, to_json_bytes, writer_options,
    },
    schema::{SchemaRef, StructType},
};
use parquet::arrow::{
    ArrowWriter,
    arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder},
};
use url::Url;

use super::log::{LOG_FOLDER, Log};
use crate::store::disk::DiskError;

/// The table's root as the kernel knows it: where that is, only [`Log`] knows.
pub(super) static ROOT: LazyLock<Url> = LazyLock::new(|| "vcq://table/".parse().expect("it is an address"));

/// The file that says which checkpoint is the last, the only one that gets other bytes.
const HINT: &str = "_last_checkpoint";

/// The most that is kept of a log in memory, in bytes: a checkpoint of a year's dates, and what has come since.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The engine of one table.
pub(super) struct LogEngine {
    files: Arc<LogHandler>,
    evaluation: Arc<ArrowEvaluationHandler>,
}

impl LogEngine {
    pub(super) fn new(log: Log) -> Self {
        Self {
            files: Arc::new(LogHandler { log, kept: Arc::default() }),
            evaluation: Arc::new(ArrowEvaluationHandler {}),
        }
    }

    /// The log under it.
    pub(super) fn log(&self) -> &Log {
        &self.files.log
    }

    /// Forgets what was read: it may be another's by now.
    pub(super) fn forget(&self) {
        *self.files.kept() = Kept::default();
    }
}

impl std::fmt::Debug for LogEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.log().fmt(f)
    }
}

impl Engine for LogEngine {
    fn evaluation_handler(&self) -> Arc<dyn EvaluationHandler> {
        Arc::clone(&self.evaluation) as _
    }

    fn storage_handler(&self) -> Arc<dyn StorageHandler> {
        Arc::clone(&self.files) as _
    }

    fn json_handler(&self) -> Arc<dyn JsonHandler> {
        Arc::clone(&self.files) as _
    }

    fn parquet_handler(&self) -> Arc<dyn ParquetHandler> {
        Arc::clone(&self.files) as _
    }
}

/// Reads and writes the files of a log.
#[derive(Clone)]
struct LogHandler {
    log: Log,
    kept: Arc<Mutex<Kept>>,
}

/// Files that were read: the kernel reads them again with each question.
#[derive(Default)]
struct Kept {
    files: HashMap<String, Bytes>,
    bytes: usize,
}

impl Kept {
    /// Keeps a file, in the place of all others where there is no room beside them.
    fn keep(&mut self, name: String, content: &Bytes) {
        if self.bytes + content.len() > KEPT_BYTES_MAX {
            *self = Self::default();
        }
        if content.len() <= KEPT_BYTES_MAX && self.files.insert(name, content.clone()).is_none() {
            self.bytes += content.len();
        }
    }
}

impl LogHandler {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, location: &Url, bytes: Option<FileSize>) -> KernelResult<Bytes> {
        let name = name_of(location)?;
        if let Some(content) = self.kept().files.get(&name) {
            return Ok(content.clone());
        }
        let content = self.log.read(&name, bytes).map_err(kernel_error)?;
        let content = content.map(Bytes::from).ok_or_else(|| KernelError::FileNotFound(location.to_string()))?;
        if name != HINT {
            self.kept().keep(name, &content);
        }
        Ok(content)
    }

    fn put(&self, location: &Url, content: &[u8], overwrites: bool) -> KernelResult<()> {
        let name = name_of(location)?;
        if overwrites {
            return self.log.put_anew(&name, content).map_err(kernel_error);
        }
        let is_new = self.log.put_new(&name, content).map_err(kernel_error)?;
        if is_new { Ok(()) } else { Err(KernelError::FileAlreadyExists(location.to_string())) }
    }

    /// The batches of several files, each file read when its turn comes.
    fn each<I: Iterator<Item = KernelResult<ArrowEngineData>> + Send + 'static>(
        &self,
        files: &[FileMeta],
        open: impl Fn(Bytes, &Url) -> KernelResult<I> + Send + 'static,
    ) -> FileDataReadResultIterator {
        let handler = self.clone();
        let files = files.to_vec();
        let batches = files.into_iter().flat_map(move |file| {
            let opened =
                handler.read(&file.location, Some(file.size)).and_then(|content| open(content, &file.location));
            let (batches, error) = match opened {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            batches.into_iter().flatten().chain(error)
        });
        Box::new(batches.map(|batch| Ok(Box::new(batch?) as _)))
    }
}

impl StorageHandler for LogHandler {
    fn list_from(&self, path: &Url) -> KernelResult<KernelResultIteratorStatic<FileMeta>> {
        let after = name_of(path)?;
        let listed = self.log.list().map_err(kernel_error)?;
        let files = listed.into_iter().filter(move |(name, _)| *name > after).map(|(name, size)| {
            let location = ROOT.join(&format!("{LOG_FOLDER}/{name}"))?;
            Ok(FileMeta { location, last_modified: 0, size })
        });
        Ok(Box::new(files))
    }

    fn read_files(&self, files: Vec<FileSlice>) -> KernelResult<KernelResultIteratorStatic<Bytes>> {
        let handler = self.clone();
        Ok(Box::new(files.into_iter().map(move |(location, range)| {
            let content = handler.read(&location, None)?;
            let Some(range) = range else { return Ok(content) };
            let end = |end: u64| usize::try_from(end).unwrap_or(usize::MAX).min(content.len());
            Ok(content.slice(end(range.start).min(end(range.end))..end(range.end)))
        })))
    }

    fn copy_atomic(&self, source: &Url, target: &Url) -> KernelResult<()> {
        let content = self.read(source, None)?;
        self.put(target, &content, false)
    }

    fn put(&self, path: &Url, data: Bytes, overwrite: bool) -> KernelResult<()> {
        Self::put(self, path, &data, overwrite)
    }

    fn head(&self, path: &Url) -> KernelResult<FileMeta> {
        let size = self.read(path, None)?.len() as FileSize;
        Ok(FileMeta { location: path.clone(), last_modified: 0, size })
    }

    fn delete(&self, path: &Url) -> KernelResult<()> {
        Err(KernelError::unsupported(format!("`{path}` is not deleted: a log is kept")))
    }
}

impl JsonHandler for LogHandler {
    fn parse_json(
        &self,
        json_strings: Box<dyn EngineData>,
        output_schema: SchemaRef,
    ) -> KernelResult<Box<dyn EngineData>> {
        parse_json(json_strings, output_schema)
    }

    fn read_json_files(
        &self,
        files: &[FileMeta],
        physical_schema: SchemaRef,
        _predicate: Option<PredicateRef>,
    ) -> KernelResult<FileDataReadResultIterator> {
        let columns = Arc::new(json_arrow_schema(&physical_schema)?);
        Ok(self.each(files, move |content, location| {
            let order = build_json_reorder_indices(&physical_schema)?;
            let reader = ReaderBuilder::new(Arc::clone(&columns)).with_coerce_primitive(true);
            let location = location.to_string();
            let batches = reader.build(Cursor::new(content))?;
            Ok(batches.map(move |batch| fixup_json_read(batch?, &order, &location)))
        }))
    }

    fn write_json_file(
        &self,
        path: &Url,
        data: KernelResultIterator<'_, FilteredEngineData>,
        overwrite: bool,
    ) -> KernelResult<FileSize> {
        let content = to_json_bytes(data)?;
        Self::put(self, path, &content, overwrite)?;
        Ok(content.len() as FileSize)
    }
}

impl ParquetHandler for LogHandler {
    fn read_parquet_files(
        &self,
        files: &[FileMeta],
        physical_schema: SchemaRef,
        _predicate: Option<PredicateRef>,
    ) -> KernelResult<FileDataReadResultIterator> {
        Ok(self.each(files, move |content, location| {
            let metadata = ArrowReaderMetadata::load(&content, reader_options())?;
            let (order, columns) = parquet_read_plan(&physical_schema, &metadata)?;
            let positions = ordering_needs_row_indexes(&order)
                .then(|| RowIndexBuilder::new(metadata.metadata().row_groups()).build())
                .transpose()?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(content, metadata);
            let builder = match columns {
                Some(columns) => builder.with_projection(columns),
                None => builder,
            };
            let (schema, location, mut positions) = (Arc::clone(&physical_schema), location.to_string(), positions);
            Ok(builder.build()?.map(move |batch| {
                fixup_parquet_read(batch?, &order, positions.as_mut(), Some(&location), Some(&schema))
            }))
        }))
    }

    fn write_parquet_file(
        &self,
        location: Url,
        mut data: KernelResultIteratorStatic<Box<dyn EngineData>>,
    ) -> KernelResult<FileSize> {
        let batch = |data: Box<dyn EngineData>| -> KernelResult<RecordBatch> {
            Ok((*ArrowEngineData::try_from_engine_data(data)?).into())
        };
        let first = data.next().ok_or_else(|| KernelError::generic("a checkpoint has no rows"))??;
        let first = batch(first)?;
        let mut content = Vec::new();
        let mut writer = ArrowWriter::try_new_with_options(&mut content, first.schema(), writer_options())?;
        writer.write(&first)?;
        for data in data {
            writer.write(&batch(data?)?)?;
        }
        writer.close()?;
        Self::put(self, &location, &content, false)?;
        Ok(content.len() as FileSize)
    }

    fn read_parquet_footer(&self, file: &FileMeta) -> KernelResult<ParquetFooter> {
        let metadata = ArrowReaderMetadata::load(&self.read(&file.location, Some(file.size))?, reader_options())?;
        let schema = StructType::try_from_arrow(metadata.schema().as_ref())?;
        Ok(ParquetFooter { schema: Arc::new(schema) })
    }
}

/// The name in the log of what the kernel asks for.
fn name_of(location: &Url) -> KernelResult<String> {
    let within = location.as_str().strip_prefix(ROOT.as_str()).and_then(|path| path.strip_prefix(LOG_FOLDER));
    let name = within.and_then(|rest| if rest.is_empty() { Some("") } else { rest.strip_prefix('/') });
    name.map(str::to_owned).ok_or_else(|| KernelError::generic(format!("`{location}` is not in the log")))
}

/// Hands an error of ours through the kernel; [`super::error`] takes it out again.
fn kernel_error(error: DiskError) -> KernelError {
    KernelError::GenericError { source: Box::new(error) }
}
