//! From manifest files to staged stays and rejects: shared by `export` and `plan`.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Seek},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::{
    config::Config,
    error::Error,
    event::{Emit, Event},
    file::folder_of,
    journal::{Journal, Manifested, Staged, Staging},
    manifest::{
        self, Format, Reader,
        reject::{Reject, RejectsWriter},
        rules::Rules,
    },
    start::{Start, Stop},
    stay::Stay,
};

/// The manifests of one command.
#[derive(Clone, Debug)]
pub struct Manifests {
    /// Files in the order of the command line; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Form of those whose names do not tell it.
    pub format: Option<Format>,
}

impl Manifests {
    /// The name of a file, for messages.
    pub fn name(&self, file: u32) -> String {
        self.files.get(file as usize).map(|path| path.display().to_string()).unwrap_or_default()
    }
}

/// Reads all manifests into the journal's stage, and the rows that break a rule into `rejects`.
///
/// # Errors
///
/// If a file cannot be read as a manifest at all: then nothing has been queued.
pub fn take_in(
    journal: &Journal,
    manifests: &Manifests,
    config: &Config,
    start: &Start,
    rejects: &mut Rejects,
    emit: Emit<'_>,
) -> Result<Staged, Error> {
    let rules = Rules { now_s: start.now().timestamp(), naive_offset: config.api.naive_utc_offset };
    let spool_folder = journal.folder().to_owned();
    let mut staging = journal.stage()?;
    for (number, path) in (0_u32..).zip(&manifests.files) {
        let name = manifests.name(number);
        let reader = open(path, manifests.format, rules, &spool_folder).map_err(|error| error.of(&name))?;
        take_in_file(reader, number, &name, &mut staging, rejects, emit, &start.stop)?;
    }
    Ok(staging.finish()?)
}

fn take_in_file(
    mut reader: Reader,
    file: u32,
    name: &str,
    staging: &mut Staging,
    rejects: &mut Rejects,
    emit: Emit<'_>,
    stop: &Stop,
) -> Result<(), Error> {
    let mut rows = 0;
    for row in &mut reader {
        let row = row.map_err(|source| OpenError::Manifest(source).of(name))?;
        rows += 1;
        if stop.is_requested() {
            return Err(Error::Interrupted);
        }
        match row.stay {
            Ok(stay) => staging.push(&stay, Manifested { file, line: row.line })?,
            Err(reject) => {
                emit(Event::RowRejected { file: name, line: row.line, reject: &reject });
                rejects.write(name, row.line, &reject)?;
            }
        }
    }
    emit(Event::ManifestRead { file: name, rows, ignored_columns: reader.ignored_names() });
    Ok(())
}

/// Why a manifest could not be opened, before it is said of which file.
enum OpenError {
    Manifest(manifest::Error),
    Usage(String),
}

impl OpenError {
    fn of(self, name: &str) -> Error {
        match self {
            Self::Manifest(source) => Error::Manifest { file: name.into(), source },
            Self::Usage(text) => Error::Usage(text),
        }
    }
}

fn open(path: &Path, format: Option<Format>, rules: Rules, spool_folder: &Path) -> Result<Reader, OpenError> {
    let read = |source| OpenError::Manifest(manifest::Error::Read(source));
    let is_stdin = path.as_os_str() == "-";
    let format = match format {
        Some(format) => format,
        None if is_stdin => {
            return Err(OpenError::Usage("standard input has no name that tells its form: give --format".into()));
        }
        None => Format::of_file(path).map_err(OpenError::Manifest)?,
    };
    let reader = match (format, is_stdin) {
        (Format::Parquet, true) => Reader::parquet(spool(&mut io::stdin(), spool_folder).map_err(read)?, rules),
        (Format::Parquet, false) => Reader::parquet(File::open(path).map_err(read)?, rules),
        (text, true) => open_text(text, Box::new(io::stdin()), rules),
        (text, false) => open_text(text, Box::new(File::open(path).map_err(read)?), rules),
    };
    reader.map_err(OpenError::Manifest)
}

fn open_text(format: Format, input: Box<dyn Read + Send>, rules: Rules) -> Result<Reader, manifest::Error> {
    match format {
        Format::JsonLines => Reader::json_lines(input, rules),
        Format::Csv | Format::Parquet => Reader::csv(input, rules),
    }
}

/// A Parquet file is read from its end, which a stream does not let one do.
fn spool(input: &mut dyn Read, folder: &Path) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(folder)?;
    io::copy(input, &mut file)?;
    file.rewind()?;
    Ok(file)
}

/// `rejects.csv`, written beside where it will stand and put there at the end: it may be the manifest that is read.
pub struct Rejects {
    path: PathBuf,
    writer: Option<RejectsWriter<BufWriter<NamedTempFile>>>,
}

impl Rejects {
    /// Rejects that will stand at `path`, if there are any.
    pub fn at(path: PathBuf) -> Self {
        Self { path, writer: None }
    }

    /// Adds one.
    pub fn write(&mut self, manifest: &str, line: u64, reject: &Reject) -> Result<(), Error> {
        let written = self.writer().and_then(|writer| writer.write(manifest, line, reject));
        written.map_err(|source| self.error(source))
    }

    /// Adds a stay that the API rejected for `reason`.
    pub fn write_stay(&mut self, manifest: &str, line: u64, stay: &Stay, reason: &str) -> Result<(), Error> {
        let written = self.writer().and_then(|writer| writer.write_stay(manifest, line, stay, reason));
        written.map_err(|source| self.error(source))
    }

    /// Puts the file in place, and returns its path if there were rejects.
    pub fn finish(&mut self) -> Result<Option<PathBuf>, Error> {
        let Some(writer) = self.writer.take() else { return Ok(None) };
        let put = || -> io::Result<()> {
            let file = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            Ok(())
        };
        put().map_err(|source| self.error(source))?;
        Ok(Some(self.path.clone()))
    }

    fn writer(&mut self) -> io::Result<&mut RejectsWriter<BufWriter<NamedTempFile>>> {
        let writer = if let Some(writer) = self.writer.take() {
            writer
        } else {
            let folder = folder_of(&self.path);
            fs::create_dir_all(folder)?;
            RejectsWriter::new(BufWriter::new(NamedTempFile::new_in(folder)?))?
        };
        Ok(self.writer.insert(writer))
    }

    fn error(&self, source: io::Error) -> Error {
        Error::File { operation: "write", path: self.path.display().to_string(), source }
    }
}
