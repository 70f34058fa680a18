//! How a date stands in the table of its dataset, and whether what other programs have put there is there and can be read.
//!
//! Other programs may put the rows of a date into files of their own, and take away what they have rewritten. The log tells how
//! many rows such files have; that they are there, and what is in them, it does not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
};

use super::{
    fault::{Depth, Fault},
    file::name_of,
};
use crate::{
    error::{Chain, Error},
    journal::{FileRow, Journal},
    parquet::{ParquetFileError, Whose, count_rows},
    printable::Printable,
    store::{
        FileName, Store,
        table::{Active, ActiveFile},
    },
    words::Count,
};

/// How a date stands in the dataset's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The table has what is published.
    AsPublished,
    /// Other programs' files have as many rows in its place.
    Rewritten,
    /// Other programs' files have rows that were never published, as far as the journal knows: who published beside them would
    /// publish twice.
    Unexplained(String),
    /// It has something else.
    Otherwise(String),
}

impl Standing {
    /// Compares what the table has of a date with what is published: names, and rows in all.
    pub(super) fn of(active: &Active, published: &BTreeSet<FileName>, rows: u64) -> Self {
        let is_published = |name: &String| FileName::parse(name).is_some_and(|name| published.contains(&name));
        let told: Option<u64> = active.values().map(|file| file.rows).sum();
        let are_published = active.len() == published.len() && active.keys().all(is_published);
        if are_published && told.is_none_or(|told| told == rows) {
            return Self::AsPublished;
        }
        let is_other = |name: &String| FileName::parse(name).is_none();
        let others = active.keys().filter(|name| is_other(name)).count();
        if others > 0 && told == Some(rows) && active.keys().all(|name| is_other(name) || is_published(name)) {
            return Self::Rewritten;
        }
        let told_rows =
            told.map_or_else(|| "rows that the log does not count".to_owned(), |rows| Count(rows, "row").to_string());
        let expected = match published.len() {
            0 => "and nothing is published of it".to_owned(),
            files => format!("not {} with {}", Count(files, "file"), Count(rows, "row")),
        };
        let what = format!("{} with {told_rows}", Count(active.len(), "file"));
        if others > 0 && (published.is_empty() || told.is_none_or(|told| told > rows)) {
            let of_files = if others == active.len() { String::new() } else { format!("{others} of the files ") };
            return Self::Unexplained(format!("{what} ({of_files}put by another program), {expected}"));
        }
        Self::Otherwise(format!("{what}, {expected}"))
    }
}

/// What the table of a dataset says of a date; nothing, if it is none.
pub(super) struct TableLook<'a> {
    active: Option<&'a Active>,
    /// The sizes of files that are not vcq's.
    sizes: &'a BTreeMap<String, u64>,
    standing: Option<Standing>,
    /// The rows that are published.
    rows: u64,
    can_be_rebuilt: bool,
}

impl<'a> TableLook<'a> {
    /// Compares what the table has with what is published, and its rows.
    pub(super) fn new(
        (active, sizes): (Option<&'a Active>, &'a BTreeMap<String, u64>),
        (published, rows): (&BTreeSet<FileName>, u64),
        can_be_rebuilt: bool,
    ) -> Self {
        let standing = active.map(|active| Standing::of(active, published, rows));
        Self { active, sizes, standing, rows, can_be_rebuilt }
    }

    /// Whether another program has put the rows of the date into files of its own.
    pub(super) fn is_rewritten(&self) -> bool {
        self.standing == Some(Standing::Rewritten)
    }

    /// Whether the rows of a published file are in another program's, so that nobody reads it any more, and it need not be there.
    pub(super) fn is_in_others(&self, name: FileName) -> bool {
        let is_active = |active: &Active| active.contains_key(&name.to_string());
        self.is_rewritten() && !self.active.is_some_and(is_active)
    }

    /// What is wrong with what the table has, unless what was `found` says by itself why that is something else than what is
    /// published: a publication that was cut, or a file of vcq's that the journal does not know.
    pub(super) fn fault(&self, found: &[Fault]) -> Option<Fault> {
        let can_be_rebuilt = self.can_be_rebuilt && self.rows > 0;
        let is_cut = found.contains(&Fault::Intended);
        let is_unknown = found.iter().any(|fault| matches!(fault, Fault::Unknown(_)));
        match self.standing.clone() {
            Some(Standing::Otherwise(what)) if !is_cut && !is_unknown => Some(Fault::Table { what, can_be_rebuilt }),
            Some(Standing::Unexplained(what)) if !is_cut => Some(Fault::Unexplained { what, can_be_rebuilt }),
            _ => None,
        }
    }

    /// What is wrong with the files of other programs: each is to be there with the size that the log tells, and, where files are
    /// read, its rows are to be those of the published files that it stands for: of samples those of the same stays, which
    /// `published` tells, of others as many.
    pub(super) fn others_faults(
        &self,
        store: &Store,
        published: Option<(&Journal, &[FileRow])>,
        depth: Depth,
    ) -> Result<Vec<Fault>, Error> {
        let mut found = Vec::new();
        for (name, file) in self.others() {
            found.extend(self.absence(store, name, file)?);
        }
        if found.is_empty() && is_to_be_read(store, depth) {
            found.extend(match published {
                Some((journal, files)) => self.samples_difference(store, journal, files)?,
                None => self.count_difference(store),
            });
        }
        let can_be_rebuilt = self.can_be_rebuilt && self.rows > 0;
        Ok(found.into_iter().map(|what| Fault::Others { what, can_be_rebuilt }).collect())
    }

