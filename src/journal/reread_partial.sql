-- Stays of these dates that are being read: from their first page again, for one that has landed may be why they are asked
-- for again.
SELECT id FROM stay
WHERE date BETWEEN ?1 AND ?2 AND state = 0 AND pages > 0
    AND date NOT IN (SELECT date FROM refresh WHERE first = ?1 AND last = ?2)
