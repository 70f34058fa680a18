//! Files of meetings and participants that the journal does not know, taken for what is published of their dates.
//!
//! Their pages are in no journal any more, as after a prune: such a file can be read and verified, and not be built again. It stays
//! until its date has been listed anew as a whole, and is replaced then by what was listed.

use std::path::PathBuf;

use chrono::NaiveDate;

use super::{Target, read_back, sha256};
use crate::{
    dataset::Dataset,
    error::{Chain, Error},
    journal::{Journal, ListedFile},
    publish::Publishing,
    start::Stop,
    store::{FileName, Listing, PartFile},
};

/// What became of a file that the journal did not know.
#[derive(Debug)]
pub enum ListedAdoption {
    /// It is what is published of its date, with so many rows.
    Taken(u64),
    /// The table no longer has it: it goes when its time has come.
    Old,
    /// It is left as it is: where it stands, and why.
    Refused(PathBuf, String),
}

impl Publishing {
    /// Takes every file of the datasets of discovery that the journal does not know for what is published of its date, and tells what
    /// became of each. Once the command is told to stop, no further date is begun.
    ///
    /// # Errors
    ///
    /// If journal or dataset cannot be read; what was taken stays taken.
    pub fn adopt_listed(
        &self,
        journal: &mut Journal,
        stop: &Stop,
        mut told: impl FnMut(Dataset, ListedAdoption),
    ) -> Result<(), Error> {
        for dataset in Dataset::LISTED {
            let Some(store) = self.settings().listed_store(dataset)? else { continue };
            let dates = store.partitions()?.dates;
            if dates.is_empty() {
                continue;
            }
            let Some(target) = self.target(journal, dataset)? else { continue };
            target.settle_intents(journal)?;
            for date in dates {
                if stop.is_requested() {
                    return Ok(());
                }
                target.adopt_on(journal, date, |adoption| told(dataset, adoption))?;
            }
        }
        Ok(())
    }
}

impl Target<'_> {
    fn adopt_on(
        &self,
        journal: &mut Journal,
        date: NaiveDate,
        mut told: impl FnMut(ListedAdoption),
    ) -> Result<(), Error> {
        let Listing { files, active, .. } = self.store.list(date)?;
        let old = journal.old_names(self.dataset, date)?;
        let known = self.known(journal, date)?;
        let mut is_held = files.iter().any(|part| known.contains(&part.name));
        let unknown =
            files.into_iter().filter(|part| !known.contains(&part.name) && !old.contains(&part.name.to_string()));
        let is_active =
            |part: &PartFile| active.as_ref().is_none_or(|active| active.contains_key(&part.name.to_string()));
        let (current, left): (Vec<_>, Vec<_>) = unknown.partition(is_active);
        let is_rewritten = active.iter().flat_map(|active| active.keys()).any(|name| FileName::parse(name).is_none());
        is_held |= is_rewritten;
        let is_one_of_several = current.len() > 1;
        for part in current {
            let refusal = (is_held || is_one_of_several).then(|| "another visible file holds its date too".to_owned());
            told(self.adopt(journal, part, refusal)?);
            is_held = true;
        }
        // What the table does not have is old where it has something else of the date.
        for part in left {
            let adoption = if is_rewritten {
                self.adopt(journal, part, Some("another program has rewritten its date in the table".into()))?
            } else if is_held {
                let since_s = self.settings.stores.now_s();
                journal.retire((self.dataset, date), [part.name.to_string()], None, since_s)?;
                ListedAdoption::Old
            } else {
                let adoption = self.adopt(journal, part, None)?;
                if let ListedAdoption::Taken(_) = adoption {
                    let number = journal.listed_number(self.dataset, date, true)?;
                    self.shelf().take_in(journal, part, number)?;
                    is_held = true;
                }
                adoption
            };
            told(adoption);
        }
        Ok(())
    }

    /// Takes one file, unless there is a refusal already.
    fn adopt(&self, journal: &mut Journal, part: PartFile, refusal: Option<String>) -> Result<ListedAdoption, Error> {
        let path = self.store.path_of(part.date, part.name);
        let read = match refusal {
            Some(refusal) => Err(refusal),
            None => self.read(part).map_err(|error| Chain(&error).to_string()),
        };
        Ok(match read {
            Ok(file) => {
                journal.adopt_listed(&file)?;
                ListedAdoption::Taken(file.rows)
            }
            Err(refusal) => ListedAdoption::Refused(path, refusal),
        })
    }

    /// What the journal is to say of a file, which is read to its last row.
    fn read(&self, part: PartFile) -> Result<ListedFile, Error> {
        let PartFile { date, name, bytes } = part;
        let failed = |source| Error::Parquet { name: name.to_string(), source };
        let contents = read_back(self.store.open_file(date, name)?, self.table).map_err(failed)?;
        let zone = self.settings.zone.name();
        for (key, expected) in [("vcq.date", date.to_string()), ("vcq.timezone", zone.to_owned())] {
            if contents.metadata.get(key) != Some(&expected) {
                let said = contents.metadata.get(key).map_or("nothing", String::as_str);
                return Err(Error::Damaged(format!("its `{key}` is {said}, not {expected}")));
            }
        }
        let sha256 = sha256(&name.to_string(), self.store.open_file(date, name)?)?;
        let name = format!("{:016x}", name.digits());
        let (dataset, rows) = (self.dataset, contents.rows);
        Ok(ListedFile { dataset, date, name, last_page: 0, published: true, rows, bytes, sha256, adopted: true })
    }
}
