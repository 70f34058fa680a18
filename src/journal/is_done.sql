SELECT state = 1 FROM stay WHERE id = ?1
