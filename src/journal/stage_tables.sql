-- The manifest of this process: temporary, so that it ends with the process.
CREATE TEMP TABLE IF NOT EXISTS incoming (
    key         TEXT    NOT NULL,              -- start, number, join time, participant and kind, as a text that sorts
    meeting_end INTEGER NOT NULL,
    file        INTEGER NOT NULL,
    line        INTEGER NOT NULL
) STRICT;
-- The stays that this process reports and exits for; no file and line: asked for again for an earlier manifest.
CREATE TEMP TABLE IF NOT EXISTS mine (
    stay INTEGER PRIMARY KEY,
    file INTEGER,
    line INTEGER
) STRICT;
