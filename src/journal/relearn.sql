UPDATE stay SET file = ?2 WHERE id = ?1 AND state = 1 AND file IS NULL
