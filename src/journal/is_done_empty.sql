SELECT state = 1 AND samples = 0 FROM stay WHERE id = ?1
