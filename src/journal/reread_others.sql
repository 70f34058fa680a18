-- Stays of these dates that have no data are asked for as if they were new.
UPDATE stay SET state = 0, restarts = 0
WHERE date BETWEEN ?1 AND ?2 AND state > 1 AND date NOT IN (SELECT date FROM refresh WHERE first = ?1 AND last = ?2)
