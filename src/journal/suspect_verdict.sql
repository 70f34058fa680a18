SELECT state FROM stay WHERE id = ?1 AND (state > 1 OR state = 1 AND samples = 0)
