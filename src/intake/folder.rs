//! A folder as a manifest: the files in it, as Spark and databases write them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::manifest::{Format, ManifestError};

/// The most files of a folder that are taken in at a time: their names stand in memory and in the report.
const FOLDER_FILES_MAX: usize = 100_000;

/// The files of the folder in the order of their names, without those that begin with `_` or `.`, which tools write for
/// themselves. All of them have one format: `format`, or the one that their names tell.
///
/// # Errors
///
/// If there is none, or something else than files, or more than one format.
pub(super) fn files(folder: &Path, format: Option<Format>) -> Result<Vec<PathBuf>, ManifestError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(ManifestError::Read)? {
        let path = entry.map_err(ManifestError::Read)?.path();
        let name = name_of(&path);
        if name.starts_with(['_', '.']) {
            continue;
        }
        if files.len() == FOLDER_FILES_MAX {
            return Err(ManifestError::TooManyFiles(FOLDER_FILES_MAX));
        }
        // A link counts as what it leads to.
        let metadata = fs::metadata(&path).map_err(ManifestError::Read)?;
        if metadata.is_dir() {
            return Err(ManifestError::NoFile(name, "a folder"));
        }
        if !metadata.is_file() {
            return Err(ManifestError::NoFile(name, "no file on a disk"));
        }
        files.push(path);
    }
    files.sort_unstable();
    let first = files.first().ok_or(ManifestError::NoFiles)?;
    if format.is_none() {
        let format = Format::of_file(first)?;
        for file in &files {
            if Format::of_file(file)? != format {
                return Err(ManifestError::MixedFormats { first: name_of(first), second: name_of(file) });
            }
        }
    }
    Ok(files)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn check(entries: &[&str], format: Option<Format>, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        for entry in entries {
            match entry.strip_suffix('/') {
                Some(name) => fs::create_dir(folder.path().join(name)).unwrap(),
                None => fs::write(folder.path().join(entry), "").unwrap(),
            }
        }
        let found = match files(folder.path(), format) {
            Ok(files) => files.iter().map(|file| name_of(file)).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{entries:?}");
    }

    #[test]
    fn a_folder_stands_for_its_files_of_one_format() {
        let none = "the folder has no files whose names begin neither with `_` nor with `.`";
        for (entries, expected) in [
            (&["b.csv", "a.csv", "part-00010.csv", "part-00002.csv"][..], "a.csv b.csv part-00002.csv part-00010.csv"),
            (&["_SUCCESS", ".a.csv.crc", "_temporary/", ".hidden/", "a.csv"], "a.csv"),
            (&["a.csv.gz", "b.csv", "c.CSV.zst"], "a.csv.gz b.csv c.CSV.zst"),
            (&["a.json", "b.jsonl.gz", "c.ndjson"], "a.json b.jsonl.gz c.ndjson"),
            (&["a.gz.parquet", "b.parq"], "a.gz.parquet b.parq"),
            (&[], none),
            (&["_SUCCESS", ".crc", "_delta_log/"], none),
            (
                &["b.csv", "a.parquet"],
                "the folder has files of two formats, `a.parquet` and `b.csv`; name the files that are meant",
            ),
            (
                &["a.csv", "date=2025-03-02/"],
                "the folder has `date=2025-03-02`, which is a folder; name the folders or files that are meant",
            ),
        ] {
            check(entries, None, expected);
        }
        check(&["000000_0", "000001_0.csv"], Some(Format::Csv), "000000_0 000001_0.csv");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        assert!(files(folder.path(), None).unwrap_err().to_string().contains("notes.txt` ends in none of .csv"));
        let linked = tempfile::tempdir().unwrap();
        symlink(folder.path().join("notes.txt"), linked.path().join("a.csv")).unwrap();
        assert_eq!(files(linked.path(), None).unwrap(), [linked.path().join("a.csv")]);
        symlink("/dev/null", linked.path().join("b.csv")).unwrap();
        let error = files(linked.path(), None).unwrap_err().to_string();
        assert_eq!(
            error,
            "the folder has `b.csv`, which is no file on a disk; name the folders or files that are meant"
        );
    }
}
