-- What an import knows of its archive: temporary, so that it ends with the process.
-- Of each stay, how many pages, from the first on without a gap, the archive and the journal have in common.
CREATE TEMP TABLE imported (
    stay   INTEGER PRIMARY KEY,
    agreed INTEGER NOT NULL
) STRICT;
-- Pages that stand in the archive before those that come before them, in the order of the archive.
CREATE TEMP TABLE parked (
    id         INTEGER PRIMARY KEY,
    stay       INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    samples    INTEGER NOT NULL,
    next_token TEXT,
    digest     BLOB    NOT NULL,
    body       BLOB    NOT NULL,               -- zstd
    file       INTEGER NOT NULL,
    line       INTEGER NOT NULL
) STRICT;
