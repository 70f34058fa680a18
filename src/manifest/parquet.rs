//! Parquet → rows: whatever says a text, a whole number or an instant exactly, each turned into the text that the rules
//! read.
//!
//! | a column of | gives |
//! | --- | --- |
//! | STRING, ENUM, JSON, and bytes without annotation, dictionary-encoded or not | the text; one that is not UTF-8 rejects its row |
//! | integers of any width and sign | the number |
//! | DECIMAL, FLOAT, DOUBLE | the number, if it is whole and the type can tell it from its neighbours; NaN is no value |
//! | TIMESTAMP that is adjusted to UTC | unix seconds, a fraction dropped |
//! | TIMESTAMP that is not, or does not say so | the same, if it was said what such times mean; else the file is refused |
//! | INT96 | the same: it is an instant, and rejects its row where 64 bits of nanoseconds do not reach |
//! | nothing but nulls (UNKNOWN) | no value |
//!
//! Every other type is refused with the file: booleans, dates, times of day, lists, groups.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    ops::RangeInclusive,
    sync::Arc,
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryViewArray, Float64Array, Int64Array, RecordBatch, StringViewArray,
        StringViewBuilder,
    },
    compute::cast,
    datatypes::{DataType, Field, Float64Type, Int64Type, Schema, TimeUnit},
    error::ArrowError,
};
use chrono::{DateTime, FixedOffset};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
        },
    },
    basic::{Compression, ConvertedType, LogicalType, Repetition, Type as PhysicalType},
    errors::ParquetError,
    file::metadata::{FileMetaData, ParquetMetaData},
    schema::types::{SchemaDescriptor, Type},
};

use super::{
    ManifestError, Row,
    column::{Column, Fields, Header, IgnoredNames},
    reason::{Reason, Rule},
    rules::Rules,
    shown::DAMAGE,
};
use crate::guard::guarded;

const BATCH_ROWS_MAX: usize = 8192;

/// Batches have fewer rows where these are so long that more of them would take more memory than this.
const BATCH_BYTES: usize = 8 << 20;

/// Seconds since 1970 whose nanoseconds fit in 64 bits: from 1677-09-21 to 2262-04-11.
const INT96_S: RangeInclusive<i64> = i64::MIN.div_euclid(1_000_000_000)..=i64::MAX / 1_000_000_000;

/// What a file begins and ends with.
const MAGIC: &[u8; 4] = b"PAR1";

/// Why a column cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// It holds something else.
    #[error("column `{column}` has type {found}, must be {must}")]
    Type {
        /// Its name.
        column: &'static str,
        /// Its type.
        found: String,
        /// What is accepted.
        must: &'static str,
    },
    /// Its times name no zone, and nobody has said which one is meant.
    #[error(
        "column `{column}` has times without a zone ({found}): cast it to a timestamp with time zone, or say what is meant: \
         --naive-times utc, or --naive-times +08:00"
    )]
    NaiveTimes {
        /// Its name.
        column: &'static str,
        /// How the file says so.
        found: &'static str,
    },
    /// It is compressed in a way that is not read.
    #[error(
        "column `{column}` is compressed with {codec}, which is not read: write the file with zstd, snappy, gzip, lz4, or \
         uncompressed"
    )]
    Codec {
        /// Its name.
        column: &'static str,
        /// The codec's name.
        codec: &'static str,
    },
}

/// What the values of a column may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Whatever the rules read.
    Any,
    /// Numbers, or texts of them.
    Number,
    /// Texts alone.
    Text,
}

impl Values {
    fn accept(self, form: Form) -> bool {
        match self {
            Self::Any => true,
            Self::Number => !matches!(form, Form::Seconds { .. } | Form::Int96),
            Self::Text => matches!(form, Form::Text | Form::Nothing),
        }
    }

    fn must(self) -> &'static str {
        match self {
            Self::Any => "text, a whole number or a timestamp",
            Self::Number => "a whole number",
            Self::Text => "text",
        }
    }
}

