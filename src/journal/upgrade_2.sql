-- From format 1 to format 2.
ALTER TABLE stay ADD COLUMN intended INTEGER;
ALTER TABLE stay ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stay ADD COLUMN short INTEGER NOT NULL DEFAULT 0;
DROP INDEX stay_queue;
CREATE INDEX stay_queue ON stay (suspect, lane) WHERE state = 0;
CREATE INDEX stay_short ON stay (meeting_end) WHERE short = 1;

-- The numbers of second readings are their own from now on.
UPDATE page SET stay = -(SELECT rereads FROM stay WHERE id = page.stay)
WHERE stay IN (SELECT id FROM stay WHERE rereads IS NOT NULL);
UPDATE stay SET id = -rereads WHERE rereads IS NOT NULL;

ALTER TABLE file RENAME TO file_1;
CREATE TABLE file (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    date      INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    replaces  INTEGER NOT NULL,
    published INTEGER NOT NULL DEFAULT 0,
    stays     INTEGER NOT NULL,
    samples   INTEGER NOT NULL,
    bytes     INTEGER,
    sha256    BLOB
) STRICT;
-- Of several intents of one date the last one was made for all that the others were made for.
INSERT INTO file (id, date, name, replaces, published, stays, samples, bytes, sha256)
SELECT id, date, name, replaces, published, stays, samples, bytes, sha256 FROM file_1
WHERE published = 1 OR id IN (SELECT max(id) FROM file_1 WHERE published = 0 GROUP BY date);
DROP TABLE file_1;
CREATE INDEX file_date ON file (date);
CREATE UNIQUE INDEX file_intent ON file (date) WHERE published = 0;

-- Format 1 said of a stay in which file it is meant to be, whether that was visible or not, and sometimes a file that had
-- been forgotten meanwhile, which hid the stay for good.
UPDATE stay SET intended = file, file = NULL
WHERE file IN (SELECT id FROM file AS meant WHERE NOT published AND meant.date = stay.date);
UPDATE stay SET file = NULL
WHERE file IS NOT NULL AND NOT EXISTS (SELECT 1 FROM file AS held WHERE held.id = stay.file AND held.date = stay.date);

CREATE TABLE refresh (
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL,
    date  INTEGER NOT NULL,
    PRIMARY KEY (first, last, date)
) STRICT, WITHOUT ROWID;
-- A refresh that was under way: its span is not known, so each of its dates is one.
INSERT INTO refresh (first, last, date)
SELECT DISTINCT first.date, first.date, first.date FROM stay AS second JOIN stay AS first ON first.id = second.rereads
WHERE second.rereads IS NOT NULL;
