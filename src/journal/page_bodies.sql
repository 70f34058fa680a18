SELECT number, body FROM page WHERE stay = ?1 ORDER BY number
