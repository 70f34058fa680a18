-- They come after what this manifest brings.
UPDATE stay SET state = 0, lane = 1 WHERE state IN (4, 5) AND settled_at < ?1 AND (state = 5 OR meeting_end >= ?2) AND rereads IS NULL
