UPDATE stay SET suspect = 2 WHERE id BETWEEN ?1 AND ?2 AND state = 0 AND suspect = 0