    /// The files of other programs that are the table's.
    fn others(&self) -> impl Iterator<Item = (&String, &ActiveFile)> {
        let active = self.active.into_iter().flatten();
        active.filter(|(name, _)| FileName::parse(name).is_none())
    }

    /// How a file differs from what the log says of it, without reading it.
    fn absence(&self, store: &Store, name: &str, file: &ActiveFile) -> Result<Option<String>, Error> {
        let is_in_folder = name != file.path;
        let listed = self.sizes.get(name).filter(|_| is_in_folder).copied();
        let found = match listed {
            None => store.size_at(&file.path)?,
            listed => listed,
        };
        let path = store.address_at(&file.path);
        let path = Printable(path.display());
        Ok(match found {
            Some(bytes) if bytes == file.bytes => None,
            Some(bytes) => {
                Some(format!("`{path}`, which the table has of another program, has {bytes} bytes, not {}", file.bytes))
            }
            None => Some(format!("`{path}`, which the table has of another program, is not there")),
        })
    }

    /// Whose rows other programs' files have, if not those of the published `files` that they stand for.
    fn samples_difference(&self, store: &Store, journal: &Journal, files: &[FileRow]) -> Result<Option<String>, Error> {
        let mut found = Whose::default();
        if let Some(unreadable) = self.read_others(store, |file| found.add_file(file)) {
            return Ok(Some(unreadable));
        }
        if !self.is_rewritten() {
            return Ok(None);
        }
        let mut expected = Whose::default();
        for file in files.iter().filter(|file| file.published) {
            if self.is_in_others(name_of(file)?) {
                journal.each_member(file, |_, stay, samples| {
                    expected.add(stay, u64::from(samples));
                    Ok::<_, Error>(())
                })?;
            }
        }
        if found.rows != expected.rows {
            return Ok(Some(other_count(found.rows, expected.rows)));
        }
        Ok((found != expected)
            .then(|| "the table has rows of other stays than were published, in another program's files".to_owned()))
    }

    /// How many rows other programs' files have, if not as many as are published.
    fn count_difference(&self, store: &Store) -> Option<String> {
        let mut rows = 0;
        let unreadable = self.read_others(store, |file| {
            rows += count_rows(file)?;
            Ok(())
        });
        unreadable.or_else(|| (self.is_rewritten() && rows != self.rows).then(|| other_count(rows, self.rows)))
    }

    /// Hands every file of other programs to `take`; tells of the first that cannot be read.
    fn read_others(&self, store: &Store, mut take: impl FnMut(File) -> Result<(), ParquetFileError>) -> Option<String> {
        let mut read = |file: &ActiveFile| -> Result<(), Error> {
            let name = store.address_at(&file.path).display().to_string();
            take(store.open_at(&file.path)?).map_err(|source| Error::Parquet { name, source })
        };
        self.others().find_map(|(_, file)| read(file).err()).map(|error| Chain(&error).to_string())
    }
}

fn other_count(found: u64, expected: u64) -> String {
    format!("the table has {} in another program's files, not {expected}", Count(found, "row"))
}

/// Whether files are read, and not only looked at.
fn is_to_be_read(store: &Store, depth: Depth) -> bool {
    match depth {
        Depth::Names => false,
        Depth::Kept => !store.is_in_bucket(),
        Depth::Rows => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_stands_in_the_table_as_published_or_with_as_many_rows_of_others() {
        const OTHER: &str = "part-00000-c000.zstd.parquet";
        let published = BTreeSet::from([FileName::new(1), FileName::new(2)]);
        let [first, second, unknown] = [1, 2, 3].map(|digits| FileName::new(digits).to_string());
        let active = |files: &[(&str, Option<u64>)]| -> Active {
            let file = |(name, rows): &(&str, _)| {
                ((*name).to_owned(), ActiveFile { path: (*name).to_owned(), bytes: 1, rows: *rows })
            };
            files.iter().map(file).collect()
        };
        let kind = |standing: &Standing| match standing {
            Standing::AsPublished => "as published",
            Standing::Rewritten => "rewritten",
            Standing::Unexplained(_) => "unexplained",
            Standing::Otherwise(_) => "otherwise",
        };
        for (files, expected) in [
            (vec![(&*first, Some(3)), (&second, Some(4))], "as published"),
            (vec![(&*first, None), (&second, None)], "as published"),
            (vec![(&*first, Some(3)), (&second, Some(3))], "otherwise"),
            (vec![(OTHER, Some(7))], "rewritten"),
            (vec![(&*first, Some(3)), (OTHER, Some(4))], "rewritten"),
            (vec![(OTHER, Some(6))], "otherwise"),
            (vec![(OTHER, Some(8))], "unexplained"),
            (vec![(&*first, Some(3)), (&second, Some(4)), (OTHER, Some(1))], "unexplained"),
            (vec![(OTHER, None)], "unexplained"),
            (vec![(&*first, Some(7))], "otherwise"),
            (vec![(&*unknown, Some(7))], "otherwise"),
            (vec![], "otherwise"),
        ] {
            let standing = Standing::of(&active(&files), &published, 7);
            assert_eq!(kind(&standing), expected, "{files:?}: {standing:?}");
        }
        assert_eq!(kind(&Standing::of(&active(&[(OTHER, Some(1))]), &BTreeSet::new(), 0)), "unexplained");
        assert_eq!(kind(&Standing::of(&active(&[(&unknown, Some(1))]), &BTreeSet::new(), 0)), "otherwise");
    }
}
