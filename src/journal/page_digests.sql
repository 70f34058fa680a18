SELECT number, samples, digest FROM page WHERE stay = ?1 ORDER BY number
