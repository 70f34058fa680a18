UPDATE slot SET free_ms = ?2 WHERE id = ?1
