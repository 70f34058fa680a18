-- The stays that this process reports and exits for; no file and line: asked for again for an earlier manifest.
-- Temporary, so that it ends with the process.
CREATE TEMP TABLE IF NOT EXISTS mine (
    stay INTEGER PRIMARY KEY,
    file INTEGER,
    line INTEGER
) STRICT;
