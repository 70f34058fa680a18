UPDATE stay SET file = intended, intended = NULL WHERE date = ?1 AND state = 1 AND intended = ?2
