//! `vcq discover`: which meetings dates had and who took part, without their samples. The stays are left in the queue, and a
//! manifest of them can be written.

use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, Seek},
    path::{Path, PathBuf},
};

use super::{
    cost::Cost,
    export::{Conclusion, Export, Surroundings, export},
};
use crate::{
    dates::Dates,
    error::{Error, ExitCode},
    fetch::Until,
    file::{self, Readers},
    intake::Manifests,
    journal::{Identity, Journal, Lane},
    manifest::{Format, write::ManifestWriter},
    printable::Printable,
    words::Count,
};

/// What a discovery is asked to do.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The dates.
    pub dates: Dates,
    /// Whether they are listed again even if they are closed.
    pub refresh: bool,
    /// The priority of what is asked for.
    pub lane: Lane,
    /// When to send no more requests.
    pub until: Option<Until>,
    /// What the process exits with where a limit of time or of the month has ended the run.
    pub planned_end: ExitCode,
    /// Where to write the report.
    pub report: Option<PathBuf>,
    /// Where to write the manifest of the stays.
    pub write_manifest: Option<PathBuf>,
}

/// How a discovery ended.
#[derive(Debug)]
pub struct Discovered {
    /// The account of the run.
    pub outcome: Conclusion,
    /// What asking for the samples of the stays will cost.
    pub cost: Cost,
    /// The manifest, if one was written.
    pub manifest: Option<Written>,
}

/// A manifest that was written.
#[derive(Debug)]
pub struct Written {
    /// Where it is.
    pub path: PathBuf,
    /// Its stays.
    pub stays: u64,
    /// Stays of other tenants, which it leaves out: the API lets no app use their ids.
    pub left_out: u64,
}

/// Runs one discovery to its end, or to where it has to stop.
///
/// # Errors
///
/// As [`export`]; also if the manifest cannot be written, or its name does not tell its form.
pub async fn discover(task: &Discovery, around: &Surroundings<'_>) -> Result<Discovered, Error> {
    let format = task.write_manifest.as_deref().map(format_of).transpose()?;
    if let Some(path) = &task.write_manifest {
        file::refuse_input("--write-manifest", path, &[], around.config)?;
        file::prepare(path)?;
    }
    let run = Export {
        manifests: Manifests::default(),
        discover: Some(task.dates),
        fetches_samples: false,
        refresh: task.refresh.then_some(task.dates),
        accept_fewer: false,
        planned_end: task.planned_end,
        lane: task.lane,
        until: task.until,
        report: task.report.clone(),
    };
    let outcome = export(&run, around).await?;
    let journal = Journal::read(&around.config.state, &Identity::of(around.config))?;
    let Dates { first, last } = task.dates;
    let cost = Cost::of(journal.requests_left(first, last)?, &journal, around.config, around.start)?;
    let manifest = task.write_manifest.as_deref().zip(format);
    let manifest = manifest.map(|(path, format)| write_manifest(&journal, task.dates, format, path)).transpose()?;
    Ok(Discovered { outcome, cost, manifest })
}

impl fmt::Display for Discovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.outcome.report)?;
        writeln!(f, "samples    of the pending stays of these dates:")?;
        write!(f, "{}", self.cost)?;
        match &self.manifest {
            Some(Written { path, stays, left_out }) => {
                writeln!(f, "manifest   {} in {}", Count(*stays, "stay"), Printable(path.display()))?;
                if *left_out > 0 {
                    writeln!(f, "           {left_out} stays of other tenants are left out: no app may use their ids")?;
                }
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn format_of(path: &Path) -> Result<Format, Error> {
    Format::of_file(path).map_err(|_| {
        Error::Usage(format!("--write-manifest `{}`: its name must end in .csv, .jsonl or .parquet", path.display()))
    })
}

/// Writes the stays that were discovered of the dates, in the order of the dataset's rows.
fn write_manifest(journal: &Journal, dates: Dates, format: Format, path: &Path) -> Result<Written, Error> {
    let failed = |source| Error::File { operation: "write", path: path.display().to_string(), source };
    let spool = tempfile::tempfile_in(journal.spool_folder()).map_err(failed)?;
    let mut writer = ManifestWriter::new(format, BufWriter::new(spool)).map_err(failed)?;
    let (mut stays, mut left_out) = (0, 0);
    journal.each_discovered(dates.first, dates.last, |stay, can_be_asked_for| {
        if !can_be_asked_for {
            left_out += 1;
            return Ok(());
        }
        stays += 1;
        writer.write(stay).map_err(failed)
    })?;
    let put = || -> io::Result<()> {
        let mut spool: File = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        spool.rewind()?;
        file::replace_with(path, Readers::Owner, |file| io::copy(&mut spool, file)).map(drop)
    };
    put().map_err(failed)?;
    Ok(Written { path: path.to_owned(), stays, left_out })
}
