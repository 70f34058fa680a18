SELECT count(*) FROM stay WHERE date = ?1 AND state = 1 AND file = ?2