/// A column to be read: its name, and where the file has it, if it does.
pub(crate) type Wanted = (&'static str, Values, Option<usize>);

/// Reads rows of a Parquet file.
pub(super) struct ParquetRows {
    batches: Batches,
    batch: RowBatch,
    /// The row of the batch that comes next.
    next: usize,
    line: u64,
}

impl ParquetRows {
    /// Reads the footer.
    pub(super) fn new(file: File, ignored: &mut IgnoredNames, rules: &Rules) -> Result<Self, ManifestError> {
        let metadata = metadata(&file).map_err(ManifestError::Parquet)?;
        let names: Vec<&str> = metadata.schema().fields().iter().map(|field| field.name().as_str()).collect();
        let header = Header::resolve(&names, ignored)?;
        let wanted = Column::ALL.map(|column| (column.name(), Values::Any, header.position(column)));
        let batches = Batches::begin(file, &metadata, &wanted, rules.naive_times).map_err(|error| match error {
            BeginError::Column(error) => ManifestError::Column(error),
            BeginError::Parquet(error) => ManifestError::Parquet(error),
        })?;
        Ok(Self { batches, batch: RowBatch::default(), next: 0, line: 0 })
    }

    /// The next row.
    pub(super) fn next_row(&mut self, rules: &Rules) -> Result<Option<Row>, ManifestError> {
        while self.next == self.batch.row_count {
            let Some(batch) = self.batches.next().map_err(ManifestError::Parquet)? else { return Ok(None) };
            self.batch = batch;
            self.next = 0;
        }
        let (fields, broken) = (self.batch.fields(self.next), self.batch.broken_field(self.next));
        self.next += 1;
        self.line += 1;
        Ok(Some(match broken {
            Some(reason) => Row::rejected(self.line, &fields, reason),
            None => Row::checked(self.line, &fields, rules),
        }))
    }
}

/// Whether the file begins as Parquet does; one that is cut still does.
pub(crate) fn begins_as_parquet(file: impl Read) -> io::Result<bool> {
    let mut head = Vec::with_capacity(MAGIC.len());
    file.take(MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(head == MAGIC)
}

/// Reads the footer.
pub(crate) fn metadata(file: &File) -> Result<ArrowReaderMetadata, ParquetError> {
    guarded(damaged(), || ArrowReaderMetadata::load(file, ArrowReaderOptions::new()))
}

fn damaged() -> ParquetError {
    ParquetError::General("the file is damaged".into())
}

/// Why a file cannot be read from its footer on.
pub(crate) enum BeginError {
    Column(ColumnError),
    Parquet(ParquetError),
}

/// Reads the wanted columns of a file, as texts.
pub(crate) struct Batches {
    reader: ParquetRecordBatchReader,
    /// Of each wanted column, its name and form; none where the file has it not.
    forms: Vec<Option<(&'static str, Form)>>,
}

impl Batches {
    /// Begins to read the wanted columns alone. `naive_times` is what times without a zone mean.
    pub(crate) fn begin(
        file: File,
        metadata: &ArrowReaderMetadata,
        wanted: &[Wanted],
        naive_times: Option<FixedOffset>,
    ) -> Result<Self, BeginError> {
        let root = metadata.parquet_schema().root_schema();
        let form = |&(name, values, position): &Wanted| {
            let Some(position) = position else { return Ok(None) };
            let arrow = metadata.schema().field(position).data_type();
            let form =
                Form::of(&root.get_fields()[position], arrow, naive_times).map_err(|unfit| unfit.of(name, values))?;
            let unfit = || Unfit::Type(arrow.to_string()).of(name, values);
            if values.accept(form) { Ok(Some((name, form))) } else { Err(unfit()) }
        };
        let forms = wanted.iter().map(form).collect::<Result<Vec<_>, _>>().map_err(BeginError::Column)?;
        refuse_codecs(metadata, wanted).map_err(BeginError::Column)?;
        let reader = guarded(damaged(), || reader(file, metadata, wanted, &forms)).map_err(BeginError::Parquet)?;
        Ok(Self { reader, forms })
    }

    /// The next rows.
    pub(crate) fn next(&mut self) -> Result<Option<RowBatch>, ParquetError> {
        let Self { reader, forms } = self;
        guarded(damaged(), || Ok(reader.next().transpose()?.map(|batch| RowBatch::of(&batch, forms)).transpose()?))
    }
}

/// Turns batches of rows that did not come from a Parquet file into texts, by the types of their columns.
pub(crate) struct Conversion {
    /// Of each wanted column, its name and form; none where the rows have it not.
    forms: Vec<Option<(&'static str, Form)>>,
}

impl Conversion {
    /// Looks at the types of the wanted columns. `naive_times` is what times without a zone mean.
    pub(crate) fn of(
        schema: &Schema,
        wanted: &[Wanted],
        naive_times: Option<FixedOffset>,
    ) -> Result<Self, ColumnError> {
        let form = |&(name, values, position): &Wanted| {
            let Some(position) = position else { return Ok(None) };
            let arrow = schema.field(position).data_type();
            let form = Form::of_arrow(arrow, naive_times).map_err(|unfit| unfit.of(name, values))?;
            let unfit = || Unfit::Type(arrow.to_string()).of(name, values);
            if values.accept(form) { Ok(Some((name, form))) } else { Err(unfit()) }
        };
        Ok(Self { forms: wanted.iter().map(form).collect::<Result<Vec<_>, _>>()? })
    }

    /// The wanted columns of a batch of this schema.
    pub(crate) fn rows(&self, batch: &RecordBatch) -> Result<RowBatch, ArrowError> {
        RowBatch::of(batch, &self.forms)
    }
}

/// How a column's values become texts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// UTF-8 as it stands.
    Text,
    /// An integer's digits.
    Integer,
    /// A decimal's digits before the point; behind it there must be zeros only.
    Decimal,
    /// The whole number that a float is, as long as its magnitude is below this one.
    Float { whole_below: f64 },
    /// A timestamp, less this offset of its zone from UTC.
    Seconds { unit: TimeUnit, offset_s: i64 },
    /// An instant as days and nanoseconds.
    Int96,
    /// Nulls.
    Nothing,
}

/// Why a column has no form, before it is said which one.
enum Unfit {
    Type(String),
    NaiveTimes(&'static str),
}

impl Unfit {
    fn of(self, column: &'static str, values: Values) -> ColumnError {
        match self {
            Self::Type(found) => ColumnError::Type { column, found, must: values.must() },
            Self::NaiveTimes(found) => ColumnError::NaiveTimes { column, found },
        }
    }
}

impl Form {
    fn of(parquet: &Type, arrow: &DataType, naive_times: Option<FixedOffset>) -> Result<Self, Unfit> {
        let info = parquet.get_basic_info();
        let is_nested = !parquet.is_primitive() || (info.has_repetition() && info.repetition() == Repetition::REPEATED);
        if is_nested {
            return Err(Unfit::Type(arrow.to_string()));
        }
        if parquet.get_physical_type() == PhysicalType::INT96 {
            return Ok(Self::Int96);
        }
        let (logical, converted) = (info.logical_type_ref(), info.converted_type());
        let may_be_text = matches!((logical, converted), (None, ConvertedType::NONE | ConvertedType::ENUM))
            || matches!(logical, Some(LogicalType::Enum));
        match value_type(arrow) {
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
                if !may_be_text =>
            {
                Err(Unfit::Type(arrow.to_string()))
            }
            DataType::Timestamp(unit, zone) => {
                let offset = match naive(logical, converted, zone.is_some()) {
                    None => 0,
                    Some(found) => naive_times.ok_or(Unfit::NaiveTimes(found))?.local_minus_utc(),
                };
                Ok(Self::Seconds { unit: *unit, offset_s: offset.into() })
            }
            _ => Self::of_arrow(arrow, naive_times),
        }
    }

    /// The form of a column of which no more is known than its Arrow type.
    fn of_arrow(arrow: &DataType, naive_times: Option<FixedOffset>) -> Result<Self, Unfit> {
        match value_type(arrow) {
            DataType::Null => Ok(Self::Nothing),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(Self::Text),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Ok(Self::Text)
            }
            integer if integer.is_integer() => Ok(Self::Integer),
            DataType::Float16 => Ok(Self::Float { whole_below: 2_f64.powi(11) }),
            DataType::Float32 => Ok(Self::Float { whole_below: 2_f64.powi(24) }),
            DataType::Float64 => Ok(Self::Float { whole_below: 2_f64.powi(53) }),
            decimal if decimal.is_decimal() => Ok(Self::Decimal),
            DataType::Timestamp(unit, Some(_)) => Ok(Self::Seconds { unit: *unit, offset_s: 0 }),
            DataType::Timestamp(unit, None) => {
                let meant = naive_times.ok_or(Unfit::NaiveTimes("a timestamp without time zone"))?;
                Ok(Self::Seconds { unit: *unit, offset_s: meant.local_minus_utc().into() })
            }
            _ => Err(Unfit::Type(arrow.to_string())),
        }
    }

    /// The type that the library is asked for.
    fn read_as(self, arrow: &DataType) -> DataType {
        match (self, value_type(arrow)) {
            // Bytes, since a text that is not UTF-8 is its row's matter; views, since these do not repeat the values of a
            // dictionary.
            (Self::Text, fixed @ DataType::FixedSizeBinary(_)) => fixed.clone(),
            (Self::Text, _) => DataType::BinaryView,
            // In nanoseconds it would wrap around.
            (Self::Int96, _) => DataType::Timestamp(TimeUnit::Second, None),
            (_, value) => value.clone(),
        }
    }
}

/// The type of a dictionary's values.
fn value_type(arrow: &DataType) -> &DataType {
    if let DataType::Dictionary(_, values) = arrow { value_type(values) } else { arrow }
}

/// How a timestamp says that its zone is not known; none if it is an instant.
///
/// The old annotations say nothing: the writers of their time used them for both.
fn naive(logical: Option<&LogicalType>, converted: ConvertedType, has_arrow_zone: bool) -> Option<&'static str> {
    match (logical, converted) {
        (Some(LogicalType::Timestamp(timestamp)), _) if timestamp.is_adjusted_to_u_t_c => None,
        (Some(LogicalType::Timestamp(_)), _) => Some("a timestamp that is not adjusted to UTC"),
        (_, ConvertedType::TIMESTAMP_MILLIS) => {
            Some("TIMESTAMP_MILLIS, which does not say whether it is adjusted to UTC")
        }
        (_, ConvertedType::TIMESTAMP_MICROS) => {
            Some("TIMESTAMP_MICROS, which does not say whether it is adjusted to UTC")
        }
        // An integer that the Arrow schema beside it calls a timestamp.
        _ if has_arrow_zone => None,
        _ => Some("a timestamp without time zone"),
    }
}

/// # Errors
///
/// If a wanted column is compressed in a way that the library cannot undo.
fn refuse_codecs(metadata: &ArrowReaderMetadata, wanted: &[Wanted]) -> Result<(), ColumnError> {
    let schema = metadata.parquet_schema();
    for chunk in metadata.metadata().row_groups().iter().flat_map(|group| group.columns().iter().enumerate()) {
        let (leaf, codec) = (chunk.0, chunk.1.compression());
        let codec = match codec {
            Compression::BROTLI(_) => "BROTLI",
            Compression::LZO => "LZO",
            _ => continue,
        };
        let root = schema.get_column_root_idx(leaf);
        if let Some((column, ..)) = wanted.iter().find(|(.., position)| *position == Some(root)) {
            return Err(ColumnError::Codec { column, codec });
        }
    }
    Ok(())
}

fn reader(
    file: File,
    metadata: &ArrowReaderMetadata,
    wanted: &[Wanted],
    forms: &[Option<(&'static str, Form)>],
) -> Result<ParquetRecordBatchReader, ParquetError> {
    let mut fields: Vec<Field> = metadata.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut texts = Vec::new();
    for ((.., position), form) in wanted.iter().zip(forms) {
        let (Some(position), Some((_, form))) = (*position, form) else { continue };
        let read_as = form.read_as(fields[position].data_type());
        fields[position] = fields[position].clone().with_data_type(read_as);
        if *form == Form::Text {
            texts.push(position);
        }
    }
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    let metadata = ArrowReaderMetadata::try_new(Arc::new(without_annotation(metadata.metadata(), &texts)?), options)?;
    let roots = wanted.iter().filter_map(|(.., position)| *position);
    let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
    let batch_rows = batch_rows(metadata.metadata(), &mask);
    ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_projection(mask)
        .with_batch_size(batch_rows)
        .build()
}

/// The metadata of the file, but with bytes where the roots `texts` are said to be text: the library ends at the first text
/// that is not UTF-8 where it takes the file at its word.
fn without_annotation(metadata: &ParquetMetaData, texts: &[usize]) -> Result<ParquetMetaData, ParquetError> {
    let facts = metadata.file_metadata();
    let root = facts.schema_descr().root_schema();
    let mut fields = root.get_fields().to_vec();
    for &position in texts {
        let (name, info) = (fields[position].name().to_owned(), fields[position].get_basic_info());
        if fields[position].get_physical_type() == PhysicalType::BYTE_ARRAY {
            let bytes = Type::primitive_type_builder(&name, PhysicalType::BYTE_ARRAY);
            let id = info.has_id().then(|| info.id());
            fields[position] = Arc::new(bytes.with_repetition(info.repetition()).with_id(id).build()?);
        }
    }
    let root = Type::group_type_builder(root.name()).with_fields(fields).build()?;
    let facts = FileMetaData::new(
        facts.version(),
        facts.num_rows(),
        facts.created_by().map(str::to_owned),
        facts.key_value_metadata().cloned(),
        Arc::new(SchemaDescriptor::new(Arc::new(root))),
        facts.column_orders().cloned(),
    );
    Ok(ParquetMetaData::new(facts, metadata.row_groups().to_vec()))
}

/// How many rows of the columns fit in [`BATCH_BYTES`], by the average of the row group with the longest ones.
fn batch_rows(metadata: &ParquetMetaData, mask: &ProjectionMask) -> usize {
    let row_bytes = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf));
        let bytes: i64 = columns.map(|(_, column)| column.uncompressed_size()).fold(0, i64::saturating_add);
        usize::try_from(bytes / group.num_rows().max(1)).unwrap_or(BATCH_BYTES)
    });
    (BATCH_BYTES / row_bytes.max().unwrap_or(1).max(1)).clamp(1, BATCH_ROWS_MAX)
}

