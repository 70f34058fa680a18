UPDATE page SET body = NULL WHERE stay = ?1 AND body IS NOT NULL
