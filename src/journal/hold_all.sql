-- What is not in the file that takes the place of all others is in none.
UPDATE stay SET file = CASE WHEN intended = ?2 THEN ?2 END, intended = NULL
WHERE date = ?1 AND state = 1 AND (file IS NOT NULL OR intended IS NOT NULL)
