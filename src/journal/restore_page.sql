UPDATE page SET body = ?3 WHERE stay = ?1 AND number = ?2
