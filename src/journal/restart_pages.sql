DELETE FROM page WHERE stay = ?1
