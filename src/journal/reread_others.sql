-- Stays from ?1 to ?2 that have no data are asked for as if they were new.
UPDATE stay SET state = 0, restarts = 0, lane = min(lane, ?3) WHERE date BETWEEN ?1 AND ?2 AND state > 1
