UPDATE stay SET intended = ?2 WHERE date = ?1 AND state = 1 AND samples > 0