/// The wanted columns of some rows, in the order in which they were wanted.
#[derive(Default)]
pub(crate) struct RowBatch {
    pub(crate) row_count: usize,
    columns: Vec<Option<Texts>>,
}

impl RowBatch {
    fn of(batch: &RecordBatch, forms: &[Option<(&'static str, Form)>]) -> Result<Self, ArrowError> {
        let texts = |form: &Option<(&'static str, Form)>| {
            let Some((name, form)) = form else { return Ok(None) };
            batch.column_by_name(name).map(|array| Texts::of(array, *form)).transpose()
        };
        Ok(Self { row_count: batch.num_rows(), columns: forms.iter().map(texts).collect::<Result<_, _>>()? })
    }

    /// The manifest's columns, which were the first ones wanted.
    pub(crate) fn fields(&self, row: usize) -> Fields<'_> {
        Fields::of(|column| self.text(column as usize, row).unwrap_or_default())
    }

    /// The text of a wanted column, if the row has one.
    pub(crate) fn text(&self, column: usize, row: usize) -> Option<&str> {
        let texts = &self.columns.get(column)?.as_ref()?.texts;
        texts.is_valid(row).then(|| texts.value(row))
    }

    /// Why one of the manifest's columns has a value that says no text exactly.
    pub(crate) fn broken_field(&self, row: usize) -> Option<Reason> {
        Column::ALL.into_iter().find_map(|column| {
            Some(match self.broken(column as usize, row)? {
                Broken::NotUtf8 => Reason::NotUtf8,
                Broken::NotWhole => Reason::Value { column, rule: Rule::Whole },
                Broken::Int96 => Reason::Value { column, rule: Rule::Int96Range },
            })
        })
    }

    /// Why the value of a wanted column says no text exactly.
    pub(crate) fn broken(&self, column: usize, row: usize) -> Option<Broken> {
        let broken = &self.columns.get(column)?.as_ref()?.broken;
        broken.binary_search_by_key(&row, |(row, _)| *row).ok().map(|found| broken[found].1)
    }
}

/// Why a value says no text exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Bytes that are no text.
    NotUtf8,
    /// A number with a fraction, or so large a float that others are the same.
    NotWhole,
    /// Days that 64 bits of nanoseconds do not reach.
    Int96,
}

