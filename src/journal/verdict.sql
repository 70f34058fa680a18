SELECT state FROM stay WHERE id = ?1 AND state > 1
