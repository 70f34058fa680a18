//! The file of rejects: rows that break a rule or that the API refused, to be mended and given back as a manifest.
//!
//! Each report has its own, `NAME.rejects.csv` beside `NAME.json`; a run without a report has one in the state folder that
//! no other run shares. Where nothing is rejected there is none: one that an earlier run left is taken away.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Seek},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

use crate::{
    error::Error,
    file::{self, Readers, folder_of},
    manifest::{
        Lines,
        reject::{Reject, RejectsWriter},
    },
    printable::Printable,
    stay::Stay,
};

/// Files of runs without a report that stay in the state folder; older ones are taken away.
const KEPT_MAX: usize = 30;

/// What the names of such files begin and end with; between the two stand when the run began, and its seed.
const OF_A_RUN: (&str, &str) = ("rejects-", ".csv");

/// Rejects on their way to their file, which is put in place at the end: it may be the manifest that is read.
pub struct Rejects {
    path: PathBuf,
    is_input: bool,
    /// False if they go nowhere.
    is_kept: bool,
    writer: Option<RejectsWriter<BufWriter<File>>>,
}

impl Rejects {
    /// Rejects that will stand at `path`, if there are any. A file there that is one of the `inputs` is not taken away if
    /// there are none.
    pub fn at(path: PathBuf, inputs: &[PathBuf]) -> Self {
        let same = |input: &PathBuf| match (fs::canonicalize(input), fs::canonicalize(&path)) {
            (Ok(input), Ok(path)) => input == path,
            _ => false,
        };
        Self { is_input: inputs.iter().any(same), is_kept: true, path, writer: None }
    }

    /// Rejects that stand in no file, where none may be created.
    pub fn unkept() -> Self {
        Self { path: PathBuf::new(), is_input: false, is_kept: false, writer: None }
    }

    /// Those of a run: beside its report, if that is a file, or else in the state folder, where `(began, seed)` tells the
    /// run from others.
    pub fn of_run(
        report: Option<&Path>,
        state: &Path,
        (began, seed): (DateTime<Utc>, u64),
        inputs: &[PathBuf],
    ) -> Self {
        let path = if let Some(report) = report.filter(|report| file::is_file(report)) {
            beside(report)
        } else {
            let ((start, end), began) = (OF_A_RUN, began.format("%Y%m%dT%H%M%S%3fZ"));
            state.join(format!("{start}{began}-{seed:016x}{end}"))
        };
        Self::at(path, inputs)
    }

    /// Whether a file that is read stands there.
    pub fn is_input(&self) -> bool {
        self.is_input
    }

    /// Where they will stand.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds one.
    pub fn write(&mut self, manifest: &str, lines: Lines, reject: &Reject) -> Result<(), Error> {
        if !self.is_kept {
            return Ok(());
        }
        let written = self.writer().and_then(|writer| writer.write(manifest, lines, reject));
        written.map_err(|source| self.error(source))
    }

    /// Adds a stay that the API rejected for `reason`.
    pub fn write_stay(&mut self, manifest: &str, line: u64, stay: &Stay, reason: &str) -> Result<(), Error> {
        let written = self.writer().and_then(|writer| writer.write_stay(manifest, line, stay, reason));
        written.map_err(|source| self.error(source))
    }

    /// Puts the file in place, and returns its path if there were rejects.
    pub fn finish(&mut self) -> Result<Option<PathBuf>, Error> {
        let Some(writer) = self.writer.take() else {
            if self.is_kept && !self.is_input {
                file::remove(&self.path)?;
            }
            return Ok(None);
        };
        let put = || -> io::Result<()> {
            let mut spool = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            spool.rewind()?;
            file::replace_with(&self.path, Readers::Owner, |file| io::copy(&mut spool, file))?;
            forget_old(folder_of(&self.path))
        };
        put().map_err(|source| self.error(source))?;
        Ok(Some(self.path.clone()))
    }

