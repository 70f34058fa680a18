-- The journal's tables, format 5. Times are unix seconds unless a name says otherwise; a date is days since 1970-01-01.
-- No foreign keys: to delete a file or a body, SQLite would look for those that refer to it through all stays or pages.

-- What must not change while the journal has stays (time zone, kind of user ids), and what outlives a process.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per stay, numbered in the order in which they are asked for.
CREATE TABLE stay (
    id            INTEGER PRIMARY KEY,
    meeting_start INTEGER NOT NULL,
    meeting_no    INTEGER NOT NULL,            -- nine digits with leading zeros
    join_time     INTEGER NOT NULL,
    participant   TEXT    NOT NULL,            -- the user's or the room's id
    kind          INTEGER NOT NULL,            -- 0 user, 1 room
    meeting_end   INTEGER NOT NULL,
    date          INTEGER,                     -- the partition; null for a second reading, which is in none
    lane          INTEGER NOT NULL,            -- 0 nightly, 1 backfill: taken in this order
    state         INTEGER NOT NULL DEFAULT 0,  -- 0 pending, 1 done, 2 absent, 3 rejected, 4 failed, 5 absent so far
    pages         INTEGER NOT NULL DEFAULT 0,  -- landed
    samples       INTEGER NOT NULL DEFAULT 0,  -- landed
    restarts      INTEGER NOT NULL DEFAULT 0,  -- times the stay was read from its first page again
    settled_at    INTEGER,
    reason        TEXT,                        -- why it is absent, rejected or failed
    log_id        TEXT,                        -- X-Tt-Logid of the answer that said so
    file          INTEGER,                     -- the visible part file that holds it; not declared as a key of `file`: to
                                               -- forget a file, SQLite would then look at every stay
    rereads       INTEGER,                     -- the stay of which this row is a second reading: then its own number is the
                                               -- negative of that one, so that no number ever names two stays
    intended      INTEGER,                     -- the part file that is meant to hold it, and is not known to be visible
    suspect       INTEGER NOT NULL DEFAULT 0,  -- asked for only by a run that names it; 1: its answer was one of those that
                                               -- raised an alarm, and it comes after all others; 2: it waited beside them
    short         INTEGER NOT NULL DEFAULT 0,  -- 1: its samples end long before it may have ended, and its meeting was young:
                                               -- to be asked once more; 2: it has been
    external      INTEGER NOT NULL DEFAULT 0   -- 1: discovered, and of another tenant as far as the listing says: the app may
                                               -- not use its id
) STRICT;

-- The key of a stay, in the order of the dataset's rows.
CREATE UNIQUE INDEX stay_key ON stay (meeting_start, meeting_no, join_time, participant, kind) WHERE rereads IS NULL;
CREATE UNIQUE INDEX stay_rereads ON stay (rereads) WHERE rereads IS NOT NULL;
CREATE INDEX stay_queue ON stay (suspect, lane) WHERE state = 0;
CREATE INDEX stay_again ON stay (settled_at) WHERE state IN (4, 5);
CREATE INDEX stay_short ON stay (meeting_end) WHERE short = 1;
CREATE INDEX stay_date ON stay (date, state);
CREATE INDEX stay_unpublished ON stay (date) WHERE state = 1 AND samples > 0 AND file IS NULL;

-- Readings apart: of a stay that has been asked for again, a row of each.
CREATE VIEW first_reading AS SELECT * FROM stay WHERE rereads IS NULL;
CREATE VIEW second_reading AS
SELECT second.id, second.rereads AS first, first.date, first.meeting_start, first.meeting_no, first.join_time,
       first.participant, first.kind, second.meeting_end, second.state, second.samples, second.reason, second.log_id,
       first.samples AS first_samples, first.file AS first_file, first.meeting_end AS first_meeting_end
FROM stay AS second JOIN stay AS first ON first.id = second.rereads
WHERE second.rereads IS NOT NULL;

