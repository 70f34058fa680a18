UPDATE file SET published = 1 WHERE id = ?1
