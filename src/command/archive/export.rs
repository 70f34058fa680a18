//! `vcq archive export`: the landed pages of a span of dates as one file.

use std::{
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::NaiveDate;

use crate::{
    archive::{ArchiveWriter, Form, Output},
    config::Config,
    error::Error,
    file::{self, Readers},
    journal::{Identity, Journal, JournalError, StayId, StayPages},
    printable::Printable,
    publish::file::refuse_pruned,
    start::{Start, Stop},
    stay::Stay,
};

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
/// The file becomes visible whole, in the place of one that is there; what is no file, such as a pipe, is written through.
/// The same landed pages give the same bytes.
///
/// # Errors
///
/// [`Error::Pruned`] if pages of one of the dates have been dropped. [`Error::Usage`] if the file would lie where vcq's own
/// files lie. [`Error::Stopped`] if it was told to stop: what stood there before stands there still.
pub fn export(
    config: &Config,
    (from, to): (NaiveDate, NaiveDate),
    path: &Path,
    start: &Start,
) -> Result<Exported, Error> {
    if from > to {
        return Err(Error::Usage(format!("--from {from} lies after --to {to}")));
    }
    let form = super::form_of(path)?;
    file::refuse_input("the archive", path, &[], config)?;
    let journal = Journal::open_existing(&config.state, &Identity::of_landed(config))?;
    let dates = journal.known_dates(from, to)?;
    for date in &dates {
        refuse_pruned(&journal, *date)?;
    }
    // What is under construction has personal data in it, and is taken away. Whoever reads a pipe may never read on.
    let _held = file::is_file(path).then(|| start.hold());
    let mut failure = None;
    let exported = file::replace_with(path, Readers::Owner, |file| {
        write(path, form, file, &journal, (&dates, start)).map_err(|error| {
            failure = Some(error);
            io::ErrorKind::Other.into()
        })
    });
    exported.map_err(|source| failure.unwrap_or_else(|| write_error(path, source)))
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::File { operation: "write", path: path.display().to_string(), source }
}

/// Writes the pages of these dates to `file`, which will stand at `path`.
fn write(
    path: &Path,
    form: Form,
    file: &mut File,
    journal: &Journal,
    (dates, start): (&[NaiveDate], &Start),
) -> Result<Exported, Error> {
    let failed = |source| write_error(path, source);
    let bytes = Arc::new(AtomicU64::new(0));
    let output = Output::new(file.try_clone().map_err(failed)?, Arc::clone(&bytes));
    let mut archive = Archive {
        writer: ArchiveWriter::new(form, output).map_err(failed)?,
        exported: Exported { path: path.to_owned(), dates: 0, stays: 0, pages: 0, samples: 0, bytes: 0 },
    };
    for (number, date) in (0..).zip(dates) {
        start.count("dates", number, Some(dates.len() as u64));
        archive.add_date(journal, *date, &start.stop)?;
    }
    let Archive { writer, mut exported } = archive;
    writer.finish().map_err(failed)?;
    exported.bytes = bytes.load(Ordering::Relaxed);
    Ok(exported)
}

struct Archive {
    writer: ArchiveWriter,
    exported: Exported,
}

impl Archive {
    fn add_date(&mut self, journal: &Journal, date: NaiveDate, stop: &Stop) -> Result<(), Error> {
        let mut bodies = journal.bodies()?;
        let stays_before = self.exported.stays;
        journal.each_landed(date, |id, stay, samples| {
            if stop.is_requested() {
                let Exported { dates, pages, .. } = self.exported;
                return Err(Error::Stopped(format!(
                    "{dates} dates, {pages} pages were written, and no archive is there"
                )));
            }
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

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, dates, stays, pages, samples, bytes } = self;
        writeln!(
            f,
            "{}  {dates} dates  {stays} stays  {pages} pages  {samples} samples  {bytes} bytes",
            Printable(path.display())
        )?;
        match pages {
            0 => writeln!(f, "there are no landed pages of these dates: the archive holds nothing"),
            _ => Ok(()),
        }
    }
}