/// A column as texts.
struct Texts {
    texts: StringViewArray,
    /// The rows whose value says no text exactly, in their order; their text shows it, with [`DAMAGE`], so that a reject
    /// that is given back is not taken for whole.
    broken: Vec<(usize, Broken)>,
}

impl From<StringViewArray> for Texts {
    fn from(texts: StringViewArray) -> Self {
        Self { texts, broken: Vec::new() }
    }
}

impl Texts {
    fn of(array: &ArrayRef, form: Form) -> Result<Self, ArrowError> {
        match form {
            Form::Text => {
                let bytes = cast(array, &DataType::BinaryView)?;
                let bytes = bytes.as_binary_view();
                // To clone a view is to clone a pointer.
                Ok(bytes.clone().to_string_view().map_or_else(|_| Self::of_bytes(bytes), Self::from))
            }
            Form::Integer | Form::Nothing => Self::of_digits(array),
            Form::Decimal => {
                let digits = cast(array, &DataType::Utf8View)?;
                let digits = digits.as_string_view();
                Ok(Self::each(digits, |row| whole_digits(digits.value(row))))
            }
            Form::Float { whole_below } => {
                let floats = cast(array, &DataType::Float64)?;
                let floats: &Float64Array = floats.as_primitive::<Float64Type>();
                Ok(Self::each(floats, |row| whole_float(floats.value(row), whole_below)))
            }
            Form::Seconds { unit, offset_s } => {
                let seconds: Int64Array = seconds(array, unit)?.unary(|seconds: i64| seconds.saturating_sub(offset_s));
                Self::of_digits(&(Arc::new(seconds) as ArrayRef))
            }
            Form::Int96 => {
                let seconds = seconds(array, TimeUnit::Second)?;
                Ok(Self::each(&seconds, |row| within_int96(seconds.value(row))))
            }
        }
    }