-- Landed pages.
CREATE TABLE page (
    stay       INTEGER NOT NULL,
    number     INTEGER NOT NULL,               -- from 0
    samples    INTEGER NOT NULL,
    next_token TEXT,                           -- null on the last page
    digest     BLOB    NOT NULL,               -- SHA-256 of the body, first 16 bytes
    body       INTEGER,                        -- its number in `body`; null once pruned
    PRIMARY KEY (stay, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX page_pruned ON page (stay) WHERE body IS NULL;

-- Their bodies, as the API sent them: apart, so that dropping them frees whole database pages.
CREATE TABLE body (
    id   INTEGER PRIMARY KEY,
    zstd BLOB NOT NULL
) STRICT;

-- Requests whose slot of an endpoint's quota is not free yet or was taken a minute ago, in unix milliseconds.
CREATE TABLE slot (
    id       INTEGER PRIMARY KEY,
    sent_ms  INTEGER NOT NULL,
    free_ms  INTEGER NOT NULL,
    endpoint INTEGER NOT NULL DEFAULT 0        -- 0 participant_quality_list, 1 meeting_list, 2 participant_list
) STRICT;

-- Until when an endpoint refuses all requests, in unix milliseconds.
CREATE TABLE gate (
    endpoint INTEGER PRIMARY KEY,
    until_ms INTEGER NOT NULL
) STRICT;

-- Requests sent, by calendar day in UTC+8 and endpoint.
CREATE TABLE spent (
    day      INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    PRIMARY KEY (day, endpoint)
) STRICT, WITHOUT ROWID;

-- Part files of the dataset: meant to be published, or published. AUTOINCREMENT: a number is never used again.
CREATE TABLE file (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    date      INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    replaces  INTEGER NOT NULL,                -- 1: takes the place of all other files of its date
    published INTEGER NOT NULL DEFAULT 0,
    stays     INTEGER NOT NULL,
    samples   INTEGER NOT NULL,
    bytes     INTEGER,                         -- once built
    sha256    BLOB                             -- once built
) STRICT;
CREATE INDEX file_date ON file (date);
-- At most one intent a date.
CREATE UNIQUE INDEX file_intent ON file (date) WHERE published = 0;

-- Refreshes that have begun and not come to their end: the dates of each whose stays are asked for again.
CREATE TABLE refresh (
    first INTEGER NOT NULL,                    -- the span that was asked for
    last  INTEGER NOT NULL,
    date  INTEGER NOT NULL,
    PRIMARY KEY (first, last, date)
) STRICT, WITHOUT ROWID;

-- Meetings that were discovered, as the last listing has them.
CREATE TABLE meeting (
    id           INTEGER PRIMARY KEY,
    start_time   INTEGER NOT NULL,
    number       INTEGER NOT NULL,             -- nine digits with leading zeros
    end_time     INTEGER,                      -- null: the API did not say
    participants INTEGER,                      -- how many there were by the API's own count; null: it did not say
    date         INTEGER NOT NULL,
    UNIQUE (start_time, number)
) STRICT;
CREATE INDEX meeting_date ON meeting (date);

-- Listings: of the meetings of a date, or of the participants of a meeting; the last one of each counts.
CREATE TABLE listing (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint     INTEGER NOT NULL,             -- 1 meeting_list, 2 participant_list
    date         INTEGER,                      -- whose meetings
    meeting      INTEGER,                      -- whose participants
    meeting_end  INTEGER,                      -- its end, as it is asked with
    participants INTEGER,                      -- how many it had by the API's own count when this was begun
    lane         INTEGER NOT NULL,             -- 0 nightly, 1 backfill: taken in this order
    state        INTEGER NOT NULL DEFAULT 0,   -- as that of a stay
    pages        INTEGER NOT NULL DEFAULT 0,   -- landed
    items        INTEGER NOT NULL DEFAULT 0,   -- landed
    restarts     INTEGER NOT NULL DEFAULT 0,   -- listings before this one that were given up for it, one after the other
    begun_at     INTEGER,                      -- when its first page landed
    settled_at   INTEGER,
    reason       TEXT,                         -- why it is absent, rejected or failed
    log_id       TEXT,
    suspect      INTEGER NOT NULL DEFAULT 0,   -- 1: asked for only by a run that names its date, after an alarm
    unserved     INTEGER NOT NULL DEFAULT 0    -- 1: no run that named its date has come to its end since
) STRICT;
CREATE INDEX listing_queue ON listing (endpoint, lane) WHERE state = 0;
CREATE INDEX listing_date ON listing (date) WHERE date IS NOT NULL;
CREATE INDEX listing_meeting ON listing (meeting) WHERE meeting IS NOT NULL;
CREATE INDEX listing_again ON listing (settled_at) WHERE state = 5;

-- Landed pages of listings. What is published of a date comes from all of them, the later ones over the earlier.
CREATE TABLE listed_page (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    listing    INTEGER NOT NULL,
    number     INTEGER NOT NULL,               -- from 0
    items      INTEGER NOT NULL,
    next_token TEXT,                           -- null on the last page
    digest     BLOB    NOT NULL,               -- SHA-256 of the body, first 16 bytes
    body       INTEGER,                        -- its number in `body`; null once pruned
    UNIQUE (listing, number)
) STRICT;

-- Which page has which meeting.
CREATE TABLE sighting (
    id      INTEGER PRIMARY KEY,
    meeting INTEGER NOT NULL,
    page    INTEGER NOT NULL,
    UNIQUE (meeting, page)
) STRICT;
CREATE INDEX sighting_page ON sighting (page);

-- Rows of participant_list, each once however often it was listed.
CREATE TABLE attendance (
    id       INTEGER PRIMARY KEY,
    meeting  INTEGER NOT NULL,
    identity BLOB    NOT NULL,                 -- digest of what tells it from others of its meeting
    number   INTEGER NOT NULL,                 -- from 0, among those that nothing tells apart
    listing  INTEGER NOT NULL,                 -- the last one that has it
    content  BLOB    NOT NULL,                 -- digest of the row as that has it
    kind     INTEGER NOT NULL,                 -- 0 a stay, 1 telephone, 2 SIP, 3 document, 4 guest, 5 two ids, 6 broken
    stay     INTEGER,                          -- which, if it is one
    UNIQUE (meeting, identity, number)
) STRICT;

-- The last page that a date of a dataset comes from.
CREATE TABLE listed_date (
    dataset   INTEGER NOT NULL,                -- 1 meetings, 2 participants
    date      INTEGER NOT NULL,
    last_page INTEGER NOT NULL,
    PRIMARY KEY (dataset, date)
) STRICT, WITHOUT ROWID;

-- Files of the datasets that come from listings: at most one published and one intent a date.
CREATE TABLE listed_file (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset   INTEGER NOT NULL,                -- 1 meetings, 2 participants
    date      INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    last_page INTEGER NOT NULL,                -- the last page that it comes from
    published INTEGER NOT NULL DEFAULT 0,
    rows      INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    sha256    BLOB    NOT NULL,
    adopted   INTEGER NOT NULL DEFAULT 0       -- 1: was there without this journal; it comes from no page, last_page was the last one then
) STRICT;
CREATE UNIQUE INDEX listed_file_date ON listed_file (dataset, date, published);

-- Files that a dataset's table no longer has, and that are not deleted yet.
CREATE TABLE old_file (
    dataset INTEGER NOT NULL,                -- 0 quality, 1 meetings, 2 participants
    date    INTEGER NOT NULL,
    name    TEXT    NOT NULL,                -- the whole name; another program's too, which is never deleted
    since   INTEGER NOT NULL,                -- when it was known that no later reader needs it
    PRIMARY KEY (dataset, date, name)
) STRICT, WITHOUT ROWID;
