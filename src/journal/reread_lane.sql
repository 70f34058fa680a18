-- A nightly run must not wait for a backfill's stays that have become its own.
UPDATE stay SET lane = min(lane, ?1) WHERE state = 0 AND id IN (SELECT stay FROM mine)
