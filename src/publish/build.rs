//! Landed pages → samples → columns → Parquet, in one pass over the stays of a file.

use super::Publisher;
use crate::{
    error::Error,
    journal::{FileRow, Journal},
    parquet::{FileFacts, PartWriter},
    read::{
        batch::{Batch, Unreadable},
        decode::{Unknown, decode},
    },
    store::staging::Staged,
};

/// Fills `staged`. What is left in `batch` by an earlier build that failed is forgotten.
pub(super) fn build(
    settings: &Publisher,
    journal: &Journal,
    file: &FileRow,
    staged: &mut Staged,
    batch: &mut Batch,
) -> Result<(Unreadable, Unknown), Error> {
    let failed = |source| Error::Parquet { name: file.name.clone(), source };
    let facts = FileFacts {
        date: file.date,
        timezone: settings.zone.name(),
        naive_offset: settings.naive_offset,
        stays: file.stays,
        samples: file.samples,
    };
    let mut writer = PartWriter::new(staged, &facts).map_err(failed)?;
    batch.clear();
    batch.take_unreadable();
    let mut unknown = Unknown::default();
    let mut bodies = journal.bodies()?;
    journal.each_member(file, |id, stay, _| {
        let mut rows = batch.stay(stay);
        bodies.each(id, |_, body| {
            let mut written = Ok(());
            let decoded = decode(body, &mut unknown, |sample| {
                rows.push(sample);
                if let Some(batch) = rows.full().filter(|_| written.is_ok()) {
                    written = writer.write(batch).map_err(failed);
                }
            });
            decoded.map_err(|source| Error::Page { stay: id, source })?;
            written
        })
    })?;
    writer.write(batch).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok((batch.take_unreadable(), unknown))
}
