-- From format 3 to 4: what discovery finds, and requests by endpoint.

ALTER TABLE stay ADD COLUMN external INTEGER NOT NULL DEFAULT 0;

ALTER TABLE spent RENAME TO spent_3;
CREATE TABLE spent (
    day      INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    PRIMARY KEY (day, endpoint)
) STRICT, WITHOUT ROWID;
INSERT INTO spent (day, endpoint, requests) SELECT day, 0, requests FROM spent_3;
DROP TABLE spent_3;

-- A second reading may be of another meeting end.
DROP VIEW second_reading;
CREATE VIEW second_reading AS
SELECT second.id, second.rereads AS first, first.date, first.meeting_start, first.meeting_no, first.join_time,
       first.participant, first.kind, second.meeting_end, second.state, second.samples, second.reason, second.log_id,
       first.samples AS first_samples, first.file AS first_file, first.meeting_end AS first_meeting_end
FROM stay AS second JOIN stay AS first ON first.id = second.rereads
WHERE second.rereads IS NOT NULL;


CREATE TABLE meeting (
    id           INTEGER PRIMARY KEY,
    start_time   INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    end_time     INTEGER,
    participants INTEGER,
    date         INTEGER NOT NULL,
    UNIQUE (start_time, number)
) STRICT;
CREATE INDEX meeting_date ON meeting (date);

CREATE TABLE listing (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint     INTEGER NOT NULL,
    date         INTEGER,
    meeting      INTEGER,
    meeting_end  INTEGER,
    participants INTEGER,
    lane         INTEGER NOT NULL,
    state        INTEGER NOT NULL DEFAULT 0,
    pages        INTEGER NOT NULL DEFAULT 0,
    items        INTEGER NOT NULL DEFAULT 0,
    restarts     INTEGER NOT NULL DEFAULT 0,
    begun_at     INTEGER,
    settled_at   INTEGER,
    reason       TEXT,
    log_id       TEXT,
    suspect      INTEGER NOT NULL DEFAULT 0,
    unserved     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX listing_queue ON listing (endpoint, lane) WHERE state = 0;
CREATE INDEX listing_date ON listing (date) WHERE date IS NOT NULL;
CREATE INDEX listing_meeting ON listing (meeting) WHERE meeting IS NOT NULL;
CREATE INDEX listing_again ON listing (settled_at) WHERE state = 5;

CREATE TABLE listed_page (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    listing    INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    items      INTEGER NOT NULL,
    next_token TEXT,
    digest     BLOB    NOT NULL,
    body       INTEGER,
    UNIQUE (listing, number)
) STRICT;

CREATE TABLE sighting (
    id      INTEGER PRIMARY KEY,
    meeting INTEGER NOT NULL,
    page    INTEGER NOT NULL,
    UNIQUE (meeting, page)
) STRICT;
CREATE INDEX sighting_page ON sighting (page);

CREATE TABLE attendance (
    id       INTEGER PRIMARY KEY,
    meeting  INTEGER NOT NULL,
    identity BLOB    NOT NULL,
    number   INTEGER NOT NULL,
    listing  INTEGER NOT NULL,
    content  BLOB    NOT NULL,
    kind     INTEGER NOT NULL,
    stay     INTEGER,
    UNIQUE (meeting, identity, number)
) STRICT;

CREATE TABLE listed_date (
    dataset   INTEGER NOT NULL,
    date      INTEGER NOT NULL,
    last_page INTEGER NOT NULL,
    PRIMARY KEY (dataset, date)
) STRICT, WITHOUT ROWID;

CREATE TABLE listed_file (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset   INTEGER NOT NULL,
    date      INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    last_page INTEGER NOT NULL,
    published INTEGER NOT NULL DEFAULT 0,
    rows      INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    sha256    BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX listed_file_date ON listed_file (dataset, date, published);