    /// What is written so far stands in a file without a name, which ends with this process.
    fn writer(&mut self) -> io::Result<&mut RejectsWriter<BufWriter<File>>> {
        let writer = if let Some(writer) = self.writer.take() {
            writer
        } else {
            let folder = folder_of(&self.path);
            fs::create_dir_all(folder)?;
            RejectsWriter::new(BufWriter::new(tempfile::tempfile_in(folder)?))?
        };
        Ok(self.writer.insert(writer))
    }

    fn error(&self, source: io::Error) -> Error {
        Error::File { operation: "write", path: Printable(self.path.display()).to_string(), source }
    }
}

/// `report.rejects.csv` for `report.json`.
fn beside(report: &Path) -> PathBuf {
    let is_json = report.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let stem = if is_json { report.file_stem() } else { report.file_name() };
    let mut name = stem.unwrap_or_default().to_owned();
    name.push(".rejects.csv");
    report.with_file_name(name)
}

/// Takes away the oldest files of runs without a report: their names sort by time.
fn forget_old(folder: &Path) -> io::Result<()> {
    let is_of_a_run = |name: &str| {
        let number = name.strip_prefix(OF_A_RUN.0).and_then(|rest| rest.strip_suffix(OF_A_RUN.1));
        number.is_some_and(|number| number.len() == "20261125T013000000Z-0123456789abcdef".len())
    };
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.retain(|name| is_of_a_run(name));
    names.sort_unstable();
    names.truncate(names.len().saturating_sub(KEPT_MAX));
    names.iter().try_for_each(|name| fs::remove_file(folder.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stay::{MeetingNo, Participant};

    fn write_one(rejects: &mut Rejects) {
        let stay = Stay {
            meeting_no: MeetingNo::parse("012345678").unwrap(),
            meeting_start_s: 1,
            meeting_end_s: 2,
            join_s: 1,
            participant: Participant::User("ou_1".into()),
        };
        rejects.write_stay("manifest.csv", 2, &stay, "no such user").unwrap();
    }

    #[test]
    fn each_report_has_its_own() {
        for (report, expected) in [
            ("report.json", "report.rejects.csv"),
            ("out/2026-03-01.json", "out/2026-03-01.rejects.csv"),
            ("out/Night.JSON", "out/Night.rejects.csv"),
            ("out/a.b", "out/a.b.rejects.csv"),
            ("report", "report.rejects.csv"),
        ] {
            assert_eq!(beside(Path::new(report)), Path::new(expected));
        }
        let began = "2026-03-01T01:30:00.5Z".parse().unwrap();
        for report in [None, Some(Path::new("/dev/null"))] {
            let rejects = Rejects::of_run(report, Path::new("state"), (began, 7), &[]);
            assert_eq!(rejects.path(), Path::new("state/rejects-20260301T013000500Z-0000000000000007.csv"));
        }
    }

    #[test]
    fn where_nothing_is_rejected_there_is_no_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("report.rejects.csv");
        let mut rejects = Rejects::at(path.clone(), &[]);
        write_one(&mut rejects);
        assert!(!path.exists(), "not before the end");
        assert_eq!(rejects.finish().unwrap().as_ref(), Some(&path));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
        // It is mended and given back: what is read is not taken away.
        let inputs = [home.path().join("./report.rejects.csv")];
        assert_eq!(Rejects::at(path.clone(), &inputs).finish().unwrap(), None);
        assert!(path.exists());
        assert_eq!(Rejects::at(path.clone(), &[]).finish().unwrap(), None);
        assert!(!path.exists());
    }

    #[test]
    fn the_state_folder_keeps_those_of_the_last_runs() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("rejects-of-mine.csv"), "").unwrap();
        for hour in 0..KEPT_MAX as u64 + 2 {
            let began = DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(hour.cast_signed());
            let mut rejects = Rejects::of_run(None, home.path(), (began, hour), &[]);
            write_one(&mut rejects);
            rejects.finish().unwrap();
        }
        let kept = fs::read_dir(home.path()).unwrap().count();
        assert_eq!(kept, KEPT_MAX + 1, "and what is not vcq's");
        assert!(!home.path().join("rejects-19700101T010000000Z-0000000000000001.csv").exists());
        assert!(home.path().join("rejects-19700101T020000000Z-0000000000000002.csv").exists());
    }
}
