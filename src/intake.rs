//! From manifest files to staged stays and rejects: shared by `export` and `plan`.

pub mod rejects;

mod folder;

use std::{
    fs::File,
    io::{self, Read, Seek},
    ops::Range,
    path::{Path, PathBuf},
};

use crate::{
    config::Config,
    error::Error,
    event::{Emit, Event},
    intake::rejects::Rejects,
    journal::{Journal, Manifested, Staged, Staging},
    manifest::{self, Format, Lines, ManifestError, ManifestReader, Row, rules::Rules},
    start::Start,
};

/// Standard input, in the place of a file.
const STDIN: &str = "-";

/// Rows read at a time: between two steps, answers are taken in and requests are sent.
const ROWS_PER_STEP: u32 = 20_000;

/// The manifests of one command.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// Files and folders in the order of the command line; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Form of those whose names do not tell it.
    pub format: Option<Format>,
    /// Whether one without a row is an error.
    pub require_rows: bool,
    /// The folders among what was named, with the span that their files have in `files`; see [`listed`](Self::listed).
    pub folders: Vec<(Range<u32>, PathBuf)>,
}

impl Manifests {
    /// The same with each folder's files in its place.
    ///
    /// # Errors
    ///
    /// If one is not there, or a folder's files cannot be one manifest.
    pub fn listed(&self) -> Result<Self, Error> {
        let mut listed = Self { files: Vec::new(), ..self.clone() };
        let position = |files: &[PathBuf]| u32::try_from(files.len()).unwrap_or(u32::MAX);
        for path in &self.files {
            if path.as_os_str() != STDIN && !path.exists() {
                let file = path.display().to_string();
                return Err(Error::Manifest { file, source: missing_or(path, ManifestError::Read) });
            }
            if path.as_os_str() == STDIN || !path.is_dir() {
                listed.files.push(path.clone());
                continue;
            }
            let files = folder::files(path, self.format)
                .map_err(|source| Error::Manifest { file: path.display().to_string(), source })?;
            let first = position(&listed.files);
            listed.files.extend(files);
            listed.folders.push((first..position(&listed.files), path.clone()));
        }
        Ok(listed)
    }

    /// The manifest that the file belongs to, a folder or itself, and whether it is the last file of it.
    fn whole(&self, file: u32) -> (String, bool) {
        match self.folder_of(file) {
            Some((files, folder)) => (folder.display().to_string(), file + 1 == files.end),
            None => (self.name(file), true),
        }
    }

    fn folder_of(&self, file: u32) -> Option<&(Range<u32>, PathBuf)> {
        self.folders.iter().find(|(files, _)| files.contains(&file))
    }

    /// True if all of them are files on a disk: anything else may keep its reader waiting.
    pub fn are_on_disk(&self) -> bool {
        self.files.iter().all(|path| path.is_file())
    }

    /// The name of a file, for messages.
    pub fn name(&self, file: u32) -> String {
        self.files.get(file as usize).map(|path| path.display().to_string()).unwrap_or_default()
    }
}

/// Manifests on their way to the journal's stage.
pub struct Intake<'a> {
    manifests: &'a Manifests,
    rules: Rules,
    spool_folder: PathBuf,
    staging: Staging,
    /// Files opened so far.
    opened: u32,
    reading: Option<Reading>,
    /// Rows so far of the manifest that is being read, a file or a folder.
    whole_rows: u64,
    emit: Emit<'a>,
    start: Start,
}

/// The manifest that is being read.
struct Reading {
    file: u32,
    name: String,
    reader: ManifestReader,
    rows: u64,
}

impl<'a> Intake<'a> {
    /// Begins with the first one.
    pub fn begin(
        journal: &Journal,
        manifests: &'a Manifests,
        config: &Config,
        start: &Start,
        emit: Emit<'a>,
    ) -> Result<Self, Error> {
        let rules = Rules { now_s: start.now().timestamp(), naive_times: config.naive_times };
        let (staging, start) = (journal.stage()?, start.clone());
        let spool_folder = journal.spool_folder();
        Ok(Self { manifests, rules, spool_folder, staging, opened: 0, reading: None, whole_rows: 0, emit, start })
    }

    /// Reads some rows, and writes those that break a rule to `rejects`; false once all manifests are read.
    ///
    /// # Errors
    ///
    /// If a file cannot be read as a manifest at all: then nothing has been queued.
    pub fn step(&mut self, rejects: &mut Rejects) -> Result<bool, Error> {
        if self.start.stop.is_requested() {
            return Err(Error::Interrupted { queued: 0 });
        }
        for _ in 0..ROWS_PER_STEP {
            let Some(reading) = self.reading.as_mut() else {
                if self.open_next()? {
                    continue;
                }
                return Ok(false);
            };
            match reading.reader.next() {
                Some(Ok(row)) => reading.take(row, &mut self.staging, rejects, self.emit)?,
                Some(Err(source)) => return Err(OpenError::Manifest(source).of(&reading.name)),
                None => {
                    let Reading { file, name, rows, reader } = reading;
                    let (file, rows, ignored_columns) = (*file, *rows, reader.ignored_names());
                    (self.emit)(Event::ManifestRead { file: name, rows, ignored_columns });
                    self.reading = None;
                    self.end_file(file, rows)?;
                }
            }
        }
        if let Some(reading) = &self.reading {
            self.start.count("rows read", reading.rows, None);
        }
        Ok(true)
    }

