-- They keep their lane: in the other one, a nightly export that has them for its own would wait for the whole backfill.
UPDATE stay SET state = 0 WHERE state IN (4, 5) AND settled_at < ?1 AND (state = 5 OR meeting_end >= ?2) AND rereads IS NULL
