//! Batches of rows → bytes of the form that was asked for.

use std::io::{self, BufWriter, ErrorKind, Write};

use arrow::{
    array::RecordBatch,
    datatypes::Schema,
    error::ArrowError,
    ipc::writer::StreamWriter,
    json::{LineDelimitedWriter, WriterBuilder, writer::LineDelimited},
};

use super::{OutputForm, ROWS_MAX};
use crate::error::Error;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Why decoding ends early.
#[derive(Debug)]
pub(super) enum End {
    /// Whoever read the rows has gone away, as `head` does.
    Closed,
    /// It has failed.
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for End {
    fn from(source: io::Error) -> Self {
        match source.kind() {
            ErrorKind::BrokenPipe => Self::Closed,
            _ => Error::File { operation: "write to", path: "standard output".into(), source }.into(),
        }
    }
}

impl From<ArrowError> for End {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, error) => error.into(),
            other => io::Error::other(other).into(),
        }
    }
}

/// Where rows are written.
pub(super) enum Output<W: Write> {
    Arrow(StreamWriter<BufWriter<W>>),
    Ndjson(LineDelimitedWriter<BufWriter<W>>),
}

impl<W: Write> Output<W> {
    /// Begins with what the form begins with: the schema, or nothing.
    pub(super) fn new(out: W, schema: &Schema, form: OutputForm) -> Result<Self, End> {
        let out = BufWriter::with_capacity(BUFFER_BYTES, out);
        Ok(match form {
            OutputForm::Arrow => Self::Arrow(StreamWriter::try_new(out, schema)?),
            OutputForm::Ndjson => {
                Self::Ndjson(WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(out))
            }
        })
    }

    /// Writes rows, as few batches of at most [`ROWS_MAX`] as they come to.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), End> {
        for begin in (0..rows.num_rows()).step_by(ROWS_MAX) {
            let part = rows.slice(begin, ROWS_MAX.min(rows.num_rows() - begin));
            match self {
                Self::Arrow(out) => out.write(&part)?,
                Self::Ndjson(out) => out.write(&part)?,
            }
        }
        Ok(())
    }

    /// Ends the stream, and hands on all of it.
    pub(super) fn finish(self) -> Result<(), End> {
        let mut out = match self {
            Self::Arrow(out) => out.into_inner()?,
            Self::Ndjson(mut out) => {
                out.finish()?;
                out.into_inner()
            }
        };
        Ok(out.flush()?)
    }
}
