UPDATE stay SET state = 4, pages = 0, samples = 0, file = NULL, intended = NULL, reason = ?2 WHERE id = ?1
