SELECT id FROM stay
WHERE date = ?1 AND state = 1 AND (file IS NOT NULL OR samples = 0) AND id > ?2
ORDER BY id
LIMIT ?3