    fn of_digits(integers: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(Self::from(cast(integers, &DataType::Utf8View)?.as_string_view().clone()))
    }

    fn of_bytes(bytes: &BinaryViewArray) -> Self {
        Self::each(bytes, |row| match String::from_utf8_lossy(bytes.value(row)) {
            Cow::Borrowed(text) => Ok(Some(text.into())),
            Cow::Owned(text) => Err((text, Broken::NotUtf8)),
        })
    }

    /// What `text` makes of each value of `array` that is not null: a text, nothing, or a text that shows why there is none.
    fn each(array: &dyn Array, text: impl Fn(usize) -> Result<Option<String>, (String, Broken)>) -> Self {
        let mut texts = StringViewBuilder::with_capacity(array.len());
        let mut broken = Vec::new();
        for row in 0..array.len() {
            let read = if array.is_valid(row) { text(row) } else { Ok(None) };
            let text = read.unwrap_or_else(|(shown, why)| {
                broken.push((row, why));
                Some(if shown.contains(DAMAGE) { shown } else { format!("{shown}{DAMAGE}") })
            });
            texts.append_option(text);
        }
        Self { texts: texts.finish(), broken }
    }
}

/// The digits of a decimal before its point, if there are only zeros behind it.
fn whole_digits(digits: &str) -> Result<Option<String>, (String, Broken)> {
    match digits.split_once('.') {
        Some((_, fraction)) if fraction.bytes().any(|digit| digit != b'0') => Err((digits.into(), Broken::NotWhole)),
        Some((whole, _)) => Ok(Some(whole.into())),
        None => Ok(Some(digits.into())),
    }
}

