//! Archives as Arrow IPC streams: batches of rows with the columns that Parquet has. Several streams one after another are one
//! archive, as several files of lines are.
//!
//! The messages of a stream are cut here and not by the library, which reserves as much memory as a message says that it has:
//! what is no Arrow would take gigabytes.

use std::io::{self, BufRead, Read};

use arrow::{
    array::RecordBatch,
    buffer::Buffer,
    datatypes::Schema,
    error::ArrowError,
    ipc::{reader::StreamDecoder, root_as_message},
};

use super::{
    ArchiveError, NextEntry,
    parquet::{page, wanted},
};
use crate::{
    guard::guarded,
    manifest::{
        parquet::{Conversion, RowBatch},
        rules::Rules,
    },
};

/// What each message of a stream begins with.
pub(super) const CONTINUATION: &[u8] = &[0xff; 4];

/// The longest description of a message, in bytes: that of a schema, or of a batch's columns.
const DESCRIPTION_BYTES_MAX: usize = 16 << 20;

/// The largest batch, in bytes: it is held in memory as a whole.
const BATCH_BYTES_MAX: usize = 2 << 30;

/// How much room is taken before any of a message has come.
const ROOM_BYTES: usize = 1 << 20;

/// Reads pages from the batches of a stream.
pub struct ArrowReader {
    messages: Messages,
    conversion: Option<Conversion>,
    rows: RowBatch,
    /// The row of the batch that comes next.
    next: usize,
    line: u64,
}

impl ArrowReader {
    /// Reads the schema. An input without a byte is an archive without a page.
    pub(super) fn new(input: impl BufRead + 'static, rules: &Rules) -> Result<Self, ArchiveError> {
        let messages = Messages { input: Box::new(input), decoder: StreamDecoder::new(), has_begun: false };
        let mut reader = Self { messages, conversion: None, rows: RowBatch::default(), next: 0, line: 0 };
        reader.begin_stream(rules)?;
        Ok(reader)
    }

    /// Reads the schema of the next stream, if there is one.
    fn begin_stream(&mut self, rules: &Rules) -> Result<(), ArchiveError> {
        self.conversion = None;
        let failed = |source| ArchiveError::Arrow { after_row: self.line, source };
        if let Some(schema) = self.messages.schema().map_err(failed)? {
            self.conversion = Some(Conversion::of(&schema, &wanted(&schema)?, rules.naive_times)?);
        }
        Ok(())
    }

    /// The next row: its number, from 1, and the page in it.
    pub(super) fn next_entry(&mut self, rules: &Rules) -> NextEntry<'_> {
        while self.next == self.rows.row_count {
            let failed = |source| ArchiveError::Arrow { after_row: self.line, source };
            let Some(conversion) = &self.conversion else { return Ok(None) };
            // Two batches at once would be twice the memory.
            self.rows = RowBatch::default();
            self.next = 0;
            let Some(batch) = self.messages.next_batch().map_err(failed)? else {
                self.begin_stream(rules)?;
                continue;
            };
            self.rows = guarded(damaged(), || conversion.rows(&batch)).map_err(failed)?;
        }
        let row = self.next;
        self.next += 1;
        self.line += 1;
        Ok(Some((self.line, page(&self.rows, row, rules))))
    }
}

/// The messages of a stream.
struct Messages {
    input: Box<dyn BufRead>,
    decoder: StreamDecoder,
    /// Whether a message has come: what has begun says where it ends.
    has_begun: bool,
}

impl Messages {
    /// The schema, with which a stream begins; none if there is no byte of a further one.
    fn schema(&mut self) -> Result<Option<Schema>, ArrowError> {
        (self.decoder, self.has_begun) = (StreamDecoder::new(), false);
        let Some(message) = self.next_message()? else { return Ok(None) };
        // The library takes in a message that has nothing but a description together with the next byte.
        let end = [message, CONTINUATION.to_vec(), vec![0; 4]].concat();
        let schema = guarded(damaged(), || {
            let mut looking = StreamDecoder::new();
            looking.decode(&mut Buffer::from(end.clone()))?;
            Ok(looking.schema())
        })?;
        let schema = schema.ok_or_else(|| ArrowError::ParseError("it does not begin with a schema".into()))?;
        guarded(damaged(), || self.decoder.decode(&mut Buffer::from(end[..end.len() - 8].to_vec())))?;
        Ok(Some(Schema::clone(&schema)))
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        while let Some(message) = self.next_message()? {
            let mut message = Buffer::from(message);
            while !message.is_empty() {
                if let Some(batch) = guarded(damaged(), || self.decoder.decode(&mut message))? {
                    return Ok(Some(batch));
                }
            }
        }
        Ok(None)
    }

    /// The bytes of the next message; none at the end of the stream. Arrow lets a writer leave out the mark of the end, which none does
    /// that is in use: a stream without it comes from a writer that was killed.
    fn next_message(&mut self) -> Result<Option<Vec<u8>>, ArrowError> {
        if self.input.fill_buf()?.is_empty() {
            return if self.has_begun { Err(cut("it ends without the mark of its end").into()) } else { Ok(None) };
        }
        self.has_begun = true;
        let mut message = Vec::with_capacity(ROOM_BYTES);
        let mut size = self.take(&mut message, 4)?;
        if message == CONTINUATION {
            size = self.take(&mut message, 4)?;
        }
        let size = u32::from_le_bytes(size.try_into().unwrap_or_default()) as usize;
        match size {
            0 => return Ok(None),
            1..=DESCRIPTION_BYTES_MAX => {}
            _ => return Err(ArrowError::ParseError("it is no Arrow IPC stream".into())),
        }
        let description = self.take(&mut message, size)?;
        let body_bytes = root_as_message(&description)
            .map_err(|error| ArrowError::ParseError(format!("a message is damaged: {error}")))?
            .bodyLength();
        let body_bytes = usize::try_from(body_bytes).ok().filter(|bytes| *bytes <= BATCH_BYTES_MAX);
        let body_bytes = body_bytes.ok_or_else(|| {
            ArrowError::ParseError(format!(
                "a batch has more than {BATCH_BYTES_MAX} bytes: let the engine give fewer rows a batch (Spark: \
                 spark.sql.execution.arrow.maxRecordsPerBatch)"
            ))
        })?;
        self.read(&mut message, body_bytes)?;
        Ok(Some(message))
    }

    /// Appends so many bytes to `message`, and gives them.
    fn take(&mut self, message: &mut Vec<u8>, bytes: usize) -> Result<Vec<u8>, ArrowError> {
        let begin = message.len();
        self.read(message, bytes)?;
        Ok(message[begin..].to_vec())
    }

    fn read(&mut self, message: &mut Vec<u8>, bytes: usize) -> Result<(), ArrowError> {
        let read = self.input.by_ref().take(bytes as u64).read_to_end(message)?;
        if read == bytes { Ok(()) } else { Err(cut("it ends within a message").into()) }
    }
}

fn cut(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("{how}: it is cut, and its writer may have failed"))
}

fn damaged() -> ArrowError {
    ArrowError::ParseError("a message is damaged".into())
}
