UPDATE file SET bytes = ?2, sha256 = ?3 WHERE id = ?1
