-- A stay of an earlier manifest that this one names too: what failed or was absent so far is asked for again.
UPDATE stay
SET lane = min(lane, ?2), state = CASE WHEN state IN (4, 5) THEN 0 ELSE state END
WHERE id = ?1
