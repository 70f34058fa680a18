DELETE FROM body WHERE id IN (SELECT body FROM page WHERE stay = ?1)
