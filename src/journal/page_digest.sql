SELECT digest, body IS NULL FROM page WHERE stay = ?1 AND number = ?2
