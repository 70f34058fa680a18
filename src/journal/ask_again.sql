-- A stay of an earlier manifest that this one names too: what failed, was rejected or was absent so far is asked for again,
-- and what failed may be read from its first page again: its page token may have grown too old meanwhile.
UPDATE stay
SET lane = min(lane, ?2),
    restarts = CASE WHEN state = 4 THEN 0 ELSE restarts END,
    suspect = CASE WHEN state = 5 THEN 0 ELSE suspect END,
    state = CASE WHEN state IN (3, 4, 5) THEN 0 ELSE state END
WHERE id = ?1
