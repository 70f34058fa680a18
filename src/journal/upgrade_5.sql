-- From format 4 to 5: files that are no longer read and not deleted yet. Older versions do not know them, and would take them
-- for a stranger's.

CREATE TABLE old_file (
    dataset INTEGER NOT NULL,
    date    INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    PRIMARY KEY (dataset, date, name)
) STRICT, WITHOUT ROWID;
