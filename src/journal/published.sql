UPDATE file SET published = 1, bytes = ?2, sha256 = ?3 WHERE id = ?1
