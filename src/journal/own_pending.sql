SELECT mine.stay FROM mine JOIN stay ON stay.id = mine.stay WHERE mine.stay >= ?1 AND stay.state = 0 ORDER BY mine.stay LIMIT 1
