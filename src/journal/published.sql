UPDATE file SET published = 1, bytes = ?2 WHERE id = ?1
