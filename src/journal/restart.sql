UPDATE stay SET pages = 0, samples = 0, restarts = restarts + 1 WHERE id = ?1
