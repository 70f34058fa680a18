SELECT EXISTS (SELECT 1 FROM page WHERE stay = ?1 AND next_token = ?2)
