-- From format 2 to 3: slots and refusals are those of an endpoint, and the two readings of a stay can be told apart by name.

ALTER TABLE slot ADD COLUMN endpoint INTEGER NOT NULL DEFAULT 0;

CREATE TABLE gate (
    endpoint INTEGER PRIMARY KEY,
    until_ms INTEGER NOT NULL
) STRICT;
INSERT INTO gate (endpoint, until_ms) SELECT 0, CAST(value AS INTEGER) FROM meta WHERE key = 'gate_ms';
DELETE FROM meta WHERE key = 'gate_ms';

CREATE VIEW first_reading AS SELECT * FROM stay WHERE rereads IS NULL;
CREATE VIEW second_reading AS
SELECT second.id, second.rereads AS first, first.date, first.meeting_start, first.meeting_no, first.join_time,
       first.participant, first.kind, first.meeting_end, second.state, second.samples, second.reason, second.log_id,
       first.samples AS first_samples, first.file AS first_file
FROM stay AS second JOIN stay AS first ON first.id = second.rereads
WHERE second.rereads IS NOT NULL;
