-- Into the lane of the run that has them for its own: a nightly one must not wait for a whole backfill. What failed may be
-- read from its first page again: its page token may have grown too old meanwhile.
UPDATE stay SET state = 0, lane = min(lane, ?3), restarts = CASE WHEN state = 4 THEN 0 ELSE restarts END
WHERE state IN (4, 5) AND settled_at < ?1 AND (state = 5 OR meeting_end >= ?2) AND rereads IS NULL AND suspect = 0