    /// Tells how far the manifest was read that could not be read to its end, if one is open.
    pub fn cut(&self) {
        if let Some(Reading { name, rows, .. }) = &self.reading {
            (self.emit)(Event::ManifestCut { file: name, rows: *rows });
        }
    }

    /// Reads all rows that are left.
    pub fn finish(mut self, rejects: &mut Rejects) -> Result<Staged, Error> {
        while self.step(rejects)? {}
        Ok(self.staging.finish()?)
    }

    /// Opens the next manifest; false if there is none.
    fn open_next(&mut self) -> Result<bool, Error> {
        let Some(path) = self.manifests.files.get(self.opened as usize) else { return Ok(false) };
        let file = self.opened;
        let name = self.manifests.name(file);
        self.opened += 1;
        match open(path, self.manifests.format, self.rules, &self.spool_folder) {
            Ok(reader) => self.reading = Some(Reading { file, name, reader, rows: 0 }),
            // Spark writes a part without rows as a file without bytes, not even column names.
            Err(OpenError::Manifest(ManifestError::Empty)) if self.manifests.folder_of(file).is_some() => {
                (self.emit)(Event::ManifestRead { file: &name, rows: 0, ignored_columns: &[] });
                self.end_file(file, 0)?;
            }
            Err(error) => return Err(error.of(&name)),
        }
        Ok(true)
    }

    /// Sees, at the end of a manifest, whether it had rows.
    fn end_file(&mut self, file: u32, rows: u64) -> Result<(), Error> {
        self.whole_rows += rows;
        let (manifest, is_last) = self.manifests.whole(file);
        if !is_last || std::mem::take(&mut self.whole_rows) > 0 {
            return Ok(());
        }
        if self.manifests.require_rows {
            return Err(OpenError::Manifest(ManifestError::NoRows).of(&manifest));
        }
        (self.emit)(Event::NoRows { manifest: &manifest });
        Ok(())
    }
}

impl Reading {
    fn take(&mut self, row: Row, staging: &mut Staging, rejects: &mut Rejects, emit: Emit<'_>) -> Result<(), Error> {
        self.rows += 1;
        match row.stay {
            Ok(stay) => Ok(staging.push(&stay, Manifested { file: self.file, line: row.line })?),
            Err(reject) => {
                let lines = Lines { first: row.line, last: row.last_line };
                emit(Event::RowRejected { file: &self.name, lines, reject: &reject });
                rejects.write(&self.name, lines, &reject)
            }
        }
    }
}

/// Why a path that does not exist cannot be read.
fn missing_or(path: &Path, read: fn(io::Error) -> ManifestError) -> ManifestError {
    match path.metadata() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => read(error),
        _ => ManifestError::Missing,
    }
}

/// Why a manifest could not be opened, before it is said of which file.
enum OpenError {
    Manifest(ManifestError),
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

fn open(path: &Path, format: Option<Format>, rules: Rules, spool_folder: &Path) -> Result<ManifestReader, OpenError> {
    let read = |source| OpenError::Manifest(ManifestError::Read(source));
    let is_stdin = path.as_os_str() == STDIN;
    let format = match format {
        Some(format) => format,
        None if is_stdin => {
            return Err(OpenError::Usage("standard input has no name that tells its form: give --format".into()));
        }
        None => Format::of_file(path).map_err(OpenError::Manifest)?,
    };
    let reader = match (format, is_stdin) {
        (Format::Parquet, true) => ManifestReader::parquet(spool(&mut io::stdin(), spool_folder).map_err(read)?, rules),
        (Format::Parquet, false) => ManifestReader::parquet(File::open(path).map_err(read)?, rules),
        (text, true) => open_text(text, Box::new(io::stdin()), rules),
        (text, false) => {
            let file = File::open(path).map_err(read)?;
            require_compressed_bytes(path, &file).map_err(OpenError::Manifest)?;
            open_text(text, Box::new(file), rules)
        }
    };
    reader.map_err(OpenError::Manifest)
}

fn open_text(format: Format, input: Box<dyn Read + Send>, rules: Rules) -> Result<ManifestReader, ManifestError> {
    match format {
        Format::JsonLines => ManifestReader::json_lines(input, rules),
        Format::Csv | Format::Parquet => ManifestReader::csv(input, rules),
    }
}

/// A file that is named as compressed and has not even the bytes that would tell so was cut off: read as a text, it would
/// have no rows.
fn require_compressed_bytes(path: &Path, file: &File) -> Result<(), ManifestError> {
    const TOLD_BYTES: u64 = 4;
    let metadata = file.metadata().map_err(ManifestError::Read)?;
    let is_cut = metadata.is_file() && metadata.len() < TOLD_BYTES && manifest::is_named_compressed(path);
    if is_cut { Err(ManifestError::CutOff(metadata.len())) } else { Ok(()) }
}

/// A Parquet file is read from its end, which a stream does not let one do.
fn spool(input: &mut dyn Read, folder: &Path) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(folder)?;
    io::copy(input, &mut file)?;
    file.rewind()?;
    Ok(file)
}
