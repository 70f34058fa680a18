//! `vcq archive export`: the landed pages of a span of dates as one file.

use std::{
    fmt,
    fs::{File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use chrono::NaiveDate;
use tempfile::{Builder, NamedTempFile};

use super::{Form, ndjson, parquet};
use crate::{
    config::Config,
    error::Error,
    file::folder_of,
    journal::{Journal, JournalError, StayId, StayPages},
    printable::Printable,
    publish::refuse_pruned,
    run::identity,
    stay::Stay,
};

/// Who may read an archive: its owner, for it names participants.
const MODE: u32 = 0o600;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The archive.
    pub path: PathBuf,
    /// Dates that have pages in it.
    pub dates: u64,
    /// Stays that have pages in it.
    pub stays: u64,
    /// Pages.
    pub pages: u64,
    /// Samples in them.
    pub samples: u64,
    /// Size of the archive.
    pub bytes: u64,
}

/// Writes every landed page of the meetings that start on the dates `from` to `to`, in the order of the dataset's rows.
///
/// The file becomes visible whole, in the place of one that is there; until then it stands beside it under another
/// name. The same landed pages give the same bytes.
///
/// # Errors
///
/// [`Error::Pruned`] if pages of one of the dates have been dropped.
pub fn export(config: &Config, from: NaiveDate, to: NaiveDate, path: &Path) -> Result<Exported, Error> {
    if from > to {
        return Err(Error::Usage(format!("--from {from} lies after --to {to}")));
    }
    let form = Form::of_file(path)?;
    let journal = Journal::open_existing(&config.state, &identity(config))?;
    let dates = journal.known_dates(from, to)?;
    for date in &dates {
        refuse_pruned(&journal, *date)?;
    }
    let failed = |source| write_error(path, source);
    let file = create_beside(path).map_err(failed)?;
    let mut archive = Archive {
        writer: Writer::new(form, file.reopen().map_err(failed)?).map_err(failed)?,
        exported: Exported { path: path.to_owned(), dates: 0, stays: 0, pages: 0, samples: 0, bytes: 0 },
    };
    for date in dates {
        archive.add_date(&journal, date)?;
    }
    let Archive { writer, mut exported } = archive;
    writer.finish().map_err(failed)?;
    exported.bytes = put_in_place(file, path).map_err(failed)?;
    Ok(exported)
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::File { operation: "write", path: path.display().to_string(), source }
}

fn create_beside(path: &Path) -> io::Result<NamedTempFile> {
    Builder::new().permissions(Permissions::from_mode(MODE)).tempfile_in(folder_of(path))
}

/// Makes the file durable and visible, and returns its size.
fn put_in_place(file: NamedTempFile, path: &Path) -> io::Result<u64> {
    file.as_file().sync_all()?;
    let bytes = file.as_file().metadata()?.len();
    file.persist(path)?;
    File::open(folder_of(path))?.sync_all()?;
    Ok(bytes)
}

struct Archive {
    writer: Writer,
    exported: Exported,
}

impl Archive {
    fn add_date(&mut self, journal: &Journal, date: NaiveDate) -> Result<(), Error> {
        let mut bodies = journal.bodies()?;
        let stays_before = self.exported.stays;
        journal.each_landed(date, |id, stay, samples| {
            self.exported.stays += 1;
            self.exported.samples += u64::from(samples);
            self.add_stay(&mut bodies, id, stay)
        })?;
        self.exported.dates += u64::from(self.exported.stays > stays_before);
        Ok(())
    }

    fn add_stay(&mut self, bodies: &mut StayPages<'_>, id: StayId, stay: &Stay) -> Result<(), Error> {
        bodies.each(id, |number, body| {
            self.exported.pages += 1;
            let body = str::from_utf8(body).map_err(|_| JournalError::Body { stay: id, number })?;
            self.writer.write(stay, number, body).map_err(|source| write_error(&self.exported.path, source))
        })
    }
}

enum Writer {
    Ndjson(ndjson::Writer),
    Parquet(Box<parquet::Writer>),
}

impl Writer {
    fn new(form: Form, file: File) -> io::Result<Self> {
        Ok(match form {
            Form::Ndjson => Self::Ndjson(ndjson::Writer::plain(file)),
            Form::NdjsonZstd => Self::Ndjson(ndjson::Writer::zstd(file)?),
            Form::Parquet => Self::Parquet(Box::new(parquet::Writer::new(file).map_err(io::Error::other)?)),
        })
    }

    fn write(&mut self, stay: &Stay, number: u32, body: &str) -> io::Result<()> {
        match self {
            Self::Ndjson(writer) => writer.write(stay, number, body),
            Self::Parquet(writer) => writer.write(stay, number, body).map_err(io::Error::other),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Ndjson(writer) => writer.finish(),
            Self::Parquet(writer) => writer.finish().map_err(io::Error::other),
        }
    }
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, dates, stays, pages, samples, bytes } = self;
        writeln!(
            f,
            "{}  {dates} dates  {stays} stays  {pages} pages  {samples} samples  {bytes} bytes",
            Printable(path.display())
        )
    }
}