/// The whole number that a float is. One from `whole_below` on may have been another before it became a float. NaN stands
/// where pandas has no value.
fn whole_float(float: f64, whole_below: f64) -> Result<Option<String>, (String, Broken)> {
    if float.is_nan() {
        return Ok(None);
    }
    if float.fract() == 0.0 && float.abs() < whole_below {
        // Display writes no exponent; adding 0 takes the sign off a zero.
        return Ok(Some((float + 0.0).to_string()));
    }
    Err((float.to_string(), Broken::NotWhole))
}

/// Unix seconds of an INT96, if its nanoseconds since 1970 fit in 64 bits, as those do who write it.
fn within_int96(seconds: i64) -> Result<Option<String>, (String, Broken)> {
    if INT96_S.contains(&seconds) {
        return Ok(Some(seconds.to_string()));
    }
    let shown = DateTime::from_timestamp(seconds, 0).map_or_else(|| seconds.to_string(), |time| time.to_rfc3339());
    Err((shown, Broken::Int96))
}

/// Timestamps of this unit as seconds since 1970, their fraction dropped.
fn seconds(array: &ArrayRef, unit: TimeUnit) -> Result<Int64Array, ArrowError> {
    let units_per_second = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let counts = cast(array, &DataType::Int64)?;
    Ok(counts.as_primitive::<Int64Type>().unary(|count: i64| count.div_euclid(units_per_second)))
}

#[cfg(test)]
mod tests;
