-- Into the lane of the run that has them for its own: a nightly one must not wait for a whole backfill.
UPDATE stay SET state = 0, lane = min(lane, ?3)
WHERE state IN (4, 5) AND settled_at < ?1 AND (state = 5 OR meeting_end >= ?2) AND rereads IS NULL
