UPDATE page SET stay = ?2 WHERE stay = ?1
